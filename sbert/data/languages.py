"""Languages: row-aligned files that are read together, and language crossing.

Line i of every file is the same row in another language, with the same label, as in stsb_multi_mt.
Crossing adds rows whose first text is in one language and the second in another: two languages give
four blocks, de, en, de-en and en-de. The rows of a line belong together, so that limit and folds,
which choose among lines, never separate the translations of a row.
"""

from collections import Counter
from dataclasses import replace
from functools import reduce
from itertools import chain, permutations

import numpy as np

from sbert.data.config import DatasetConfig
from sbert.data.labels import Label
from sbert.data.table import Table
from sbert.data.text_column import TextColumn
from sbert.errors import InputError, require


def align_languages(tables: list[Table], config: DatasetConfig) -> Table:
    """The tables of several languages as one, with the blocks that `crossing` asks for.

    A line is used if it is used in every language.

    Raises:
        InputError: files of different length, or the first line whose labels differ.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    for table in tables[1:]:
        _check_alignment(first, table)
    lines = [np.unique(table.index) for table in tables]  # that are used in each language
    common = reduce(np.intersect1d, lines)
    require(len(common), f"dataset {config.path}: no row is used in every language")
    skipped = sum((table.skipped for table in tables), Counter())
    elsewhere = sum(map(len, lines)) - len(common) * len(lines)
    if elsewhere:
        skipped["skipped in another language"] += elsewhere
    versions = [table.take(np.flatnonzero(np.isin(table.index, common))) for table in tables]
    crossed = [_cross(one, other) for one, other in permutations(versions, 2)]
    blocks = {"none": versions, "all": versions + crossed, "only": crossed}[config.crossing]
    aligned = _concatenate(blocks)
    # line by line, those of a line in the order of the blocks
    aligned = aligned.take(np.argsort(aligned.index, kind="stable"))
    return replace(aligned, files=[*chain(*(table.files for table in tables))], skipped=skipped)


def _check_alignment(first: Table, other: Table) -> None:
    """Raise `InputError` unless two tables have the same labels, line by line."""
    names = f"{first.files[0]} and {other.files[0]}"
    rule = "files read together must be translations of each other, line by line"
    expected, found = _labels_by_line(first), _labels_by_line(other)
    for line, labels in found.items():
        if labels != expected.get(line, labels):
            raise InputError(
                f"{names}, line {other.numbers[other.index == line][0]}: the labels "
                f"{_describe(expected[line])} and {_describe(labels)} differ; {rule}"
            )
    counts = len(first.groups), len(other.groups)
    if counts[0] != counts[1]:
        longer = max(first, other, key=lambda table: len(table.groups))
        extra = longer.numbers[longer.index >= min(counts)]
        place = ""
        if len(extra):
            place = f"; from line {extra[0]} of {longer.files[0]} there is no other"
        raise InputError(f"{names}: {counts[0]:,} and {counts[1]:,} rows{place}; {rule}")


def _labels_by_line(table: Table) -> dict[int, list[Label | None]]:
    labels: dict[int, list[Label | None]] = {}
    for line, label in zip(table.index.tolist(), table.labels, strict=True):
        labels.setdefault(line, []).append(label)
    return labels


def _describe(labels: list[Label | None]) -> str:
    return ", ".join(map(str, labels))


def _cross(first: Table, second: Table) -> Table:
    """The first text of each row of one language, with the others of its translation."""
    language = f"{first.languages[0]}-{second.languages[0]}"
    texts = [first.texts[0], *second.texts[1:]]
    return replace(first, texts=texts, languages=[language] * len(first))


def _concatenate(tables: list[Table]) -> Table:
    """The rows of several tables, one table after another."""
    width = max(len(table.texts) for table in tables)
    columns = []
    for table in tables:
        missing = [[None] * len(table)] * (width - len(table.texts))
        columns.append([*table.texts, *missing])
    values = ("labels", "sources", "languages")
    return replace(
        tables[0],
        texts=[TextColumn(chain(*parts)) for parts in zip(*columns, strict=True)],
        index=np.concatenate([table.index for table in tables]),
        numbers=np.concatenate([table.numbers for table in tables]),
        **{name: [*chain(*(getattr(table, name) for table in tables))] for name in values},
    )
