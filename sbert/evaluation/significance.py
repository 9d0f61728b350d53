"""Statistics: bootstrap intervals and tests, t-tests of means of runs, the ceiling of tied labels.

Two models are compared on the same rows by the paired bootstrap: both metrics on the same
resamples. The interval and the p-value of their difference come from the same values, so p < 0.05
says the same as a 95 % interval without 0 (but for the 1 that is added to each count). A
permutation test, which exchanges the two models' scores of a row, would need both on one scale,
would test that they are distributed alike rather than that the metrics are equal, and gives no
interval.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from scipy import stats

CONFIDENCE = 0.95

ALPHA = 0.05  # a difference with a smaller p-value is called significant, outside the noise


class Resampled:
    """What has values on resamples: `replicates` (R,), NaN where undefined."""

    replicates: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        return bootstrap_interval(self.replicates)

    @property
    def p(self) -> float:
        """Of a difference: the p-value of none."""
        return bootstrap_p_value(self.replicates)


def bootstrap_interval(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The percentile interval of a metric, from its values (R,) on resamples.

    For 100 rows or more it covers the true value as often as it says (Efron and Tibshirani, 1993,
    chapter 13). NaN where more than 1 - confidence of the values are undefined.
    """
    values = np.asarray(values)
    defined = values[~np.isnan(values)]
    if len(defined) < max(2, confidence * len(values)):
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def bootstrap_p_value(values: np.ndarray) -> float:
    """The two-sided p-value of no difference, from a difference (R,) on resamples.

    p = 2 (1 + k) / (1 + R), k the smaller of the numbers of values <= 0 and >= 0. NaN where
    `bootstrap_interval` is.
    """
    low, _ = bootstrap_interval(values)
    if math.isnan(low):
        return math.nan
    values = values[~np.isnan(values)]
    smaller_tail = min((values <= 0).sum(), (values >= 0).sum())
    return float(min(1.0, 2 * (1 + smaller_tail) / (1 + len(values))))


def spearman_ceiling(gold: np.ndarray) -> float:
    """The highest Spearman's rho that scores without ties can have with labels (N,) that tie.

    The best order puts the t rows of one label on neighbouring ranks, whose mean is the rank that
    the labels share. Then cov(ranks, shared) = var(shared), and rho = std(shared) / std(ranks) =
    sqrt(1 - sum (t^3 - t) / (N^3 - N)). NaN where all labels are equal.
    """
    _, sizes = np.unique(gold, return_counts=True)
    if len(sizes) < 2:
        return math.nan
    ties = sizes.astype(float) ** 3 - sizes
    n = float(len(gold))
    return math.sqrt(1 - ties.sum() / (n**3 - n))


def paired_t_test(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """mean(a - b) and its two-sided p-value by Student's t-test of n - 1 degrees of freedom.

    p is NaN for fewer than two pairs. Where a - b does not vary it is 1 for no difference, else 0.
    """
    difference = float(np.mean(np.subtract(a, b, dtype=np.float64)))
    return difference, _p_value(stats.ttest_rel, a, b, difference)


def welch_t_test(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """mean(a) - mean(b) and its two-sided p-value by Welch's t-test, for unequal variances.

    p is NaN where either has fewer than two values. Where neither varies it is 1 for no difference,
    else 0.
    """
    difference = float(np.mean(a) - np.mean(b))
    return difference, _p_value(partial(stats.ttest_ind, equal_var=False), a, b, difference)


def _p_value(t_test: Callable, a: Sequence[float], b: Sequence[float], difference: float) -> float:
    if min(len(a), len(b)) < 2:
        return math.nan
    if difference == 0:  # scipy gives NaN where nothing varies either
        return 1.0
    with warnings.catch_warnings():
        # scipy warns of values that hardly vary: their p-value is close to 0, as it should be
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(t_test(a, b).pvalue)


def p_of_means(
    first: Mapping[object, float], second: Mapping[object, float]
) -> tuple[float, float, str]:
    """Compare the means of two sets of runs, {seed and fold: value}.

    Returns the difference, its two-sided p-value, and the name of the test: paired over the keys
    that both sets have, if there are two or more, else Welch's. p is NaN where either has fewer
    than two runs.
    """
    common = sorted(first.keys() & second.keys())
    if len(common) > 1:
        a, b = [first[key] for key in common], [second[key] for key in common]
        return *paired_t_test(a, b), f"paired over {len(common)} runs"
    a, b = list(first.values()), list(second.values())
    return *welch_t_test(a, b), f"Welch over {len(a)} and {len(b)} runs"
