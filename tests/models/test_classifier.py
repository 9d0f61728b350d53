"""The classifier under a cross-encoder: its head, saved and new, and the changes to its layers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from cross_encoder_checks import (
    change,
    one_by_one,
    said_by,
    weights_of,
    write_roberta,
)
from families import FAMILIES, Family
from families import write_classifier as write_family
from safetensors.torch import save_file
from tiny_models import bare_tokenizer, bert_tokenizer, write_classifier, write_tiny
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
    RobertaModel,
)

from sbert import CrossEncoder
from sbert.models.tokens import tokenize_columns


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("kind", ["BERT", "RoBERTa"])
def test_only_the_last_layer_stays_fp32(folders, tmp_path, monkeypatch, kind, precision):
    model = CrossEncoder.from_pretrained(folders[1] if kind == "BERT" else write_roberta(tmp_path))
    seen = {}

    def forward(self, **inputs):
        seen.update({name: p.dtype for name, p in self.named_parameters()})
        raise StopIteration

    monkeypatch.setattr(type(model.transformer), "forward", forward)
    with pytest.raises(StopIteration):
        model.predict([("a", "cat")], precision=precision)
    last = "classifier" if kind == "BERT" else "classifier.out_proj"
    exact = {name for name, dtype in seen.items() if dtype == torch.float32}
    assert exact == {f"{last}.weight", f"{last}.bias"}
    assert {dtype for name, dtype in seen.items() if name not in exact} == {
        torch.bfloat16 if precision == "bf16" else torch.float16
    }


def test_logits_are_not_rounded_to_bf16(scorer, pairs):
    logits = torch.from_numpy(scorer.predict(pairs, logits=True, precision="bf16"))
    rounded = (logits.bfloat16().float() == logits).float().mean()
    assert rounded < 0.1


def test_the_last_layer_is_fp32_in_training_too(scorer):
    inputs = scorer.inputs(
        *tokenize_columns(scorer.text_tokenizer, [["a cat", "the dog"], ["red", "a man sits"]])
    )
    with torch.autocast("cpu", torch.bfloat16):
        logits = scorer(**inputs)
        pooled = scorer.transformer.bert(**inputs).pooler_output
    assert (logits.dtype, pooled.dtype) == (torch.float32, torch.bfloat16)
    head = scorer.transformer.classifier
    torch.testing.assert_close(logits, pooled.float() @ head.weight.T + head.bias)
    logits.sum().backward()
    torch.testing.assert_close(head.weight.grad, pooled.float().sum(dim=0, keepdim=True))


@pytest.mark.parametrize(("given", "labels"), [(None, 1), (1, 1), (3, 3)])
def test_a_plain_encoder_gets_a_head(tiny_folder, pairs, given, labels):
    model = CrossEncoder.from_pretrained(tiny_folder, given)
    assert (model.dim, model.activation, model.classes) == (
        labels,
        "sigmoid" if labels == 1 else "softmax",
        None,
    )
    head = model.transformer.classifier
    assert head.weight.shape == (labels, 32)
    assert 0.2 < head.weight.std() < 0.4, "not of the model's initializer_range, 0.3"
    assert head.bias.tolist() == [0] * labels
    kept = dict(model.transformer.bert.named_parameters())
    for name, tensor in weights_of(tiny_folder).items():
        assert torch.equal(kept.pop(name), tensor), name
    assert not kept
    assert model.predict(pairs).shape == ((len(pairs),) if labels == 1 else (len(pairs), labels))


@pytest.mark.parametrize("plain", [True, False], ids=["plain encoder", "new_head"])
def test_the_seed_makes_the_head(tiny_folder, folders, plain):
    heads = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        source = (
            {"name_or_path": tiny_folder}
            if plain
            else {"name_or_path": folders[3], "new_head": True}
        )
        heads.append(
            CrossEncoder.from_pretrained(**source, num_labels=2).transformer.classifier.weight
        )
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize("num_labels", [None, 3])
def test_a_saved_head_is_kept(folders, num_labels):
    model = CrossEncoder.from_pretrained(folders[3], num_labels)
    assert (model.dim, model.activation) == (3, "softmax")
    saved, loaded = weights_of(folders[3]), model.transformer.state_dict()
    assert saved.keys() <= loaded.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())


@pytest.mark.parametrize(("saved", "num_labels"), [(3, 1), (3, 2), (1, 3)])
def test_a_head_of_another_size_is_refused(folders, saved, num_labels):
    assert said_by(CrossEncoder.from_pretrained, folders[saved], num_labels) == (
        f"{folders[saved]}: its head has {saved} labels, and num_labels is {num_labels}; "
        "leave num_labels out, or set new_head to start with a new output layer"
    )


@pytest.mark.parametrize(("saved", "num_labels"), [(3, 1), (3, 2), (1, 3), (3, 3), (1, 1)])
def test_new_head_starts_the_last_layer_afresh(folders, tmp_path, saved, num_labels):
    model = CrossEncoder.from_pretrained(folders[saved], num_labels, new_head=True)
    assert (model.dim, model.transformer.num_labels) == (num_labels, num_labels)
    old, new = weights_of(folders[saved]), model.transformer.state_dict()
    assert old.keys() <= new.keys()
    fresh = {
        name
        for name in old
        if old[name].shape != new[name].shape or not torch.equal(old[name], new[name])
    }
    assert fresh == {"classifier.weight", "classifier.bias"}
    assert new["classifier.weight"].shape == (num_labels, 32)
    assert 0.2 < new["classifier.weight"].std() < 0.4, "not of the model's initializer_range, 0.3"
    assert new["classifier.bias"].tolist() == [0] * num_labels
    assert all(parameter.requires_grad for parameter in model.parameters())
    model.save_pretrained(tmp_path)
    some = [("a cat", "red"), ("the dog", "a man")]
    again = CrossEncoder.from_pretrained(tmp_path)
    assert all(
        torch.equal(weight, new[name]) for name, weight in again.transformer.state_dict().items()
    )
    # where weights lie in memory may change a product of few rows by the last bit
    np.testing.assert_allclose(
        again.predict(some, precision="fp32"), model.predict(some, precision="fp32"), rtol=1e-6
    )


def test_new_head_without_a_number_has_as_many_labels_as_saved(folders):
    assert CrossEncoder.from_pretrained(folders[3], new_head=True).dim == 3


def test_new_head_of_a_roberta_is_its_last_layer_alone(tmp_path):
    folder = write_roberta(tmp_path)
    model = CrossEncoder.from_pretrained(folder, 3, new_head=True)
    old, new = weights_of(folder), model.transformer.state_dict()
    fresh = {
        name
        for name in old
        if old[name].shape != new[name].shape or not torch.equal(old[name], new[name])
    }
    assert fresh == {"classifier.out_proj.weight", "classifier.out_proj.bias"}
    assert new["classifier.out_proj.bias"].tolist() == [0] * 3
    assert model.predict([("a", "cat")]).shape == (1, 3)


@pytest.mark.parametrize("model_type", ["xlm-roberta", "camembert"])
@pytest.mark.parametrize("new_head", [False, True])
def test_a_head_defined_before_its_encoder_is_found(tmp_path, model_type, new_head):
    folder = write_roberta(tmp_path, model_type=model_type)
    model = CrossEncoder.from_pretrained(folder, new_head=new_head)
    assert next(iter(model.transformer.named_children()))[0] == "classifier"
    assert model.fp32_weights == ("classifier.out_proj.weight", "classifier.out_proj.bias")
    old, new = weights_of(folder), model.transformer.state_dict()
    fresh = {name for name in old if not torch.equal(old[name], new[name])}
    assert fresh == (set(model.fp32_weights) if new_head else set())
    some = [("a cat sits", "the dog runs"), ("red", "a man")]
    model.save_pretrained(tmp_path / "saved")
    np.testing.assert_allclose(
        model.predict(some, logits=True, precision="fp32"),
        one_by_one(tmp_path / "saved", some, 32)[:, 0],
        atol=1e-5,
    )


@pytest.mark.parametrize("model_type", ["xlm-roberta", "camembert"])
def test_a_plain_encoder_whose_head_is_defined_first_gets_a_head(tmp_path, model_type):
    folder = write_roberta(tmp_path, model_type=model_type)
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    model = CrossEncoder.from_pretrained(folder, 3)
    assert model.predict([("a", "cat")]).shape == (1, 3)
    assert model.fp32_weights == ("classifier.out_proj.weight", "classifier.out_proj.bias")


def test_a_model_without_an_output_layer_is_refused(tiny_folder):
    transformer = BertModel.from_pretrained(tiny_folder)
    assert said_by(CrossEncoder, transformer, bert_tokenizer(), 64, "sigmoid") == (
        "BertModel: its output layer is not known; one linear layer outside the base model should "
        "have 2 outputs, one a label, and found are: none"
    )


def test_a_model_with_two_possible_output_layers_is_refused(tmp_path):
    folder = write_roberta(tmp_path, labels=32)  # as many as the hidden layer of the head
    assert said_by(CrossEncoder.from_pretrained, folder).endswith(
        "should have 32 outputs, one a label, and found are: classifier.dense, classifier.out_proj"
    )


def drop(folder: Path, *names: str) -> None:
    kept = {name: tensor for name, tensor in weights_of(folder).items() if name not in names}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["classifier.weight"], "1 weights are missing, for example classifier.weight"),
        (
            ["classifier.weight", "classifier.bias"],
            "2 weights are missing, for example classifier.bias",
        ),
        (["bert.pooler.dense.bias"], "1 weights are missing, for example bert.pooler.dense.bias"),
        (
            ["bert.embeddings.LayerNorm.bias"],
            "1 weights are missing, for example bert.embeddings.LayerNorm.bias",
        ),
    ],
)
def test_an_incomplete_classifier_is_refused(tmp_path, names, said, new_head):
    folder = write_classifier(tmp_path)
    drop(folder, *names)
    found = said_by(CrossEncoder.from_pretrained, folder, new_head=new_head)
    assert found == f"{folder}: incomplete: {said}"


def test_an_incomplete_encoder_is_refused(tmp_path):
    folder = write_tiny(tmp_path)
    drop(folder, "encoder.layer.1.output.dense.weight")
    # older versions of transformers name it as the folder does, newer ones as the whole model does
    assert said_by(CrossEncoder.from_pretrained, folder).replace(" bert.encoder", " encoder") == (
        f"{folder}: incomplete: 1 weights are missing, "
        "for example encoder.layer.1.output.dense.weight"
    )


def test_an_encoder_may_lack_its_pooler(tmp_path):
    folder = write_tiny(tmp_path)
    drop(folder, "pooler.dense.weight", "pooler.dense.bias")
    assert CrossEncoder.from_pretrained(folder).predict([("a", "cat")]).shape == (1,)


def test_an_encoder_whose_head_is_deeper_than_one_layer(tmp_path):
    folder = write_roberta(tmp_path)
    config = AutoConfig.from_pretrained(folder)
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    model = CrossEncoder.from_pretrained(folder, 2)
    assert model.predict([("a", "cat")]).shape == (1, 2)


def test_pickled_weights_alone_are_refused(tmp_path):
    folder = write_classifier(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert said_by(CrossEncoder.from_pretrained, folder) == (
        f"{folder}: no weights: model.safetensors is missing; "
        f"python tools/convert_weights.py {folder} makes it of pytorch_model.bin"
    )


def test_a_config_that_does_not_fit_the_weights_is_refused(tmp_path):
    folder = write_classifier(tmp_path, 3)
    change(folder / "config.json", id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    said = said_by(CrossEncoder.from_pretrained, folder)
    assert said.startswith(f"{folder}/model.safetensors: classifier.")
    assert "num_labels is 1, and 3 would fit" in said


def test_a_missing_folder_is_refused(tmp_path):
    assert (
        said_by(CrossEncoder.from_pretrained, tmp_path / "none")
        == f"model {tmp_path}/none: no such folder"
    )


def test_a_new_head_has_no_names_of_classes(tiny_folder, tmp_path):
    model = CrossEncoder.from_pretrained(tiny_folder, num_labels=3)
    model.classes = ["a", "b", "c"]
    model.save_pretrained(tmp_path)
    assert CrossEncoder.from_pretrained(tmp_path, num_labels=3, new_head=True).classes is None


def family(name: str) -> Family:
    return next(family for family in FAMILIES if family.name == name)


@pytest.mark.parametrize("name", ["BERT", "RoBERTa", "XLM-R", "CamemBERT", "ELECTRA"])
def test_the_last_layer_computes_the_first_position_alone_and_exactly(tmp_path, name):
    """The model with the shortcut against transformers' own: equal gradients of all weights."""
    folder = write_family(family(name), tmp_path)
    model = CrossEncoder.from_pretrained(folder)
    shapes = []
    last = model.transformer.base_model.encoder.layer[-1]
    last.intermediate.register_forward_hook(lambda module, given, made: shapes.append(made.shape))
    theirs = AutoModelForSequenceClassification.from_pretrained(folder)
    inputs = model.tokenizer(
        ["a cat sits", "the dog"], ["a", "the man runs fast"], padding=True, return_tensors="pt"
    )
    for own, other in (
        (model.transformer, model.run_transformer(**inputs)),
        (theirs.eval(), theirs(**inputs)),
    ):
        own.zero_grad()
        other.logits.square().sum().backward()
    assert shapes == [(2, 1, 64)]
    for (name, p), q in zip(model.transformer.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, atol=1e-5, rtol=1e-4, msg=name)


