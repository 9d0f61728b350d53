"""Every family of models, from its folder to training; and what differs between families."""

import json

import pytest
from families import FAMILIES, Family, write_encoder
from family_checks import ENCODER_CHECKS, TEXTS, Check, has_sentence_transformers
from tiny_models import write_tiny
from transformers import AutoConfig

from sbert import BiEncoder, InputError
from sbert.models.families import NO_LIMIT

BY_NAME = {family.name: family for family in FAMILIES}
ENCODERS = [family for family in FAMILIES if family.encodes]


@pytest.mark.parametrize("check", ENCODER_CHECKS.values(), ids=ENCODER_CHECKS)
@pytest.mark.parametrize("family", ENCODERS, ids=lambda family: family.name)
def test_encoders(family: Family, check: Check, tmp_path):
    if family.why_absent:
        pytest.skip(family.why_absent)
    if check.__name__ == "equals_sentence_transformers" and not has_sentence_transformers():
        pytest.skip("sentence-transformers is not installed")
    check(family, tmp_path)


def write(name: str, folder, **options):
    family = BY_NAME[name]
    if family.why_absent:
        pytest.skip(family.why_absent)
    return write_encoder(family, folder, **options)


# classes


def test_the_decoder_of_a_whole_t5_is_left_out(tmp_path):
    encoder = BiEncoder.from_pretrained(write("T5, whole", tmp_path))
    assert type(encoder.transformer).__name__ == "T5EncoderModel"
    assert not any("decoder" in name for name, _ in encoder.named_parameters())


def test_another_encoder_with_a_decoder_is_refused(tmp_path):
    with pytest.raises(InputError, match="bart is an encoder with a decoder"):
        BiEncoder.from_pretrained(write("BART", tmp_path))


# layers


@pytest.mark.parametrize("name", ["ModernBERT", "EmbeddingGemma", "Longformer", "T5", "DistilBERT"])
def test_lists_of_one_value_a_layer_are_cut_with_the_layers(tmp_path, name):
    folder = write(name, tmp_path / "whole")
    shorter = BiEncoder.from_pretrained(folder, layer=-2)
    shorter.save_pretrained(tmp_path / "shorter")
    depth = AutoConfig.from_pretrained(folder).num_hidden_layers
    again = BiEncoder.from_pretrained(tmp_path / "shorter")
    assert again.transformer.config.num_hidden_layers == depth - 1
    assert (again.encode(TEXTS, "fp32") == shorter.encode(TEXTS, "fp32")).all()


def test_a_model_that_cannot_be_cut(tmp_path):
    folder = write("Funnel", tmp_path)
    with pytest.raises(InputError, match="layer -2: a model of type funnel cannot be cut"):
        BiEncoder.from_pretrained(folder, layer=-2)


NEEDS_A_LAYER = ("DeBERTa v2", "ModernBERT", "Longformer", "Funnel", "X-MOD")


@pytest.mark.parametrize("name", [f.name for f in ENCODERS if f.name not in NEEDS_A_LAYER])
def test_the_embeddings_alone(name, tmp_path):
    folder = write(name, tmp_path / "whole")
    encoder = BiEncoder.from_pretrained(folder, "mean", layer=0)
    expected = encoder.encode(TEXTS, "fp32")
    encoder.save_pretrained(tmp_path / "saved")
    assert (BiEncoder.from_pretrained(tmp_path / "saved").encode(TEXTS, "fp32") == expected).all()


@pytest.mark.parametrize("name", NEEDS_A_LAYER)
def test_a_family_that_needs_a_layer(name, tmp_path):
    folder = write(name, tmp_path)
    whole = BiEncoder.from_pretrained(folder)
    for layer in (0, -whole.transformer.config.num_hidden_layers - 1):
        with pytest.raises(InputError) as error:
            BiEncoder.from_pretrained(folder, layer=layer)
        family = whole.transformer.config.model_type
        assert str(error.value) == (
            f"{folder}: layer {layer}: a model of type {family} cannot be cut to 0 layers; use "
            "all of them (layer -1)"
        )


# positions


def test_no_limit_of_the_tokenizer_is_none_of_the_model(tmp_path):
    folder = write("XLNet", tmp_path, max_length=10**30)
    assert BiEncoder.from_pretrained(folder).max_length == NO_LIMIT


# precision


@pytest.mark.parametrize("name", ["DeBERTa", "X-MOD", "FNet"])
def test_a_family_that_computes_in_fp32_only(name, tmp_path):
    encoder = BiEncoder.from_pretrained(write(name, tmp_path))
    exact = encoder.encode(TEXTS, "fp32")
    with pytest.warns(UserWarning, match="precision bf16: a model of type .* in fp32 only") as said:
        assert (encoder.encode(TEXTS, "bf16") == exact).all()
    assert said[0].filename == __file__, "the line that called"
    assert (encoder.encode(TEXTS, "auto") == exact).all()


# tokens


def test_a_tokenizer_with_more_tokens_than_the_model_has_embeddings(tmp_path):
    path = write_tiny(tmp_path) / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    size = len(content["model"]["vocab"])
    content["model"]["vocab"]["extra"] = size
    path.write_text(json.dumps(content), "utf-8")
    said = f"the tokenizer has {size + 1} tokens, and the model embeddings for {size}"
    with pytest.raises(InputError, match=said):
        BiEncoder.from_pretrained(tmp_path)
