"""Hyper-parameter search: a sweep whose runs are those of trials, drawn one after another."""

import math
from collections.abc import Callable

from sbert.atomic import write_whole
from sbert.errors import require
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.plan import check_inputs
from sbert.sweeps.processes import DivergedError, JobRunner
from sbert.sweeps.study import BELOW_MEDIAN, Study
from sbert.sweeps.summary import FinishedRun
from sbert.sweeps.sweep import Sweep


class SearchSweep(Sweep):
    """Trials one after another, each with a run for every seed and fold. `runs` grows with them.

    Raises:
        InputError: as `Sweep` and `Study`; no dev set and no folds to score trials by.
    """

    def __init__(self, config: SweepConfig, make_runner: Callable = JobRunner):
        super().__init__(config, make_runner)
        self.study = Study(config.search, self.folder)
        self.example_runs = self.plan.runs((1, self.study.example_options()))
        require(
            config.folds or self.example_runs[0].config.data.dev,
            f"search: {config.base} has no dev set to score trials by; add one, or set folds",
        )

    def describe(self) -> None:
        done = 0
        if self.study.path.exists():
            self.study.open()
            done = len(self.study.finished_trials())
        print(
            f"{done} of {self.config.search.trials} trials done in {self.folder}, "
            f"of up to {len(self.example_runs)} runs each"
        )
        check_inputs(self.example_runs)

    def run(self) -> None:
        check_inputs(self.example_runs)
        self.study.open()
        self.planned = []
        for number, trial in enumerate(self.study.finished_trials(), start=1):
            self.planned += self.plan.runs((number, trial.params))
        # a pruned trial did not do all of its runs
        self.runs = [run for run in self.planned if run.done]
        super().run()

    def check_folder(self) -> None:
        self.check_runs(self.planned)
        # the next trial may have been interrupted: its labels are known, its options not yet
        number = len(self.study.finished_trials()) + 1
        following = self.plan.runs((number, self.study.example_options()))
        self.check_other_runs([*self.planned, *following])

    def train_all(self) -> None:
        """Draw trials and train their runs, and write the best trial's configuration."""
        self.bar.total = self.config.search.trials * len(self.example_runs)
        for number, trial in self.study.draw_trials():
            scores, pruned = self._run_trial(number, trial)
            self.study.finish_trial(trial, scores, pruned)
        best = self.study.best_options()
        if best:
            write_whole(self.folder / "best.yaml", self.plan.best_yaml(best).encode())

    def _run_trial(self, number: int, trial) -> tuple[list[float], str | None]:
        """Train the runs of one of Optuna's trials: their scores, and why it was pruned, if it
        was."""
        planned = self.plan.runs((number, trial.params))
        self.check_runs(planned)
        scores, scored_part = [], "test" if self.config.folds else "dev"
        for start in range(0, len(planned), self.config.jobs):
            batch = planned[start : start + self.config.jobs]
            self.runs += batch
            try:
                self.train(batch)
            except DivergedError as error:
                return scores, str(error)
            scores += [FinishedRun.read(run).main_score(scored_part) for run in batch]
            if not all(math.isfinite(score) for score in scores):
                return scores, "a metric is undefined"
            if len(scores) < len(planned) and self.study.should_prune(trial, scores):
                return scores, BELOW_MEDIAN
        return scores, None

    def table(self) -> str:
        table = self.study.table()
        if self.study.best_options():
            table += f"; the best, for train.py: {self.folder / 'best.yaml'}"
        return table
