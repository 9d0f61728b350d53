"""Fast scores, their bounds and what reaches a floor, against the definitions in plain torch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import generator

from sbert.mining.search.corpus_block import CorpusBlock
from sbert.mining.search.exact import VectorSet, exact_scores
from sbert.mining.search.fast_pass import GROUP, FastPass, entries_from, group_maxima

CPU = torch.device("cpu")


CENTRES = pytest.mark.parametrize("centre", [False, True], ids=["around 0", "around a centre"])


def vector_sets(similarity, centre):
    g = generator()
    lengths = 10.0 ** torch.randint(-3, 3, (400, 1), generator=g)
    queries, corpus = torch.randn(20, 32, generator=g), torch.randn(400, 32, generator=g)
    if centre:
        common = torch.randn(32, generator=g)
        queries, corpus = common + 0.03 * queries, common + 0.03 * corpus
    return (VectorSet(x, similarity, CPU, "vector") for x in (queries, corpus * lengths))


def fast_and_exact(dtype, similarity, centre):
    """A fast pass in tiles of 8 vectors, its scores, and the exact ones: (20, 250) each."""
    queries, corpus = vector_sets(similarity, centre)
    queries = queries.load(slice(0, 20))
    block = CorpusBlock.load(corpus, slice(100, 400))
    fast = FastPass(queries, block.rounded(dtype), scores=160)
    assert fast.tile == 8
    scores = torch.cat([scores.clone() for _, scores in fast.tiles(first=50)], dim=1).float()
    return fast, scores, exact_scores(queries, corpus.load(slice(150, 400)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@CENTRES
def test_the_exact_scores_are_within_the_bounds_of_the_fast_ones(dtype, similarity, centre):
    fast, scores, exact = fast_and_exact(dtype, similarity, centre)
    assert scores.shape == exact.shape == (20, 250)
    row = torch.arange(20)[:, None].expand_as(scores)
    lower, upper = fast.bounds(scores, row)
    assert (lower <= exact).all()
    assert (exact <= upper).all()
    if similarity == "cosine" and dtype != torch.float32:  # and the bound is not wasteful
        error = (scores + fast.shift[:, None] - exact).abs().max()
        assert (upper - lower).max() < 100 * error


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@CENTRES
def test_what_is_below_the_threshold_is_below_the_floor(dtype, similarity, centre):
    fast, scores, exact = fast_and_exact(dtype, similarity, centre)
    for place in (0, 40, 120, 249):  # floors of every sign, which are scores themselves
        floor = exact.sort(dim=1, descending=True)[0][:, place]
        below = scores < fast.threshold(floor)[:, None]
        assert (exact < floor[:, None])[below].all()
        assert place == 249 or below.any()
    assert (fast.threshold(torch.full((20,), -torch.inf)) == -torch.inf).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("place", [0, 5, 120, 299])
@CENTRES
def test_bounds_and_threshold_of_scores_from_which_a_floor_is_subtracted(
    dtype, similarity, place, centre
):
    queries, corpus = vector_sets(similarity, centre)
    queries = queries.load(slice(0, 20))
    block = CorpusBlock.load(corpus, slice(100, 400))
    fast = FastPass(queries, block.rounded(dtype))
    exact = exact_scores(queries, block.fp32)
    floor = exact.sort(dim=1, descending=True)[0][:, place].clone()
    floor[3] = -torch.inf  # fewer than k so far
    scores = next(fast.tiles())[1].float().clone()
    less = fast.subtract(floor)
    assert less.shift[3] == fast.shift[3]
    scores_less = next(less.tiles())[1].float()
    for made_by, found in ((fast, scores), (less, scores_less)):
        lower, upper = made_by.bounds(found, torch.arange(20)[:, None].expand_as(found))
        assert (lower <= exact).all()
        assert (exact <= upper).all()
        below = found < made_by.threshold(floor)[:, None]
        assert (exact < floor[:, None])[below].all()
        below = lower < made_by.kept(floor)[:, None]
        assert (exact < floor[:, None])[below].all()
    if place == 5 and similarity == "cosine" and dtype != torch.float32 and not centre:
        assert near(less, floor) < 0.8 * near(fast, floor)
        shifted = less.shift > 0
        assert shifted.sum() > 15
        assert (less.threshold(floor)[shifted] > 0).all()


def near(fast, floor):
    """The mean distance of the bounds of scores at the floor of each query."""
    chosen = floor.isfinite()
    lower, upper = fast.bounds(floor - fast.shift)
    return (upper - lower)[chosen].mean()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_around_a_centre_the_bounds_are_narrow(dtype):
    g = generator()
    near = torch.randn(32, generator=g) + 0.01 * torch.randn(420, 32, generator=g)
    queries, corpus = (VectorSet(x, "cosine", CPU, "vector") for x in (near[:20], near[20:]))
    block = CorpusBlock.load(corpus, slice(0, 400))
    without = CorpusBlock(block.columns, block.fp32, block.at_once)
    without.centre = None
    queries = queries.load(slice(0, 20))
    errors = [FastPass(queries, one.rounded(dtype)).error.max() for one in (block, without)]
    least = 1.0 if dtype == torch.float32 else 50  # fp32 bounds the sum with q m
    assert errors[1] > least * errors[0]


@settings(max_examples=80, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.integers(1, 150),
    st.sampled_from([-1.5, -0.1, 0.0, 0.1, 1.5, torch.inf]),
    st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
)
def test_entries_from_a_threshold(seed, rows, columns, level, dtype):
    g = generator(seed)
    scores = torch.randn(rows, columns, generator=g).to(dtype)
    scores[torch.rand(rows, columns, generator=g) < 0.1] = -torch.inf
    threshold = level + 0.1 * torch.rand(rows, generator=g)
    found = []
    for row, column, value in entries_from(scores, threshold):
        assert (row.diff() >= 0).all()
        found += zip(row.tolist(), column.tolist(), value.tolist(), strict=True)
    row, column = (scores.float() >= threshold[:, None]).nonzero(as_tuple=True)
    values = scores.float()[row, column].tolist()
    assert sorted(found) == list(zip(row.tolist(), column.tolist(), values, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 200),
    st.sampled_from([-2.0, 0.0, 2.0]),
    st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
)
def test_the_largest_score_of_a_group(seed, columns, level, dtype):
    """It is one of the group, and the largest if that is positive; other scores are as they are."""
    g = generator(seed)
    scores = (torch.randn(3, columns, generator=g) + level).to(dtype)
    scores[:, ::7] = -torch.inf
    found, groups = group_maxima(scores), columns // GROUP
    for row, maxima in zip(scores, found, strict=True):
        for number in range(groups):
            members = row[: groups * GROUP][number::groups]
            assert maxima[number] in members
            assert maxima[number] == members.max() or members.max() <= 0
        assert torch.equal(maxima[groups:], row[groups * GROUP :])
