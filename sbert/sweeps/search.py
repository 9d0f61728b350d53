"""A sweep whose runs are the trials of a search."""

import math

from sbert.atomic import write_whole
from sbert.errors import InputError
from sbert.sweeps.plan import PlannedRun, check_inputs
from sbert.sweeps.processes import DivergedError
from sbert.sweeps.study import MEDIAN, Study
from sbert.sweeps.summary import Finished
from sbert.sweeps.sweep import Sweep


class SearchSweep(Sweep):
    """Trials one after another, each of as many runs as seeds x folds, which are pruned and resumed. `runs` grows with them."""

    def first_runs(self) -> list[PlannedRun]:
        self.study = Study(self.config.search, self.folder)
        example = self.plan.runs((1, self.study.example()))
        if not (self.config.folds or example[0].config.data.dev):
            raise InputError(
                f"search: {self.config.base} has no dev set to judge trials by; give it one, or set folds"
            )
        return example

    def describe(self) -> None:
        length, done = len(self.runs), 0
        if self.study.path.exists():
            self._take_up()
            done = len(self.study.finished())
        print(
            f"{done} of {self.config.search.trials} trials done in {self.folder}, of up to {length} runs each"
        )

    def __call__(self) -> None:
        check_inputs(self.runs)
        self._take_up()
        super().__call__()

    def _take_up(self) -> None:
        """Open the study -> the runs of its finished trials; a pruned trial did not do all of its own."""
        self.length = len(self.runs)
        self.study.open()
        trials = enumerate(self.study.finished(), start=1)
        self.planned = [
            run for number, trial in trials for run in self.plan.runs((number, trial.params))
        ]
        self.runs = [run for run in self.planned if run.done]

    def check_folder(self) -> None:
        self.check_runs(self.planned)
        # of the trial that is next, which a kill may have cut, the labels are known and the options not yet
        following = self.plan.runs((len(self.study.finished()) + 1, self.study.example()))
        self.check_others([*self.planned, *following])

    def work(self) -> None:
        """Draw trials and do their runs, until there are enough; write the configuration of the best."""
        self.bar.total = self.config.search.trials * self.length
        for number, trial in self.study.left():
            values, pruned = [], None
            planned = self.plan.runs((number, trial.params))
            self.check_runs(planned)
            for start in range(0, len(planned), self.config.jobs):
                part = planned[start : start + self.config.jobs]
                self.runs += part
                try:
                    self.run_all(part)
                    values += [
                        Finished.read(run).main("test" if self.config.folds else "dev")
                        for run in part
                    ]
                except DivergedError as error:
                    pruned = str(error)
                if pruned or not all(map(math.isfinite, values)):
                    pruned = pruned or "a metric is undefined"
                elif start + len(part) < len(planned) and self.study.hopeless(trial, values):
                    pruned = MEDIAN
                if pruned:
                    break
            self.study.tell(trial, values, pruned)
        if best := self.study.best():
            write_whole(self.folder / "best.yaml", self.plan.best(best[1]).encode())

    def summary(self) -> str:
        found = (
            f"; the best, for train.py: {self.folder / 'best.yaml'}" if self.study.best() else ""
        )
        return self.study.summarise() + found
