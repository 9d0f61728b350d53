"""Metrics on arrays: (N,) in, numbers out. Correlations and rates are fractions; tables multiply them by 100.

What is undefined (a constant column has no correlation, one class has no precision, scores that are NaN have no order) is
NaN, never 0.
"""

import numpy as np
from scipy import stats

Array = np.ndarray


def pearson(x: Array, y: Array) -> float:
    """Pearson's r = cov(x, y) / (std x std y); NaN where x or y is constant. float64 inside."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not (
        np.ptp(x) > 0 and np.ptp(y) > 0
    ):  # the mean of equal numbers may round, so the deviations do not tell
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / (np.sqrt(x @ x) * np.sqrt(y @ y)))


def spearman(x: Array, y: Array) -> float:
    """Spearman's rho: Pearson's r of the ranks, ties sharing their average rank."""
    return pearson(stats.rankdata(x), stats.rankdata(y))


def accuracy(predicted: Array, gold: Array) -> float:
    """Share of equal entries; NaN for none."""
    return float(np.mean(np.asarray(predicted) == np.asarray(gold))) if len(gold) else float("nan")


def _cuts(scores: Array, gold: Array) -> tuple[Array, Array, Array]:
    """Every cut "the k best are positive" that no tie forbids: its k, its true positives, its threshold.

    The threshold lies half-way between the two scores that the cut parts, so it holds for new data too; where no
    number of the scores' type lies between them, it is the upper one.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hits = np.cumsum(gold[order])
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    below = np.append(ranked[ends[:-1] + 1], ranked[-1])
    middle = ((ranked[ends].astype(np.float64) + below) / 2).astype(ranked.dtype)
    return ends + 1, hits[ends], np.where(middle > below, middle, ranked[ends])


def average_precision(scores: Array, gold: Array) -> float:
    """sum_k (R_k - R_{k-1}) P_k over the cuts between distinct scores; gold is 0 or 1. NaN for one class only."""
    scores, gold = np.asarray(scores), np.asarray(gold).astype(int)
    if gold.min() == gold.max() or np.isnan(scores).any():
        return float("nan")
    k, hits, _ = _cuts(scores, gold)
    recall = hits / gold.sum()
    return float(np.sum(np.diff(recall, prepend=0) * hits / k))


def best_f1(scores: Array, gold: Array) -> tuple[float, float]:
    """The highest F1 over all thresholds on `scores`, and that threshold: positive means score >= threshold."""
    scores, gold = np.asarray(scores), np.asarray(gold).astype(int)
    if gold.min() == gold.max() or np.isnan(scores).any():
        return float("nan"), float("nan")
    k, hits, thresholds = _cuts(scores, gold)
    f1 = 2 * hits / (k + gold.sum())
    best = int(f1.argmax())
    return float(f1[best]), float(thresholds[best])


def best_accuracy(scores: Array, gold: Array) -> tuple[float, float]:
    """The highest accuracy over all thresholds on `scores`, and that threshold: positive means score >= threshold."""
    scores, gold = np.asarray(scores), np.asarray(gold).astype(int)
    if np.isnan(scores).any():
        return float("nan"), float("nan")
    k, hits, thresholds = _cuts(scores, gold)
    correct = hits + (len(gold) - gold.sum()) - (k - hits)
    best = int(correct.argmax())
    if correct[best] <= len(gold) - gold.sum():  # nothing beats calling every pair negative
        return float((len(gold) - gold.sum()) / len(gold)), float(
            np.nextafter(scores.max(), np.inf)
        )
    return float(correct[best] / len(gold)), float(thresholds[best])


def macro_f1(predicted: Array, gold: Array) -> float:
    """The mean of F1 = 2 TP / (2 TP + FP + FN) over the classes that occur in either; NaN for no rows."""
    predicted, gold = np.asarray(predicted), np.asarray(gold)
    classes = np.union1d(predicted, gold)
    if not len(classes):
        return float("nan")
    hits = [np.sum((predicted == k) & (gold == k)) for k in classes]
    sizes = [np.sum(predicted == k) + np.sum(gold == k) for k in classes]
    return float(np.mean([2 * hit / size for hit, size in zip(hits, sizes, strict=True)]))


def ranking(scores: Array, relevance: Array, groups: Array, k: int = 10) -> dict[str, float]:
    """Means over the queries with a relevant candidate of what `ranking_by_query` gives; NaN without any."""
    return {
        name: mean_defined(values)
        for name, values in ranking_by_query(scores, relevance, groups, k).items()
    }


