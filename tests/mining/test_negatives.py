"""The choice of hard negatives equals a plain loop over queries and candidates."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbert import InputError
from sbert.mining.config import NegativesConfig
from sbert.mining.negatives import select_negatives

LIMITS = ("max_score", "min_score", "absolute_margin", "relative_margin")


def reason(rank, score, positive, config):
    """Which filter leaves a candidate out; None where it stays."""
    if rank < config.range_min:
        return f"rank before range_min {config.range_min}"
    if config.max_score is not None and score > config.max_score:
        return f"score above max_score {config.max_score}"
    if config.min_score is not None and score < config.min_score:
        return f"score below min_score {config.min_score}"
    if config.absolute_margin is not None and score > positive - config.absolute_margin:
        return f"within absolute_margin {config.absolute_margin}"
    if (
        config.relative_margin is not None
        and score > positive - abs(positive) * config.relative_margin
    ):
        return f"within relative_margin {config.relative_margin}"
    return None


def plain(scores, positive, config):
    """Candidate by candidate: those that stay, and the counts of those that do not."""
    left, counts = [], Counter()
    for row, lowest in zip(scores.tolist(), positive.tolist(), strict=True):
        left.append([])
        for rank, score in enumerate(row):
            if score == -np.inf:
                continue
            counts["candidates"] += 1
            why = reason(rank, score, lowest, config)
            if why:
                counts[why] += 1
            else:
                left[-1].append(rank)
    return left, counts


@st.composite
def cases(draw):
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    queries, candidates = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    # few different numbers, exact in fp32: many ties, and many scores equal to a limit
    scores = generator.integers(-8, 9, (queries, candidates)) / 8
    if draw(st.booleans()):
        scores = -np.sort(-scores, axis=1)
    ends = generator.integers(0, candidates + 1, queries)
    scores[np.arange(candidates) >= ends[:, None]] = -np.inf
    limit = st.one_of(st.none(), st.integers(-8, 8).map(lambda x: x / 8))
    options = {name: draw(limit) for name in LIMITS}
    config = NegativesConfig(draw(st.integers(1, 6)), draw(st.integers(0, 4)), **options)
    return scores.astype(np.float32), generator.integers(-8, 9, queries) / 8, config


@settings(max_examples=150, deadline=None)
@given(cases())
def test_top_equals_the_plain_loop(case):
    scores, positive, config = case
    place, counts = select_negatives(scores, positive, config)
    left, expected = plain(scores, positive, config)
    best = [sorted(row, key=lambda rank: (-scores[i, rank], rank)) for i, row in enumerate(left)]
    best = [row[: config.num_negatives] for row in best]
    assert place.shape == (len(scores), config.num_negatives)
    assert place.tolist() == [row + [-1] * (config.num_negatives - len(row)) for row in best]
    sizes = [len(row) for row in best]
    expected["negatives"] = sum(sizes)
    expected["beyond num_negatives"] = sum(map(len, left)) - sum(sizes)
    expected["queries with fewer negatives than asked for"] = sum(
        size < config.num_negatives for size in sizes
    )
    expected["of these, with none"] = sum(size == 0 for size in sizes)
    assert +counts == +expected


@settings(max_examples=60, deadline=None)
@given(cases())
def test_every_candidate_is_counted_once(case):
    _, counts = select_negatives(*case)
    aside = ("candidates", "queries with fewer negatives than asked for", "of these, with none")
    assert counts["candidates"] == sum(n for name, n in counts.items() if name not in aside)


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(0, 99), st.integers(0, 9))
def test_random_takes_only_what_is_left_best_first(case, seed, unit):
    scores, positive, top = case
    config = NegativesConfig(**vars(top) | {"sampling": "random", "seed": seed})
    place, counts = select_negatives(scores, positive, config, unit)
    again, same = select_negatives(scores, positive, config, unit)
    assert np.array_equal(place, again)
    assert counts == same == select_negatives(scores, positive, top)[1]
    for i, left in enumerate(plain(scores, positive, config)[0]):
        chosen = place[i][place[i] >= 0].tolist()
        assert set(chosen) <= set(left)
        assert len(set(chosen)) == len(chosen) == min(len(left), config.num_negatives)
        assert (np.diff(scores[i, chosen]) <= 0).all()
        assert (place[i, len(chosen) :] == -1).all()


def test_random_is_even_and_follows_seed_and_unit():
    scores = np.tile(np.linspace(0.9, 0.1, 10, dtype=np.float32), (2000, 1))
    positive = np.ones(2000)
    config = NegativesConfig(3, 2, sampling="random")

    def draw(seed, unit):
        return select_negatives(scores, positive, replace(config, seed=seed), unit)[0]

    place = draw(0, 0)
    assert set(place.ravel()) == set(range(2, 10))
    counts = np.bincount(place.ravel())[2:]
    assert abs(counts - 6000 / 8).max() < 120  # four standard deviations are 100
    for other in (draw(1, 0), draw(0, 1)):
        assert not np.array_equal(place, other)


def test_by_hand():
    scores = np.array([[0.95, 0.9, 0.8, 0.7, 0.6, 0.2]], np.float32)
    config = NegativesConfig(2, range_min=1, max_score=0.85, min_score=0.3, absolute_margin=0.15)
    place, counts = select_negatives(scores, np.array([0.9]), config)
    assert place.tolist() == [[3, 4]]
    assert counts == {
        "candidates": 6,
        "rank before range_min 1": 1,
        "score above max_score 0.85": 1,
        "score below min_score 0.3": 1,
        "within absolute_margin 0.15": 1,
        "beyond num_negatives": 0,
        "negatives": 2,
        "queries with fewer negatives than asked for": 0,
        "of these, with none": 0,
    }


def test_every_candidate_left_out():
    for scores in (
        np.full((2, 4), -np.inf, np.float32),
        np.full((2, 4), 0.9, np.float32),
        np.empty((2, 0), np.float32),
    ):
        place, counts = select_negatives(scores, np.ones(2), NegativesConfig(3, max_score=0.5))
        assert place.tolist() == [[-1, -1, -1]] * 2
        assert counts["of these, with none"] == 2


def test_the_relative_margin_of_a_negative_score_is_below_it():
    scores = np.array([[-0.1, -0.25, -0.3, -0.4]], np.float32)
    place, _ = select_negatives(scores, np.array([-0.25]), NegativesConfig(4, relative_margin=0.1))
    assert place.tolist() == [[2, 3, -1, -1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"range_max": 2}, "range_max is 2: ranks 0 to 2 hold no 3 negatives; use at least 3"),
        ({"range_min": 5, "range_max": 7}, "range_max is 7: .*; use at least 8"),
        ({"range_max": 0}, "range_max is 0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        NegativesConfig(**options)


@pytest.mark.parametrize(
    ("options", "depth"),
    [
        ({}, 3),
        ({"range_min": 2}, 5),
        ({"range_min": 2, "range_max": 5}, 5),
        ({"max_score": 0.0}, 30),
        ({"absolute_margin": 0.0, "range_min": 4}, 34),
        ({"sampling": "random"}, 30),
        ({"sampling": "random", "range_max": 8}, 8),
    ],
)
def test_depth(options, depth):
    assert NegativesConfig(**options).depth == depth
