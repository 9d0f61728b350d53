"""Columns: what a file's columns mean, and how the fields of a line become texts.

A field that is wrong stops the reading with one line that names the file, the row, the value and what would be right.
"""

from dataclasses import dataclass
from typing import Literal

from sbert.errors import InputError

Task = Literal["sts", "binary", "nli", "pair", "triplet", "rerank", "retrieval"]


@dataclass
class DatasetConfig:
    """One dataset: where its rows are and what its columns mean.

    Args:
        path: a name such as stsb for <data folder>/stsb/<split>.tsv.gz; a file; hf:<name>[:<config>]; or, for retrieval, a
            folder or the name of one below the data folder, with a corpus, queries and qrels.
        split: train, dev, test and so on; names and hf: need one, files do not.
        task: sts (two texts and a score), binary (two texts, 0 or 1), nli (two texts and a class), pair (anchor or query, and
            its positive), triplet (the same and one negative or more), rerank (query, document, relevance: a row for each
            candidate of a query), retrieval (known by the folder's corpus; to evaluate on, not to train on).
        texts: the text columns by name, in the order in which the loss reads them; goes with task. Of a triplet, negatives
            after the first may be empty, and a column of JSONL may hold a list of texts.
        label: the column of the score, class or relevance; of a triplet, for a loss that reads them, of a teacher's margins,
            score(positive) - score(negative): a number, or in JSONL a list with one for each negative.
        range: the lowest and the highest score possible in the file, scaled to 0 and 1.
        classes: the labels of the file in the order of their numbers 0 to K-1.
        source: the column that says which part of the dataset a row comes from.
        where: use only rows whose columns hold these values, for example {SemEval_set: TEST}.
        limit: use so many rows (a whole number) or this share of them (below 1); a larger limit contains a smaller one. Of
            retrieval: queries; the corpus stays whole.
        limit_seed: the seed of that choice.
        beyond: leave out the rows that this limit would use, so that a dev set can be cut from the file of the training set.
        folds: cut the file into so many parts of about equal size, for cross-validation; limit_seed draws the cut, and limit
            and beyond choose from the whole file.
        fold: which of them this dataset is about: 1 to folds.
        part: rest (train on it) are the rows outside that fold, fold (test on it) those inside.
        group: rows of one value in this column stay in one fold; row: the row's number in the file, which files with the same
            rows share, such as translations.
        teacher: of silver data: the folder, or the fingerprint, of the cross-encoder whose labels these must be, as the column
            teacher says; a file of another one's is refused.
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
    folds: int | None = None
    fold: int | None = None
    part: Literal["rest", "fold"] = "rest"
    group: str | None = None
    teacher: str | None = None
    weight: float | None = None
    skip_empty: bool = False
    format: Literal["tsv", "csv", "jsonl", "txt", "stsbenchmark", "stsb-multi-mt"] | None = None
    name: str | None = None


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
    Schema("pair", ["anchor", "positive"], None),
    Schema("pair", ["query", "positive"], None),
    Schema("pair", ["source_sentence", "target_sentence"], None),
]
_TEXT = Schema("pair", ["text"], None)  # of texts alone: half of a pair
_TASKS: dict[str, Task] = {"mrpc": "binary", "quora_pairs": "binary"}
NLI_CLASSES = ["contradiction", "entailment", "neutral"]
TEACHER = "teacher"  # the column of a silver file that says who labelled it
ROW = "row"  # the group that is no column: the number of the row in the file


def find_schema(config: DatasetConfig, columns: list[str], place: str) -> Schema:
    """The declared schema, or the first usual header that the columns hold and the declared task allows."""
    task = config.task or _TASKS.get(config.path.partition("/")[0])
    if config.texts:
        if not task:
            raise InputError(
                f"{place}: texts is declared, so declare task too: sts, binary, nli, pair, triplet or rerank"
            )
        label = config.label or {"nli": "label", "triplet": None, "pair": None}.get(task, "score")
        return Schema(task, config.texts, label)
    if usual := _usual(config, columns, task):
        return usual
    wanted = f"for task {task}" if task else "that a task is known for"
    raise InputError(f"{place}: no columns {wanted}; there are: {', '.join(columns)}; declare task, texts and label")


def find_texts(config: DatasetConfig, columns: list[str], place: str) -> Schema:
    """As `find_schema`, of a file of which the texts alone matter: labels may be missing, and a column text is enough."""
    if config.texts:
        label = config.label or "label"
        return Schema(config.task or "pair", config.texts, label if label in columns else None)
    texts = [Schema(usual.task, usual.texts, None) for usual in [*_HEADERS, _TEXT] if {*usual.texts} <= {*columns}]
    if found := _usual(config, columns, config.task) or next(iter(texts), None):
        return found
    raise InputError(f"{place}: no column is known to hold texts; there are: {', '.join(columns)}; declare texts")


def _usual(config: DatasetConfig, columns: list[str], task: Task | None) -> Schema | None:
    for usual in _HEADERS:
        label = config.label or usual.label
        fits = {*usual.texts, label} - {None} <= set(columns)
        if fits and (task in (None, usual.task) or (task, usual.task) == ("binary", "sts")):
            return Schema(task or usual.task, usual.texts, label)
    return None


def check_columns(schema: Schema, config: DatasetConfig, columns: list[str], place: str, labels: bool = True) -> None:
    group = None if config.group == ROW else config.group
    teacher = config.teacher and TEACHER
    for name in [*schema.texts, schema.label, config.source, *(config.where or {}), group, teacher]:
        if name is not None and name not in columns:
            raise InputError(f"{place}: no column '{name}'; there are: {', '.join(columns)}")
    if labels and schema.task == "pair" and schema.label:
        raise InputError(f"{place}: task pair has no label; leave label out, or declare another task")
    need = 3 if schema.task == "triplet" else 2
    count = len(schema.texts)
    if labels and (count < need or (count > need and schema.task != "triplet")):
        raise InputError(
            f"{place}: task {schema.task} reads {need} text columns; texts names {', '.join(schema.texts)}"
        )


def skip_reason(line: dict, schema: Schema, config: DatasetConfig, here: str) -> str | None:
    for column, wanted in (config.where or {}).items():
        if str(line[column]) != wanted:
            return f"{column} is not {wanted}"
    if schema.task == "nli" and schema.label and str(line[schema.label]) in ("-", "-1"):
        return f"no gold label ({line[schema.label]})"
    for place, (name, text) in enumerate(cells_of(line, schema)):
        if place > 2 and (text is None or isinstance(text, str) and not text.strip()):
            continue  # a further negative that the row lacks
        check_text(name, text, here)
        if not text.strip():
            if not config.skip_empty:
                raise InputError(f"{here}: {name} is empty; fill it, or set skip_empty to skip and count such rows")
            return f"empty {name}"
    return None


def check_teacher(line: dict, fingerprint: str, here: str) -> None:
    """Refuse a row of silver data that is of another teacher than the one with this fingerprint."""
    if line.get(TEACHER) != fingerprint:
        raise InputError(
            f"{here}: teacher is {str(line.get(TEACHER))[:16]}, and {fingerprint[:16]} is wanted: another cross-encoder labelled "
            "this row; label anew (mine.py silver --overwrite), or name the teacher that did"
        )


def check_text(name: str, text: object, here: str) -> None:
    if not isinstance(text, str):
        raise InputError(f"{here}: {name} is {text!r}, not a text")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{here}: {name} holds half of a surrogate pair, which is no text") from None


def cells_of(line: dict, schema: Schema) -> list[tuple[str, object]]:
    """(column, text) of every text of a row; a list of negatives is so many texts."""
    cells: list[tuple[str, object]] = []
    for column, name in enumerate(schema.texts):
        value = line[name]
        if schema.task == "triplet" and column > 1 and isinstance(value, list):
            cells += [(name, text) for text in value or [""]]
        else:
            cells.append((name, value))
    return cells
