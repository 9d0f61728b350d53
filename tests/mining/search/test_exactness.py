"""Exactness on data that is hard for low precision, against fp64 in plain torch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from vectors import generator, scaled

from sbert import InputError
from sbert.mining.search import int8_pass, top_k_search
from sbert.mining.search import top_k as top_k_module
from sbert.mining.search.int8 import int8_is_exact
from sbert.mining.search.sizes import CPU, Sizes
from sbert.mining.search.top_k import Corpus

INT8 = "auto"  # where there is a pass in int8

TILES = replace(CPU, scores=1500)  # several for a block
QUEUED = Sizes(queries=20, corpus=4000, vectors=200, scores=20_000, pairs=300, queued=True)


def random(shape, g):
    return torch.randn(shape, generator=g)


def chosen(shape, g, share):
    return torch.rand(shape, generator=g) < share


KINDS = {
    "random": random,
    "tight": lambda shape, g: 1 + 1e-4 * random(shape, g),
    "tighter": lambda shape, g: 1 + 2e-7 * random(shape, g).round(),
    "clustered": lambda shape, g: (
        random((9, shape[1]), g).repeat(shape[0] // 9 + 1, 1)[: shape[0]] + 0.05 * random(shape, g)
    ),
    "duplicates": lambda shape, g: random((3, shape[1]), g).repeat(shape[0] // 3 + 1, 1)[
        : shape[0]
    ],
    "zeros": lambda shape, g: random(shape, g) * chosen((shape[0], 1), g, 0.9),
    "sparse": lambda shape, g: random(shape, g) * chosen(shape, g, 0.05),
    "integers": lambda shape, g: (2 * random(shape, g)).round(),
    "denormal": lambda shape, g: random(shape, g) * 1e-39,
    "tiny": lambda shape, g: random(shape, g) * 1e-25,
    "huge": lambda shape, g: random(shape, g) * 1e18,
    "all lengths": lambda shape, g: (
        random(shape, g) * 10.0 ** (9 * random((shape[0], 1), g)).round().clamp(-37, 37)
    ),
    "one huge number": lambda shape, g: random(shape, g).index_fill(0, torch.tensor([0]), 3.4e38),
}


# what the examples have in common
CASE = {
    "seed": 0,
    "precision": "bf16",
    "query_block": None,
    "corpus_block": None,
    "sizes": CPU,
    "clusters": False,
}


@settings(max_examples=90, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    kinds=st.tuples(st.sampled_from(list(KINDS)), st.sampled_from(list(KINDS))),
    width=st.sampled_from([1, 2, 7, 32, 384, 1100]),
    count=st.sampled_from([1, 5, 40, 300, 700]),
    neighbours=st.sampled_from([1, 2, 10, -1, 0, 3]),
    similarity=st.sampled_from(["cosine", "dot"]),
    precision=st.sampled_from(["bf16", "fp16", "fp32", INT8]),
    query_block=st.sampled_from([None, 1, 3]),
    corpus_block=st.sampled_from([None, 37, 300]),
    excludes=st.booleans(),
    sizes=st.sampled_from([CPU, TILES, QUEUED]),
    clusters=st.booleans(),
)
@example(
    **CASE,
    kinds=("zeros", "zeros"),
    width=32,
    count=700,
    neighbours=10,
    similarity="cosine",
    excludes=True,
)
@example(
    **CASE,
    kinds=("one huge number", "denormal"),
    width=1,
    count=1,
    neighbours=1,
    similarity="dot",
    excludes=False,
)
@example(
    **CASE,
    kinds=("one huge number", "denormal"),
    width=2,
    count=1,
    neighbours=1,
    similarity="dot",
    excludes=False,
)
def test_hard_data(
    seed, kinds, width, count, neighbours, similarity, precision, query_block, corpus_block,
    excludes, sizes, clusters,
):  # fmt: skip
    g = generator(seed)
    queries, corpus = KINDS[kinds[0]]((5, width), g), KINDS[kinds[1]]((count, width), g)
    if excludes:  # each query is one of the corpus and excludes itself, and others
        queries = corpus[torch.arange(5) % count]
    k = max(1, neighbours if neighbours in (1, 2, 10) else count + neighbours)
    excluded = chosen((5, count), g, 0.2 if seed % 2 else 0.005) & excludes
    excluded[range(5), np.arange(5) % count] = excludes
    exclude = [row.nonzero()[:, 0].tolist() for row in excluded]
    largest = (queries.double().norm(dim=1).max() * corpus.double().norm(dim=1).max()).item()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_k_module, "sizes_for", lambda device, width: sizes)
        if clusters:  # look for them in small data too
            patch.setattr(top_k_search, "LEAST_CLUSTERED_QUERIES", 1)
            patch.setattr(top_k_search, "LEAST_CLUSTERED", 1)
        if precision == INT8:  # in small data too
            patch.setattr(top_k_module, "int8_is_fast", int8_is_exact)
            patch.setattr(top_k_search, "LEAST_INT8_QUERIES", 1)
            patch.setattr(top_k_search, "LEAST_INT8", 1)
            patch.setattr(int8_pass, "BLOCK", 64)
        corpus_set = Corpus(
            corpus, similarity, precision, query_block=query_block, corpus_block=corpus_block
        )
        try:
            found = corpus_set.top_k(queries, k, exclude)
        except InputError as error:
            if similarity == "cosine" or largest < 2e37:
                raise AssertionError("refused") from error
        else:
            # what is multiplied is shorter where vectors are around a centre
            centred = any(block.centre is not None for block in corpus_set.blocks())
            assert similarity == "cosine" or largest < 1.1e38 or centred
            check(*found, *scores_of(queries, corpus, similarity), excluded)


def scores_of(queries, corpus, similarity):
    """Scores in fp64 (Q, N), and a bound on what the order of adding changes in them."""
    if similarity == "cosine":
        queries, corpus = scaled(queries), scaled(corpus)
    queries, corpus = queries.double(), corpus.double()
    exact_sums = all((x == x.round()).all() and x.abs().max() < 2**20 for x in (queries, corpus))
    noise = queries.abs() @ corpus.abs().T * (queries.shape[1] * 2.0**-51)
    return queries @ corpus.T, noise * (not exact_sums)


def check(found, indices, scores, noise, excluded):
    """A row whose fp32 scores the order of adding does not change is that of the definition; in
    others each place has a score as good as that."""
    low, right, high = ((scores + sign * noise).float() for sign in (-1, 0, 1))
    clear = ((low == high) | excluded).all(1)
    missing = max(0, found.shape[1] - scores.shape[1])
    right = right.masked_fill(excluded, -torch.inf)
    ordered, order = right.sort(dim=1, descending=True, stable=True)
    ordered = torch.nn.functional.pad(ordered, (0, missing), value=-torch.inf)
    order = torch.nn.functional.pad(order, (0, missing), value=-1)
    order = order.masked_fill(ordered.isneginf(), -1)[:, : found.shape[1]]
    ordered = ordered[:, : found.shape[1]]
    assert torch.equal(found[clear], ordered[clear])
    assert torch.equal(indices[clear], order[clear])
    present = indices >= 0
    assert torch.equal(present, order >= 0)
    own = indices.clamp(min=0)
    assert not excluded.gather(1, own)[present].any()
    margin = 2 * noise.amax(1, keepdim=True) + 2.0**-23 * ordered.abs()
    for value in (found, right.gather(1, own)):
        assert ((value - ordered).abs() <= margin)[present].all()
    for row in indices:
        assert len(set(row[row >= 0].tolist())) == (row >= 0).sum()
