"""Token ids against the tokenizer itself."""

from pathlib import Path

import numpy as np
import pytest
from family_tokenizers import KINDS, make_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from support import own_mib
from tiny_models import (
    WORDS,
    bare_tokenizer,
    bert_tokenizer,
    ids_of,
    mpnet_tokenizer,
    one_sided_tokenizer,
    roberta_tokenizer,
    sided,
    text,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from sbert.errors import InputError
from sbert.models import tokens
from sbert.models.batches import pad_rows
from sbert.models.tokens import TextTokenizer, tokenize_columns, unlimited_backend

# tokenizers of several families


TOKENIZERS = {
    "BERT": bert_tokenizer(),
    "RoBERTa": roberta_tokenizer(),
    "MPNet": mpnet_tokenizer(),
    "T5": one_sided_tokenizer(),
    "bare": bare_tokenizer(),
    "left truncation": sided(bert_tokenizer(), truncation="left"),
    "left padding": sided(roberta_tokenizer(), padding="left"),
    "left both": sided(bare_tokenizer(), "left", "left"),
}

OF_FAMILIES = {name: make_tokenizer(kind, 32) for name, kind in KINDS.items()}
NAMES = [*TOKENIZERS, *OF_FAMILIES]

PLAIN = ["", " ", "a", "a cat. " * 400, "x" * 500, "İSTANBUL", "[SEP] a [PAD]", "\ufeff\u200d\x00"]


def assert_as_the_tokenizer_itself(tokenizer, texts: list[str], max_length: int) -> None:
    table = TextTokenizer(tokenizer, max_length).tokenize(texts)
    assert len(table.lengths) == len(texts)
    for i, given_text in enumerate(texts):
        assert (
            ids_of(table, i)
            == tokenizer(given_text, truncation=True, max_length=max_length)["input_ids"]
        )
        whole = len(tokenizer(given_text)["input_ids"])
        assert table.lengths[i] == min(whole, max_length)
        assert table.cut_tokens[i] == max(whole - max_length, 0)


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@pytest.mark.parametrize("max_length", [3, 4, 17, 512])
def test_ids_are_the_tokenizers_own(tokenizer, max_length):
    assert_as_the_tokenizer_itself(tokenizer, PLAIN, max_length)


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(text, min_size=1, max_size=4), max_length=st.integers(3, 30))
def test_ids_are_the_tokenizers_own_on_any_text(tokenizer, texts, max_length):
    assert_as_the_tokenizer_itself(tokenizer, texts, max_length)


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
def test_rectangles_are_the_tokenizers_own(tokenizer):
    texts = ["a cat", "the", "a dog sits on a mat in the park and eats", "red red red red"]
    ours = TextTokenizer(tokenizer, 8)
    ids, mask = pad_rows(ours.tokenize(texts), np.arange(4), ours.pad_id)
    theirs = tokenizer(
        texts,
        padding=True,
        padding_side="right",
        truncation=True,
        max_length=8,
        return_tensors="pt",
    )
    assert ids.tolist() == theirs["input_ids"].tolist()
    assert mask.tolist() == theirs["attention_mask"].tolist()


def test_left_truncation_keeps_the_end():
    texts = ["a the cat dog man woman"]
    kept = {
        side: TextTokenizer(sided(bert_tokenizer(), truncation=side), 5).tokenize(texts)
        for side in ("left", "right")
    }
    names = {
        side: bert_tokenizer().convert_ids_to_tokens(table.ids) for side, table in kept.items()
    }
    assert names["right"] == ["[CLS]", "a", "the", "cat", "[SEP]"]
    assert names["left"] == ["[CLS]", "dog", "man", "woman", "[SEP]"]


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
@pytest.mark.parametrize("lower_case", [False, True])
def test_lower_case_is_that_of_the_text(tokenizer, lower_case):
    table = TextTokenizer(tokenizer, 64, lower_case).tokenize(["The CAT Sits"])
    expected = "the cat sits" if lower_case else "The CAT Sits"
    assert ids_of(table, 0) == tokenizer(expected)["input_ids"]


