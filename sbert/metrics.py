"""Metrics on arrays: (N,) in, numbers out. Correlations and rates are fractions; tables multiply them by 100.

What is undefined (a constant column has no correlation, one class has no precision) is NaN, never 0.
"""

import numpy as np
from scipy import stats

Array = np.ndarray


def pearson(x: Array, y: Array) -> float:
    """Pearson's r = cov(x, y) / (std x std y); NaN where x or y is constant. float64 inside."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not (np.ptp(x) > 0 and np.ptp(y) > 0):  # the mean of equal numbers may round, so the deviations do not tell
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
    if gold.min() == gold.max():
        return float("nan")
    k, hits, _ = _cuts(scores, gold)
    recall = hits / gold.sum()
    return float(np.sum(np.diff(recall, prepend=0) * hits / k))


def best_f1(scores: Array, gold: Array) -> tuple[float, float]:
    """The highest F1 over all thresholds on `scores`, and that threshold: positive means score >= threshold."""
    scores, gold = np.asarray(scores), np.asarray(gold).astype(int)
    if gold.min() == gold.max():
        return float("nan"), float("nan")
    k, hits, thresholds = _cuts(scores, gold)
    f1 = 2 * hits / (k + gold.sum())
    best = int(f1.argmax())
    return float(f1[best]), float(thresholds[best])


def best_accuracy(scores: Array, gold: Array) -> tuple[float, float]:
    """The highest accuracy over all thresholds on `scores`, and that threshold: positive means score >= threshold."""
    scores, gold = np.asarray(scores), np.asarray(gold).astype(int)
    k, hits, thresholds = _cuts(scores, gold)
    correct = hits + (len(gold) - gold.sum()) - (k - hits)
    best = int(correct.argmax())
    if correct[best] <= len(gold) - gold.sum():  # nothing beats calling every pair negative
        return float((len(gold) - gold.sum()) / len(gold)), float(np.nextafter(scores.max(), np.inf))
    return float(correct[best] / len(gold)), float(thresholds[best])
