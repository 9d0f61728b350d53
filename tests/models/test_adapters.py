"""LoRA on a transformer: what is trained, and that saved models give the same results."""

import json

import numpy as np
import pytest
import torch
from families import FAMILIES, write_classifier, write_encoder
from safetensors.torch import load_file
from tiny_models import bert_tokenizer, word_pieces
from transformers import GPT2Config, GPT2Model

from sbert import BiEncoder, CrossEncoder, InputError
from sbert.models import adapters
from sbert.models.adapters import add_lora
from sbert.models.config import LoraConfig
from sbert.models.inference.copies import copy_for_inference

pytest.importorskip("peft")
st = pytest.importorskip("sentence_transformers")

TEXTS = ["the cat sits", "a small dog", "red"]
PAIRS = [("the cat sits", "a small dog"), ("red", "the man")]


def add_trained_lora(model, base, **options) -> set[str]:
    """LoRA with the weights of a trained one -> the names of what is trained."""
    add_lora(model.transformer, LoraConfig(rank=4, **options), str(base))
    trained = {name: p for name, p in model.transformer.named_parameters() if p.requires_grad}
    for weight in trained.values():
        torch.nn.init.normal_(weight, std=0.2)
    return set(trained)


def test_at_first_nothing_changes(tiny_folder, tiny):
    model = BiEncoder.from_pretrained(tiny_folder)
    add_lora(model.transformer, LoraConfig(), str(tiny_folder))
    expected = tiny.encode(TEXTS, precision="fp32")
    np.testing.assert_array_equal(model.encode(TEXTS, precision="fp32"), expected)


def test_new_weights_are_drawn_from_torchs_generator(tiny_folder):
    drawn = []
    for seed in (1, 1, 2):
        model = BiEncoder.from_pretrained(tiny_folder)
        torch.manual_seed(seed)
        add_lora(model.transformer, LoraConfig(), str(tiny_folder))
        drawn.append(model.transformer.encoder.layer[0].attention.self.query.lora_A.default.weight)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize(
    ("targets", "expected", "count"),
    [
        (None, {"query", "value"}, 2),  # what peft chooses for BERT
        (["attention.output.dense"], {"dense"}, 1),
        ("all-linear", {"query", "key", "value", "dense"}, 6),
    ],
)
def test_target_modules(tiny, targets, expected, count):
    trained = add_trained_lora(tiny, "base", target_modules=targets)
    layers = {name.partition(".lora_")[0] for name in trained}
    assert {name.rpartition(".")[2] for name in layers} == expected
    assert not any("pooler" in name for name in layers)  # which a bi-encoder does not use
    assert len(layers) == 3 * count


@pytest.mark.parametrize("save", ["merged", "adapter"])
def test_saved_bi_encoder(tiny, tiny_folder, tmp_path, save):
    add_trained_lora(tiny, tiny_folder, save=save, target_modules="all-linear")
    expected = tiny.encode(TEXTS, precision="fp32")
    tiny.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved/adapter_config.json").exists() == (save == "adapter")
    assert (tmp_path / "saved/model.safetensors").exists() == (save == "merged")
    ours = BiEncoder.from_pretrained(tmp_path / "saved").encode(TEXTS, precision="fp32")
    theirs = st.SentenceTransformer(str(tmp_path / "saved")).encode(TEXTS)
    np.testing.assert_allclose(ours, expected, atol=2e-5)
    np.testing.assert_allclose(theirs, expected, atol=2e-5)


@pytest.mark.parametrize(
    ("save", "activation"), [("merged", "sigmoid"), ("adapter", "sigmoid"), ("adapter", "identity")]
)
def test_saved_cross_encoder(tiny_folder, tmp_path, save, activation):
    """A new head is trained in full, with the pooler that it reads, and saved."""
    model = CrossEncoder.from_pretrained(tiny_folder)
    model.activation = activation
    trained = add_trained_lora(model, tiny_folder, save=save)
    head = {name for name in trained if ".lora_" not in name}
    assert head == {
        "bert.pooler.dense.weight",
        "bert.pooler.dense.bias",
        "classifier.weight",
        "classifier.bias",
    }
    expected = model.predict(PAIRS, precision="fp32")
    model.save_pretrained(tmp_path / "saved")
    ours = CrossEncoder.from_pretrained(tmp_path / "saved")
    np.testing.assert_allclose(ours.predict(PAIRS, precision="fp32"), expected, atol=1e-5)
    theirs = st.CrossEncoder(str(tmp_path / "saved")).predict(PAIRS)
    np.testing.assert_allclose(theirs, expected, atol=1e-5)


def test_saving_does_not_change_the_model(tiny, tiny_folder, tmp_path):
    add_trained_lora(tiny, tiny_folder)
    before = {name: weight.clone() for name, weight in tiny.state_dict().items()}
    tiny.save_pretrained(tmp_path / "saved")
    after = tiny.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert before.keys() == after.keys()


