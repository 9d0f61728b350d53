"""Rows: one dataset as columns of texts and labels in the scale that the losses need.

A field that is missing or invalid stops the reading with one line that names the file, the line,
the value and what is expected. Rows that are left out on purpose are counted by reason.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

import numpy as np

from sbert.data.config import DatasetConfig, TaskName
from sbert.data.labels import NLI_CLASSES, sorted_classes, stack_labels, unknown_class
from sbert.data.languages import align_languages
from sbert.data.origin import corpus_folder, dataset_name, language_configs
from sbert.data.retrieval import Retrieval, read_retrieval
from sbert.data.schema import prompt_names
from sbert.data.subset import check_folds, rows_in_part, select_rows
from sbert.data.table import Table, describe_skipped, read_table
from sbert.data.text_column import TextColumn
from sbert.errors import require


@dataclass
class Rows:
    """N rows of one dataset, with C text columns.

    Attributes:
        texts: C columns of N strings, `TextColumn` or lists; None for a negative that a row lacks.
        labels: (N,) float32 in [0, 1] (sts, binary), (N,) int64 numbers of `classes` (nli, class),
            (N,) float64 from 0 upwards (rerank), or (N, C - 2) float32 margins of triplets, NaN for
            a negative that a row lacks; (N, H) float32 embeddings by a teacher (pair, where one is
            evaluated with it); None without labels.
        classes: the names of the classes 0 to K-1. Where task class declares none, they are those
            of the file, and `with_classes` makes them those of the training data.
        sources: N names of the parts of the dataset that the rows come from.
        skipped: how many rows were left out on purpose, by reason.
        files: the file, or the hub dataset, that the rows were read from; one for each language.
        lines: (N,) line number of each row in its file; of several languages in the first one.
        groups: N groups of rows that stay in one fold, of a dataset with folds.
        languages: N languages, of a dataset that declares them: "de", or "de-en" where the first
            text is in one language and the second in another.
        teacher: the fingerprint of the cross-encoder that labelled all rows, where it is checked.
        prompts: C names of the model's prompts, one for each text column; None: not declared.
        notes: what a reader of the results must know about the file.
    """

    name: str
    task: TaskName
    texts: list[Sequence[str | None]]
    labels: np.ndarray | None
    sources: list[str] | None = None
    classes: list[str] | None = None
    weight: float | None = None
    skipped: Counter = field(default_factory=Counter)
    files: list[str] = field(default_factory=list)
    lines: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    groups: list[str | int] | None = None
    languages: list[str] | None = None
    teacher: str | None = None
    prompts: list[str] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts[0])

    def take(self, rows: np.ndarray) -> "Rows":
        """Some of the rows, by their indices (R,)."""
        own = {name: getattr(self, name) for name in ("sources", "groups", "languages")}
        return replace(
            self,
            texts=[TextColumn(column[i] for i in rows) for column in self.texts],
            labels=None if self.labels is None else self.labels[rows],
            skipped=self.skipped.copy(),
            lines=self.lines[rows],
            **{name: values and [values[i] for i in rows] for name, values in own.items()},
        )

    def without_texts(self) -> "Rows":
        """The rows without what grows with their texts: for a process that needs it no more."""
        return replace(
            self, texts=[[None] * len(self)] * len(self.texts), sources=None, groups=None
        )

    def describe(self) -> str:
        rows = f"{self.name}: {len(self):,} rows, {self.task}"
        return "; ".join([rows, *describe_skipped(self.skipped), *self.notes])


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
    teacher = config.teacher and fingerprint_of(config.teacher)
    configs = language_configs(config)
    tables = [read_table(one, labels, teacher, len(configs) > 1) for one in configs]
    table = align_languages(tables, config)
    classes = _class_names(config, table)
    used_lines, line = np.unique(table.index, return_inverse=True)
    in_part = None
    if config.folds:
        in_part = rows_in_part(config, table.groups, table.files[0])[used_lines]
    keep = select_rows(config, len(used_lines), table.skipped, in_part)
    table = table.take(np.flatnonzero(np.isin(line, keep)))
    return _to_rows(config, table, classes, teacher)


def _to_rows(
    config: DatasetConfig, table: Table, classes: list[str] | None, teacher: str | None
) -> Rows:
    labels = None
    if table.labels[0] is not None:
        labels = stack_labels(table.labels, table.task, classes)
    name = dataset_name(config)
    prompts = config.prompts
    notes = []
    if table.prompt:
        prompts = ""  # none of the model's
        notes.append(f"the prompt of the file is put before each query: {table.prompt!r}")
    return Rows(
        name=name,
        task=table.task,
        texts=table.texts,
        labels=labels,
        sources=table.sources if any(table.sources) else None,
        classes=classes,
        weight=config.weight,
        skipped=table.skipped,
        files=table.files,
        lines=table.numbers,
        groups=[table.groups[i] for i in table.index] if config.folds else None,
        languages=table.languages if config.languages else None,
        teacher=teacher,
        prompts=prompt_names(prompts, table.task, len(table.texts), name),
        notes=notes,
    )


def _class_names(config: DatasetConfig, table: Table) -> list[str] | None:
    """The names of the classes 0 to K-1; None where the labels are no classes, or are not read.

    Those of task class are of the whole file, so that `limit` does not change their number.
    """
    if table.task == "nli":
        return config.classes or NLI_CLASSES
    if table.task == "class" and table.labels[0] is not None:
        return config.classes or sorted_classes(table.labels)
    return None


def with_classes(rows: Rows, classes: list[str]) -> Rows:
    """Rows of task class with the labels as numbers of these classes.

    Raises:
        InputError: the first row with another label.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    names = [rows.classes[label] for label in rows.labels]
    for name, line in zip(names, rows.lines, strict=True):
        if name not in numbers:
            raise unknown_class(name, classes, f"{rows.files[0]}, line {line}")
    return replace(rows, labels=stack_labels(names, rows.task, classes), classes=classes)


def with_common_classes(datasets: Sequence[Rows]) -> list[Rows]:
    """Datasets of task class, that are read together, as rows of the classes of all of them."""
    different = any(rows.classes != datasets[0].classes for rows in datasets)
    if not different or any(rows.task != "class" for rows in datasets):
        return list(datasets)
    classes = sorted_classes(chain(*(rows.classes for rows in datasets)))
    return [with_classes(rows, classes) for rows in datasets]


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
        languages=rows.languages and rows.languages * 2,
    )


def distinct_rows(datasets: list[Rows]) -> list[Rows]:
    """The datasets without the rows that have the texts of an earlier row, which are counted.

    Labels are not compared: of several rows with the same texts the first one stays.

    Raises:
        InputError: a dataset of which no row is left.
    """
    seen: set[tuple[str | None, ...]] = set()
    distinct = []
    for rows in datasets:
        keep = []
        for i, texts in enumerate(zip(*rows.texts, strict=True)):
            if texts not in seen:
                keep.append(i)
            seen.add(texts)
        require(
            keep,
            f"{rows.name}: none of the {len(rows):,} rows is left: each has the texts of an "
            "earlier row (data.distinct)",
        )
        kept = rows.take(np.array(keep))
        if len(kept) < len(rows):
            kept.skipped["the texts of an earlier row"] = len(rows) - len(kept)
        distinct.append(kept)
    return distinct
