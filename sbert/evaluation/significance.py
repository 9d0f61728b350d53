"""What a number is worth: intervals and tests from resamples, tests of means of runs, the ceiling that tied labels set.

Two models are compared on the same rows by the paired bootstrap: both metrics on the same resamples, and the interval and the p
of their difference from the same values, so that p < 0.05 says the same as an interval of 95 % without 0 (but for the 1 that is
added to each count). A permutation test, which exchanges the two models' scores of a row, would need both on one scale, would
test that they are distributed alike rather than that the metrics are equal, and gives no interval.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

LEVEL = 0.95

NOISE = 0.05  # differences that noise alone makes more often than this are called noise


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of a metric from its values (R,) on resamples; for 100 rows and more it covers as it says.
    NaN where more than 1 - level of the values are undefined."""
    values = np.asarray(values)
    defined = values[~np.isnan(values)]
    if len(defined) < max(2, level * len(values)):
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_of_difference(values: np.ndarray) -> float:
    """Two-sided p of no difference, from a difference (R,) on resamples: 2 (1 + k) / (1 + R), k the fewer of those <= 0 and those
    >= 0. NaN where `interval` is."""
    if math.isnan(interval(values)[0]):
        return math.nan
    values = values[~np.isnan(values)]
    fewer = min((values <= 0).sum(), (values >= 0).sum())
    return float(min(1.0, 2 * (1 + fewer) / (1 + len(values))))


def spearman_ceiling(gold: np.ndarray) -> float:
    """The highest Spearman that scores without ties can have with labels (N,) that tie.

    The best order puts the t rows of one label on neighbouring ranks, whose mean is the rank that the labels share, so
    cov(ranks, shared) = var(shared) and rho = std(shared) / std(ranks) = sqrt(1 - sum (t^3 - t) / (N^3 - N)). NaN for labels
    that are all equal.
    """
    _, sizes = np.unique(gold, return_counts=True)
    if len(sizes) < 2:
        return math.nan
    cubes, n = sizes.astype(float) ** 3 - sizes, float(len(gold))
    return math.sqrt(1 - cubes.sum() / (n**3 - n))


def paired_t_test(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """mean(a - b) and its two-sided p by Student's t of n - 1 degrees; NaN for fewer than two pairs."""
    gaps = np.subtract(a, b, dtype=np.float64)
    n = len(gaps)
    return _student(
        float(gaps.mean()), math.sqrt(gaps.var(ddof=1) / n) if n > 1 else math.nan, n - 1
    )


def welch_t_test(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """mean(a) - mean(b) and its two-sided p by Welch's t: spreads of their own, degrees after Satterthwaite; NaN where either
    has fewer than two."""
    difference, sizes = float(np.mean(a) - np.mean(b)), np.array([len(a), len(b)])
    if sizes.min() < 2:
        return difference, math.nan
    parts = np.array([np.var(a, ddof=1), np.var(b, ddof=1)]) / sizes
    freedom = parts.sum() ** 2 / (parts**2 / (sizes - 1)).sum() if parts.any() else 1
    return _student(difference, math.sqrt(parts.sum()), freedom)


def _student(difference: float, error: float, freedom: float) -> tuple[float, float]:
    """With p 0 or 1 where nothing varies, as the difference is there or not."""
    if math.isnan(error):
        return difference, math.nan
    if error == 0:
        return difference, float(difference == 0)
    return difference, float(2 * stats.t.sf(abs(difference) / error, freedom))


def p_of_means(first: dict, second: dict) -> tuple[float, float, str]:
    """The difference of two means of runs {seed and fold: value}, its two-sided p, and the test: paired over the keys that both
    have, if there are two or more; else Welch's. p is NaN where either has fewer than two runs."""
    common = sorted(first.keys() & second.keys())
    if len(common) > 1:
        return *paired_t_test(
            *([runs[key] for key in common] for runs in (first, second))
        ), f"paired over {len(common)} runs"
    a, b = (list(runs.values()) for runs in (first, second))
    return *welch_t_test(a, b), f"Welch over {len(a)} and {len(b)} runs"
