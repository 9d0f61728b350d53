"""One sweep: its runs, one after another or several at a time, and their results."""

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tqdm.auto import tqdm

from sbert.atomic import make_folder, write_records, write_whole
from sbert.config_keys import first_difference
from sbert.errors import require
from sbert.evaluation import figures
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.figures import draw_sweep
from sbert.sweeps.inputs import check_inputs, describe_counts
from sbert.sweeps.intervals import Comparison, comparison_table, sweep_comparisons
from sbert.sweeps.page import sweep_page, total_time
from sbert.sweeps.plan import PlannedRun, SweepPlan
from sbert.sweeps.processes import JobRunner
from sbert.sweeps.summary import FinishedRun, sweep_table
from sbert.yaml_text import dump_yaml

REMEDY = "give the sweep another name, or delete the folder"


class Sweep:
    """A sweep. The constructor builds the configuration of every run; no data is read yet.

    Args:
        make_runner: JobRunner, or what has its arguments and its `run` and `stop`.

    Raises:
        InputError: settings that exclude each other, or an unknown option.
    """

    def __init__(self, config: SweepConfig, make_runner: Callable = JobRunner):
        self.config = config
        self.make_runner = make_runner
        self.folder = Path(config.runs) / config.name
        self.plan = SweepPlan(config)
        # the runs of a search become known one trial after another
        self.runs: list[PlannedRun] = [] if config.search else self.plan.runs()
        rows = {run.row for run in self.runs}
        named = [("published", row) for row in config.published]
        named += [("baseline", config.baseline)] if config.baseline else []
        for option, row in named:
            require(
                row in rows,
                f"{option}: '{row}' is not a row of the table; "
                f"the rows are {'; '.join(sorted(rows))}",
            )
        if config.figure:
            figures.require_matplotlib(f"figure {config.figure}")

    def describe(self) -> None:
        """Print the runs and their states, and check what `run` checks before the first run."""
        for run in self.runs:
            state = "to do"
            if run.done:
                state = "done"
            elif (run.folder / "last").exists():
                state = "cut"
            print(f"{state:5}  {run.label}")
        print(f"{len(self.finished())} of {len(self.runs)} runs done in {self.folder}")
        self._check_before_running()

    def _check_before_running(self) -> None:
        """Check the folder, the data and the models, and print what there is to do."""
        self.check_folder()
        chained = "best" in self.config.keep and self.config.jobs == 1
        counts = check_inputs([run for run in self.runs if not run.done], chained)
        if counts:
            print(f"to do: {describe_counts(counts)}")

    def check_folder(self) -> None:
        """Refuse a folder that holds runs of another configuration or of another sweep."""
        self.check_runs(self.runs)
        self.check_other_runs(self.runs)

    def check_runs(self, runs: list[PlannedRun]) -> None:
        """Refuse to resume a run of another configuration, and to keep a model that was deleted."""
        for run in runs:
            saved = run.folder / "config.yaml"
            if saved.exists():
                changed = first_difference(saved.read_text("utf-8"), run.config_yaml)
                require(not changed, f"{run.folder}: a run of other settings: {changed}; {REMEDY}")
            require(
                not run.done or "best" not in self.config.keep or (run.folder / "best").exists(),
                f"{run.folder}: is done, and its best/ was not kept; "
                "delete the folder to train it again",
            )

    def check_other_runs(self, runs: list[PlannedRun]) -> None:
        """Refuse a folder with runs other than these."""
        labels = {run.label for run in runs}
        for path in sorted(self.folder.glob("*/config.yaml")):
            require(
                path.parent.name in labels,
                f"{path.parent}: is not one of the {len(runs)} runs asked for; ask for it, too, "
                f"by its seed, variant or setting, {REMEDY}",
            )

    def run(self) -> None:
        """Train the runs that are not done, and print the table."""
        self._check_before_running()
        make_folder(self.folder)
        settings = dataclasses.asdict(self.config)
        write_whole(self.folder / "sweep.yaml", dump_yaml(settings).encode())
        for run in self.runs:
            self._delete_models(run)  # those that an interrupted sweep left
        done = len(self.finished())
        with tqdm(total=len(self.runs), initial=done, unit="run", dynamic_ncols=True) as self.bar:
            self.train_all()
        finished = self.finished()
        paths = draw_sweep(finished, self.config, self.folder) if self.config.figure else []
        print(f"\n{self.write_results(paths, self.comparisons())}\n")
        for path in paths:
            print(f"figure: {path}")
        print(f"{total_time(finished)}\ntable: {self.folder / 'table.md'}")

    def train_all(self) -> None:
        """Train every run of the sweep."""
        self.train(self.runs)

    def table(self) -> str:
        """The table of the finished runs, with its notes."""
        return sweep_table(self.finished(), self.config)

    def comparisons(self) -> list[Comparison]:
        """The intervals of the rows on the test sets, and their differences."""
        return sweep_comparisons(self.finished(), self.config)

    def finished(self) -> list[FinishedRun]:
        return [FinishedRun.read(run) for run in self.runs if run.done]

    def train(self, runs: list[PlannedRun]) -> None:
        """Train the runs that are not done, `jobs` at a time. A run that fails stops the others."""
        runner = self.make_runner(self.config.jobs, tqdm.write)

        def run_or_stop(run: PlannedRun) -> None:
            try:
                runner.run(run)
            except BaseException:
                runner.stop()  # in this thread, before it takes the next run
                raise

        with ThreadPoolExecutor(self.config.jobs) as pool:
            futures = {pool.submit(run_or_stop, run): run for run in runs if not run.done}
            try:
                for future in as_completed(futures):
                    future.result()
                    self._finish(futures[future])
            except BaseException:
                runner.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _finish(self, run: PlannedRun) -> None:
        self._delete_models(run)
        self.bar.update()
        line = FinishedRun.read(run).progress_line()
        tqdm.write(f"{self.bar.n} of {self.bar.total}: {line}")
        self.write_results()

    def _delete_models(self, run: PlannedRun) -> None:
        for part in {"best", "last"} - self.kept_parts(run):
            if run.done and (run.folder / part).exists():
                shutil.rmtree(run.folder / part)

    def kept_parts(self, run: PlannedRun) -> set[str]:
        """What of a finished run's folder is not deleted."""
        return set(self.config.keep)

    def write_results(
        self, figure_paths: Sequence[Path] = (), comparisons: Sequence[Comparison] = ()
    ) -> str:
        """Write the results of the finished runs, and return the table: results.jsonl, table.md,
        and intervals.jsonl where there are comparisons."""
        finished, table = self.finished(), self.table()
        write_records(self.folder / "results.jsonl", [run.record() for run in finished])
        if comparisons:
            write_records(self.folder / "intervals.jsonl", [one.record() for one in comparisons])
            table += f"\n\n{comparison_table(comparisons, 'table row')}"
        page = sweep_page(self.config, finished, table, figure_paths)
        write_whole(self.folder / "table.md", page.encode())
        return table
