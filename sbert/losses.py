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
Part = Literal["u", "v", "|u-v|", "u*v"]

DISTANCES = {
    # vector_norm, and not sqrt of a sum: its gradient at distance 0 is 0 and not NaN
    "euclidean": lambda a, b: torch.linalg.vector_norm(a - b, dim=-1),
    "manhattan": lambda a, b: (a - b).abs().sum(dim=-1),
    "cosine": lambda a, b: 1 - F.cosine_similarity(a, b, dim=-1),
}

PARTS = {
    "u": lambda u, v: u,
    "v": lambda u, v: v,
    "|u-v|": lambda u, v: (u - v).abs(),
    "u*v": lambda u, v: u * v,
}


def lift(x: Tensor) -> Tensor:
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
        full = outputs.new_zeros(mask.numel(), outputs.shape[1]).masked_scatter(mask.reshape(-1, 1), outputs)
        return full.chunk(len(mask))

    def forward(self, columns: Sequence[Tensor], labels: Tensor | None = None, texts: Tensor | None = None) -> Tensor:
        with torch.autocast(columns[0].device.type, enabled=False):
            lifted = [lift(column) for column in columns]
            return self.compute(lifted, labels, texts) if self.joint else self.compute(lifted, labels)

    @abc.abstractmethod
    def compute(self, columns: Sequence[Tensor], labels: Tensor | None) -> Tensor:
        """The formula: C tensors (B, H) of fp32 or fp64, labels (B,) -> a scalar. Of a joint loss also `texts` (B, C)."""


class CosineSimilarityLoss(Loss):
    """Regression on the cosine: mean_i (a cos(u_i, v_i) + b - y_i)^2 (Sentence-BERT, section 3, "Regression Objective").

    Args:
        learnable_scale: learn a and b, started at a = 1, b = 0; otherwise they stay there. A monotone map of the
            cosine leaves every rank correlation as it is: it frees the encoder from matching the scale of the labels.
    """

    def __init__(self, learnable_scale: bool = False):
        super().__init__()
        self.learnable_scale = learnable_scale
        self.scale = nn.Parameter(torch.ones(()), requires_grad=learnable_scale)
        self.shift = nn.Parameter(torch.zeros(()), requires_grad=learnable_scale)

    def compute(self, columns, labels):
        u, v = columns
        return F.mse_loss(self.scale * F.cosine_similarity(u, v, dim=-1) + self.shift, labels.to(u.dtype))


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
            raise InputError(f"SoftmaxLoss: concatenation {list(concatenation)}: parts are {', '.join(PARTS)}")
        if num_labels < 2:
            raise InputError(f"SoftmaxLoss: num_labels is {num_labels}; a classification needs 2 or more")
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


class TripletLoss(Loss):
    """mean_i max(d(a_i, p_i) - d(a_i, n_i) + margin, 0) (Sentence-BERT, section 3, "Triplet Objective").

    Args:
        margin: 1 in the paper, in units of the distance.
        distance: euclidean in the paper; cosine is 1 - cos.
    """

    columns = 3
    target = None

    def __init__(self, margin: float = 1.0, distance: Distance = "euclidean"):
        super().__init__()
        self.margin = margin
        self.distance = check_distance(distance)

    def compute(self, columns, labels=None):
        anchor, positive, negative = columns
        d = DISTANCES[self.distance]
        return F.relu(d(anchor, positive) - d(anchor, negative) + self.margin).mean()


class ContrastiveLoss(Loss):
    """mean_i 1/2 [y_i d_i^2 + (1 - y_i) max(margin - d_i, 0)^2], y = 1 for a similar pair (Hadsell, Chopra and LeCun 2006,
    equation 4, with the label turned round).

    Args:
        margin: dissimilar pairs further apart than this no longer count.
        distance: cosine is 1 - cos.
    """

    target = "binary"

    def __init__(self, margin: float = 0.5, distance: Distance = "cosine"):
        super().__init__()
        self.margin = margin
        self.distance = check_distance(distance)

    def compute(self, columns, labels):
        u, v = columns
        y = labels.to(u.dtype)
        d = DISTANCES[self.distance](u, v)
        return 0.5 * (y * d.square() + (1 - y) * F.relu(self.margin - d).square()).mean()
