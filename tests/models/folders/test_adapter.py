"""Folders of LoRA adapters: applied to their base as peft applies them, or refused in one line."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from cross_encoder_checks import change
from safetensors.torch import load_file, save_file
from tiny_models import SIZE, bert_tokenizer, write_classifier
from transformers import AutoModel, AutoModelForSequenceClassification, BertConfig, BertModel

from sbert import BiEncoder, CrossEncoder, InputError
from sbert.models import adapters

peft = pytest.importorskip("peft")
st = pytest.importorskip("sentence_transformers")

TEXTS = ["the cat sits", "a small dog", "red"]
PAIRS = [("the cat sits", "a small dog"), ("red", "the man")]


def write_adapter(folder: Path, base: Path, auto_class=AutoModel, **options) -> Path:
    """What peft saves of a random adapter for a base, with the base's tokenizer."""
    model = peft.get_peft_model(auto_class.from_pretrained(base), peft.LoraConfig(r=4, **options))
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def adapter(tmp_path, tiny_folder) -> Path:
    return write_adapter(tmp_path / "adapter", tiny_folder)


def encode(folder: Path) -> np.ndarray:
    return BiEncoder.from_pretrained(folder).encode(TEXTS, precision="fp32")


@pytest.mark.parametrize("beside", [False, True])
def test_the_adapter_is_applied(adapter, tiny_folder, beside):
    """As sentence-transformers applies it, whether its base lies beside it or elsewhere."""
    if beside:
        shutil.copytree(tiny_folder, adapter, dirs_exist_ok=True)
    expected = st.SentenceTransformer(str(adapter)).encode(TEXTS)
    np.testing.assert_allclose(encode(adapter), expected, atol=1e-5)
    assert np.abs(expected - encode(tiny_folder)).max() > 0.1


def test_rank_stabilised_adapters_with_magnitudes_are_applied(tmp_path, tiny_folder):
    """As peft applies them: transformers would leave out the magnitudes."""
    options = {"use_rslora": True, "use_dora": True, "target_modules": "all-linear"}
    folder = write_adapter(tmp_path / "adapter", tiny_folder, **options)
    adapted = peft.PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_folder), folder)
    model = BiEncoder.from_pretrained(folder)
    inputs = model.tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = adapted(**inputs).last_hidden_state
        torch.testing.assert_close(
            model.transformer(**inputs).last_hidden_state, expected, atol=1e-5, rtol=1e-5
        )


def test_the_merged_model_trains_and_is_saved_as_any_other(adapter, tmp_path, tiny_folder):
    model = BiEncoder.from_pretrained(adapter)
    plain = BiEncoder.from_pretrained(tiny_folder)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name, p in plain.named_parameters() if p.requires_grad}
    model.save_pretrained(tmp_path / "merged")
    assert not (tmp_path / "merged/adapter_config.json").exists()
    np.testing.assert_array_equal(encode(tmp_path / "merged"), encode(adapter))


def test_loading_an_adapter_draws_no_random_numbers(adapter):
    state = torch.get_rng_state()
    BiEncoder.from_pretrained(adapter)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_adapter_may_leave_the_tokenizer_to_its_base(adapter):
    expected = encode(adapter)
    (adapter / "tokenizer.json").unlink()
    np.testing.assert_array_equal(encode(adapter), expected)


