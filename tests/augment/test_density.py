"""Strategy kde: the acceptance probability, and the distribution of the scores kept."""

import math

import numpy as np
import pytest

from sbert.augment.density import accept_by_density
from sbert.errors import InputError


def kernel_density(scores, x):
    """(1 / (n h sqrt(2 pi))) sum_i exp(-(x - x_i)^2 / (2 h^2)), h = n^(-1/5) deviation(x)."""
    h = len(scores) ** -0.2 * np.std(scores, ddof=1)
    return sum(math.exp(-((x - s) ** 2) / (2 * h * h)) for s in scores) / (
        len(scores) * h * math.sqrt(2 * math.pi)
    )


def test_acceptance_is_the_published_probability(monkeypatch):
    generator = np.random.default_rng(0)
    gold, silver = generator.random(30).round(3), (generator.random(40) ** 4).round(3)
    expected = [min(1, kernel_density(gold, s) / kernel_density(silver, s)) for s in silver]
    hits = np.mean([accept_by_density(gold, silver, seed) for seed in range(3000)], axis=0)
    assert min(expected) < 0.3
    np.testing.assert_allclose(hits, expected, atol=5 * 0.5 / math.sqrt(3000))


def test_accepted_scores_follow_gold_as_far_as_silver_reaches():
    """Their density is min(gold's, silver's), up to a factor."""
    generator = np.random.default_rng(0)
    gold, silver = generator.beta(3, 3, 4000), generator.beta(1, 3, 40_000)
    kept = silver[accept_by_density(gold, silver, 0)]
    gold, silver, kept = (np.histogram(x, 10, (0, 1))[0] / len(x) for x in (gold, silver, kept))
    lower = np.minimum(gold, silver) / np.minimum(gold, silver).sum()
    assert (gold < silver).sum() == 3
    assert abs(kept - lower).max() < 0.02  # kernels blur a little
    assert abs(silver - lower).max() > 0.15


def test_silver_like_gold_is_accepted_whole():
    scores = np.random.default_rng(0).random(50)
    assert accept_by_density(scores, scores, 0).all()


def test_equal_scores_have_no_density():
    with pytest.raises(
        InputError,
        match="strategy kde: all 5 gold scores are 0.5, so they have no density",
    ):
        accept_by_density(np.full(5, 0.5), np.array([0.1, 0.2]), 0)
    with pytest.raises(InputError, match="all 3 silver scores are 0.25"):
        accept_by_density(np.array([0.1, 0.2]), np.full(3, 0.25), 0)
