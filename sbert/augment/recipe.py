"""The recipe of Augmented SBERT (arXiv 2010.08240), from labelled pairs to a table of results."""

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
from sbert.sweeps.processes import JobRunner
from sbert.sweeps.summary import FinishedRun


class Recipe:
    """A recipe. The constructor builds the configuration of every stage; no data is read yet.

    Args:
        config: the recipe.
        options: the same as nested dicts.
        make_runner: JobRunner, or what has its arguments and its `run` and `stop`.

    Raises:
        InputError: settings that exclude each other, or an unknown option.
    """

    def __init__(
        self, config: RecipeConfig, options: dict[str, Any], make_runner: Callable = JobRunner
    ):
        plan = RecipePlan(config, options)
        self.config = config
        self.make_runner = make_runner
        self.folder = plan.folder
        self.stages = plan.stages()
        self.summaries: dict[str, SilverSummary] = {}  # of the silver stages that are done
        self.bar = tqdm(disable=True)

    def print_line(self, text: str) -> None:
        """Print above the progress bar."""
        self.bar.write(text)

    def states(self) -> list[StageState]:
        """The state of each stage."""
        states, unfinished = [], set()
        for stage in self.stages:
            state = stage.state(unfinished)
            states.append(state)
            if state.name != "done":
                unfinished.add(stage.label)
        return states

    def describe(self) -> None:
        """Print the stages and their states."""
        states = self.states()
        for stage, state in zip(self.stages, states, strict=True):
            reason = f": {state.reason}" if state.reason else ""
            print(f"{state.name:5}  {stage.label}{reason}")
        done = [state for state in states if state.name == "done"]
        print(f"{len(done)} of {len(states)} stages done in {self.folder}")

    def check(self, redo: bool) -> None:
        """Find bad input before the first stage starts.

        Raises:
            InputError: a stage has a result of other settings or data, and not `redo`; a dataset or
                a model that cannot be read; gold that is silver.
        """
        for stage, state in zip(self.stages, self.states(), strict=True):
            if state.name == "stale" and not state.upstream and not redo:
                raise InputError(
                    f"{stage.folder}: has a result of other settings or data: {state.reason}; give "
                    "the recipe another name, or pass --redo to delete and redo such stages"
                )
        check_inputs([stage for stage in self.stages if not stage.after])
        check_gold(self.config.gold)

    def run(self, redo: bool = False) -> None:
        """Run the stages that are not done, and print the table.

        redo: also those whose result has other settings or data.
        """
        self.check(redo)
        self.folder.mkdir(parents=True, exist_ok=True)
        runner = self.make_runner(1, self.print_line)
        self.bar = tqdm(total=len(self.stages), unit="stage", dynamic_ncols=True)
        try:
            for stage in self.stages:
                self.run_stage(stage, runner)
        except BaseException:
            runner.stop()
            raise
        finally:
            self.bar.close()
        print(f"\n{self.write_results()}\n\ntable: {self.folder / 'table.md'}")

    def run_stage(self, stage: Stage, runner: JobRunner) -> None:
        """Run a stage if it is not done, and write the results so far."""
        state = stage.state()
        start = time.perf_counter()
        if state.name == "stale":
            self.print_line(f"redo {stage.label}: {state.reason}")
        if state.name != "done":
            stage.prepare()
            runner.run(stage)
        stage.clean()
        if stage.kind == "silver":
            self.summaries[stage.label] = SilverSummary.from_stage(stage)
        self.bar.update()
        if state.name != "done":
            self._print_finished(stage, time.perf_counter() - start)
        self.write_results()

    def _print_finished(self, stage: Stage, seconds: float) -> None:
        if stage.kind == "silver":
            line = f"{stage.label}: {self.summaries[stage.label].describe()}; {seconds:.0f} s"
        else:
            line = FinishedRun.read(stage).progress_line()
        self.print_line(f"{self.bar.n} of {self.bar.total}: {line}")
        if stage.kind == "teacher":
            warning = self._teacher_warning(stage)
            if warning:
                self.print_line(warning)

    def _teacher_warning(self, teacher: Stage) -> str:
        """The comparison with the bi-encoder that was trained on the same gold."""
        for stage in self.stages:
            if stage.kind == "gold" and stage.axes == teacher.axes:
                student = FinishedRun.read(stage)
        return teacher_warning(self.config, [student], [FinishedRun.read(teacher)])

    def records(self) -> list[dict]:
        """The rows of results.jsonl: of a training as a sweep's; of silver, its summary."""
        records = []
        for stage in self.stages:
            record = {"stage": stage.label, "kind": stage.kind, "row": stage.row}
            record["axes"] = stage.axes
            if stage.label in self.summaries:
                records.append(record | self.summaries[stage.label]._asdict())
            elif stage.kind != "silver" and stage.done:
                run = FinishedRun.read(stage).record()
                del run["run"]
                records.append(record | run)
        return records

    def write_results(self) -> str:
        """Write results.jsonl and table.md of the stages that are done, and return the table."""
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in self.records()]
        write_whole(self.folder / "results.jsonl", "".join(lines).encode())
        table = recipe_table(self.config, self.stages, self.summaries)
        write_whole(self.folder / "table.md", f"{self.config.name}\n\n{table}\n".encode())
        return table
