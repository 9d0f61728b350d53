"""Exact nearest neighbours equal a plain loop, whatever the data, blocks and precision."""

import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import generator, scaled

from sbert import InputError
from sbert.mining.search import top_k as top_k_module
from sbert.mining.search.best_so_far import first_of_best
from sbert.mining.search.corpus_block import CorpusBlock
from sbert.mining.search.exact import VectorSet, exact_scores, naive_top_k
from sbert.mining.search.fast_pass import FastPass
from sbert.mining.search.floor_search import FloorSearch
from sbert.mining.search.queries import exclusion_matrix
from sbert.mining.search.query_part import QueryPart
from sbert.mining.search.similar_pairs import similar_pairs
from sbert.mining.search.sizes import CPU, Sizes
from sbert.mining.search.top_k import Corpus, top_k
from sbert.mining.search.top_k_search import TopKSearch, part_size


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


TILES = replace(CPU, scores=1000)  # several for a block
# those of a device that works through a queue, on the CPU: so that their search is tested here
QUEUED = Sizes(queries=20, corpus=4000, vectors=200, scores=20_000, pairs=300, queued=True)
SIZES = {"cpu": CPU, "tiles": TILES, "queued": QUEUED}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("excludes", [False, True])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_equals_the_definition(case, similarity, precision, excludes, sizes, monkeypatch):
    monkeypatch.setattr(top_k_module, "sizes_for", lambda device, width: sizes)
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


def both_sides(vectors):
    """Each with its opposite, so that their centre is 0."""
    return torch.stack([vectors, -vectors], dim=1).flatten(0, 1)


def crowding():
    """Twice 600 unlike vectors that bf16 cannot tell apart, and fp32 can."""
    g = generator(4)
    return torch.randn(6, 8, generator=g), both_sides(1 + 1e-4 * torch.randn(600, 8, generator=g))


def around_a_centre():
    """600 unlike vectors that bf16 cannot tell apart but by their differences from the centre."""
    g = generator(4)
    near = 1 + 0.01 * torch.randn(606, 8, generator=g)
    return near[600:], near[:600]


def indistinguishable():
    """Twice 600 unlike vectors whose scores differ by less than the bound of fp32."""
    g = generator(5)
    return torch.randn(6, 8, generator=g), both_sides(
        1 + 2e-7 * torch.randint(6, (600, 8), generator=g)
    )


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (random_vectors, {"bf16": 40}),
        (duplicates, {"bf16": 6}),
        (crowding, {"bf16": 6, "fp32": 6}),
        (around_a_centre, {"bf16": 6}),
        (indistinguishable, {"bf16": 6, "fp32": 6, "exactly": 6}),
    ],
)
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_what_a_precision_cannot_decide_goes_to_the_next(case, expected, sizes, monkeypatch):
    monkeypatch.setattr(top_k_module, "sizes_for", lambda device, width: sizes)
    searched = Counter()
    fast, exactly = TopKSearch.search_fast, TopKSearch.search_exactly

    def count_fast(self, block, asked, dtype, advance):
        searched["bf16" if dtype == torch.bfloat16 else "fp32"] += len(asked)
        return fast(self, block, asked, dtype, advance)

    def count_exactly(self, block, asked):
        searched["exactly"] += len(asked)
        return exactly(self, block, asked)

    monkeypatch.setattr(TopKSearch, "search_fast", count_fast)
    monkeypatch.setattr(TopKSearch, "search_exactly", count_exactly)
    queries, corpus = case()
    found = top_k(queries, corpus, 5, precision="bf16")
    for mine, right in zip(found, plain(queries, corpus, 5), strict=True):
        assert torch.equal(mine, right)
    assert +searched == Counter(expected)


