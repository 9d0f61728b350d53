"""Our figures: the mean of a metric over the seeds of a row, with its resamples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sbert.claims.config import FigureConfig
from sbert.claims.experiments import Experiment, ExperimentRun
from sbert.errors import require
from sbert.evaluation.multi_bootstrap import Estimate, Repeat, estimate_mean
from sbert.evaluation.report import factor_of
from sbert.evaluation.scores import DatasetScores, read_scores
from sbert.sweeps.summary import FinishedRun


@dataclass
class Figure:
    """A figure over the runs that are done; multiplied by `factor`, but for its estimate.

    datasets, metric: as the runs name them. values: the metric of each run by its label, of several
    datasets their mean. missing: the labels of runs that are not done. seconds: of each run.
    changed: a setting that the command has changed since, of those runs that have one. rows_alone:
    it is of trainings with one seed, which is not resampled. estimate: None where a run kept no
    scores of its rows.
    """

    datasets: list[str] = field(default_factory=list)
    metric: str = ""
    values: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    rows_alone: bool = False
    estimate: Estimate | None = None

    @property
    def factor(self) -> float:
        """100; of a loss in nats 1."""
        return factor_of(self.metric)

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.values.values()))) if self.values else math.nan


def measure(
    config: FigureConfig, experiment: Experiment, roots: Sequence[str], resamples: int
) -> Figure:
    """
    Raises:
        InputError: no such row, dataset or metric: says what there is.
    """
    figure = Figure()
    scores: dict[Repeat, dict[str, DatasetScores]] = {}
    for planned in experiment.row(config.row):
        run = planned.found(roots)
        if run is None:
            figure.missing.append(planned.label)
            continue
        finished = run.read()
        figure.datasets = _datasets(finished, config)
        values = [_value(finished, dataset, config) for dataset in figure.datasets]
        figure.metric = config.metric or finished.datasets[figure.datasets[0]]["main"]
        figure.values[run.label] = figure.factor * float(np.mean(values))
        figure.seconds[run.label] = finished.result["seconds"]
        changed = run.changed_setting()
        figure.changed |= {run.label: changed} if changed else {}
        scores[finished.repeat] = read_scores(run.folder, run.scores(config.when))
        is_trained = config.when == "after" and not run.report
        seeds = {seed for seed, _ in scores}
        figure.rows_alone = is_trained and len(seeds) == 1
    figure.estimate = _estimate(figure, scores, resamples) if scores else None
    return figure


def _datasets(finished: FinishedRun, config: FigureConfig) -> list[str]:
    if config.dataset is not None:
        return [config.dataset] if isinstance(config.dataset, str) else config.dataset
    tested = [result["dataset"] for result in finished.evaluations("test")]
    known = ", ".join(tested) or "none"
    place = finished.run.result
    require(len(tested) == 1, f"{place}: name a dataset; its test sets are: {known}")
    return tested


def _value(finished: FinishedRun, dataset: str, config: FigureConfig) -> float:
    run: ExperimentRun = finished.run
    datasets = finished.datasets
    known = ", ".join(datasets)
    require(dataset in datasets, f"{run.result}: no dataset '{dataset}'; there are: {known}")
    values = datasets[dataset][config.when]
    metric = config.metric or datasets[dataset]["main"]
    known = ", ".join(values) or "none"
    require(
        metric in values,
        f"{run.result}: {dataset} has no '{metric}' {config.when} training; there are: {known}",
    )
    return math.nan if values[metric] is None else values[metric]


def _estimate(
    figure: Figure, scores: Mapping[Repeat, Mapping[str, DatasetScores]], resamples: int
) -> Estimate | None:
    """The mean over the datasets, whose rows are drawn independently."""
    estimates = []
    for dataset in figure.datasets:
        of_runs = {repeat: found.get(dataset) for repeat, found in scores.items()}
        if any(one is None or figure.metric not in one.metrics for one in of_runs.values()):
            return None
        # the draws are named by the rows: whatever a run calls them, equal rows are paired
        draws = next(iter(of_runs.values())).digest
        estimates.append(estimate_mean(draws, figure.metric, of_runs, resamples))
    if None in estimates:
        return None
    value = float(np.mean([one.value for one in estimates]))
    replicates = np.mean([one.replicates for one in estimates], axis=0)
    digests = {place: one.digests for place, one in enumerate(estimates)}
    return Estimate(value, replicates, digests)
