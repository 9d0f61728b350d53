"""All similar pairs equal a plain loop over pairs, whatever the blocks and the precision."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import generator, scaled

from sbert import InputError
from sbert.mining.search import similar_pairs as similar_pairs_module
from sbert.mining.search import top_k as top_k_module
from sbert.mining.search.fast_pass import FastPass
from sbert.mining.search.similar_pairs import SimilarPairs, similar_pairs
from sbert.mining.search.sizes import CPU
from sbert.mining.search.top_k import Corpus


def plain(vectors, threshold=None, limit=500_000):
    """A loop over pairs: fp64 products, rounded to fp32, 1 for equal vectors and at most 1 for
    others; by score, then by index."""
    given, vectors = vectors, scaled(vectors).double()
    products = (vectors @ vectors.T).float().clamp(-1, 1)
    products[(given[:, None] == given).all(-1) & given.any(-1)] = 1
    found = []
    for i in range(len(vectors)):
        for j in range(i + 1, len(vectors)):
            if threshold is None or products[i, j] >= threshold:
                found.append((-products[i, j].item(), i, j))
    found = sorted(found)[:limit]
    return torch.tensor([-score for score, _, _ in found]), torch.tensor(
        [pair for _, *pair in found]
    ).view(-1, 2)


def equal(found, expected):
    return all(torch.equal(mine, theirs) for mine, theirs in zip(found, expected, strict=True))


def nearly_equal():
    """Their cosines differ by less than bf16 can tell, and by more than fp32's rounding."""
    g = generator(5)
    return torch.randn(1, 8, generator=g) + 0.02 * torch.randn(200, 8, generator=g)


def vectors_of(seed, count=150, width=6):
    return torch.randn(count, width, generator=generator(seed))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"threshold": 0.5},
        {"threshold": 0.9},
        {"limit": 1},
        {"limit": 40},
        {"threshold": 0.3, "limit": 300},
        {"threshold": 1.0},
        {"threshold": -1.0, "limit": 10**6},
    ],
)
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("blocks", [(256, 131_072), (7, 64), (64, 40)])
def test_equals_the_loop_over_pairs(options, precision, blocks):
    vectors = torch.cat(
        [vectors_of(0), vectors_of(0)[:20] * 3, torch.zeros(2, 6)]
    )  # duplicates and zeros
    found = similar_pairs(
        vectors, precision=precision, query_block=blocks[0], corpus_block=blocks[1], **options
    )
    assert equal(found, plain(vectors, **options))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(0, 60),
    st.integers(1, 80),
    st.integers(1, 9),
    st.integers(1, 50),
)
def test_ties_at_the_limit_are_cut_by_index(seed, count, limit, query_block, corpus_block):
    vectors = torch.randint(-1, 2, (count, 3), generator=generator(seed)).float()
    found = similar_pairs(
        vectors, None, limit, precision="bf16", query_block=query_block, corpus_block=corpus_block
    )
    assert equal(found, plain(vectors, None, limit))


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_exact_duplicates_reach_any_threshold(precision):
    """Some have a cosine with themselves that rounds to less than 1."""
    vectors = vectors_of(1, count=60, width=5)
    own = (scaled(vectors).double() ** 2).sum(1).float()
    assert (own < 1).any()
    thrice = vectors.repeat(3, 1)
    scores, pairs = similar_pairs(thrice, threshold=1.0, precision=precision)
    assert scores.tolist() == [1.0] * 180
    assert pairs.tolist() == sorted(
        pair for i in range(60) for pair in ([i, i + 60], [i, i + 120], [i + 60, i + 120])
    )


@pytest.mark.parametrize("limit", [1, 40, 1000, 10**6])
@pytest.mark.parametrize("threshold", [None, 0.6, 1.0])
def test_many_duplicates_as_in_the_loop(limit, threshold):
    """Vectors on a coarse grid: duplicates, and ties between pairs of unlike groups."""
    for seed in range(3):
        vectors = torch.randint(-1, 3, (60, 3), generator=generator(seed)).float()
        vectors = vectors * torch.tensor([1.0, 0.37, 1e-3])
        found = similar_pairs(vectors, threshold, limit, query_block=7, corpus_block=20)
        assert equal(found, plain(vectors, threshold, limit))


def test_a_limit_bounds_the_pairs_of_duplicates():
    """100,000 equal vectors have 5e9 pairs."""
    vectors = torch.ones(100_001, 2)
    vectors[500] = torch.tensor([1.0, 0.9])
    scores, pairs = similar_pairs(vectors, limit=40)
    assert scores.tolist() == [1.0] * 40
    assert pairs.tolist() == [[0, j] for j in range(1, 41)]


def test_near_ties_are_told_apart():
    vectors = nearly_equal()
    assert equal(similar_pairs(vectors, limit=25, precision="bf16"), plain(vectors, limit=25))


def test_rows_in_any_order_and_shared(monkeypatch):
    """Two that search half of the rows each, joined, find what one finds."""
    vectors = vectors_of(3)
    one, other = (
        SimilarPairs(Corpus(vectors, precision="bf16", query_block=16), None, 50) for _ in range(2)
    )
    one.search(slice(90, 150))
    one.search(slice(0, 30))
    other.search(slice(30, 90))
    one.add(*other.best())
    assert equal(one.best(), plain(vectors, limit=50))


def test_the_bound_is_needed(monkeypatch):
    monkeypatch.setattr(FastPass, "bounds", lambda self, scores, row: (scores, scores))
    monkeypatch.setattr(FastPass, "threshold", lambda self, floor: floor)
    vectors = nearly_equal()
    assert not equal(similar_pairs(vectors, limit=25, precision="bf16"), plain(vectors, limit=25))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit is 0; it must be 1 or more"),
        ({"threshold": 80}, "threshold is 80; a cosine lies from -1 to 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        similar_pairs(torch.eye(3), **options)


def test_not_a_number():
    with pytest.raises(InputError, match="vector 2 contains NaN or infinity"):
        similar_pairs(torch.tensor([[1.0, 0], [0, 1], [np.nan, 0]]))


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_limit_bounds_the_memory_also_of_near_ties(precision, monkeypatch):
    """Of 13,500 pairs within clusters bf16 can tell none apart, and fp32 few."""
    g = generator(6)
    vectors = torch.randn(3, 64, generator=g).repeat_interleave(96, 0)
    vectors += 1e-3 * torch.randn(288, 64, generator=g)
    limit, tile, waiting = 100, 4096, []
    entries_from = similar_pairs_module.entries_from

    def watched(*args):
        waiting.append(sum(len(part.row) for part in search.unscored) + search.count)
        return entries_from(*args)

    sizes = replace(CPU, scores=tile, queries=32)
    monkeypatch.setattr(similar_pairs_module, "entries_from", watched)
    monkeypatch.setattr(top_k_module, "sizes_for", lambda device, width: sizes)
    search = SimilarPairs(Corpus(vectors, precision=precision), 0.9, limit)
    search.search(slice(0, 288))
    assert equal(search.best(), plain(vectors, 0.9, limit))
    assert len(waiting) > 10
    assert max(waiting) <= 3 * limit
