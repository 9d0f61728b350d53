"""What an evaluation finds out: metrics with their intervals, differences between models with their p."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sbert.data.leakage import Contamination
from sbert.evaluation.bootstrap import resample
from sbert.evaluation.evaluators import Report
from sbert.evaluation.significance import NOISE, interval, p_of_difference, spearman_ceiling

FEW = 30  # rows below which an interval is rough

TIES = 0.995  # ceilings below this are told


@dataclass
class Result:
    """A report and what its numbers are worth. `draws`: metrics on the resamples, (R,) each, none without resamples."""

    report: Report
    draws: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def main_draws(self) -> np.ndarray:
        return self.draws.get(self.report.main, np.empty(0))

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        return {name: interval(values) for name, values in self.draws.items()}

    @property
    def ceiling(self) -> float | None:
        """The highest Spearman that scores without ties can have; None where the task has no correlation."""
        return spearman_ceiling(self.report.gold) if self.report.task == "sts" else None

    def notes(self) -> list[str]:
        """What a reader of the numbers must know."""
        report, notes = self.report, list(self.report.notes)
        if self.ceiling is not None and self.ceiling < TIES:
            labels, most = len(np.unique(report.gold)), 100 * self.ceiling
            notes.append(
                f"{report.name}: {labels} distinct labels tie: without ties of its own no score has a Spearman above {most:.2f}"
            )
        units = len(report.samples[report.main])
        what = "queries" if report.task in ("rerank", "retrieval") else "rows"
        if self.draws and units < FEW:
            notes.append(f"{report.name}: {units} {what}: the interval is rough")
        return notes


@dataclass
class Difference:
    """The main metric of two reports on the same rows; `kind` is of the first's score. `draws` (R,): the difference on the
    resamples."""

    name: str
    other: str
    task: str
    kind: str
    first: float
    second: float
    draws: np.ndarray

    @property
    def value(self) -> float:
        return self.first - self.second

    @property
    def interval(self) -> tuple[float, float]:
        return interval(self.draws)

    @property
    def p(self) -> float:
        return p_of_difference(self.draws) if len(self.draws) else math.nan

    @property
    def outside_noise(self) -> bool:
        return self.p < NOISE

    def note(self) -> str | None:
        """A difference that must not be taken for one."""
        if not len(self.draws):
            return f"{self.name}: without resamples it is unknown whether the difference to {self.other} is noise"
        if math.isnan(self.p):
            return f"{self.name}: it is undefined whether the difference to {self.other} is noise"
        if not self.outside_noise:
            return f"{self.name}: the difference of {100 * self.value:.2f} to {self.other} is inside the noise (p = {self.p:.3f})"
        return None


def bootstrap_reports(
    reports: Sequence[Report], resamples: int, seed: int, name: str
) -> list[Result]:
    """Reports on the same rows with their metrics on the same resamples, which depend on the seed and the name of the data."""
    if not resamples:
        return [Result(report) for report in reports]
    which = [
        (i, m)
        for i, r in enumerate(reports)
        for m in r.samples
        if m == r.main or m.endswith(f"_{r.kind}")
    ]
    values = resample([reports[i].samples[metric] for i, metric in which], resamples, seed, name)
    found = [Result(report) for report in reports]
    for (i, metric), draws in zip(which, values, strict=True):
        found[i].draws[metric] = draws
    return found


def compare(first: Result, second: Result, other: str) -> Difference:
    """Of two results of one call of `weigh`; `other` is what the second is called."""
    a, b = first.report, second.report
    draws = first.main_draws - second.main_draws
    return Difference(a.name, other, a.task, a.kind, a.primary, b.primary, draws)


def average_difference(several: Sequence[Difference]) -> Difference:
    """The difference of the means over datasets of one task, whose resamples are independent."""
    first, second, draws = (
        np.mean([getattr(d, of) for d in several], axis=0) for of in ("first", "second", "draws")
    )
    one = several[0]
    return Difference("average", one.other, one.task, one.kind, float(first), float(second), draws)


def scores_by_overlap(report: Report, overlap: Contamination) -> dict[str, float]:
    """The main metric over all rows, those without and with a seen pair, those without any seen sentence."""
    parts = {
        "all": np.ones(len(overlap.pair), bool),
        "pair unseen": ~overlap.pair,
        "pair seen": overlap.pair,
        "no sentence seen": ~overlap.sentence,
    }
    return {name: report.samples[report.main].of(mask) for name, mask in parts.items()}
