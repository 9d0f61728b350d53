"""What is accepted as texts, and distinct texts in order of first sight."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbert.errors import InputError
from sbert.texts import list_texts, unique


@given(st.lists(st.sampled_from(["a", "b", "c", "A", "", "é", "e\u0301"])))
def test_unique(texts):
    distinct, index = unique(iter(texts))
    first_seen = []
    for one in texts:
        if one not in first_seen:
            first_seen.append(one)
    assert distinct == first_seen
    assert index.dtype == np.int64
    assert [distinct[i] for i in index] == texts


@pytest.mark.parametrize("kind", [iter, tuple, np.array, dict.fromkeys])
def test_texts_come_as_any_iterable(kind):
    assert list_texts(kind(["b", "a", ""]), "encode") == ["b", "a", ""]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a cat", "f: takes a list of words, not one word; write [word]"),
        (None, "f: takes a list of words, not None"),
        (7, "f: takes a list of words, not 7"),
        (b"a", "f: word 0 is 97, not a str"),
        (iter(["a", None]), "f: word 1 is None, not a str"),
        (["a", "b", float("nan")], "f: word 2 is nan, not a str"),
        (["é", "\udc00"], "f: word 1 contains a lone surrogate, '\\udc00': not valid text"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(given, said):
    with pytest.raises(InputError) as caught:
        list_texts(given, "f", "word")
    assert str(caught.value) == said
