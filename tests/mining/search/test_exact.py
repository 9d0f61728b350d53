"""Blocks, bounds and exact scores against the definitions, in plain torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from vectors import generator, scaled

from sbert.mining.search import exact
from sbert.mining.search.exact import VectorSet
from sbert.mining.search.sizes import CPU as CPU_SIZES

CPU = torch.device("cpu")


def test_vectors_are_read_alike_from_tensors_arrays_and_files(tmp_path):
    vectors = torch.randn(9, 5, generator=generator())
    vectors[3] = 0
    np.save(tmp_path / "x.npy", vectors.numpy())
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for source in (vectors, vectors.numpy(), mapped, vectors.double()):
        loaded = VectorSet(source, "cosine", CPU, "vector")
        assert torch.equal(loaded.load(slice(2, 7)), scaled(vectors)[2:7])
        assert torch.equal(loaded.load(np.array([8, 3])), scaled(vectors)[[8, 3]])


@pytest.mark.parametrize("count", [0, 1, 512, 3000])
@pytest.mark.parametrize("queued", [False, True])
def test_exact_pair_scores_equal_the_definition(count, queued):
    g = generator()
    queries, corpus = torch.randn(30, 8, generator=g), torch.randn(90, 8, generator=g)
    row = torch.randint(30, (count,), generator=g).sort()[0]
    row = row[row % 7 != 0]  # queries without a pair
    column = torch.randint(90, (len(row),), generator=g)
    sizes = replace(CPU_SIZES, pairs=100, queued=queued)
    scores = exact.exact_pair_scores(queries, row, corpus, column, sizes)
    assert torch.equal(scores, exact.exact_scores(queries, corpus)[row, column])


def test_blocks_cover_all_rows():
    assert list(exact.blocks_of(7, 3)) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert list(exact.blocks_of(0, 3)) == []
