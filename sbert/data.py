"""Data: `read(DatasetConfig)` gives `Rows`, columns of texts and labels in the scale that the losses need.

What a row lacks or gets wrong stops the reading with one line that names the file, the row, the value and what would be
right; a row that is left out on purpose is counted by reason.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np

from sbert.errors import InputError
from sbert.files import READERS, Line

Task = Literal["sts", "binary", "nli", "triplet", "rerank"]


@dataclass
class DatasetConfig:
    """One dataset: where its rows are and what its columns mean.

    Args:
        path: a name such as stsb for <data folder>/stsb/<split>.tsv.gz; a file; or hf:<name>[:<config>].
        split: train, dev, test and so on; names and hf: need one, files do not.
        task: sts (two texts and a score), binary (two texts, 0 or 1), nli (two texts and a class), triplet (anchor or query,
            positive, one negative or more), rerank (query, document, relevance: a row for each candidate of a query).
        texts: the text columns by name, in the order in which the loss reads them; goes with task. Of a triplet, negatives
            after the first may be empty, and a column of JSONL may hold a list of texts.
        label: the column of the score, class or relevance.
        range: the lowest and the highest score possible in the file, scaled to 0 and 1.
        classes: the labels of the file in the order of their numbers 0 to K-1.
        source: the column that says which part of the dataset a row comes from.
        where: use only rows whose columns hold these values, for example {SemEval_set: TEST}.
        limit: use so many rows (a whole number) or this share of them (below 1); a larger limit contains a smaller one.
        limit_seed: the seed of that choice.
        beyond: leave out the rows that this limit would use, so that a dev set can be cut from the file of the training set.
        weight: this dataset's share of an epoch relative to the others; all datasets have one or none has.
        skip_empty: skip and count a row with an empty text; otherwise it stops the reading.
        format: the reader, where the ending of the file does not tell it.
        name: how tables call it.
    """

    path: str
    split: str | None = None
    task: Task | None = None
    texts: list[str] | None = None
    label: str | None = None
    range: tuple[float, float] | None = None
    classes: list[str] | None = None
    source: str | None = None
    where: dict[str, str] | None = None
    limit: int | float | None = None
    limit_seed: int = 0
    beyond: int | float | None = None
    weight: float | None = None
    skip_empty: bool = False
    format: Literal["tsv", "csv", "jsonl", "stsbenchmark", "stsb-multi-mt"] | None = None
    name: str | None = None


@dataclass
class Rows:
    """N rows. `texts`: C columns of N strings, None for a negative that a row lacks. `labels` (N,): float32 in [0, 1] (sts,
    binary), int64 (nli), float32 from 0 (rerank), None (triplet)."""

    name: str
    task: Task
    texts: list[list[str | None]]
    labels: np.ndarray | None
    sources: list[str] | None = None
    classes: list[str] | None = None
    weight: float | None = None
    skipped: Counter = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.texts[0])

    def describe(self) -> str:
        skipped = "".join(f"; {n:,} skipped: {reason}" for reason, n in self.skipped.items())
        return f"{self.name}: {len(self):,} rows, {self.task}{skipped}"


@dataclass(frozen=True)
class Schema:
    """What a file's columns mean: the part of a `DatasetConfig` that a usual header or a known name can supply."""

    task: Task
    texts: list[str]
    label: str | None


# the usual headers, looked for in this order where a configuration does not declare its columns
_HEADERS = [
    Schema("sts", ["sentence1", "sentence2"], "score"),
    Schema("nli", ["premise", "hypothesis"], "label"),
    Schema("nli", ["sentence1", "sentence2"], "gold_label"),
    Schema("triplet", ["anchor", "positive", "negative"], None),
    Schema("triplet", ["query", "positive", "negative"], None),
    Schema("triplet", ["query", "positive", "negatives"], None),
    Schema("rerank", ["query", "document"], "score"),
]
_TASKS: dict[str, Task] = {"mrpc": "binary", "quora_pairs": "binary"}
_RANGES = {"stsb": (0, 5), "stsb_multi_mt": (0, 5), "afs": (0, 5)} | {f"sts{year}": (0, 5) for year in range(12, 17)}
_NLI_CLASSES = ["contradiction", "entailment", "neutral"]


def data_dir() -> Path:
    """The folder of named datasets: SBERT_DATA of the environment, or data/."""
    return Path(os.environ.get("SBERT_DATA", "data"))


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
        raise InputError(f"dataset {config.path}: needs the extra, pip install 'sbert[datasets]'") from None
    name, _, subset = config.path.removeprefix("hf:").partition(":")
    if config.split is None:
        raise InputError(f"dataset {config.path}: no split is named")
    try:
        table = datasets.load_dataset(name, subset or None, split=config.split)
    except Exception as error:  # of many kinds, the network's among them
        raise InputError(f"dataset {config.path}: {str(error).strip().splitlines()[0]}") from error
    yield from enumerate(table, start=1)


