"""Folders of bi-encoders: saved and loaded, and both layouts of sentence-transformers."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from model_folders import (
    KEYS_2X,
    NAMES_6X,
    assert_refused_in_one_line,
    dump,
    headed,
    load,
    pickled_only,
    replace,
    rewrite,
    without_key,
    write_layout,
)
from safetensors.torch import load_file
from tiny_models import bert_tokenizer, write_classifier

from sbert import BiEncoder
from sbert.pooling import POOLING, Dense, Normalize, mean

ACTIVATIONS = ["Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU"]


def build(
    tiny: BiEncoder, pooling=("mean",), head=(), max_length: int = 12, lower_case: bool = False
) -> BiEncoder:
    torch.manual_seed(3)
    return BiEncoder(
        tiny.transformer, tiny.tokenizer, pooling, max_length, [make() for make in head], lower_case
    ).eval()


def assert_same(one: BiEncoder, other: BiEncoder, sentences: list[str]) -> None:
    assert other.pooling == one.pooling
    assert (other.max_length, other.dim, other.text_tokenizer.lower_case) == (
        one.max_length,
        one.dim,
        one.text_tokenizer.lower_case,
    )
    np.testing.assert_array_equal(other.encode(sentences, "fp32"), one.encode(sentences, "fp32"))


VARIANTS = {
    "plain": {},
    "every length": {"max_length": 64},
    "cls": {"pooling": ["cls"]},
    "two poolings": {"pooling": ["cls", "mean"]},
    "another order": {"pooling": ["mean", "cls"]},
    "all poolings backwards": {"pooling": list(POOLING)[::-1]},
    "Normalize": {"head": [Normalize]},
    "Dense": {"head": [lambda: Dense(32, 7)]},
    "Dense without bias": {"head": [lambda: Dense(32, 7, False, "Identity")]},
    "two Dense": {
        "pooling": ["max", "mean"],
        "head": [lambda: Dense(64, 20, True, "GELU"), lambda: Dense(20, 9), Normalize],
    },
    "Normalize before Dense": {"head": [Normalize, lambda: Dense(32, 5)]},
    "lower case": {"lower_case": True},
}


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_saved_and_loaded_is_the_same(tiny, tmp_path, sentences, variant):
    encoder = build(tiny, **variant)
    encoder.save_pretrained(tmp_path / "new" / "folder")
    again = BiEncoder.from_pretrained(tmp_path / "new" / "folder")
    assert_same(encoder, again, sentences)
    again.save_pretrained(tmp_path / "twice")
    assert_same(encoder, BiEncoder.from_pretrained(tmp_path / "twice"), sentences)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_by_hand(tiny, tmp_path, sentences, activation):
    build(tiny, head=[lambda: Dense(32, 7, True, activation)]).save_pretrained(tmp_path)
    encoder = BiEncoder.from_pretrained(tmp_path)
    weights = load_file(tmp_path / "2_Dense" / "model.safetensors")
    pooled = torch.from_numpy(build(tiny).encode(sentences, "fp32"))
    x = pooled @ weights["linear.weight"].T + weights["linear.bias"]
    formulas = {
        "Tanh": lambda: x.exp().sub((-x).exp()) / x.exp().add((-x).exp()),
        "Identity": lambda: x,
        "ReLU": lambda: x * (x > 0),
        "GELU": lambda: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
        "Sigmoid": lambda: 1 / (1 + (-x).exp()),
        "SiLU": lambda: x / (1 + (-x).exp()),
    }
    np.testing.assert_allclose(encoder.encode(sentences, "fp32"), formulas[activation](), atol=3e-6)


def test_lower_case_is_done_before_a_cased_tokenizer(tiny, tmp_path):
    tokenizer = bert_tokenizer()
    tokenizer.backend_tokenizer.normalizer.lowercase = False
    tiny.tokenizer = tokenizer
    texts = ["The CAT", "the cat"]
    for lower_case in (True, False):
        build(tiny, lower_case=lower_case).save_pretrained(tmp_path / str(lower_case))
        upper, lower = BiEncoder.from_pretrained(tmp_path / str(lower_case)).encode(texts, "fp32")
        assert np.array_equal(upper, lower) == lower_case


def test_saving_leaves_the_encoder_as_it_is(tiny, tmp_path, sentences):
    encoder = build(tiny, ["max", "cls"], [lambda: Dense(64, 7)]).train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.save_pretrained(tmp_path)
    assert encoder.training
    assert encoder.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_files_written_are_the_2x_layout(tiny, tmp_path):
    build(tiny, ["mean"], [lambda: Dense(32, 7), Normalize]).save_pretrained(tmp_path)
    names = [
        ("", "Transformer"),
        ("1_Pooling", "Pooling"),
        ("2_Dense", "Dense"),
        ("3_Normalize", "Normalize"),
    ]
    assert load(tmp_path / "modules.json") == [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(names)
    ]
    assert load(tmp_path / "sentence_bert_config.json") == {
        "max_seq_length": 12,
        "do_lower_case": False,
    }
    assert load(tmp_path / "tokenizer_config.json")["model_max_length"] == 12
    pooling = load(tmp_path / "1_Pooling" / "config.json")
    assert pooling == {"word_embedding_dimension": 32} | {
        key: mode == "mean" for mode, key in KEYS_2X.items()
    }
    assert load(tmp_path / "2_Dense" / "config.json") == {
        "in_features": 32,
        "out_features": 7,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    assert sorted(load_file(tmp_path / "2_Dense" / "model.safetensors")) == [
        "linear.bias",
        "linear.weight",
    ]
    assert (tmp_path / "3_Normalize").is_dir()
    assert not [*tmp_path.rglob("*.bin"), *tmp_path.rglob("*.pt"), *tmp_path.rglob("*.py")]


LAYOUTS = ["2.x", "v1", "6.x"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("modes", "head"),
    [(["cls"], False), (["max", "mean"], False), (["mean"], True), (["cls", "max"], True)],
)
@pytest.mark.parametrize("length", [None, 7])
def test_layouts_by_hand(tiny_folder, tmp_path, sentences, layout, modes, head, length):
    weights = write_layout(tmp_path / "m", tiny_folder, layout, modes, head, length)
    encoder = BiEncoder.from_pretrained(tmp_path / "m")
    assert (encoder.pooling, encoder.max_length, encoder.dim) == (
        modes,
        length or 64,
        7 if head else 32 * len(modes),
    )
    expected = BiEncoder.from_pretrained(tiny_folder, modes, max_length=length).encode(
        sentences, "fp32"
    )
    if head:
        expected = np.maximum(
            expected @ weights["linear.weight"].numpy().T + weights["linear.bias"].numpy(), 0
        )
        expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(encoder.encode(sentences, "fp32"), expected, atol=3e-6)


def test_a_pooling_of_ones_own_is_kept_by_name(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(POOLING, "double_mean", lambda x, mask: 2 * mean(x, mask))
    model = BiEncoder.from_pretrained(tiny_folder, pooling="double_mean")
    model.save_pretrained(tmp_path)
    loaded = BiEncoder.from_pretrained(tmp_path)
    assert list(loaded.pooling) == ["double_mean"]
    np.testing.assert_array_equal(loaded.encode(["a cat"]), model.encode(["a cat"]))


@pytest.mark.parametrize("mode", POOLING)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_pooling_of_every_layout(tiny_folder, tmp_path, layout, mode):
    write_layout(tmp_path / "m", tiny_folder, layout, [mode], False, None)
    assert BiEncoder.from_pretrained(tmp_path / "m").pooling == [mode]


def test_the_order_of_a_6x_list_is_kept_and_that_of_2x_is_fixed(tiny_folder, tmp_path):
    backwards = list(POOLING)[::-1]
    write_layout(tmp_path / "6", tiny_folder, "6.x", backwards, False, None)
    assert BiEncoder.from_pretrained(tmp_path / "6").pooling == backwards
    write_layout(tmp_path / "2", tiny_folder, "2.x", backwards, False, None)
    fixed = ["cls", "max", "mean", "mean_sqrt_len", "weighted_mean", "last_token"]
    assert BiEncoder.from_pretrained(tmp_path / "2").pooling == fixed


def test_keys_that_old_folders_lack(tiny_folder, tmp_path):
    write_layout(tmp_path / "m", tiny_folder, "2.x", ["max"], False, None)
    dump(
        tmp_path / "m" / "1_Pooling" / "config.json",
        {"word_embedding_dimension": 32, "pooling_mode_max_tokens": True},
    )
    (tmp_path / "m" / "sentence_bert_config.json").unlink()
    encoder = BiEncoder.from_pretrained(tmp_path / "m")
    assert (encoder.pooling, encoder.max_length) == (["max"], 64)


def test_dropout_between_modules_is_nothing(tiny_folder, tmp_path, sentences):
    write_layout(tmp_path / "m", tiny_folder, "2.x", ["max"], False, None)
    listed = load(tmp_path / "m" / "modules.json")
    listed += [
        {"idx": 2, "name": "2", "path": "2_Dropout", "type": "sentence_transformers.models.Dropout"}
    ]
    dump(tmp_path / "m" / "modules.json", listed)
    dump(tmp_path / "m" / "2_Dropout" / "config.json", {"dropout": 0.5})
    plain = BiEncoder.from_pretrained(tiny_folder, "max").encode(sentences, "fp32")
    np.testing.assert_array_equal(
        BiEncoder.from_pretrained(tmp_path / "m").encode(sentences, "fp32"), plain
    )


def test_a_saved_length_is_a_limit_that_an_option_may_change(tiny_folder, tmp_path):
    write_layout(tmp_path / "m", tiny_folder, "2.x", ["max"], False, 7)
    assert BiEncoder.from_pretrained(tmp_path / "m", max_length=5).max_length == 5
    assert BiEncoder.from_pretrained(tmp_path / "m", max_length=20).max_length == 20
    write_layout(tmp_path / "m", tiny_folder, "2.x", ["max"], False, 512)
    assert BiEncoder.from_pretrained(tmp_path / "m").max_length == 64, "the model has 64 positions"


@pytest.fixture(scope="module")
def theirs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip("sentence_transformers")
        return package, pytest.importorskip("sentence_transformers.models")


def their_embeddings(package, folder: Path, sentences: list[str]) -> np.ndarray:
    model = package.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return model.encode(sentences, show_progress_bar=False)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_sentence_transformers_loads_what_is_saved_here(theirs, tiny, tmp_path, sentences, variant):
    encoder = build(tiny, **variant)
    encoder.save_pretrained(tmp_path)
    # some longer than max_length, so that it counts
    texts = [*sentences, " ".join(sentences)]
    np.testing.assert_allclose(
        their_embeddings(theirs[0], tmp_path, texts), encoder.encode(texts, "fp32"), atol=1e-5
    )


@pytest.mark.parametrize("modes", [*([mode] for mode in POOLING), ["mean", "cls"]], ids="-".join)
@pytest.mark.parametrize("head", [False, True], ids=["", "Dense Normalize"])
def test_what_sentence_transformers_saves_loads_here(
    theirs, tiny_folder, tmp_path, sentences, modes, head
):
    package, models = theirs
    torch.manual_seed(1)
    names = tuple(NAMES_6X[mode] for mode in modes)
    parts = [models.Transformer(str(tiny_folder), max_seq_length=9), models.Pooling(32, names)]
    if head:
        dense = models.Dense(32 * len(modes), 7, bias=False, activation_function=torch.nn.GELU())
        parts += [dense, models.Normalize()]
    model = package.SentenceTransformer(modules=parts, device="cpu")
    model.save_pretrained(str(tmp_path), create_model_card=False)
    encoder = BiEncoder.from_pretrained(tmp_path)
    assert (encoder.pooling, encoder.max_length) == (modes, 9)
    texts = [*sentences, " ".join(sentences)]
    expected = model.encode(texts, show_progress_bar=False)
    np.testing.assert_allclose(encoder.encode(texts, "fp32"), expected, atol=1e-5)


def test_what_goes_through_both_stays(theirs, tiny, tmp_path, sentences):
    encoder = build(tiny, ["max", "cls"], [lambda: Dense(64, 7), Normalize])
    encoder.save_pretrained(tmp_path / "ours")
    model = theirs[0].SentenceTransformer(
        str(tmp_path / "ours"), device="cpu", local_files_only=True
    )
    model.save_pretrained(str(tmp_path / "theirs"), create_model_card=False)
    assert_same(encoder, BiEncoder.from_pretrained(tmp_path / "theirs"), sentences)


# refusals


def unknown_module(root: Path) -> None:
    listed = load(root / "modules.json")
    dump(
        root / "modules.json",
        [*listed[:2], listed[2] | {"type": "sentence_transformers.models.LSTM", "path": "2_LSTM"}],
    )


BROKEN = {
    "unknown module": (
        unknown_module,
        "2_LSTM: module LSTM is not supported here; "
        "known: Transformer, then Pooling, Dense, Normalize",
    ),
    "unknown activation": (
        rewrite("2_Dense/config.json", activation_function="torch.nn.modules.activation.Mish"),
        "2_Dense/config.json: unknown activation Mish; known: Tanh",
    ),
    "no Dense weights": (
        lambda root: (root / "2_Dense/model.safetensors").unlink(),
        "2_Dense: no weights",
    ),
    "pickled Dense weights": (
        pickled_only("2_Dense"),
        "2_Dense: no weights: model.safetensors is missing",
    ),
    "Dense without sizes": (
        without_key("2_Dense/config.json", "in_features"),
        "2_Dense/config.json: in_features is None",
    ),
    "Dense of other sizes": (rewrite("2_Dense/config.json", out_features=8), "2_Dense"),
    "no pooling file": (
        lambda root: (root / "1_Pooling/config.json").unlink(),
        "1_Pooling/config.json: no such file",
    ),
    "no pooling mode": (
        replace("1_Pooling/config.json", '{"pooling_mode_cls_token": false}'),
        "1_Pooling/config.json: no known pooling mode in {",
    ),
    "unknown pooling mode": (
        replace("1_Pooling/config.json", '{"pooling_mode": "median"}'),
        "1_Pooling/config.json: no known pooling mode in {",
    ),
    "one of two poolings unknown": (
        replace("1_Pooling/config.json", '{"pooling_mode": ["mean", "median"]}'),
        "1_Pooling/config.json: no known pooling mode in {",
    ),
    "1_Pooling not JSON": (
        replace("1_Pooling/config.json", "{,}"),
        "1_Pooling/config.json: not JSON",
    ),
    "2_Dense not JSON": (replace("2_Dense/config.json", ""), "2_Dense/config.json: not JSON"),
}


@pytest.mark.parametrize(("breaks", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_refused_in_one_line(tiny_folder, tmp_path, breaks, said):
    assert_refused_in_one_line(headed(tmp_path / "m", tiny_folder), breaks, said)


def test_the_head_of_a_classifier_is_not_left_out_without_a_word(tmp_path):
    folder = write_classifier(tmp_path)
    said = (
        f"{folder}: is a sequence classifier; its encoder is loaded and its head left out; "
        "CrossEncoder.from_pretrained loads both"
    )
    with pytest.warns(UserWarning, match=re.escape(said)) as caught:
        model = BiEncoder.from_pretrained(folder)
    assert [one.filename for one in caught] == [__file__]
    model.save_pretrained(tmp_path / "saved")  # an ordinary bi-encoder from here on
    BiEncoder.from_pretrained(tmp_path / "saved")
