"""A table: all usable lines of a file, before limit and folds choose among them."""

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from sbert.data.config import DatasetConfig, TaskName
from sbert.data.labels import TASK_LABELS, Label, check_teacher
from sbert.data.origin import open_lines
from sbert.data.published import adapt_lines
from sbert.data.schema import (
    ROW,
    check_columns,
    find_schema,
    find_text_schema,
    line_rows,
    required_columns,
)
from sbert.data.subset import skip_reason
from sbert.errors import require


class TableRow(NamedTuple):
    """A row of a line that is used.

    index: of its line among all lines, skipped ones too. number: of the line in the file.
    language: "" where none is declared.
    """

    index: int
    number: int
    texts: list[str | None]
    label: Label | None
    source: str
    language: str = ""


@dataclass
class Table:
    """The contents of a file, or of the aligned files of several languages.

    Attributes:
        files: where the lines were read from; one name for each file, whatever the path to it.
        lines: the rows of each line that has any.
        groups: the group of every line, skipped ones too.
        skipped: how many rows were left out on purpose, by reason.
        prompt: the text that the file itself puts before each query; "": none.
    """

    files: list[str]
    task: TaskName
    lines: list[list[TableRow]]
    groups: list[str | int]
    skipped: Counter
    prompt: str = ""


def read_table(config: DatasetConfig, labels: bool = True, teacher: str | None = None) -> Table:
    """Read all lines of a file; the first one decides what the columns mean.

    Args:
        labels: whether to read labels.
        teacher: the fingerprint that every row of silver data must carry.

    Raises:
        InputError: names the file and the line that cannot be used.
    """
    file, lines = open_lines(config)
    lines, prompt = adapt_lines(lines, config, file)
    first = next(lines, None)
    require(first, f"{file}: no rows to use (the file has none)")
    find = find_schema if labels else find_text_schema
    schema = find(config, list(first[1]), f"{file}, line {first[0]}")
    required = required_columns(config, schema)
    read_label = TASK_LABELS[schema.task].reader(config) if labels and schema.label else None
    name = file if config.path.startswith("hf:") else str(Path(file).resolve())
    languages = config.languages or []
    require(
        len(languages) in (0, 1, len(schema.texts)),
        f"{file}: languages is {languages}; give one, or one for each of the {len(schema.texts)} "
        "text columns",
    )
    language = "-".join(dict.fromkeys(languages))
    table = Table([name], schema.task, [], [], Counter(), prompt)
    for index, (number, line) in enumerate(chain([first], lines)):
        location = f"{file}, line {number}"
        check_columns(required, line, location)
        table.groups.append(index if config.group in (None, ROW) else str(line[config.group]))
        source = str(line.get(config.source or "source", ""))
        rows = []
        for fields, label in line_rows(line, schema, location):
            reason = skip_reason(line, fields, schema, config, location)
            if reason:
                table.skipped[reason] += 1
                continue
            if teacher:
                check_teacher(line, teacher, location)
            texts = [text if text and text.strip() else None for _, text in fields]
            label = read_label(label, location, texts) if read_label else None
            rows.append(TableRow(index, number, texts, label, source, language))
        if rows:
            table.lines.append(rows)
    reasons = "; ".join(describe_skipped(table.skipped))
    require(table.lines, f"{file}: no rows to use ({reasons})")
    return table


def describe_skipped(skipped: Counter) -> list[str]:
    return [f"{count:,} skipped: {reason}" for reason, count in skipped.items()]