def test_saving_over_a_model_of_the_other_kind_leaves_nothing_of_it(tiny, tiny_folder, tmp_path):
    plain = BiEncoder.from_pretrained(tiny_folder)
    add_trained_lora(tiny, tiny_folder, save="adapter")
    for model in (plain, tiny, plain):
        model.save_pretrained(tmp_path)
        loaded = BiEncoder.from_pretrained(tmp_path)
        np.testing.assert_allclose(
            loaded.encode(TEXTS, precision="fp32"), model.encode(TEXTS, precision="fp32"), atol=1e-5
        )
    assert not list(tmp_path.glob("adapter_*"))


def test_the_adapter_alone_is_saved(tiny, tiny_folder, tmp_path):
    trained = add_trained_lora(tiny, tiny_folder, save="adapter")
    tiny.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    names = {f"base_model.model.{name.replace('.default', '')}" for name in trained}
    assert weights.keys() == names
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_folder)
    assert config["target_modules"] == sorted(config["target_modules"])


def test_lora_in_bf16(tiny, tiny_folder):
    """Close to fp32, as without LoRA; the head of a cross-encoder stays fp32."""
    add_trained_lora(tiny, tiny_folder)
    low, exact = (tiny.encode(TEXTS, precision=p) for p in ("bf16", "fp32"))
    cosine = (low * exact).sum(1) / np.linalg.norm(low, axis=1) / np.linalg.norm(exact, axis=1)
    assert cosine.min() > 0.999
    scorer = CrossEncoder.from_pretrained(tiny_folder)
    add_trained_lora(scorer, tiny_folder)
    low = copy_for_inference(scorer.transformer, torch.bfloat16, scorer.fp32_weights)
    weights = dict(low.named_parameters())
    assert weights["classifier.weight"].dtype == torch.float32
    assert weights["bert.encoder.layer.0.attention.self.query.lora_A.default.weight"].dtype == (
        torch.bfloat16
    )


def test_convolutions_of_gpt2_are_merged(tmp_path):
    """Their weights are transposed."""
    config = GPT2Config(vocab_size=len(word_pieces()), n_embd=32, n_layer=2, n_head=4)
    GPT2Model(config).save_pretrained(tmp_path / "base")
    bert_tokenizer().save_pretrained(tmp_path / "base")
    model = BiEncoder.from_pretrained(tmp_path / "base", max_length=32)
    add_trained_lora(model, tmp_path / "base")
    model.save_pretrained(tmp_path / "saved")
    loaded = BiEncoder.from_pretrained(tmp_path / "saved").encode(TEXTS, precision="fp32")
    np.testing.assert_allclose(loaded, model.encode(TEXTS, precision="fp32"), atol=2e-5)


def test_target_modules_that_are_not_there(tiny):
    with pytest.raises(InputError) as caught:
        add_lora(tiny.transformer, LoraConfig(target_modules=["query", "wq"]), "base")
    assert str(caught.value) == (
        "model.lora.target_modules: BertModel has no linear layer wq; known: dense, key, query, "
        "value"
    )


def test_no_target_modules(tiny):
    with pytest.raises(InputError) as caught:
        add_lora(tiny.transformer, LoraConfig(target_modules=[]), "base")
    assert str(caught.value) == (
        "model.lora.target_modules: names no layer; known: dense, key, query, value, or all-linear"
    )


@pytest.mark.parametrize("targets", [None, "all-linear", ["query"]])
def test_a_model_without_linear_layers(tiny_folder, targets):
    model = BiEncoder.from_pretrained(tiny_folder, layer=0)
    with pytest.raises(InputError) as caught:
        add_lora(model.transformer, LoraConfig(target_modules=targets), "base")
    assert str(caught.value) == (
        "model.lora: BertModel has no linear layers to update; leave model.lora out"
    )


def test_layers_that_a_bi_encoder_does_not_use(tmp_path):
    """Without an update: it would never get a gradient. The head of Longformer uses them."""
    family = next(family for family in FAMILIES if family.name == "Longformer")
    encoder = BiEncoder.from_pretrained(write_encoder(family, tmp_path / "encoder"))
    trained = add_trained_lora(encoder, "base", target_modules="all-linear")
    assert trained
    assert not any("_global" in name for name in trained)
    scorer = CrossEncoder.from_pretrained(write_classifier(family, tmp_path / "scorer"))
    trained = add_trained_lora(scorer, "base", target_modules="all-linear")
    assert any("_global" in name for name in trained)


def test_without_peft(tiny, monkeypatch):
    monkeypatch.setattr(adapters, "is_peft_available", lambda: False)
    with pytest.raises(InputError, match=r"^model.lora needs peft: pip install -e '.\[peft\]'$"):
        add_lora(tiny.transformer, LoraConfig(), "base")
