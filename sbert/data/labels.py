"""Labels: how a field of a line becomes a score in [0, 1], a class, a relevance or margins.

One that is wrong stops the reading with one line that names the file, the row, the value and what would be right.
"""

import math
from collections.abc import Callable

from sbert.data.config import DatasetConfig, TaskName
from sbert.data.schema import NLI_CLASSES, Schema
from sbert.errors import InputError

_RANGES = {"stsb": (0, 5), "stsb_multi_mt": (0, 5), "afs": (0, 5)} | {
    f"sts{year}": (0, 5) for year in range(12, 17)
}


def _score_reader(low: float, high: float, task: TaskName) -> Callable[[object, str], float]:
    def read_score(value: object, here: str) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InputError(f"{here}: the score '{value}' is not a number") from None
        if not (math.isfinite(number) and low <= number <= high):
            hint = "range: the file's lowest and highest possible score"
            raise InputError(
                f"{here}: the score {value} is outside the declared range [{low:g}, {high:g}] ({hint})"
            )
        if task == "binary" and number not in (low, high):
            raise InputError(
                f"{here}: the label {value} of a binary task is neither {low:g} nor {high:g}"
            )
        return (number - low) / (high - low)

    return read_score


def read_relevance(value: object, here: str) -> float:
    """A grade from 0 (not relevant) upwards."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{here}: the relevance '{value}' is not a number") from None
    if not (math.isfinite(number) and number >= 0):
        raise InputError(
            f"{here}: the relevance {value} is not a number from 0 (not relevant) upwards"
        )
    return number


def _read_margins(value: object, here: str) -> list[float]:
    values = value if isinstance(value, list) else [value]
    try:
        margins = [float(v) for v in values]
    except (TypeError, ValueError):
        margins = [math.nan]
    if not all(map(math.isfinite, margins)):
        raise InputError(
            f"{here}: the margin '{value}' is not a number, nor a list with one for each negative"
        )
    return margins


def _class_reader(classes: list[str]) -> Callable[[object, str], int]:
    number = {name: k for k, name in enumerate(classes)}

    def read_class(value: object, here: str) -> int:
        if str(value) not in number:
            raise InputError(
                f"{here}: unknown label '{value}'; the classes are {', '.join(classes)}"
            )
        return number[str(value)]

    return read_class


def label_reader(
    config: DatasetConfig, schema: Schema
) -> Callable[[object, str], float | int | list[float]]:
    if schema.task == "triplet":
        return _read_margins
    if schema.task == "nli":
        return _class_reader(config.classes or NLI_CLASSES)
    if schema.task == "rerank":
        return read_relevance
    low, high = config.range or _RANGES.get(config.path.partition("/")[0], (0, 1))
    if not (low < high and math.isfinite(high - low)):
        raise InputError(
            f"dataset {config.path}: range [{low:g}, {high:g}]: the lower end comes first"
        )
    return _score_reader(low, high, schema.task)
