"""Languages: row-aligned files that are read together, and language crossing.

Line i of every file is the same row in another language, with the same label, as in stsb_multi_mt.
Crossing adds rows whose first text is in one language and the second in another: two languages give
four blocks, de, en, de-en and en-de. The rows of a line belong together, so that limit and folds,
which choose among lines, never separate the translations of a row.
"""

from collections import Counter
from itertools import chain, permutations

from sbert.data.config import DatasetConfig
from sbert.data.labels import Label
from sbert.data.table import Table, TableRow
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
    versions: dict[int, list[list[TableRow]]] = {}  # of each line, its rows in each language
    files, skipped = [], Counter()
    for table in tables:
        files += table.files
        skipped += table.skipped
        for rows in table.lines:
            versions.setdefault(rows[0].index, []).append(rows)
    lines = []
    for line in versions.values():
        if len(line) == len(tables):
            lines.append(_line_rows(line, config.crossing))
        else:
            skipped["skipped in another language"] += len(line)
    require(lines, f"dataset {config.path}: no row is used in every language")
    return Table(files, first.task, lines, first.groups, skipped, first.prompt)


def _check_alignment(first: Table, other: Table) -> None:
    """Raise `InputError` unless two tables have the same labels, line by line."""
    names = f"{first.files[0]} and {other.files[0]}"
    rule = "files read together must be translations of each other, line by line"
    labels = {rows[0].index: [row.label for row in rows] for rows in first.lines}
    for rows in other.lines:
        found = [row.label for row in rows]
        expected = labels.get(rows[0].index, found)
        if found != expected:
            raise InputError(
                f"{names}, line {rows[0].number}: the labels {_describe(expected)} and "
                f"{_describe(found)} differ; {rule}"
            )
    counts = len(first.groups), len(other.groups)
    if counts[0] != counts[1]:
        longer = max(first, other, key=lambda table: len(table.groups))
        extra = [rows[0].number for rows in longer.lines if rows[0].index >= min(counts)]
        place = f"; from line {extra[0]} of {longer.files[0]} there is no other" if extra else ""
        raise InputError(f"{names}: {counts[0]:,} and {counts[1]:,} rows{place}; {rule}")


def _describe(labels: list[Label | None]) -> str:
    return ", ".join(map(str, labels))


def _line_rows(versions: list[list[TableRow]], crossing: str) -> list[TableRow]:
    """The rows of a line, given those in each language."""
    translations = list(chain.from_iterable(versions))
    if crossing == "none":
        return translations
    crossed = []
    for firsts, seconds in permutations(versions, 2):
        crossed += [_cross(first, second) for first, second in zip(firsts, seconds, strict=True)]
    return crossed if crossing == "only" else translations + crossed


def _cross(first: TableRow, second: TableRow) -> TableRow:
    """The first text of one row, with the others of its translation."""
    texts = [first.texts[0], *second.texts[1:]]
    return first._replace(texts=texts, language=f"{first.language}-{second.language}")
