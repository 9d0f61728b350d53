"""Rows and seeds resampled jointly: hand arithmetic, a plain loop, pairing, coverage."""

import math
import zlib

import numpy as np
import pytest

from sbert.evaluation import metrics
from sbert.evaluation.bootstrap import Mean, Spearman, draw_counts, resample
from sbert.evaluation.multi_bootstrap import estimate_mean, resample_seeds
from sbert.evaluation.scores import DatasetScores
from sbert.evaluation.significance import bootstrap_interval

generator = np.random.default_rng(0)
GOLD = generator.normal(size=30)
NOISY = {seed: GOLD + generator.normal(size=30) * 0.8 for seed in (1, 2, 3)}


def of(metric, digest="rows", clusters=None) -> DatasetScores:
    return DatasetScores(digest, {"rho": metric}, clusters)


def runs(scores=NOISY, fold=None, **options) -> dict:
    return {(seed, fold): of(Spearman(s, GOLD), **options) for seed, s in scores.items()}


def seed_draws(seeds: str, resamples: int, number: int) -> np.ndarray:
    key = zlib.crc32(f"seeds {seeds}".encode())
    return np.random.default_rng([0, key]).integers(0, number, (resamples, number))


def test_seeds_by_hand():
    """Two seeds: (a + a) / 2, (a + b) / 2 or (b + b) / 2, of the same resample of rows, but
    sqrt(2) as far from (a + b) / 2."""
    a, b = np.arange(400.0), 1000 + np.arange(400.0)
    found = resample_seeds({1: a, 2: b})
    offsets, counts = np.unique(np.round(found - a, 6), return_counts=True)
    far = 500 * math.sqrt(2)
    assert offsets == pytest.approx([500 - far, 500, 500 + far])
    assert counts / 400 == pytest.approx([0.25, 0.5, 0.25], abs=0.1)
    assert (resample_seeds({2: b, 1: a}) == found).all()
    assert (resample_seeds({7: a}) == a).all()


def test_a_plain_loop_gives_the_same():
    found = estimate_mean("mine", "rho", runs(), resamples=60)
    counts = draw_counts(np.random.default_rng([0, zlib.crc32(b"mine")]), 60, 30)
    expected = []
    for count, drawn in zip(counts, seed_draws("1 2 3", 60, 3), strict=True):
        rows = np.repeat(np.arange(30), count)
        rhos = np.array([metrics.spearman(NOISY[1 + i][rows], GOLD[rows]) for i in range(3)])
        expected.append(rhos.mean() + math.sqrt(3 / 2) * (rhos[drawn].mean() - rhos.mean()))
    assert found.replicates == pytest.approx(expected, abs=1e-12)
    each = [metrics.spearman(scores, GOLD) for scores in NOISY.values()]
    assert found.value == pytest.approx(np.mean(each), abs=1e-12)


def test_one_seed_is_the_bootstrap_of_rows():
    alone = estimate_mean("mine", "rho", runs({5: NOISY[1]}), resamples=300)
    [rows] = resample([Spearman(NOISY[1], GOLD)], 300, 0, "mine")
    assert (alone.replicates == rows).all()
    assert alone.interval == bootstrap_interval(rows)


def test_where_no_row_differs_only_seeds_vary():
    same = {(seed, None): of(Mean(np.full(9, seed / 10))) for seed in (1, 2, 3)}
    found = estimate_mean("mine", "rho", same, resamples=4000)
    assert found.value == pytest.approx(0.2)
    # the sample variance of 0.1, 0.2, 0.3 is 0.01
    assert found.replicates.std() == pytest.approx(0.1 / math.sqrt(3), rel=0.03)
    sums = 6 + (found.replicates * 30 - 6) / math.sqrt(3 / 2)
    assert set(np.round(sums, 6)) == {3, 4, 5, 6, 7, 8, 9}


@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_variance_of_few_seeds_is_not_too_small(number):
    """Rows and seeds vary alike: on average over many studies, the variance of the resamples is
    that of the mean, 1/50 + 1/50."""
    rng, found = np.random.default_rng(0), []
    for study in range(200):
        values = rng.normal(size=50) + math.sqrt(number / 50) * rng.normal(size=(number, 1))
        by_seed = {(seed, None): of(Mean(v)) for seed, v in enumerate(values)}
        found.append(estimate_mean(f"study {study}", "rho", by_seed, resamples=200).replicates)
    assert np.mean(np.var(found, axis=1)) == pytest.approx(2 / 50, rel=0.12)


