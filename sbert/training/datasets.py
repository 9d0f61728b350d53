"""The datasets of a run: read, and checked against each other and against the loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sbert.data.leakage import check_held_out, check_names
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows, both_orders, read_dataset
from sbert.errors import InputError, require
from sbert.evaluation.evaluators import undefined_metric
from sbert.losses.base import Loss
from sbert.models.loading import teacher_fingerprint
from sbert.training.config import TrainConfig

# the tasks whose labels a loss with this target can read
TASKS_BY_TARGET = {
    "score": ("sts", "binary"),
    "binary": ("binary",),
    "class": ("nli",),
    "margin": ("triplet",),
}


@dataclass
class RunData:
    """The datasets of one run."""

    train: list[Rows]
    dev: list[Rows | Retrieval]
    test: list[Rows | Retrieval]

    @property
    def evaluated(self) -> list[Rows | Retrieval]:
        return [*self.dev, *self.test]

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes 0 to K-1 that are trained on, if any."""
        return self.train[0].classes


def read_run_data(config: TrainConfig) -> RunData:
    """Read and check all datasets of a run.

    Raises:
        InputError: a dataset that cannot be read or does not fit the loss, rows that are both
            trained on and evaluated, a dev set that cannot rank models.
    """
    train, dev, test = (
        [read_dataset(dataset, fingerprint_of=teacher_fingerprint) for dataset in part]
        for part in (config.data.train, config.data.dev, config.data.test)
    )
    data = RunData(train, dev, test)
    check_fit(config.loss, train)
    check_names(data.evaluated)
    check_held_out(train, data.evaluated)
    if config.data.both_orders:
        data.train = [both_orders(rows) for rows in train]
    for rows in dev:
        reason = undefined_metric(rows)
        require(
            not reason,
            f"{reason}, so it cannot choose the best model; give it rows with other labels",
        )
    require(
        dev or config.seed_optimisation.seeds == 1,
        "seed_optimisation: there is no dev set to choose a seed by; name one in data.dev",
    )
    return data


def check_fit(loss: Loss, datasets: Sequence[Rows]) -> None:
    """Check that a loss can read the training data.

    Raises:
        InputError: the number of columns, the kind or the range of labels, or the classes do not
            fit; some datasets have a weight and others have none.
    """
    for rows in datasets:
        _check_task(loss, rows)
        if rows.classes and len(rows.classes) != loss.full_loss.num_labels:
            raise InputError(
                f"{type(loss).__name__}: num_labels is {loss.full_loss.num_labels}, "
                f"{rows.name} has {len(rows.classes)} classes"
            )
        require(
            rows.classes == datasets[0].classes,
            f"{rows.name}: classes {rows.classes}, {datasets[0].name} has {datasets[0].classes}",
        )
        if loss.target not in (None, "margin"):
            check_labels(loss, rows)
    require(
        len({rows.weight is None for rows in datasets}) == 1,
        "data.train: either every dataset has a weight or none has",
    )


def _check_task(loss: Loss, rows: Rows) -> None:
    name, target = type(loss).__name__, loss.target or "no"
    if loss.target:
        tasks = TASKS_BY_TARGET[loss.target]
    else:
        tasks = ("pair", "triplet") if loss.columns == 2 else ("triplet",)
    width = len(rows.texts)
    right_width = width >= loss.columns if loss.ragged else width == loss.columns
    columns = f"{loss.columns} or more" if loss.ragged else loss.columns
    require(
        rows.task in tasks and right_width,
        f"{name} reads {columns} texts and {target} labels (task {' or '.join(tasks)}); "
        f"{rows.name} has {width} texts, task {rows.task}",
    )
    require(
        not loss.target or rows.labels is not None,
        f"{name} reads {target} labels; {rows.name} has no labels; declare the column of the "
        "margins as label",
    )
    require(
        loss.target or rows.labels is None,
        f"{name} reads no labels; {rows.name} has labels",
    )


def check_labels(loss: Loss, rows: Rows) -> None:
    """Check the range of the labels.

    Raises:
        InputError: a class that is not one of 0..K-1; a score outside [0, 1], for which a binary
            cross-entropy has no lower bound; NaN.
    """
    labels = rows.labels  # (N,)
    if loss.target == "class":
        num_labels = loss.full_loss.num_labels
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
