"""The pass in int8: its bounds hold, each term is needed, and it is taken where it pays."""

import numpy as np
import pytest
import torch
from misleading_vectors import better, inexact, sign, worse
from vectors import generator

from sbert.mining.search import int8_pass, top_k_search
from sbert.mining.search import top_k as top_k_module
from sbert.mining.search.exact import exact_scores, naive_top_k
from sbert.mining.search.int8 import int8_is_exact
from sbert.mining.search.int8_pass import Int8ErrorTerms, Int8Pass, Int8Vectors
from sbert.mining.search.top_k import Corpus, top_k
from sbert.mining.search.top_k_search import TopKSearch

pytestmark = pytest.mark.skipif(
    not int8_is_exact(), reason="this processor has no exact int8 product"
)


@pytest.fixture(params=[3, 32, 1100])
def vectors(request, monkeypatch):
    """Queries, and a corpus of many lengths, in blocks of 64."""
    monkeypatch.setattr(int8_pass, "BLOCK", 64)
    monkeypatch.setattr(int8_pass, "ROUNDED", 50)
    g = generator()
    lengths = 10.0 ** torch.randint(-3, 3, (300, 1), generator=g)
    queries, corpus = (torch.randn(n, request.param, generator=g) for n in (20, 300))
    return queries, corpus * lengths


