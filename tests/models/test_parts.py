"""Parts of an encoder: frozen where nothing depends on them, drawn anew as a new model is."""

import pytest
import torch
from families import FAMILIES, Family, write_encoder
from families import write_classifier as write_family_classifier
from family_checks import PAIRS
from tiny_models import write_classifier

from sbert import BiEncoder, CrossEncoder, InputError
from sbert.models.encoder import Encoder
from sbert.models.parts import reinitialize_weights
from sbert.models.tokens import tokenize_columns

BY_NAME = {family.name: family for family in FAMILIES}
PRESENT = [family for family in FAMILIES if not family.why_absent]
ENCODERS = [family for family in PRESENT if family.encodes]
CLASSIFIERS = [family for family in PRESENT if family.has_classifier and family.name != "XLNet"]


def state_of(transformer) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in transformer.state_dict().items()}


# without a gradient every process of a parallel run would wait for it


def without_gradient(model: Encoder) -> list[str]:
    """The trained weights that a backward pass from the results of some pairs does not reach."""
    table, rows = tokenize_columns(model.text_tokenizer, list(zip(*PAIRS, strict=True)))
    model.train()(**model.inputs(table, rows)).sum().backward()
    weights = model.named_parameters()
    return [name for name, weight in weights if weight.requires_grad and weight.grad is None]


@pytest.mark.parametrize("family", ENCODERS, ids=lambda family: family.name)
def test_every_trained_weight_of_a_bi_encoder_gets_a_gradient(family: Family, tmp_path):
    folder = write_encoder(family, tmp_path)
    assert without_gradient(BiEncoder.from_pretrained(folder, family.pooling)) == []


@pytest.mark.parametrize("name", ["BERT", "MPNet", "ALBERT", "DeBERTa", "T5", "XLNet", "GPT-2"])
def test_and_of_one_without_layers(name, tmp_path):
    folder = write_encoder(BY_NAME[name], tmp_path)
    assert without_gradient(BiEncoder.from_pretrained(folder, "mean", layer=0)) == []


@pytest.mark.parametrize("family", CLASSIFIERS, ids=lambda family: family.name)
def test_and_of_a_cross_encoder(family: Family, tmp_path):
    folder = write_family_classifier(family, tmp_path)
    assert without_gradient(CrossEncoder.from_pretrained(folder)) == []


@pytest.mark.parametrize("name", ["Longformer", "XLNet"])
def test_what_gets_none_is_kept_with_the_model(name, tmp_path):
    encoder = BiEncoder.from_pretrained(write_encoder(BY_NAME[name], tmp_path / "a"))
    frozen = {name for name, weight in encoder.named_parameters() if not weight.requires_grad}
    assert frozen
    before = encoder.fingerprint
    encoder.save_pretrained(tmp_path / "b")
    again = BiEncoder.from_pretrained(tmp_path / "b")
    assert again.fingerprint == before
    assert all(
        torch.equal(again.get_parameter(name), encoder.get_parameter(name)) for name in frozen
    )
    encoder.requires_grad_(True)
    assert encoder.fingerprint == before


# drawn anew


@pytest.mark.parametrize("name", ["BERT", "ALBERT", "ModernBERT", "T5", "Llama"])
def test_the_whole_encoder_is_that_of_a_new_model(tmp_path, name):
    transformer = BiEncoder.from_pretrained(write_encoder(BY_NAME[name], tmp_path)).transformer
    before = state_of(transformer)
    torch.manual_seed(5)
    reinitialize_weights(transformer, ["all"])
    torch.manual_seed(5)
    expected = type(transformer)(transformer.config).state_dict()
    assert all(torch.equal(transformer.state_dict()[name], expected[name]) for name in expected)
    assert any(not torch.equal(before[name], expected[name]) for name in expected)


@pytest.mark.parametrize("names", [["encoder.layer.1"], ["encoder.layer.1", "embeddings"]])
def test_a_part_does_not_depend_on_the_others(tiny, names):
    before = state_of(tiny.transformer)
    torch.manual_seed(5)
    reinitialize_weights(tiny.transformer, names)
    torch.manual_seed(5)
    new = type(tiny.transformer)(tiny.transformer.config).state_dict()
    for name, weight in tiny.transformer.state_dict().items():
        expected = new if name.startswith(tuple(names)) else before
        assert torch.equal(weight, expected[name]), name


def test_the_head_of_a_cross_encoder_stays(tmp_path):
    transformer = CrossEncoder.from_pretrained(write_classifier(tmp_path)).transformer
    before = state_of(transformer)
    reinitialize_weights(transformer, ["all"])
    after = transformer.state_dict()
    assert torch.equal(after["classifier.weight"], before["classifier.weight"])
    name = "bert.encoder.layer.0.output.dense.weight"
    assert not torch.equal(after[name], before[name])


def test_an_unknown_part(tiny):
    with pytest.raises(InputError) as error:
        reinitialize_weights(tiny.transformer, ["encoder.layer.9"])
    assert str(error.value) == (
        "model.reinitialize: no weights are called encoder.layer.9; known: embeddings, "
        "encoder.layer.0, encoder.layer.1, encoder.layer.2, pooler"
    )
