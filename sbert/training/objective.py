"""What is trained, and on what: `Objective` joins a model and a loss, `TrainingSet` holds the tokenised rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.losses.base import Loss
from sbert.models.encoder import Encoder
from sbert.models.tokens import TokenTable, tokenize_columns


class Objective(nn.Module):
    """Everything that has weights: `forward(batch)` is the loss, so a loss head trains, saves and resumes like the rest."""

    def __init__(self, model: Encoder, loss: Loss):
        super().__init__()
        self.model = model
        self.loss = loss.bind(model.dim)

    def forward(
        self, batch: dict[str, Tensor], instead: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """What `TrainingSet.batch` made of R rows -> the loss, a scalar; or, `instead`, that of the embeddings (R, C, H)."""
        inputs = {name: tensor for name, tensor in batch.items() if name not in ("labels", "texts")}
        columns = self.loss.arrange(self.model(**inputs), batch["texts"][:, 1:] >= 0)
        return (
            instead(torch.stack(columns, 1))
            if instead
            else self.loss(columns, batch.get("labels"), batch["texts"])
        )


@dataclass
class TrainingSet:
    """All training rows in the form that batches are cut from: a token table, (N, C) texts of it (-1 for none), labels."""

    model: Encoder
    table: TokenTable
    texts: np.ndarray
    labels: np.ndarray | None
    sizes: tuple[int, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, datasets: Sequence[Rows], model: Encoder) -> "TrainingSet":
        """Tokenise several datasets, every distinct text once."""
        width = max(len(rows.texts) for rows in datasets)
        texts = [rows.texts + [[None] * len(rows)] * (width - len(rows.texts)) for rows in datasets]
        table, index = tokenize_columns(
            model.texts, [sum(columns, []) for columns in zip(*texts, strict=True)]
        )
        labels = None if datasets[0].labels is None else _stack([rows.labels for rows in datasets])
        weights = tuple(rows.weight for rows in datasets if rows.weight is not None)
        return cls(model, table, index, labels, tuple(map(len, datasets)), weights)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) tokens of the longest thing that the model reads of each row."""
        return self.model.lengths(self.table, self.texts)

    def batch(self, rows: np.ndarray) -> dict[str, Tensor]:
        """The model's inputs for some rows, their labels, and the numbers of their texts (B, C), -1 for none."""
        texts, labels = self.texts_and_labels(rows)
        batch = self.model.inputs(self.table, self.texts[rows]) | {"texts": texts}
        return batch if labels is None else batch | {"labels": labels}

    def texts_and_labels(self, rows: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """The numbers of the texts (B, C) and the labels (B,) of some rows."""
        return torch.from_numpy(
            self.texts[rows]
        ), None if self.labels is None else torch.from_numpy(self.labels[rows])


def _stack(labels: Sequence[np.ndarray]) -> np.ndarray:
    """The labels of several datasets; of margins (N, K), whose K differ, NaN where a dataset has none."""
    if labels[0].ndim == 1:
        return np.concatenate(labels)
    width = max(part.shape[1] for part in labels)
    return np.concatenate(
        [
            np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=np.nan)
            for part in labels
        ]
    )


def check_fit(loss: Loss, datasets: Sequence[Rows]) -> None:
    """Refuse data that a loss cannot read: number of columns, kind and range of labels, classes, mixed weights."""
    name = type(loss).__name__
    tasks = {
        "score": ("sts", "binary"),
        "binary": ("binary",),
        "class": ("nli",),
        "margin": ("triplet",),
    }.get(loss.target, ("pair", "triplet") if loss.columns == 2 else ("triplet",))
    for rows in datasets:
        width = len(rows.texts)
        if rows.task not in tasks or not (
            width == loss.columns or loss.ragged and width > loss.columns
        ):
            raise InputError(
                f"{name} reads {loss.columns}{' or more' if loss.ragged else ''} texts and {loss.target or 'no'} labels "
                f"(task {' or '.join(tasks)}); {rows.name} has {width} texts, task {rows.task}"
            )
        if rows.classes and len(rows.classes) != loss.whole.num_labels:
            raise InputError(
                f"{name}: num_labels is {loss.whole.num_labels}, {rows.name} has {len(rows.classes)} classes"
            )
        if rows.classes != datasets[0].classes:
            raise InputError(
                f"{rows.name}: classes {rows.classes}, {datasets[0].name} has {datasets[0].classes}"
            )
        if (rows.labels is None) == (loss.target is not None):
            wrong = (
                "has no labels; declare the column of the margins as label"
                if loss.target
                else "has labels"
            )
            raise InputError(f"{name} reads {loss.target or 'no'} labels; {rows.name} {wrong}")
        if loss.target not in (None, "margin"):
            check_labels(loss, rows)
    if len({rows.weight is None for rows in datasets}) > 1:
        raise InputError("data.train: either every dataset has a weight or none has")


def check_labels(loss: Loss, rows: Rows) -> None:
    """Refuse labels outside [0, 1], for which a binary cross-entropy has no lower bound, and classes outside 0..K-1."""
    labels, name = rows.labels, type(loss).__name__
    if loss.target == "class":
        bad = ~(
            (labels >= 0) & (labels < loss.whole.num_labels) & (labels == labels.round())
        )  # NaN too
        right = f"its classes are 0 to {loss.whole.num_labels - 1}"
    else:
        bad = ~((labels >= 0) & (labels <= 1))
        right = "its labels lie in [0, 1]: divide by the highest, or declare range, the file's lowest and highest score"
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{rows.name}, row {row}: the label {labels[row]:g} does not fit {name}: {right}"
        )