@pytest.mark.parametrize("labels", [1, 3])
@pytest.mark.parametrize("base", ["encoder", "classifier"])
def test_adapter_of_a_cross_encoder(tmp_path, tiny_folder, base, labels):
    """With the head that it holds, whose size need not be that of the base's."""
    folder = tiny_folder if base == "encoder" else write_classifier(tmp_path / "base", 1)
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=labels, ignore_mismatched_sizes=True
    )
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=4)).eval()
    for weight in adapted.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.3)
    adapted.save_pretrained(tmp_path / "adapter")
    scorer = CrossEncoder.from_pretrained(tmp_path / "adapter")
    assert scorer.dim == labels
    inputs = scorer.tokenizer(*zip(*PAIRS, strict=True), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = adapted(**inputs).logits.numpy().reshape(2, -1)
    logits = scorer.predict(PAIRS, logits=True, precision="fp32")
    np.testing.assert_allclose(logits.reshape(2, -1), expected, atol=1e-5)


def test_adapter_without_the_head_that_its_base_lacks(tmp_path, tiny_folder):
    """Such as sentence-transformers saves of a cross-encoder without modules_to_save."""
    folder = write_adapter(tmp_path / "adapter", tiny_folder)
    message = f"{folder}: neither the adapter nor its base {tiny_folder} has a classifier's head"
    with pytest.raises(InputError) as caught:
        CrossEncoder.from_pretrained(folder)
    assert str(caught.value) == message


@pytest.mark.parametrize("beside", [False, True])
def test_without_peft(adapter, tiny_folder, monkeypatch, beside):
    if beside:
        shutil.copytree(tiny_folder, adapter, dirs_exist_ok=True)
    monkeypatch.setattr(adapters, "is_peft_available", lambda: False)
    for encoder in (BiEncoder, CrossEncoder):
        with pytest.raises(InputError) as caught:
            encoder.from_pretrained(adapter)
        assert str(caught.value) == (
            f"{adapter}/adapter_config.json: an adapter needs peft: pip install -e '.[peft]'"
        )


def write_other(folder: Path, **sizes) -> Path:
    config = BertConfig(vocab_size=50, max_position_embeddings=64, **(SIZE | sizes))
    BertModel(config).save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"hidden_size": 64}, "size mismatch for encoder.layer.0.attention.self.query.lora_A"),
        ({"num_hidden_layers": 2}, "the base has no place for encoder.layer.2."),
        ({"num_hidden_layers": 4}, "the adapter lacks weights for it, such as encoder.layer.3"),
    ],
)
def test_adapter_for_another_base(adapter, tmp_path, sizes, message):
    other = write_other(tmp_path / "other", **sizes)
    change(adapter / "adapter_config.json", base_model_name_or_path=str(other))
    start = f"^{adapter}: the adapter does not fit {other}: "
    with pytest.raises(InputError, match=f"{start}.*{message}"):
        BiEncoder.from_pretrained(adapter)


def drop(name: str):
    return lambda folder: (folder / name).unlink()


def configure(**keys):
    return lambda folder: change(folder / "adapter_config.json", **keys)


def pickle_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (configure(target_modules=["wq"]), "Target modules .*wq.* not found in the base model"),
        (configure(base_model_name_or_path="./none"), "its base is not there: model ./none"),
        (configure(base_model_name_or_path=None), "names no base"),
        (configure(peft_type="IA3"), "an adapter of type IA3 is not supported; known: LORA"),
        (configure(use_magic=True), "adapter_config.json: unknown settings: use_magic"),
        (configure(megatron_config={"a": 1}), "unknown settings: megatron_config"),
        (drop("adapter_model.safetensors"), "no weights: adapter_model.safetensors is missing$"),
        (
            pickle_weights,
            "missing; python tools/convert_weights.py .* makes it of adapter_model.bin",
        ),
    ],
)
def test_broken_adapters(adapter, spoil, message):
    spoil(adapter)
    with pytest.raises(InputError, match=message) as caught:
        BiEncoder.from_pretrained(adapter)
    assert str(adapter) in str(caught.value)


def test_adapter_of_an_adapter(adapter, tmp_path, tiny_folder):
    second = write_adapter(tmp_path / "second", tiny_folder)
    change(second / "adapter_config.json", base_model_name_or_path=str(adapter))
    with pytest.raises(InputError, match="its base .*/adapter is an adapter, too: merge"):
        BiEncoder.from_pretrained(second)


def test_base_beside_the_adapter_that_is_not_complete(adapter, tiny_folder):
    weights = load_file(tiny_folder / "model.safetensors")
    del weights["embeddings.LayerNorm.bias"]
    (adapter / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    save_file(weights, adapter / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=f"^{adapter}: incomplete: 1 weights are missing"):
        BiEncoder.from_pretrained(adapter)
