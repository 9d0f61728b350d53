"""Data: `read(DatasetConfig)` gives `Rows`, columns of texts and labels in the scale that the losses need.

What a row lacks or gets wrong stops the reading with one line that names the file, the row, the value and what would be
right; a row that is left out on purpose is counted by reason.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from sbert.data.config import DatasetConfig, TaskName
from sbert.data.labels import label_reader
from sbert.data.readers import READERS, Line, data_dir
from sbert.data.retrieval import Retrieval, corpus_folder, read_retrieval, splits
from sbert.data.schema import (
    NLI_CLASSES,
    ROW,
    TEACHER,
    Schema,
    cells_of,
    check_columns,
    check_teacher,
    find_schema,
    find_texts,
    skip_reason,
)
from sbert.data.subset import check_folds, rows_of_part, select_rows
from sbert.errors import InputError

FingerprintOf = Callable[[str], str]


@dataclass
class Rows:
    """N rows. `texts`: C columns of N strings, None for a negative that a row lacks. `labels` (N,): float32 in [0, 1] (sts,
    binary), int64 (nli), float64 from 0 (rerank), None (pair, triplet); or the margins of triplets, (N, C - 2) float32, NaN
    for a negative that a row lacks. `file`, `lines` (N,): where each row stands. `groups`: of a dataset that is cut into folds,
    the group of each row."""

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

    def __len__(self) -> int:
        return len(self.texts[0])

    def describe(self) -> str:
        skipped = "".join(f"; {n:,} skipped: {reason}" for reason, n in self.skipped.items())
        return f"{self.name}: {len(self):,} rows, {self.task}{skipped}"


def _named_file(config: DatasetConfig) -> Path:
    folder = data_dir() / config.path
    there = sorted(p.name.removesuffix(".tsv.gz") for p in folder.glob("*.tsv.gz"))
    if not there:
        raise InputError(
            f"dataset {config.path}: no such file, and no folder {folder} (SBERT_DATA sets the data folder)"
        )
    if config.split not in there:
        wrong = "no split is named" if config.split is None else f"no split '{config.split}'"
        raise InputError(f"dataset {config.path}: {wrong}; there are: {', '.join(there)}")
    return folder / f"{config.split}.tsv.gz"


def _hub_lines(config: DatasetConfig) -> Iterator[Line]:
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"dataset {config.path}: needs the extra, pip install 'sbert[datasets]'"
        ) from None
    name, _, subset = config.path.removeprefix("hf:").partition(":")
    if config.split is None:
        raise InputError(f"dataset {config.path}: no split is named")
    try:
        table = datasets.load_dataset(name, subset or None, split=config.split)
    except Exception as error:  # of many kinds, the network's among them
        raise InputError(f"dataset {config.path}: {str(error).strip().splitlines()[0]}") from error
    yield from enumerate(table, start=1)


def file_of(config: DatasetConfig) -> Path | None:
    """The file of a dataset, there or not; None of one on the hub."""
    if config.path.startswith("hf:"):
        return None
    suffixes = Path(config.path.removesuffix(".gz")).suffix
    return Path(config.path) if suffixes or config.format else _named_file(config)


def open_lines(config: DatasetConfig, labels: bool = True) -> tuple[str, Iterator[Line]]:
    """The place that messages name, and the lines. A text a line is no row with a label."""
    path = file_of(config)
    if path is None:
        return f"{config.path}, split {config.split}", _hub_lines(config)
    reader = config.format or path.name.removesuffix(".gz").rpartition(".")[2]
    known = [name for name in READERS if not (labels and name == "txt")]
    if reader not in known:
        raise InputError(
            f"{path}: its ending tells no format; set format to one of {', '.join(known)}"
        )
    return str(path), READERS[reader](path)


def _collect(
    config: DatasetConfig, rows: Rows, labels: bool, fingerprint_of: FingerprintOf | None
) -> np.ndarray | None:
    """Fill `rows`, with labels or without -> of a dataset that is cut into folds, which of them are in its part."""
    check_folds(config)
    place, lines = open_lines(config, labels)
    rows.file = place if config.path.startswith("hf:") else str(Path(place).resolve())
    schema, columns = None, set()
    groups, used, numbers = (
        [],
        [],
        [],
    )  # the group of every line; the places and the numbers of those that are used
    teacher = (
        fingerprint_of(config.teacher) if config.teacher and fingerprint_of else config.teacher
    )
    for index, (number, line) in enumerate(lines):
        here = f"{place}, line {number}"
        if schema is None or not line.keys() >= columns:
            schema = schema or (find_schema if labels else find_texts)(config, list(line), here)
            check_columns(schema, config, list(line), here, labels)
            source = config.source or ("source" if "source" in line else None)
            columns = {*schema.texts, schema.label, source, *(config.where or {}), config.group} - {
                None,
                ROW,
            }
            columns |= {TEACHER} if teacher else set()
            read_label = label_reader(config, schema) if labels and schema.label else None
        groups.append(index if config.group in (None, ROW) else str(line[config.group]))
        if reason := skip_reason(line, schema, config, here):
            rows.skipped[reason] += 1
            continue
        if teacher:
            check_teacher(line, teacher, here)
        used.append(index)
        numbers.append(number)
        _append(rows, line, schema, read_label, here)
        rows.sources.append(str(line[source]) if source else "")
    if not rows.texts:
        reasons = "; ".join(f"{n:,} skipped: {reason}" for reason, n in rows.skipped.items())
        raise InputError(f"{place}: no rows to use ({reasons or 'the file has none'})")
    rows.task, rows.lines = schema.task, np.array(numbers)
    if not config.folds:
        return None
    rows.groups = [groups[i] for i in used]
    return rows_of_part(config, groups, place)[used]


def _append(rows: Rows, line: dict, schema: Schema, read_label: Callable | None, here: str) -> None:
    """The texts and the label of one line."""
    rows.texts.append(
        [text if text and text.strip() else None for _, text in cells_of(line, schema)]
    )
    label = read_label(line[schema.label], here) if read_label else None
    if schema.task == "triplet" and label is not None:
        label = _margins(label, rows.texts[-1][2:], here)
    rows.labels.append(label)


def _margins(margins: list[float], negatives: list[str | None], here: str) -> list[float]:
    """A margin for each negative of a row, NaN where there is none."""
    count = sum(text is not None for text in negatives)
    if len(margins) != count:
        raise InputError(
            f"{here}: {len(margins)} margins for {count} negatives; one for each is needed"
        )
    given = iter(margins)
    return [math.nan if text is None else next(given) for text in negatives]


def dataset_by_name(spec: str, split: str) -> DatasetConfig:
    """A dataset of a command line: <path>:<split>, or a path alone, which has the given split where it needs one."""
    path, colon, own = spec.rpartition(":")
    if (
        colon
        and path != "hf"
        and "/" not in own
        and not spec.startswith("hf:")
        and not Path(spec).exists()
    ):
        return DatasetConfig(path, split=own)
    config = DatasetConfig(spec)
    config.split = split if has_splits(config) else None
    return config


def describe_origin(config: DatasetConfig) -> str:
    """The file, the folder or the hub's name that a dataset is read from."""
    folder = corpus_folder(config)
    return (
        f"{folder}, split {config.split}"
        if folder and config.split
        else str(folder or open_lines(config)[0])
    )


