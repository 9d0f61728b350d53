"""Sampling of pairs: what must never be sampled, the samplers against plain loops, and for kde the
acceptance probability and the distribution of the scores kept."""

import math
import textwrap
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbert.augment import strategies
from sbert.augment.pool import SentencePool
from sbert.augment.strategies import (
    SAMPLER_BITS,
    SAMPLERS,
    STRATEGIES,
    SamplingOptions,
    accept_by_density,
    draw_indices,
    sample_pairs,
    sampler_names,
)
from sbert.errors import InputError
from sbert.texts import canonical

# few words, in several spellings, so that sentences, pairs and their mirror images often meet
SENTENCE = st.lists(st.sampled_from(["a", "A", "b", "c", "c "]), min_size=1, max_size=3).map(
    " ".join
)
PAIRS = st.lists(st.tuples(SENTENCE, SENTENCE), min_size=1, max_size=12)


def unordered(a, b):
    return frozenset((canonical(a), canonical(b)))


def some_vectors(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 6)).astype(np.float32)


def texts_of(pool, found):
    return [(pool.sentences[i], pool.sentences[j]) for i, j in found.pairs.tolist()]


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(deadline=None, max_examples=60)
@given(
    gold=PAIRS, target=PAIRS, k=st.integers(1, 4), count=st.integers(1, 40), seed=st.integers(0, 3)
)
def test_no_self_pair_no_gold_pair_and_none_twice(strategy, gold, target, k, count, seed):
    own = target if strategy == "given" else gold
    if len({canonical(text) for pair in own for text in pair}) < 2:
        return
    pool = SentencePool.from_texts(
        (text for pair in own for text in pair), gold, own if strategy == "given" else ()
    )
    assert len({canonical(text) for text in pool.sentences}) == len(pool)
    options = SamplingOptions(k, count, seed, some_vectors(len(pool)))
    try:
        found = sample_pairs(strategy, pool, options)
    except InputError:
        return  # no pair: see test_a_strategy_that_finds_nothing_says_so
    made = [unordered(*pair) for pair in texts_of(pool, found)]
    assert all(len(pair) == 2 for pair in made)
    assert not set(made) & {unordered(*pair) for pair in gold}
    assert len(set(made)) == len(made)
    assert {text for pair in texts_of(pool, found) for text in pair} <= {
        text for pair in own for text in pair
    }
    names = {part for name in sampler_names(found.samplers) for part in name.split("+")}
    assert names <= set(STRATEGIES[strategy])
    again = sample_pairs(strategy, pool, options)
    assert found.pairs.tolist() == again.pairs.tolist()


@given(st.integers(2, 12), st.integers(0, 80), st.integers(0, 5), st.data())
def test_random_draws_count_pairs_or_all(n, count, seed, data):
    pairs = list(combinations(range(n), 2))
    gold = data.draw(st.lists(st.sampled_from(pairs), max_size=len(pairs) - 1))
    free = len(pairs) - len(set(gold))
    pool = SentencePool.from_texts(map(str, range(n)), [(str(j), str(i)) for i, j in gold])
    options = SamplingOptions(count=count, seed=seed)
    if not min(count, free):
        with pytest.raises(InputError, match="strategy random: finds no pair"):
            sample_pairs("random", pool, options)
        return
    found = sample_pairs("random", pool, options).pairs
    assert len(found) == min(count, free)
    assert (found[:, 0] < found[:, 1]).all()
    if count >= free:
        assert {tuple(pair) for pair in found.tolist()} == set(pairs) - set(gold)


def test_random_pairs_are_all_equally_likely():
    """Two of eight free pairs: each in a quarter of the draws, within five deviations."""
    pool = SentencePool.from_texts("abcde", [("a", "b"), ("e", "c")])
    drawn = Counter(
        tuple(p)
        for seed in range(2000)
        for p in sample_pairs("random", pool, SamplingOptions(count=2, seed=seed)).pairs.tolist()
    )
    assert len(drawn) == 8
    assert all(abs(n - 500) < 5 * math.sqrt(2000 * 0.25 * 0.75) for n in drawn.values())


def nearest(vectors, i, without, k):
    """A loop: the k largest cosines."""
    lengths = np.linalg.norm(vectors, axis=1)
    cosine = vectors @ vectors[i] / lengths / lengths[i]
    return sorted((j for j in range(len(vectors)) if j not in without), key=lambda j: -cosine[j])[
        :k
    ]