def test_lower_case_changes_a_cased_tokenizer():
    upper, lower = (
        TextTokenizer(roberta_tokenizer(), 64, lower_case).tokenize(["CAT"])
        for lower_case in (False, True)
    )
    assert ids_of(upper, 0) != ids_of(lower, 0)


def test_special_tokens_in_a_text_are_not_lower_cased():
    """As by sentence-transformers 6."""
    tokenizer = TextTokenizer(bert_tokenizer(), 64, lower_case=True)
    expected = bert_tokenizer()("the cat [MASK] dog [SEP]")["input_ids"]
    assert ids_of(tokenizer.tokenize(["The CAT [MASK] Dog [SEP]"]), 0) == expected


def test_cut_counts_by_hand():
    # 2 of the 5 places are special tokens: 3 words stay
    table = TextTokenizer(bert_tokenizer(), 5).tokenize(
        ["a the cat", "a the cat dog", "a the cat dog man woman", "", "a"]
    )
    assert table.lengths.tolist() == [5, 5, 5, 2, 3]
    assert table.starts.tolist() == [0, 5, 10, 15, 17, 20]
    assert table.cut_tokens.tolist() == [0, 1, 3, 0, 0]
    assert (table.ids.dtype, table.starts.dtype) == (np.int32, np.int64)


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 14, 20])
@pytest.mark.parametrize("lower_case", [False, True])
def test_chunks_do_not_show(monkeypatch, count, lower_case):
    texts = [" ".join(WORDS[: 1 + i % 9]).upper() for i in range(count)]
    whole = TextTokenizer(bert_tokenizer(), 7, lower_case).tokenize(texts)
    monkeypatch.setattr(tokens, "CHUNK", 7)
    chunked = TextTokenizer(bert_tokenizer(), 7, lower_case).tokenize(texts)
    for name in ("ids", "starts", "cut_tokens"):
        np.testing.assert_array_equal(getattr(chunked, name), getattr(whole, name))
    assert len(chunked.lengths) == count
    assert [ids_of(chunked, i) for i in range(count)] == [
        bert_tokenizer()(t, truncation=True, max_length=7)["input_ids"] for t in texts
    ]


def test_the_tokenizer_given_stays_as_it_is():
    tokenizer = bert_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=9)
    before = tokenizer.backend_tokenizer.to_str()
    table = TextTokenizer(tokenizer, 6, lower_case=True).tokenize(["a the cat dog man woman", "a"])
    assert table.lengths.tolist() == [6, 3], "limits set in the tokenizer show in the table"
    assert tokenizer.backend_tokenizer.to_str() == before


SPECIAL_IN_TEXT = ["a [SEP] cat", "[MASK]", "[CLS] the [PAD]dog", "</s> red <mask>"]


@pytest.mark.parametrize("tokenizer", [*TOKENIZERS.values(), *OF_FAMILIES.values()], ids=NAMES)
def test_the_backend_is_that_of_the_tokenizer(tokenizer):
    """But for what pads and truncates."""
    whole = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    whole.no_padding()
    whole.no_truncation()
    backend = unlimited_backend(tokenizer)
    assert backend.to_str() == whole.to_str()
    for given_text in [*PLAIN, *SPECIAL_IN_TEXT]:
        assert backend.encode(given_text).ids == whole.encode(given_text).ids


@pytest.mark.parametrize("make", [bert_tokenizer, roberta_tokenizer])
def test_special_tokens_in_a_text_are_split_where_the_tokenizer_does(make):
    plain, tokenizer = make(), make()
    tokenizer.split_special_tokens = True
    tokenizer("a")  # from here on its backend splits them
    assert_as_the_tokenizer_itself(tokenizer, SPECIAL_IN_TEXT, 30)
    ours = TextTokenizer(tokenizer, 30)
    assert ours.fingerprint != TextTokenizer(plain, 30).fingerprint
    assert ids_of(ours.tokenize(["[SEP]</s>"]), 0) != plain("[SEP]</s>")["input_ids"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_the_vocabulary_is_not_copied():
    words = {f"word{i}": i for i in range(400_000)} | {"?": 400_000}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel(words, "?")))
    before = own_mib()
    ours = TextTokenizer(tokenizer, 8)
    assert own_mib() - before < 10  # a copy of it takes 40
    assert ids_of(ours.tokenize(["word7"]), 0) == [7]


