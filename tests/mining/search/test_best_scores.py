"""The search for a device that works through a queue, on the CPU: what it keeps, and that nothing
in its loops waits for the device."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vectors import generator
from waits import CountWaits

from sbert.mining.search import top_k as top_k_module
from sbert.mining.search.best_scores import best_of_tile
from sbert.mining.search.exact import naive_top_k
from sbert.mining.search.similar_pairs import similar_pairs
from sbert.mining.search.sizes import CPU, Sizes, device_sizes, sizes_for
from sbert.mining.search.top_k import top_k

QUEUED = Sizes(queries=32, corpus=2**14, vectors=2**10, scores=2**16, pairs=2**12, queued=True)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 3),
    st.integers(1, 700),
    st.integers(1, 6),
    st.sampled_from([torch.bfloat16, torch.float16, torch.float32]),
)
def test_the_best_of_a_tile(seed, rows, columns, count, dtype):
    """From groups and, in small tiles, from all scores; equal ones are any of them."""
    scores = torch.randint(40, (rows, columns), generator=generator(seed)).to(dtype)
    found, place = best_of_tile(scores, count)
    assert torch.equal(scores.gather(1, place), found)
    expected = scores.sort(dim=1, descending=True)[0][:, :count]
    assert torch.equal(found.sort(dim=1, descending=True)[0], expected)
    for row in place.tolist():
        assert len(set(row)) == min(count, columns)


def waits(monkeypatch, vectors, exclude=None, **changed):
    """The counts of a whole search, which must be right."""
    queries, corpus = vectors
    sizes = replace(QUEUED, **changed)
    monkeypatch.setattr(top_k_module, "sizes_for", lambda device, width: sizes)
    with CountWaits() as counts:
        found = top_k(queries, corpus, 3, exclude, precision="bf16")
    if exclude is None:
        for mine, right in zip(found, naive_top_k(queries, corpus, 3), strict=True):
            assert torch.equal(mine, right)
    return counts


def vectors_of(count, width=16):
    return torch.randn(count, width, generator=generator(count))


@pytest.mark.parametrize("excludes", [False, True])
def test_the_loops_over_queries_and_tiles_never_wait(excludes, monkeypatch):
    vectors = vectors_of(256), vectors_of(8192)
    exclude = np.arange(256)[:, None] if excludes else None
    few = waits(monkeypatch, vectors, exclude, queries=128)
    many = waits(monkeypatch, vectors, exclude, queries=8)
    tiles = waits(monkeypatch, vectors, exclude, queries=128, scores=2**14)
    for name in ("waits", "copies"):
        assert few[name] == many[name] == tiles[name]
    assert few["waits"] + few["copies"] < 40
    # 30 more blocks of queries in 4 or 1 tiles; 60 more tiles
    assert many["operators"] - few["operators"] < 30 * 150
    assert tiles["operators"] - few["operators"] < (2 * 60) * 30


def test_a_block_of_the_corpus_waits_a_few_times(monkeypatch):
    vectors = vectors_of(64), vectors_of(8192)
    one = waits(monkeypatch, vectors)
    eight = waits(monkeypatch, vectors, corpus=1024)
    assert (eight["waits"] - one["waits"]) / 7 <= 4
    assert (eight["copies"] - one["copies"]) / 7 <= 12


def test_queries_that_are_searched_again_never_wait_for_one_another(monkeypatch):
    """1,000 unlike vectors that bf16 cannot tell apart, and fp32 can."""
    vectors = vectors_of(256, 8), 1 + 1e-4 * vectors_of(1000, 8)
    few = waits(monkeypatch, vectors, queries=128)
    many = waits(monkeypatch, vectors, queries=8)
    assert few["waits"] == many["waits"]
    assert few["copies"] == many["copies"]


def test_a_tile_of_pairs_waits_a_few_times(monkeypatch):
    vectors = vectors_of(2048)
    counts = {}
    for scores in (2**14, 2**16):  # 144 tiles, or 36
        sizes = replace(QUEUED, queries=256, scores=scores)
        monkeypatch.setattr(top_k_module, "sizes_for", lambda device, width, sizes=sizes: sizes)
        with CountWaits() as counts[scores]:
            similar_pairs(vectors, threshold=0.8)
    more = {name: counts[2**14][name] - counts[2**16][name] for name in ("waits", "copies")}
    assert more["waits"] / 108 < 16
    assert more["copies"] / 108 < 4


def test_the_sizes_of_a_device_fit_into_its_memory():
    for free in (2**31, 2**33, 70 * 2**30):
        for width in (32, 384, 4096):
            sizes = device_sizes(free, width)
            block = 2 * sizes.corpus * width * 8  # and as many queries
            tile = sizes.scores * 4
            assert block + tile + sizes.pairs * width * 24 < free
            assert sizes.queued
    assert sizes_for(torch.device("cpu"), 384) == CPU
