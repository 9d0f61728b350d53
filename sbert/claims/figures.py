"""Our figures: the mean of a metric over the seeds of a row, with its resamples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sbert.claims.config import FigureConfig
from sbert.claims.experiments import Experiment, ExperimentRun
from sbert.errors import require
from sbert.evaluation.multi_bootstrap import Estimate, Repeat, estimate_mean
from sbert.evaluation.scores import DatasetScores, read_scores
from sbert.sweeps.summary import FinishedRun

DRAWS = "claims"  # names the draws of rows: equal for all datasets, so that figures are paired


@dataclass
class Figure:
    """A figure over the runs that are done; x 100 but for its estimate.

    values: the metric of each run by its label. missing: the labels of runs that are not done.
    seconds: of each run. changed: a setting that the command has changed since, of those runs that
    have one. estimate: None where a run kept no scores of its rows.
    """

    dataset: str
    metric: str
    values: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    estimate: Estimate | None = None

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
    figure = Figure(config.dataset or "", config.metric or "")
    scores: dict[Repeat, DatasetScores] = {}
    repeats = []
    for planned in experiment.row(config.row):
        run = planned.found(roots)
        if run is None:
            figure.missing.append(planned.label)
            continue
        finished = run.read()
        figure.dataset, figure.metric, value = _value(finished, config)
        figure.values[run.label] = value
        figure.seconds[run.label] = finished.result["seconds"]
        changed = run.changed_setting()
        figure.changed |= {run.label: changed} if changed else {}
        repeats.append(finished.repeat)
        of_rows = read_scores(run.folder, run.scores(config.when)).get(figure.dataset)
        if of_rows and figure.metric in of_rows.metrics:
            scores[finished.repeat] = of_rows
    if repeats and len(scores) == len(repeats):
        figure.estimate = estimate_mean(DRAWS, figure.metric, scores, resamples)
    return figure


def _value(finished: FinishedRun, config: FigureConfig) -> tuple[str, str, float]:
    """The dataset, the metric, and its value x 100."""
    run: ExperimentRun = finished.run
    datasets = finished.datasets
    tested = [result["dataset"] for result in finished.evaluations("test")]
    dataset = config.dataset
    if dataset is None:
        known = ", ".join(tested) or "none"
        require(len(tested) == 1, f"{run.result}: name a dataset; its test sets are: {known}")
        dataset = tested[0]
    require(
        dataset in datasets,
        f"{run.result}: no dataset '{dataset}'; there are: {', '.join(datasets)}",
    )
    metric = config.metric or datasets[dataset]["main"]
    values = datasets[dataset][config.when]
    require(
        metric in values,
        f"{run.result}: {dataset} has no '{metric}' {config.when} training; there are: "
        f"{', '.join(values) or 'none'}",
    )
    value = values[metric]
    return dataset, metric, math.nan if value is None else 100 * value
