"""Columns: what the columns of a file mean, and how the fields of a line become texts.

An invalid field stops the reading with one line that names the file, the line, the value and what
is expected.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sbert.data.config import DatasetConfig, TaskName, TextColumn
from sbert.data.labels import TASK_LABELS, TEACHER_COLUMN, check_label_options
from sbert.errors import InputError, require


@dataclass(frozen=True)
class Schema:
    """What a file's columns mean: the part of a `DatasetConfig` that a known header can supply."""

    task: TaskName
    texts: list[TextColumn]
    label: str | None


# the column of a teacher's scores of each positive and the negatives, in published files
SCORES_COLUMN = "teacher_scores"

# known headers, tried in this order where a configuration does not declare its columns
_HEADERS = [
    Schema("sts", ["sentence1", "sentence2"], "score"),
    Schema("nli", ["premise", "hypothesis"], "label"),
    Schema("nli", ["sentence1", "sentence2"], "gold_label"),
    Schema("triplet", ["anchor", "positive", "negative"], None),
    Schema("triplet", ["query", "positive", "negative"], None),
    Schema("triplet", ["query", "positive", "negatives"], None),
    Schema("triplet", ["query", "pos", "neg"], SCORES_COLUMN),
    Schema("triplet", ["query", "pos", "neg"], None),
    Schema("triplet", ["query", "positive_passages", "negative_passages"], SCORES_COLUMN),
    Schema("triplet", ["query", "positive_passages", "negative_passages"], None),
    Schema("rerank", ["query", "document"], "score"),
    Schema("pair", ["anchor", "positive"], None),
    Schema("pair", ["query", "positive"], None),
    Schema("pair", ["source_sentence", "target_sentence"], None),
    Schema("pair", ["query", "pos"], None),
    Schema("pair", ["query", "positive_passages"], None),
    Schema("class", ["text"], "label"),
    Schema("text", ["text"], None),
]

# the number of text columns of the tasks that have not 2
_TEXT_COLUMNS: dict[TaskName, int] = {"class": 1, "text": 1, "triplet": 3}

_TASKS: dict[str, TaskName] = {"mrpc": "binary", "quora_pairs": "binary"}

ROW = "row"  # as group: not a column but the number of the row in the file


def find_schema(config: DatasetConfig, columns: list[str], location: str) -> Schema:
    """The declared schema, or the first known header that the columns contain.

    Raises:
        InputError: no known header, or a declared schema that does not fit its task.
    """
    task = _declared_task(config)
    if config.texts:
        require(
            task,
            f"{location}: texts is set, so set task too: sts, binary, nli, class, text, pair, "
            "triplet or rerank",
        )
        schema = Schema(task, config.texts, config.label or TASK_LABELS[task].column)
    else:
        schema = _known_header(config, columns, task)
    wanted = f"for task {task}" if task else "of a known task"
    require(
        schema,
        f"{location}: no columns {wanted}; available: {', '.join(columns)}; "
        "set task, texts and label",
    )
    _check_schema(schema, location)
    check_label_options(config, schema.task, location)
    return schema


def find_text_schema(config: DatasetConfig, columns: list[str], location: str) -> Schema:
    """As `find_schema`, where only texts are read: labels may be missing, one column is enough."""
    if config.texts:
        task = _declared_task(config) or ("pair" if len(config.texts) > 1 else "text")
        label = config.label or TASK_LABELS[task].column
        return Schema(task, config.texts, label if label in columns else None)
    schema = _known_header(config, columns, config.task)
    if schema:
        return schema
    for header in _HEADERS:
        if set(header.texts) <= set(columns):
            return Schema(header.task, header.texts, None)
    raise InputError(
        f"{location}: no known text columns; available: {', '.join(columns)}; set texts"
    )


def _declared_task(config: DatasetConfig) -> TaskName | None:
    return config.task or _TASKS.get(config.path.partition("/")[0])


def _known_header(
    config: DatasetConfig, columns: list[str], task: TaskName | None
) -> Schema | None:
    """The first known header of the task, or of any task, whose columns the file has."""
    for header in _HEADERS:
        label = config.label or header.label
        fits_columns = {*header.texts, label} - {None} <= set(columns)
        # binary pairs have the header of scored ones
        fits_task = task in (None, header.task) or (task, header.task) == ("binary", "sts")
        if fits_columns and fits_task:
            return Schema(task or header.task, header.texts, label)
    return None


