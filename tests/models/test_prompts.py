"""Prompts and the other declared settings, with sentence-transformers as the witness."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_models import (
    bare_tokenizer,
    bert_tokenizer,
    ids_of,
    one_sided_tokenizer,
    roberta_tokenizer,
    sided,
)

from sbert import BiEncoder, InputError
from sbert.models.tokens import TextTokenizer, tokenize_columns
from sbert.pooling import Normalize

E5 = {"query": "query : ", "document": "passage : "}
TEXTS = ["the cat", "", "a man runs fast in the park", "dog", "the cat"]


@pytest.fixture(scope="module")
def theirs():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("sentence_transformers").SentenceTransformer


def load_theirs(theirs, folder: Path):
    return theirs(str(folder), device="cpu", local_files_only=True)


def declare(tiny: BiEncoder, **settings) -> BiEncoder:
    """The tiny encoder with other settings."""
    pooling = settings.pop("pooling", ["mean"])
    return BiEncoder(tiny.transformer, tiny.tokenizer, pooling, 40, **settings).eval()


SETTINGS = {
    "query and document": {"prompts": E5},
    "a default": {"prompts": E5, "default_prompt_name": "document"},
    "an empty query": {
        "prompts": {"query": "", "document": "a "},
        "default_prompt_name": "document",
    },
    "a default of another name": {"prompts": {"sts": "is "}, "default_prompt_name": "sts"},
    "none": {},
    "cut": {"prompts": E5, "truncate_dim": 5, "head": [Normalize()]},
    "without the prompt": {"prompts": E5, "include_prompt": False},
    "cls without the prompt": {"prompts": E5, "include_prompt": False, "pooling": ["cls"]},
    "all poolings without the prompt": {
        "prompts": E5,
        "include_prompt": False,
        "pooling": ["mean", "cls", "max", "mean_sqrt_len", "weighted_mean", "last_token"],
    },
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_equal_to_sentence_transformers_both_ways(theirs, tiny, tmp_path, settings):
    ours = declare(tiny, **settings)
    ours.save_pretrained(tmp_path / "ours")
    model = load_theirs(theirs, tmp_path / "ours")
    model.save_pretrained(str(tmp_path / "theirs"), create_model_card=False)
    for again in (ours, BiEncoder.from_pretrained(tmp_path / "theirs")):
        for name in ("encode", "encode_query", "encode_document"):
            expected = getattr(model, name)(TEXTS, show_progress_bar=False)
            made = getattr(again, name)(TEXTS, precision="fp32")
            np.testing.assert_allclose(made, expected, atol=1e-5, err_msg=name)
    for options in ({"prompt": "the red "}, {"truncate_dim": 3}):
        expected = model.encode(TEXTS, normalize_embeddings=True, **options)
        made = ours.encode(TEXTS, "fp32", normalize=True, **options)
        np.testing.assert_allclose(made, expected, atol=1e-5)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_settings_are_kept(tiny, tmp_path, settings):
    ours = declare(tiny, similarity_fn_name="dot", **settings)
    ours.save_pretrained(tmp_path)
    again = BiEncoder.from_pretrained(tmp_path)
    for name in ("prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim"):
        assert getattr(again, name) == getattr(ours, name)
    assert again.include_prompt == ours.include_prompt


def test_a_prompt_is_put_before_each_text(tiny):
    ours = declare(tiny, prompts=E5, default_prompt_name="query")
    plain = declare(tiny)
    expected = {prompt: plain.encode([prompt + text for text in TEXTS]) for prompt in E5.values()}
    by_name = ours.encode(TEXTS, prompt_name="document")
    for made, prompt in [
        (ours.encode(TEXTS), "query : "),
        (ours.encode_query(TEXTS), "query : "),
        (ours.encode_document(TEXTS), "passage : "),
        (by_name, "passage : "),
        (ours.encode_query(TEXTS, prompt_name="document"), "passage : "),
        (ours.encode_document(TEXTS, prompt="query : ", prompt_name=None), "query : "),
        (plain.encode(TEXTS, prompt="passage : "), "passage : "),
    ]:
        np.testing.assert_allclose(made, expected[prompt], atol=2e-6)
    np.testing.assert_allclose(ours.encode(TEXTS, prompt=""), plain.encode(TEXTS), atol=2e-6)


@pytest.mark.parametrize(
    ("prompts", "query", "document"),
    [
        ({"query": "q ", "document": "d "}, "q ", "d "),
        ({"query": "q ", "passage": "p "}, "q ", "p "),
        ({"corpus": "c ", "passage": "p "}, "", "p "),
        ({"document": "", "passage": "p "}, "", ""),
        ({"sts": "s "}, "", ""),
        ({}, "", ""),
    ],
)
def test_query_and_document_prompts(tiny, prompts, query, document):
    ours = declare(tiny, prompts=prompts)
    assert (ours.query_prompt, ours.document_prompt) == (query, document)
    assert ours.declares_prompts == any(prompts.values())


def test_a_prompt_that_is_not_declared(tiny):
    ours = declare(tiny, prompts=E5)
    said = "prompt_name: no prompt 'passage'; the model declares: query, document"
    with pytest.raises(InputError, match=said):
        ours.encode(TEXTS, prompt_name="passage")
    with pytest.raises(InputError, match="the model declares: none"):
        tiny.encode(TEXTS, prompt_name="query")
    with pytest.raises(InputError, match="'a ' and prompt_name 'query' are both given"):
        ours.encode(TEXTS, prompt="a ", prompt_name="query")
    with pytest.raises(InputError, match="default_prompt_name: no prompt 'x'"):
        declare(tiny, prompts=E5, default_prompt_name="x")
    with pytest.raises(InputError, match="prompts: 'query' is 3, not a text"):
        declare(tiny, prompts={"query": 3})


@pytest.mark.parametrize("size", [0, 33, -1, True])
def test_truncate_dim_above_the_size(tiny, size):
    said = f"truncate_dim {size}: the model's embeddings have 1 to 32 numbers"
    with pytest.raises(InputError, match=said):
        tiny.encode(TEXTS, truncate_dim=size)
    with pytest.raises(InputError, match=said):
        declare(tiny, truncate_dim=size)


def test_a_prompt_without_room_for_a_text(tiny):
    ours = declare(tiny)
    assert ours.encode(["cat"], prompt="a " * 37).shape == (1, 32)
    with pytest.raises(InputError, match="its 38 tokens leave no room .* max_length 40 holds 38"):
        ours.encode(["cat"], prompt="a " * 38)


def test_columns_with_a_prompt_each(tiny):
    tokenizer = tiny.text_tokenizer
    columns = [["the cat", "dog", None], ["dog", "dog", "the cat"]]
    table, rows = tokenize_columns(tokenizer, columns, ["is ", ""])
    assert rows.tolist() == [[0, 2], [1, 2], [-1, 3]], "a text with two prompts is two texts"
    for which, text in enumerate(["is the cat", "is dog", "dog", "the cat"]):
        assert ids_of(table, which) == tiny.tokenizer(text)["input_ids"]
    assert table.prompt_lengths.tolist() == [2, 2, 0, 0], "[CLS] is"
    assert table.text_ids.tolist() == [0, 1, 1, 0], "which without their prompts are equal"
    assert tokenize_columns(tokenizer, columns, ["is ", "is "])[0].text_ids is None


def test_from_pretrained_replaces_what_is_saved(tiny, tmp_path):
    declare(tiny, prompts=E5, default_prompt_name="query").save_pretrained(tmp_path)
    given = BiEncoder.from_pretrained(tmp_path, prompts={"sts": "is "}, truncate_dim=4)
    assert (given.prompts, given.default_prompt_name, given.truncate_dim) == (
        {"sts": "is "},
        None,
        4,
    )
    given = BiEncoder.from_pretrained(tmp_path, default_prompt_name="document")
    assert (given.prompts, given.default_prompt_name) == (E5, "document")


def test_similarity_is_the_declared_one(tiny):
    a, b = np.array([[3.0, 4.0]]), np.array([[6.0, 8.0]])
    assert tiny.similarity(a, b).item() == pytest.approx(1)
    assert declare(tiny, similarity_fn_name="dot").similarity(a, b).item() == 50
    with pytest.raises(InputError, match="similarity: unknown value 'cos'"):
        declare(tiny, similarity_fn_name="cos")


TOKENIZERS = {
    "BERT": bert_tokenizer,
    "no special tokens": bare_tokenizer,
    "one at the end": one_sided_tokenizer,
    "BPE": roberta_tokenizer,
    "cut on the left": lambda: sided(bert_tokenizer(), truncation="left"),
}
# the last ends in a part of a word, so that BPE merges across the end of the prompt
PROMPTS = ["the red ", "query: ", "<mask> [SEP]", "xyz ?", "a ca"]


@pytest.mark.parametrize("make", TOKENIZERS.values(), ids=TOKENIZERS)
def test_the_length_of_a_prompt_is_that_of_sentence_transformers(
    theirs, tiny_folder, tmp_path, make
):
    encoder = BiEncoder.from_pretrained(tiny_folder)
    encoder.transformer.resize_token_embeddings(400)
    ours = BiEncoder(encoder.transformer, make(), "mean", 20, include_prompt=False).eval()
    ours.save_pretrained(tmp_path)
    model = load_theirs(theirs, tmp_path)
    texts = ["t sits", "the cat sits on the mat with the small dog and " * 3, "x"]
    for prompt in PROMPTS:
        expected = model.encode(texts, prompt=prompt, show_progress_bar=False)
        made = ours.encode(texts, "fp32", prompt=prompt)
        np.testing.assert_allclose(made, expected, atol=1e-5, err_msg=prompt)


def test_a_prompt_without_tokens_has_no_length():
    assert TextTokenizer(bare_tokenizer(), 20).prompt_length(" ") == 0
    assert TextTokenizer(bert_tokenizer(), 20).prompt_length(" ") == 1  # [CLS]


def test_bpe_merges_across_the_end_of_a_prompt():
    tokenizer = roberta_tokenizer()
    table = TextTokenizer(tokenizer, 20).tokenize(["t sits"], ["the ca"])
    assert ids_of(table, 0) == tokenizer("the cat sits")["input_ids"]
    assert ids_of(table, 0) != [
        *tokenizer("the ca")["input_ids"][:-1],
        *tokenizer("t sits")["input_ids"][1:],
    ], "prompt and text are one string"


@pytest.mark.parametrize("mode", ["cls", "weighted_mean"])
def test_tokens_after_a_prompt_keep_their_place(tiny, mode):
    ours = declare(tiny, pooling=[mode], include_prompt=False)
    ids = torch.tensor([tiny.tokenizer("the red cat sits")["input_ids"]])
    states = tiny.transformer(ids).last_hidden_state[0].detach().numpy()  # [CLS] the red cat sits
    if mode == "cls":
        expected = states[3]
    else:
        expected = np.average(states[3:], axis=0, weights=[4, 5, 6])
    made = ours.encode(["cat sits"], "fp32", prompt="the red ")[0]
    np.testing.assert_allclose(made, expected, atol=2e-6)


def test_a_model_with_all_settings_can_be_pickled(tiny):
    settings = {"prompts": E5, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    ours = declare(tiny, truncate_dim=5, include_prompt=False, **settings)
    again = pickle.loads(pickle.dumps(ours))
    assert again.fingerprint == ours.fingerprint
    np.testing.assert_array_equal(again.encode_query(TEXTS), ours.encode_query(TEXTS))
