"""Whether batches can be made of the training data as the options and the losses ask for."""

import math
from collections.abc import Sequence

import numpy as np

from sbert.data.rows import Rows
from sbert.errors import InputError, require
from sbert.losses.base import Loss
from sbert.training.config import TrainConfig


def check_weights(datasets: Sequence[Rows], mix: str) -> None:
    """Check that the weights of the datasets say how they are mixed.

    Raises:
        InputError: a weight that is not a finite number above 0; some datasets have a weight and
            others none; weights in round_robin.
    """
    for rows in datasets:
        require(
            rows.weight is None or 0 < rows.weight < math.inf,
            f"data.train, {rows.name}: weight is {rows.weight}; it must be a finite number above 0",
        )
    weighted = [rows.name for rows in datasets if rows.weight is not None]
    require(
        len(weighted) in (0, len(datasets)),
        "data.train: either every dataset has a weight or none has",
    )
    require(
        not weighted or mix == "proportional",
        f"data.mix: round_robin takes as many batches of each dataset, but {', '.join(weighted)} "
        "has a weight; leave one of the two out",
    )


def check_batch_tokens(
    config: TrainConfig, losses: Sequence[Loss], lengths: Sequence[np.ndarray]
) -> None:
    """Check that batches can be counted in tokens, where they are.

    lengths: (N,) tokens of the rows of each loss.

    Raises:
        InputError: a loss of embeddings, datasets with weights or in turn, batches of any lengths,
            a text that is longer than a batch.
    """
    limit = config.optim.batch_tokens
    if limit is None:
        return
    for loss in losses:
        require(
            loss.reads_tokens,
            f"optim.batch_tokens is for MaskedLanguageModelLoss; {type(loss).__name__} needs a "
            "number of rows, optim.batch_size",
        )
    weighted = any(dataset.weight is not None for dataset in config.data.train)
    require(
        not weighted and config.data.mix == "proportional",
        "optim.batch_tokens: every epoch has the same rows; leave out data.mix and the weights of "
        "the datasets, or use optim.batch_size",
    )
    require(
        config.loop.group_by_length,
        "optim.batch_tokens makes batches of similar lengths: it needs loop.group_by_length",
    )
    longest = max(int(one.max()) for one in lengths)
    require(
        longest <= limit,
        f"optim.batch_tokens is {limit}, and the longest text has {longest} tokens; use at least "
        "as many, or a lower model.max_length",
    )


def check_shares(config: TrainConfig, datasets: Sequence[Rows], sizes: Sequence[int]) -> None:
    """Check that every dataset has the rows for its share of an epoch, where it has one.

    sizes: the number of rows that are trained on of each dataset.

    Raises:
        InputError: a dataset has none: an earlier one has all its texts, of which a language model
            reads each once.
    """
    if config.data.mix != "round_robin" and datasets[0].weight is None:
        return
    for rows, size in zip(datasets, sizes, strict=True):
        require(
            size,
            f"{rows.name}: the datasets before it have all its texts, so it has none for its share "
            "of the batches; leave it out, or leave out data.mix and all weights",
        )


def check_batch_size(loss: Loss, datasets: Sequence[Rows], batch_size: int) -> None:
    """Check that a loss that compares the rows of a batch has some to compare.

    Raises:
        InputError: batches of one row, which has no negatives of its own.
    """
    compares = loss.joint and max(len(rows.texts) for rows in datasets) <= 2
    require(
        batch_size > 1 or not compares,
        f"optim.batch_size is 1; {type(loss.full_loss).__name__} compares the rows of a batch with "
        "each other: use 2 or more",
    )


def check_classmates(loss: Loss, datasets: Sequence[Rows], config: TrainConfig) -> None:
    """Check that batches can be made in which every row has another one of its class.

    Raises:
        InputError: a batch of fewer than two rows of two classes, a single class, a class of one
            row.
    """
    if not loss.needs_classmates:
        return
    name, batch_size = type(loss.full_loss).__name__, config.optim.batch_size
    require(
        batch_size >= 4,
        f"optim.batch_size is {batch_size}; {name} needs 4 or more: two rows of two classes",
    )
    # the datasets whose rows share a batch
    together = [[rows] for rows in datasets] if config.data.mix == "round_robin" else [datasets]
    for group in together:
        _check_counts(name, group)


def _check_counts(name: str, datasets: Sequence[Rows]) -> None:
    classes = datasets[0].classes
    counts = np.bincount(np.concatenate([rows.labels for rows in datasets]), minlength=len(classes))
    require(
        np.count_nonzero(counts) > 1,
        f"{datasets[0].name}: all rows are of class {classes[counts.argmax()]}; {name} needs two "
        "classes or more",
    )
    for rows in datasets:
        alone = np.flatnonzero(counts[rows.labels] == 1)
        if len(alone):
            row = alone[0]
            raise InputError(
                f"{rows.files[0]}, line {rows.lines[row]}: class {classes[rows.labels[row]]} has 1 "
                f"row; {name} compares a text with others of its class, so give each class 2 rows "
                "or more, or leave this one out"
            )
