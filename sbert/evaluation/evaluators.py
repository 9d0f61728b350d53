"""Evaluators: rows and a judge of pairs to named metrics, the best-known protocol of each task.

A `Judge` is what a model has to say about pairs of texts: scores (a bi-encoder's cosine and its like, a cross-encoder's
logit) and, of a classifier, logits of the classes; a bi-encoder can search a corpus too. Every metric is a fraction, larger is
better. STS follows Sentence-BERT (section 4): one correlation over all rows ("all"), not the mean over parts; that mean is
given beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation import metrics
from sbert.evaluation.bootstrap import AveragePrecision, Mean, Pearson, Sample, Spearman
from sbert.evaluation.scorers import Scorer, check_supported
from sbert.texts import unique

# the metric that a task is judged by; {} is the kind of score
PRIMARY = {
    "sts": "spearman_{}", "binary": "ap_{}", "nli": "accuracy", "triplet": "accuracy_{}", "rerank": "ndcg@10_{}",
    "retrieval": "ndcg@10_{}",
}  # fmt: skip


@dataclass
class Report:
    """The result on one dataset. `scores` (N,) and `gold` (N,) are there for sts, for pictures; `found` (Q, K), the
    documents of each query, is there for retrieval, for a re-ranker; `samples` are the metrics that can be resampled, the
    main one among them, with the rows (of rankings: the queries) that they are of.

    kind: of the score that counts. notes: what a reader of the metrics must know.
    """

    name: str
    task: str
    rows: int
    metrics: dict[str, float]
    scores: np.ndarray | None = None
    gold: np.ndarray | None = None
    found: np.ndarray | None = None
    samples: dict[str, Sample] = field(default_factory=dict)
    kind: str = "cosine"
    notes: list[str] = field(default_factory=list)

    @property
    def main(self) -> str:
        """The name of the metric that counts."""
        return PRIMARY[self.task].format(self.kind)

    @property
    def primary(self) -> float:
        return self.metrics[self.main]

    def rank(self, by_query: dict[str, np.ndarray], kind: str) -> None:
        """Take up metrics of rankings, (Q,) each: their means over the queries that have them."""
        for name, values in by_query.items():
            self.metrics[f"{name}_{kind}"] = metrics.mean_defined(values)
            self.samples[f"{name}_{kind}"] = Mean(values)


def _by_source(scores: np.ndarray, gold: np.ndarray, sources: list[str]) -> dict[str, float]:
    """Mean and size-weighted mean of the Spearman of each source. NaN if it is undefined in one of them."""
    names, index = np.unique(sources, return_inverse=True)
    rhos = [metrics.spearman(scores[index == k], gold[index == k]) for k in range(len(names))]
    counts = np.bincount(index)
    weighted = float(np.average(rhos, weights=counts))
    return {"mean_of_sources": float(np.mean(rhos)), "weighted_mean_of_sources": weighted}


def _sts(rows: Rows, judge: Scorer, report: Report) -> None:
    scores = judge.score(*rows.texts)
    for kind, values in scores.items():
        report.metrics[f"spearman_{kind}"] = metrics.spearman(values, rows.labels)
        report.metrics[f"pearson_{kind}"] = metrics.pearson(values, rows.labels)
    report.scores, report.gold = scores[judge.kind], rows.labels
    for name, sample in (("spearman", Spearman), ("pearson", Pearson)):
        report.samples[f"{name}_{judge.kind}"] = sample(report.scores, report.gold)
    if rows.sources and len(set(rows.sources)) > 1:
        report.metrics |= _by_source(report.scores, rows.labels, rows.sources)


def _binary(rows: Rows, judge: Scorer, report: Report) -> None:
    found = report.metrics
    for kind, scores in judge.score(*rows.texts).items():
        report.samples[f"ap_{kind}"] = AveragePrecision(scores, rows.labels)
        found[f"ap_{kind}"] = metrics.average_precision(scores, rows.labels)
        found[f"f1_{kind}"], found[f"f1_threshold_{kind}"] = metrics.best_f1(scores, rows.labels)
        found[f"accuracy_{kind}"], found[f"accuracy_threshold_{kind}"] = metrics.best_accuracy(
            scores, rows.labels
        )


def _triplet(rows: Rows, judge: Scorer, report: Report) -> None:
    """Share of rows whose anchor is closer to the positive than to every negative; a tie counts as wrong."""
    anchors, *others = rows.texts
    cells = [
        (row, c)
        for c, column in enumerate(others)
        for row, text in enumerate(column)
        if text is not None
    ]
    places = tuple(np.array(cells).T)
    for kind, scores in judge.score(
        [anchors[r] for r, _ in cells], [others[c][r] for r, c in cells]
    ).items():
        grid = np.full((len(rows), len(others)), -np.inf)
        grid[places] = scores
        right = grid[:, 0] > grid[:, 1:].max(axis=1)
        report.metrics[f"accuracy_{kind}"] = float(np.mean(right))
        report.samples[f"accuracy_{kind}"] = Mean(right)


def _nli(rows: Rows, judge: Scorer, report: Report) -> None:
    if rows.classes and judge.classes and rows.classes != judge.classes:
        raise InputError(
            f"{rows.name}: classes {rows.classes}; the model was trained on {judge.classes}"
        )
    logits = judge.classify(*rows.texts)
    if rows.classes and logits.shape[1] != len(rows.classes):
        raise InputError(
            f"{rows.name}: {len(rows.classes)} classes; the model has {logits.shape[1]}"
        )
    predicted = logits.argmax(axis=1)
    report.metrics["accuracy"] = metrics.accuracy(predicted, rows.labels)
    report.samples["accuracy"] = Mean(predicted == rows.labels)
    report.metrics["macro_f1"] = metrics.macro_f1(predicted, rows.labels)


def _rerank(rows: Rows, judge: Scorer, report: Report) -> None:
    """Candidates of one query are the rows of one text in the first column."""
    queries, groups = unique(rows.texts[0])
    without = len(queries) - len(np.unique(groups[rows.labels > 0]))
    if without:
        report.notes.append(
            f"{without:,} of {len(queries):,} queries have no relevant candidate and are left out"
        )
    for kind, scores in judge.score(*rows.texts).items():
        report.rank(metrics.ranking_by_query(scores, rows.labels, groups), kind)


def _retrieval(rows: Retrieval, judge: Scorer, report: Report) -> None:
    report.found = judge.search(rows.queries, rows.corpus, judge.depth)[1]
    report.rank(metrics.retrieval_by_query(report.found, *rows.qrels), judge.kind)


TASKS = {
    "sts": _sts, "binary": _binary, "nli": _nli, "triplet": _triplet, "rerank": _rerank, "retrieval": _retrieval,
}  # fmt: skip


def undefined_metric(rows: Rows | Retrieval) -> str | None:
    """Why the main metric of a dataset is undefined whatever the model says; None where it is not."""
    if rows.task in ("sts", "binary") and len(set(rows.labels.tolist())) < 2:
        what = "a correlation" if rows.task == "sts" else "average precision"
        return f"{rows.name}: all {len(rows):,} labels are {rows.labels[0]:g}: {what} is undefined"
    if rows.task == "rerank" and not (rows.labels > 0).any():
        return f"{rows.name}: no query has a relevant candidate: nDCG is undefined"
    return None


def evaluate_rows(rows: Rows | Retrieval, judge: Scorer) -> Report:
    """Judge every pair of `rows` in one call, or search once for all queries, and score the judgements by the task.

    Raises:
        InputError: a task that the model cannot do.
    """
    check_supported(rows, judge)
    report = Report(rows.name, rows.task, len(rows), {}, kind=judge.kind)
    if reason := undefined_metric(rows):
        report.notes.append(reason)
    TASKS[rows.task](rows, judge, report)
    return report


def mean_primary(reports: list[Report]) -> float:
    """What a run is judged by: the mean over its dev sets of each one's primary metric."""
    return float(np.mean([report.primary for report in reports]))


