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
from sbert.data.schema import ROW
from sbert.data.table import Table
from sbert.data.text_column import TextColumn
from sbert.errors import InputError, require

RULE = "files read together must be translations of each other, line by line"


def align_languages(tables: list[Table], config: DatasetConfig) -> Table:
    """The tables of several languages as one, with the blocks that `crossing` asks for.

    A row is used if it is used in every language: that of the same line and, where a line has
    several, of the same place in it. The number of a line is that in the first file.

    Raises:
        InputError: files of different length, the first line whose labels or groups differ, or
            crossing of rows with one text.
    """
    first = tables[0]
    require(
        config.crossing == "none" or len(first.texts) > 1,
        f"dataset {config.path}: crossing {config.crossing} pairs the first text of a row with the "
        f"others of its translation; rows of task {first.task} have one text: set crossing: none",
    )
    if len(tables) == 1:
        return first
    for table in tables[1:]:
        _check_alignment(first, table, config)
    keys = _row_keys(tables)
    common = reduce(np.intersect1d, keys)  # of rows that are used in each language
    require(len(common), f"dataset {config.path}: no row is used in every language")
    skipped = sum((table.skipped for table in tables), Counter())
    elsewhere = sum(map(len, keys)) - len(common) * len(keys)
    if elsewhere:
        skipped["skipped in another language"] += elsewhere
    versions = [
        table.take(np.flatnonzero(np.isin(own, common)))
        for table, own in zip(tables, keys, strict=True)
    ]
    crossed = [_cross(one, other) for one, other in permutations(versions, 2)]
    blocks = {"none": versions, "all": versions + crossed, "only": crossed}[config.crossing]
    aligned = _concatenate(blocks)
    # line by line, those of a line in the order of the blocks
    aligned = aligned.take(np.argsort(aligned.index, kind="stable"))
    in_first = np.searchsorted(first.index, aligned.index)
    return replace(
        aligned,
        numbers=first.numbers[in_first],  # those of other files differ where a text has line breaks
        files=[*chain(*(table.files for table in tables))],
        skipped=skipped,
    )


def _row_keys(tables: list[Table]) -> list[np.ndarray]:
    """A number for each row of each table, ascending: the same for translations of each other."""
    longest = 1 + max(table.places.max() for table in tables)
    return [table.index * longest + table.places for table in tables]


def _check_alignment(first: Table, other: Table, config: DatasetConfig) -> None:
    """Raise `InputError` unless two tables have the same task, and line by line as many rows, the
    same labels and groups."""
    expected, found = _labels_by_line(first), _labels_by_line(other)
    names = f"{first.files[0]} and {other.files[0]}"
    tasks = f"the columns are of task {first.task} in the one and {other.task} in the other"
    require(first.task == other.task, f"{names}: {tasks}; {RULE}")
    for line in np.intersect1d(first.index, other.index).tolist():
        counts = first.row_counts[line], other.row_counts[line]
        if counts[0] != counts[1]:
            raise _unlike(first, other, line, f"{counts[0]} and {counts[1]} rows")
        places = expected[line].keys() & found[line].keys()
        if any(expected[line][place] != found[line][place] for place in places):
            values = f"{_describe(first, line)} and {_describe(other, line)}"
            raise _unlike(first, other, line, f"the labels {values} differ")
    _check_groups(first, other, config)
    counts = len(first.groups), len(other.groups)
    if counts[0] != counts[1]:
        longer = max(first, other, key=lambda table: len(table.groups))
        extra = longer.numbers[longer.index >= min(counts)]
        place = ""
        if len(extra):
            place = f"; from line {extra[0]} of {longer.files[0]} there is no other"
        raise InputError(f"{names}: {counts[0]:,} and {counts[1]:,} rows{place}; {RULE}")


def _labels_by_line(table: Table) -> dict[int, dict[int, object]]:
    """The fields of the label column, read or not, of the rows of each line, by their places."""
    labels: dict[int, dict[int, object]] = {}
    rows = zip(table.index.tolist(), table.places.tolist(), table.given, strict=True)
    for line, place, field in rows:
        labels.setdefault(line, {})[place] = _value(field)
    return labels


def _value(field: object) -> object:
    """A field as a number, if it is one: 4 and 4.0 are the same score."""
    try:
        return float(field)
    except (TypeError, ValueError):
        return field


def _describe(table: Table, line: int) -> str:
    fields = (table.given[row] for row in np.flatnonzero(table.index == line))
    return ", ".join(map(str, fields))


def _check_groups(first: Table, other: Table, config: DatasetConfig) -> None:
    """Raise `InputError` unless the lines of a group are those of a group, whatever its name."""
    if config.group in (None, ROW):
        return
    for one, two in ((first, other), (other, first)):
        name_in_two: dict[str | int, str | int] = {}
        for line in np.intersect1d(one.index, two.index).tolist():
            own, name = one.groups[line], two.groups[line]
            known = name_in_two.setdefault(own, name)
            if known != name:
                problem = f"the {config.group} '{own}' of {one.files[0]} is '{known}' and '{name}'"
                raise _unlike(one, two, line, f"{problem} in the other file")


def _unlike(first: Table, other: Table, line: int, problem: str) -> InputError:
    """`line`: the index of a line that both tables have."""
    places = [
        f"{table.files[0]}, line {table.numbers[table.index == line][0]}"
        for table in (first, other)
    ]
    return InputError(f"{' and '.join(places)}: {problem}; {RULE}")


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
        places=np.concatenate([table.places for table in tables]),
        numbers=np.concatenate([table.numbers for table in tables]),
        **{name: [*chain(*(getattr(table, name) for table in tables))] for name in values},
    )
