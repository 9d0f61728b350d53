"""The classification objective of Sentence-BERT, for pairs and for single texts."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import require
from sbert.losses.base import Loss

Part = Literal["u", "v", "|u-v|", "u*v"]

# (B, H), (B, H) -> (B, H); "u" needs no second text
PARTS = {
    "u": lambda u, v: u,
    "v": lambda u, v: v,
    "|u-v|": lambda u, v: (u - v).abs(),
    "u*v": lambda u, v: u * v,
}


class SoftmaxLoss(Loss):
    """mean_i -log softmax(W [parts of u_i and v_i] + b)[y_i], y_i in 0..K-1.

    Sentence-BERT (arXiv 1908.10084), section 3, "Classification Objective Function"; its table 6
    compares the concatenations. W and b are learnt.

    With the part u alone a row is a single text: mean_i -log softmax(W u_i + b)[y_i].

    Args:
        num_labels: number of classes K; 3 for natural language inference.
        concatenation: the parts that the classifier sees, in this order; [u] for single texts.

    Raises:
        InputError: fewer than 2 classes, no part or an unknown one.
    """

    target = "class"

    def __init__(self, num_labels: int = 3, concatenation: Sequence[Part] = ("u", "v", "|u-v|")):
        super().__init__()
        require(
            concatenation and set(concatenation) <= set(PARTS),
            f"SoftmaxLoss.concatenation: invalid value {list(concatenation)}; "
            f"give one or more of {', '.join(PARTS)}",
        )
        require(num_labels >= 2, f"SoftmaxLoss.num_labels is {num_labels}; it must be 2 or more")
        self.num_labels = num_labels
        self.concatenation = list(concatenation)
        self.columns = 1 if set(concatenation) == {"u"} else 2
        self.head: nn.Linear | None = None

    def bind(self, dim):
        if self.head is None:
            self.head = nn.Linear(len(self.concatenation) * dim, self.num_labels)
        return self

    def logits(self, u: Tensor, v: Tensor | None = None) -> Tensor:
        """(B, H) and, of pairs, (B, H) -> (B, K)."""
        parts = [PARTS[part](u, v) for part in self.concatenation]
        return self.head(torch.cat(parts, dim=-1))

    def compute(self, columns, labels):
        return F.cross_entropy(self.logits(*columns), labels)