def test_refuses_a_slow_tokenizer():
    class SlowTokenizer:
        is_fast = False

    with pytest.raises(InputError, match=r"SlowTokenizer: needs a fast \(Rust\) tokenizer"):
        TextTokenizer(SlowTokenizer(), 16)


@pytest.mark.parametrize(("name", "least"), [("BERT", 3), ("RoBERTa", 3), ("T5", 2), ("bare", 1)])
def test_refuses_a_length_without_room_for_a_token(name, least):
    assert TextTokenizer(TOKENIZERS[name], least).tokenize(["a cat"]).lengths.tolist() == [least]
    for length in (least - 1, 0, -5):
        with pytest.raises(InputError, match=f"max_length {length} leaves no room"):
            TextTokenizer(TOKENIZERS[name], length)


def test_pad_id_without_a_pad_token_is_zero():
    tokenizer = bare_tokenizer()
    tokenizer.pad_token = None
    assert TextTokenizer(tokenizer, 8).pad_id == 0
    assert TextTokenizer(roberta_tokenizer(), 8).pad_id == 1


def test_token_types_are_the_tokenizers_own():
    tokenizer = make_tokenizer(KINDS["xlnet"], 8)
    ours = TextTokenizer(tokenizer, 8)
    texts = ["", "the cat", "the cat sleeps on a guitar and on prices"]
    table = ours.tokenize(texts)
    _, mask = pad_rows(table, np.arange(3), 0)
    theirs = tokenizer(texts, padding=True, padding_side="right", truncation=True, max_length=8)
    assert ours.gives_types
    types = np.array(theirs["token_type_ids"]) * np.array(theirs["attention_mask"])
    assert ours.token_types(mask).tolist() == types.tolist()
    assert types.max() == 2
    assert not TextTokenizer(make_tokenizer(KINDS["bert"], 8), 8).gives_types


# columns of texts


def test_tabulate_keeps_distinct_texts_once():
    tokenizer = TextTokenizer(bert_tokenizer(), 16)
    columns = [["a cat", "the dog", "a cat"], ["the dog", "red", "a cat"]]
    table, index = tokenize_columns(tokenizer, columns)
    assert len(table.lengths) == 3
    assert index.tolist() == [[0, 1], [1, 2], [0, 0]]
    for row, places in enumerate(index):
        for column, place in enumerate(places):
            assert ids_of(table, place) == bert_tokenizer()(columns[column][row])["input_ids"]


def test_describe_cut_by_hand():
    # max_length 5 keeps 3 words: rows 0 and 2 hold a text of 5 words (2 cut), row 3 one of 4
    # words (1 cut), row 1 none
    tokenizer = TextTokenizer(bert_tokenizer(), 5)
    columns = [
        ["a the cat dog man", "a", "red", "a cat"],
        ["a", "the", "a the cat dog man", "is is is is"],
    ]
    table, index = tokenize_columns(tokenizer, columns)
    # kept: 5+3, 3+3, 3+5, 4+5 = 31 tokens; cut: 2+2+1 = 5; 5 of 36 are 13.89 %
    assert (
        tokenizer.describe_cut(table, index) == "3 of 4 rows (75.00%) cut, 13.89% of their tokens"
    )


def test_describe_cut_counts_repeats_and_says_nothing_of_nothing():
    tokenizer = TextTokenizer(bert_tokenizer(), 5)
    table, index = tokenize_columns(tokenizer, [["a the cat dog"] * 2000, ["a"] * 2000])
    # a row keeps 5 + 3 tokens and loses 1
    assert (
        tokenizer.describe_cut(table, index)
        == "2,000 of 2,000 rows (100.00%) cut, 11.11% of their tokens"
    )
    assert tokenizer.describe_cut(*tokenize_columns(tokenizer, [["a the cat"], ["a"]])) is None
