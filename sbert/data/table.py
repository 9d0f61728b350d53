"""A table: the rows of all usable lines of a file, before limit and folds choose among them."""

import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np

from sbert.data.config import DatasetConfig, TaskName
from sbert.data.labels import TASK_LABELS, Label, check_teacher
from sbert.data.origin import open_lines
from sbert.data.published import adapt_lines
from sbert.data.schema import (
    ROW,
    Schema,
    check_columns,
    check_filled,
    find_schema,
    find_text_schema,
    line_rows,
    required_columns,
)
from sbert.data.subset import skip_reason
from sbert.data.text_column import TextColumn
from sbert.errors import require


@dataclass
class Table:
    """The rows of a file, or of the aligned files of several languages: R rows of up to C texts.

    A line has one row, or several where it has a list of positives.

    Attributes:
        files: where the lines were read from; one name for each file, whatever the path to it.
        texts: C columns of R texts, None where a row has fewer.
        index: (R,), of the line of each row among all lines, skipped ones too.
        places: (R,), of each row among those of its line, skipped ones too.
        numbers: (R,), of the line of each row in its file.
        labels: R labels; None where they are not read.
        given: R fields of the label column as the file has them, of files that are read together.
        sources: R names; "" where the file has none.
        languages: R languages; "" where none is declared.
        groups: the group of every line, skipped ones too.
        row_counts: the number of rows of every line, skipped ones too.
        skipped: how many rows were left out on purpose, by reason.
        prompt: the text that the file itself puts before each query; "": none.
    """

    files: list[str]
    task: TaskName
    texts: list[TextColumn]
    index: np.ndarray
    places: np.ndarray
    numbers: np.ndarray
    labels: list[Label | None]
    sources: list[str]
    languages: list[str]
    groups: Sequence[str | int]
    row_counts: Sequence[int]
    skipped: Counter
    prompt: str = ""
    given: list[object] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: np.ndarray) -> "Table":
        """Some of the rows, by their indices (T,)."""
        if np.array_equal(rows, np.arange(len(self))):
            return self
        values = ("labels", "sources", "languages")
        return replace(
            self,
            given=[],
            texts=[TextColumn(column[i] for i in rows) for column in self.texts],
            index=self.index[rows],
            places=self.places[rows],
            numbers=self.numbers[rows],
            **{name: [getattr(self, name)[i] for i in rows] for name in values},
        )


def read_table(
    config: DatasetConfig,
    labels: bool = True,
    teacher: str | None = None,
    keep_given: bool = False,
) -> Table:
    """Read all lines of a file; the first one decides what the columns mean.

    Args:
        labels: whether to read labels.
        teacher: the fingerprint that every row of silver data must carry.
        keep_given: whether to keep the fields of the label column, read or not.

    Raises:
        InputError: names the file and the line that cannot be used.
    """
    file, lines = open_lines(config)
    lines, prompt = adapt_lines(lines, config, file)
    first = next(lines, None)
    require(first, f"{file}: no rows to use (the file has none)")
    find = find_schema if labels else find_text_schema
    schema = find(config, list(first[1]), f"{file}, line {first[0]}")
    reader = _LineReader(config, file, schema, labels, teacher, keep_given)
    for number, line in chain([first], lines):
        reader.read(number, line)
    return replace(reader.table(), prompt=prompt)


class _LineReader:
    """Gathers the rows of the lines of a file; the arguments are those of `read_table`.

    schema: what the columns mean.
    """

    def __init__(
        self,
        config: DatasetConfig,
        file: str,
        schema: Schema,
        labels: bool,
        teacher: str | None,
        keep_given: bool,
    ):
        self.config, self.file, self.schema = config, file, schema
        self.teacher, self.keep_given = teacher, keep_given
        self.required = required_columns(config, schema)
        self.read_label = None
        if labels and schema.label:
            self.read_label = TASK_LABELS[schema.task].reader(config)
        self.languages = _check_languages(config, len(schema.texts), file)
        self.columns: list[TextColumn] = []
        self.index, self.places, self.numbers = array("q"), array("q"), array("q")
        self.labels, self.given, self.sources, self.groups = [], [], [], []
        self.row_counts = array("q")
        self.skipped = Counter()

    def read(self, number: int, line: dict) -> None:
        """Add the rows of the next line, whose number in the file is given."""
        config, location = self.config, f"{self.file}, line {number}"
        check_columns(self.required, line, location)
        if config.group not in (None, ROW):
            check_filled(config.group, line[config.group], location)
            self.groups.append(str(line[config.group]))
        source = line.get(config.source or "source")
        source = "" if source is None else sys.intern(str(source))
        rows = line_rows(line, self.schema, location)
        for place, (fields, label) in enumerate(rows):
            reason = skip_reason(line, fields, self.schema, config, location)
            if reason:
                self.skipped[reason] += 1
                continue
            if self.teacher:
                check_teacher(line, self.teacher, location)
            self._add_row(fields, label, location)
            self.index.append(len(self.row_counts))
            self.places.append(place)
            self.numbers.append(number)
            self.sources.append(source)
        self.row_counts.append(len(rows))

    def _add_row(self, fields: list[tuple[str, str | None]], label: object, location: str) -> None:
        texts = [text if text and text.strip() else None for _, text in fields]
        read = self.read_label
        self.labels.append(read(label, location, texts) if read else None)
        if self.keep_given:
            self.given.append(label)
        append_texts(self.columns, texts, len(self.index))

    def table(self) -> Table:
        reasons = "; ".join(describe_skipped(self.skipped))
        require(self.index, f"{self.file}: no rows to use ({reasons})")
        of_hub = self.config.path.startswith("hf:")
        language = "-".join(dict.fromkeys(self.languages))
        return Table(
            files=[self.file if of_hub else str(Path(self.file).resolve())],
            task=self.schema.task,
            texts=self.columns,
            index=np.array(self.index),
            places=np.array(self.places),
            numbers=np.array(self.numbers),
            labels=self.labels,
            sources=self.sources,
            languages=[language] * len(self.sources),
            groups=self.groups or range(len(self.row_counts)),
            row_counts=self.row_counts,
            skipped=self.skipped,
            given=self.given,
        )


def _check_languages(config: DatasetConfig, columns: int, file: str) -> list[str]:
    """The languages of the text columns: none, one for all, or one for each."""
    languages = config.languages or []
    require(
        len(languages) in (0, 1, columns),
        f"{file}: languages is {languages}; give one, or one for each of the {columns} "
        "text columns",
    )
    return [in_rows(language) for language in languages]


def in_rows(language: str) -> str:
    """The code of a language as rows have it: a hyphen is between the languages of crossed rows."""
    return language.replace("-", "_")


def append_texts(columns: list[TextColumn], texts: list[str | None], count: int) -> None:
    """Add a row to columns of `count` texts; a row with more texts than any before adds columns."""
    while len(columns) < len(texts):
        columns.append(TextColumn([None] * count))
    for column, text in zip_longest(columns, texts):
        column.append(text)


def describe_skipped(skipped: Counter) -> list[str]:
    return [f"{count:,} skipped: {reason}" for reason, count in skipped.items()]
