"""Results as Markdown tables; all numbers are x 100."""

import math
from collections.abc import Sequence

import numpy as np

from sbert.data.leakage import Contamination
from sbert.evaluation.report import COLUMNS
from sbert.evaluation.results import (
    DatasetResults,
    Difference,
    Evaluation,
    Result,
    scores_by_overlap,
)
from sbert.evaluation.significance import CONFIDENCE, bootstrap_interval
from sbert.markdown import markdown_table

INTERVAL = f"{100 * CONFIDENCE:.0f} % interval"


def evaluation_tables(evaluation: Evaluation) -> dict[str, str]:
    """The tables of an evaluation, by title."""
    tables = {"results": results_table(evaluation.results)}
    if evaluation.baseline:
        tables[f"baseline {evaluation.config.baseline}"] = results_table(evaluation.baseline)
    if evaluation.differences:
        tables["comparison"] = differences_table(evaluation.differences)
    if evaluation.seen:
        table = contamination_table(evaluation.datasets)
        tables["contamination"] = f"{evaluation.seen.describe()}\n\n{table}"
    return tables


def format_interval(bounds: tuple[float, float], digits: int) -> str:
    if math.isnan(bounds[0]):
        return "-"
    low, high = (round(100 * bound, digits) + 0.0 for bound in bounds)  # + 0.0: no "-0.0"
    return f"{low:.{digits}f} to {high:.{digits}f}"


def results_table(results: Sequence[Result]) -> str:
    """One table a task; for several STS datasets also the average of their correlations."""
    tables = []
    for task in COLUMNS:
        of_task = [result for result in results if result.report.task == task]
        if of_task:
            tables.append(_task_table(task, of_task))
    return "\n\n".join(tables)


def _task_table(task: str, results: list[Result]) -> str:
    """Columns without any value are left out."""
    reports = [result.report for result in results]
    columns = {}
    for column, metric in COLUMNS[task].items():
        # the score is a report's own: that of a re-ranked order is not that of the search before it
        values = [report.metrics.get(metric.format(report.score_name)) for report in reports]
        if any(value is not None for value in values):
            column = column.format(reports[0].score_name)
            columns[column] = [math.nan if value is None else 100 * value for value in values]
    names = [report.name for report in reports]
    counts = [report.rows for report in reports]
    replicates = [result.primary_replicates for result in results]
    if task == "sts" and len(reports) > 1:
        names.append("average")
        counts.append(sum(counts))
        replicates.append(np.mean(replicates, axis=0))
        for values in columns.values():
            values.append(sum(values) / len(values))
    cells = [names, counts, *columns.values()]
    header = [task, "rows", *columns]
    if any(len(values) for values in replicates):
        header.insert(3, INTERVAL)
        cells.insert(3, [format_interval(bootstrap_interval(values), 1) for values in replicates])
    return markdown_table(header, list(zip(*cells, strict=True)))


def primary_column(task: str, score_name: str) -> str:
    """What tables call the primary metric."""
    return next(iter(COLUMNS[task])).format(score_name)


def differences_table(differences: Sequence[Difference]) -> str:
    """One row a comparison; the better score is in bold where the difference is significant."""
    rows = []
    for difference in differences:
        scores = [f"{100 * difference.first:.2f}", f"{100 * difference.second:.2f}"]
        if difference.significant:
            better = int(difference.second > difference.first)
            scores[better] = f"**{scores[better]}**"
        metric = primary_column(difference.task, difference.score_name)
        row = [difference.name, difference.other, metric, *scores, 100 * difference.value]
        rows.append([*row, format_interval(difference.interval, 2), _format_p(difference.p)])
    header = ["compared", "with", "metric", "score", "other score", "difference", INTERVAL, "p"]
    return markdown_table(header, rows)


def _format_p(p: float) -> str:
    if math.isnan(p):
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def contamination_counts(contamination: Contamination) -> dict[str, int]:
    """How many rows, distinct pairs and distinct sentences there are, and were seen in training."""
    return {
        "rows": len(contamination.pair),
        "rows_pair_seen": int(contamination.pair.sum()),
        "rows_sentence_seen": int(contamination.sentence.sum()),
        "pairs": contamination.pairs,
        "pairs_seen": contamination.pairs_seen,
        "sentences": contamination.sentences,
        "sentences_seen": contamination.sentences_seen,
    }


def contamination_table(datasets: Sequence[DatasetResults]) -> str:
    """What was seen of each dataset, and the scores of its parts."""
    counts, scores = [], []
    for dataset in datasets:
        contamination = dataset.contamination
        counts.append([contamination.name, *contamination_counts(contamination).values()])
        for result in dataset.results:
            report = result.report
            parts = scores_by_overlap(report, contamination).values()
            metric = primary_column(report.task, report.score_name)
            scores.append([report.name, metric, *(100 * value for value in parts)])
    counts_header = [
        "seen",
        "rows",
        "with a seen pair",
        "with a seen sentence",
        "distinct pairs",
        "seen pairs",
        "distinct sentences",
        "seen sentences",
    ]
    scores_header = [
        "score",
        "metric",
        "all rows",
        "without seen pairs",
        "seen pairs alone",
        "without seen sentences",
    ]
    return f"{markdown_table(counts_header, counts)}\n\n{markdown_table(scores_header, scores)}"
