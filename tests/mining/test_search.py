"""Exact nearest neighbours equal a plain loop, whatever the data, blocks and precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import generator, scaled

from sbert import InputError
from sbert.device import DTYPES
from sbert.mining import exact, search
from sbert.mining.exact import naive_top_k
from sbert.mining.search import Corpus, TopKSearch, top_k


def plain(queries, corpus, k, exclude=None, similarity="cosine"):
    """The definition, query by query: fp64 products, rounded to fp32, by score and index."""
    if similarity == "cosine":
        queries, corpus = scaled(queries), scaled(corpus)
    scores, indices = [], []
    for i, query in enumerate(torch.as_tensor(queries)):
        row = (torch.as_tensor(corpus).double() @ query.double()).float().tolist()
        banned = set(exclude[i]) if exclude else set()
        best = sorted((-score, j) for j, score in enumerate(row) if j not in banned)[:k]
        best += [(float("inf"), -1)] * (k - len(best))
        scores.append([-score for score, _ in best])
        indices.append([j for _, j in best])
    return torch.tensor(scores), torch.tensor(indices)


def near_duplicates():
    g = generator()
    return torch.randn(6, 8, generator=g), torch.randn(1, 8, generator=g) + 1e-4 * torch.randn(
        900, 8, generator=g
    )


def duplicates():
    g = generator(1)
    return torch.randn(6, 8, generator=g), torch.randn(7, 8, generator=g).repeat(120, 1)


def all_lengths():
    g = generator(2)
    return torch.randn(6, 8, generator=g) * 1e-10, torch.randn(
        900, 8, generator=g
    ) * 10.0 ** torch.randint(-18, 18, (900, 1), generator=g)


def random_vectors():
    g = generator(3)
    return torch.randn(40, 16, generator=g), torch.randn(3000, 16, generator=g)


CASES = {
    "random": random_vectors,
    "near ties": near_duplicates,
    "duplicates": duplicates,
    "tiny and huge": all_lengths,
    "zero queries": lambda: (torch.zeros(3, 8), random_vectors()[1][:, :8]),
    "zeros in the corpus": lambda: (
        torch.eye(4),
        torch.cat([torch.zeros(500, 4), -torch.eye(4), torch.eye(4)]),
    ),
    "fewer than k": lambda: (torch.eye(3), torch.eye(3)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("excludes", [False, True])
def test_equals_the_definition(case, similarity, precision, excludes):
    queries, corpus = case()
    exclude = (
        [list(range(i % 4, len(corpus), 2 + i)) for i in range(len(queries))] if excludes else None
    )
    found = top_k(
        queries, corpus, 5, exclude, similarity, precision, query_block=7, corpus_block=700
    )
    for mine, expected in zip(found, plain(queries, corpus, 5, exclude, similarity), strict=True):
        assert torch.equal(mine, expected)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_naive_form_is_the_definition(case, similarity):
    queries, corpus = case()
    found = naive_top_k(queries, corpus, 3, similarity)
    for mine, expected in zip(found, plain(queries, corpus, 3, None, similarity), strict=True):
        assert torch.equal(mine, expected)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 9),
    st.integers(1, 60),
    st.integers(1, 70),
    st.integers(1, 12),
    st.integers(1, 90),
)
def test_blocks_do_not_show(seed, query_count, corpus_count, k, query_block, corpus_block):
    g = generator(seed)
    # few different numbers, so that ties abound
    queries = torch.randint(-2, 3, (query_count, 4), generator=g).float()
    corpus = torch.randint(-2, 3, (corpus_count, 4), generator=g).float()
    found = top_k(
        queries,
        corpus,
        k,
        None,
        "cosine",
        "bf16",
        query_block=query_block,
        corpus_block=corpus_block,
    )
    for mine, expected in zip(found, plain(queries, corpus, k), strict=True):
        assert torch.equal(mine, expected)


def test_easy_queries_are_certified_and_near_ties_are_searched_again(monkeypatch):
    again = []
    slow = TopKSearch.search_exactly
    monkeypatch.setattr(
        TopKSearch,
        "search_exactly",
        lambda self, rows: again.extend(rows.tolist()) or slow(self, rows),
    )
    top_k(*random_vectors(), 5, precision="bf16")
    assert again == []
    queries, corpus = near_duplicates()
    top_k(queries, corpus, 5, precision="bf16")
    assert again == list(range(len(queries)))
    again.clear()
    top_k(queries, corpus, 5, precision="fp32")  # apart by more than the rounding of fp32
    assert again == []


def test_the_certificate_is_needed(monkeypatch):
    """Without it the fast pass alone loses neighbours: the test of exactness can fail."""
    monkeypatch.setattr(TopKSearch, "uncertified", lambda self: np.arange(0))
    queries, corpus = near_duplicates()
    assert not torch.equal(
        top_k(queries, corpus, 5, precision="bf16")[1], plain(queries, corpus, 5)[1]
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_the_bound_holds_for_every_vector_that_was_dropped(dtype, similarity, monkeypatch):
    for seed in range(5):
        g = generator(seed)
        queries, corpus = (
            torch.randn(n, 32, generator=g) * torch.rand(n, 1, generator=g) * 3 for n in (20, 400)
        )
        left, right = (
            exact.VectorSet(x, similarity, torch.device("cpu"), "x") for x in (queries, corpus)
        )
        precision = next(name for name, known in DTYPES.items() if known == dtype)
        searched = Corpus(corpus, similarity, precision)
        searched.dtype = dtype  # also fp16 with dot products, of these short vectors
        running = TopKSearch(searched, queries, 3)
        kept: list[torch.Tensor] = []
        monkeypatch.setattr(
            running, "_merge", lambda q, scores, indices, kept=kept: kept.append(indices)
        )
        running.search_block(exact.CorpusBlock(right, slice(0, 400), dtype, 20), slice(0, 20))
        scores = left.load(slice(0, 20)).double() @ right.load(slice(0, 400)).double().T
        assert kept[0].shape[1] == 3 + search.SPARE
        dropped = scores.scatter(1, kept[0], -torch.inf).max(dim=1).values
        assert (dropped <= running.dropped_bound).all()


def test_the_rounding_of_the_products_counts_too():
    """Vectors that are exact in bf16, with products that are not; the better half comes last."""
    steps = torch.arange(600.0)[:, None]
    corpus = torch.cat(
        [torch.ones(600, 1), (steps % 32) * 2.0**-14, (steps // 32) * 2.0**-9], dim=1
    )
    corpus[:, 2] *= 2.0**-4
    assert torch.equal(corpus.bfloat16().float(), corpus)
    queries = torch.ones(2, 3)
    for mine, expected in zip(
        top_k(queries, corpus, 5, similarity="dot", precision="bf16"),
        plain(queries, corpus, 5, None, "dot"),
        strict=True,
    ):
        assert torch.equal(mine, expected)


def test_memory_mapped_corpus_and_arrays(tmp_path):
    queries, corpus = (x.numpy() for x in random_vectors())
    np.save(tmp_path / "corpus.npy", corpus)
    mapped = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    for mine, expected in zip(top_k(queries, mapped, 4), plain(queries, corpus, 4), strict=True):
        assert torch.equal(mine, expected)


def test_excluded_as_an_array():
    queries, corpus = random_vectors()
    exclude = np.array([[i, i + 1, -1, 5] for i in range(len(queries))])
    expected = top_k(queries, corpus, 4, [[j for j in row if j >= 0] for row in exclude.tolist()])
    for mine, other in zip(top_k(queries, corpus, 4, exclude), expected, strict=True):
        assert torch.equal(mine, other)


def test_a_query_whose_every_candidate_is_excluded():
    scores, indices = top_k(torch.eye(2), torch.eye(2), 2, [[0, 1], [1]])
    assert indices.tolist() == [[-1, -1], [0, -1]]
    assert scores.tolist() == [[-torch.inf, -torch.inf], [0, -torch.inf]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0; it must be 1 or more"),
        ({"corpus": torch.zeros(0, 2)}, "the corpus is empty"),
        (
            {"corpus": torch.zeros(3, 4)},
            r"queries and corpus are \(2, 2\) and \(3, 4\); they must be \(Q, H\) and \(N, H\)",
        ),
        ({"queries": torch.tensor([[1.0, 0], [torch.nan, 0]])}, "query 1 contains NaN or infinity"),
        (
            {"corpus": torch.tensor([[1.0, 0], [0, torch.inf]])},
            "corpus vector 1 contains NaN or infinity",
        ),
        ({"exclude": [[0], [2]]}, "query 1 excludes 2; the corpus has 0 to 1"),
        ({"exclude": [[0]]}, "exclude has 1 entries for 2 queries"),
        ({"similarity": "hamming"}, "unknown similarity 'hamming'; known: cosine, dot"),
        (
            {
                "queries": torch.full((2, 2), 1e30),
                "corpus": torch.full((2, 2), 1e30),
                "similarity": "dot",
            },
            "near the largest fp32",
        ),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(InputError, match=message):
        top_k(**({"queries": torch.eye(2), "corpus": torch.eye(2), "k": 1} | options))


def test_the_progress_bar_counts_pairs(capsys):
    queries, corpus = torch.eye(3), torch.eye(3).repeat(5, 1)
    top_k(queries, corpus, 2, query_block=2, corpus_block=4, progress=True)
    assert "45.0/45.0" in capsys.readouterr().err
    top_k(queries, corpus, 2)
    assert capsys.readouterr().err == ""
