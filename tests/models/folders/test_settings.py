"""Every setting of a folder is honoured, with sentence-transformers as the witness, or refused."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from model_folders import dump, load, rewrite, write_layout

from sbert import BiEncoder, CrossEncoder, InputError
from sbert.models.folders.settings import POOLING, TRANSFORMER
from sbert.pooling import Dense, LayerNorm, Normalize

BERT = "sentence_bert_config.json"
ST = "config_sentence_transformers.json"
TEXTS = ["the cat", "", "a man and a woman run fast in the red park with the small dog", "DOG"]


@pytest.fixture(scope="module")
def theirs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("sentence_transformers")


@pytest.fixture
def folder(tiny_folder, tmp_path) -> Path:
    """In the 6.x layout, with a head of Dense and Normalize."""
    write_layout(tmp_path / "m", tiny_folder, "6.x", ["mean"], True, None)
    return tmp_path / "m"


def module(name: str, package: str = "sentence_transformers.models"):
    """Put a module of this class in the place of the last one."""

    def change(root: Path) -> None:
        listed = load(root / "modules.json")
        entry = listed[-1] | {"type": f"{package}.{name}", "path": f"3_{name}"}
        dump(root / "modules.json", [*listed[:-1], entry])

    return change


def first_module(name: str):
    def change(root: Path) -> None:
        listed = load(root / "modules.json")
        entry = listed[0] | {"type": f"sentence_transformers.models.{name}"}
        dump(root / "modules.json", [entry, *listed[1:]])
        (root / "config.json").unlink()  # such a folder has none

    return change


def bert(**settings):
    return rewrite(BERT, **settings)


HONOURED = {
    "max_length of the call": bert(processing_kwargs={"text": {"max_length": 6}}),
    "the length of the call first": bert(
        processing_kwargs={"text": {"max_length": 6}}, tokenizer_args={"model_max_length": 9}
    ),
    "max_seq_length": bert(max_seq_length=7),
    "model_max_length first": bert(max_seq_length=7, tokenizer_args={"model_max_length": 5}),
    "truncation_side": bert(max_seq_length=7, tokenizer_args={"truncation_side": "left"}),
    "the new name": bert(processor_kwargs={"truncation_side": "left", "model_max_length": 7}),
    "fewer layers": bert(config_args={"num_hidden_layers": 2}),
    "another setting of the config": bert(config_kwargs={"layer_norm_eps": 0.1}),
    "lower case": bert(do_lower_case=True),
    "without effect": bert(
        unpad_inputs=False,
        query_length=None,
        model_args={"attn_implementation": "eager", "trust_remote_code": True},
        processing_kwargs={"text": {"padding": True}, "common": {"return_tensors": "pt"}},
    ),
    "residual": rewrite("2_Dense/config.json", use_residual=False),
    "names of tensors": rewrite("2_Dense/config.json", module_input_name="sentence_embedding"),
}


@pytest.mark.parametrize("change", HONOURED.values(), ids=HONOURED)
def test_a_setting_is_honoured_and_kept(theirs, folder, tmp_path, change):
    change(folder)
    model = theirs.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    expected = model.encode(TEXTS, show_progress_bar=False)
    ours = BiEncoder.from_pretrained(folder)
    np.testing.assert_allclose(ours.encode(TEXTS, "fp32"), expected, atol=1e-5)
    ours.save_pretrained(tmp_path / "again")
    again = BiEncoder.from_pretrained(tmp_path / "again")
    assert again.fingerprint == ours.fingerprint
    np.testing.assert_allclose(again.encode(TEXTS, "fp32"), expected, atol=1e-5)
    model = theirs.SentenceTransformer(str(tmp_path / "again"), device="cpu", local_files_only=True)
    np.testing.assert_allclose(model.encode(TEXTS, show_progress_bar=False), expected, atol=1e-5)


def test_the_honoured_settings_matter(folder):
    plain = BiEncoder.from_pretrained(folder).encode(TEXTS, "fp32")
    for change in list(HONOURED.values())[:8]:
        kept = load(folder / BERT)
        change(folder)
        assert np.abs(BiEncoder.from_pretrained(folder).encode(TEXTS, "fp32") - plain).max() > 1e-3
        dump(folder / BERT, kept)


def text_output(name: str) -> dict:
    return {"text": {"method": "forward", "method_output_name": name}}


MESSAGE = {"message": {"method": "forward", "method_output_name": "last_hidden_state"}}

REFUSED = {
    "special tokens": (
        bert(processing_kwargs={"text": {"add_special_tokens": False}}),
        f"{BERT}: processing_kwargs: text: add_special_tokens is False; supported: True",
    ),
    "no truncation": (
        bert(processing_kwargs={"text": {"truncation": False}}),
        "text: truncation is False; supported: True, longest_first, only_first",
    ),
    "an unknown one of the call": (
        bert(processing_kwargs={"text": {"stride": 5}}),
        "processing_kwargs: text: setting 'stride' is not understood; known: max_length, padding",
    ),
    "pooler_output": (
        bert(modality_config=text_output("pooler_output")),
        f"{BERT}: modality_config: text: method_output_name is 'pooler_output'; "
        "supported: last_hidden_state",
    ),
    "a chat message": (
        bert(modality_config=text_output("last_hidden_state") | MESSAGE),
        "modality_config: setting 'message' is not understood; known: text",
    ),
    "another method": (
        bert(modality_config={"text": {"method": "get_text_features"}}),
        "modality_config: text: method is 'get_text_features'; supported: forward",
    ),
    "sentence_embedding": (
        bert(module_output_name="sentence_embedding"),
        "module_output_name is 'sentence_embedding'; supported: token_embeddings",
    ),
    "a task": (bert(transformer_task="fill-mask"), "transformer_task is 'fill-mask'; supported: "),
    "query_length": (bert(query_length=32), f"{BERT}: query_length is 32; supported: None"),
    "query_expansion": (bert(query_expansion={"length": 32}), "query_expansion is {'length': 32}"),
    "another tokenizer": (
        bert(tokenizer_args={"subfolder": "other"}),
        f"{BERT}: tokenizer_args: setting 'subfolder' is not understood; known: model_input_names",
    ),
    "a length that is no number": (
        bert(tokenizer_args={"model_max_length": "512"}),
        "tokenizer_args: model_max_length is '512', not of type int",
    ),
    "a slow tokenizer": (bert(tokenizer_args={"use_fast": False}), "use_fast is False"),
    "other weights": (bert(model_args={"variant": "fp16"}), "model_args: setting 'variant'"),
    "an unknown setting of the config": (
        bert(config_args={"num_hiden_layers": 2}),
        "config_args: the model has no setting num_hiden_layers",
    ),
    "an unknown key": (bert(max_len=5), f"{BERT}: setting 'max_len' is not understood; known: max"),
    "another type": (bert(max_seq_length="5"), f"{BERT}: max_seq_length is '5', not of type int"),
    "not settings": (bert(tokenizer_args=[1]), "tokenizer_args: not settings with names, but [1]"),
    "an unknown key of the model": (
        rewrite(ST, promts={}),
        f"{ST}: setting 'promts' is not understood; known: __version__",
    ),
    "another kind of model": (
        rewrite(ST, model_type="SparseEncoder"),
        f"{ST}: model_type is 'SparseEncoder'; supported: SentenceTransformer, CrossEncoder",
    ),
    "an unknown similarity": (
        rewrite(ST, similarity_fn_name="maxsim"),
        f"{ST}: similarity_fn_name is 'maxsim'; supported: cosine, dot, euclidean, manhattan",
    ),
    "a prompt that is no text": (rewrite(ST, prompts={"query": 3}), "prompts: 'query' is 3"),
    "a size above the embeddings": (
        rewrite(ST, truncate_dim=8),
        "truncate_dim 8: the model's embeddings have 1 to 7 numbers",
    ),
    "an unknown key of the pooling": (
        rewrite("1_Pooling/config.json", pooling_mode_attention=True),
        "1_Pooling/config.json: setting 'pooling_mode_attention' is not understood; known: word",
    ),
    "an unknown key of a Dense": (
        rewrite("2_Dense/config.json", scale=2),
        "2_Dense/config.json: setting 'scale' is not understood; known: in_features",
    ),
    "a Dense of tokens": (
        rewrite("2_Dense/config.json", module_input_name="token_embeddings"),
        "2_Dense/config.json: module_input_name is 'token_embeddings'; "
        "supported: sentence_embedding",
    ),
    "its own code": (
        module("Transformer", "custom_st"),
        "modules.json: module custom_st.Transformer brings its own code, which is not executed",
    ),
}
REFUSED |= {
    name: (module(name), f"module {name} is not supported")
    for name in ("LSTM", "CNN", "WeightedLayerPooling", "WordWeights", "Router")
}
REFUSED |= {
    name: (first_module(name), f"modules.json: module {name} is not supported")
    for name in ("StaticEmbedding", "WordEmbeddings", "BoW", "Router", "CLIPModel")
}


@pytest.mark.parametrize(("change", "said"), REFUSED.values(), ids=REFUSED)
def test_a_setting_is_refused_by_name(folder, change, said):
    BiEncoder.from_pretrained(folder)
    change(folder)
    with pytest.raises(InputError) as caught:
        BiEncoder.from_pretrained(folder)
    assert said in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


HEADS = {
    "residual": [lambda: Dense(32, 32, residual=True)],
    "residual of another size": [lambda: Dense(32, 9, residual=True), Normalize],
    "LayerNorm": [lambda: LayerNorm(32), lambda: Dense(32, 5, activation="Identity")],
    "two of EmbeddingGemma": [
        lambda: Dense(32, 50, bias=False, activation="Identity"),
        lambda: Dense(50, 32, bias=False, activation="Identity"),
        Normalize,
    ],
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_heads_go_both_ways(theirs, tiny, tmp_path, head):
    modules = [make() for make in head]
    for weight in torch.nn.Sequential(*modules).parameters():
        torch.nn.init.normal_(weight)
    ours = BiEncoder(tiny.transformer, tiny.tokenizer, "mean", 20, modules).eval()
    ours.save_pretrained(tmp_path / "ours")
    model = theirs.SentenceTransformer(str(tmp_path / "ours"), device="cpu", local_files_only=True)
    expected = model.encode(TEXTS, show_progress_bar=False)
    np.testing.assert_allclose(ours.encode(TEXTS, "fp32"), expected, atol=1e-4, rtol=1e-5)
    model.save_pretrained(str(tmp_path / "theirs"), create_model_card=False)
    for saved in ("ours", "theirs"):
        again = BiEncoder.from_pretrained(tmp_path / saved)
        assert again.fingerprint == ours.fingerprint


def test_a_chat_template_is_kept(tiny, tmp_path):
    template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tiny.tokenizer.chat_template = template
    tiny.save_pretrained(tmp_path / "a")
    again = BiEncoder.from_pretrained(tmp_path / "a")
    again.save_pretrained(tmp_path / "b")
    assert BiEncoder.from_pretrained(tmp_path / "b").tokenizer.chat_template == template


def test_prompts_of_a_cross_encoder_are_refused(tmp_path, tiny_folder):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path)
    settings = {"model_type": "CrossEncoder", "prompts": {"query": "a "}}
    dump(tmp_path / ST, settings)
    with pytest.raises(InputError, match="prompts of a cross-encoder are not supported: query"):
        CrossEncoder.from_pretrained(tmp_path)
    dump(tmp_path / ST, settings | {"model_type": "SentenceTransformer"})
    CrossEncoder.from_pretrained(tmp_path)  # those of a bi-encoder are not for pairs
    dump(tmp_path / ST, settings | {"default_prompt_name": "query"})
    with pytest.warns(UserWarning, match="its head left out"):
        assert BiEncoder.from_pretrained(tmp_path).prompts == {}, "nor the other way round"


def test_the_tables_know_what_sentence_transformers_writes(theirs):
    modules = pytest.importorskip("sentence_transformers.models")
    assert set(modules.Transformer.config_keys) <= set(TRANSFORMER)
    assert set(modules.Pooling.config_keys) <= set(POOLING)
