"""Results of one call of `evaluate.py`: metrics with intervals, differences of models, notes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sbert.data.leakage import Contamination, SeenTexts
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.evaluation.bootstrap import resample
from sbert.evaluation.config import EvaluateConfig
from sbert.evaluation.loading import EvaluatedModel
from sbert.evaluation.prompts import unused_prompts_note
from sbert.evaluation.report import Report
from sbert.evaluation.significance import (
    ALPHA,
    Resampled,
    bootstrap_interval,
    spearman_ceiling,
)

MIN_ROWS = 30  # with fewer an interval is called rough

NOTED_CEILING = 0.995  # a lower ceiling of Spearman's rho is noted


@dataclass
class Result:
    """A report with its bootstrap. `replicates`: {metric: its values (R,) on the resamples}."""

    report: Report
    replicates: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def primary_replicates(self) -> np.ndarray:
        """(R,); (0,) without resamples."""
        return self.replicates.get(self.report.primary_metric, np.empty(0))

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        return {name: bootstrap_interval(values) for name, values in self.replicates.items()}

    @property
    def ceiling(self) -> float | None:
        """The highest Spearman's rho of scores without ties; None for another task than sts."""
        return spearman_ceiling(self.report.gold) if self.report.task == "sts" else None

    def notes(self) -> list[str]:
        """What a reader of the numbers must know."""
        report = self.report
        notes = list(report.notes)
        if self.ceiling is not None and self.ceiling < NOTED_CEILING:
            notes.append(
                f"{report.name}: {len(np.unique(report.gold))} distinct labels tie: scores without "
                f"ties have a Spearman of at most {100 * self.ceiling:.2f}"
            )
        count = report.bootstrap_metrics[report.primary_metric].rows
        if self.replicates and count < MIN_ROWS:
            unit = "queries" if report.task in ("rerank", "retrieval") else "rows"
            notes.append(f"{report.name}: {count} {unit}: the interval is rough")
        return notes


@dataclass
class Difference(Resampled):
    """The difference of two reports on the same rows, in their primary metrics.

    other: what the second is called. metric, column: the primary metric of the first, and what
    tables call it. replicates: the difference (R,) on the resamples.
    """

    name: str
    other: str
    task: str
    metric: str
    column: str
    first: float
    second: float
    replicates: np.ndarray

    @property
    def value(self) -> float:
        return self.first - self.second

    @property
    def significant(self) -> bool:
        return self.p < ALPHA

    def note(self) -> str | None:
        """Why the difference may be noise; None for a significant one."""
        if self.significant:
            return None
        question = f"whether the difference to {self.other} is noise"
        if not len(self.replicates):
            return f"{self.name}: without resamples it is unknown {question}"
        if math.isnan(self.p):
            return f"{self.name}: it is undefined {question}"
        return (
            f"{self.name}: the difference of {100 * self.value:.2f} to {self.other} is inside the "
            f"noise (p = {self.p:.3f})"
        )


def bootstrap_reports(
    reports: Sequence[Report], resamples: int, seed: int, name: str
) -> list[Result]:
    """Reports on the same rows, resampled together: all metrics see the same resamples.

    The resamples depend on the seed and the name of the data.
    """
    results = [Result(report) for report in reports]
    if not resamples:
        return results
    metrics = {}  # S of them, by the index of their report and their name
    for index, report in enumerate(reports):
        ends = (report.primary_metric, f"_{report.score_name}")
        for key, metric in report.bootstrap_metrics.items():
            if key.endswith(ends):
                metrics[index, key] = metric
    clusters = reports[0].clusters
    replicates = resample(list(metrics.values()), resamples, seed, name, clusters)  # (S, R)
    for (index, key), values in zip(metrics, replicates, strict=True):
        results[index].replicates[key] = values
    return results


def compare(first: Result, second: Result, other: str) -> Difference:
    """The difference of two results of one call of `bootstrap_reports`."""
    report = first.report
    return Difference(
        name=report.name,
        other=other,
        task=report.task,
        metric=report.primary_metric,
        column=report.primary_column,
        first=report.primary,
        second=second.report.primary,
        replicates=first.primary_replicates - second.primary_replicates,
    )


def average_difference(differences: Sequence[Difference]) -> Difference:
    """The difference of the means over datasets of one task, whose resamples are independent."""
    return replace(
        differences[0],
        name="average",
        first=float(np.mean([one.first for one in differences])),
        second=float(np.mean([one.second for one in differences])),
        replicates=np.mean([one.replicates for one in differences], axis=0),
    )


@dataclass
class DatasetResults:
    """The results on one dataset.

    origin: the file, or the name on the hub, that it was read from.
    results: of the model; with a reranker, of the search and of the re-ranked order.
    baseline: of the baseline, in the same order.
    by_size: the report at each of several sizes of truncate_dim; the first is that of the results.
    """

    rows: Rows | Retrieval
    origin: str
    results: list[Result]
    baseline: list[Result]
    contamination: Contamination | None
    by_size: dict[int, Report] = field(default_factory=dict)

    def differences(self) -> list[Difference]:
        pairs = zip(self.results, self.baseline, strict=False)  # there may be no baseline
        differences = [compare(result, other, "the baseline") for result, other in pairs]
        if len(self.results) > 1:
            search, reranked = self.results
            differences.append(compare(reranked, search, "the search alone"))
        return differences


@dataclass
class Evaluation:
    """All results of one call.

    models: by role. computed: the type of the matrix products, and the device.
    """

    config: EvaluateConfig
    models: dict[str, EvaluatedModel]
    computed: str
    seen: SeenTexts | None = None
    command: str = ""
    seconds: float = 0.0
    datasets: list[DatasetResults] = field(default_factory=list)

    @property
    def results(self) -> list[Result]:
        return [result for dataset in self.datasets for result in dataset.results]

    @property
    def baseline(self) -> list[Result]:
        return [result for dataset in self.datasets for result in dataset.baseline]

    @property
    def differences(self) -> list[Difference]:
        """Of each dataset; of several STS datasets, also of their averages."""
        differences = [one for dataset in self.datasets for one in dataset.differences()]
        of_sts = [one for one in differences if one.task == "sts"]
        return [*differences, average_difference(of_sts)] if len(of_sts) > 1 else differences

    def notes(self) -> list[str]:
        """What a reader must know, each note once."""
        notes = [note for result in self.results + self.baseline for note in result.notes()]
        model = self.models["model"].model
        searched = [dataset.results[0].report for dataset in self.datasets]
        without = [report.name for report in searched if not any(report.prompt_texts)]
        notes += filter(None, [unused_prompts_note(without, model)])
        differences = self.differences
        notes += [one.note() for one in differences if not one.significant]
        if differences and self.config.resamples:
            note = (
                f"bold: the better score, where p < {ALPHA} (paired bootstrap, "
                f"{self.config.resamples:,} resamples); none where the difference is noise"
            )
            if len(differences) > 1:
                note += f"; each p is not corrected for {len(differences)} comparisons"
            notes.append(note)
        for dataset in self.datasets:
            if dataset.contamination and dataset.contamination.pair.any():
                notes.append(
                    f"{dataset.rows.name}: {dataset.contamination.pair.sum():,} of "
                    f"{len(dataset.contamination.pair):,} rows contain a pair that was seen in "
                    "training; state the score without them"
                )
        if self.seen and {"rerank", "retrieval"} & {one.rows.task for one in self.datasets}:
            notes.append("seen: of re-ranking and retrieval, rows are queries")
        return list(dict.fromkeys(notes))
