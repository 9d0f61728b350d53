"""The classification objective of Sentence-BERT."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import InputError
from sbert.losses.base import Loss

Part = Literal["u", "v", "|u-v|", "u*v"]

PARTS = {
    "u": lambda u, v: u,
    "v": lambda u, v: v,
    "|u-v|": lambda u, v: (u - v).abs(),
    "u*v": lambda u, v: u * v,
}


class SoftmaxLoss(Loss):
    """Classification of pairs: cross-entropy of softmax(W [parts of u and v] + b) (Sentence-BERT, section 3,
    "Classification Objective"; the seven concatenations are its table 6).

    Args:
        num_labels: K classes; 3 for natural language inference.
        concatenation: which parts of the pair the classifier sees, in this order.
    """

    target = "class"

    def __init__(self, num_labels: int = 3, concatenation: Sequence[Part] = ("u", "v", "|u-v|")):
        super().__init__()
        unknown = [part for part in concatenation if part not in PARTS]
        if unknown or not concatenation:
            raise InputError(
                f"SoftmaxLoss: concatenation {list(concatenation)}: parts are {', '.join(PARTS)}"
            )
        if num_labels < 2:
            raise InputError(
                f"SoftmaxLoss: num_labels is {num_labels}; a classification needs 2 or more"
            )
        self.num_labels = num_labels
        self.concatenation = list(concatenation)
        self.head: nn.Linear | None = None

    def bind(self, dim):
        if self.head is None:
            self.head = nn.Linear(len(self.concatenation) * dim, self.num_labels)
        return self

    def logits(self, u: Tensor, v: Tensor) -> Tensor:
        """(B, H), (B, H) -> (B, K)."""
        return self.head(torch.cat([PARTS[part](u, v) for part in self.concatenation], dim=-1))

    def compute(self, columns, labels):
        return F.cross_entropy(self.logits(*columns), labels)