def _open(config: DatasetConfig) -> tuple[str, Iterator[Line]]:
    """The place that messages name, and the lines."""
    if config.path.startswith("hf:"):
        return f"{config.path}, split {config.split}", _hub_lines(config)
    suffixes = Path(config.path.removesuffix(".gz")).suffix
    path = Path(config.path) if suffixes or config.format else _named_file(config)
    reader = config.format or path.name.removesuffix(".gz").rpartition(".")[2]
    if reader not in READERS:
        raise InputError(f"{path}: its ending tells no format; set format to one of {', '.join(READERS)}")
    return str(path), READERS[reader](path)


def _schema(config: DatasetConfig, columns: list[str], place: str) -> Schema:
    """The declared schema, or the first usual header that the columns hold and the declared task allows."""
    task = config.task or _TASKS.get(config.path.partition("/")[0])
    if config.texts:
        if not task:
            raise InputError(f"{place}: texts is declared, so declare task too: sts, binary, nli, triplet or rerank")
        label = config.label or {"nli": "label", "triplet": None}.get(task, "score")
        return Schema(task, config.texts, label)
    for usual in _HEADERS:
        label = config.label or usual.label
        fits = {*usual.texts, label} - {None} <= set(columns)
        if fits and (task in (None, usual.task) or (task, usual.task) == ("binary", "sts")):
            return Schema(task or usual.task, usual.texts, label if usual.label else None)
    wanted = f"for task {task}" if task else "that a task is known for"
    raise InputError(f"{place}: no columns {wanted}; there are: {', '.join(columns)}; declare task, texts and label")


def _check(schema: Schema, config: DatasetConfig, columns: list[str], place: str) -> None:
    for name in [*schema.texts, schema.label, config.source, *(config.where or {})]:
        if name is not None and name not in columns:
            raise InputError(f"{place}: no column '{name}'; there are: {', '.join(columns)}")
    need = 3 if schema.task == "triplet" else 2
    if len(schema.texts) < need or (len(schema.texts) > need and schema.task != "triplet"):
        raise InputError(
            f"{place}: task {schema.task} reads {need} text columns; texts names {', '.join(schema.texts)}"
        )


def _score_reader(low: float, high: float, task: Task) -> Callable[[object, str], float]:
    def read_score(value: object, here: str) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InputError(f"{here}: the score '{value}' is not a number") from None
        if not (math.isfinite(number) and low <= number <= high):
            hint = "range: the file's lowest and highest possible score"
            raise InputError(f"{here}: the score {value} is outside the declared range [{low:g}, {high:g}] ({hint})")
        if task == "binary" and number not in (low, high):
            raise InputError(f"{here}: the label {value} of a binary task is neither {low:g} nor {high:g}")
        return (number - low) / (high - low)

    return read_score


