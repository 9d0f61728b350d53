"""The recipe of Augmented SBERT (arXiv 2010.08240), from labelled pairs to a table of results."""

import time
from collections.abc import Callable
from typing import Any

from tqdm.auto import tqdm

from sbert.atomic import make_folder, write_records, write_whole
from sbert.augment.plan import RecipePlan, check_gold
from sbert.augment.recipe_config import RecipeConfig
from sbert.augment.sentences import read_translations
from sbert.augment.size_results import SilverSummary, SizeResults, size_results
from sbert.augment.stages import GOLD, TEACHER, UNTUNED, Stage, StageState
from sbert.augment.strategies import STRATEGIES
from sbert.augment.summary import compare_with_gold, recipe_table, teacher_warning
from sbert.data.origin import dataset_name
from sbert.errors import require
from sbert.sweeps.inputs import check_inputs
from sbert.sweeps.intervals import Comparison
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

    def states(self) -> list[StageState]:
        """The state of each stage."""
        states, unfinished = [], set()
        for stage in self.stages:
            states.append(stage.state(unfinished))
            if states[-1].name != "done":
                unfinished.add(stage.label)
        return states

    def describe(self) -> None:
        """Print the stages and their states."""
        states = self.states()
        for stage, state in zip(self.stages, states, strict=True):
            reason = f": {state.reason}" if state.reason else ""
            print(f"{state.name:5}  {stage.label}{reason}")
        done = [state.name for state in states].count("done")
        print(f"{done} of {len(states)} stages done in {self.folder}")

    def check(self, redo: bool) -> None:
        """Find bad input before the first stage starts.

        Raises:
            InputError: a stage has a result of other settings or data, and not `redo`; a dataset or
                a model that cannot be read; gold that is silver.
        """
        for stage, state in zip(self.stages, self.states(), strict=True):
            require(
                redo or state.upstream or state.name != "stale",
                f"{stage.folder}: has a result of other settings or data: {state.reason}; give "
                "the recipe another name, or pass --redo to delete and redo such stages",
            )
        check_published(self.config)
        check_inputs([stage for stage in self.stages if not stage.after])
        check_gold(self.config.gold)
        read_translations(next(stage.config for stage in self.stages if stage.kind == "silver"))

    def run(self, redo: bool = False) -> None:
        """Print the plan, run the stages that are not done, and print the table.

        redo: also those whose result has other settings or data.
        """
        self.check(redo)
        self.describe()
        make_folder(self.folder)
        runner = self.make_runner(1, tqdm.write)
        with tqdm(total=len(self.stages), unit="stage", dynamic_ncols=True) as bar:
            try:
                for stage in self.stages:
                    self.run_stage(stage, runner, bar)
            except BaseException:
                runner.stop()
                raise
        print(f"\n{self.write_results(intervals=True)}\n\ntable: {self.folder / 'table.md'}")

    def run_stage(self, stage: Stage, runner: JobRunner, bar: tqdm) -> None:
        """Run a stage if it is not done, and write the results so far."""
        state = stage.state()
        start = time.perf_counter()
        if state.name == "stale":
            tqdm.write(f"redo {stage.label}: {state.reason}")
        if state.name != "done":
            stage.prepare()
            runner.run(stage)
        stage.clean()
        if stage.kind == "silver":
            self.summaries[stage.label] = SilverSummary.from_stage(stage)
        bar.update()
        if state.name != "done":
            line = self._progress_line(stage, time.perf_counter() - start)
            tqdm.write(f"{bar.n} of {bar.total}: {line}")
        self.write_results()

    def _progress_line(self, stage: Stage, seconds: float) -> str:
        """The result of a stage; of a teacher that may not help, with a warning."""
        if stage.kind == "silver":
            return f"{stage.label}: {self.summaries[stage.label].describe()}; {seconds:.0f} s"
        finished = FinishedRun.read(stage)
        lines = [finished.progress_line()]
        if stage.kind == "teacher":
            gold = [s for s in self.stages if s.kind == "gold" and s.axes == stage.axes]
            students = [FinishedRun.read(stage) for stage in gold]
            lines.append(teacher_warning(self.config, students, [finished]))
        return "\n".join(filter(None, lines))

    def records(self) -> list[dict]:
        """The rows of results.jsonl: of a training as a sweep's; of silver, its summary."""
        records = []
        for stage in self.stages:
            names = {"stage": stage.label, "kind": stage.kind, "row": stage.row, "axes": stage.axes}
            if stage.label in self.summaries:
                records.append(names | self.summaries[stage.label]._asdict())
            elif stage.kind != "silver" and stage.done:
                run = FinishedRun.read(stage).record()
                del run["run"]
                records.append(names | run)
        return records

    def write_results(self, intervals: bool = False) -> str:
        """Write results.jsonl and table.md of the stages that are done, and return the table.

        intervals: also those of the test sets, in the table and in intervals.jsonl.
        """
        write_records(self.folder / "results.jsonl", self.records())
        results = size_results(self.config, self.stages, self.summaries)
        comparisons = []
        if intervals:
            comparisons = [compare_with_gold(of_size) for of_size in results]
            self._write_intervals(results, comparisons)
        table = recipe_table(self.config, results, comparisons)
        write_whole(self.folder / "table.md", f"{self.config.name}\n\n{table}\n".encode())
        return table

    def _write_intervals(
        self, results: list[SizeResults], comparisons: list[list[Comparison]]
    ) -> None:
        """Write intervals.jsonl: the comparisons of each size with its gold."""
        records = []
        for of_size, compared in zip(results, comparisons, strict=True):
            size = {"gold": of_size.first.result["train_rows"]}
            records += [size | one.record() for one in compared]
        write_records(self.folder / "intervals.jsonl", records)


def check_published(config: RecipeConfig) -> None:
    """Refuse published scores that have no cell in the table.

    Raises:
        InputError: a dataset that is not evaluated, or an unknown row.
    """
    target = [*config.target.dev, *config.target.test] if config.target else []
    datasets = [dataset_name(dataset) for dataset in [*target, *config.dev, *config.test]]
    # all strategies: the recipe may run only some of the published ones
    rows = [UNTUNED, GOLD, TEACHER, *STRATEGIES]
    for dataset, scores in config.published.items():
        require(
            dataset in datasets,
            f"published: '{dataset}' is not evaluated; the datasets are {', '.join(datasets)}",
        )
        for row in scores:
            require(
                row in rows,
                f"published: '{row}' is not a row of the table; the rows are {', '.join(rows)}",
            )