def rerank(
    rows: Retrieval,
    first: Report,
    predict: Callable[[list[tuple[str, str]]], np.ndarray],
    depth: int,
) -> Report:
    """The report on the re-ranked order: the first `depth` documents of each query by their logit, of equal ones the one
    found earlier first, and behind them the others as they were found.

    `predict` gives the logits (P,) of all pairs of a query and a document, in one call. An empty document, of which a
    cross-encoder has nothing to say, ranks last of its `depth`.
    """
    top = first.found[:, :depth]
    words = np.array([bool(text.strip()) for text in rows.corpus])
    query, place = np.nonzero((top >= 0) & words[top])
    pairs = [
        (rows.queries[q], rows.corpus[d]) for q, d in zip(query, top[query, place], strict=True)
    ]
    logits = np.full(top.shape, -np.inf)
    logits[query, place] = predict(pairs)
    if np.isnan(logits).any():
        bad = rows.query_ids[np.isnan(logits).any(axis=1).argmax()]
        raise InputError(f"{rows.name}: the reranker gives NaN to a document of query '{bad}'")
    order = np.argsort(-logits, axis=1, kind="stable")
    found = np.concatenate([np.take_along_axis(top, order, axis=1), first.found[:, depth:]], axis=1)
    report = Report(f"{rows.name}, re-ranked", rows.task, len(rows), {}, found=found, kind="logit")
    report.rank(metrics.retrieval_by_query(found, *rows.qrels), "logit")
    return report
