"""What a GPU computes, against the CPU and against itself. `make gpu` runs these tests.

Tolerances: fp32 products on a GPU are summed in another order (TF32 is off by default).
"""

import json
import os
import warnings

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from families import FAMILIES, write_classifier, write_encoder
from family_checks import PAIRS, TEXTS
from support import metrics, same_state, with_processes, write_config

from sbert import BiEncoder, CrossEncoder
from sbert.device import default_device
from sbert.mining.quantised.corpus import QuantisedCorpus
from sbert.mining.search.exact import naive_top_k
from sbert.mining.search.similar_pairs import similar_pairs
from sbert.mining.search.top_k import top_k
from sbert.quantised import QUANTISERS
from sbert.quantised_files import QuantisedVectors

pytestmark = pytest.mark.skipif(
    not (os.environ.get("SBERT_TEST_GPU") and torch.cuda.is_available()),
    reason="needs a GPU, and SBERT_TEST_GPU=1: run make gpu",
)

PRESENT = [family for family in FAMILIES if family.why_absent is None]
LEAST_COSINE = {"bf16": 0.98, "fp16": 0.998}  # of tiny random models, as on a CPU


def named(families):
    return [pytest.param(family, id=family.name) for family in families]


def test_the_gpu_is_the_default_device():
    assert default_device().type == "cuda"


@pytest.mark.parametrize("family", named(f for f in PRESENT if f.encodes))
def test_embeddings_are_those_of_the_cpu(family, tmp_path):
    model = BiEncoder.from_pretrained(write_encoder(family, tmp_path), family.pooling)
    right = model.encode(TEXTS, precision="fp32")
    model.to("cuda")
    found = model.encode(TEXTS, precision="fp32")
    np.testing.assert_allclose(found, right, atol=1e-4 * np.abs(right).max())
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    for precision, least in LEAST_COSINE.items():
        low = model.encode(TEXTS, precision=precision, normalize=True)
        assert (right * low).sum(axis=1).min() > least, precision


