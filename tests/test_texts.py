"""What is accepted as texts, and distinct texts in order of first sight."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbert.errors import InputError
from sbert.texts import SelectedTexts, distinct_cells, list_texts, unique


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


@given(
    st.integers(1, 3).flatmap(
        lambda width: st.lists(
            st.tuples(*[st.none() | st.sampled_from(["", "a", "b", "ab"])] * width), min_size=1
        )
    ),
    st.data(),
)
def test_distinct_cells_are_those_of_a_list(rows, data):
    columns = [list(column) for column in zip(*rows, strict=True)]
    cells = [text for column in columns for text in column]
    kind = np.array(
        data.draw(st.lists(st.integers(0, 2), min_size=len(cells), max_size=len(cells)))
    )
    pairs = [(k, text) for k, text in zip(kind, cells, strict=True) if text is not None]
    expected, index = unique(pairs)
    first, found = distinct_cells(columns, kind)
    assert found[[text is not None for text in cells]].tolist() == index.tolist()
    assert set(found[[text is None for text in cells]]) <= {-1}
    assert list(SelectedTexts(columns, first)) == [text for _, text in expected]
    assert SelectedTexts(columns, first)[1:] == [text for _, text in expected][1:]
    assert kind[first].tolist() == [k for k, _ in expected]
