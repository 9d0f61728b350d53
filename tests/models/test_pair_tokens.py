"""Pairs joined from single texts against the tokenizer itself, and what is cut against counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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
from tokenizers import Tokenizer, models, processors
from transformers import PreTrainedTokenizerFast

from sbert.errors import InputError
from sbert.models.pair_tokens import PairTokenizer, rows_to_pairs
from sbert.models.tokens import tokenize_columns


def reading(tokenizer, token_types: bool) -> PreTrainedTokenizerFast:
    """The tokenizer of a model that reads token types, or of one that does not."""
    tokenizer.model_input_names = ["input_ids", *["token_type_ids"] * token_types, "attention_mask"]
    return tokenizer


def bert_pairs() -> PreTrainedTokenizerFast:
    """[CLS] a [SEP] b [SEP], with token types."""
    return reading(bert_tokenizer(), True)


def roberta_pairs() -> PreTrainedTokenizerFast:
    """<s> a </s></s> b </s>, without token types."""
    return reading(roberta_tokenizer(), False)


def mpnet_pairs() -> PreTrainedTokenizerFast:
    """<s> a </s></s> b </s>; its token types, as those of the published MPNet, are for no model."""
    tokenizer = reading(mpnet_tokenizer(), False)
    ends = [("<s>", 0), ("</s>", 2)]
    template = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B:1 </s>:1", special_tokens=ends
    )
    tokenizer.backend_tokenizer.post_processor = template
    return tokenizer


# the maker, and the least max_length: special tokens and one of each text
STYLES = {"BERT": (bert_pairs, 5), "RoBERTa": (roberta_pairs, 6), "MPNet": (mpnet_pairs, 6)}
SIDES = [(padding, truncation) for padding in ("left", "right") for truncation in ("left", "right")]
EVERY = [
    pytest.param(
        sided(make(), *sides), least, id=f"{name} padding {sides[0]} truncation {sides[1]}"
    )
    for name, (make, least) in STYLES.items()
    for sides in SIDES
]

Pairs = list[tuple[str, str]]


def columns(pairs: Pairs) -> list[list[str]]:
    return [[a for a, _ in pairs], [b for _, b in pairs]]


def joined(ours: PairTokenizer, pairs: Pairs) -> dict[str, list]:
    return {
        name: array.tolist()
        for name, array in ours.join(*tokenize_columns(ours, columns(pairs))).items()
    }


def assert_as_the_tokenizer_itself(tokenizer, pairs: Pairs, max_length: int) -> None:
    cut = {"truncation": True, "max_length": max_length}
    theirs = tokenizer(*columns(pairs), **cut, padding=True, padding_side="right")
    sequences = [theirs.sequence_ids(i) for i in range(len(pairs))]
    whole = [len(ids) for ids in tokenizer(*columns(pairs))["input_ids"]]

    ours = PairTokenizer(tokenizer, max_length)
    table, places = tokenize_columns(ours, columns(pairs))
    # equal dictionaries: token types are there where the tokenizer gives them, and only there
    assert joined(ours, pairs) == dict(theirs)
    for side, kept in enumerate(ours.kept_lengths(table, places)):
        assert kept.tolist() == [sequence.count(side) for sequence in sequences]
    lengths = [sum(mask) for mask in theirs["attention_mask"]]
    assert ours.lengths(table, places).tolist() == lengths
    assert ours.cut_tokens(table, places).tolist() == [
        w - n for w, n in zip(whole, lengths, strict=True)
    ]


# against the tokenizer


@pytest.mark.parametrize("extra", [0, 1, 2, 3, 6, 7])
@pytest.mark.parametrize(("tokenizer", "least"), EVERY)
def test_pairs_of_every_length_are_the_tokenizers_own(tokenizer, least, extra):
    """Ties, a very long side, both, neither: every two lengths around an even and an odd room."""
    counts = [*range(extra + 5), 60]
    first, second = WORDS * 3, WORDS[::-1] * 3
    pairs = [(" ".join(first[:a]), " ".join(second[:b])) for a in counts for b in counts]
    assert_as_the_tokenizer_itself(tokenizer, pairs, least + extra)


@pytest.mark.parametrize(("tokenizer", "least"), EVERY)
@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(st.tuples(text, text), min_size=1, max_size=4), extra=st.integers(0, 30))
def test_pairs_are_the_tokenizers_own_on_any_text(tokenizer, least, pairs, extra):
    assert_as_the_tokenizer_itself(tokenizer, pairs, least + extra)


@pytest.mark.parametrize(("tokenizer", "least"), EVERY)
def test_texts_that_become_no_tokens(tokenizer, least):
    pairs = [
        ("", ""),
        ("", "a cat"),
        ("a cat", ""),
        (" \n", "a " * 30),
        ("a " * 30, "\x00"),
        ("[SEP]", "</s>"),
    ]
    for max_length in (least, least + 1, 512):
        assert_as_the_tokenizer_itself(tokenizer, pairs, max_length)


@pytest.mark.parametrize("make", [bare_tokenizer, one_sided_tokenizer])
@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(st.tuples(text, text), max_size=3), max_length=st.integers(2, 12))
def test_pairs_without_special_tokens(make, pairs, max_length):
    # neither has a template for pairs: one text follows the other. The first pair is not empty,
    # so that there is a column
    assert_as_the_tokenizer_itself(reading(make(), True), [("a", "cat"), *pairs], max_length)


# by hand


def test_a_pair_by_hand():
    made = joined(
        PairTokenizer(bert_pairs(), 9), [("a the cat dog man woman", "red big"), ("on", "in")]
    )
    cls, sep, pad = 2, 3, 0
    a, the, cat, dog, red, big, on, inside = (
        bert_tokenizer().vocab[w] for w in "a the cat dog red big on in".split()
    )
    assert made == {
        "input_ids": [
            [cls, a, the, cat, dog, sep, red, big, sep],
            [cls, on, sep, inside, sep] + [pad] * 4,
        ],
        "attention_mask": [[1] * 9, [1] * 5 + [0] * 4],
        "token_type_ids": [[0] * 6 + [1] * 3, [0] * 3 + [1] * 2 + [0] * 4],
    }


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ((0, 0), (0, 0)),
        ((2, 3), (2, 3)),
        ((3, 2), (3, 2)),
        ((0, 9), (0, 5)),
        ((9, 1), (4, 1)),
        ((9, 2), (3, 2)),  # half of the room, 5, is 2
        ((2, 9), (2, 3)),
        ((3, 3), (2, 3)),  # the odd token is the second's
        ((9, 9), (2, 3)),
        ((4, 3), (3, 2)),  # or that of the longer
        ((3, 4), (2, 3)),
    ],
)
def test_kept_by_hand(words, kept):
    ours = PairTokenizer(bert_tokenizer(), 8)
    table, places = tokenize_columns(ours, [["a " * words[0]], ["the " * words[1]]])
    assert tuple(int(n) for (n,) in ours.kept_lengths(table, places)) == kept
    assert ours.lengths(table, places).tolist() == [sum(kept) + 3]
    assert ours.cut_tokens(table, places).tolist() == [sum(words) - sum(kept)]


def test_left_truncation_keeps_the_end_of_both():
    ours = PairTokenizer(sided(bert_tokenizer(), truncation="left"), 7)
    (ids,) = joined(ours, [("a the cat dog man", "woman child sits runs eats sleeps")])["input_ids"]
    assert (
        bert_tokenizer().convert_ids_to_tokens(ids)
        == "[CLS] dog man [SEP] eats sleeps [SEP]".split()
    )


def test_the_order_of_a_pair_counts():
    ours = PairTokenizer(bert_tokenizer(), 16)
    table, places = tokenize_columns(ours, [["a cat"], ["the dog sits"]])
    (ids,) = ours.join(table, places[:, ::-1])["input_ids"].tolist()
    assert ids == bert_tokenizer()("the dog sits", "a cat")["input_ids"]


def test_a_text_may_stand_in_many_pairs():
    ours = PairTokenizer(bert_tokenizer(), 16)
    table = ours.tokenize(["a cat", "the dog sits", ""])
    places = np.array([[0, 0], [1, 0], [0, 1], [2, 0], [1, 1]])
    texts = [["a cat", "the dog sits", ""][t] for t in places.T.ravel()]
    theirs = bert_tokenizer()(texts[:5], texts[5:], padding=True)
    assert ours.join(table, places)["input_ids"].tolist() == theirs["input_ids"]


def test_no_pairs():
    ours = PairTokenizer(bert_pairs(), 16)
    made = ours.join(ours.tokenize([]), np.empty((0, 2), np.int64))
    assert list(made) == ["input_ids", "attention_mask", "token_type_ids"]
    assert {(array.shape, array.dtype) for array in made.values()} == {((0, 1), torch.int64)}


def test_a_pair_of_no_tokens_has_one_column_of_padding():
    # without special tokens nothing is left, and a model cannot read rows of no column
    tokenizer = bare_tokenizer()
    tokenizer.pad_token = "red"
    made = joined(PairTokenizer(tokenizer, 4), [("", ""), (" ", "\n")])
    red = tokenizer.vocab["red"]
    assert (made["input_ids"], made["attention_mask"]) == ([[red], [red]], [[0], [0]])


@pytest.mark.parametrize("make", [bert_pairs, roberta_pairs, mpnet_pairs])
def test_arrays_are_int64(make):
    ours = PairTokenizer(make(), 16)
    made = ours.join(*tokenize_columns(ours, [["a cat"], ["the dog"]]))
    assert {array.dtype for array in made.values()} == {torch.int64}


@pytest.mark.parametrize("make", [bert_pairs, roberta_pairs, mpnet_pairs])
def test_token_types_are_there_where_the_model_reads_them(make):
    pairs = [("a cat", "the dog")]
    without, both = (
        joined(PairTokenizer(reading(make(), types), 16), pairs) for types in (False, True)
    )
    assert list(both) == ["input_ids", "attention_mask", "token_type_ids"]
    assert both == dict(reading(make(), True)(*columns(pairs), padding=True))
    assert without == {name: both[name] for name in ("input_ids", "attention_mask")}


TEMPLATES = {
    # [CLS] a [SEP] b [SEP], the second text and its [SEP] of type 1
    "BERT": (bert_pairs, [[2], [3], [3]], [[0], [0], [1]], [0, 1]),
    # <s> a </s></s> b </s>
    "RoBERTa": (roberta_pairs, [[0], [2, 2], [2]], [[0], [0, 0], [0]], [0, 0]),
    "MPNet": (mpnet_pairs, [[0], [2, 2], [2]], [[0], [0, 0], [1]], [0, 1]),
    "bare": (bare_tokenizer, [[], [], []], [[], [], []], [0, 1]),
}


@pytest.mark.parametrize(
    ("make", "special", "types", "text_types"), TEMPLATES.values(), ids=TEMPLATES
)
def test_template(make, special, types, text_types):
    ours = PairTokenizer(make(), 16)
    assert [ids.tolist() for ids in ours.special_ids] == special
    assert [ids.tolist() for ids in ours.special_types] == types
    assert list(ours.text_types) == text_types


def test_special_tokens_of_many_kinds_keep_their_order():
    tokenizer = reading(bert_tokenizer(), True)
    special = [("[CLS]", 2), ("[SEP]", 3), ("[MASK]", 4), ("[UNK]", 1)]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] [MASK]:1 $A:1 [SEP] [UNK]:1 [MASK] $B [MASK]:1 [SEP] [UNK]",
        special_tokens=special,
    )
    ours = PairTokenizer(tokenizer, 12)
    assert [ids.tolist() for ids in ours.special_ids] == [[2, 4], [3, 1, 4], [4, 3, 1]]
    assert [ids.tolist() for ids in ours.special_types] == [[0, 1], [0, 1, 0], [1, 0, 0]]
    assert list(ours.text_types) == [1, 0]
    assert_as_the_tokenizer_itself(
        tokenizer, [("a cat", "the dog"), ("a", ""), ("a " * 9, "the " * 9)], 12
    )


# the table


def test_the_table_holds_bare_texts_cut_at_the_room_of_a_pair():
    ours = PairTokenizer(bert_tokenizer(), 8)
    table = ours.tokenize(["a cat", "", "a the cat dog man", "a the cat dog man woman child"])
    words = [bert_tokenizer().convert_ids_to_tokens(ids_of(table, i)) for i in range(4)]
    assert words == [["a", "cat"], [], WORDS[:5], WORDS[:5]]
    assert table.lengths.tolist() == [2, 0, 5, 5]
    assert table.cut_tokens.tolist() == [0, 0, 0, 2]


def test_each_distinct_text_is_tokenised_once():
    class Spy:
        def __init__(self, backend):
            self.backend, self.calls = backend, []

        def encode_batch_fast(self, texts, **options):
            self.calls.append(texts)
            return self.backend.encode_batch_fast(texts, **options)

    ours = PairTokenizer(bert_tokenizer(), 16)
    ours.backend = Spy(ours.backend)
    # a query with its documents, one of which is the query itself
    table, places = tokenize_columns(ours, [["a cat"] * 4, ["red", "the dog", "red", "a cat"]])
    ours.join(table, places)
    assert ours.backend.calls == [["a cat", "red", "the dog"]]
    assert places.tolist() == [[0, 1], [0, 2], [0, 1], [0, 0]]


# rows of several texts


def test_flatten_by_hand():
    pairs, owner = rows_to_pairs(
        np.array([[0, 1, 2], [3, 4, -1], [5, -1, 6], [7, -1, -1], [8, 8, 0]])
    )
    assert pairs.tolist() == [[0, 1], [0, 2], [3, 4], [5, 6], [8, 8], [8, 0]]
    assert owner.tolist() == [0, 0, 1, 2, 4, 4]


def test_flatten_leaves_pairs_as_they_are():
    rows = np.array([[4, 1], [0, 0], [2, 3]])
    pairs, owner = rows_to_pairs(rows)
    assert (pairs.tolist(), owner.tolist()) == (rows.tolist(), [0, 1, 2])


@pytest.mark.parametrize(
    "rows", [np.empty((0, 2), int), np.empty((0, 4), int), np.array([[1, -1]])]
)
def test_flatten_of_nothing(rows):
    pairs, owner = rows_to_pairs(rows)
    assert (pairs.shape, owner.shape) == ((0, 2), (0,))


def test_describe_cut_by_hand():
    # 3 of 9 tokens are special: a room of 6 for pairs of 4 + 2, 5 + 2, 4 + 4 and 1 + 1 tokens
    ours = PairTokenizer(bert_tokenizer(), 9)
    made = [["a " * 4, "a " * 5, "a " * 4, "a"], ["the " * 2, "the " * 2, "the " * 4, "the"]]
    # 0 + 1 + 2 + 0 of 6 + 7 + 8 + 2 tokens are 3 of 23
    assert (
        ours.describe_cut(*tokenize_columns(ours, made))
        == "2 of 4 rows (50.00%) cut, 13.04% of their tokens"
    )


def test_describe_cut_counts_rows_and_all_their_pairs():
    ours = PairTokenizer(bert_tokenizer(), 9)
    table, _ = tokenize_columns(ours, [["a " * 5, "the " * 2, "cat " * 3, "dog", "man " * 20]])
    # 5 + 2 and 5 + 3 lose 1 and 2 in one row; 5 + 1 loses nothing; 20 + 1 loses 15, most of
    # which is cut in the table already
    rows = np.array([[0, 1, 2], [0, 3, -1], [4, -1, 3]])
    assert (
        ours.describe_cut(table, rows) == "2 of 3 rows (66.67%) cut, 42.86% of their tokens"
    )  # 18 of 42


def test_describe_cut_of_many_rows_and_of_nothing():
    ours = PairTokenizer(bert_tokenizer(), 9)
    table, _ = tokenize_columns(ours, [["a " * 5, "the " * 2, "the"]])
    rows = np.array([[0, 1]] * 1500 + [[0, 2]] * 500)
    # 1,500 of 1,500 x 7 + 500 x 6 tokens
    assert (
        ours.describe_cut(table, rows) == "1,500 of 2,000 rows (75.00%) cut, 11.11% of their tokens"
    )
    assert ours.describe_cut(table, rows[1500:]) is None
    assert ours.describe_cut(table, rows[:0]) is None


# refusals


@pytest.mark.parametrize(("make", "least"), STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("below", [1, 2])
def test_refuses_a_length_without_room_for_a_pair(make, least, below):
    PairTokenizer(make(), least)
    with pytest.raises(InputError) as caught:
        PairTokenizer(make(), least - below)
    assert (
        str(caught.value)
        == f"max_length {least - below} leaves no room for a pair; use at least {least}"
    )


@pytest.mark.parametrize("length", [2, 0, -5])
def test_a_length_without_room_for_even_one_text_names_what_a_pair_needs(length):
    with pytest.raises(InputError) as caught:
        PairTokenizer(bert_pairs(), length)
    assert str(caught.value) == f"max_length {length} leaves no room for a pair; use at least 5"


def test_refuses_a_slow_tokenizer():
    class SlowTokenizer:
        is_fast = False

    with pytest.raises(InputError, match=r"^SlowTokenizer: needs a fast \(Rust\) tokenizer"):
        PairTokenizer(SlowTokenizer(), 16)


def test_refuses_a_tokenizer_whose_template_cannot_be_seen():
    # a vocabulary without the letter that the template is looked up with
    deaf = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({"x": 0, "</s>": 1}, [])))
    with pytest.raises(InputError) as caught:
        PairTokenizer(deaf, 16)
    assert str(caught.value) == "tokenizer: it does not join two texts, which a cross-encoder needs"
