"""Metrics: functions on arrays, fractions out. Tables multiply by 100.

A metric that is undefined (the correlation of a constant column, the precision of one class, any
order of scores that are NaN) is NaN, never 0.

To add a metric, write it here as a function on arrays, and call it in the evaluator of its task in
`evaluators.py`, which puts the value into `report.metrics` under the metric's name:

    report.metrics[f"kendall_{name}"] = metrics.kendall(scores, rows.labels)

It then appears in the JSON report of evaluate.py and, for every evaluation of a training run, in
metrics.jsonl and TensorBoard. For a column in the tables of evaluate.py, add it to the columns of
its task, `COLUMNS` in `report.py`:

    "Kendall": "kendall_{}",

The first column is the primary metric, which a model is chosen by. For an interval, add a
`BootstrapMetric` (`bootstrap.py`) to `report.bootstrap_metrics`.
"""

import math

import numpy as np
from scipy import stats

Array = np.ndarray


def pearson(x: Array, y: Array) -> float:
    """Pearson's r = cov(x, y) / (std x std y) of two columns (N,), computed in float64.

    NaN where x or y is constant.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    # tested on the values: the mean of equal numbers may round, so that their deviations are not 0
    if not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / (np.sqrt(x @ x) * np.sqrt(y @ y)))


def spearman(x: Array, y: Array) -> float:
    """Spearman's rho: Pearson's r of the ranks, ties sharing their average rank."""
    return pearson(stats.rankdata(x), stats.rankdata(y))


def accuracy(predicted: Array, gold: Array) -> float:
    """The share of equal entries; NaN for no rows."""
    if not len(gold):
        return math.nan
    return float(np.mean(np.asarray(predicted) == np.asarray(gold)))


def macro_f1(predicted: Array, gold: Array) -> float:
    """The mean of F1 = 2 TP / (2 TP + FP + FN) over the classes that occur in either column (N,).

    NaN for no rows.
    """
    predicted, gold = np.asarray(predicted), np.asarray(gold)
    f1 = []
    for label in np.union1d(predicted, gold):
        true_positives = np.sum((predicted == label) & (gold == label))
        f1.append(2 * true_positives / (np.sum(predicted == label) + np.sum(gold == label)))
    return float(np.mean(f1)) if f1 else math.nan


def _cutoffs(scores: Array, gold: Array) -> tuple[Array, Array, Array]:
    """Every cutoff "the k highest scores are positive" that does not divide a tie.

    Returns k, the true positives among them, and the threshold on the score, one entry a cutoff.
    The threshold lies half-way between the scores above and below the cutoff, so that it holds
    for new data too; where the scores' type has no number between them, it is the upper one.
    """
    scores, gold = np.asarray(scores), np.asarray(gold).astype(int)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    true_positives = np.cumsum(gold[order])
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    upper = ranked[last]
    lower = np.append(ranked[last[:-1] + 1], ranked[-1])
    middle = ((upper.astype(np.float64) + lower) / 2).astype(ranked.dtype)
    return last + 1, true_positives[last], np.where(middle > lower, middle, upper)


def average_precision(scores: Array, gold: Array) -> float:
    """sum_k (R_k - R_{k-1}) P_k over the cutoffs between distinct scores; scores (N,), gold (N,)
    0 or 1.

    NaN where only one class occurs.
    """
    if np.min(gold) == np.max(gold) or np.isnan(scores).any():
        return math.nan
    k, true_positives, _ = _cutoffs(scores, gold)
    recall = true_positives / true_positives[-1]
    return float(np.sum(np.diff(recall, prepend=0) * true_positives / k))


def best_f1(scores: Array, gold: Array) -> tuple[float, float]:
    """The highest F1 of `score >= threshold` over all thresholds, and that threshold.

    NaN where only one class occurs.
    """
    if np.min(gold) == np.max(gold) or np.isnan(scores).any():
        return math.nan, math.nan
    k, true_positives, thresholds = _cutoffs(scores, gold)
    f1 = 2 * true_positives / (k + true_positives[-1])
    best = int(f1.argmax())
    return float(f1[best]), float(thresholds[best])


def best_accuracy(scores: Array, gold: Array) -> tuple[float, float]:
    """The highest accuracy of `score >= threshold` over all thresholds, and that threshold."""
    if np.isnan(scores).any():
        return math.nan, math.nan
    k, true_positives, thresholds = _cutoffs(scores, gold)
    negatives = len(gold) - true_positives[-1]
    correct = true_positives + negatives - (k - true_positives)
    best = int(correct.argmax())
    if correct[best] <= negatives:  # no threshold beats calling every pair negative
        return float(negatives / len(gold)), float(np.nextafter(np.max(scores), np.inf))
    return float(correct[best] / len(gold)), float(thresholds[best])


def ranking_metrics(
    scores: Array, relevance: Array, groups: Array, k: int = 10
) -> dict[str, Array]:
    """AP, RR@k and nDCG@k, (Q,) each, of candidates ranked by score within their query.

    scores, relevance and groups are (N,); the candidates of a query are those of one group, and
    queries come in the order of the groups. A candidate is relevant where its relevance is above
    0. With r_i the relevance at rank i of a query's ranking:

        map = AP = mean over the relevant ranks i of (relevant in 1..i) / i
        mrr@k = RR@k = 1 / (first relevant rank), 0 if that is beyond k
        ndcg@k = sum_{i<=k} r_i / log2(i + 1) over the same of the ideal order

    Of equal scores the less relevant ranks first, so that nothing is gained by a tie. NaN for a
    query without a relevant candidate.
    """
    scores, relevance = np.asarray(scores), np.asarray(relevance, np.float64)
    order = np.lexsort((relevance, -scores, groups))  # (N,), by query, best first
    _, starts, sizes = np.unique(np.sort(groups), return_index=True, return_counts=True)  # (Q,)
    rank = np.arange(len(groups)) - np.repeat(starts, sizes) + 1  # (N,)

    gain = relevance[order]
    hit = (gain > 0).astype(int)
    hits = np.cumsum(hit)
    hits -= np.repeat(hits[starts] - hit[starts], sizes)  # (N,), within the query up to the rank
    relevant = np.add.reduceat(hit, starts)  # (Q,)
    discount = (rank <= k) / np.log2(rank + 1)
    ideal_gain = relevance[np.lexsort((-relevance, groups))]
    ideal_dcg = np.add.reduceat(ideal_gain * discount, starts)
    values = {
        "map": np.add.reduceat(hit * hits / rank, starts) / np.maximum(relevant, 1),
        f"mrr@{k}": np.maximum.reduceat(hit * (rank <= k) / rank, starts),
        f"ndcg@{k}": np.add.reduceat(gain * discount, starts) / np.maximum(ideal_dcg, 1e-300),
    }
    defined = (relevant > 0) & ~np.isnan(scores).any()
    return {name: np.where(defined, value, np.nan) for name, value in values.items()}


def retrieval_metrics(
    retrieved: Array, query: Array, document: Array, relevance: Array
) -> dict[str, Array]:
    """nDCG@10, RR@10, AP@100, recall@{1, 10, 100} and precision@{1, 10} of a search, (Q,) each.

    Computed as by trec_eval, and named as their means over queries are. NaN for a query without a
    relevant document.

    retrieved: (Q, K) documents of each query, best first, -1 where there are no more. The
    judgements are query, document and relevance, (M,) each, no pair twice, -1 for a document that
    no search can find; a document is relevant where its relevance is above 0, and one that is not
    judged is not relevant. With r_i the
    relevance of the document at rank i, R the number of relevant documents of the query, hits_k =
    |{i <= k: r_i > 0}|:

        ndcg@k      = sum_{i<=k} r_i / log2(i + 1), over the same of the ideal order of all
                      judged documents
        mrr@k       = 1 / (first relevant rank), 0 if that is beyond k
        map@k       = sum_{i<=k, r_i>0} (hits_i / i) / R
        recall@k    = hits_k / R
        precision@k = hits_k / k, also where fewer than k were retrieved
    """
    retrieved, relevance = np.asarray(retrieved), np.asarray(relevance, np.float64)
    queries = len(retrieved)
    rank = np.arange(1, retrieved.shape[1] + 1)  # (K,)
    gain = _relevance_of(retrieved, query, document, relevance)  # (Q, K)
    hit = gain > 0
    dcg = (gain / np.log2(rank + 1))[:, :10].sum(1)  # (Q,)
    ideal_dcg = _ideal_dcg(query, relevance, queries)
    relevant = np.bincount(query[relevance > 0], minlength=queries)  # (Q,)
    denominator = np.maximum(relevant, 1)
    values = {
        "ndcg@10": dcg / np.where(relevant > 0, ideal_dcg, 1),
        "mrr@10": (hit / rank)[:, :10].max(1, initial=0),
        "map@100": (hit * hit.cumsum(1) / rank)[:, :100].sum(1) / denominator,
    }
    values |= {f"recall@{k}": hit[:, :k].sum(1) / denominator for k in (1, 10, 100)}
    values |= {f"precision@{k}": hit[:, :k].sum(1) / k for k in (1, 10)}
    return {name: np.where(relevant > 0, value, np.nan) for name, value in values.items()}


def _ideal_dcg(query: Array, relevance: Array, queries: int) -> Array:
    """(Q,) DCG@10 of the judged documents of each query, ordered by their relevance."""
    order = np.lexsort((-relevance, query))
    ordered = query[order]
    rank = np.arange(len(query)) - np.searchsorted(ordered, ordered) + 1  # (M,)
    gain = (rank <= 10) * relevance[order] / np.log2(rank + 1)
    return np.bincount(ordered, gain, minlength=queries)


def _relevance_of(retrieved: Array, query: Array, document: Array, relevance: Array) -> Array:
    """(Q, K) relevance of the retrieved documents, 0 where they are not judged.

    Looked up among the M judged pairs: a table of Q x N would be too large.
    """
    present = document >= 0  # (M,)
    query, document, relevance = query[present], document[present], relevance[present]
    if not len(query):
        return np.zeros(retrieved.shape)
    width = max(retrieved.max(initial=0), document.max(initial=0)) + 1
    judged = query * width + document  # (M,), a key for each pair
    order = np.argsort(judged)
    keys = np.arange(len(retrieved))[:, None] * width + retrieved  # (Q, K)
    position = np.searchsorted(judged[order], keys).clip(max=len(judged) - 1)
    is_judged = (judged[order][position] == keys) & (retrieved >= 0)
    return np.where(is_judged, relevance[order][position], 0)


def mean_defined(values: Array) -> float:
    """The mean of the values that are not NaN; NaN where there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan
