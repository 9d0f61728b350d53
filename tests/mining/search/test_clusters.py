"""Clusters of vectors: what no score of one is above, and searches that leave whole ones out."""

import numpy as np
import pytest
import torch
from vectors import generator

from sbert.mining.search import cluster_candidates, top_k_search
from sbert.mining.search.exact import naive_top_k
from sbert.mining.search.top_k import Corpus, top_k
from sbert.mining.search.top_k_search import TopKSearch
from sbert.mining.search.vector_clusters import Clusters, find_clusters

WIDTH = 32


def clustered(count, noise=0.1, clusters=30, seed=0):
    g = generator(seed)
    centres = torch.randn(clusters, WIDTH, generator=generator(9))
    chosen = torch.randint(clusters, (count,), generator=g)
    return centres[chosen] + noise * torch.randn(count, WIDTH, generator=g)


def random(count, seed=0):
    return torch.randn(count, WIDTH, generator=generator(seed))


@pytest.fixture
def passes(monkeypatch):
    """How many queries each pass is asked, with clusters looked for in small data too."""
    asked = []
    monkeypatch.setattr(top_k_search, "LEAST_CLUSTERED_QUERIES", 1)
    monkeypatch.setattr(top_k_search, "LEAST_CLUSTERED", 1)
    for name in ("search_clusters", "search_fast", "search_exactly"):
        method = getattr(TopKSearch, name)

        def counted(self, block, queries, *args, name=name, method=method):
            asked.append((name, len(queries)))
            return method(self, block, queries, *args)

        monkeypatch.setattr(TopKSearch, name, counted)
    return asked


def test_bounds_by_hand():
    # the unit vector (1, 0) and the centre (0.6, 0.8): 0.6, and a radius of 0.1
    centres = torch.tensor([[0.6, 0.8], [0.0, -2.0]], dtype=torch.float64)
    radii = torch.tensor([0.1, 0.0], dtype=torch.float64)
    clusters = Clusters(centres, radii, torch.tensor([1, 2]), [])
    queries = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    bounds = clusters.upper_bounds(queries, clusters.scores(queries))
    torch.testing.assert_close(bounds, torch.tensor([[0.7, 0.0], [2.7, -6.0]]))


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
def test_no_score_is_above_the_bound_of_its_cluster(noise):
    vectors, queries = clustered(600, noise), torch.cat([clustered(40, noise, seed=1), random(40)])
    clusters = find_clusters(vectors, vectors[::3], 100)
    bounds = clusters.upper_bounds(queries, clusters.scores(queries))
    scores = (queries.double() @ vectors.double().T).float()
    assert torch.cat(clusters.members).sort()[0].tolist() == list(range(600))
    for i, members in enumerate(clusters.members):
        assert len(members) == clusters.counts[i]
        assert (scores[:, members] <= bounds[:, i, None]).all()


def test_clusters_are_found_and_what_is_in_none_is_apart():
    vectors = torch.cat([clustered(500), 5 * random(20, seed=5)])
    clusters = find_clusters(vectors, vectors[:500:2], 64)
    assert len(clusters) == 31
    assert set(clusters.members[-1].tolist()) == set(range(500, 520))
    assert clusters.radii[:-1].max() < 1.2  # 0.1 of about 6 in each of 32 dimensions
    assert clusters.radii[-1] > 10


@pytest.mark.parametrize(
    ("vectors", "seen"),
    [
        (random(500), 500),
        (1 + 0.01 * random(500), 500),  # around one centre
        (torch.cat([clustered(400), 5 * random(100, seed=5)]), 400),  # a fifth is in none
        (torch.zeros(100, WIDTH), 100),
        (torch.ones(1, WIDTH), 1),
    ],
)
def test_vectors_that_are_not_in_clusters_have_none(vectors, seen):
    assert find_clusters(vectors, vectors[:seen], 100) is None


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("blocks", [{}, {"query_block": 7, "corpus_block": 300}])
@pytest.mark.parametrize("noise", [0.001, 0.1, 0.4])
def test_the_search_of_clusters_is_exact(passes, similarity, blocks, noise):
    corpus, queries = clustered(1500, noise), clustered(600, noise, seed=1)
    corpus[100:120] = corpus[0]  # duplicates: equal scores in the order of their numbers
    exclude = [[i, 105, 0] for i in range(600)]
    expected = [x[:, :10] for x in naive_top_k(queries, corpus, 13, similarity)]
    found = top_k(queries, corpus, 10, similarity=similarity, **blocks)
    assert ("search_clusters", 600) in passes
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    found = top_k(queries, corpus, 10, exclude, similarity, **blocks)
    masked, order = naive_top_k(queries, corpus, 1500, similarity)
    for row, excluded in enumerate(exclude):
        kept = ~np.isin(order[row], excluded)
        assert found[1][row].tolist() == order[row][kept][:10].tolist()
        assert torch.equal(found[0][row], masked[row][kept][:10])


