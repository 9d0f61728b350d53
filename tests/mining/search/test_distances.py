"""Nearest neighbours by a distance equal a plain loop, whatever the blocks."""

import numpy as np
import pytest
import torch
from vectors import generator

from sbert import InputError
from sbert.mining.search import distances
from sbert.mining.search.top_k import top_k

ORDER = {"euclidean": 2, "manhattan": 1}


def plain(queries, corpus, k, exclude, order):
    scores, indices = [], []
    for query, banned in zip(queries.double().numpy(), exclude, strict=True):
        all_distances = np.linalg.norm(corpus.double().numpy() - query, ord=order, axis=1)
        left = [(d, j) for j, d in enumerate(all_distances) if j not in banned]
        best = sorted(left)[:k] + [(np.inf, -1)] * max(0, k - len(left))
        scores.append([-distance for distance, _ in best])
        indices.append([j for _, j in best])
    return torch.tensor(np.array(scores)).float(), torch.tensor(indices)


@pytest.mark.parametrize("name", ORDER)
def test_equals_the_loop(name, monkeypatch):
    monkeypatch.setattr(distances, "QUERY_BLOCK", 3)
    monkeypatch.setattr(distances, "CORPUS_BLOCK", 7)
    g = generator()
    queries = torch.randint(-2, 3, (10, 3), generator=g).float()  # a coarse grid: many ties
    corpus = torch.randint(-2, 3, (40, 3), generator=g).float()
    exclude = [[i, 2 * i] for i in range(10)]
    for k in (1, 5, 39, 45):
        found = top_k(queries, corpus, k, exclude, name)
        torch.testing.assert_close(found, plain(queries, corpus, k, exclude, ORDER[name]))


def test_a_vector_is_at_distance_0_from_itself():
    vectors = torch.randn(60, 32, generator=generator(), dtype=torch.float32) + 100
    scores, indices = top_k(vectors, vectors, 1, similarity="euclidean")
    assert indices[:, 0].tolist() == list(range(60))
    assert not scores.any()


def test_nan_is_refused():
    with pytest.raises(InputError, match="corpus vector 1 contains NaN"):
        top_k(np.ones((1, 2)), np.array([[1, 1], [np.nan, 1]]), 1, similarity="manhattan")