def test_the_exact_scores_are_within_the_bounds(vectors):
    queries, corpus = vectors
    rounded = Int8Vectors(corpus)
    fast = Int8Pass(queries, rounded)
    exact = exact_scores(queries, corpus)[:, rounded.order]
    row = torch.arange(20)[:, None]
    for columns, scores in fast.tiles():
        lower, right = fast.lower(scores, row, columns), exact[:, columns]
        width = (2 * fast.error[:, columns.start // 64]).float()[:, None]
        assert (lower <= right).all()
        assert (right <= lower + 1.001 * width).all()
        estimate = lower.double() + width / 2
        assert width.max() < 300 * (estimate - right).abs().max()  # and is not wasteful
        for place in (0, 20, columns.stop - columns.start - 1):
            floor = right.sort(dim=1, descending=True)[0][:, place]
            below = scores < fast.threshold(floor, columns)[:, None]
            assert (right < floor[:, None])[below].all()
            below = lower < fast.kept(floor)[:, None]
            assert (right < floor[:, None])[below].all()


def test_blocks_are_of_like_largest_numbers(vectors):
    _, corpus = vectors
    rounded = Int8Vectors(corpus)
    largest = corpus.abs().amax(1)
    assert (largest[rounded.order].diff() >= 0).all()
    ends = [*range(63, 300, 64), 299]
    assert torch.allclose(rounded.scales, largest[rounded.order][ends].double() / 127, rtol=1e-6)
    assert rounded.places[rounded.order].tolist() == list(range(300))
    assert rounded.codes[ends].abs().amax(1).tolist() == [127] * 5


def test_all_reach_no_floor_and_none_the_largest(vectors):
    fast = Int8Pass(vectors[0], Int8Vectors(vectors[1]))
    excluded = torch.iinfo(torch.int32).min
    least = fast.threshold(torch.full((20,), -torch.inf), slice(0, 64))
    assert (least > excluded).all()
    assert (least < -1100 * 127 * 127).all()
    most = fast.threshold(torch.full((20,), 3e38), slice(0, 64))
    assert (most > 1100 * 127 * 127).all()


def ties_of_small_numbers():
    """The best scores are 2^-149 in fp32, so that the first are right; unrounded, the last are."""
    vectors = torch.zeros(300, 64)
    vectors[:, 0] = 2.0**-75 * (1 + (1 + torch.arange(300)) / 512)
    return torch.cat([vectors, -vectors])  # their centre is 0


CASES = {
    "of_queries": (inexact, torch.cat([worse(2.0**-5), better(2 * sign)])),
    "of_vectors": (2 * sign, torch.cat([worse(2.0**-6), inexact[None]])),
    "of_small_numbers": (torch.eye(64)[0] * 2.0**-75, ties_of_small_numbers()),
}


@pytest.fixture
def in_small_data(monkeypatch):
    monkeypatch.setattr(top_k_module, "int8_is_fast", lambda: True)
    monkeypatch.setattr(top_k_search, "LEAST_INT8_QUERIES", 1)
    monkeypatch.setattr(top_k_search, "LEAST_INT8", 1)
    monkeypatch.setattr(top_k_search, "CANDIDATES_PER_NEIGHBOUR", 1000)


@pytest.fixture
def passes(monkeypatch):
    """What each call of `search_int8` and `search_fast` was asked, and left undecided."""
    calls = []
    for name in ("search_int8", "search_fast"):
        method = getattr(TopKSearch, name)

        def counted(self, block, asked, *rest, method=method, name=name):
            undecided = method(self, block, asked, *rest)
            calls.append((name, len(asked), len(undecided)))
            return undecided

        monkeypatch.setattr(TopKSearch, name, counted)
    return calls


def test_all_terms_have_a_case():
    assert set(CASES) == {*Int8ErrorTerms._fields}


@pytest.mark.parametrize("term", CASES)
@pytest.mark.usefixtures("in_small_data")
def test_the_result_is_right_with_a_term_and_wrong_without(term, passes, monkeypatch):
    monkeypatch.setattr(int8_pass, "BLOCK", 100)
    query, corpus = CASES[term]
    queries = query.repeat(3, 1)
    scores, indices = naive_top_k(queries, corpus, 5, "dot")
    found = top_k(queries, corpus, 5, similarity="dot")
    assert torch.equal(found[0], scores)
    assert torch.equal(found[1], indices)
    assert passes[0][0] == "search_int8"
    all_terms = int8_pass.int8_error_terms

    def terms_without(*args):
        terms = all_terms(*args)
        return terms._replace(**{term: torch.zeros_like(terms.of_queries)})

    monkeypatch.setattr(int8_pass, "int8_error_terms", terms_without)
    assert not torch.equal(top_k(queries, corpus, 5, similarity="dot")[1], indices)


@pytest.mark.usefixtures("in_small_data")
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_what_is_excluded_is_not_found(vectors, passes, similarity):
    """Each query finds all others of the corpus before those that it excludes."""
    _, corpus = vectors
    exclude = [list(range(i, 300, 2 + i)) for i in range(20)]
    scores, order = naive_top_k(corpus[:20], corpus, 300, similarity)
    found = top_k(corpus[:20], corpus, 7, exclude, similarity)
    name, asked, undecided = passes[0]
    assert name == "search_int8"
    assert undecided < asked == 20
    for i, hidden in enumerate(exclude):
        left = [rank for rank, j in enumerate(order[i].tolist()) if j not in hidden][:7]
        assert torch.equal(found[0][i], scores[i, left])
        assert torch.equal(found[1][i], order[i, left])


@pytest.mark.usefixtures("in_small_data")
def test_a_few_undecided_queries_go_to_fp32_and_many_to_the_other_precisions(passes, monkeypatch):
    """A query near 700 vectors that int8 cannot tell apart among queries that are near none."""
    g = generator()
    corpus = torch.randn(4000, 32, generator=g)
    corpus[:700] = corpus[0] + 1e-3 * torch.randn(700, 32, generator=g)
    corpus[700:1400] = -corpus[:700]  # their centre is 0
    queries = torch.cat([corpus[:1], torch.randn(300, 32, generator=g)])
    expected = naive_top_k(queries, corpus, 5)
    for few, precisions in ((64, 1), (1, 2)):
        monkeypatch.setattr(top_k_search, "FEW", few)
        monkeypatch.setattr(top_k_module, "resolve_precision", lambda *args: torch.bfloat16)
        found = top_k(queries, corpus, 5)
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
        assert passes[0][:2] == ("search_int8", 301)
        undecided = passes[0][2]
        assert 1 <= undecided < 64
        assert passes[1][:2] == ("search_fast", undecided)
        assert len(passes) == 1 + precisions
        passes.clear()


@pytest.mark.usefixtures("in_small_data")
def test_where_int8_decides_no_query_it_is_tried_for_some(passes):
    g = generator()
    near = torch.randn(1, 32, generator=g) + 1e-3 * torch.randn(700, 32, generator=g)
    corpus = torch.cat([near, -near])
    queries = near + 1e-3 * torch.randn(700, 32, generator=g)
    found = top_k(queries, corpus, 5)
    for mine, right in zip(found, naive_top_k(queries, corpus, 5), strict=True):
        assert torch.equal(mine, right)
    assert passes[0] == ("search_int8", 700, 700)


@pytest.mark.usefixtures("in_small_data")
@pytest.mark.parametrize(("per_neighbour", "undecided"), [(0, 300), (1000, 0)])
def test_where_most_queries_have_many_candidates_it_is_not_worth_it(
    passes, monkeypatch, per_neighbour, undecided
):
    monkeypatch.setattr(top_k_search, "CANDIDATES_PER_NEIGHBOUR", per_neighbour)
    g = generator()
    queries, corpus = (torch.randn(n, 32, generator=g) for n in (300, 900))
    found = top_k(queries, corpus, 5)
    for mine, right in zip(found, naive_top_k(queries, corpus, 5), strict=True):
        assert torch.equal(mine, right)
    assert passes[0] == ("search_int8", 300, undecided)


@pytest.mark.usefixtures("in_small_data")
@pytest.mark.parametrize(
    ("precision", "near", "taken"),
    [("auto", 0, True), ("bf16", 0, False), ("fp32", 0, False), ("auto", 3, False)],
)
def test_where_it_is_taken(passes, precision, near, taken):
    """In precision auto, but for vectors around a centre, whose differences from it bf16 rounds."""
    g = generator()
    corpus = near + torch.randn(500, 16, generator=g)
    Corpus(corpus, precision=precision).top_k(corpus[:20], 3)
    assert ("search_int8" in [name for name, *_ in passes]) == taken


def test_small_data_are_not_worth_it(passes, monkeypatch):
    monkeypatch.setattr(top_k_module, "int8_is_fast", lambda: True)
    monkeypatch.setattr(top_k_search, "LEAST_INT8", 500)
    monkeypatch.setattr(top_k_search, "LEAST_INT8_QUERIES", 20)
    corpus = np.random.default_rng(0).normal(size=(500, 16))
    for count, queries, first in (
        (500, 20, "search_int8"),
        (499, 20, "search_fast"),
        (500, 19, "search_fast"),
    ):
        top_k(corpus[:queries], corpus[:count], 3)
        assert passes[0][0] == first
        passes.clear()
