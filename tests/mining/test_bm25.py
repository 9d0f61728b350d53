"""BM25 against a plain loop over its equation, and words of many languages."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbert.errors import InputError
from sbert.mining import bm25
from sbert.mining.bm25 import BM25Index, split_words

TEXT = st.lists(st.sampled_from("a b c d e".split()), max_size=6).map(" ".join)


def reference(texts, query, k1=1.5, b=0.75):
    """The equation, word by word: the score of every text."""
    documents = [text.split() for text in texts]
    mean = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        tf, score = Counter(document), 0.0
        for word in query.split():
            df = sum(word in other for other in documents)
            if tf[word]:
                idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
                score += (
                    idf * tf[word] * (k1 + 1) / (tf[word] + k1 * (1 - b + b * len(document) / mean))
                )
        scores.append(score)
    return scores


def test_by_hand():
    # df(cat) = 1 of 2: idf = ln(1 + 1.5/1.5) = ln 2
    # |d| = mean: tf (k1 + 1) / (tf + k1) = 2.5 / 2.5
    scores, indices = BM25Index(["cat dog", "dog fox"]).top_k(["cat"], k=2)
    assert scores.tolist() == [[pytest.approx(math.log(2)), 0]]
    assert indices.tolist() == [[0, -1]]


@given(
    st.lists(TEXT, min_size=1, max_size=9),
    st.lists(TEXT, min_size=1, max_size=4),
    st.integers(1, 12),
)
def test_equals_a_plain_loop(texts, queries, k):
    scores, indices = BM25Index(texts).top_k(queries, k)
    for query, row, places in zip(queries, scores, indices, strict=True):
        expected = reference(texts, query) if any(texts) else [0.0] * len(texts)
        hits = sum(score > 0 for score in expected)
        found = places[places >= 0].tolist()
        assert len(found) == len(set(found)) == min(k, hits)
        assert row[: len(found)].tolist() == pytest.approx(
            sorted(expected, reverse=True)[: len(found)]
        )
        assert [expected[i] for i in found] == pytest.approx(row[: len(found)].tolist())
        assert (row[len(found) :] == 0).all()


@given(st.lists(TEXT, min_size=2, max_size=9), st.integers(1, 4), st.data())
def test_excluded_texts_are_not_found_and_the_others_keep_their_scores(texts, k, data):
    exclude = [data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=4)) for _ in texts]
    whole, places = BM25Index(texts).top_k(texts, len(texts))
    _, found = BM25Index(texts).top_k(texts, k, exclude)
    for without, before, after in zip(exclude, places.tolist(), found.tolist(), strict=True):
        left = [i for i in before if i >= 0 and i not in without][:k]
        assert [i for i in after if i >= 0] == left


def test_equal_scores_go_by_index():
    texts = ["x y", "b c", "c b", "b c", "c b", "z"]
    assert BM25Index(texts).top_k(["b", "b c"], k=3)[1].tolist() == [[1, 2, 3], [1, 2, 3]]


def test_units_do_not_show(monkeypatch):
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(list("abcdefghij"), 5)) for _ in range(50)]
    whole = BM25Index(texts).top_k(texts, 7)
    monkeypatch.setattr(bm25, "SCORES_AT_ONCE", 100)  # 2 queries at a time
    for one, other in zip(whole, BM25Index(texts).top_k(texts, 7), strict=True):
        np.testing.assert_array_equal(one, other)


def test_k_below_one():
    with pytest.raises(InputError, match="bm25: k is 0; it must be 1 or more"):
        BM25Index(["a"]).top_k(["a"], 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP, 3 times!", ["don", "t", "stop", "3", "times"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("l’été à Œuvres", ["l", "été", "à", "œuvres"]),
        ("ＡＢＣ ﬁne x²", ["abc", "fine", "x2"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs are marks, which \w parts
        ("می‌خواهم", ["میخواهم"]),  # a joiner inside a word
        ("سلام، دنیا؟", ["سلام", "دنیا"]),
        ("我爱北京 iPhone手机。", ["我爱", "爱北", "北京", "iphone", "手机"]),
        ("猫", ["猫"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        ("한국어 공부", ["한국", "국어", "공부"]),
        ("Привет, МИР", ["привет", "мир"]),
        ("?!… 🙂", []),
    ],
)
def test_words(text, expected):
    assert split_words(text) == expected


@given(st.text())
def test_words_of_any_text_do_not_depend_on_case_or_on_the_form_of_accents(text):
    import unicodedata

    assert split_words(unicodedata.normalize("NFD", text)) == split_words(
        unicodedata.normalize("NFC", text)
    )
    assert all(word and not word.isspace() for word in split_words(text))
