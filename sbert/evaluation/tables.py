"""Results as Markdown tables; all numbers are x 100."""

import math
from collections.abc import Sequence

import numpy as np

from sbert.data.leakage import Contamination
from sbert.evaluation.evaluators import Report
from sbert.evaluation.results import Difference, Result, scores_by_overlap
from sbert.evaluation.significance import LEVEL, interval
from sbert.markdown import markdown_table

# header of a task's table, and the metrics in its columns, the main one first; {} is the kind of score, and columns without
# any value go
COLUMNS = {
    "sts": {
        "Spearman": "spearman_{}", "Pearson": "pearson_{}", "dot": "spearman_dot",
        "Euclidean": "spearman_euclidean", "Manhattan": "spearman_manhattan",
        "mean of sources": "mean_of_sources", "weighted": "weighted_mean_of_sources",
    },
    "binary": {
        "AP": "ap_{}", "F1": "f1_{}", "F1 at {}": "f1_threshold_{}",
        "accuracy": "accuracy_{}", "accuracy at {}": "accuracy_threshold_{}",
    },
    "nli": {"accuracy": "accuracy", "macro F1": "macro_f1"},
    "rerank": {"nDCG@10": "ndcg@10_{}", "MRR@10": "mrr@10_{}", "MAP": "map_{}"},
    "retrieval": {
        "nDCG@10": "ndcg@10_{}", "MRR@10": "mrr@10_{}", "MAP@100": "map@100_{}",
        "recall@10": "recall@10_{}", "recall@100": "recall@100_{}", "P@10": "precision@10_{}",
    },
    "triplet": {
        "accuracy, {}": "accuracy_{}", "dot": "accuracy_dot",
        "Euclidean": "accuracy_euclidean", "Manhattan": "accuracy_manhattan",
    },
}  # fmt: skip

INTERVAL = f"{100 * LEVEL:.0f} % interval"


def interval_text(bounds: tuple[float, float], digits: int) -> str:
    low, high = (round(100 * bound, digits) + 0.0 for bound in bounds)
    return "-" if math.isnan(low) else f"{low:.{digits}f} to {high:.{digits}f}"


def results_table(found: Sequence[Result]) -> str:
    """One table a task; for several STS datasets also the average of their correlations."""
    parts = []
    for task in COLUMNS:
        if chosen := [result for result in found if result.report.task == task]:
            parts.append(_of_task(task, chosen))
    return "\n\n".join(parts)


def _of_task(task: str, chosen: list[Result]) -> str:
    reports = [result.report for result in chosen]
    # the kind of score is a report's own: a re-ranked one has another than the search before it
    columns = {
        header.format(reports[0].kind): key
        for header, key in COLUMNS[task].items()
        if any(key.format(report.kind) in report.metrics for report in reports)
    }
    rows = [
        [
            r.name,
            r.rows,
            *(100 * r.metrics.get(key.format(r.kind), math.nan) for key in columns.values()),
        ]
        for r in reports
    ]
    spans = [interval_text(interval(result.main_draws), 1) for result in chosen]
    if task == "sts" and len(rows) > 1:
        means = [
            sum(values) / len(values) for values in zip(*(row[2:] for row in rows), strict=True)
        ]
        rows.append(["average", sum(report.rows for report in reports), *means])
        spans.append(
            interval_text(interval(np.mean([result.main_draws for result in chosen], axis=0)), 1)
        )
    header = [task, "rows", *columns]
    if any(len(result.main_draws) for result in chosen):
        header.insert(3, INTERVAL)
        rows = [[*row[:3], bounds, *row[3:]] for row, bounds in zip(rows, spans, strict=True)]
    return markdown_table(header, rows)


def main_header(task: str, kind: str) -> str:
    """What tables call the main metric."""
    return next(iter(COLUMNS[task])).format(kind)


def differences_table(found: Sequence[Difference]) -> str:
    """A row a comparison; of two scores the better one is in bold where the difference is outside the noise, else none."""
    rows = []
    for one in found:
        scores = [f"{100 * value:.2f}" for value in (one.first, one.second)]
        if one.outside_noise:
            better = int(one.second > one.first)
            scores[better] = f"**{scores[better]}**"
        p = "-" if math.isnan(one.p) else "< 0.001" if one.p < 0.001 else f"{one.p:.3f}"
        metric = main_header(one.task, one.kind)
        rows.append(
            [
                one.name,
                one.other,
                metric,
                *scores,
                100 * one.value,
                interval_text(one.interval, 2),
                p,
            ]
        )
    return markdown_table(
        ["compared", "with", "metric", "score", "other score", "difference", INTERVAL, "p"], rows
    )


def contamination_table(
    checked: Sequence[Contamination], reports: Sequence[tuple[Report, Contamination]]
) -> str:
    """What is seen, and the scores with and without it."""
    counts = [
        [
            c.name,
            len(c.pair),
            int(c.pair.sum()),
            int(c.sentence.sum()),
            c.pairs,
            c.pairs_seen,
            c.sentences,
            c.sentences_seen,
        ]
        for c in checked
    ]
    header = ["seen", "rows", "with a seen pair", "with a seen sentence", "distinct pairs", "seen pairs",
              "distinct sentences", "seen sentences"]  # fmt: skip
    scores = []
    for report, found in reports:
        values = [100 * value for value in scores_by_overlap(report, found).values()]
        scores.append([report.name, main_header(report.task, report.kind), *values])
    parts = ["all rows", "without seen pairs", "seen pairs alone", "without seen sentences"]
    return "\n\n".join(
        [markdown_table(header, counts), markdown_table(["score", "metric", *parts], scores)]
    )