def ranking_by_query(
    scores: Array, relevance: Array, groups: Array, k: int = 10
) -> dict[str, Array]:
    """Average precision, RR@k and nDCG@k, (Q,) each in the order of the groups, of candidates ranked by score within their group
    (one query's), all (N,). NaN for a query without a relevant candidate.

    A candidate is relevant where its relevance is above 0. With r_i the relevance at rank i of a query's ranking:
    AP = mean over relevant ranks i of (relevant in 1..i) / i; RR@k = 1 / (first relevant rank), 0 if that is beyond k;
    nDCG@k = sum_{i<=k} r_i / log2(i + 1) over the same of the ideal order. Of equal scores the less relevant ranks first, so
    that nothing is gained by a tie.
    """
    scores, relevance, groups = (
        np.asarray(scores),
        np.asarray(relevance, np.float64),
        np.asarray(groups),
    )
    order = np.lexsort((relevance, -scores, groups))
    ordered = groups[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
    sizes = np.diff(np.append(starts, len(ordered)))
    rank = np.arange(len(ordered)) - np.repeat(starts, sizes) + 1
    discount = (rank <= k) / np.log2(rank + 1)
    gain = relevance[order]
    hit = (gain > 0).astype(int)
    seen = np.cumsum(hit)
    seen -= np.repeat(seen[starts] - hit[starts], sizes)
    relevant = np.add.reduceat(hit, starts)
    ideal = relevance[np.lexsort((-relevance, groups))]
    values = {
        "map": np.add.reduceat(hit * seen / rank, starts) / np.maximum(relevant, 1),
        f"mrr@{k}": np.maximum.reduceat(hit * (rank <= k) / rank, starts),
        f"ndcg@{k}": np.add.reduceat(gain * discount, starts)
        / np.maximum(np.add.reduceat(ideal * discount, starts), 1e-300),
    }
    defined = (relevant > 0) & ~np.isnan(scores).any()
    return {name: np.where(defined, value, np.nan) for name, value in values.items()}


def retrieval(found: Array, query: Array, document: Array, relevance: Array) -> dict[str, float]:
    """Means over the queries with a relevant document of what `retrieval_by_query` gives; NaN without any."""
    return {
        name: mean_defined(values)
        for name, values in retrieval_by_query(found, query, document, relevance).items()
    }


def retrieval_by_query(
    found: Array, query: Array, document: Array, relevance: Array
) -> dict[str, Array]:
    """nDCG@10, RR@10, AP@100, recall@{1, 10, 100} and precision@{1, 10} of a search, (Q,) each, under the names of their means,
    as trec_eval computes them. NaN for a query without a relevant document.

    found: (Q, K) documents of each query, best first, -1 where no more were found. The judgements are query, document and
    relevance, (M,) each and no pair twice; a document is relevant where its relevance is above 0, and one that is not
    judged is not. With r_i the relevance of the document at rank i, R the relevant documents of the query and
    hits_k = |{i <= k: r_i > 0}|:

        nDCG@k = sum_{i<=k} r_i / log2(i + 1) over the same of the ideal order of all judged documents
        MRR@k = 1 / (first relevant rank), 0 if that is beyond k
        MAP@k = sum_{i<=k, r_i>0} (hits_i / i) / R
        recall@k = hits_k / R
        precision@k = hits_k / k, also where fewer than k were found
    """
    found, relevance = np.asarray(found), np.asarray(relevance, np.float64)
    relevant = np.bincount(query[relevance > 0], minlength=len(found))
    rank = np.arange(1, found.shape[1] + 1)
    gain = _gains(found, query, document, relevance)
    hit = gain > 0
    order = np.lexsort((-relevance, query))
    starts = np.searchsorted(query[order], query[order])
    ideal_rank = np.arange(len(query)) - starts + 1
    ideal_gain = (ideal_rank <= 10) * relevance[order] / np.log2(ideal_rank + 1)
    ideal = np.bincount(query[order], ideal_gain, minlength=len(found))
    least = np.maximum(relevant, 1)
    values = {
        "ndcg@10": (gain / np.log2(rank + 1))[:, :10].sum(1) / np.where(relevant > 0, ideal, 1),
        "mrr@10": (hit / rank)[:, :10].max(1, initial=0),
        "map@100": (hit * hit.cumsum(1) / rank)[:, :100].sum(1) / least,
        **{f"recall@{k}": hit[:, :k].sum(1) / least for k in (1, 10, 100)},
        **{f"precision@{k}": hit[:, :k].sum(1) / k for k in (1, 10)},
    }
    return {name: np.where(relevant > 0, value, np.nan) for name, value in values.items()}


def mean_defined(values: Array) -> float:
    """The mean of those that are defined; NaN for none."""
    kept = values[~np.isnan(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def _gains(found: Array, query: Array, document: Array, relevance: Array) -> Array:
    """(Q, K) relevance of what was found, 0 where it is not judged. No table of Q x N: the judged pairs are looked up."""
    if not len(query):
        return np.zeros(found.shape)
    width = max(found.max(initial=0), document.max(initial=0)) + 1
    judged = query * width + document
    order = np.argsort(judged)
    asked = np.arange(len(found))[:, None] * width + found
    place = np.searchsorted(judged[order], asked).clip(max=len(judged) - 1)
    there = (judged[order][place] == asked) & (found >= 0)
    return np.where(there, relevance[order][place], 0)
