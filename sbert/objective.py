"""What is trained, and on what: `Objective` joins a model and a loss, `TrainingSet` holds the tokenised rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sbert.batching import TokenTable, pad, tabulate
from sbert.bi_encoder import BiEncoder
from sbert.data import Rows
from sbert.errors import InputError
from sbert.losses import Loss


class Objective(nn.Module):
    """Everything that has weights: `forward(batch)` is the loss, so a loss head trains, saves and resumes like the rest."""

    def __init__(self, model: BiEncoder, loss: Loss):
        super().__init__()
        self.model = model
        self.loss = loss.bind(model.dim)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """`input_ids`, `attention_mask` (C * B, L), column after column; `labels` (B,) -> the loss, a scalar."""
        embeddings = self.model(batch["input_ids"], batch["attention_mask"])
        return self.loss(embeddings.chunk(self.loss.columns), batch.get("labels"))


@dataclass
class TrainingSet:
    """All training rows in the form that batches are cut from: a token table, (N, C) texts of it, (N,) labels."""

    table: TokenTable
    texts: np.ndarray
    labels: np.ndarray | None
    sizes: tuple[int, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, datasets: Sequence[Rows], model: BiEncoder) -> "TrainingSet":
        """Tokenise several datasets, every distinct text once."""
        columns = [[text for rows in datasets for text in rows.texts[c]] for c in range(len(datasets[0].texts))]
        table, texts = tabulate(model.texts, columns)
        labels = None if datasets[0].labels is None else np.concatenate([rows.labels for rows in datasets])
        weights = tuple(rows.weight for rows in datasets if rows.weight is not None)
        return cls(table, texts, labels, tuple(map(len, datasets)), weights)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) tokens of the longest text of each row."""
        return self.table.lengths[self.texts].max(axis=1)

    def batch(self, rows: np.ndarray, model: BiEncoder, device: torch.device) -> dict[str, Tensor]:
        ids, mask = pad(self.table, self.texts[rows].T.ravel(), model.texts.pad_id, model.texts.left)
        batch = {"input_ids": ids, "attention_mask": mask}
        if self.labels is not None:
            batch["labels"] = torch.from_numpy(self.labels[rows])
        return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}


def check_fit(loss: Loss, datasets: Sequence[Rows]) -> None:
    """Refuse data that a loss cannot read: number of columns, kind of label, number of classes, mixed weights."""
    name = type(loss).__name__
    tasks = {"score": ("sts", "binary"), "binary": ("binary",), "class": ("nli",), None: ("triplet",)}[loss.target]
    for rows in datasets:
        if rows.task not in tasks or len(rows.texts) != loss.columns:
            raise InputError(
                f"{name} reads {loss.columns} texts and {loss.target or 'no'} labels (task {' or '.join(tasks)}); "
                f"{rows.name} has {len(rows.texts)} texts, task {rows.task}"
            )
        if rows.classes and len(rows.classes) != loss.num_labels:
            raise InputError(f"{name}: num_labels is {loss.num_labels}, {rows.name} has {len(rows.classes)} classes")
        if rows.classes != datasets[0].classes:
            raise InputError(f"{rows.name}: classes {rows.classes}, {datasets[0].name} has {datasets[0].classes}")
    if len({rows.weight is None for rows in datasets}) > 1:
        raise InputError("data.train: either every dataset has a weight or none has")
