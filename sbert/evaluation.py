"""Evaluators: rows and a judge of pairs to named metrics, the best-known protocol of each task.

A `Judge` is what a model has to say about pairs of texts: scores (a bi-encoder's cosine and its like, a cross-encoder's
logit) and, of a classifier, logits of the classes; a bi-encoder can search a corpus too. Every metric is a fraction, larger is
better. STS follows Sentence-BERT (section 4): one correlation over all rows ("all"), not the mean over parts; that mean is
given beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from sbert import metrics
from sbert.batching import unique
from sbert.data import Rows
from sbert.errors import InputError
from sbert.losses import SoftmaxLoss
from sbert.mining import top_k
from sbert.resampling import AveragePrecision, Mean, Pearson, Sample, Spearman
from sbert.retrieval import Retrieval

# the metric that a task is judged by; {} is the kind of score
PRIMARY = {
    "sts": "spearman_{}", "binary": "ap_{}", "nli": "accuracy", "triplet": "accuracy_{}", "rerank": "ndcg@10_{}",
    "retrieval": "ndcg@10_{}",
}  # fmt: skip
DEPTH = 100  # documents that are found for each query: what the metrics of retrieval look at


@dataclass
class Judge:
    """What a model says of pairs, two lists of N texts.

    score: {kind: (N,)}, the larger the more alike. classify: (N, K) logits; its `classes` by name, where they are known.
    search: Q queries, N documents and k to the scores and the places of the k best documents, (Q, k) each, best first; -1
    where there are no more. `depth` is the k that is asked for.
    Each is None where the model cannot do it. `kind` is the score that counts.
    """

    kind: str
    score: Callable[[list[str], list[str]], dict[str, np.ndarray]] | None
    classify: Callable[[list[str], list[str]], np.ndarray] | None = None
    classes: list[str] | None = None
    search: Callable[[list[str], list[str], int], tuple[np.ndarray, np.ndarray]] | None = None
    depth: int = DEPTH


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
            self.metrics[f"{name}_{kind}"] = metrics.mean(values)
            self.samples[f"{name}_{kind}"] = Mean(values)


def encoder_judge(encode: Callable[[list[str]], np.ndarray], head: SoftmaxLoss | None = None,
                  classes: list[str] | None = None, device: torch.device | str = "cpu") -> Judge:  # fmt: skip
    """The judge that a bi-encoder is; `encode` is called once for all texts. `head`: its trained classifier of pairs.
    `device`: where it searches."""

    def columns(left: list[str], right: list[str]) -> list[np.ndarray]:
        distinct, index = unique(left + right)
        return np.split(encode(distinct)[index], 2)

    def score(left: list[str], right: list[str]) -> dict[str, np.ndarray]:
        return pair_scores(*columns(left, right))

    @torch.inference_mode()
    def classify(left: list[str], right: list[str]) -> np.ndarray:
        weights = next(head.parameters())
        u, v = (torch.from_numpy(c).to(weights.device, weights.dtype) for c in columns(left, right))
        return head.logits(u, v).cpu().numpy()

    def search(queries: list[str], corpus: list[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        distinct, index = unique(queries + corpus)
        asked, vectors = np.split(encode(distinct)[index], [len(queries)])
        scores, found = top_k(asked, vectors, k, device=device)
        return scores.numpy(), found.numpy()

    return Judge("cosine", score, classify if head else None, classes, search)


def cross_judge(predict: Callable[[list[tuple[str, str]]], np.ndarray], dim: int, classes: list[str] | None) -> Judge:
    """The judge that a cross-encoder is; `predict` gives logits, of one score or of `dim` classes."""

    def classify(left: list[str], right: list[str]) -> np.ndarray:
        return predict(list(zip(left, right, strict=True)))

    if dim > 1:
        return Judge("logit", None, classify, classes)
    return Judge("logit", lambda left, right: {"logit": classify(left, right)})


def pair_scores(u: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    """Row by row, (N, H) and (N, H) -> (N,): cosine, dot, and the negative Euclidean and Manhattan distances."""
    dot = np.einsum("nh,nh->n", u, v)
    norms = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    return {
        "cosine": np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0),
        "dot": dot,
        "euclidean": -np.linalg.norm(u - v, axis=1),
        "manhattan": -np.abs(u - v).sum(axis=1),
    }


def _by_source(scores: np.ndarray, gold: np.ndarray, sources: list[str]) -> dict[str, float]:
    """Mean and size-weighted mean of the Spearman of each source. NaN if it is undefined in one of them."""
    names, index = np.unique(sources, return_inverse=True)
    rhos = [metrics.spearman(scores[index == k], gold[index == k]) for k in range(len(names))]
    counts = np.bincount(index)
    weighted = float(np.average(rhos, weights=counts))
    return {"mean_of_sources": float(np.mean(rhos)), "weighted_mean_of_sources": weighted}


def _sts(rows: Rows, judge: Judge, report: Report) -> None:
    scores = judge.score(*rows.texts)
    for kind, values in scores.items():
        report.metrics[f"spearman_{kind}"] = metrics.spearman(values, rows.labels)
        report.metrics[f"pearson_{kind}"] = metrics.pearson(values, rows.labels)
    report.scores, report.gold = scores[judge.kind], rows.labels
    for name, sample in (("spearman", Spearman), ("pearson", Pearson)):
        report.samples[f"{name}_{judge.kind}"] = sample(report.scores, report.gold)
    if rows.sources and len(set(rows.sources)) > 1:
        report.metrics |= _by_source(report.scores, rows.labels, rows.sources)


def _binary(rows: Rows, judge: Judge, report: Report) -> None:
    found = report.metrics
    for kind, scores in judge.score(*rows.texts).items():
        report.samples[f"ap_{kind}"] = AveragePrecision(scores, rows.labels)
        found[f"ap_{kind}"] = metrics.average_precision(scores, rows.labels)
        found[f"f1_{kind}"], found[f"f1_threshold_{kind}"] = metrics.best_f1(scores, rows.labels)
        found[f"accuracy_{kind}"], found[f"accuracy_threshold_{kind}"] = metrics.best_accuracy(scores, rows.labels)


def _triplet(rows: Rows, judge: Judge, report: Report) -> None:
    """Share of rows whose anchor is closer to the positive than to every negative; a tie counts as wrong."""
    anchors, *others = rows.texts
    cells = [(row, c) for c, column in enumerate(others) for row, text in enumerate(column) if text is not None]
    places = tuple(np.array(cells).T)
    for kind, scores in judge.score([anchors[r] for r, _ in cells], [others[c][r] for r, c in cells]).items():
        grid = np.full((len(rows), len(others)), -np.inf)
        grid[places] = scores
        right = grid[:, 0] > grid[:, 1:].max(axis=1)
        report.metrics[f"accuracy_{kind}"] = float(np.mean(right))
        report.samples[f"accuracy_{kind}"] = Mean(right)


def _nli(rows: Rows, judge: Judge, report: Report) -> None:
    if rows.classes and judge.classes and rows.classes != judge.classes:
        raise InputError(f"{rows.name}: classes {rows.classes}; the model was trained on {judge.classes}")
    logits = judge.classify(*rows.texts)
    if rows.classes and logits.shape[1] != len(rows.classes):
        raise InputError(f"{rows.name}: {len(rows.classes)} classes; the model has {logits.shape[1]}")
    predicted = logits.argmax(axis=1)
    report.metrics["accuracy"] = metrics.accuracy(predicted, rows.labels)
    report.samples["accuracy"] = Mean(predicted == rows.labels)
    report.metrics["macro_f1"] = metrics.macro_f1(predicted, rows.labels)


def _rerank(rows: Rows, judge: Judge, report: Report) -> None:
    """Candidates of one query are the rows of one text in the first column."""
    queries, groups = unique(rows.texts[0])
    without = len(queries) - len(np.unique(groups[rows.labels > 0]))
    if without:
        report.notes.append(f"{without:,} of {len(queries):,} queries have no relevant candidate and are left out")
    for kind, scores in judge.score(*rows.texts).items():
        report.rank(metrics.ranking_by_query(scores, rows.labels, groups), kind)


def _retrieval(rows: Retrieval, judge: Judge, report: Report) -> None:
    report.found = judge.search(rows.queries, rows.corpus, judge.depth)[1]
    report.rank(metrics.retrieval_by_query(report.found, *rows.qrels), judge.kind)


TASKS = {
    "sts": _sts, "binary": _binary, "nli": _nli, "triplet": _triplet, "rerank": _rerank, "retrieval": _retrieval,
}  # fmt: skip


def undefined(rows: Rows | Retrieval) -> str | None:
    """Why the main metric of a dataset is undefined whatever the model says; None where it is not."""
    if rows.task in ("sts", "binary") and len(set(rows.labels.tolist())) < 2:
        what = "a correlation" if rows.task == "sts" else "average precision"
        return f"{rows.name}: all {len(rows):,} labels are {rows.labels[0]:g}: {what} is undefined"
    if rows.task == "rerank" and not (rows.labels > 0).any():
        return f"{rows.name}: no query has a relevant candidate: nDCG is undefined"
    return None


def check_able(rows: Rows | Retrieval, judge: Judge) -> None:
    """Refuse a task that the model cannot do: one that needs its scores, its classes, or a search by it."""
    if rows.task == "retrieval" and judge.search is None:
        raise InputError(
            f"{rows.name}: a cross-encoder alone cannot search a corpus; evaluate.py takes it as the reranker of a bi-encoder"
        )
    if rows.task == "nli" and judge.classify is None:
        raise InputError(f"{rows.name}: NLI needs a classifier: the head of SoftmaxLoss, or a cross-encoder's classes")
    if rows.task != "nli" and judge.score is None:
        raise InputError(f"{rows.name}: task {rows.task} needs a model that scores pairs, and this one tells classes")


def evaluate(rows: Rows | Retrieval, judge: Judge) -> Report:
    """Judge every pair of `rows` in one call, or search once for all queries, and score the judgements by the task.

    Raises:
        InputError: a task that the model cannot do.
    """
    check_able(rows, judge)
    report = Report(rows.name, rows.task, len(rows), {}, kind=judge.kind)
    if reason := undefined(rows):
        report.notes.append(reason)
    TASKS[rows.task](rows, judge, report)
    return report


def mean_primary(reports: list[Report]) -> float:
    """What a run is judged by: the mean over its dev sets of each one's primary metric."""
    return float(np.mean([report.primary for report in reports]))
