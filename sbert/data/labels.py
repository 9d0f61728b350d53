"""Labels: how a field of a line becomes a score in [0, 1], a class, a relevance or margins.

`TASK_LABELS` says for each task which column holds the label, its type and its reader. An invalid
label stops the reading with one line that names the file, the line, the value and what is expected.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import zip_longest
from typing import Literal, NamedTuple

import numpy as np

from sbert.data.config import DatasetConfig, TaskName
from sbert.errors import InputError, require

Label = float | str | list[float]  # a class by its name

# the column of a silver file with the fingerprint of the cross-encoder that labelled the row
TEACHER_COLUMN = "teacher"

# (value, location for messages, texts of the row) -> label
LabelReader = Callable[[object, str, list[str | None]], Label]

FRACTION = re.compile(r"[-+]?(\d+\.\d*|\.\d+)")  # a score, and no name of a class

NLI_CLASSES = ["contradiction", "entailment", "neutral"]

# datasets whose scores are 0 to 5
_SCORED_TO_5 = ("stsb", "stsb_multi_mt", "afs", "sts12", "sts13", "sts14", "sts15", "sts16")


def _score_reader(config: DatasetConfig, binary: bool = False) -> LabelReader:
    """Scores, scaled from the range of the dataset to [0, 1]; binary: only 0 and 1."""
    low, high = config.range or (0, 5 if config.path.partition("/")[0] in _SCORED_TO_5 else 1)
    require(
        low < high and math.isfinite(high - low),
        f"dataset {config.path}: range [{low:g}, {high:g}] must be two finite numbers, the lower "
        "first",
    )

    def read_score(value: object, location: str, texts: list[str | None]) -> float:
        number = read_number(value, "score", location)
        if not low <= number <= high:
            raise InputError(
                f"{location}: the score {value} is outside [{low:g}, {high:g}]; "
                "set range to the file's lowest and highest possible score"
            )
        if binary and number not in (low, high):
            raise InputError(
                f"{location}: the label {value} of a binary task is neither {low:g} nor {high:g}"
            )
        return (number - low) / (high - low)

    return read_score


def _class_reader(config: DatasetConfig, default: Sequence[str] | None = None) -> LabelReader:
    """Names of classes, text or whole numbers: of those that are declared, or of any."""
    classes = config.classes or default
    known = set(classes or [])
    require(
        not classes or len(known) == len(classes),
        f"dataset {config.path}: classes is {classes}; name each class once",
    )

    def read_class(value: object, location: str, texts: list[str | None]) -> str:
        name = str(value)
        is_name = isinstance(value, str | int) and name.strip()
        if known and name not in known:
            raise unknown_class(name, classes, location)
        require(
            is_name and (known or not FRACTION.fullmatch(name.strip())),
            f"{location}: the label {value!r} is no class; give a name or a whole number",
        )
        return name

    return read_class


def unknown_class(name: str, classes: Sequence[str], location: str) -> InputError:
    return InputError(f"{location}: unknown label '{name}'; the classes are {', '.join(classes)}")


def sorted_classes(labels: Iterable[str]) -> list[str]:
    """The distinct labels in the order of their numbers 0 to K-1: whole numbers by size, names by
    the alphabet."""
    distinct = set(labels)
    if all(label.isdecimal() for label in distinct):
        return sorted(distinct, key=lambda label: (int(label), label))
    return sorted(distinct)


def read_relevance(value: object, location: str, texts: Sequence[str] = ()) -> float:
    """A grade from 0 (not relevant) upwards."""
    number = read_number(value, "relevance", location)
    if number < 0:
        raise InputError(
            f"{location}: the relevance {value} is not a number from 0 (not relevant) upwards"
        )
    return number


def read_number(value: object, name: str, location: str) -> float:
    """A finite number; `name` is what messages call it."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{location}: the {name} '{value}' is not a finite number")
    return number


class _MarginReader:
    """Reads the margins of triplets: one for each negative, NaN where a row lacks the negative.

    They are given as such, or as a teacher's scores: of the positive, then of each negative. The
    number of labels says which, and all rows give the same.
    """

    def __init__(self):
        self.kind: str | None = None  # margin or score, as in the first row

    def __call__(self, value: object, location: str, texts: list[str | None]) -> list[float]:
        values = value if isinstance(value, list) else [value]
        negatives = texts[2:]
        count = sum(text is not None for text in negatives)
        kind = {count: "margin", count + 1: "score"}.get(len(values))
        self.kind = self.kind or kind
        require(
            kind and kind == self.kind,
            f"{location}: {len(values)} labels for {count} negatives; in every row a margin for "
            "each negative, or else a score for the positive and for each negative, is needed",
        )
        numbers = [read_number(one, kind, location) for one in values]
        if kind == "score":
            positive, *scores = numbers
            numbers = [positive - score for score in scores]
        margins = iter(numbers)
        return [math.nan if text is None else next(margins) for text in negatives]


def check_teacher(line: dict, fingerprint: str, location: str) -> None:
    """Refuse a row of silver data that the teacher with this fingerprint did not label."""
    teacher = line[TEACHER_COLUMN]
    if teacher != fingerprint:
        raise InputError(
            f"{location}: teacher is {str(teacher)[:16]}, expected {fingerprint[:16]}: another "
            "cross-encoder labelled this row; label again (augment.py silver --overwrite), or set "
            "teacher to the one that did"
        )


class TaskLabels(NamedTuple):
    """The labels of a task: their column unless the configuration names one, type, and reader.

    option: the option of a dataset that says what they mean.
    """

    column: str | None
    dtype: type
    reader: Callable[[DatasetConfig], LabelReader] | None
    option: Literal["range", "classes"] | None = None


TASK_LABELS: dict[TaskName, TaskLabels] = {
    "sts": TaskLabels("score", np.float32, _score_reader, "range"),
    "binary": TaskLabels("score", np.float32, partial(_score_reader, binary=True), "range"),
    "nli": TaskLabels("label", np.int64, partial(_class_reader, default=NLI_CLASSES), "classes"),
    "class": TaskLabels("label", np.int64, _class_reader, "classes"),
    "text": TaskLabels(None, np.float32, None),
    "rerank": TaskLabels("score", np.float64, lambda config: read_relevance),
    "pair": TaskLabels(None, np.float32, None),
    "triplet": TaskLabels(None, np.float32, lambda config: _MarginReader()),
}


def check_label_options(config: DatasetConfig, task: TaskName, location: str) -> None:
    """Raise `InputError` for an option of the labels of other tasks."""
    for option in ("range", "classes"):
        tasks = [name for name, labels in TASK_LABELS.items() if labels.option == option]
        require(
            getattr(config, option) is None or task in tasks,
            f"{location}: {option} is for task {' or '.join(tasks)}, not {task}; leave it out",
        )


def stack_labels(
    labels: list[Label], task: TaskName, classes: Sequence[str] | None = None
) -> np.ndarray:
    """Labels of N rows as an array (N,), or margins as (N, C - 2), NaN where a row has fewer.

    classes: the names of the classes 0 to K-1, if the labels are such.
    """
    if classes:
        numbers = {name: number for number, name in enumerate(classes)}
        labels = [numbers[name] for name in labels]
    if task == "triplet":
        labels = list(zip(*zip_longest(*labels, fillvalue=math.nan), strict=True))
    return np.array(labels, TASK_LABELS[task].dtype)
