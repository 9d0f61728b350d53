"""Results as Markdown tables; all numbers are x 100."""

import math
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from sbert.data.leakage import Contamination
from sbert.evaluation.prompts import describe_prompts
from sbert.evaluation.report import COLUMNS, Report
from sbert.evaluation.results import (
    DatasetResults,
    Difference,
    Evaluation,
    Result,
)
from sbert.evaluation.significance import CONFIDENCE, bootstrap_interval
from sbert.markdown import markdown_table

INTERVAL = f"{100 * CONFIDENCE:.0f} % interval"

# headers of the two tables of contamination
SEEN_ROWS = [
    "seen",
    "rows",
    "with a seen pair",
    "with a seen sentence",
    "distinct pairs",
    "seen pairs",
    "distinct sentences",
    "seen sentences",
]
SCORES_BY_OVERLAP = [
    "score",
    "metric",
    "all rows",
    "without seen pairs",
    "seen pairs alone",
    "without seen sentences",
]


def evaluation_tables(evaluation: Evaluation) -> dict[str, str]:
    """The tables of an evaluation, by title."""
    tables = {"results": results_table(evaluation.results)}
    by_language = language_table(evaluation.results, evaluation.baseline)
    if by_language:
        tables["by language"] = by_language
    if any(dataset.by_size for dataset in evaluation.datasets):
        tables["by size"] = sizes_table(evaluation.datasets)
    if evaluation.baseline:
        tables[f"baseline {evaluation.config.baseline}"] = results_table(evaluation.baseline)
    if evaluation.differences:
        tables["comparison"] = differences_table(evaluation.differences)
    if evaluation.seen:
        parts = [evaluation.seen.describe(), *contamination_tables(evaluation.datasets)]
        tables["contamination"] = "\n\n".join(parts)
    return tables


def format_interval(bounds: tuple[float, float], digits: int, factor: float = 100) -> str:
    low, high = (round(factor * bound, digits) + 0.0 for bound in bounds)  # + 0.0: no "-0.0"
    return "-" if math.isnan(low) else f"{low:.{digits}f} to {high:.{digits}f}"


def format_p(p: float) -> str:
    if math.isnan(p):
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def results_table(results: Sequence[Result]) -> str:
    """One table a task; for several STS datasets also the average of their correlations."""
    tables = []
    for task in COLUMNS:
        of_task = [result for result in results if result.report.task == task]
        if of_task:
            tables.append(_task_table(task, of_task))
    return "\n\n".join(tables)


def _task_table(task: str, results: list[Result]) -> str:
    """One row a report; columns of metrics that no report has are left out."""
    reports = [result.report for result in results]
    score_name = reports[0].score_name
    columns = {}  # metrics by column
    for column, metric in COLUMNS[task].items():
        is_shown = metric.format(score_name) in [one.format(score_name) for one in columns.values()]
        # of each report's own score: a re-ranked order has another than the search before it
        is_known = any(metric.format(report.score_name) in report.metrics for report in reports)
        if is_known and not is_shown:
            columns[column.format(score_name)] = metric
    rows = []
    for report in reports:
        names = [metric.format(report.score_name) for metric in columns.values()]
        values = [100 * report.metrics.get(name, math.nan) for name in names]
        rows.append([report.name, report.rows, *values])
    replicates = [result.primary_replicates for result in results]
    if task == "sts" and len(rows) > 1:
        _, counts, *values = zip(*rows, strict=True)
        rows.append(["average", sum(counts), *(sum(column) / len(column) for column in values)])
        replicates.append(np.mean(replicates, axis=0))
    # what a reader takes for granted is not named
    title = task if score_name in ("cosine", "logit") else f"{task} by {score_name}"
    header = [title, "rows", *columns]
    if any(any(report.prompt_texts) for report in reports):
        header.append("prompt")
        labels = [describe_prompts(report.prompts) for report in reports]
        for row, label in zip_longest(rows, labels, fillvalue=""):  # an average has none
            row.append(label)
    if len(replicates[0]):
        header.insert(3, INTERVAL)
        for row, values in zip(rows, replicates, strict=True):
            row.insert(3, format_interval(bootstrap_interval(values), 1))
    return markdown_table(header, rows)


def language_table(results: Sequence[Result], baseline: Sequence[Result]) -> str:
    """The main metric of each dataset in several languages: that of the rows of each language, of
    all crossed rows, and of all rows; "" without such a dataset."""
    named = [(result.report.name, result.report) for result in results]
    named += [(f"{result.report.name}, baseline", result.report) for result in baseline]
    named = [(name, report) for name, report in named if report.language_metrics]
    parts: dict[str, None] = {}  # as an ordered set
    for _, report in named:
        parts |= dict.fromkeys(report.language_metrics)
    if "crossed" in parts:
        parts["crossed"] = parts.pop("crossed")  # after every language
    rows = []
    for name, report in named:
        metrics = [report.language_metrics.get(part) for part in parts]
        values = [100 * report.metrics.get(metric, math.nan) for metric in metrics]
        rows.append([name, report.primary_column, *values, 100 * report.primary])
    return markdown_table(["dataset", "metric", *parts, "all"], rows) if rows else ""


def sizes_table(datasets: Sequence[DatasetResults]) -> str:
    """The main metric of each dataset at each of several sizes of the embeddings."""
    header = ["truncate_dim"]
    header += [f"{one.rows.name}, {one.results[0].report.primary_column}" for one in datasets]
    rows = []
    for size in datasets[0].by_size:
        rows.append([size, *(100 * one.by_size[size].primary for one in datasets)])
    return markdown_table(header, rows)


def differences_table(differences: Sequence[Difference]) -> str:
    """One row a comparison; the better score is in bold where the difference is significant."""
    rows = []
    for one in differences:
        scores = [f"{100 * one.first:.2f}", f"{100 * one.second:.2f}"]
        if one.significant:
            better = int(one.second > one.first)
            scores[better] = f"**{scores[better]}**"
        row = [one.name, one.other, one.column, *scores, 100 * one.value]
        rows.append([*row, format_interval(one.interval, 2), format_p(one.p)])
    header = ["compared", "with", "metric", "score", "other score", "difference", INTERVAL, "p"]
    return markdown_table(header, rows)


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


def scores_by_overlap(report: Report, contamination: Contamination) -> dict[str, float]:
    """The primary metric of parts of the rows, by what of them was seen in training."""
    parts = {
        "all": np.ones(len(contamination.pair), bool),
        "pair unseen": ~contamination.pair,
        "pair seen": contamination.pair,
        "no sentence seen": ~contamination.sentence,
    }
    metric = report.bootstrap_metrics[report.primary_metric]
    return {part: metric.of_subset(mask) for part, mask in parts.items()}


def contamination_tables(datasets: Sequence[DatasetResults]) -> list[str]:
    """What was seen of each dataset, and the scores of its parts."""
    counts, scores = [], []
    for dataset in datasets:
        contamination = dataset.contamination
        counts.append([contamination.name, *contamination_counts(contamination).values()])
        for result in dataset.results:
            report = result.report
            values = scores_by_overlap(report, contamination).values()
            scores.append([report.name, report.primary_column, *(100 * value for value in values)])
    return [markdown_table(SEEN_ROWS, counts), markdown_table(SCORES_BY_OVERLAP, scores)]
