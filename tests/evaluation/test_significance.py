"""Intervals that cover, tests that err as often as they say, ties by brute force, t-tests."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats

from sbert.evaluation import metrics
from sbert.evaluation.bootstrap import AveragePrecision, Mean, Pearson, Spearman, resample
from sbert.evaluation.significance import (
    bootstrap_interval,
    bootstrap_p_value,
    p_of_means,
    paired_t_test,
    spearman_ceiling,
    welch_t_test,
)


def test_an_interval_is_of_percentiles():
    assert bootstrap_interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert bootstrap_interval(np.arange(101.0), confidence=0.9) == pytest.approx((5, 95))


@pytest.mark.parametrize(("undefined", "known"), [(5, True), (6, False), (100, False)])
def test_undefined_resamples_make_an_interval_undefined(undefined, known):
    values = np.append(np.full(undefined, math.nan), np.arange(100.0 - undefined))
    assert (
        math.isnan(bootstrap_interval(values)[0])
        == math.isnan(bootstrap_interval(values)[1])
        == math.isnan(bootstrap_p_value(values))
    )
    assert math.isnan(bootstrap_interval(values)[0]) is not known


def test_p_by_hand():
    # 3 of 99 at or below 0, none of them 0: 2 (1 + 3) / 100
    values = np.append([-1.0, -0.5, -2], np.ones(96))
    assert bootstrap_p_value(values) == bootstrap_p_value(-values) == pytest.approx(0.08)
    assert bootstrap_p_value(np.ones(999)) == pytest.approx(2 / 1000), "never 0"
    assert bootstrap_p_value(np.zeros(99)) == 1, "equal models"


# coverage: metrics of rows whose population is known


def correlated(rng, rho, n):
    x = rng.normal(size=n)
    return x, rho * x + math.sqrt(1 - rho**2) * rng.normal(size=n)


CUTS = np.array([-12, -1.5, -0.75, 0, 0.75, 1.5, 12])  # six classes of a standard normal variable


def ordinal_rho(rho: float) -> float:
    """Spearman's rho of x and the class of y: the correlation of Phi(x) and the class's mid-rank.

    E[Phi(x) | y] = Phi(rho y / sqrt(2 - rho^2)).
    """
    share = np.diff(stats.norm.cdf(CUTS))
    middle = share.cumsum() - share / 2 - 0.5

    def inside(y):
        return stats.norm.pdf(y) * stats.norm.cdf(rho * y / math.sqrt(2 - rho**2))

    parts = [integrate.quad(inside, low, high)[0] for low, high in itertools.pairwise(CUTS)]
    return float(middle @ parts / math.sqrt((share * middle**2).sum() / 12))


def _spearman_of_classes(rng, n):
    x, y = correlated(rng, 0.85, n)
    return Spearman(x, np.searchsorted(CUTS[1:-1], y))


POPULATIONS = {
    "pearson": (lambda rng, n: Pearson(*correlated(rng, 0.8, n)), 0.8),
    "spearman": (lambda rng, n: Spearman(*correlated(rng, 0.8, n)), 6 / math.pi * math.asin(0.4)),
    "spearman of classes": (_spearman_of_classes, ordinal_rho(0.85)),
    "accuracy": (lambda rng, n: Mean(rng.random(n) < 0.7), 0.7),
}


def test_the_true_rho_of_classes_is_that_of_many_rows():
    x, y = correlated(np.random.default_rng(0), 0.85, 10**6)
    assert metrics.spearman(x, np.searchsorted(CUTS[1:-1], y)) == pytest.approx(
        ordinal_rho(0.85), abs=1e-3
    )


@pytest.mark.parametrize(("population", "true"), POPULATIONS.values(), ids=POPULATIONS)
def test_intervals_of_95_percent_cover_93_to_97_times_of_100(population, true):
    rng, trials = np.random.default_rng(0), 1000  # a standard error of 0.7 in 100
    hits = 0
    for trial in range(trials):
        low, high = bootstrap_interval(resample([population(rng, 200)], 400, trial)[0])
        hits += low <= true <= high
    print("RATE", hits / trials)
    assert 0.93 <= hits / trials <= 0.97


def test_equal_models_differ_significantly_5_times_of_100():
    rng, trials = np.random.default_rng(0), 800
    false = {"spearman": 0, "precision": 0}
    for trial in range(trials):
        gold, *noise = rng.normal(size=(3, 100))
        shared = gold + rng.normal(size=100) / 2  # what one model knows the other knows too
        scores = [shared + e / 2 for e in noise]
        for name, pair in (
            ("spearman", [Spearman(s, gold) for s in scores]),
            ("precision", [AveragePrecision(s, gold > 0.5) for s in scores]),
        ):
            a, b = resample(pair, 400, trial)
            false[name] += bootstrap_p_value(a - b) < 0.05
    print("RATE", false)
    assert all(0.03 <= count / trials <= 0.07 for count in false.values()), false


def test_p_agrees_with_a_permutation_of_equal_chances():
    """Where the two scores of a row can be exchanged, exchanging them tells the same."""
    rng = np.random.default_rng(3)
    for shift in (0.02, 0.08, 0.15):
        a, b = rng.random(400) < 0.7 + shift, rng.random(400) < 0.7
        first, second = resample([Mean(a), Mean(b)], 20_000, 0)
        signs = rng.choice([-1, 1], (20_000, 400))
        gaps = a.astype(int) - b
        permuted = np.mean(np.abs(signs @ gaps) >= abs(gaps.sum()))
        assert bootstrap_p_value(first - second) == pytest.approx(permuted, rel=0.2, abs=0.02)


def test_pairing_finds_what_separate_intervals_hide():
    rng = np.random.default_rng(0)
    gold = rng.normal(size=400)
    shared = gold + rng.normal(size=400)
    samples = [Spearman(shared + rng.normal(size=400) * s, gold) for s in (0.05, 0.4)]
    a, b = resample(samples, 2000, 0)
    assert bootstrap_interval(a)[0] < bootstrap_interval(b)[1], "the intervals overlap"
    assert bootstrap_p_value(a - b) < 0.01


# the ceiling


@pytest.mark.parametrize(
    "labels", [[0, 0, 1, 2], [0, 0, 1, 1, 1], [3, 1, 2, 0], [0, 0, 0, 0, 0, 1], [1, 0, 1, 0, 2, 2]]
)
def test_the_ceiling_is_the_best_of_all_orders(labels):
    best = max(
        stats.spearmanr(order, labels)[0] for order in itertools.permutations(range(len(labels)))
    )
    assert spearman_ceiling(np.array(labels)) == pytest.approx(best)


def test_ceilings_by_hand():
    assert spearman_ceiling(np.arange(7.0)) == 1
    assert spearman_ceiling(np.array([0, 1] * 2)) == pytest.approx(math.sqrt(1 - 2 * 6 / 60))
    # many rows in two equal classes: sqrt(1 - 2 / 8)
    assert spearman_ceiling(np.arange(10**6) % 2) == pytest.approx(math.sqrt(3) / 2)
    assert math.isnan(spearman_ceiling(np.zeros(3)))


# means of runs


@pytest.mark.parametrize("seed", range(3))
def test_means_are_compared_as_by_scipy(seed):
    generator = np.random.default_rng(seed)
    a, b = generator.normal(0.3, 1, 5), generator.normal(0, 2, 7)
    assert paired_t_test(a, b[:5]) == pytest.approx(
        (np.mean(a - b[:5]), stats.ttest_rel(a, b[:5]).pvalue)
    )
    assert welch_t_test(a, b) == pytest.approx(
        (a.mean() - b.mean(), stats.ttest_ind(a, b, equal_var=False).pvalue)
    )
    assert p_of_means(dict(enumerate(a)), dict(enumerate(b))) == (
        *paired_t_test(a, b[:5]),
        "paired over 5 runs",
    )
    assert p_of_means(dict(enumerate(a)), dict(enumerate(b, 100))) == (
        *welch_t_test(a, b),
        "Welch over 5 and 7 runs",
    )


def test_t_tests_by_hand():
    a, b = np.array([0.5, 0.75, 1.0]), np.array([0.25, 0.25, 0.75, 0.5])
    gaps = a - b[:3]  # 0.25, 0.5, 0.25
    t = gaps.mean() / math.sqrt(gaps.var(ddof=1) / 3)
    assert paired_t_test(a, b[:3]) == pytest.approx((1 / 3, 2 * stats.t.sf(t, 2)))
    errors = np.array([a.var(ddof=1) / 3, b.var(ddof=1) / 4])
    degrees = errors.sum() ** 2 / (errors[0] ** 2 / 2 + errors[1] ** 2 / 3)
    difference = 0.75 - 0.4375
    p = 2 * stats.t.sf(difference / math.sqrt(errors.sum()), degrees)
    assert welch_t_test(a, b) == pytest.approx((difference, p))


@pytest.mark.filterwarnings("error")
def test_means_without_any_spread():
    assert p_of_means({1: 0.5, 2: 0.6}, {1: 0.5, 2: 0.6})[:2] == (0.0, 1.0)
    assert p_of_means({1: 0.5, 2: 0.75}, {1: 0.25, 2: 0.5})[:2] == (0.25, 0.0)
    assert p_of_means({1: 0.5, 2: 0.5}, {3: 0.25, 4: 0.25})[:2] == (0.25, 0.0)
    assert 0 < p_of_means({1: 0.5, 2: 0.5}, {3: 0.25, 4: 0.375})[1] < 1, "one of them varies"


def test_single_runs_have_no_p():
    assert math.isnan(p_of_means({1: 0.5}, {1: 0.4})[1])
    assert math.isnan(p_of_means({1: 0.5, 2: 0.6}, {3: 0.4})[1])
    assert p_of_means({1: 0.5}, {1: 0.25})[0] == 0.25
    assert math.isnan(paired_t_test([0.5], [0.25])[1])