def _check_schema(schema: Schema, location: str) -> None:
    require(
        not (schema.task in ("pair", "text") and schema.label),
        f"{location}: task {schema.task} has no label; remove label or set another task",
    )
    count = len(schema.texts)
    required = _TEXT_COLUMNS.get(schema.task, 2)
    unit = "text column" if required == 1 else "text columns"
    require(
        count == required or (count > required and schema.task == "triplet"),
        f"{location}: task {schema.task} reads {required} {unit}; "
        f"texts names {', '.join('+'.join(column_names(column)) for column in schema.texts)}",
    )


def prompt_names(
    prompts: str | list[str] | None, task: TaskName, columns: int, name: str
) -> list[str] | None:
    """The names of the prompts of C text columns; None where the dataset `name` names none.

    Raises:
        InputError: another number of names.
    """
    if prompts is None:
        return None
    names = [prompts] * columns if isinstance(prompts, str) else prompts
    further = columns - len(names)  # negatives of triplets
    require(
        further == 0 or (task == "triplet" and len(names) > 1 and further > 0),
        f"dataset {name}: prompts is {names}; give one name for all {columns} text columns, or a "
        "list with one for each",
    )
    return [*names, *names[-1:] * further]


def required_columns(config: DatasetConfig, schema: Schema) -> list[str]:
    """The columns that every line must have."""
    columns = [name for column in schema.texts for name in column_names(column)]
    group = None if config.group == ROW else config.group
    teacher = TEACHER_COLUMN if config.teacher else None
    columns += [schema.label, config.source, *(config.where or {}), group, teacher]
    return [name for name in columns if name is not None]


def check_columns(required: list[str], columns: Collection[str], location: str) -> None:
    """Raise `InputError` for the first required column that is missing."""
    for name in required:
        if name not in columns:
            raise InputError(f"{location}: no column '{name}'; available: {', '.join(columns)}")


TextField = tuple[str, object]  # (column, text)


def column_names(column: TextColumn) -> list[str]:
    """The columns of a file that a text is made of."""
    return [column] if isinstance(column, str) else column


def read_field(line: dict, column: TextColumn, location: str) -> TextField:
    """A field, or several joined into one, with its name for messages."""
    if isinstance(column, str):
        return column, line[column]
    return "+".join(column), join_texts(line, column, location)


def join_texts(line: dict, columns: list[str], location: str) -> str:
    """The texts of several columns, joined by spaces without the empty and missing ones."""
    parts = [(column, line.get(column) or "") for column in columns]
    for column, part in parts:
        check_text(column, part, location)
    return " ".join(part for _, part in parts if part.strip())


Row = tuple[list[TextField], object]  # texts, label


def line_rows(line: dict, schema: Schema, location: str) -> list[Row]:
    """The rows of a line: one, or one for each positive where there is a list of them.

    Raises:
        InputError: several positives without a label for each.
    """
    fields = _text_fields(line, schema, location)
    label = line[schema.label] if schema.label else None
    has_positive = schema.task in ("pair", "triplet") and len(fields) > 1
    if not has_positive or not isinstance(fields[1][1], list):
        return [(fields, label)]
    anchor, (column, positives), *negatives = fields
    positives = positives or [""]
    labels = label if schema.label else [None] * len(positives)
    require(
        isinstance(labels, list) and len(labels) == len(positives),
        f"{location}: {column} has {len(positives)} texts, so {schema.label} needs a list of as "
        "many labels",
    )
    return [
        ([anchor, (column, positive), *negatives], label)
        for positive, label in zip(positives, labels, strict=True)
    ]


def _text_fields(line: dict, schema: Schema, location: str) -> list[TextField]:
    """The text fields of a line; a list of negatives becomes one field per negative."""
    fields: list[TextField] = []
    for index, column in enumerate(schema.texts):
        name, value = read_field(line, column, location)
        if schema.task == "triplet" and index > 1 and isinstance(value, list):
            fields += [(name, text) for text in value or [""]]
        else:
            fields.append((name, value))
    return fields


def check_filled(column: str, value: object, location: str) -> None:
    """Raise `InputError` for a null, which JSON and parquet have, where a value is needed."""
    require(value is not None, f"{location}: {column} is null; fill it in every line")


def check_text(column: str, text: object, location: str) -> None:
    """Raise `InputError` unless a field is a string."""
    if not isinstance(text, str):
        raise InputError(f"{location}: {column} is {text!r}, not a text")
