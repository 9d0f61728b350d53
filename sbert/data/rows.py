"""Rows: one dataset as columns of texts and labels in the scale that the losses need.

A field that is missing or invalid stops the reading with one line that names the file, the line,
the value and what is expected. Rows that are left out on purpose are counted by reason.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sbert.data.config import DatasetConfig, TaskName
from sbert.data.labels import NLI_CLASSES, TASK_LABELS, Label, check_teacher, stack_labels
from sbert.data.origin import corpus_folder, dataset_name, open_lines
from sbert.data.published import adapt_lines
from sbert.data.readers import Line
from sbert.data.retrieval import Retrieval, read_retrieval
from sbert.data.schema import (
    ROW,
    check_columns,
    find_schema,
    find_text_schema,
    line_rows,
    prompt_names,
    required_columns,
)
from sbert.data.subset import check_folds, rows_in_part, select_rows, skip_reason
from sbert.errors import require


@dataclass
class Rows:
    """N rows of one dataset, with C text columns.

    Attributes:
        texts: C lists of N strings; None for a negative that a row lacks.
        labels: (N,) float32 in [0, 1] (sts, binary), (N,) int64 classes (nli), (N,) float64 from 0
            upwards (rerank), or (N, C - 2) float32 margins of triplets, NaN for a negative that a
            row lacks; None without labels.
        sources: N names of the parts of the dataset that the rows come from.
        skipped: how many rows were left out on purpose, by reason.
        file: the file, or the hub dataset, that the rows were read from.
        lines: (N,) line number of each row in the file.
        groups: N groups of rows that stay in one fold, of a dataset with folds.
        prompts: C names of the model's prompts, one for each text column; None: not declared.
        notes: what a reader of the results must know about the file.
    """

    name: str
    task: TaskName
    texts: list[list[str | None]]
    labels: np.ndarray | None
    sources: list[str] | None = None
    classes: list[str] | None = None
    weight: float | None = None
    skipped: Counter = field(default_factory=Counter)
    file: str = ""
    lines: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    groups: list[str | int] | None = None
    prompts: list[str] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts[0])

    def describe(self) -> str:
        rows = f"{self.name}: {len(self):,} rows, {self.task}"
        return "; ".join([rows, *_describe_skipped(self.skipped), *self.notes])


def _describe_skipped(skipped: Counter) -> list[str]:
    return [f"{count:,} skipped: {reason}" for reason, count in skipped.items()]


def read_dataset(
    config: DatasetConfig, labels: bool = True, fingerprint_of: Callable[[str], str] = str
) -> Rows | Retrieval:
    """Read one dataset.

    Args:
        config: the dataset.
        labels: whether to read labels; if not, the file needs neither labels nor all columns of a
            task.
        fingerprint_of: turns `config.teacher`, a model folder, into the fingerprint that the rows
            must carry. It is passed in so that this package never loads a model; by default
            `config.teacher` is itself the fingerprint.

    Raises:
        InputError: names the file and the line that cannot be used.
    """
    if config.task == "retrieval" or corpus_folder(config):
        return read_retrieval(config)
    require(
        not config.keep_identical_ids,
        f"dataset {config.path}: keep_identical_ids is for retrieval folders",
    )
    check_folds(config)
    file, lines = open_lines(config, labels)
    lines, prompt = adapt_lines(lines, config, file)
    notes = []
    if prompt:
        config = replace(config, prompts="")  # none of the model's
        notes.append(f"the prompt of the file is put before each query: {prompt!r}")
    teacher = config.teacher and fingerprint_of(config.teacher)
    table = _read_table(config, file, lines, labels, teacher)
    in_part = None
    if config.folds:
        used_lines = [rows[0].index for rows in table.lines]
        in_part = rows_in_part(config, table.groups, file)[used_lines]
    keep = select_rows(config, len(table.lines), table.skipped, in_part)
    rows = [row for i in keep for row in table.lines[i]]
    return _to_columns(config, file, table, rows, notes)


class _Row(NamedTuple):
    """A row of a line that is used."""

    index: int  # among all lines, skipped ones too
    number: int  # of the line in the file
    texts: list[str | None]
    label: Label | None
    source: str


class _Table(NamedTuple):
    """The contents of a file, before limit and folds choose among its lines."""

    task: TaskName
    lines: list[list[_Row]]  # the rows of each line that has any
    groups: list[str | int]  # of all lines, skipped ones too
    skipped: Counter


def _read_table(
    config: DatasetConfig, file: str, lines: Iterator[Line], labels: bool, teacher: str | None
) -> _Table:
    """Read all lines; the first one decides what the columns mean."""
    first = next(lines, None)
    require(first, f"{file}: no rows to use (the file has none)")
    find = find_schema if labels else find_text_schema
    schema = find(config, list(first[1]), f"{file}, line {first[0]}")
    required = required_columns(config, schema)
    read_label = TASK_LABELS[schema.task].reader(config) if labels and schema.label else None
    table = _Table(schema.task, [], [], Counter())
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
            rows.append(_Row(index, number, texts, label, source))
        if rows:
            table.lines.append(rows)
    require(table.lines, f"{file}: no rows to use ({'; '.join(_describe_skipped(table.skipped))})")
    return table


def _to_columns(
    config: DatasetConfig, file: str, table: _Table, rows: list[_Row], notes: list[str]
) -> Rows:
    sources = [row.source for row in rows]
    has_labels = rows[0].label is not None
    # N rows of up to C texts -> C columns of N texts
    texts = [list(column) for column in zip_longest(*[row.texts for row in rows])]
    name = dataset_name(config)
    return Rows(
        name=name,
        task=table.task,
        texts=texts,
        labels=stack_labels([row.label for row in rows], table.task) if has_labels else None,
        sources=sources if any(sources) else None,
        classes=config.classes or NLI_CLASSES if table.task == "nli" else None,
        weight=config.weight,
        skipped=table.skipped,
        # one name per file, whatever the path to it
        file=file if config.path.startswith("hf:") else str(Path(file).resolve()),
        lines=np.array([row.number for row in rows]),
        groups=[table.groups[row.index] for row in rows] if config.folds else None,
        prompts=prompt_names(config, table.task, len(texts), name),
        notes=notes,
    )


def both_orders(rows: Rows) -> Rows:
    """The rows, followed by the same rows with their two texts swapped (Augmented SBERT, 3.1).

    Raises:
        InputError: a task whose texts have an order.
    """
    require(
        rows.task in ("sts", "binary"),
        f"{rows.name}: both_orders is for pairs without an order (sts, binary), not {rows.task}",
    )
    first, second = rows.texts
    return replace(
        rows,
        texts=[first + second, second + first],
        labels=np.tile(rows.labels, 2),
        sources=rows.sources and rows.sources * 2,
        skipped=rows.skipped.copy(),
        lines=np.tile(rows.lines, 2),
        groups=rows.groups and rows.groups * 2,
    )
