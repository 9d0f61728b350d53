"""Folders of cross-encoders: activations, saving and loading, and sentence-transformers itself."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from cross_encoder_checks import (
    IDENTITY,
    NLI,
    SIGMOID,
    Pairs,
    change,
    load,
    one_by_one,
    said_by,
    sigmoid,
    softmax,
    weights_of,
)
from families import FAMILIES
from families import write_classifier as write_family
from safetensors.torch import save_file
from support import WEIGHTS, needs_weights
from tiny_models import WORDS, write_classifier

from sbert import CrossEncoder
from sbert.errors import InputError


def test_new_head_forgets_the_activation(tmp_path):
    folder = write_classifier(tmp_path, sbert_ce_default_activation_function=IDENTITY)
    assert CrossEncoder.from_pretrained(folder).activation == "identity"
    assert CrossEncoder.from_pretrained(folder, new_head=True).activation == "sigmoid"


def layout_6x(folder: Path, name: str) -> None:
    """As sentence-transformers 6 writes it; a test below holds this to the package."""
    change(
        folder / "config_sentence_transformers.json",
        activation_fn=name,
        model_type="CrossEncoder",
        prompts={},
        default_prompt_name=None,
    )
    kind = "sentence_transformers.base.modules.transformer.Transformer"
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}])
    )
    change(
        folder / "sentence_bert_config.json",
        transformer_task="sequence-classification",
        modality_config={"text": {"method": "forward", "method_output_name": "logits"}},
        module_output_name="scores",
    )


def layout_4x(folder: Path, name: str) -> None:
    change(
        folder / "config.json", sentence_transformers={"activation_fn": name, "version": "4.1.0"}
    )


def layout_2x(folder: Path, name: str) -> None:
    change(folder / "config.json", sbert_ce_default_activation_function=name)


LAYOUTS = {"6.x": layout_6x, "4.x": layout_4x, "2.x": layout_2x}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(
    ("labels", "name", "activation"),
    [
        (1, SIGMOID, "sigmoid"),
        (1, IDENTITY, "identity"),
        (3, SIGMOID, "sigmoid"),
        (3, IDENTITY, "softmax"),
    ],
)
def test_the_activation_of_every_layout(tmp_path, layout, labels, name, activation):
    folder = write_classifier(tmp_path, labels)
    layout(folder, name)
    model = CrossEncoder.from_pretrained(folder)
    assert (model.activation, model.dim, model.max_length) == (activation, labels, 64)
    some = [("a cat", "red"), ("the dog", "a man")]
    expected = {"sigmoid": sigmoid, "identity": lambda x: x, "softmax": softmax}[activation](
        one_by_one(folder, some)
    )
    np.testing.assert_allclose(
        model.predict(some, precision="fp32").reshape(-1, labels), expected, atol=1e-5
    )


@pytest.mark.parametrize(
    ("newer", "older"),
    [("6.x", ["4.x", "2.x"]), ("6.x", ["2.x"]), ("4.x", ["2.x"]), ("6.x", ["4.x"])],
)
@pytest.mark.parametrize("swap", [False, True])
def test_the_newest_activation_counts(tmp_path, newer, older, swap):
    name, others = (IDENTITY, SIGMOID) if swap else (SIGMOID, IDENTITY)
    folder = write_classifier(tmp_path)
    LAYOUTS[newer](folder, name)
    for layout in older:
        LAYOUTS[layout](folder, others)
    assert CrossEncoder.from_pretrained(folder).activation == ("identity" if swap else "sigmoid")


@pytest.mark.parametrize(("labels", "activation"), [(1, "sigmoid"), (3, "softmax")])
def test_a_folder_that_names_no_activation(folders, labels, activation):
    assert CrossEncoder.from_pretrained(folders[labels]).activation == activation


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("labels", [1, 3])
def test_an_unknown_activation_is_refused(tmp_path, layout, labels):
    folder = write_classifier(tmp_path, labels)
    layout(folder, "torch.nn.modules.activation.Tanh")
    assert said_by(CrossEncoder.from_pretrained, folder) == (
        f"{folder}: unknown activation torch.nn.modules.activation.Tanh; known: Sigmoid, Identity"
    )
    # a new head has an activation of its own
    assert CrossEncoder.from_pretrained(folder, 1, new_head=True).activation == "sigmoid"


VARIANTS = {
    "sigmoid": (1, "sigmoid"),
    "identity": (1, "identity"),
    "classes": (3, "softmax"),
    "labels": (3, "sigmoid"),
}


def build(
    folders: dict[int, Path], labels: int, activation: str, max_length: int = 20
) -> CrossEncoder:
    """A model whose last layer is not the folder's."""
    model = CrossEncoder.from_pretrained(folders[labels], max_length=max_length)
    model.activation = activation
    with torch.no_grad():
        model.transformer.classifier.weight *= -0.5
    return model


