"""Blocks, bounds and exact scores against the definitions, in plain torch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import generator, scaled

from sbert.mining import exact
from sbert.mining.exact import CorpusBlock, ExactScorer, VectorSet

CPU = torch.device("cpu")


def vector_sets(similarity):
    g = generator()
    lengths = 10.0 ** torch.randint(-3, 3, (400, 1), generator=g)
    queries, corpus = torch.randn(20, 32, generator=g), torch.randn(400, 32, generator=g) * lengths
    return (VectorSet(x, similarity, CPU, "vector") for x in (queries, corpus))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_fast_scores_of_all_pairs_are_within_their_bounds(dtype, similarity):
    queries, corpus = vector_sets(similarity)
    block = CorpusBlock(corpus, slice(100, 400), dtype, 20)
    rounded, sum_error = exact.round_queries(queries.load(slice(0, 20)), block)
    fast = block.fast_scores(rounded, first=50).float()
    error = exact.score_error(fast, sum_error, dtype)
    expected = exact.exact_scores(queries.load(slice(0, 20)), corpus.load(slice(150, 400)))
    assert fast.shape == expected.shape == (20, 250)
    assert ((fast - expected).abs() <= error).all()


def test_vectors_are_read_alike_from_tensors_arrays_and_files(tmp_path):
    vectors = torch.randn(9, 5, generator=generator())
    vectors[3] = 0
    np.save(tmp_path / "x.npy", vectors.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for source in (vectors, vectors.numpy(), mapped, vectors.double()):
        loaded = VectorSet(source, "cosine", CPU, "vector")
        assert torch.equal(loaded.load(slice(2, 7)), scaled(vectors)[2:7])
        assert torch.equal(loaded.load(np.array([8, 3])), scaled(vectors)[[8, 3]])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 300), st.integers(1, 8))
def test_best_columns_are_those_of_topk(seed, rows, columns, keep):
    scores = torch.randn(rows, columns, generator=generator(seed))
    keep = min(keep, columns)
    best, column = exact.best_columns(scores, keep)
    expected, index = scores.topk(keep)
    assert torch.equal(best, expected)
    assert torch.equal(column, index)


@pytest.mark.parametrize("count", [0, 1, 512, 700])
def test_the_exact_scorer_equals_the_definition(count):
    g = generator()
    queries, corpus = torch.randn(30, 8, generator=g), torch.randn(90, 8, generator=g)
    row, column = torch.randint(30, (count,), generator=g), torch.randint(90, (count,), generator=g)
    scores = ExactScorer(8, CPU)(queries, row, corpus, column)
    assert torch.equal(scores, exact.exact_scores(queries, corpus)[row, column])


def test_blocks_cover_all_rows():
    assert list(exact.blocks_of(7, 3)) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert list(exact.blocks_of(0, 3)) == []
