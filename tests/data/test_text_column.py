"""A column of texts reads like the list of them."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbert.data.text_column import TextColumn

TEXTS = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5))


@given(TEXTS, TEXTS, st.slices(8))
def test_a_column_reads_like_a_list(texts, more, part):
    column = TextColumn(texts)
    for text in more:
        column.append(text)
    listed = texts + more
    assert list(column) == listed
    assert [column[i] for i in range(-len(listed), len(listed))] == listed + listed
    assert (len(column), column[part], repr(column)) == (len(listed), listed[part], repr(listed))
    assert column == listed
    assert [listed] == [column]
    assert TextColumn(texts) + TextColumn(more) == listed
    assert pickle.loads(pickle.dumps(column)) == column
    assert column != [*listed, "another"]


def test_an_empty_text_is_not_none():
    assert list(TextColumn(["", None, "\u00ff", ""])) == ["", None, "\u00ff", ""]


@pytest.mark.parametrize("index", [2, -3])
def test_beyond_the_end(index):
    with pytest.raises(IndexError):
        TextColumn(["a", "b"])[index]
