"""The sentences that are paired, and the numbers of pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbert.augment.pool import SentencePool, pair_numbers, pairs_from_numbers
from sbert.errors import InputError


@given(
    st.integers(0, 2**52)
    | st.integers(2, 2**31).flatmap(
        lambda j: st.integers(-1, 1).map(lambda d: j * (j - 1) // 2 + d)
    )
)
def test_the_number_of_a_pair_and_back(number):
    """Also near the numbers at which j grows, where the floating-point root may be rounded up."""
    ((i, j),) = pairs_from_numbers(np.array([number])).tolist()
    assert 0 <= i < j
    assert j * (j - 1) // 2 + i == number
    assert pair_numbers(np.array([[j, i], [i, j]])).tolist() == [number, number]


def test_numbers_of_pairs_by_hand():
    assert pairs_from_numbers(np.arange(6)).tolist() == [
        [0, 1],
        [0, 2],
        [1, 2],
        [0, 3],
        [1, 3],
        [2, 3],
    ]


def test_sentences_that_differ_in_case_and_spaces_are_one_in_their_first_spelling():
    assert SentencePool.from_texts(
        ["A cat.", "a  CAT. ", "a dog", "Straße", "STRASSE"]
    ).sentences == [
        "A cat.",
        "a dog",
        "Straße",
    ]


@pytest.mark.parametrize("texts", [[], ["a cat"], ["a cat", "A  cat"]])
def test_fewer_than_two_distinct_sentences(texts):
    with pytest.raises(
        InputError,
        match=r"gold: \d distinct sentence, ignoring case and spaces; pairs need two or more",
    ):
        SentencePool.from_texts(texts, name="gold")
