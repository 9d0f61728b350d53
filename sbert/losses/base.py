"""The base class of all losses: how a loss is called, and what a new one has to define."""

import abc
import math
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import require

# similarities that are dot products, of unit vectors for cosine
DotSimilarity = Literal["cosine", "dot"]


class Loss(nn.Module, abc.ABC):
    """Base class of all losses: embeddings of the text columns of a batch in, a scalar out.

    A new loss of a bi-encoder is one subclass with one method. Copy this one:

        class MarginLoss(Loss):
            '''mean_i max(0, |cos(u_i, v_i) - y_i| - margin).

            Args:
                margin: errors up to this size cost nothing.
            '''

            columns = 2  # two texts in a row
            target = "score"  # and a label in [0, 1]

            def __init__(self, margin: float = 0.1):
                super().__init__()
                self.margin = margin  # keep every option as an attribute of the same name

            def compute(self, columns, labels):
                u, v = columns  # (B, H) each, fp32
                errors = (F.cosine_similarity(u, v, dim=-1) - labels).abs()  # (B,)
                return F.relu(errors - self.margin).mean()

    Its options are the arguments of `__init__`: `--loss MarginLoss --loss.margin 0.2` if it is
    listed in `sbert.losses`, `--loss my_losses.MarginLoss` if it is in a module of your own. A
    loss with weights creates those that depend on H in `bind`. A loss that compares the rows of a
    batch with each other is a subclass of `JointLoss`; a loss of a cross-encoder, of `PairLoss`.

    Attributes:
        columns: number of text columns C; with `ragged`, the smallest number.
        ragged: a row may have more columns, and further texts of a row may be missing.
        target: the labels it reads: "score" in [0, 1], "binary" 0 or 1, "class" 0..K-1, "margin"
            differences of a teacher's scores, "embedding" a teacher's embedding of the first text,
            None for no labels.
        joint: the loss of a batch is not the mean of the losses of its rows, see `JointLoss`.
        num_labels: the number of classes K that it tells apart; None for any number of them.
        needs_classmates: a batch that has a row of a class must have another row of the class.
        reads_tokens: it reads the states of tokens instead of embeddings, of every text of any
            rows; see `MaskedLanguageModelLoss`.
    """

    columns: int = 2
    ragged: bool = False
    target: Literal["score", "binary", "class", "margin", "embedding"] | None = "score"
    joint: bool = False
    num_labels: int | None = None
    needs_classmates: bool = False
    reads_tokens: bool = False

    @property
    def full_loss(self) -> "Loss":
        """The loss of the embeddings at full size; `MatryoshkaLoss` has one for each size."""
        return self

    def bind(self, dim: int) -> "Loss":
        """Create the weights that depend on the embedding size H = `dim`, and return the loss.

        It is called before the optimiser is made. Most losses have no such weights.
        """
        return self

    def restore(self, weights: Mapping[str, Tensor], dim: int) -> "Loss":
        """Give a loss the trained weights that `state_dict` gave, and return it."""
        self.bind(dim).load_state_dict(weights)
        return self

    def split_outputs(self, outputs: Tensor, present: Tensor | None = None) -> Sequence[Tensor]:
        """Split what the model returns for a batch into the columns that `forward` reads.

        Args:
            outputs: (T, H) embeddings of the T texts of the batch, column after column.
            present: (B, C - 1), which of the texts after the first a row has; None for all.

        Returns:
            C tensors (B, H), zero where a text is missing.
        """
        if not self.ragged or present is None:
            return outputs.chunk(self.columns)
        first = torch.ones_like(present[:, :1])  # every row has its first text
        mask = torch.cat([first, present], dim=1).T  # (C, B)
        zeros = outputs.new_zeros(*mask.shape, outputs.shape[1])  # (C, B, H)
        return zeros.masked_scatter(mask[:, :, None], outputs).unbind()

    def forward(
        self, columns: Sequence[Tensor], labels: Tensor | None = None, texts: Tensor | None = None
    ) -> Tensor:
        """The loss of a batch, in fp32 or fp64 whatever the type of the embeddings.

        Args:
            columns: C tensors (B, H).
            labels: (B,), or what the target of the loss says; None for a loss that reads none.
            texts: (B, C) ids of the texts, see `JointLoss`; other losses ignore them.
        """
        with torch.autocast(columns[0].device.type, enabled=False):
            columns = [lift_to_fp32(column) for column in columns]
            if self.joint:
                return self.compute(columns, labels, texts)
            return self.compute(columns, labels)

    @abc.abstractmethod
    def compute(self, columns: Sequence[Tensor], labels: Tensor | None) -> Tensor:
        """The formula: C tensors (B, H) in fp32 or fp64 and labels (B,) -> a scalar."""


class JointLoss(Loss):
    """Base class of the losses that compare the rows of a batch with each other.

    `compute(columns, labels, texts)` is given all rows of the batch at once, however many
    processes and parts computed their embeddings (see `sbert.training.objectives.grad_cache`).
    `texts` (B, C) are ids: equal for equal texts, -1 for a missing text; None if all texts differ.
    """

    joint = True


def lift_to_fp32(x: Tensor) -> Tensor:
    """fp16 and bf16 as fp32; fp32 and fp64 unchanged."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def normalize_columns(columns: Sequence[Tensor], similarity: DotSimilarity) -> Sequence[Tensor]:
    """Scale embeddings (B, H) such that their dot product is the similarity."""
    if similarity == "dot":
        return columns
    return [F.normalize(column, dim=-1) for column in columns]


def check_margin(loss: Loss, margin: float) -> float:
    """Return a margin if it is a finite number from 0 upwards.

    Raises:
        InputError: any other value.
    """
    require(
        0 <= margin < math.inf,
        f"{type(loss).__name__}.margin is {margin:g}; it must be a finite number from 0 upwards",
    )
    return margin


def check_positive(loss: Loss, option: str, value: float) -> float:
    """Return the value of an option if it is a finite number above 0.

    Raises:
        InputError: any other value.
    """
    require(
        0 < value < math.inf,
        f"{type(loss).__name__}.{option} is {value:g}; it must be a finite number above 0",
    )
    return value


def check_choice(loss: Loss, option: str, value: str, choices: object) -> str:
    """Return the value of an option if it is one of the choices, a `Literal` of names.

    Raises:
        InputError: any other value.
    """
    names = get_args(choices)
    require(
        value in names,
        f"{type(loss).__name__}.{option}: unknown value '{value}'; known: {', '.join(names)}",
    )
    return value
