"""Markdown tables by hand."""

import math

import numpy as np
import pytest

from sbert.markdown import markdown_table


def test_table_by_hand():
    made = markdown_table(
        ["dataset", "rows", "score"], [["stsb", 1379, 84.672], ["sts12-16", 12544, 7.0]]
    )
    assert made.splitlines() == [
        "| dataset  |   rows | score |",
        "| -------- | -----: | ----: |",
        "| stsb     |  1,379 | 84.67 |",
        "| sts12-16 | 12,544 |  7.00 |",
    ]


def test_undefined_numbers_are_dashes_at_the_right():
    made = markdown_table(
        ["name", "score"], [["a", math.nan], ["b", 12.25], ["c", np.float64("nan")]]
    )
    assert made.splitlines()[2:] == ["| a    |     - |", "| b    | 12.25 |", "| c    |     - |"]


def test_dash_as_text_does_not_turn_a_column_of_numbers():
    assert markdown_table(["x"], [["-"], [100.0]]).splitlines() == [
        "|      x |",
        "| -----: |",
        "|      - |",
        "| 100.00 |",
    ]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["a", 1.0]],
        [["a long name of a dataset", -1234567], ["b", math.nan]],
        [["", 0.001], ["b", "text"]],
    ],
    ids=["none", "one", "wide", "mixed"],
)
def test_all_lines_are_of_one_width(rows):
    made = markdown_table(["name", "a value"], rows).splitlines()
    assert len(made) == 2 + len(rows)
    assert len({len(line) for line in made}) == 1
    assert len({tuple(i for i, c in enumerate(line) if c == "|") for line in made}) == 1
