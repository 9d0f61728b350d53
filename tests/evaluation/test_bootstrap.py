"""Metrics of resamples by counts, against the metrics of the rows drawn and copied; seeds."""

import math
import zlib

import numpy as np
import pytest

from sbert.evaluation import bootstrap, metrics
from sbert.evaluation.bootstrap import (
    AveragePrecision,
    Mean,
    Pearson,
    Ratio,
    Spearman,
    draw_counts,
    language_parts,
    resample,
)

generator = np.random.default_rng(0)
N = 40
TIED = generator.integers(0, 5, N) / 4
SCORES = (TIED + generator.normal(size=N)).astype(np.float32)
TIED_SCORES = np.round(SCORES, 1)
RIGHT = (SCORES > 0.3).astype(int)

# a sample, and the metric of the rows in some places
METRICS = {
    "mean": (Mean(SCORES), lambda rows: SCORES[rows].astype(float).mean()),
    "accuracy": (Mean(RIGHT), lambda rows: metrics.accuracy(RIGHT[rows], np.ones(len(rows)))),
    "ratio": (
        Ratio(SCORES, 1 + TIED),
        lambda rows: SCORES[rows].astype(float).sum() / (1 + TIED[rows]).sum(),
    ),
    "pearson": (Pearson(SCORES, TIED), lambda rows: metrics.pearson(SCORES[rows], TIED[rows])),
    "spearman": (Spearman(SCORES, TIED), lambda rows: metrics.spearman(SCORES[rows], TIED[rows])),
    "spearman, ties": (
        Spearman(TIED_SCORES, TIED),
        lambda rows: metrics.spearman(TIED_SCORES[rows], TIED[rows]),
    ),
    "precision": (
        AveragePrecision(SCORES, TIED > 0.5),
        lambda rows: metrics.average_precision(SCORES[rows], TIED[rows] > 0.5),
    ),
    "precision, ties": (
        AveragePrecision(TIED_SCORES, RIGHT),
        lambda rows: metrics.average_precision(TIED_SCORES[rows], RIGHT[rows]),
    ),
}


@pytest.mark.parametrize(("sample", "metric"), METRICS.values(), ids=METRICS)
def test_the_metric_of_each_resample_is_that_of_its_rows(sample, metric):
    drawn = np.random.default_rng(1).integers(0, N, (50, N))
    counts = np.stack([np.bincount(rows, minlength=N) for rows in drawn])
    assert sample(counts) == pytest.approx([metric(rows) for rows in drawn], rel=1e-12)


@pytest.mark.parametrize(("sample", "metric"), METRICS.values(), ids=METRICS)
def test_a_part_of_the_rows(sample, metric):
    mask = np.arange(N) % 3 > 0
    assert sample.of_subset(mask) == pytest.approx(metric(np.flatnonzero(mask)), rel=1e-12)
    assert sample.of_subset(np.ones(N, bool)) == pytest.approx(metric(np.arange(N)), rel=1e-12)
    assert math.isnan(sample.of_subset(np.zeros(N, bool)))
    assert sample.rows == N


@pytest.mark.parametrize("kind", [Pearson, Spearman])
def test_a_constant_column_has_no_correlation(kind):
    gold = np.array([0.1, 0.1, 0.1, 0.7])
    found = kind(np.array([0.3, 0.2, 0.1, 0.4]), gold)(
        np.array([[1, 1, 1, 0], [2, 0, 2, 0], [4, 0, 0, 0], [1, 2, 0, 1]])
    )
    assert np.isnan(found).tolist() == [True, True, True, False]
    assert math.isnan(kind(gold, np.full(4, 0.1)).of_subset(np.ones(4, bool)))


def test_one_class_has_no_precision():
    found = AveragePrecision(np.array([3.0, 2, 1]), np.array([1, 1, 0]))(
        np.array([[1, 2, 0], [0, 0, 3], [1, 1, 1]])
    )
    assert np.isnan(found).tolist() == [True, True, False]


@pytest.mark.parametrize("kind", [Pearson, Spearman, AveragePrecision])
def test_scores_that_are_nan_have_no_metric(kind):
    assert np.isnan(
        kind(np.array([0.1, math.nan, 0.3]), np.array([0, 1, 1]))(np.array([[1, 1, 1], [2, 1, 0]]))
    ).all()


def test_a_mean_leaves_out_what_does_not_count():
    sample = Mean(np.array([1.0, math.nan, 0.25]))
    assert sample(np.array([[1, 1, 1], [2, 1, 1], [0, 3, 0]])).tolist()[:2] == [0.625, 0.75]
    assert math.isnan(sample.of_subset([False, True, False]))


