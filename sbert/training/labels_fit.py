"""Whether a loss can read training data: the number of texts, the labels and their range."""

from collections.abc import Sequence

import numpy as np

from sbert.data.rows import Rows
from sbert.errors import InputError, require
from sbert.losses.base import Loss

# the tasks that a loss can read, by its target, or by its target and its number of texts
TASKS_BY_TARGET = {
    "score": ("sts", "binary"),
    "binary": ("binary",),
    ("class", 1): ("class",),
    "class": ("nli",),
    "margin": ("triplet",),
    "embedding": ("pair",),
    (None, 1): ("text",),
    (None, 2): ("pair", "triplet"),
    None: ("triplet",),
}


def check_fit(loss: Loss, datasets: Sequence[Rows]) -> None:
    """Check that a loss can read the training data.

    Raises:
        InputError: the number of columns, the kind or the range of labels, or the classes do not
            fit.
    """
    if loss.reads_tokens:  # of any texts
        return
    for rows in datasets:
        _check_task(loss, rows)
        num_labels = loss.full_loss.num_labels
        require(
            not (rows.classes and num_labels) or len(rows.classes) == num_labels,
            f"{type(loss).__name__}: num_labels is {num_labels}, {rows.name} has "
            f"{len(rows.classes or [])} classes",
        )
        require(
            rows.classes == datasets[0].classes,
            f"{rows.name}: classes {rows.classes}, {datasets[0].name} has {datasets[0].classes}",
        )
        if loss.target not in (None, "margin", "embedding"):
            check_labels(loss, rows)


def _check_task(loss: Loss, rows: Rows) -> None:
    name, target = type(loss).__name__, loss.target or "no"
    by_target = TASKS_BY_TARGET[loss.target]
    tasks = TASKS_BY_TARGET.get((loss.target, loss.columns), by_target)
    width = len(rows.texts)
    right_width = width >= loss.columns if loss.ragged else width == loss.columns
    columns = f"{loss.columns} or more" if loss.ragged else loss.columns
    require(
        rows.task in tasks and right_width,
        f"{name} reads {columns} texts and {target} labels (task {' or '.join(tasks)}); "
        f"{rows.name} has {width} texts, task {rows.task}",
    )
    require(
        loss.target in (None, "embedding") or rows.labels is not None,
        f"{name} reads {target} labels; {rows.name} has no labels; declare the column of the "
        "margins as label",
    )


def check_labels(loss: Loss, rows: Rows) -> None:
    """Check the range of the labels.

    Raises:
        InputError: a class that is not one of 0..K-1; a score outside [0, 1], for which a binary
            cross-entropy has no lower bound; NaN.
    """
    labels = rows.labels  # (N,)
    if loss.target == "class":
        num_labels = loss.full_loss.num_labels or len(rows.classes)
        valid = (labels >= 0) & (labels < num_labels) & (labels == labels.round())
        expected = f"its classes are 0 to {num_labels - 1}"
    else:
        valid = (labels >= 0) & (labels <= 1)
        expected = (
            "its labels lie in [0, 1]: divide by the highest, or declare range, the file's lowest "
            "and highest score"
        )
    if not valid.all():
        row = int(np.argmin(valid))
        raise InputError(
            f"{rows.name}, row {row}: the label {labels[row]:g} does not fit "
            f"{type(loss).__name__}: {expected}"
        )
