"""The datasets of a run: read, and checked against each other and against the losses."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from accelerate import Accelerator

from sbert.data.leakage import check_held_out, check_names, leave_out, read_held_out
from sbert.data.retrieval import Retrieval
from sbert.data.rows import (
    Rows,
    both_orders,
    distinct_rows,
    read_dataset,
    with_common_classes,
)
from sbert.distributed import broadcast
from sbert.errors import require
from sbert.evaluation.evaluators import undefined_metric
from sbert.losses.base import Loss
from sbert.losses.cross_encoder import PairLoss
from sbert.losses.saved import TrainedLoss
from sbert.losses.softmax import SoftmaxLoss
from sbert.models.loading import teacher_fingerprint
from sbert.training.batches import check_batch_size, check_classmates, check_weights
from sbert.training.config import SEEDS, TrainConfig
from sbert.training.labels_fit import check_fit
from sbert.training.objectives.distillation import check_distillation
from sbert.training.objectives.language_model import check_language_model


@dataclass
class TrainingPart:
    """A loss and the training data that it reads: all datasets, or the one called `name`."""

    loss: Loss
    train: list[Rows]
    name: str | None = None

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes 0 to K-1 that are trained on, if any."""
        return self.train[0].classes


@dataclass
class RunData:
    """The datasets of one run."""

    parts: list[TrainingPart]
    dev: list[Rows | Retrieval]
    test: list[Rows | Retrieval]

    @property
    def train(self) -> list[Rows]:
        return [rows for part in self.parts for rows in part.train]

    def trained(self, losses: Iterable[Loss]) -> list[TrainedLoss]:
        """The losses of all parts, as they are trained, with what they were trained on."""
        parts = zip(losses, self.parts, strict=True)
        return [TrainedLoss(loss.full_loss, part.classes, part.name) for loss, part in parts]

    @property
    def evaluated(self) -> list[Rows | Retrieval]:
        return [*self.dev, *self.test]

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes 0 to K-1 that a cross-encoder is trained on, if any."""
        return next((part.classes for part in self.parts if part.classes), None)

    def drop_training_texts(self) -> None:
        """Free the texts of training, which are needed no more once they are tokens."""
        for part in self.parts:
            part.train = [rows.without_texts() for rows in part.train]


def read_run_data(
    config: TrainConfig, read: Callable = read_dataset, read_texts: Callable = read_held_out
) -> RunData:
    """Read and check all datasets of a run.

    Args:
        read: `read_dataset`, or what keeps its results for several runs.
        read_texts: `read_held_out`, or the same of it.

    Raises:
        InputError: a dataset that cannot be read or does not fit the loss, rows that are both
            trained on and evaluated, a dev set that cannot rank models.
    """
    require(config.data.train, "data.train: is empty; name one training dataset or more")
    dev, test = _read_evaluated(config, read)
    train = read_training_sets(config, read)
    if config.data.held_out:
        held_out = read_texts(config.data.held_out)
        train = [leave_out(rows, held_out) for rows in train]
    if config.data.distinct:
        train = distinct_rows(train)
    data = RunData(training_parts(config.loss, train), dev, test)
    check_distillation(config, [part.loss for part in data.parts])
    for part in data.parts:
        part.train = with_common_classes(part.train)
        check_fit(part.loss, part.train)
        check_classmates(part.loss, part.train, config)
        check_batch_size(part.loss, part.train, config.optim.batch_size)
        if part.loss.target is None:  # a teacher's labels of triplets are left out
            part.train = [replace(rows, labels=None) for rows in part.train]
    check_together(data.parts)
    check_weights(train, config.data.mix)
    check_names(data.evaluated)
    check_held_out(train, data.evaluated)
    if config.data.both_orders:
        for part in data.parts:
            part.train = [both_orders(rows) for rows in part.train]
    _check_that_dev_can_choose(dev, data.parts)
    _check_seeds(config, dev)
    return data


def read_training_sets(config: TrainConfig, read: Callable = read_dataset) -> list[Rows]:
    """Read the training data of a run, with the rows that it leaves out, and what the loss reads of
    it."""
    labels = not check_language_model(config)
    train = [read(dataset, labels, teacher_fingerprint) for dataset in config.data.train]
    for rows in train:
        require(
            isinstance(rows, Rows),
            f"{rows.name}: a retrieval folder is for evaluation; to train on it, mine triplets by "
            "mine.py negatives, or name the file of its corpus, with task text and texts "
            "[[title, text]]",
        )
    return train


def _check_that_dev_can_choose(dev: list[Rows | Retrieval], parts: list[TrainingPart]) -> None:
    """Refuse a dev set whose metric is undefined for every model."""
    losses = [part.loss.full_loss for part in parts]
    has_head = any(isinstance(loss, SoftmaxLoss) and loss.columns == 1 for loss in losses)
    for rows in dev:
        reason = undefined_metric(rows, has_head)
        require(
            not reason,
            f"{reason}, so it cannot choose the best model; give it rows with other labels",
        )


def _check_seeds(config: TrainConfig, dev: list[Rows | Retrieval]) -> None:
    """Refuse seed optimisation without a dev set, and seeds that generators do not take."""
    require(
        dev or config.seed_optimisation.seeds == 1,
        "seed_optimisation: there is no dev set to choose a seed by; name one in data.dev",
    )
    last = config.seed_optimisation.candidates(config.loop.seed)[-1]
    require(
        last < SEEDS, f"seed_optimisation: its last seed is {last}; seeds must be below {SEEDS}"
    )


def _read_evaluated(
    config: TrainConfig, read: Callable = read_dataset
) -> list[list[Rows | Retrieval]]:
    """The dev sets and the test sets."""
    return [
        [read(dataset, True, teacher_fingerprint) for dataset in part]
        for part in (config.data.dev, config.data.test)
    ]


def share_run_data(config: TrainConfig, accelerator: Accelerator) -> RunData:
    """As `read_run_data`, but the texts of training are read by the main process alone.

    A teacher embeds them in all processes: where there is one, all read them.
    """
    if accelerator.num_processes == 1 or config.distillation:
        return read_run_data(config)
    if accelerator.is_main_process:
        data = read_run_data(config)
        broadcast(accelerator, [rows.without_texts() for rows in data.train])
        return data
    dev, test = _read_evaluated(config)
    return RunData(training_parts(config.loss, broadcast(accelerator, None)), dev, test)


def training_parts(loss: Loss | Mapping[str, Loss], datasets: list[Rows]) -> list[TrainingPart]:
    """One loss for all datasets, or one for each by its name.

    Raises:
        InputError: a dataset without a loss, a loss without a dataset, two datasets of one name.
    """
    if isinstance(loss, Loss):
        return [TrainingPart(loss, datasets)]
    names = Counter(rows.name for rows in datasets)
    listed = ", ".join(names)
    for name, count in names.items():
        require(name in loss, f"loss: dataset {name} has none; give one for each of {listed}")
        require(
            count == 1,
            f"data.train: two datasets are named {name}, and loss tells them apart by their names; "
            "set another name for one of them",
        )
    for name in loss:
        require(name in names, f"loss.{name}: no training dataset has this name; they are {listed}")
    return [TrainingPart(loss[rows.name], [rows], rows.name) for rows in datasets]


def check_together(parts: Sequence[TrainingPart]) -> None:
    """Check that one encoder can be trained by all losses.

    Raises:
        InputError: some are for a bi-encoder and others for a cross-encoder, or for a cross-encoder
            whose outputs mean something else.
    """
    first = parts[0]
    for part in parts[1:]:
        names = (
            f"{type(first.loss).__name__} ({first.name}), {type(part.loss).__name__} ({part.name})"
        )
        require(
            isinstance(first.loss, PairLoss) == isinstance(part.loss, PairLoss),
            f"loss: {names}: one is for a bi-encoder, the other for a cross-encoder",
        )
        if isinstance(first.loss, PairLoss):
            outputs = [_describe_outputs(one) for one in (first, part)]
            require(
                outputs[0] == outputs[1],
                f"loss: {names}: the outputs of the cross-encoder must be the same for both, and "
                f"are {outputs[0]}, and {outputs[1]}",
            )


def _describe_outputs(part: TrainingPart) -> str:
    """What the outputs of a cross-encoder are that a loss trains."""
    classes = f" of the classes {', '.join(part.classes)}" if part.classes else ""
    return f"{part.loss.num_labels} with {part.loss.activation}{classes}"