def test_draws_are_n_rows_each_with_equal_chances():
    counts = draw_counts(np.random.default_rng(0), 5000, 8)
    assert (counts.sum(axis=1) == 8).all()
    # a count is binomial(8, 1/8): mean 1, variance 7/8; four standard errors of 5,000
    assert counts.mean(axis=0) == pytest.approx(np.ones(8), abs=4 * math.sqrt(7 / 8 / 5000))
    assert counts.var(axis=0) == pytest.approx(np.full(8, 7 / 8), rel=0.15)


def test_the_bootstrap_of_a_mean_has_its_standard_error():
    values = resample([Mean(SCORES)], 20_000, 0)[0]
    assert values.mean() == pytest.approx(SCORES.mean(), abs=0.005)
    assert values.std() == pytest.approx(SCORES.std() / math.sqrt(N), rel=0.02)


def test_the_same_seed_gives_the_same_values_and_another_others():
    samples = [METRICS["spearman"][0], METRICS["pearson"][0]]
    first = resample(samples, 300, 0, "mine")
    assert (first == resample(samples, 300, 0, "mine")).all()
    assert not (first == resample(samples, 300, 1, "mine")).any()
    assert not (first == resample(samples, 300, 0, "other")).any()
    assert (resample(samples[1:], 300, 0, "mine")[0] == first[1]).all(), (
        "paired, whatever stands beside it"
    )


@pytest.mark.parametrize("cells", [1, 3 * N, 10**9])
def test_memory_is_bounded_and_blocks_do_not_show(monkeypatch, cells):
    whole = resample([METRICS["spearman"][0]], 100, 0)
    sizes = []
    monkeypatch.setattr(bootstrap, "MAX_CELLS", cells)
    monkeypatch.setattr(
        bootstrap, "draw_counts", lambda g, r, n: sizes.append(r) or draw_counts(g, r, n)
    )
    assert (resample([METRICS["spearman"][0]], 100, 0) == whole).all()
    assert max(sizes) == {1: 1, 3 * N: 3, 10**9: 100}[cells]


def test_rows_of_a_cluster_are_drawn_together():
    values = np.array([1.0, 2, 4, 8, 16])
    [found] = resample([Mean(values)], 200, 0, "mine", clusters=np.array([0, 1, 2, 1, 0]))
    counts = draw_counts(np.random.default_rng([0, zlib.crc32(b"mine")]), 200, 3)
    sums, sizes = np.array([17.0, 10, 4]), np.array([2, 2, 1])
    assert found == pytest.approx((counts @ sums) / (counts @ sizes))


def test_a_metric_is_made_again_from_its_columns():
    for metric, _ in METRICS.values():
        again = bootstrap.METRICS[type(metric).__name__](**metric.columns)
        assert (resample([again], 20, 0) == resample([metric], 20, 0)).all()


def test_every_row_twice_has_the_interval_of_rows_alone():
    """Copies of rows say nothing new; taken as independent they would narrow the interval."""
    once = resample([METRICS["spearman"][0]], 2000, 0)[0]
    copies = Spearman(np.tile(SCORES, 2), np.tile(TIED, 2))
    together = resample([copies], 2000, 0, clusters=np.tile(np.arange(N), 2))[0]
    assert together == pytest.approx(once, abs=1e-12)
    assert resample([copies], 2000, 0)[0].std() < 0.8 * once.std()


def test_metrics_of_each_language_and_of_all_crossed_rows():
    languages = ["de", "en", "de-en", "en-de"]
    parts = language_parts({"accuracy": Mean(np.array([1, 0, 1, 0]))}, languages)
    values = {name: part.of_all() for name, part in parts.items()}
    own = {"accuracy_de": 1.0, "accuracy_en": 0.0, "accuracy_de-en": 1.0, "accuracy_en-de": 0.0}
    assert values == own | {"accuracy_crossed": 0.5}
    # a resample that draws the first crossed row three times, and the second once
    assert parts["accuracy_crossed"](np.array([[0, 0, 3, 1]])).tolist() == [0.75]


@pytest.mark.parametrize(
    ("languages", "names"), [(["de"] * 2, []), (["de", "en"], ["a_de", "a_en"])]
)
def test_without_crossed_rows_there_is_no_metric_of_them(languages, names):
    assert list(language_parts({"a": Mean(np.array([1, 0]))}, languages)) == names
