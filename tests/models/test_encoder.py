"""What both encoders share, seen through a bi-encoder: batches, precision, mode, attention."""

import numpy as np
import pytest
import torch

from sbert import InputError
from sbert.device import resolve_precision


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_encode_stays_within_the_token_budget(tiny, sentences, monkeypatch):
    shapes = []
    forward = tiny.transformer.forward
    monkeypatch.setattr(
        tiny.transformer,
        "forward",
        lambda **given: shapes.append(given["input_ids"].shape) or forward(**given),
    )
    tiny.encode(sentences, "fp32", batch_tokens=60)
    assert len(shapes) > 1
    assert all(rows * length <= 60 for rows, length in shapes)
    lengths = [length for _, length in shapes]
    assert lengths == sorted(lengths, reverse=True), "the longest come first"


@pytest.mark.parametrize("progress", [False, None, True])
def test_progress_shows_only_when_asked(tiny, capsys, progress):
    tiny.encode(["a cat", "the dog"], "fp32", progress=progress)
    # None: on a terminal alone, and under pytest stderr is none
    assert ("encode" in capsys.readouterr().err) == (progress is True)


def test_bf16_is_close_and_leaves_the_weights(tiny, sentences):
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    exact, rounded = tiny.encode(sentences, "fp32"), tiny.encode(sentences, "bf16")
    assert rounded.dtype == np.float32
    # the wide initialisation of the tiny encoder magnifies rounding: real weights stay above 0.9995
    assert cosines(exact, rounded).min() > 0.995
    assert np.abs(exact - rounded).max() > 1e-4, "nothing was rounded"
    for name, tensor in tiny.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])
    np.testing.assert_array_equal(tiny.encode(sentences, "fp32"), exact)


@pytest.mark.parametrize(
    ("name", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)]
)
def test_the_transformer_runs_in_the_precision(tiny, monkeypatch, name, dtype):
    seen = []

    def forward(input_ids, attention_mask):
        seen.append(next(tiny.transformer.parameters()).dtype)
        raise StopIteration

    monkeypatch.setattr(tiny.transformer, "forward", forward)
    with pytest.raises(StopIteration):
        tiny.encode(["a"], name)
    assert seen == [dtype]
    assert resolve_precision(name, torch.device("cpu")) == dtype


def test_auto_is_what_the_processor_multiplies(monkeypatch):
    cpu = torch.device("cpu")
    for amx, avx, dtype in (
        (True, False, "bfloat16"),
        (False, True, "bfloat16"),
        (False, False, "float32"),
    ):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda avx=avx: avx)
        assert resolve_precision("auto", cpu) == getattr(torch, dtype)


def test_unknown_precision(tiny):
    with pytest.raises(InputError, match="unknown value 'half'; known: auto, fp32, bf16, fp16"):
        tiny.encode(["a"], "half")


@pytest.mark.parametrize("training", [True, False])
def test_encode_is_without_dropout_and_restores_the_mode(tiny, sentences, training):
    expected = tiny.encode(sentences, "fp32")
    tiny.train(training)
    np.testing.assert_array_equal(tiny.encode(sentences, "fp32"), expected)
    assert all(module.training == training for module in tiny.modules())


def test_from_pretrained_is_ready_to_encode(tiny):
    assert not any(module.training for module in tiny.modules())


def test_encode_leaves_no_trace_for_gradients(tiny):
    tiny.encode(["a cat"], "fp32")
    ids, mask = torch.tensor([[2, 5, 3]]), torch.ones(1, 3, dtype=torch.long)
    tiny(ids, mask)[0, 0].backward()
    assert tiny.transformer.embeddings.word_embeddings.weight.grad.abs().sum() > 0


def test_attention_follows_the_length_and_not_the_result(tiny, monkeypatch, sentences):
    if not tiny.switches_attention:
        pytest.skip("this version of transformers cannot switch a model's attention")
    used, results = [], []
    for short in (0, 5, 100):
        monkeypatch.setattr("sbert.models.encoder.EAGER_MAX_TOKENS", short)
        results.append(tiny.encode(sentences, "fp32", batch_tokens=16))
        used.append(tiny.transformer.config._attn_implementation)
    assert used == ["sdpa", "eager", "eager"]  # the last batch is the shortest
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-5)