# what pads a batch of a decoder


PAIRS = [("the cat eats", "a dog"), ("two men", "le chat mange the red mat today"), ("a", "pizza")]


@pytest.mark.parametrize(
    ("name", "pad_token"), [("Qwen2", None), ("Llama", None), ("GPT-2", None), ("Llama", "</s>")]
)
def test_a_decoder_without_a_padding_token(tmp_path, name, pad_token):
    """The token that it gets never is the one that ends a pair, as </s> does for this Llama."""
    folder = write_family(family(name), tmp_path / "theirs", pad_token=pad_token)
    change(folder / "config.json", pad_token_id=None)
    model = CrossEncoder.from_pretrained(folder)
    expected = one_by_one(folder, PAIRS)[:, 0]
    np.testing.assert_allclose(
        model.predict(PAIRS, logits=True, precision="fp32"), expected, atol=1e-5
    )
    model.save_pretrained(tmp_path / "ours")
    again = CrossEncoder.from_pretrained(tmp_path / "ours")
    assert again.tokenizer.pad_token_id == again.transformer.config.pad_token_id is not None
    np.testing.assert_allclose(
        again.predict(PAIRS, logits=True, precision="fp32"), expected, atol=1e-5
    )


def test_the_padding_is_that_of_the_configuration(tmp_path):
    folder = write_family(family("Qwen2"), tmp_path, padding_side="right")
    tokenizer = CrossEncoder.from_pretrained(folder).tokenizer
    others = [token for token in tokenizer.all_special_tokens if token != tokenizer.pad_token]
    change(folder / "tokenizer_config.json", pad_token=others[0])
    model = CrossEncoder.from_pretrained(folder)
    assert model.tokenizer.pad_token == others[0]
    np.testing.assert_allclose(
        model.predict(PAIRS, logits=True, precision="fp32"),
        one_by_one(folder, PAIRS)[:, 0],
        atol=1e-5,
    )


def test_a_decoder_that_nothing_could_pad_is_refused(tmp_path):
    folder = write_family(family("GPT-2"), tmp_path)
    change(folder / "config.json", pad_token_id=None)
    backend = bare_tokenizer().backend_tokenizer
    PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64).save_pretrained(folder)
    assert said_by(CrossEncoder.from_pretrained, folder) == (
        "GPT2ForSequenceClassification: no pad_token_id in config.json, and the tokenizer has no "
        "special token that could pad; name one in both"
    )


def test_a_head_that_reads_padding_is_refused(tmp_path):
    folder = write_family(family("XLNet"), tmp_path)
    assert said_by(CrossEncoder.from_pretrained, folder) == (
        f"{folder}: the head of xlnet with summary_type last reads the padding of a batch; "
        "such a model is not supported here"
    )