def test_the_bound_is_needed(monkeypatch):
    """Without it the fast pass alone loses neighbours: the test of exactness can fail."""
    g = generator()
    queries, centres = torch.randn(6, 8, generator=g), torch.randn(9, 8, generator=g)
    corpus = centres.repeat(100, 1) + 1e-3 * torch.randn(900, 8, generator=g)
    expected = plain(queries, corpus, 5)[1]
    assert torch.equal(top_k(queries, corpus, 5, precision="bf16")[1], expected)
    init = FastPass.__init__

    def without_bound(self, *args, **options):
        init(self, *args, **options)
        self.error, self.eps = torch.zeros_like(self.error), 0.0

    monkeypatch.setattr(FastPass, "__init__", without_bound)
    assert not torch.equal(top_k(queries, corpus, 5, precision="bf16")[1], expected)


def test_many_duplicates_are_searched_once_and_a_few_where_they_crowd():
    g = generator(6)
    corpus = torch.randn(2000, 8, generator=g)
    corpus[700:1300] = corpus[5]
    queries = torch.cat([corpus[5:6], torch.randn(3, 8, generator=g)])
    exclude = [list(range(690, 1295)), [5], list(range(700, 1300)), []]
    for k in (3, 300):
        found = top_k(queries, corpus, k, exclude, precision="bf16", corpus_block=900)
        for mine, expected in zip(found, plain(queries, corpus, k, exclude), strict=True):
            assert torch.equal(mine, expected)


@pytest.mark.parametrize(("count", "k"), [(3000, 5), (3000, 40), (70, 5), (4, 5)])
def test_k_scores_reach_the_first_floor(count, k):
    """From groups, from all scores of the first tile, and where there are fewer than k."""
    g = generator()
    queries, corpus = torch.randn(9, 8, generator=g), torch.randn(count, 8, generator=g)
    searched = Corpus(corpus, precision="bf16")
    block = next(searched.blocks())
    loaded = VectorSet(queries, "cosine", torch.device("cpu"), "query").load(slice(0, 9))
    (excluded,) = block.excluded(exclusion_matrix(None, 9, count), np.arange(9), 9)
    fast = FastPass(loaded, block.rounded(torch.bfloat16))
    nothing = torch.full((9,), -torch.inf)
    floor = FloorSearch(QueryPart(block, torch.arange(9), loaded, fast, excluded, nothing, k)).floor
    scores = exact_scores(loaded, block.fp32)
    assert ((scores >= floor[:, None]).sum(1) >= min(k, count)).all()
    assert floor.isfinite().all() == (count >= k)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 12))
def test_the_first_of_the_best(seed, columns, k):
    scores = torch.randint(4, (3, columns), generator=generator(seed)).float()
    scores[:, ::3] = -torch.inf
    order = scores.sort(dim=1, descending=True, stable=True)[1][:, :k]
    expected = torch.zeros_like(scores, dtype=torch.bool).scatter(1, order, True)
    assert torch.equal(first_of_best(scores, k), expected & scores.isfinite())


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize(
    ("of_queries", "of_corpus"),
    [(1, 1e-30), (1e10, 1e-36), (1e18, 1e-25), (1e18, 1e-10), (1e-10, 1e18), (1e-20, 1e-20)],
)
def test_lengths_beyond_the_squares_of_fp32(of_queries, of_corpus, precision):
    """|q| |c| is far below 1e38; the square of one of them is 0 or infinite in fp32."""
    g = generator()
    near = torch.randn(1, 384, generator=g)
    queries = (near + 0.02 * torch.randn(12, 384, generator=g)) * of_queries
    corpus = (near + 0.02 * torch.randn(500, 384, generator=g)) * of_corpus
    found = top_k(queries, corpus, 5, None, "dot", precision)
    for mine, expected in zip(found, plain(queries, corpus, 5, None, "dot"), strict=True):
        assert torch.equal(mine, expected)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("length", [0.0, 1e-30])