def test_queries_in_clusters_are_decided_there(passes):
    top_k(clustered(600, seed=1), clustered(1500), 5)
    assert passes[:2] == [("search_clusters", 600), ("search_fast", 0)]


def test_a_query_far_from_all_clusters_is_searched_as_others_are(passes):
    corpus, queries = clustered(1500), torch.cat([clustered(580, seed=1), random(20, seed=2)])
    found = top_k(queries, corpus, 5)
    assert passes[0] == ("search_clusters", 600)
    assert 0 < passes[1][1] <= 20
    for one, other in zip(found, naive_top_k(queries, corpus, 5), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("k", "asked"), [(20, 0), (120, 600)])
def test_more_neighbours_than_a_cluster_has_are_searched_as_others_are(passes, k, asked):
    corpus, queries = clustered(1500), clustered(600, seed=1)
    found = top_k(queries, corpus, k)
    assert passes[1] == ("search_fast", asked)
    for one, other in zip(found, naive_top_k(queries, corpus, k), strict=True):
        assert torch.equal(one, other)


def test_queries_with_many_near_ties_are_searched_as_others_are(passes, monkeypatch):
    monkeypatch.setattr(cluster_candidates, "CROWDED", 20)
    monkeypatch.setattr(cluster_candidates, "CROWDED_PER_NEIGHBOUR", 0)
    corpus, queries = clustered(1500, 1e-6), clustered(600, 1e-6, seed=1)
    found = top_k(queries, corpus, 5)
    assert passes[1] == ("search_fast", 600)
    for one, other in zip(found, naive_top_k(queries, corpus, 5), strict=True):
        assert torch.equal(one, other)


def test_without_the_radius_neighbours_are_lost(passes, monkeypatch):
    """Two clusters that touch, and queries between them: the bound is needed."""
    g = generator()
    one, other = torch.zeros(2, WIDTH), torch.zeros(2, WIDTH)
    one[:, 0], other[:, 0] = 1, 1
    one[:, 1], other[:, 1] = 0.3, -0.3
    far = torch.cat([clustered(800, seed=3), clustered(800, seed=4)])
    noise = 0.08 * torch.randn(200, WIDTH, generator=g)
    corpus = torch.cat([one[:1] + noise[:100], other[:1] + noise[100:], 0.2 * far])
    queries = (one + other)[:1] / 2 + 0.05 * torch.randn(900, WIDTH, generator=g)
    expected = naive_top_k(queries, corpus, 5, "dot")[1]
    assert torch.equal(top_k(queries, corpus, 5, similarity="dot")[1], expected)
    assert passes[1][1] < 90, "most are decided in clusters"
    bounds = Clusters.upper_bounds
    monkeypatch.setattr(
        Clusters, "upper_bounds", lambda self, q, s: bounds(self, q, s) - 0.9 * self.radii
    )
    assert not torch.equal(top_k(queries, corpus, 5, similarity="dot")[1], expected)


def test_one_corpus_finds_its_clusters_once(passes, monkeypatch):
    corpus = Corpus(clustered(1500))
    corpus.top_k(clustered(600, seed=1), 5)
    monkeypatch.setattr("sbert.mining.search.corpus_block.find_clusters", None)
    corpus.top_k(clustered(600, seed=2), 5)
    assert [name for name, _ in passes].count("search_clusters") == 2