def _read_relevance(value: object, here: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{here}: the relevance '{value}' is not a number") from None
    if not (math.isfinite(number) and number >= 0):
        raise InputError(f"{here}: the relevance {value} is below 0; 0 is not relevant, and more is better")
    return number


def _class_reader(classes: list[str]) -> Callable[[object, str], int]:
    number = {name: k for k, name in enumerate(classes)}

    def read_class(value: object, here: str) -> int:
        if str(value) not in number:
            raise InputError(f"{here}: unknown label '{value}'; the classes are {', '.join(classes)}")
        return number[str(value)]

    return read_class


def _label_reader(config: DatasetConfig, schema: Schema) -> Callable[[object, str], float | int]:
    if schema.task == "nli":
        return _class_reader(config.classes or _NLI_CLASSES)
    if schema.task == "rerank":
        return _read_relevance
    low, high = config.range or _RANGES.get(config.path.partition("/")[0], (0, 1))
    if not (low < high and math.isfinite(high - low)):
        raise InputError(f"dataset {config.path}: range [{low:g}, {high:g}]: the lower end comes first")
    return _score_reader(low, high, schema.task)


def _skip_reason(line: dict, schema: Schema, config: DatasetConfig, here: str) -> str | None:
    for column, wanted in (config.where or {}).items():
        if str(line[column]) != wanted:
            return f"{column} is not {wanted}"
    if schema.task == "nli" and str(line[schema.label]) in ("-", "-1"):
        return f"no gold label ({line[schema.label]})"
    for place, (name, text) in enumerate(_cells(line, schema)):
        if place > 2 and text in (None, ""):
            continue  # a further negative that the row lacks
        if not isinstance(text, str):
            raise InputError(f"{here}: {name} is {text!r}, not a text")
        if not text.strip():
            if not config.skip_empty:
                raise InputError(f"{here}: {name} is empty; fill it, or set skip_empty to skip and count such rows")
            return f"empty {name}"
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise InputError(f"{here}: {name} holds half of a surrogate pair, which is no text") from None
    return None


def _cells(line: dict, schema: Schema) -> list[tuple[str, object]]:
    """(column, text) of every text of a row; a list of texts in a column of a triplet is so many."""
    cells: list[tuple[str, object]] = []
    for name in schema.texts:
        value = line[name]
        if schema.task == "triplet" and isinstance(value, list):
            cells += [(name, text) for text in value or [""]]
        else:
            cells.append((name, value))
    return cells


def subset(n: int, limit: int | float | None, seed: int, beyond: int | float | None = None) -> np.ndarray:
    """Sorted indices of the rows of n that `limit` keeps: a prefix of one permutation, so that limits nest; without the
    prefix that `beyond` names."""

    def count(value: int | float, name: str) -> int:
        whole = round(n * value) if 0 < value < 1 else value
        if not (math.isfinite(whole) and whole >= 1 and whole == int(whole)):
            raise InputError(f"{name} {value}: needs a whole number of rows, or a share of them between 0 and 1")
        return int(whole)

    order = np.arange(n) if limit is None and beyond is None else np.random.default_rng(seed).permutation(n)
    if beyond is not None:
        order = order[count(beyond, "beyond") :]
        if not len(order):
            raise InputError(f"beyond {beyond}: leaves none of the {n:,} rows")
    return np.sort(order if limit is None else order[: count(limit, "limit")])


def _collect(config: DatasetConfig, rows: Rows) -> Rows:
    place, lines = _open(config)
    schema, columns = None, set()
    for number, line in lines:
        here = f"{place}, line {number}"
        if schema is None or not line.keys() >= columns:
            schema = schema or _schema(config, list(line), here)
            _check(schema, config, list(line), here)
            source = config.source or ("source" if "source" in line else None)
            columns = {*schema.texts, schema.label, source, *(config.where or {})} - {None}
            read_label = _label_reader(config, schema)
        if reason := _skip_reason(line, schema, config, here):
            rows.skipped[reason] += 1
            continue
        rows.texts.append([text or None for _, text in _cells(line, schema)])
        rows.labels.append(read_label(line[schema.label], here) if schema.label else 0)
        rows.sources.append(str(line[source]) if source else "")
    if not rows.texts:
        reasons = "; ".join(f"{n:,} skipped: {reason}" for reason, n in rows.skipped.items())
        raise InputError(f"{place}: no rows to use ({reasons or 'the file has none'})")
    rows.task = schema.task
    return rows


def read(config: DatasetConfig) -> Rows:
    """Read one dataset; `InputError` names the file and the row that stops it."""
    default_name = Path(config.path).name.split(".")[0] if "." in config.path else config.path.split(":")[-1]
    name = config.name or "-".join(filter(None, [default_name.replace("/", "-"), config.split]))
    rows = _collect(config, Rows(name, "sts", [], [], []))
    keep = subset(len(rows.texts), config.limit, config.limit_seed, config.beyond)
    if len(keep) < len(rows.texts):
        first = f"outside beyond {config.beyond}, " if config.beyond is not None else "beyond "
        rows.skipped[f"{first}limit {config.limit}"] = len(rows.texts) - len(keep)
    rows.texts = [list(column) for column in zip_longest(*(rows.texts[i] for i in keep))]
    labels = np.array([rows.labels[i] for i in keep], np.int64 if rows.task == "nli" else np.float32)
    rows.labels = None if rows.task == "triplet" else labels
    sources = [rows.sources[i] for i in keep]
    rows.sources = sources if any(sources) else None
    rows.classes = (config.classes or _NLI_CLASSES) if rows.task == "nli" else None
    rows.weight = config.weight
    return rows


def both_orders(rows: Rows) -> Rows:
    """The rows and, after them, the same with their two texts in the other order (Augmented SBERT, section 3.1)."""
    if rows.task not in ("sts", "binary"):
        raise InputError(
            f"{rows.name}: both_orders is for pairs whose order means nothing (sts, binary), not {rows.task}"
        )
    first, second = rows.texts
    sources = rows.sources and rows.sources * 2
    return replace(rows, texts=[first + second, second + first], labels=np.tile(rows.labels, 2), sources=sources)
