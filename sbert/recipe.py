"""The whole recipe of Augmented SBERT (arXiv 2010.08240), from labelled pairs to a table: does silver data help?

python -m sbert.recipe --config configs/augsbert/stsb.yaml --dry_run
python -m sbert.recipe --config configs/augsbert/stsb.yaml
python -m sbert.recipe --config configs/augsbert/stsb.yaml --teacher.model.path models/all-MiniLM-L6-v2 --name stsb_small

Stages, each a process and a folder below runs/augsbert/<name>/: a bi-encoder on gold; a cross-encoder on gold, the teacher; of
each strategy the silver that it labels, and a bi-encoder on gold and silver. Stages that are done are skipped and one that was
cut goes on, so after an interruption the same command goes on. A result is of use as long as its settings and all that it was
made from are the same: where a teacher comes out otherwise, its silver and all that follows is made again. The folder also
holds table.md and results.jsonl.
"""

import copy
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from tqdm.auto import tqdm

from sbert.config import check_unique, parser
from sbert.errors import InputError, one_line_errors
from sbert.output import write_whole
from sbert.plan import check_inputs
from sbert.processes import Processes
from sbert.recipe_config import RecipeConfig
from sbert.recipe_plan import RecipePlan, check_gold
from sbert.recipe_table import Look, summarise, warning
from sbert.stage import Stage, State
from sbert.summary import Finished


class Recipe:
    """A recipe. The constructor builds the configuration of every stage.

    Args:
        config: the recipe.
        options: the same, as nested dicts.
        processes: as of a sweep.

    Raises:
        InputError: settings that do not go together; options that are not there.
    """

    def __init__(self, config: RecipeConfig, options: dict[str, Any], processes: Callable = Processes):
        plan = RecipePlan(config, options)
        self.config, self.processes, self.folder, self.stages = config, processes, plan.folder, plan.stages()
        self.looks: dict[str, Look] = {}
        self.bar = tqdm(disable=True)

    def states(self) -> list[State]:
        """Where each stage stands."""
        states, again = [], set()
        for stage in self.stages:
            states.append(stage.state(again))
            again |= set() if states[-1].name == "done" else {stage.label}
        return states

    def describe(self) -> None:
        """Print the stages and where they stand."""
        states = self.states()
        for stage, state in zip(self.stages, states, strict=True):
            print(f"{state.name:5}  {stage.label}{': ' + state.why if state.why else ''}")
        print(f"{sum(s.name == 'done' for s in states)} of {len(states)} stages done in {self.folder}")

    def check(self, redo: bool) -> None:
        """Refuse to delete what was made under other settings or from other data; find bad input before the first stage."""
        for stage, state in zip(self.stages, self.states(), strict=True):
            if state.name == "stale" and not state.follows and not redo:
                raise InputError(
                    f"{stage.folder}: made otherwise: {state.why}; give the recipe another name, or delete what no longer holds "
                    "and make it again by --redo"
                )
        check_inputs([stage for stage in self.stages if not stage.after])
        check_gold(self.config.gold)

    def __call__(self, redo: bool = False) -> None:
        """Do what is left, and print the table. redo: also what was made under other settings."""
        self.check(redo)
        self.folder.mkdir(parents=True, exist_ok=True)
        processes = self.processes(1, self.say)
        self.bar = tqdm(total=len(self.stages), unit="stage", dynamic_ncols=True)
        try:
            for stage in self.stages:
                self.work(stage, processes)
        except BaseException:
            processes.stop()
            raise
        finally:
            self.bar.close()
        print(f"\n{self.write()}\n\ntable: {self.folder / 'table.md'}")

    def say(self, text: str) -> None:
        """A line above the progress bar."""
        self.bar.write(text)

    def work(self, stage: Stage, processes: Callable[[Stage], None]) -> None:
        """Do one stage, those before it being done."""
        state, begun = stage.state(), time.perf_counter()
        if state.name == "stale":
            self.say(f"again: {stage.label}: {state.why}")
        if state.name != "done":
            stage.begin()
            processes(stage)
        stage.clean()
        if stage.kind == "silver":
            self.looks[stage.label] = Look.at(stage)
        self.bar.update()
        if state.name != "done":
            seconds = time.perf_counter() - begun
            look = stage.kind == "silver" and f"{stage.label}: {self.looks[stage.label].line()}; {seconds:.0f} s"
            self.say(f"{self.bar.n} of {self.bar.total}: {look or Finished.read(stage).line()}")
            if stage.kind == "teacher" and (doubt := self.doubt(stage)):
                self.say(doubt)
        self.write()

    def doubt(self, teacher: Stage) -> str:
        """What is to be said of a teacher beside the bi-encoder on the same gold."""
        student = next(stage for stage in self.stages if stage.kind == "gold" and stage.axes == teacher.axes)
        return warning(self.config, [Finished.read(student)], [Finished.read(teacher)])

    def rows(self) -> list[dict]:
        """The rows of results.jsonl: of a training as a sweep's, of silver the pairs and the divergence."""
        rows = []
        for stage in self.stages:
            facts = {"stage": stage.label, "kind": stage.kind, "row": stage.row, "axes": stage.axes}
            if stage.label in self.looks:
                rows.append(facts | self.looks[stage.label]._asdict())
            elif stage.kind != "silver" and stage.done:
                rows.append(facts | {k: v for k, v in Finished.read(stage).row().items() if k not in ("run", "axes")})
        return rows

    def write(self) -> str:
        """Write results.jsonl and table.md of what is done -> the table."""
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows())
        write_whole(self.folder / "results.jsonl", rows.encode())
        text = summarise(self.config, self.stages, self.looks)
        write_whole(self.folder / "table.md", f"{self.config.name}\n\n{text}\n".encode())
        return text


def main(argv: list[str], processes: Callable = Processes) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the stage first, as on Ctrl-C
    with one_line_errors("python -m sbert.recipe"):
        check_unique(argv)
        options = parser(RecipeConfig, "python -m sbert.recipe", __doc__)
        options.add_argument("--dry_run", action="store_true", help="List the stages and where they stand; do none.")
        options.add_argument(
            "--redo", action="store_true", help="Delete and do again what was made under other settings."
        )
        given = options.parse_args(argv)
        dry_run, redo, _ = given.pop("dry_run"), given.pop("redo"), given.pop("config")
        nested = copy.deepcopy(given.as_dict())  # which the next line changes
        recipe = Recipe(RecipeConfig(**vars(options.instantiate(given))), nested, processes)
        recipe.describe() if dry_run else recipe(redo)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        print("python -m sbert.recipe: interrupted; the same command goes on", file=sys.stderr)
        raise SystemExit(130) from None
