"""Losses of the Sentence-BERT family: columns of sentence embeddings in, one scalar out. They train a bi-encoder; those of
`cross_losses.py` train a cross-encoder.

A loss is called as `loss(columns, labels)`: `columns` is a sequence of C tensors (B, H), one a text column of the data, and
`labels` is (B,) or None. Half types are lifted to fp32 and autocast is off inside, whatever surrounds the call. Weights
that depend on H are made by `bind(H)`, which the training loop calls before it makes the optimiser. Every option is kept as
an attribute of the same name, so that a trained loss can be saved and made again.

To add one: write a subclass here, with `columns` and `target` set, and rewrite it as a plain loop in `tests/test_losses.py`.
The class name is the name in a configuration, and the signature of `__init__` its options.
"""

import abc
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import InputError

Distance = Literal["euclidean", "manhattan", "cosine"]

DISTANCES = {
    # vector_norm, and not sqrt of a sum: its gradient at distance 0 is 0 and not NaN
    "euclidean": lambda a, b: torch.linalg.vector_norm(a - b, dim=-1),
    "manhattan": lambda a, b: (a - b).abs().sum(dim=-1),
    "cosine": lambda a, b: 1 - F.cosine_similarity(a, b, dim=-1),
}


def lift_to_fp32(x: Tensor) -> Tensor:
    """Half types to fp32; fp64 stays."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def check_distance(name: str) -> str:
    if name not in DISTANCES:
        raise InputError(f"distance: unknown value '{name}'; known: {', '.join(DISTANCES)}")
    return name


class Loss(nn.Module, abc.ABC):
    """Base of all losses. `columns`: how many text columns it reads, or, with `ragged`, how many at least; `target`: the
    kind of label it needs ("score" in [0, 1], "binary" 0 or 1, "class" 0..K-1, "margin" differences of scores, None for no
    label). `joint`: the loss of a batch is not the mean over its rows: it compares them, and is given all of them."""

    columns: int = 2
    ragged: bool = False
    target: Literal["score", "binary", "class", "margin"] | None = "score"
    joint: bool = False

    @property
    def whole(self) -> "Loss":
        """The loss of the embeddings in full; another one for a loss of several sizes."""
        return self

    def bind(self, dim: int) -> "Loss":
        """Create the weights that depend on the embedding size `dim`. Most losses have none."""
        return self

    def arrange(self, outputs: Tensor, there: Tensor | None = None) -> Sequence[Tensor]:
        """What the model made of the texts of a batch, (texts, H) column after column, as what `forward` reads: C tensors
        (B, H), zero where a text after the first is not `there` (B, C - 1)."""
        if not self.ragged or there is None:
            return outputs.chunk(self.columns)
        mask = torch.cat([torch.ones_like(there[:, :1]), there], dim=1).T
        full = outputs.new_zeros(mask.numel(), outputs.shape[1]).masked_scatter(
            mask.reshape(-1, 1), outputs
        )
        return full.chunk(len(mask))

    def forward(
        self, columns: Sequence[Tensor], labels: Tensor | None = None, texts: Tensor | None = None
    ) -> Tensor:
        with torch.autocast(columns[0].device.type, enabled=False):
            lifted = [lift_to_fp32(column) for column in columns]
            return (
                self.compute(lifted, labels, texts) if self.joint else self.compute(lifted, labels)
            )

    @abc.abstractmethod
    def compute(self, columns: Sequence[Tensor], labels: Tensor | None) -> Tensor:
        """The formula: C tensors (B, H) of fp32 or fp64, labels (B,) -> a scalar. Of a joint loss also `texts` (B, C)."""


Similarity = Literal["cosine", "dot"]


def normalized_columns(columns: Sequence[Tensor], similarity: str) -> list[Tensor]:
    """Columns whose inner products are the similarity."""
    return (
        [F.normalize(column, dim=-1) for column in columns]
        if similarity == "cosine"
        else list(columns)
    )


class JointLoss(Loss):
    """Base of the losses that need all rows of a batch at once."""

    joint = True
