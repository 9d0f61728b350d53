"""The whole recipe of Augmented SBERT (arXiv 2010.08240), from labelled pairs to a table: does silver data help?"""

import json
import time
from collections.abc import Callable
from typing import Any

from tqdm.auto import tqdm

from sbert.atomic import write_whole
from sbert.augment.config import RecipeConfig
from sbert.augment.plan import RecipePlan, check_gold
from sbert.augment.stages import Stage, StageState
from sbert.augment.summary import SilverSummary, recipe_table, teacher_warning
from sbert.errors import InputError
from sbert.sweeps.plan import check_inputs
from sbert.sweeps.processes import Processes
from sbert.sweeps.summary import Finished


class Recipe:
    """A recipe. The constructor builds the configuration of every stage.

    Args:
        config: the recipe.
        options: the same, as nested dicts.
        processes: as of a sweep.

    Raises:
        InputError: settings that do not go together; options that are not there.
    """

    def __init__(
        self, config: RecipeConfig, options: dict[str, Any], processes: Callable = Processes
    ):
        plan = RecipePlan(config, options)
        self.config, self.processes, self.folder, self.stages = (
            config,
            processes,
            plan.folder,
            plan.stages(),
        )
        self.looks: dict[str, SilverSummary] = {}
        self.bar = tqdm(disable=True)

    def states(self) -> list[StageState]:
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
        print(
            f"{sum(s.name == 'done' for s in states)} of {len(states)} stages done in {self.folder}"
        )

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
            self.looks[stage.label] = SilverSummary.at(stage)
        self.bar.update()
        if state.name != "done":
            seconds = time.perf_counter() - begun
            look = (
                stage.kind == "silver"
                and f"{stage.label}: {self.looks[stage.label].line()}; {seconds:.0f} s"
            )
            self.say(f"{self.bar.n} of {self.bar.total}: {look or Finished.read(stage).line()}")
            if stage.kind == "teacher" and (doubt := self.doubt(stage)):
                self.say(doubt)
        self.write()

    def doubt(self, teacher: Stage) -> str:
        """What is to be said of a teacher beside the bi-encoder on the same gold."""
        student = next(
            stage for stage in self.stages if stage.kind == "gold" and stage.axes == teacher.axes
        )
        return teacher_warning(self.config, [Finished.read(student)], [Finished.read(teacher)])

    def rows(self) -> list[dict]:
        """The rows of results.jsonl: of a training as a sweep's, of silver the pairs and the divergence."""
        rows = []
        for stage in self.stages:
            facts = {"stage": stage.label, "kind": stage.kind, "row": stage.row, "axes": stage.axes}
            if stage.label in self.looks:
                rows.append(facts | self.looks[stage.label]._asdict())
            elif stage.kind != "silver" and stage.done:
                rows.append(
                    facts
                    | {
                        k: v
                        for k, v in Finished.read(stage).row().items()
                        if k not in ("run", "axes")
                    }
                )
        return rows

    def write(self) -> str:
        """Write results.jsonl and table.md of what is done -> the table."""
        rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows())
        write_whole(self.folder / "results.jsonl", rows.encode())
        text = recipe_table(self.config, self.stages, self.looks)
        write_whole(self.folder / "table.md", f"{self.config.name}\n\n{text}\n".encode())
        return text