def test_where_seeds_agree_only_rows_vary():
    same = estimate_mean("mine", "rho", runs(dict.fromkeys((1, 2, 3), NOISY[1])), resamples=200)
    [rows] = resample([Spearman(NOISY[1], GOLD)], 200, 0, "mine")
    assert same.replicates == pytest.approx(rows, abs=1e-12)


def test_equal_seeds_are_paired_and_others_are_not():
    better = {seed: scores + 0.5 * GOLD for seed, scores in NOISY.items()}
    first, second = (estimate_mean("mine", "rho", runs(s), 2000) for s in (better, NOISY))
    paired = first.difference(second)
    assert paired.value == pytest.approx(first.value - second.value)
    assert (paired.replicates == first.replicates - second.replicates).all()
    renamed = dict(zip((4, 5, 6), NOISY.values(), strict=True))
    unpaired = first.difference(estimate_mean("mine", "rho", runs(renamed), 2000))
    assert unpaired.value == pytest.approx(paired.value)
    assert paired.replicates.std() < unpaired.replicates.std()
    assert paired.p <= unpaired.p
    equal = second.difference(estimate_mean("mine", "rho", runs(), 2000))
    assert (equal.value, equal.p) == (0, 1)


def test_other_rows_are_not_compared():
    first = estimate_mean("mine", "rho", runs(), 10)
    other = estimate_mean("mine", "rho", runs(digest="others"), 10)
    assert first.difference(other) is None
    mixed = runs() | {(9, None): of(Spearman(NOISY[1], GOLD), digest="others")}
    assert estimate_mean("mine", "rho", mixed, 10) is None


def test_folds_have_rows_of_their_own_and_share_the_seeds():
    both = runs(fold=1) | runs(fold=2, digest="others")
    found = estimate_mean("mine", "rho", both, resamples=50)
    folds = []
    for fold in (1, 2):
        samples = [Spearman(NOISY[seed], GOLD) for seed in (1, 2, 3)]
        folds.append(resample(samples, 50, 0, f"mine {fold}"))  # (S, R)
    assert not (folds[0] == folds[1]).any()
    of_seeds, drawn = np.mean(folds, axis=0), seed_draws("1 2 3", 50, 3)
    expected = []
    for r, places in enumerate(drawn):
        of_all = of_seeds[:, r].mean()
        expected.append(of_all + math.sqrt(3 / 2) * (of_seeds[places, r].mean() - of_all))
    assert found.replicates == pytest.approx(expected, abs=1e-12)
    del both[3, 2]  # a run that is not done
    assert estimate_mean("mine", "rho", both, resamples=50) is None


def test_translations_are_drawn_together():
    once = estimate_mean("mine", "rho", runs(), resamples=200)
    twice = {
        key: of(
            Spearman(np.tile(NOISY[key[0]], 2), np.tile(GOLD, 2)), "rows", np.tile(range(30), 2)
        )
        for key in runs()
    }
    together = estimate_mean("mine", "rho", twice, resamples=200)
    assert together.replicates == pytest.approx(once.replicates, abs=1e-12)


def test_coverage_where_seeds_vary_as_much_as_rows():
    """Three seeds; the deviation of their mean is that of the mean over rows."""
    rng, trials, rows = np.random.default_rng(0), 300, 100
    hits = {"joint": 0, "rows alone": 0}
    for trial in range(trials):
        values = rng.normal(size=rows) + math.sqrt(3 / rows) * rng.normal(size=(3, 1))
        by_seed = {(seed, None): of(Mean(v)) for seed, v in enumerate(values, start=1)}
        mean = {(0, None): of(Mean(values.mean(axis=0)))}
        for name, measured in (("joint", by_seed), ("rows alone", mean)):
            low, high = estimate_mean(f"trial {trial}", "rho", measured, resamples=300).interval
            hits[name] += low <= 0 <= high
    print("RATE", hits)
    assert 0.86 <= hits["joint"] / trials <= 0.95
    assert hits["rows alone"] / trials <= hits["joint"] / trials - 0.06
