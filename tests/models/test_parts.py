"""Parts of an encoder that are drawn anew, as its family draws a new model."""

import pytest
import torch
from families import FAMILIES, write_encoder
from tiny_models import write_classifier

from sbert import BiEncoder, CrossEncoder, InputError
from sbert.models.parts import reinitialize_weights

BY_NAME = {family.name: family for family in FAMILIES}


def state_of(transformer) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in transformer.state_dict().items()}


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
