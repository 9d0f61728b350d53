"""The bi-encoder against a loop of one text at a time, and what `encode` promises."""

import math
import shutil

import numpy as np
import pytest
import torch
from model_folders import rewrite
from transformers import AutoModel

from sbert import BiEncoder, InputError
from sbert.models.batches import pad_rows
from sbert.pooling import POOLING, Dense, Normalize


@torch.no_grad()
def one_by_one(encoder: BiEncoder, texts: list[str]) -> np.ndarray:
    """Mean-pooled embeddings, a text at a time, without padding, batches or our tokenisation."""
    rows = []
    for text in texts:
        ids = encoder.tokenizer(
            text, truncation=True, max_length=encoder.max_length, return_tensors="pt"
        )
        tokens = encoder.transformer(
            **{k: ids[k] for k in ("input_ids", "attention_mask")}
        ).last_hidden_state
        rows.append(encoder.head(tokens[0].mean(dim=0)))
    return torch.stack(rows).numpy()


# encode


@pytest.mark.parametrize("batch_tokens", [1, 30, 4096])
def test_encode_is_a_loop_over_texts(tiny, sentences, batch_tokens):
    embeddings = tiny.encode(sentences, precision="fp32", batch_tokens=batch_tokens)
    assert embeddings.dtype == np.float32
    assert embeddings.shape == (len(sentences), 32)
    np.testing.assert_allclose(embeddings, one_by_one(tiny, sentences), atol=2e-6)


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_encode_at_both_padding_sides(tiny_folder, tmp_path, sentences, padding_side):
    """BERT counts positions from the start of its input: padding there would move them."""
    shutil.copytree(tiny_folder, tmp_path, dirs_exist_ok=True)
    rewrite("tokenizer_config.json", padding_side=padding_side)(tmp_path)
    encoder = BiEncoder.from_pretrained(tmp_path)
    expected = one_by_one(encoder, sentences)
    np.testing.assert_allclose(encoder.encode(sentences, "fp32"), expected, atol=2e-6)
    encoder.save_pretrained(tmp_path / "saved")
    assert BiEncoder.from_pretrained(tmp_path / "saved").tokenizer.padding_side == padding_side


def test_encode_keeps_the_order_of_texts(tiny, sentences):
    embeddings = tiny.encode(sentences, "fp32")
    order = np.random.default_rng(0).permutation(len(sentences))
    np.testing.assert_allclose(
        tiny.encode([sentences[i] for i in order], "fp32"), embeddings[order], atol=2e-6
    )
    # the test can fail only if texts differ
    assert len(np.unique(embeddings.round(4), axis=0)) == len(set(sentences)) > 30


def test_encode_computes_a_distinct_text_once(tiny, monkeypatch):
    seen = []
    table = tiny.text_tokenizer.tokenize
    monkeypatch.setattr(
        tiny.text_tokenizer,
        "tokenize",
        lambda texts, prompts: seen.append(texts) or table(texts, prompts),
    )
    embeddings = tiny.encode(["a cat", "the dog", "a cat", "a cat"], "fp32")
    assert seen == [["a cat", "the dog"]]
    np.testing.assert_array_equal(embeddings[[2, 3]], embeddings[[0, 0]])
    assert np.abs(embeddings[0] - embeddings[1]).max() > 0.01


@pytest.mark.parametrize("pooling", ["mean", ["cls", "max"]])
def test_encode_of_nothing(tiny_folder, pooling):
    encoder = BiEncoder.from_pretrained(tiny_folder, pooling)
    for normalize in (False, True):
        embeddings = encoder.encode([], normalize=normalize)
        assert (embeddings.shape, embeddings.dtype) == ((0, encoder.dim), np.float32)


def test_encode_of_an_empty_text(tiny):
    np.testing.assert_allclose(
        tiny.encode(["", "a cat"], "fp32"), one_by_one(tiny, ["", "a cat"]), atol=2e-6
    )