def assert_same(one: CrossEncoder, other: CrossEncoder) -> None:
    assert (other.max_length, other.dim, other.activation) == (
        one.max_length,
        one.dim,
        one.activation,
    )
    assert (other.classes, other.text_tokenizer.lower_case) == (
        one.classes,
        one.text_tokenizer.lower_case,
    )
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    some = [("a cat", "red"), ("the dog " * 9, "A Man sits " * 9)]
    for model in (one, other):
        with pytest.warns(
            UserWarning, match=f"1 of 2 distinct pairs are cut at max_length {one.max_length}"
        ):
            model.last = model.predict(some, precision="fp32")
    np.testing.assert_array_equal(one.last, other.last)


@pytest.mark.parametrize(("labels", "activation"), VARIANTS.values(), ids=VARIANTS)
def test_saved_and_loaded_is_the_same(folders, tmp_path, labels, activation):
    model = build(folders, labels, activation)
    model.save_pretrained(tmp_path / "new" / "folder")
    again = CrossEncoder.from_pretrained(tmp_path / "new" / "folder")
    assert_same(model, again)
    again.save_pretrained(tmp_path / "twice")
    assert_same(model, CrossEncoder.from_pretrained(tmp_path / "twice"))


@pytest.mark.parametrize(("labels", "activation"), VARIANTS.values(), ids=VARIANTS)
def test_files_written(folders, tmp_path, labels, activation):
    build(folders, labels, activation).save_pretrained(tmp_path)
    # the fifth is written by older versions of transformers
    assert {path.name for path in tmp_path.iterdir()} - {"special_tokens_map.json"} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = load(tmp_path / "config.json")
    name = SIGMOID if activation == "sigmoid" else IDENTITY
    assert config["sentence_transformers"] == {"activation_fn": name}
    assert config["sbert_ce_default_activation_function"] == name
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert len(config["id2label"]) == labels
    assert load(tmp_path / "tokenizer_config.json")["model_max_length"] == 20
    assert weights_of(tmp_path).keys() == weights_of(folders[labels]).keys()


def test_transformers_loads_what_is_saved(folders, tmp_path, pairs):
    model = build(folders, 3, "softmax", 64)
    model.save_pretrained(tmp_path)
    ours = model.predict(pairs, logits=True, precision="fp32")
    np.testing.assert_allclose(one_by_one(tmp_path, pairs), ours, atol=1e-5)


def test_saving_leaves_the_model_as_it_is(folders, tmp_path, pairs):
    model = build(folders, 1, "identity", 64).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    scores = model.predict(pairs, precision="fp32")
    model.save_pretrained(tmp_path)
    assert (model.training, model.activation) == (True, "identity")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    np.testing.assert_array_equal(model.predict(pairs, precision="fp32"), scores)


def test_a_longer_length_may_be_asked_for_later(folders, tmp_path):
    build(folders, 1, "sigmoid", 20).save_pretrained(tmp_path)
    assert CrossEncoder.from_pretrained(tmp_path, max_length=30).max_length == 30


NO_LIMIT = [family for family in FAMILIES if family.name in ("DeBERTa v2", "ModernBERT", "Qwen2")]


