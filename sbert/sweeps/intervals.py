"""Intervals of the rows of a table on the test sets, and of their differences to one of them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sbert.evaluation.multi_bootstrap import RESAMPLES, Estimate, estimate_mean
from sbert.evaluation.report import factor_of
from sbert.evaluation.tables import INTERVAL, format_interval, format_p
from sbert.markdown import markdown_table
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.summary import Column, FinishedRun, group_by_row, metric_columns

NOTE = (
    f"- {INTERVAL} and p: {RESAMPLES:,} resamples of the rows and, jointly, of the seeds; "
    "with one seed the noise between seeds is not in them"
)

MISSING = (
    "- no interval: a run kept no scores of its rows, the metric cannot be resampled, or the runs "
    "differ in their rows or folds"
)


@dataclass
class Comparison:
    """A row of a table on a test set, and the row that it is compared with.

    estimate, difference: None where there is none.
    """

    row: str
    column: Column
    runs: int
    baseline: str
    estimate: Estimate | None
    difference: Estimate | None

    def record(self) -> dict:
        """Its line of intervals.jsonl, fractions; null where undefined."""
        dataset, metric = self.column
        record = {"row": self.row, "dataset": dataset, "metric": metric, "runs": self.runs}
        record |= _numbers(self.estimate, "mean", "interval")
        if self.row != self.baseline:
            record["baseline"] = self.baseline
            record |= _numbers(self.difference, "difference", "difference_interval")
            record["p"] = _or_none(self.difference.p) if self.difference else None
        return record

    def cells(self) -> list[object]:
        return [
            self.row,
            " ".join(self.column),
            self.runs,
            *_cells(self.estimate, self.column[1]),
            *_cells(self.difference, self.column[1]),
            format_p(self.difference.p) if self.difference else "-",
        ]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _numbers(estimate: Estimate | None, value: str, interval: str) -> dict:
    if estimate is None:
        return {value: None, interval: None}
    bounds = [_or_none(bound) for bound in estimate.interval]
    return {value: _or_none(estimate.value), interval: bounds}


def _cells(estimate: Estimate | None, metric: str) -> list[object]:
    if estimate is None:
        return [math.nan, "-"]
    factor = factor_of(metric)
    return [factor * estimate.value, format_interval(estimate.interval, 2, factor)]


def sweep_comparisons(finished: Sequence[FinishedRun], config: SweepConfig) -> list[Comparison]:
    """Every row of a sweep's table on every test set, and its difference to `config.baseline`.

    Dev sets have no intervals: the best step of a run is chosen on them.
    """
    rows = group_by_row(finished)
    tested = {result["dataset"] for run in finished for result in run.evaluations("test")}
    columns = [one for one in metric_columns(finished, config.metrics) if one[0] in tested]
    return compare_rows(rows, columns, config.baseline or next(iter(rows), ""))


def compare_rows(
    rows: Mapping[str, Sequence[FinishedRun]],
    columns: Sequence[Column],
    baseline: str,
    metric_of: Callable[[FinishedRun, Column], str] = lambda run, column: column[1],
) -> list[Comparison]:
    """Every row in every column, beside the baseline.

    metric_of: the metric of a run in a column, where runs have other names for it.
    """
    comparisons = []
    for column in columns:
        estimates = {row: _estimate(runs, column, metric_of) for row, runs in rows.items()}
        base = estimates[baseline]
        for row, estimate in estimates.items():
            difference = None
            if row != baseline and estimate and base:
                difference = estimate.difference(base)
            number = len(rows[row])
            comparisons.append(Comparison(row, column, number, baseline, estimate, difference))
    return comparisons


def _estimate(runs: Sequence[FinishedRun], column: Column, metric_of: Callable) -> Estimate | None:
    scores = {}
    for run in runs:
        of_dataset = run.scores.get(column[0])
        if of_dataset is None:
            return None
        metric = metric_of(run, column)
        if metric not in of_dataset.metrics:
            return None
        scores[run.repeat] = of_dataset
    return estimate_mean(column[0], metric, scores)


def comparison_table(comparisons: Sequence[Comparison], title: str) -> str:
    """The table with its notes, x 100, losses in nats x 1; "" without comparisons.

    title: of the column of the rows.
    """
    if not comparisons:
        return ""
    header = [title, "test set", "runs", "mean", INTERVAL]
    header += [f"above {comparisons[0].baseline}", INTERVAL, "p"]
    cells = [one.cells() for one in comparisons]
    compared = sum(one.difference is not None for one in comparisons)
    if not compared:
        header, cells = header[:5], [line[:5] for line in cells]
    note = NOTE
    if compared > 1:
        note += f"; p is not corrected for {compared} comparisons"
    notes = [note]
    if any(one.estimate is None for one in comparisons):
        notes.append(MISSING)
    return "\n".join([markdown_table(header, cells), "", *notes])