@pytest.mark.parametrize("kind", [iter, tuple, np.array, dict.fromkeys, map])
@pytest.mark.parametrize("method", ["encode", "encode_query", "encode_document"])
def test_encode_of_any_iterable(tiny, method, kind):
    texts = ["a cat", "the dog"]
    encode = getattr(tiny, method)
    given = map(str, texts) if kind is map else kind(texts)
    np.testing.assert_array_equal(encode(given, precision="fp32"), encode(texts, precision="fp32"))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("a cat", "takes a list of texts, not one text"),
        (["a", None], "text 1 is None, not a str"),
        (["a", "b", 7], "text 2 is 7, not a str"),
        ([float("nan")], "text 0 is nan, not a str"),
        ([["a", "b"]], "not a str"),
        (None, "encode: takes a list of texts, not None"),
        (["a", "b \ud83d"], "text 1 contains a lone surrogate, '\\ud83d': not valid text"),
    ],
)
def test_encode_refuses(tiny, texts, said):
    with pytest.raises(InputError) as caught:
        tiny.encode(texts)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_normalize_scales_to_length_one(tiny, sentences):
    plain, scaled = (
        tiny.encode(sentences, "fp32", normalize=normalize) for normalize in (False, True)
    )
    assert np.linalg.norm(plain, axis=1).min() > 1.5
    np.testing.assert_allclose(
        scaled, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-6
    )


# the pooler


def test_the_pooler_is_frozen_and_the_rest_is_not(tiny):
    for name, parameter in tiny.named_parameters():
        assert parameter.requires_grad == ("pooler" not in name), name
    assert any("pooler" in name for name, _ in tiny.named_parameters())


# forward


@pytest.mark.parametrize(
    "pooling", [*([mode] for mode in POOLING), ["max", "cls", "mean"]], ids="-".join
)
def test_forward_equals_encode(tiny_folder, sentences, pooling):
    encoder = BiEncoder.from_pretrained(tiny_folder, pooling)
    table = encoder.text_tokenizer.tokenize(sentences)
    ids, mask = pad_rows(table, np.arange(len(sentences)), encoder.text_tokenizer.pad_id)
    assert mask.min() == 0, "no text is padded"
    with torch.no_grad():
        embeddings = encoder(ids, mask)
    assert embeddings.dtype == torch.float32
    assert embeddings.shape == (len(sentences), encoder.dim) == (len(sentences), 32 * len(pooling))
    np.testing.assert_allclose(encoder.encode(sentences, "fp32"), embeddings.numpy(), atol=3e-6)


def test_several_poolings_are_side_by_side(tiny_folder, sentences):
    together = BiEncoder.from_pretrained(tiny_folder, ["max", "cls"]).encode(sentences, "fp32")
    apart = [
        BiEncoder.from_pretrained(tiny_folder, mode).encode(sentences, "fp32")
        for mode in ("max", "cls")
    ]
    np.testing.assert_array_equal(together, np.hstack(apart))


def test_poolings_by_hand(tiny_folder):
    text = "the cat sits on the mat"
    ids = BiEncoder.from_pretrained(tiny_folder).tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        x = AutoModel.from_pretrained(tiny_folder).eval()(ids).last_hidden_state[0].numpy()
    steps = np.arange(1, len(x) + 1)[:, None]
    expected = {
        "cls": x[0],
        "mean": x.sum(axis=0) / len(x),
        "max": x.max(axis=0),
        "mean_sqrt_len": x.sum(axis=0) / math.sqrt(len(x)),
        "weighted_mean": (x * steps).sum(axis=0) / steps.sum(),
        "last_token": x[-1],
    }
    for mode, embedding in expected.items():
        encoder = BiEncoder.from_pretrained(tiny_folder, mode)
        # beside a longer text, so that the row is padded
        batch = [text, text + " and eats in the park"]
        np.testing.assert_allclose(
            encoder.encode(batch, "fp32")[0], embedding, atol=3e-6, err_msg=mode
        )


# layers