@pytest.mark.parametrize("family", NO_LIMIT, ids=[family.name for family in NO_LIMIT])
@pytest.mark.parametrize("length", [16, 200])
def test_a_length_beyond_that_of_config_json_is_kept(family, length, tmp_path):
    if family.why_absent:
        pytest.skip(family.why_absent)
    folder = write_family(family, tmp_path / "family")
    model = CrossEncoder.from_pretrained(folder, max_length=length)
    assert model.transformer.config.max_position_embeddings == 64
    model.save_pretrained(tmp_path / "saved")
    again = CrossEncoder.from_pretrained(tmp_path / "saved")
    assert (again.max_length, again.fingerprint) == (length, model.fingerprint)
    again = CrossEncoder.from_pretrained(tmp_path / "saved", max_length=16)
    again.save_pretrained(tmp_path / "saved")  # nothing stays of the longer one
    assert CrossEncoder.from_pretrained(tmp_path / "saved").max_length == 16


def test_another_way_to_cut_pairs_is_refused(tmp_path):
    folder = write_classifier(tmp_path)
    layout_6x(folder, SIGMOID)
    change(folder / "sentence_bert_config.json", processing_kwargs={"text": {"truncation": True}})
    CrossEncoder.from_pretrained(folder)
    cut_first = {"text": {"truncation": "only_first"}}
    change(folder / "sentence_bert_config.json", processing_kwargs=cut_first)
    with pytest.raises(InputError, match="sentence_bert_config.json: truncation is 'only_first'"):
        CrossEncoder.from_pretrained(folder)


@pytest.mark.parametrize("lower_case", [False, True])
def test_lower_case_is_kept(folders, tmp_path, lower_case):
    loaded = CrossEncoder.from_pretrained(folders[1])
    loaded.tokenizer.backend_tokenizer.normalizer.lowercase = False
    model = CrossEncoder(loaded.transformer, loaded.tokenizer, 20, "sigmoid", lower_case).eval()
    model.save_pretrained(tmp_path)
    again = CrossEncoder.from_pretrained(tmp_path)
    assert_same(model, again)
    upper, lower = again.predict([("The CAT", "A Dog"), ("the cat", "a dog")], precision="fp32")
    assert (abs(upper - lower) < 1e-6) == lower_case


def test_classes_are_kept(folders, tmp_path):
    model = build(folders, 3, "softmax")
    assert model.classes is None
    model.classes = NLI
    assert model.classes == NLI
    model.save_pretrained(tmp_path)
    again = CrossEncoder.from_pretrained(tmp_path)
    assert again.classes == NLI
    assert (
        load(tmp_path / "config.json")["id2label"],
        load(tmp_path / "config.json")["label2id"],
    ) == (
        {"0": "contradiction", "1": "entailment", "2": "neutral"},
        {"contradiction": 0, "entailment": 1, "neutral": 2},
    )
    assert_same(model, again)


@pytest.mark.parametrize("labels", [1, 3])
def test_classes_are_none_where_never_named(folders, tmp_path, labels):
    model = build(folders, labels, "sigmoid")
    model.save_pretrained(tmp_path)
    assert model.classes is None
    assert CrossEncoder.from_pretrained(tmp_path).classes is None


def test_classes_are_in_the_order_of_the_logits(tmp_path):
    # JSON keeps the keys as text: "10" comes before "2" there, as does what is written first
    folder = write_classifier(tmp_path, 12)
    names = [f"class {k}" for k in range(12)]
    config = load(folder / "config.json")
    config["id2label"] = {str(k): names[k] for k in reversed(range(12))}
    config["label2id"] = {names[k]: k for k in range(12)}
    (folder / "config.json").write_text(json.dumps(config))
    assert CrossEncoder.from_pretrained(folder).classes == names


def test_one_class_of_a_name_of_its_own_is_named(tmp_path):
    folder = write_classifier(tmp_path, 2)
    change(
        folder / "config.json",
        id2label={"0": "LABEL_0", "1": "yes"},
        label2id={"LABEL_0": 0, "yes": 1},
    )
    assert CrossEncoder.from_pretrained(folder).classes == ["LABEL_0", "yes"]


@pytest.fixture(scope="module")
def theirs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("sentence_transformers").CrossEncoder


def theirs_of(theirs, folder: Path, **options):
    return theirs(str(folder), device="cpu", local_files_only=True, **options)