def test_semantic_finds_k_neighbours_beside_the_known_ones():
    vectors = some_vectors(12)
    known = [(0, nearest(vectors, 0, {0}, 1)[0]), (3, 7)]
    pool = SentencePool.from_texts(map(str, range(12)), [(str(i), str(j)) for i, j in known])
    found = sample_pairs("semantic", pool, SamplingOptions(k=2, vectors=vectors))
    expected = set()
    for i in range(12):
        without = {i} | {b for a, b in known if a == i} | {a for a, b in known if b == i}
        expected |= {tuple(sorted((i, j))) for j in nearest(vectors, i, without, 2)}
    assert {tuple(pair) for pair in found.pairs.tolist()} == expected
    assert set(sampler_names(found.samplers)) == {"semantic"}


def test_bm25_finds_pairs_that_share_words():
    pool = SentencePool.from_texts(
        ["red cat", "red dog", "blue cat", "green", "a blue house"], [("red cat", "blue cat")]
    )
    found = set(texts_of(pool, sample_pairs("bm25", pool, SamplingOptions())))
    assert found == {("red cat", "red dog"), ("blue cat", "a blue house")}


def test_a_pair_of_two_samplers_is_listed_once_with_both_names():
    texts, vectors = [f"{a} {b}" for a in "abcd" for b in "wxyz"], some_vectors(16)
    pool, options = SentencePool.from_texts(texts), SamplingOptions(2, vectors=vectors)
    parts = {
        name: set(texts_of(pool, sample_pairs(name, pool, options)))
        for name in ("bm25", "semantic")
    }
    both = sample_pairs("bm25_semantic", pool, options)
    named = dict(zip(texts_of(pool, both), sampler_names(both.samplers), strict=True))
    assert len(named) == len(both.pairs)
    for pair, name in named.items():
        assert name == "+".join(source for source in ("bm25", "semantic") if pair in parts[source])
    assert set(named) == parts["bm25"] | parts["semantic"]
    assert set(named.values()) == {"bm25", "semantic", "bm25+semantic"}


def test_given_pairs_keep_their_order():
    given_pairs = [("d", "a"), ("b", "c"), ("a", "D"), ("c", "c"), ("c", "a"), ("b", "d")]
    pool = SentencePool.from_texts("abcd", [("a", "c")], given_pairs)
    assert texts_of(pool, sample_pairs("given", pool, SamplingOptions())) == [
        ("d", "a"),
        ("b", "c"),
        ("b", "d"),
    ]


@pytest.mark.parametrize(
    ("strategy", "texts", "known"),
    [
        ("bm25", ["a cat", "two dogs"], []),
        ("random", ["a cat", "two dogs"], [("two dogs", "a cat")]),
        ("semantic", ["a cat", "two dogs"], [("two dogs", "a cat")]),
        ("given", ["a cat", "two dogs"], []),
    ],
)
def test_a_strategy_that_finds_nothing_says_so(strategy, texts, known):
    pool = SentencePool.from_texts(texts, known)
    with pytest.raises(
        InputError, match=f"strategy {strategy}: finds no pair among 2 sentences that is not known"
    ):
        sample_pairs(strategy, pool, SamplingOptions(vectors=some_vectors(2)))


@given(st.integers(1, 60), st.one_of(st.none(), st.integers(1, 70)), st.integers(0, 5))
def test_draw_indices(total, number, seed):
    kept = draw_indices(total, number, seed).tolist()
    assert kept == sorted(set(kept))
    assert len(kept) == (total if number is None else min(total, number))
    assert set(kept) <= set(range(total))


def test_the_samplers_of_every_strategy_are_known():
    assert {name for names in STRATEGIES.values() for name in names} == set(SAMPLERS)
    assert max(SAMPLER_BITS.values()) < 256  # one byte a pair


def test_the_strategy_of_the_docstring(monkeypatch):
    example = textwrap.dedent(strategies.__doc__.split("\n\n")[2])
    names = dict(vars(strategies))
    exec(example, names)
    monkeypatch.setitem(SAMPLERS, "same_length", names["same_length_pairs"])
    monkeypatch.setitem(STRATEGIES, "same_length", ("same_length",))
    monkeypatch.setitem(SAMPLER_BITS, "same_length", 1 << 7)
    pool = SentencePool.from_texts(["a", "b", "cc", "d", "ee"], [("a", "d")])
    pairs = texts_of(pool, sample_pairs("same_length", pool, SamplingOptions()))
    assert pairs == [("a", "b"), ("b", "d"), ("cc", "ee")]


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
