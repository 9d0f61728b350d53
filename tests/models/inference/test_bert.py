"""The packed layers against transformers' own models."""

import numpy as np
import pytest
import torch
from families import FAMILIES, write_encoder
from tiny_models import write_classifier

from sbert import BiEncoder, CrossEncoder
from sbert.models.config import LoraConfig
from sbert.models.families import BERT_LAYERS
from sbert.models.inference import bert
from sbert.models.inference.bert import padding_bias
from sbert.models.inference.copies import can_pack, copy_packed, is_packed
from sbert.models.inference.linear import supports_packing

needs_onednn = pytest.mark.skipif(
    not supports_packing(torch.float32), reason="this torch has no oneDNN"
)
PACKED = ["BERT", "RoBERTa", "XLM-R", "CamemBERT", "ELECTRA"]


def load(name: str, folder, encoder=BiEncoder):
    family = next(family for family in FAMILIES if family.name == name)
    return encoder.from_pretrained(write_encoder(family, folder))


@pytest.fixture
def always_packed(monkeypatch):
    monkeypatch.setattr("sbert.models.encoder.PACKED_MIN_TOKENS", 0)


@needs_onednn
@pytest.mark.parametrize("short", [0, 64], ids=["fused attention", "all scores at once"])
@pytest.mark.parametrize("name", PACKED)
def test_hidden_states_are_those_of_transformers(tmp_path, monkeypatch, name, short):
    monkeypatch.setattr(bert, "SHORT_TOKENS", short)
    model = load(name, tmp_path)
    assert model.transformer.config.model_type in BERT_LAYERS
    table = model.text_tokenizer.tokenize(["a cat", "the dog eats on the red mat", "a"])
    inputs = model.inputs(table, np.arange(3)[:, None])
    with torch.no_grad():
        packed = copy_packed(model.transformer, torch.float32, first_position_only=False)
        expected = model.transformer(**inputs).last_hidden_state
        states = packed(**inputs).last_hidden_state
    real = inputs["attention_mask"].bool()
    assert not real.all()
    torch.testing.assert_close(states[real], expected[real], atol=1e-5, rtol=1e-5)


@needs_onednn
@pytest.mark.filterwarnings("ignore:.* cut at max_length")
@pytest.mark.parametrize("name", PACKED)
def test_scores_are_those_without_packing(tmp_path, always_packed, monkeypatch, pairs, name):
    """With pooler and head, which read the first position alone."""
    model = load(name, tmp_path, CrossEncoder)
    packed = model.predict(pairs, logits=True, precision="fp32")
    monkeypatch.setattr("sbert.models.encoder.PACKED_MIN_TOKENS", 10**9)
    plain = model.predict(pairs, logits=True, precision="fp32")
    assert np.ptp(plain) > 1e-3
    np.testing.assert_allclose(packed, plain, atol=1e-5)


@needs_onednn
def test_the_last_layer_computes_the_first_position_alone(folders):
    model = CrossEncoder.from_pretrained(folders[1])
    packed = copy_packed(model.transformer, torch.float32, model.first_position_only)
    inputs = model.tokenizer(["a cat", "the dog"], ["a", "two"], padding=True, return_tensors="pt")
    assert packed.base_model(**inputs).last_hidden_state.shape == (2, 1, 32)


@needs_onednn
def test_packing_leaves_the_model_and_follows_its_weights(tiny, sentences, always_packed):
    """Weights that change after one call are those of the next."""
    modules = [id(module) for module in tiny.modules()]
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    first = tiny.encode(sentences, "fp32")
    assert [id(module) for module in tiny.modules()] == modules
    for name, tensor in tiny.state_dict().items():
        assert torch.equal(tensor, before[name])
    with torch.no_grad():
        tiny.transformer.encoder.layer[1].output.dense.bias[0] += 1
    changed = tiny.encode(sentences, "fp32")
    assert np.abs(changed - first).max() > 1e-2
    tiny.load_state_dict(before)
    np.testing.assert_array_equal(tiny.encode(sentences, "fp32"), first)


@needs_onednn
def test_few_tokens_are_not_worth_packing(tiny, sentences, monkeypatch):
    copies = []

    def pack(*arguments):
        copies.append(copy_packed(*arguments))
        return copies[-1]

    monkeypatch.setattr("sbert.models.encoder.copy_packed", pack)
    plain = tiny.encode(sentences, "fp32")
    assert not copies
    tiny.encode(sentences[:10] * 99, "fp32")
    assert not copies, "a text counts once"
    monkeypatch.setattr("sbert.models.encoder.PACKED_MIN_TOKENS", 100)
    packed = tiny.encode(sentences, "fp32")
    assert is_packed(copies[0])
    np.testing.assert_allclose(packed, plain, atol=1e-5)


@needs_onednn
def test_layers_that_are_not_bert_s_are_not_packed(tmp_path, tiny, tiny_folder):
    assert can_pack(tiny.transformer, torch.float32)
    assert not can_pack(tiny.transformer, torch.float16)
    assert not can_pack(load("MPNet", tmp_path / "mpnet").transformer, torch.float32)
    write_classifier(tmp_path / "relu", hidden_act="relu")
    assert not can_pack(CrossEncoder.from_pretrained(tmp_path / "relu").transformer, torch.float32)
    pytest.importorskip("peft")
    from sbert.models.adapters import add_lora

    add_lora(tiny.transformer, LoraConfig(), str(tiny_folder))
    assert not can_pack(tiny.transformer, torch.float32)


def test_the_embeddings_alone_have_no_layer_to_pack(tiny_folder, sentences, always_packed):
    model = BiEncoder.from_pretrained(str(tiny_folder), layer=0)
    right = model.encode(sentences, precision="fp32")
    np.testing.assert_allclose(model.encode(sentences, precision="bf16"), right, atol=0.05)


def test_the_bias_of_padding():
    """-inf on padded keys; none without padding; a row without a token attends to its padding."""
    inf = float("inf")
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 0, 0]])
    bias = padding_bias(mask, 2, torch.float32)
    assert bias.shape == (3, 2, 3, 3)
    for row, expected in enumerate([[0, 0, -inf], [0, 0, 0], [0, 0, 0]]):
        assert torch.equal(bias[row], torch.tensor(expected).expand(2, 3, 3))
    assert padding_bias(torch.ones(2, 3), 2, torch.float32) is None
