"""Hyper-parameter search: a sweep whose runs are those of trials, drawn one after another, and then
those that retrain with the options of the best trial."""

import math
from collections.abc import Callable

from sbert.atomic import locked, make_folder, write_whole
from sbert.errors import require
from sbert.evaluation.report import describe_metric, factor_of
from sbert.markdown import markdown_table
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.inputs import check_inputs, describe_counts
from sbert.sweeps.intervals import Comparison, sweep_comparisons
from sbert.sweeps.plan import BEST, TRIAL, PlannedRun
from sbert.sweeps.processes import DivergedError, JobRunner
from sbert.sweeps.study import BELOW_MEDIAN, Study
from sbert.sweeps.summary import FinishedRun, mean_and_deviation, metric_columns
from sbert.sweeps.sweep import Sweep


class SearchSweep(Sweep):
    """Trials one after another, each with a run for every seed and fold; then, with `retrain`, a
    run for every seed with the options of the best trial. `runs` grows with them.

    Raises:
        InputError: as `Sweep` and `Study`; no dev set and no folds to score trials by, or no test
            set to evaluate after retraining.
    """

    def __init__(self, config: SweepConfig, make_runner: Callable = JobRunner):
        super().__init__(config, make_runner)
        self.study = Study(config.search, self.folder)
        self.scored_part = "test" if config.folds else "dev"
        self.example, *others = [(1, options) for options in self.study.example_options()]
        self.example_runs = self.plan.runs(self.example)
        self.plan.best_yaml(self.example[1])
        retrain = config.search.retrain
        self.example_retraining = self.plan.runs(self.example, BEST) if retrain else []
        # with the other choices and bounds; runs of other seeds and folds have the same
        self.other_examples = [
            self.plan.first_run(other, axis)
            for other in others
            for axis in ([TRIAL, BEST] if retrain else [TRIAL])
        ]
        self.retraining: list[PlannedRun] = []
        require(
            config.folds or self.example_runs[0].config.data.dev,
            f"search: {config.base} has no dev set to score trials by; add one, or set folds",
        )
        for run in self.example_retraining:
            require(
                run.config.data.test,
                f"search: retrain is to evaluate the test sets of {config.base}, which has none; "
                "add one to data.test, or remove retrain",
            )

    def describe(self) -> None:
        done = 0
        if self.study.path.exists():
            self._open_study(create=False)
            done = len(self.study.finished_trials())
        print(f"{done} of {self.config.search.trials} trials done in {self.folder}")
        self._check_and_print_plan()

    def _check_and_print_plan(self) -> None:
        examples = [*self.example_runs, *self.example_retraining]
        counts = check_inputs([*examples, *self.other_examples])[: len(examples)]
        in_trial = len(self.example_runs)
        trials = f"{self.config.search.trials} trials, each of up to"
        print(f"{trials} {describe_counts(counts[:in_trial])}")
        if self.example_retraining:
            print(f"retraining: {describe_counts(counts[in_trial:])}")

    def _open_study(self, create: bool) -> None:
        self.study.open(create)
        self.study.check_runs(len(self.example_runs))

    def run(self) -> None:
        self._check_and_print_plan()
        make_folder(self.folder)
        with locked(self.study.path, "another sweep.py is running this search; wait until it ends"):
            self._open_study(create=True)
            self._run()

    def _run(self) -> None:
        self.planned = []
        for number, trial in enumerate(self.study.finished_trials(), start=1):
            self.planned += self.plan.runs((number, trial.params))
        # a pruned trial did not do all of its runs
        self.runs = [run for run in self.planned if run.done]
        super().run()
        for run in self.retraining:
            print(f"model: {run.folder / 'best'}")

    def check_folder(self) -> None:
        self.check_runs(self.planned)
        # the next trial may have been interrupted: its labels are known, its options not yet
        number = len(self.study.finished_trials()) + 1
        allowed = [*self.planned, *self.plan.runs((number, self.example[1]))]
        if self.config.search.retrain:  # perhaps earlier, with the best of fewer trials
            for best in self.study.completed_trials():
                allowed += self.plan.runs(best, BEST)
        self.check_other_runs(allowed)

    def train_all(self) -> None:
        """Draw trials and train their runs, write the best trial's configuration, and retrain."""
        trial_runs = self.config.search.trials * len(self.example_runs)
        self.bar.total = trial_runs + len(self.example_retraining)
        for number, trial in self.study.draw_trials():
            scores, pruned = self._run_trial(number, trial)
            self.study.finish_trial(trial, scores, pruned)
        completed = self.study.completed_trials()
        if completed:
            best_yaml = self.plan.best_yaml(completed[0][1])
            write_whole(self.folder / "best.yaml", best_yaml.encode())
        if self.config.search.retrain:
            require(completed, "search: no trial completed, so there is nothing to retrain with")
            self.retraining = self.plan.runs(completed[0], BEST)
            self.check_runs(self.retraining)
            self.runs += self.retraining
            self.train(self.retraining)

    def _run_trial(self, number: int, trial) -> tuple[list[float], str | None]:
        """Train the runs of one of Optuna's trials: their scores, and why it was pruned, if it
        was."""
        planned = self.plan.runs((number, trial.params))
        self.check_runs(planned)
        scores = []
        for start in range(0, len(planned), self.config.jobs):
            batch = planned[start : start + self.config.jobs]
            self.runs += batch
            try:
                self.train(batch)
            except DivergedError as error:
                return scores, str(error)
            scores += [FinishedRun.read(run).main_score(self.scored_part) for run in batch]
            if not all(math.isfinite(score) for score in scores):
                return scores, "a metric is undefined"
            if len(scores) < len(planned) and self.study.should_prune(trial, scores):
                return scores, BELOW_MEDIAN
        return scores, None

    def kept_parts(self, run: PlannedRun) -> set[str]:
        """The model of a retraining is what a search is for."""
        return super().kept_parts(run) | ({"best"} if BEST in run.axes else set())

    def comparisons(self) -> list[Comparison]:
        """The intervals of the retrained models; held-out folds choose among the trials."""
        retrained = [FinishedRun.read(run) for run in self.retraining if run.done]
        return sweep_comparisons(retrained, self.config)

    def table(self) -> str:
        """The table of the trials, and that of the retrained models, where there are any."""
        factors = [run.main_factor(self.scored_part) for run in self.finished()]
        table = self.study.table(min(factors, default=100))
        if self.study.completed_trials():
            table += f"; the best, for train.py: {self.folder / 'best.yaml'}"
        retrained = [FinishedRun.read(run) for run in self.retraining if run.done]
        if retrained:
            number = retrained[0].run.axes[BEST]
            title = f"retrained with the options of trial {number}:"
            table += f"\n\n{title}\n\n{retrained_table(retrained, self.config.metrics)}"
        return table


def retrained_table(finished: list[FinishedRun], metrics: list[str] | None) -> str:
    """For each dataset and metric its value before training, and the mean and the deviation over
    the runs after it, x 100, losses in nats x 1."""
    rows = []
    for dataset, metric in metric_columns(finished, metrics):
        facts = finished[0].datasets[dataset]
        before = facts["before"].get(metric)
        before = math.nan if before is None else before
        after = mean_and_deviation(finished, (dataset, metric))
        labels = [f"{dataset} ({facts['part']})", facts["rows"], describe_metric(metric)]
        rows.append([*labels, factor_of(metric) * before, *after, len(finished)])
    header = ["dataset", "rows", "metric x 100", "before", "after", "deviation", "runs"]
    return markdown_table(header, rows)
