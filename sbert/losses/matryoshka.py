"""A loss at several embedding sizes (Matryoshka representation learning)."""

import copy
from collections.abc import Sequence

from torch import nn

from sbert.errors import require
from sbert.losses.base import Loss, check_positive
from sbert.losses.cross_encoder import PairLoss


class MatryoshkaLoss(Loss):
    """sum_d weight_d loss(first d dimensions of every embedding), d over `dims`.

    The embeddings can then be truncated to any of these sizes (Kusupati et al. 2022, arXiv
    2205.13147, equation 1). Each size has its own copy of the loss, with its own weights.

    Args:
        loss: any loss of a bi-encoder but EmbeddingMSELoss and MaskedLanguageModelLoss.
        dims: the sizes; the largest must be the model's own.
        weights: one for each size; null for 1 each.

    Raises:
        InputError: sizes that repeat or are below 1, another number of weights, or a loss that
            reads a teacher's embeddings, which have one size, or no embeddings, as that of a
            cross-encoder.
    """

    def __init__(self, loss: Loss, dims: Sequence[int], weights: Sequence[float] | None = None):
        super().__init__()
        require(
            dims and len(set(dims)) == len(dims) and min(dims) > 0,
            f"MatryoshkaLoss.dims is {list(dims)}; it must list different sizes of 1 or more, "
            "the model's own among them",
        )
        self.dims = list(dims)
        self.weights = [1.0] * len(dims) if weights is None else list(weights)
        require(
            len(self.weights) == len(dims),
            f"MatryoshkaLoss.weights: {len(self.weights)} weights for {len(dims)} dims; "
            "give one for each",
        )
        for weight in self.weights:
            check_positive(self, "weights", weight)
        require(
            loss.target != "embedding",
            f"MatryoshkaLoss.loss: {type(loss).__name__} compares embeddings at full size only",
        )
        require(
            not loss.reads_tokens,
            f"MatryoshkaLoss.loss: {type(loss).__name__} reads tokens, not embeddings",
        )
        require(
            not isinstance(loss, PairLoss),
            f"MatryoshkaLoss.loss: {type(loss).__name__} reads scores of pairs, not embeddings",
        )
        self.losses = nn.ModuleList(copy.deepcopy(loss) for _ in dims)
        # it reads what the loss reads
        self.columns = loss.columns
        self.ragged = loss.ragged
        self.target = loss.target
        self.joint = loss.joint
        self.needs_classmates = loss.needs_classmates

    @property
    def full_loss(self):
        return self.losses[self.dims.index(max(self.dims))]

    def bind(self, dim):
        require(
            max(self.dims) == dim,
            f"MatryoshkaLoss.dims: the largest is {max(self.dims)}; "
            f"it must be the model's embedding size, {dim}",
        )
        for loss, size in zip(self.losses, self.dims, strict=True):
            loss.bind(size)
        return self

    def compute(self, columns, labels, texts=None):
        total = 0
        for loss, size, weight in zip(self.losses, self.dims, self.weights, strict=True):
            truncated = [column[:, :size] for column in columns]  # C tensors (B, size)
            total = total + weight * loss(truncated, labels, texts)
        return total
