"""The search in quantised vectors: exact where all are candidates, never called so."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sbert import InputError
from sbert.mining import top_k
from sbert.mining.quantised import corpus as corpus_module
from sbert.mining.quantised.corpus import QuantisedCorpus
from sbert.mining.search import exact
from sbert.mining.search.sizes import CPU
from sbert.quantised import Binary, Int8
from sbert.quantised_files import QuantisedVectors

QUEUED = replace(CPU, queued=True)
STORES = [(Int8, "cosine"), (Int8, "dot"), (Binary, "cosine")]


def random_vectors(count, seed, width=32):
    """With much in common, and of unlike lengths."""
    g = np.random.default_rng(seed)
    common = np.random.default_rng(9).normal(size=width)
    return (g.normal(size=(count, width)) + 2 * common).astype(np.float32) * g.uniform(
        1, 2, (count, 1)
    )


CORPUS, QUERIES = random_vectors(500, 0), random_vectors(20, 1)


def quantised(kind, similarity="cosine", vectors=CORPUS):
    quantiser = kind.fit(vectors, similarity)
    return QuantisedVectors(quantiser.encode(vectors), quantiser, "x.safetensors")


def recall(found, expected):
    pairs = zip(found.tolist(), expected.tolist(), strict=True)
    return np.mean([len({*a} & {*b}) / len(b) for a, b in pairs])


@pytest.mark.parametrize(("kind", "similarity"), STORES)
def test_with_all_candidates_and_float_vectors_it_is_the_exact_search(kind, similarity):
    corpus = QuantisedCorpus(quantised(kind, similarity), similarity, 50, CORPUS)
    exclude = [[i, 3 * i] for i in range(20)]
    scores, indices = corpus.top_k(QUERIES, 10, exclude)
    expected = top_k(QUERIES, CORPUS, 10, exclude, similarity)
    assert torch.equal(indices, expected[1])
    assert torch.equal(scores, expected[0])


@pytest.mark.parametrize(("kind", "similarity"), STORES)
def test_of_few_candidates_the_scores_are_exact(kind, similarity):
    corpus = QuantisedCorpus(quantised(kind, similarity), similarity, 2, CORPUS)
    scores, indices = corpus.top_k(QUERIES, 5)
    everything = top_k(QUERIES, CORPUS, 500, similarity=similarity)
    exact = torch.empty(20, 500).scatter(1, everything[1], everything[0])
    assert torch.equal(scores, exact.gather(1, indices))


def test_without_float_vectors_the_codes_decide():
    vectors = quantised(Int8)
    scores, indices = QuantisedCorpus(vectors, rescore=50).top_k(QUERIES, 10)
    expected = top_k(QUERIES, vectors[:], 10)
    assert torch.equal(indices, expected[1])
    assert torch.equal(scores, expected[0])
    vectors = quantised(Binary)
    scores, indices = QuantisedCorpus(vectors, rescore=50).top_k(QUERIES, 10)
    queries = QUERIES / np.linalg.norm(QUERIES, axis=1, keepdims=True) - vectors.quantiser.origin
    expected = top_k(queries.astype(np.float32), vectors[:] / np.sqrt(32), 10, similarity="dot")
    assert recall(indices, expected[1]) > 0.99  # ties
    torch.testing.assert_close(scores, expected[0])


def test_float_vectors_and_the_mean_help():
    expected = top_k(QUERIES, CORPUS, 10)[1]
    binary = quantised(Binary)
    around_0 = Binary(np.zeros_like(binary.quantiser.calibration), "cosine")
    uncentred = QuantisedVectors(around_0.encode(CORPUS), around_0)
    alone = recall(QuantisedCorpus(binary).top_k(QUERIES, 10)[1], expected)
    assert alone > recall(QuantisedCorpus(uncentred).top_k(QUERIES, 10)[1], expected) + 0.05
    rescored = QuantisedCorpus(binary, floats=CORPUS).top_k(QUERIES, 10)[1]
    assert recall(rescored, expected) > alone + 0.1
    assert recall(QuantisedCorpus(quantised(Int8)).top_k(QUERIES, 10)[1], expected) > 0.95


def test_queries_at_a_time_do_not_matter(monkeypatch):
    corpus = QuantisedCorpus(quantised(Binary), floats=CORPUS)
    expected = corpus.top_k(QUERIES, 3, np.arange(20)[:, None])
    monkeypatch.setattr(corpus_module, "QUERIES", 7)
    monkeypatch.setattr(corpus_module, "CANDIDATES", 30)
    found = corpus.top_k(QUERIES, 3, np.arange(20)[:, None])
    assert all(map(torch.equal, found, expected))


def test_the_scores_of_candidates_are_computed_as_the_device_needs(monkeypatch):
    """A GPU has no part of its own here: a function for the CPU would mix tensors of both."""
    corpus = QuantisedCorpus(quantised(Int8), floats=CORPUS, rescore=2)
    expected = corpus.top_k(QUERIES, 10)
    monkeypatch.setattr(corpus_module, "sizes_for", lambda device, width: QUEUED)
    monkeypatch.setattr(exact, "pair_products", None)  # for a CPU alone
    found = corpus.top_k(QUERIES, 10)
    assert torch.equal(found[1], expected[1])
    torch.testing.assert_close(found[0], expected[0])


def test_fewer_than_k():
    vectors = quantised(Int8, vectors=CORPUS[:3])
    scores, indices = QuantisedCorpus(vectors).top_k(QUERIES[:1], 4, [[1]])
    assert sorted(indices[0].tolist()) == [-1, -1, 0, 2]
    assert scores[0].isneginf().tolist() == [False, False, True, True]
    assert indices[0, 2:].tolist() == [-1, -1]


def test_only_the_candidates_are_read_of_the_float_vectors():
    class Counted:
        shape, read = CORPUS.shape, 0

        def __len__(self):
            return len(CORPUS)

        def __getitem__(self, rows):
            self.read += len(CORPUS[rows])
            return CORPUS[rows]

    floats = Counted()
    corpus = QuantisedCorpus(quantised(Int8), rescore=2, floats=floats)
    assert floats.read <= corpus_module.CHECKED
    floats.read = 0
    corpus.top_k(QUERIES[:2], 5)
    assert floats.read <= 2 * 2 * 5


def test_it_is_never_called_exact():
    alone = QuantisedCorpus(quantised(Binary))
    assert alone.method == "approximate, from binary vectors alone"
    rescored = QuantisedCorpus(quantised(Int8), floats=CORPUS, floats_name="a/pool.npy")
    assert rescored.method == (
        "approximate: 4 k candidates from int8 vectors, scored by the float vectors of pool.npy"
    )


def changed(row):
    vectors = CORPUS.copy()
    vectors[row] = np.nan if row == 499 else -vectors[row]
    return vectors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"similarity": "dot"}, "x.safetensors: was quantised for the similarity cosine, not for "),
        ({"rescore": 0}, "rescore is 0; it must be 1 or more"),
        (
            {"floats": CORPUS[:, :8]},
            r"f.npy: has shape \(500, 8\) and does not fit x.safetensors, which was made of "
            r"\(500, 32\)",
        ),
        ({"floats": CORPUS[:9]}, r"f.npy: has shape \(9, 32\) and does not fit"),
        ({"floats": changed(0)}, r"f.npy: row 0 \(from 0\) is not the vector that x.safetensors"),
        ({"floats": changed(499)}, r"f.npy: row 499 \(from 0\) contains NaN or infinity"),
        ({"floats": CORPUS[::-1]}, r"f.npy: row \d+ \(from 0\) is not the vector that"),
    ],
)
@pytest.mark.parametrize("kind", [Int8, Binary])
def test_what_is_refused(kind, options, message):
    with pytest.raises(InputError, match=message):
        QuantisedCorpus(quantised(kind), **options, floats_name="f.npy")


def test_no_queries():
    scores, indices = QuantisedCorpus(quantised(Int8)).top_k(QUERIES[:0], 3)
    assert scores.shape == indices.shape == (0, 3)


def test_queries_that_do_not_fit():
    corpus = QuantisedCorpus(quantised(Int8))
    with pytest.raises(InputError, match=r"queries and corpus are \(20, 8\) and \(500, 32\)"):
        corpus.top_k(QUERIES[:, :8], 3)
    with pytest.raises(InputError, match="query 1 contains NaN"):
        corpus.top_k(np.where(np.arange(20)[:, None] == 1, np.nan, QUERIES), 3)


def test_like_sentence_transformers_with_all_candidates():
    """Its first pass differs (it multiplies codes of the query with codes), its rescoring not."""
    util = pytest.importorskip("sentence_transformers.util.quantization")
    pytest.importorskip("faiss")
    queries = QUERIES.astype(np.float32)
    int8 = quantised(Int8, "dot")
    theirs, *_ = util.semantic_search_faiss(
        queries,
        int8.codes.view(np.uint8) ^ 0x80,
        corpus_precision="uint8",
        ranges=int8.quantiser.calibration,
        rescore_multiplier=50,
    )
    indices = QuantisedCorpus(int8, "dot", 50).top_k(queries, 10)[1]
    assert indices.tolist() == [[hit["corpus_id"] for hit in row] for row in theirs]
    around_0 = Binary(np.zeros((1, 32), np.float32), "cosine")
    binary = QuantisedVectors(around_0.encode(CORPUS), around_0)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    theirs, *_ = util.semantic_search_faiss(
        queries, binary.codes, corpus_precision="ubinary", rescore_multiplier=50
    )
    # theirs multiplies with bits, ours with signs of length 1: bit = (sign sqrt(32) + 1) / 2
    scores = QuantisedCorpus(binary, rescore=50).top_k(queries, 10)[0].numpy()
    found = (scores * np.sqrt(32) + queries.sum(axis=1, keepdims=True)) / 2
    expected = [[hit["score"] for hit in row] for row in theirs]
    np.testing.assert_allclose(found, expected, atol=1e-5)