def their_scores(model, pairs: Pairs) -> np.ndarray:
    return model.predict(pairs, show_progress_bar=False)


@pytest.fixture
def long_pairs(pairs) -> Pairs:
    """With some that a max_length of 20 cuts."""
    return [*pairs, (" ".join(WORDS), "a cat"), ("a cat", " ".join(WORDS))]


def test_sentence_transformers_reads_a_length_beyond_that_of_config_json(theirs, tmp_path):
    model = CrossEncoder.from_pretrained(write_family(NO_LIMIT[0], tmp_path), max_length=200)
    model.save_pretrained(tmp_path / "saved")
    pairs = [("cat dog " * 60, "red " * 70)]
    found = their_scores(theirs_of(theirs, tmp_path / "saved"), pairs)
    np.testing.assert_allclose(found, model.predict(pairs, precision="fp32"), atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*distinct pairs are cut")
@pytest.mark.parametrize(("labels", "activation"), VARIANTS.values(), ids=VARIANTS)
def test_sentence_transformers_loads_what_is_saved_here(
    theirs, folders, tmp_path, long_pairs, labels, activation
):
    model = build(folders, labels, activation)
    model.save_pretrained(tmp_path)
    loaded = theirs_of(theirs, tmp_path)
    assert (loaded.num_labels, loaded.max_seq_length) == (labels, 20)
    # theirs leave classes as logits
    ours = model.predict(long_pairs, logits=activation == "softmax", precision="fp32")
    np.testing.assert_allclose(their_scores(loaded, long_pairs), ours, atol=1e-5)
    if activation == "softmax":
        probabilities = loaded.predict(long_pairs, apply_softmax=True, show_progress_bar=False)
        np.testing.assert_allclose(
            probabilities, model.predict(long_pairs, precision="fp32"), atol=1e-5
        )


@pytest.mark.filterwarnings("ignore:.*distinct pairs are cut")
@pytest.mark.parametrize(("labels", "activation"), VARIANTS.values(), ids=VARIANTS)
def test_what_sentence_transformers_saves_loads_here(
    theirs, folders, tmp_path, long_pairs, labels, activation
):
    function = torch.nn.Sigmoid() if activation == "sigmoid" else torch.nn.Identity()
    model = theirs_of(theirs, folders[labels], max_length=20, activation_fn=function)
    model.save_pretrained(str(tmp_path), create_model_card=False)
    loaded = CrossEncoder.from_pretrained(tmp_path)
    assert (loaded.activation, loaded.max_length, loaded.dim) == (activation, 20, labels)
    found = loaded.predict(long_pairs, logits=activation == "softmax", precision="fp32")
    np.testing.assert_allclose(found, their_scores(model, long_pairs), atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [SIGMOID, IDENTITY])
def test_layouts_by_hand_are_what_sentence_transformers_reads(theirs, tmp_path, layout, name):
    folder = write_classifier(tmp_path)
    LAYOUTS[layout](folder, name)
    some = [("a cat", "red"), ("the dog", "a man")]
    found = CrossEncoder.from_pretrained(folder).predict(some, precision="fp32")
    np.testing.assert_allclose(found, their_scores(theirs_of(theirs, folder), some), atol=1e-5)


def test_the_6x_layout_is_as_sentence_transformers_writes_it(theirs, folders, tmp_path):
    theirs_of(theirs, folders[1]).save_pretrained(str(tmp_path / "theirs"), create_model_card=False)
    made = write_classifier(tmp_path / "ours")
    layout_6x(made, SIGMOID)
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        found = load(tmp_path / "theirs" / name)
        if isinstance(found, dict):
            found.pop("__version__", None)
        assert found == load(made / name)
    config = load(tmp_path / "theirs" / "config.json")
    assert not {"sentence_transformers", "sbert_ce_default_activation_function"} & config.keys()


@pytest.mark.filterwarnings("ignore:.*distinct pairs are cut")
def test_what_goes_through_both_stays(theirs, folders, tmp_path):
    model = build(folders, 3, "softmax")
    model.classes = NLI
    model.save_pretrained(tmp_path / "ours")
    theirs_of(theirs, tmp_path / "ours").save_pretrained(
        str(tmp_path / "theirs"), create_model_card=False
    )
    assert_same(model, CrossEncoder.from_pretrained(tmp_path / "theirs"))


def test_lower_case_is_the_same_for_sentence_transformers(theirs, folders, tmp_path):
    loaded = CrossEncoder.from_pretrained(folders[1])
    loaded.tokenizer.backend_tokenizer.normalizer.lowercase = False
    model = CrossEncoder(
        loaded.transformer, loaded.tokenizer, 20, "sigmoid", lower_case=True
    ).eval()
    model.save_pretrained(tmp_path)
    some = [("The CAT", "A Dog")]
    found = their_scores(theirs_of(theirs, tmp_path), some)
    np.testing.assert_allclose(found, model.predict(some, precision="fp32"), atol=1e-5)


def test_saving_over_a_folder_of_sentence_transformers(theirs, folders, tmp_path):
    """What it left there must not speak for the new model."""
    model = theirs_of(theirs, folders[1], activation_fn=torch.nn.Identity())
    model.save_pretrained(str(tmp_path), create_model_card=False)
    ours = build(folders, 1, "sigmoid")
    ours.save_pretrained(tmp_path)
    assert_same(ours, CrossEncoder.from_pretrained(tmp_path))


@pytest.mark.real
@needs_weights
def test_real_weights_go_both_ways(theirs, tmp_path):
    torch.manual_seed(0)
    model = CrossEncoder.from_pretrained(WEIGHTS)
    with torch.no_grad():
        model.transformer.classifier.weight *= 20  # a fresh head tells pairs hardly apart
    model.save_pretrained(tmp_path / "ours")
    some = [
        ("A man is eating.", "Someone has lunch."),
        ("A plane takes off.", "Two cats sleep on a warm sofa!"),
    ]
    found = model.predict(some, precision="fp32")
    assert abs(found[0] - found[1]) > 0.01
    loaded = theirs_of(theirs, tmp_path / "ours")
    np.testing.assert_allclose(their_scores(loaded, some), found, atol=1e-5)
    loaded.save_pretrained(str(tmp_path / "theirs"), create_model_card=False)
    again = CrossEncoder.from_pretrained(tmp_path / "theirs")
    assert (again.max_length, again.activation) == (model.max_length, "sigmoid")
    np.testing.assert_allclose(again.predict(some, precision="fp32"), found, atol=1e-6)
    np.testing.assert_allclose(again.predict(some, precision="bf16"), found, atol=0.02)


@pytest.mark.parametrize("module", ["Pooling", "LogitScore"])
def test_a_cross_encoder_of_several_modules_is_refused(tiny_folder, tmp_path, module):
    """As Qwen3-Reranker is saved: a decoder, and the logits of "yes" and "no"."""
    folder = tmp_path / "modular"
    shutil.copytree(tiny_folder, folder)
    package = "sentence_transformers.models"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{package}.Transformer"},
        {"idx": 1, "name": "1", "path": f"1_{module}", "type": f"{package}.{module}"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    change(folder / "config_sentence_transformers.json", model_type="CrossEncoder")
    assert said_by(CrossEncoder.from_pretrained, folder) == (
        f"{folder}: a cross-encoder of several modules is not supported here: Transformer, {module}"
    )


def test_a_model_of_code_of_its_own_is_refused(tmp_path):
    """As jina-reranker is published."""
    folder = write_classifier(tmp_path)
    code = {"AutoModelForSequenceClassification": "modeling.OwnForSequenceClassification"}
    change(folder / "config.json", model_type="own_bert", auto_map=code)
    assert said_by(CrossEncoder.from_pretrained, folder) == (
        f"{folder}: transformers {transformers.__version__} has no model type own_bert, and code "
        "that a folder brings is not executed"
    )
    change(folder / "config.json", model_type="bert")
    weights = {f"own.{name}": weight for name, weight in weights_of(folder).items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    said = said_by(CrossEncoder.from_pretrained, folder)
    assert said.startswith(f"{folder}: incomplete: 41 weights are missing, for example ")
    assert said.endswith("; it is made for code of its own, which is not executed here")