@pytest.mark.parametrize(
    "family", named(f for f in PRESENT if f.has_classifier and f.name != "XLNet")
)
def test_scores_are_those_of_the_cpu(family, tmp_path):
    model = CrossEncoder.from_pretrained(write_classifier(family, tmp_path))
    right = model.predict(PAIRS, logits=True, precision="fp32")
    model.to("cuda")
    found = model.predict(PAIRS, logits=True, precision="fp32")
    np.testing.assert_allclose(found, right, atol=1e-4 * max(1, np.abs(right).max()))
    low = model.predict(PAIRS, logits=True, precision="bf16")
    assert np.abs(low - right).max() < 0.2


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("precision", ["auto", "fp32", "bf16", "fp16"])
def test_search_is_exact(similarity, precision):
    generator = torch.Generator().manual_seed(0)
    corpus = torch.randn(3000, 48, generator=generator)
    corpus[1000:1200] = corpus[:200] * (1 + 1e-6)  # near ties
    corpus[1500:1600] = corpus[0]  # exact ones
    queries = torch.cat([corpus[:50], torch.randn(200, 48, generator=generator)])
    right = naive_top_k(queries, corpus, 10, similarity=similarity)
    found = top_k(queries, corpus, 10, similarity=similarity, precision=precision, device="cuda")
    assert torch.equal(found[1], right[1])
    torch.testing.assert_close(found[0], right[0], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("k", [3, 200])
def test_search_in_blocks_with_exclusion(k):
    generator = torch.Generator().manual_seed(1)
    corpus = torch.randn(9000, 48, generator=generator)
    corpus[::3] = corpus[0] + 1e-3 * corpus[::3]  # nearly equal, so that fp32 follows
    exclude = [[i, i + 1] for i in range(300)]
    right = top_k(corpus[:300], corpus, k, exclude)
    blocks = {"query_block": 64, "corpus_block": 4000}
    found = top_k(corpus[:300], corpus, k, exclude, device="cuda", **blocks)
    assert torch.equal(found[1], right[1])
    torch.testing.assert_close(found[0], right[0], atol=1e-6, rtol=1e-6)


def test_no_block_of_queries_waits_for_the_gpu():
    """CUDA itself reports every wait."""
    vectors = torch.randn(4096, 48, generator=torch.Generator().manual_seed(2))
    counts = []
    for query_block in (2048, 256):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                top_k(vectors, vectors, 5, device="cuda", query_block=query_block)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        # not the notice, once in a process, that this mode is a prototype
        waits = ["called a synchronizing CUDA operation" in str(one.message) for one in caught]
        counts.append(sum(waits))
    assert counts[0] == counts[1] > 0


def test_pairs_are_those_of_the_cpu():
    vectors = torch.randn(2000, 48, generator=torch.Generator().manual_seed(0)).numpy()
    vectors[1000:] = vectors[:1000] + 0.3 * vectors[::-1][:1000]
    right = similar_pairs(vectors, threshold=0.7)
    found = similar_pairs(vectors, threshold=0.7, device="cuda")
    for a, b in zip(found, right, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6)


LOSSES = {
    "cosine": "CosineSimilarityLoss",
    "cross": "BinaryCrossEntropyLoss",
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_trains_and_resumes(
    tmp_path, tiny_folder, pairs_file, train_command, train_interrupted, loss, precision
):
    """With dropout: interrupted between two steps and resumed, the losses are the same."""
    loop = {"precision": precision, "log_steps": 1, "save_steps": 3}
    config = write_config(tmp_path, tiny_folder, pairs_file, loss=loss, loop=loop)
    train_command(config)
    train_interrupted(config, after=5)
    full, cut = tmp_path / "runs/run", tmp_path / "runs/cut"
    assert [row["loss"] for row in metrics(full)] == [row["loss"] for row in metrics(cut)]
    assert same_state(full, cut) == []
    assert np.isfinite([row["loss"] for row in metrics(full)]).all()


def test_training_is_that_of_the_cpu(
    tmp_path, steady_folder, pairs_file, train_command, monkeypatch
):
    """Without dropout, in fp32."""
    config = write_config(tmp_path, steady_folder, pairs_file)
    train_command(config)
    AcceleratorState._reset_state(reset_partial_state=True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "1")
    train_command(config, "--name", "cpu")
    found, right = ([row["loss"] for row in metrics(tmp_path / "runs" / n)] for n in ("run", "cpu"))
    assert found == pytest.approx(right, rel=1e-3)


def test_training_with_all_gpus_is_that_of_one(tmp_path, steady_folder, pairs_file, train_command):
    """By NCCL, with as many processes as there are GPUs (a batch has 8 rows)."""
    count = min(torch.cuda.device_count(), 8)
    config = write_config(tmp_path, steady_folder, pairs_file)
    train_command(config)
    printed = with_processes(count, "train.py", "--config", config, "--name", "all")
    assert count == 1 or f"{count} x cuda" in printed
    one, all_gpus = (
        [row["loss"] for row in metrics(tmp_path / "runs" / n)] for n in ("run", "all")
    )
    assert all_gpus == pytest.approx(one, rel=1e-3)


def test_joint_losses_in_parts(tmp_path, steady_folder, sentences, train_command):
    """The gradients of one forward pass and of three, in one batch with negatives from it."""
    path = tmp_path / "pairs.jsonl"
    rows = zip(sentences[:30], sentences[1:31], strict=True)
    lines = [json.dumps({"anchor": anchor, "positive": positive}) for anchor, positive in rows]
    path.write_text("\n".join(lines), "utf-8")
    loss = "MultipleNegativesRankingLoss"
    data = {"train": [{"path": str(path)}]}
    config = write_config(tmp_path, steady_folder, path, loss=loss, data=data)
    train_command(config)
    train_command(config, "--name", "parts", "--optim.accumulate", "3")
    whole, parts = ([r["loss"] for r in metrics(tmp_path / "runs" / n)] for n in ("run", "parts"))
    assert whole == pytest.approx(parts, rel=1e-4)


@pytest.mark.parametrize("store", QUANTISERS)
@pytest.mark.parametrize("width", [384, 1032], ids=str)
def test_quantised_vectors_are_searched_as_on_a_cpu(store, width):
    generator = np.random.default_rng(0)
    corpus, queries = (generator.normal(size=(n, width)).astype(np.float32) for n in (5000, 70))
    quantiser = QUANTISERS[store].fit(corpus, "cosine")
    vectors = QuantisedVectors(quantiser.encode(corpus), quantiser)
    for floats in (None, corpus):
        scores, indices = QuantisedCorpus(vectors, floats=floats).top_k(queries, 10, [[3]] * 70)
        on_gpu = QuantisedCorpus(vectors, floats=floats, device="cuda")
        found = on_gpu.top_k(queries, 10, [[3]] * 70)
        # another rounding of a query may change a candidate
        assert (found[1] == indices).float().mean() > 0.98
        torch.testing.assert_close(found[0], scores, atol=0.01, rtol=0)
