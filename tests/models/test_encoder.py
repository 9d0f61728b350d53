"""What both encoders share, seen through a bi-encoder: batches, precision, mode, attention."""

import numpy as np
import pytest
import torch
from tiny_models import bert_tokenizer, sided, write_classifier, write_tiny

from sbert import BiEncoder, CrossEncoder, InputError
from sbert.device import resolve_precision
from sbert.pooling import Dense, Normalize


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

    def forward(self, input_ids, attention_mask):
        seen.append(next(self.parameters()).dtype)
        raise StopIteration

    monkeypatch.setattr(type(tiny.transformer), "forward", forward)
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


def overflowing(folder) -> BiEncoder:
    """Activations beyond fp16 before a norm, as Gemma has them."""
    encoder = BiEncoder.from_pretrained(folder)
    layer = encoder.transformer.encoder.layer[0]
    with torch.no_grad():
        layer.intermediate.dense.weight *= 1e4
        layer.output.dense.weight *= 1e3
    return encoder


def test_an_embedding_that_is_not_finite_is_refused_with_the_remedy(tiny_folder):
    encoder = overflowing(tiny_folder)
    assert np.isfinite(encoder.encode(["a cat", "the dog"], "fp32")).all()
    assert np.isfinite(encoder.encode(["a cat", "the dog"], "bf16")).all()
    with pytest.raises(InputError, match="text 0, 'a cat', is not finite in float16; use prec"):
        encoder.encode(["a cat", "the dog"], "fp16")


def test_the_number_of_the_text_is_that_of_the_caller(tiny):
    dog = tiny.tokenizer.convert_tokens_to_ids("dog")
    with torch.no_grad():
        tiny.transformer.embeddings.word_embeddings.weight[dog, 3] = torch.nan
    with pytest.raises(InputError, match="text 2, 'the dog', is not finite in float32; so the"):
        tiny.encode(["a cat", "a cat", "the dog", "a man"], "fp32")


def test_a_score_that_is_not_finite(folders):
    scorer = CrossEncoder.from_pretrained(folders[1])
    with torch.no_grad():
        scorer.transformer.classifier.bias[0] = torch.inf
    with pytest.raises(InputError, match="score of pair 0 is not finite in float32"):
        scorer.predict([("a cat", "a dog")], precision="fp32")


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


# fingerprint


def build(folder, tokenizer=None, max_length=20, **options) -> BiEncoder:
    """The tiny encoder; a head is made from the same seed."""
    plain = BiEncoder.from_pretrained(folder)
    torch.manual_seed(0)
    options["head"] = [make() for make in options.get("head", [])]
    options = {"pooling": ["mean"]} | options
    made = BiEncoder(
        plain.transformer, tokenizer or plain.tokenizer, max_length=max_length, **options
    )
    return made.eval()


def dense(activation: str):
    return lambda: Dense(32, 32, activation=activation)


CHANGES = {
    "pooling": {"pooling": ["cls"]},
    "pooling of the prompt": {"include_prompt": False},
    "max_length": {"max_length": 21},
    "lower case": {"lower_case": True},
    "Normalize": {"head": [Normalize]},
    "Dense": {"head": [dense("Tanh")]},
    "another activation": {"head": [dense("ReLU")]},
    "Dense and Normalize": {"head": [dense("Tanh"), Normalize]},
    "the other way round": {"head": [Normalize, dense("Tanh")]},
    "truncate_dim": {"truncate_dim": 16},
    "similarity": {"similarity_fn_name": "dot"},
    "a prompt": {"prompts": {"query": "a "}},
    "another prompt": {"prompts": {"query": "the "}},
    "a default prompt": {"prompts": {"query": "a "}, "default_prompt_name": "query"},
    "a prompt of documents": {"prompts": {"passage": "a "}},
    "an empty one before it": {"prompts": {"document": "", "passage": "a "}},
    "truncation side": {"tokenizer": sided(bert_tokenizer(), truncation="left")},
}


def test_the_fingerprint_covers_what_changes_a_result(tiny_folder, tmp_path):
    prints = {name: build(tiny_folder, **change).fingerprint for name, change in CHANGES.items()}
    prints["as it is"] = build(tiny_folder).fingerprint
    prints["weights"] = build(write_tiny(tmp_path, seed=1)).fingerprint
    tokenizer = bert_tokenizer()
    tokenizer.add_tokens(["catdog"])
    prints["tokenizer"] = build(tiny_folder, tokenizer).fingerprint
    other = build(tiny_folder)
    other.transformer.config.layer_norm_eps = 1e-3
    prints["a setting of the transformer"] = other.fingerprint
    assert len(set(prints.values())) == len(prints)


NO_CHANGES = {
    "the same again": {},
    "padding side": {"tokenizer": sided(bert_tokenizer(), padding="left")},
    "the whole size": {"truncate_dim": 32},
    "empty prompts": {"prompts": {"query": "", "document": ""}, "default_prompt_name": "query"},
}


@pytest.mark.parametrize("options", NO_CHANGES.values(), ids=NO_CHANGES)
def test_the_fingerprint_covers_nothing_else(tiny_folder, tmp_path, options):
    expected = build(tiny_folder).fingerprint
    other = build(tiny_folder, **options)
    torch.nn.init.normal_(other.transformer.pooler.dense.weight)  # no result depends on it
    other.transformer.config.hidden_dropout_prob = 0.3
    assert other.fingerprint == expected
    other.save_pretrained(tmp_path)
    assert BiEncoder.from_pretrained(tmp_path).fingerprint == expected


def test_the_fingerprint_of_a_cross_encoder(tmp_path):
    model = CrossEncoder.from_pretrained(write_classifier(tmp_path / "a"))
    prints = [model.fingerprint]
    model.save_pretrained(tmp_path / "again")
    again = CrossEncoder.from_pretrained(tmp_path / "again")
    assert again.fingerprint == prints[0]
    again.activation = "identity"
    prints.append(again.fingerprint)
    prints.append(CrossEncoder.from_pretrained(tmp_path / "a", max_length=30).fingerprint)
    other = CrossEncoder(model.transformer, model.tokenizer, 64, "sigmoid", lower_case=True)
    prints.append(other.fingerprint)
    torch.nn.init.normal_(model.transformer.bert.pooler.dense.weight)  # its head reads the pooler
    prints.append(model.fingerprint)
    assert len(set(prints)) == len(prints)
