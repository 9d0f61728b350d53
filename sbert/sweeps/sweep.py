"""One sweep: its runs, one after another or several at a time, and their results."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import yaml
from tqdm.auto import tqdm

from sbert.atomic import write_whole
from sbert.cli import first_difference
from sbert.errors import InputError
from sbert.evaluation import figures
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.figures import draw_sweep
from sbert.sweeps.plan import PlannedRun, SweepPlan, check_inputs
from sbert.sweeps.processes import Processes
from sbert.sweeps.summary import Finished, sweep_page, sweep_table, total_time

ANEW = "give the sweep another name, or delete the folder"


class Sweep:
    """A sweep. The constructor builds the configuration of every run and checks what can be checked without reading data.

    Args:
        processes: called with the number of jobs and with what takes a line, it gives what is called with a run and trains it,
            and has a `stop()` that ends what runs.

    Raises:
        InputError: settings that do not go together; options that are not there.
    """

    def __init__(self, config: SweepConfig, processes: Callable = Processes):
        self.config, self.processes = config, processes
        self.folder = Path(config.runs) / config.name
        self.plan, self.bar = SweepPlan(config), tqdm(disable=True)
        self.runs = self.first_runs()
        rows = {run.row for run in self.runs}
        for row in sorted(config.published.keys() - rows):
            raise InputError(
                f"published: '{row}' is no row of the table; the rows are {'; '.join(sorted(rows))}"
            )
        if config.figure:
            figures.require_matplotlib(f"figure {config.figure}")

    def first_runs(self) -> list[PlannedRun]:
        """All runs, or as many as are known before any is done."""
        return self.plan.runs()

    def say(self, text: str) -> None:
        """A line above the progress bar."""
        self.bar.write(text)

    def describe(self) -> None:
        """Print the runs and where they stand."""
        for run in self.runs:
            begun = "cut" if (run.folder / "last").exists() else "to do"
            print(f"{'done' if run.done else begun:5}  {run.label}")
        print(
            f"{sum(run.done for run in self.runs)} of {len(self.runs)} runs done in {self.folder}"
        )

    def check_folder(self) -> None:
        """Refuse a folder with runs of other settings."""
        self.check_runs(self.runs)
        self.check_others(self.runs)

    def check_runs(self, runs: list[PlannedRun]) -> None:
        """Refuse to go on with a run of another configuration, and to keep a model that is gone."""
        for run in runs:
            saved = run.folder / "config.yaml"
            if saved.exists() and (changed := first_difference(saved.read_text("utf-8"), run.text)):
                raise InputError(f"{run.folder}: a run of other settings: {changed}; {ANEW}")
            if run.done and "best" in self.config.keep and not (run.folder / "best").exists():
                raise InputError(
                    f"{run.folder}: is done, and its best/ was not kept; delete the folder to train it again"
                )

    def check_others(self, runs: list[PlannedRun]) -> None:
        """Refuse to stand among runs that are not of this sweep."""
        others = {path.parent.name for path in self.folder.glob("*/config.yaml")} - {
            run.label for run in runs
        }
        if others:
            raise InputError(
                f"{self.folder / min(others)}: a run that is none of this sweep's; {ANEW}"
            )

    def __call__(self) -> None:
        """Do what is left, and print the table."""
        self.check_folder()
        check_inputs([run for run in self.runs if not run.done])
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = yaml.safe_dump(
            dataclasses.asdict(self.config), sort_keys=False, allow_unicode=True
        )
        write_whole(self.folder / "sweep.yaml", settings.encode())
        for run in self.runs:
            self._clean(run)  # a sweep that was killed may have left some
        self.bar = tqdm(
            total=len(self.runs), initial=len(self.finished()), unit="run", dynamic_ncols=True
        )
        try:
            self.work()
        finally:
            self.bar.close()
        finished = self.finished()
        pictures = draw_sweep(finished, self.config, self.folder) if self.config.figure else []
        print(
            f"\n{self.write(pictures)}\n",
            *(f"figure: {path}" for path in pictures),
            total_time(finished),
            sep="\n",
        )
        print(f"table: {self.folder / 'table.md'}")

    def work(self) -> None:
        self.run_all(self.runs)

    def summary(self) -> str:
        return sweep_table(self.finished(), self.config)

    def finished(self) -> list[Finished]:
        return [Finished.read(run) for run in self.runs if run.done]

    def run_all(self, runs: list[PlannedRun]) -> None:
        """Train those runs that are not done, `jobs` at a time. One that fails stops the others."""
        left, processes = (
            [run for run in runs if not run.done],
            self.processes(self.config.jobs, self.say),
        )
        with ThreadPoolExecutor(self.config.jobs) as pool:
            futures = {pool.submit(_or_stop, processes, run): run for run in left}
            try:
                for future in as_completed(futures):
                    future.result()
                    self._end(futures[future])
            except BaseException:
                processes.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def _end(self, run: PlannedRun) -> None:
        """What follows a finished run: its models are deleted, its line is said, the results are written."""
        self._clean(run)
        self.bar.update()
        self.say(f"{self.bar.n} of {self.bar.total}: {Finished.read(run).line()}")
        self.write()

    def _clean(self, run: PlannedRun) -> None:
        for part in ("best", "last"):
            if run.done and part not in self.config.keep and (run.folder / part).exists():
                shutil.rmtree(run.folder / part)

    def write(self, pictures: Sequence[Path] = ()) -> str:
        """Write results.jsonl and table.md of what is done -> the table."""
        finished, text = self.finished(), self.summary()
        rows = "".join(json.dumps(one.row(), ensure_ascii=False) + "\n" for one in finished)
        write_whole(self.folder / "results.jsonl", rows.encode())
        write_whole(
            self.folder / "table.md", sweep_page(self.config, finished, text, pictures).encode()
        )
        return text


def _or_stop(processes: Callable[[PlannedRun], None], run: PlannedRun) -> None:
    """Train a run; stop the others where it fails, before this thread could begin with the next."""
    try:
        processes(run)
    except BaseException:
        processes.stop()
        raise