def has_splits(config: DatasetConfig) -> bool:
    """Whether a split must be named beside the path: of a file, and of a retrieval folder without any, it need not."""
    if folder := corpus_folder(config):
        return None not in splits(folder)
    return not Path(config.path.removesuffix(".gz")).suffix


def read_dataset(
    config: DatasetConfig, labels: bool = True, fingerprint_of: FingerprintOf | None = None
) -> Rows | Retrieval:
    """Read one dataset; `InputError` names the file and the row that stops it. `labels`: whether they are read; without, a file
    may have none, nor the columns of a task. `fingerprint_of`: gives the fingerprint of a teacher named by its folder."""
    if config.task == "retrieval" or corpus_folder(config):
        return read_retrieval(config)
    default_name = (
        Path(config.path).name.split(".")[0] if "." in config.path else config.path.split(":")[-1]
    )
    name = config.name or "-".join(filter(None, [default_name.replace("/", "-"), config.split]))
    rows = Rows(name, "sts", [], [], [])
    inside = _collect(config, rows, labels, fingerprint_of)
    keep = select_rows(config, len(rows.texts), rows.skipped, inside)
    rows.texts = [list(column) for column in zip_longest(*(rows.texts[i] for i in keep))]
    labels = [rows.labels[i] for i in keep]
    kind = {"nli": np.int64, "rerank": np.float64}.get(rows.task, np.float32)
    if rows.task == "triplet":
        labels = (
            list(zip(*zip_longest(*labels, fillvalue=math.nan), strict=True))
            if labels[0] is not None
            else [None]
        )
    rows.labels = None if labels[0] is None else np.array(labels, kind)
    sources = [rows.sources[i] for i in keep]
    rows.sources = sources if any(sources) else None
    rows.classes = (config.classes or NLI_CLASSES) if rows.task == "nli" else None
    rows.weight = config.weight
    rows.lines = rows.lines[keep]
    rows.groups = rows.groups and [rows.groups[i] for i in keep]
    return rows


def both_orders(rows: Rows) -> Rows:
    """The rows and, after them, the same with their two texts in the other order (Augmented SBERT, section 3.1)."""
    if rows.task not in ("sts", "binary"):
        raise InputError(
            f"{rows.name}: both_orders is for pairs whose order means nothing (sts, binary), not {rows.task}"
        )
    first, second = rows.texts
    sources, groups = (column and column * 2 for column in (rows.sources, rows.groups))
    texts, labels, lines = (
        [first + second, second + first],
        np.tile(rows.labels, 2),
        np.tile(rows.lines, 2),
    )
    of_rows = {
        "texts": texts,
        "labels": labels,
        "sources": sources,
        "lines": lines,
        "groups": groups,
    }
    return replace(rows, skipped=rows.skipped.copy(), **of_rows)
