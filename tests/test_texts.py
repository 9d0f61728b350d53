"""Distinct texts in order of first sight."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sbert.texts import unique


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