def test_the_largest_number_and_a_small_query(length, precision):
    """The largest number of fp32 is infinite in bf16."""
    queries, corpus = torch.full((2, 8), length), torch.randn(300, 8, generator=generator())
    corpus[3] = torch.finfo(torch.float32).max
    found = top_k(queries, corpus, 5, None, "dot", precision)
    for mine, expected in zip(found, plain(queries, corpus, 5, None, "dot"), strict=True):
        assert torch.equal(mine, expected)


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_numbers_that_a_product_in_bf16_takes_for_zero(precision):
    """The better half of the corpus is exact in bf16, and all its numbers are below 2^-126."""
    queries, corpus = torch.full((64, 64), 1e36), torch.zeros(900, 64)
    steps = torch.arange(450.0)[:, None]
    corpus[:450, :1] = 2.0**-126 * (1 + steps.remainder(60) / 128)
    corpus[450:, 1:3] = 2.0**-126 * (1 - (1 + steps.remainder(30)) / 128)
    found = top_k(queries, corpus, 5, None, "dot", precision)
    for mine, expected in zip(found, plain(queries, corpus, 5, None, "dot"), strict=True):
        assert torch.equal(mine, expected)


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


@pytest.mark.parametrize("case", [random_vectors, crowding, duplicates])
def test_threads_do_not_show(case):
    queries, corpus = case()
    queries = queries.repeat(40, 1)[:200]
    exclude = [[i % 7] for i in range(200)]
    expected = top_k(queries, corpus, 5, exclude, precision="bf16")
    torch.set_num_threads(3)
    try:
        found = top_k(queries, corpus, 5, exclude, precision="bf16", query_block=11)
    finally:
        torch.set_num_threads(1)
    for mine, right in zip(found, expected, strict=True):
        assert torch.equal(mine, right)


@given(st.integers(1, 5000), st.integers(1, 1024), st.integers(1, 9))
def test_parts_are_alike_and_as_many_for_each_thread(count, most, threads):
    size = part_size(count, most, threads)
    assert 1 <= size <= most
    parts = -(-count // size)
    assert parts <= threads * -(-count // (most * threads))


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("k", [1, 10, 599])
def test_a_duplicate_of_an_excluded_vector_keeps_its_place_among_ties(sizes, k, monkeypatch):
    """Two vectors of zeros, of which a query excludes the first: all scores are 0."""
    monkeypatch.setattr(top_k_module, "sizes_for", lambda device, width: sizes)
    corpus = torch.randn(600, 16, generator=generator())
    corpus[3] = corpus[500] = 0
    queries, exclude = corpus[3:4].repeat(3, 1), [[3], [500, 0], [3, 500, 1]]
    found = top_k(queries, corpus, k, exclude)
    for mine, expected in zip(found, plain(queries, corpus, k, exclude), strict=True):
        assert torch.equal(mine, expected)


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
        ({"query_block": 0}, "query_block is 0; it must be 1 or more"),
        ({"corpus_block": -1}, "corpus_block is -1; it must be 1 or more"),
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


def test_the_precision_of_other_products_does_not_matter():
    """A process that trains with fp32 products in bf16 or TF32 searches exactly."""
    g = generator()
    corpus = torch.randn(1, 384, generator=g) + 0.02 * torch.randn(500, 384, generator=g)
    expected = plain(corpus[:20], corpus, 5)
    torch.set_float32_matmul_precision("medium")
    try:
        found = [top_k(corpus[:20], corpus, 5, precision=p) for p in ("bf16", "fp32")]
    finally:
        torch.set_float32_matmul_precision("highest")
    for mine in found:
        assert torch.equal(mine[0], expected[0])
        assert torch.equal(mine[1], expected[1])


def test_one_block_of_the_corpus_is_there_at_a_time(monkeypatch):
    alive, load = [], CorpusBlock.load.__func__

    def watched(cls, *args):
        assert not any(block() for block in alive)
        block = load(cls, *args)
        alive.append(weakref.ref(block))
        return block

    monkeypatch.setattr(CorpusBlock, "load", classmethod(watched))
    vectors = torch.randn(100, 8, generator=generator())
    top_k(vectors, vectors, 3, corpus_block=20)
    assert len(alive) == 5
    similar_pairs(vectors, threshold=0.5, corpus_block=20)
    assert len(alive) == 10


def test_a_sample_of_more_vectors_than_fp32_can_count():
    block = CorpusBlock(slice(0, 2**24 + 4), torch.ones(2**24 + 4, 1), 2**18)
    assert len(block._sample) == 512
