"""Columns: what a file's columns mean, and how the fields of a line become texts.

A field that is wrong stops the reading with one line that names the file, the row, the value and what would be right.
"""

from dataclasses import dataclass

from sbert.data.config import DatasetConfig, TaskName
from sbert.errors import InputError


@dataclass(frozen=True)
class Schema:
    """What a file's columns mean: the part of a `DatasetConfig` that a usual header or a known name can supply."""

    task: TaskName
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

_TASKS: dict[str, TaskName] = {"mrpc": "binary", "quora_pairs": "binary"}

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
    raise InputError(
        f"{place}: no columns {wanted}; there are: {', '.join(columns)}; declare task, texts and label"
    )


def find_texts(config: DatasetConfig, columns: list[str], place: str) -> Schema:
    """As `find_schema`, of a file of which the texts alone matter: labels may be missing, and a column text is enough."""
    if config.texts:
        label = config.label or "label"
        return Schema(config.task or "pair", config.texts, label if label in columns else None)
    texts = [
        Schema(usual.task, usual.texts, None)
        for usual in [*_HEADERS, _TEXT]
        if {*usual.texts} <= {*columns}
    ]
    if found := _usual(config, columns, config.task) or next(iter(texts), None):
        return found
    raise InputError(
        f"{place}: no column is known to hold texts; there are: {', '.join(columns)}; declare texts"
    )


def _usual(config: DatasetConfig, columns: list[str], task: TaskName | None) -> Schema | None:
    for usual in _HEADERS:
        label = config.label or usual.label
        fits = {*usual.texts, label} - {None} <= set(columns)
        if fits and (task in (None, usual.task) or (task, usual.task) == ("binary", "sts")):
            return Schema(task or usual.task, usual.texts, label)
    return None


def check_columns(
    schema: Schema, config: DatasetConfig, columns: list[str], place: str, labels: bool = True
) -> None:
    group = None if config.group == ROW else config.group
    teacher = config.teacher and TEACHER
    for name in [*schema.texts, schema.label, config.source, *(config.where or {}), group, teacher]:
        if name is not None and name not in columns:
            raise InputError(f"{place}: no column '{name}'; there are: {', '.join(columns)}")
    if labels and schema.task == "pair" and schema.label:
        raise InputError(
            f"{place}: task pair has no label; leave label out, or declare another task"
        )
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
                raise InputError(
                    f"{here}: {name} is empty; fill it, or set skip_empty to skip and count such rows"
                )
            return f"empty {name}"
    return None


def check_teacher(line: dict, fingerprint: str, here: str) -> None:
    """Refuse a row of silver data that is of another teacher than the one with this fingerprint."""
    if line.get(TEACHER) != fingerprint:
        raise InputError(
            f"{here}: teacher is {str(line.get(TEACHER))[:16]}, and {fingerprint[:16]} is wanted: another cross-encoder labelled "
            "this row; label anew (augment.py silver --overwrite), or name the teacher that did"
        )


def check_text(name: str, text: object, here: str) -> None:
    if not isinstance(text, str):
        raise InputError(f"{here}: {name} is {text!r}, not a text")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(
            f"{here}: {name} holds half of a surrogate pair, which is no text"
        ) from None


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
