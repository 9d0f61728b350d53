"""Augmented SBERT (arXiv 2010.08240): silver pairs labelled by a cross-encoder, and the whole recipe.

python augment.py silver  --config configs/augsbert/mine.yaml
python augment.py recipe  --config configs/augsbert/stsb.yaml --dry_run
python augment.py recipe  --config configs/augsbert/stsb.yaml
python augment.py recipe  --config configs/augsbert/stsb.yaml --teacher.model.path models/all-MiniLM-L6-v2 --name stsb_small
python augment.py compare --gold.path stsb --gold.split train --silver runs/augsbert/silver.jsonl

python augment.py <task> --help shows the options of a task. Run an interrupted command again to resume it. The stages of a
recipe, each a process and a folder below runs/augsbert/<name>/: a bi-encoder on gold; a cross-encoder on gold, the teacher;
for each strategy the silver that it labels, and a bi-encoder on gold and silver. A stage is redone if its settings or its
inputs have changed. The folder also holds table.md and results.jsonl.
"""

import copy
import signal
import sys
from collections.abc import Callable

from sbert.augment.config import CompareConfig, RecipeConfig, SilverConfig
from sbert.cli import check_arguments, choose_task, make_parser
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


def silver(config: SilverConfig, options: dict, overwrite: bool) -> None:
    from sbert.augment.silver import mine_silver
    from sbert.mining.task import run_task

    run_task(mine_silver, config, overwrite)


def recipe(
    config: RecipeConfig,
    options: dict,
    dry_run: bool,
    redo: bool,
    processes: Callable | None = None,
) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the stage first, as on Ctrl-C
    from sbert.augment.recipe import Recipe
    from sbert.sweeps.processes import Processes

    found = Recipe(config, options, processes or Processes)
    found.describe() if dry_run else found(redo)


def compare(config: CompareConfig, options: dict) -> None:
    from sbert.augment.divergence import compare_files

    print(compare_files(config))


def main(argv: list[str], **extra) -> None:
    """`extra`: further arguments of the task's function."""
    with one_line_errors("augment.py"):
        name, rest = choose_task("augment.py", argv, __doc__, TASKS)
        schema = TASKS[name]
        check_arguments(rest)
        parser = make_parser(schema, f"augment.py {name}", schema.__doc__.partition("Args:")[0])
        for flag, text in FLAGS[name].items():
            parser.add_argument(f"--{flag}", action="store_true", help=text)
        given = parser.parse_args(rest)
        flags = {flag: given.pop(flag) for flag in FLAGS[name]}
        given.pop("config")
        options = copy.deepcopy(given.as_dict())  # which the next line changes
        config = schema(**vars(parser.instantiate(given)))
        run = {"silver": silver, "recipe": recipe, "compare": compare}[name]
        run(config, options, **flags, **extra)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("augment.py: interrupted; run the same command again to resume", file=sys.stderr)
        raise SystemExit(130) from None
