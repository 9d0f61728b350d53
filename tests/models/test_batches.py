"""Padding and batches against plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import ids_of

from sbert.models.batches import pad_rows, token_batches
from sbert.models.token_table import TokenTable


def some_table(lengths: list[int]) -> TokenTable:
    """A table of the given lengths with the ids 100, 101, ..."""
    ends = np.cumsum(lengths, dtype=np.int64)
    none = np.zeros(len(lengths), np.int64)
    ids = np.arange(100, 100 + sum(lengths), dtype=np.int32)
    return TokenTable(ids, np.append(0, ends), none, none)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=8), st.data())
def test_pad(lengths, data):
    table = some_table(lengths)
    which = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=10))
    ids, mask = pad_rows(table, np.array(which), 7)
    longest = max(1, *(lengths[i] for i in which))  # a model cannot read rows of no column
    assert ids.shape == mask.shape == (len(which), longest)
    for row, i in enumerate(which):
        own, fill = ids_of(table, i), longest - lengths[i]
        assert ids[row].tolist() == own + [7] * fill
        assert mask[row].tolist() == [1] * len(own) + [0] * fill


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 40))
def test_token_batches(lengths, budget):
    batches = token_batches(np.array(lengths, np.int64), budget)
    flat = [int(i) for batch in batches for i in batch]
    assert sorted(flat) == list(range(len(lengths)))
    # Python's sort is stable too: equal lengths stay in order
    assert flat == sorted(range(len(lengths)), key=lambda i: -lengths[i])
    for i, batch in enumerate(batches):
        longest = max(1, *(lengths[k] for k in batch))
        assert len(batch) == 1 or len(batch) * longest <= budget
        if i + 1 < len(batches):
            assert (len(batch) + 1) * longest > budget, (
                "one more row would have stayed within the budget"
            )


def test_a_text_beyond_the_budget_is_a_batch_of_its_own():
    assert [b.tolist() for b in token_batches(np.array([2, 50, 4, 4]), 8)] == [[1], [2, 3], [0]]


def test_only_equal_lengths_share_a_batch_where_padding_is_read():
    batches = token_batches(np.array([2, 3, 2, 3, 3, 2]), 6, equal=True)
    assert [batch.tolist() for batch in batches] == [[1, 3], [4], [0, 2, 5]]
