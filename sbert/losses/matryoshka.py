"""A loss over several embedding sizes (Matryoshka representation learning)."""

import copy
from collections.abc import Sequence

from torch import nn

from sbert.errors import InputError
from sbert.losses.base import Loss


class MatryoshkaLoss(Loss):
    """sum_d weight_d loss(first d numbers of every embedding), d over `dims`: embeddings that can be cut short (Kusupati et
    al. 2022, equation 1). Each d has a loss of its own, so that a loss with weights learns them for its d.

    Args:
        loss: any loss of a bi-encoder.
        dims: the sizes; the largest is the model's own.
        weights: one for each size; 1 where left out.
    """

    def __init__(self, loss: Loss, dims: Sequence[int], weights: Sequence[float] | None = None):
        super().__init__()
        if not dims or len(set(dims)) < len(dims) or min(dims) < 1:
            raise InputError(
                f"MatryoshkaLoss: dims {list(dims)}: different sizes from 1 up, the model's own among them"
            )
        if weights is not None and len(weights) != len(dims):
            raise InputError(
                f"MatryoshkaLoss: {len(weights)} weights for {len(dims)} dims; one for each"
            )
        self.dims, self.weights = (
            list(dims),
            [1.0] * len(dims) if weights is None else list(weights),
        )
        self.columns, self.ragged, self.target, self.joint = (
            loss.columns,
            loss.ragged,
            loss.target,
            loss.joint,
        )
        self.losses = nn.ModuleList(copy.deepcopy(loss) for _ in dims)

    @property
    def whole(self) -> Loss:
        return self.losses[self.dims.index(max(self.dims))]

    def bind(self, dim):
        if max(self.dims) != dim:
            raise InputError(
                f"MatryoshkaLoss: the largest of dims is {max(self.dims)}; the model's embeddings have {dim}"
            )
        for loss, size in zip(self.losses, self.dims, strict=True):
            loss.bind(size)
        return self

    def compute(self, columns, labels, texts=None):
        shared = (labels, texts) if self.joint else (labels,)
        parts = (
            loss.compute([c[:, :d] for c in columns], *shared)
            for loss, d in zip(self.losses, self.dims, strict=True)
        )
        return sum(weight * part for weight, part in zip(self.weights, parts, strict=True))