@pytest.mark.parametrize("layer", range(-4, 4))
def test_layer_is_that_hidden_state(tiny_folder, layer):
    encoder = BiEncoder.from_pretrained(tiny_folder, "mean", layer=layer)
    ids = encoder.tokenizer("the cat sits on the mat", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        states = (
            AutoModel.from_pretrained(tiny_folder)
            .eval()(ids, output_hidden_states=True)
            .hidden_states
        )
    expected = states[layer][0].mean(dim=0).numpy()
    np.testing.assert_allclose(
        encoder.encode(["the cat sits on the mat"], "fp32")[0], expected, atol=2e-6
    )
    assert len(encoder.transformer.encoder.layer) == layer % 4


@pytest.mark.parametrize("layer", [4, -5, 99])
def test_layer_out_of_range(tiny_folder, layer):
    with pytest.raises(InputError, match=f"layer {layer}: the model has layers -4 to 3"):
        BiEncoder.from_pretrained(tiny_folder, layer=layer)


def test_a_shorter_model_is_saved_as_such(tiny_folder, tmp_path, sentences):
    shorter = BiEncoder.from_pretrained(tiny_folder, layer=-2)
    shorter.save_pretrained(tmp_path / "short")
    again = BiEncoder.from_pretrained(tmp_path / "short")
    assert again.transformer.config.num_hidden_layers == 2
    np.testing.assert_array_equal(
        again.encode(sentences, "fp32"), shorter.encode(sentences, "fp32")
    )


# the head


@pytest.fixture
def headed(tiny, tmp_path):
    """A folder of the tiny encoder with max pooling, a Dense of 7 and Normalize."""
    torch.manual_seed(1)
    encoder = BiEncoder(
        tiny.transformer, tiny.tokenizer, ["max"], 20, [Dense(32, 7), Normalize()]
    ).eval()
    encoder.save_pretrained(tmp_path / "headed")
    return tmp_path / "headed"


def test_head_by_hand(headed, tiny_folder, sentences):
    encoder = BiEncoder.from_pretrained(headed)
    assert (encoder.pooling, encoder.dim, encoder.max_length) == (["max"], 7, 20)
    pooled = BiEncoder.from_pretrained(tiny_folder, "max", max_length=20).encode(sentences, "fp32")
    linear = encoder.head[0].linear
    made = np.tanh(pooled @ linear.weight.detach().numpy().T + linear.bias.detach().numpy())
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(sentences, "fp32"), made, atol=3e-6)


@pytest.mark.parametrize("pooling", ["max", "mean", ["cls", "mean"]])
def test_a_pooling_given_drops_the_saved_head(headed, tiny_folder, sentences, pooling):
    encoder = BiEncoder.from_pretrained(headed, pooling)
    assert len(encoder.head) == 0
    assert encoder.max_length == 20
    plain = BiEncoder.from_pretrained(tiny_folder, pooling, max_length=20)
    assert encoder.dim == plain.dim
    np.testing.assert_array_equal(
        encoder.encode(sentences, "fp32"), plain.encode(sentences, "fp32")
    )


def test_normalize_keeps_the_zero_vector():
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(Normalize()(rows), [[0.6, 0.8], [0, 0]], rtol=1e-6)


@pytest.mark.parametrize("pooling", ["median", ["mean", "median"], []])
def test_unknown_pooling(tiny_folder, pooling):
    with pytest.raises(
        InputError, match="known: cls, mean, max, mean_sqrt_len, weighted_mean, last_token"
    ):
        BiEncoder.from_pretrained(tiny_folder, pooling)


# length


def test_max_length_cuts(tiny_folder):
    long, short = "the cat sits on the mat and eats", "the cat sits"
    encoder = BiEncoder.from_pretrained(tiny_folder, max_length=5)
    assert encoder.max_length == 5
    np.testing.assert_array_equal(*encoder.encode([long, short], "fp32"))
    longer = BiEncoder.from_pretrained(tiny_folder, max_length=6).encode([long, short], "fp32")
    assert np.abs(longer[0] - longer[1]).max() > 0.01


@pytest.mark.parametrize(("given", "used"), [(None, 64), (64, 64), (10, 10)])
def test_max_length_is_at_most_what_the_model_has_positions_for(tiny_folder, given, used):
    encoder = BiEncoder.from_pretrained(tiny_folder, max_length=given)
    assert encoder.max_length == used
    encoder.encode(["a " * 200], "fp32")


@pytest.mark.parametrize("length", [65, 10_000])
def test_max_length_above_the_positions(tiny_folder, length):
    with pytest.raises(InputError, match=f"max_length {length}: the model has positions for 64"):
        BiEncoder.from_pretrained(tiny_folder, max_length=length)


@pytest.mark.parametrize("length", [1, 2, -3])
def test_max_length_without_room(tiny_folder, length):
    with pytest.raises(InputError, match=f"max_length {length} leaves no room"):
        BiEncoder.from_pretrained(tiny_folder, max_length=length)


# what is cut


@pytest.mark.parametrize("method", ["encode", "encode_query"])
def test_encode_warns_of_what_it_cuts(tiny_folder, method):
    encoder = BiEncoder.from_pretrained(tiny_folder, max_length=4)
    encode = getattr(encoder, method)
    with pytest.warns(UserWarning, match="cut at") as caught:
        encode(["the cat sits", "the cat", "the cat sits"])
    assert [str(w.message) for w in caught] == ["1 of 2 distinct texts are cut at max_length 4"]
    assert caught[0].filename == __file__, "shown where the method was called"
