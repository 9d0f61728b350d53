"""Augmented SBERT (arXiv 2010.08240): silver pairs labelled by a cross-encoder; the recipe.

python augment.py silver  --config configs/augsbert/mine.yaml
python augment.py recipe  --config configs/augsbert/stsb.yaml --dry_run
python augment.py recipe  --config configs/augsbert/stsb.yaml
python augment.py recipe  --config configs/augsbert/stsb.yaml --name stsb_small \\
                          --teacher.model.path models/all-MiniLM-L6-v2
python augment.py compare --gold.path stsb --gold.split train --silver runs/augsbert/silver.jsonl

python augment.py <task> --help shows the options of a task. Run an interrupted command again to
resume it. The stages of a recipe are processes, each with a folder below runs/augsbert/<name>/: a
bi-encoder on gold; a cross-encoder on gold, the teacher; for each strategy the silver pairs that it
labels, and a bi-encoder on gold and silver. A stage is redone if its settings or inputs have
changed. The recipe's folder also holds table.md and results.jsonl.
"""

import signal
import sys

from sbert.augment.config import CompareConfig, SilverConfig
from sbert.augment.recipe_config import RecipeConfig
from sbert.cli import Command, choose_task, parse_command
from sbert.errors import one_line_errors

TASKS = {"silver": SilverConfig, "recipe": RecipeConfig, "compare": CompareConfig}
FLAGS = {
    "silver": {"overwrite": "Replace the output, finished or not."},
    "recipe": {
        "dry_run": "List the stages and their states; run none.",
        "redo": "Delete and redo stages that were made under other settings.",
    },
    "compare": {},
}


def run_silver(command: Command) -> None:
    from sbert.augment.silver import mine_silver
    from sbert.mining.task import run_task

    run_task(mine_silver, command.config, **command.flags)


def run_recipe(command: Command, **options) -> None:
    """`options`: further arguments of `Recipe`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the stage first, as on Ctrl-C
    from sbert.augment.recipe import Recipe

    recipe = Recipe(command.config, command.options, **options)
    if command.flags["dry_run"]:
        recipe.describe()
    else:
        recipe.run(command.flags["redo"])


def run_compare(command: Command) -> None:
    from sbert.augment.divergence import compare_files

    print(compare_files(command.config))


RUN = {"silver": run_silver, "recipe": run_recipe, "compare": run_compare}


def main(argv: list[str], **options) -> None:
    """`options`: further arguments of the task's function."""
    with one_line_errors("augment.py"):
        task, rest = choose_task("augment.py", argv, __doc__, TASKS)
        schema = TASKS[task]
        usage = schema.__doc__.partition("Args:")[0]
        command = parse_command(f"augment.py {task}", schema, usage, rest, FLAGS[task])
        RUN[task](command, **options)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("augment.py: interrupted; run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None
