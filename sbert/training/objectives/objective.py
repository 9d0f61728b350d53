"""What is trained, and on what: `Objective` is a model and losses, `TrainingSet` the tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from sbert.data.rows import Rows
from sbert.data.text_column import TextColumn
from sbert.evaluation.prompts import column_prompts
from sbert.losses.base import Loss
from sbert.models.dropout import replace_dropout
from sbert.models.encoder import Encoder
from sbert.models.token_table import TokenTable
from sbert.models.tokens import tokenize_columns
from sbert.training.objectives.distillation import Targets

Draw = tuple[int, int]  # seed and step
TokenizeColumns = Callable[..., tuple[TokenTable, np.ndarray]]


class Objective(nn.Module):
    """A model and its losses under one module: everything that has weights.

    `forward(batch)` is the loss, so that a loss head is optimised, saved, resumed and synchronised
    like the rest. There is one loss, or one for each dataset.
    """

    def __init__(self, model: Encoder, *losses: Loss):
        super().__init__()
        self.model = model
        self.losses = nn.ModuleList(self.bind(loss) for loss in losses)

    def bind(self, loss: Loss) -> Loss:
        """Create the weights of a loss that depend on the model."""
        return loss.bind(self.model.dim)

    def forward(self, batch: dict[str, Tensor], which: int = 0, embed_only: bool = False) -> Tensor:
        """The loss of a batch of R rows from `TrainingSet.batch`, a scalar.

        which: the number of the loss.
        embed_only: return the embeddings that the loss would read, (R, C, H).
        """
        inputs = {name: tensor for name, tensor in batch.items() if name not in ("labels", "texts")}
        texts, loss = batch["texts"], self.losses[which]  # (R, C)
        columns = loss.split_outputs(self.model(**inputs), texts[:, 1:] >= 0)  # C x (R, H)
        value = torch.stack(columns, 1) if embed_only else loss(columns, batch.get("labels"), texts)
        for weight in self.other_weights(which):
            # processes that share a step wait for a gradient of every weight
            value = value + 0 * weight.sum()
        return value

    def other_weights(self, which: int) -> list[nn.Parameter]:
        """The trained weights of all losses but one, which a step of that one must not move."""
        others = [loss for i, loss in enumerate(self.losses) if i != which]
        return [weight for loss in others for weight in loss.parameters() if weight.requires_grad]


def prepare_for_device(objective: Objective, device: torch.device, compiled: bool) -> None:
    """Move an objective to a device; replace its dropout on a CPU; compile its transformer."""
    objective.to(device)
    if device.type == "cpu":
        replace_dropout(objective)
    if compiled:
        objective.model.transformer.compile(dynamic=True)


@dataclass
class TrainingSet:
    """The N training rows of a loss as tokens, from which batches are cut.

    texts: (N, C) indices into `table`, -1 where a row has no text. labels: (N,), margins (N, K), or
    a teacher's embeddings (N, H). sizes: the number of rows of each dataset. weights: of each
    dataset, or empty. cuts: what `max_length` cuts from each dataset, None for nothing.
    """

    model: Encoder
    table: TokenTable
    texts: np.ndarray
    labels: np.ndarray | Targets | None
    sizes: tuple[int, ...]
    weights: tuple[float, ...]
    cuts: tuple[str | None, ...] = ()

    @classmethod
    def from_datasets(
        cls, datasets: Sequence[Rows], model: Encoder, tokenize: TokenizeColumns = tokenize_columns
    ) -> "TrainingSet":
        """Tokenise the texts of several datasets with their prompts, each distinct one once.

        Args:
            tokenize: `tokenize_columns`, or that of `TokenFiles`.

        Raises:
            InputError: a prompt that the model does not have, or that leaves no room for a text.
        """
        table, index = _tokenize_datasets(datasets, model, tokenize)
        labels = _concatenate_labels([rows.labels for rows in datasets])
        sizes = tuple(len(rows) for rows in datasets)
        weights = tuple(rows.weight for rows in datasets if rows.weight is not None)
        parts = np.split(index, np.cumsum(sizes)[:-1])  # the rows of each dataset
        cuts = tuple(model.text_tokenizer.describe_cut(table, part) for part in parts)
        return cls(model, table, index, labels, sizes, weights, cuts)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) tokens of the longest sequence that the model reads of each row."""
        return self.model.lengths(self.table, self.texts)

    def classes_for(self, loss: Loss) -> np.ndarray:
        """(N,) the class of each row, if batches of the loss need classmates; else -1."""
        return self.labels if loss.needs_classmates else np.full(len(self), -1)

    def token_ids(self) -> np.ndarray:
        """The ids of all tokens that are trained: at least those that batches can have."""
        return np.union1d(self.table.distinct_ids(), self.model.text_tokenizer.added_ids)

    def batch(self, rows: np.ndarray, draw: Draw = (0, 0)) -> dict[str, Tensor]:
        """The model's inputs for R rows, with their `texts` (R, C) and, if any, `labels`.

        draw: what random choices in them are a function of, beside the row.
        """
        texts, labels = self.texts_and_labels(rows)
        batch = self.model.inputs(self.table, self.texts[rows]) | {"texts": texts}
        if labels is not None:
            batch["labels"] = labels
        return batch

    def count_targets(self, rows: np.ndarray, draw: Draw = (0, 0)) -> np.ndarray:
        """(R,), how many values of each row the loss of a batch is the mean over."""
        return np.ones(len(rows), int)

    def texts_and_labels(self, rows: np.ndarray) -> tuple[Tensor, Tensor | None]:
        """The ids of the texts, (R, C), equal for equal texts whatever their prompts, -1 where a
        row has none; and the labels of R rows."""
        labels = None if self.labels is None else torch.from_numpy(self.labels[rows])
        ids, text_ids = self.texts[rows], self.table.text_ids
        if text_ids is not None:
            ids = np.where(ids < 0, -1, text_ids[ids])
        return torch.from_numpy(ids), labels


def _tokenize_datasets(
    datasets: Sequence[Rows], model: Encoder, tokenize: TokenizeColumns
) -> tuple[TokenTable, np.ndarray]:
    """The table of all texts, and the rows (N, C) of all datasets in it."""
    parts = []  # the texts of each dataset by their column and its prompt
    for rows in datasets:
        prompts = [prompt.text for prompt in column_prompts(rows, model)]
        parts.append(dict(zip(enumerate(prompts), rows.texts, strict=True)))
    keys = list(dict.fromkeys(chain(*parts)))
    columns = []
    for key in keys:
        own = []  # the column of each dataset
        for part, rows in zip(parts, datasets, strict=True):
            own.append(part.get(key) or [None] * len(rows))
        columns.append(own[0] if len(own) == 1 else TextColumn(chain(*own)))
    table, cells = tokenize(model.text_tokenizer, columns, [prompt for _, prompt in keys])
    if [column for column, _ in keys] == list(range(len(keys))):  # a key for each column
        return table, cells
    index = np.full((len(cells), max(len(rows.texts) for rows in datasets)), -1)
    for (column, _), own in zip(keys, cells.T, strict=True):  # each cell is in one of them
        index[:, column] = np.maximum(index[:, column], own)
    return table, index


def _concatenate_labels(labels: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Labels (N,), or margins (N, K) padded with NaN to the widest of the datasets, or None."""
    if labels[0] is None:
        return None
    if labels[0].ndim == 1:
        return np.concatenate(labels)
    width = max(part.shape[1] for part in labels)
    return np.concatenate(
        [
            np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=np.nan)
            for part in labels
        ]
    )
