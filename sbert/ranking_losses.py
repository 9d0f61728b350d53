"""Losses of a bi-encoder that compare the rows of a batch with each other, and others that learn an order.

A joint loss is a function of the whole batch: `loss(columns, labels, texts)` with columns of (B, H), labels (B,) or None, and
`texts` (B, C), the number of each text, equal for equal texts and -1 for one that is not there; None: all differ. The training
loop gives it all rows of a batch, however many processes and parts computed their embeddings (see `sbert.joint`).
"""

import copy
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import InputError
from sbert.losses import Loss

Similarity = Literal["cosine", "dot"]


def _prepare(columns: Sequence[Tensor], similarity: str) -> list[Tensor]:
    """Columns whose inner products are the similarity."""
    return [F.normalize(column, dim=-1) for column in columns] if similarity == "cosine" else list(columns)


def known_positives(anchors: Tensor, positives: Tensor, candidates: Tensor) -> Tensor:
    """(B, N), true where candidate n (N,) is a text that fits anchor b: the anchor itself, its positive, or the positive of
    another row with the same anchor. All three are numbers of texts, (B,) twice and (N,)."""
    distinct, group = anchors.unique(return_inverse=True)
    texts, places = torch.cat([anchors, positives, candidates]).unique(return_inverse=True)
    anchor, positive, candidate = places.split([len(anchors), len(positives), len(candidates)])
    fits = torch.zeros(len(distinct), len(texts), dtype=torch.bool, device=anchors.device)
    fits[group, anchor] = True
    fits[group, positive] = True
    return fits.index_select(0, group).index_select(1, candidate)


class JointLoss(Loss):
    """Base of the losses that need all rows of a batch at once."""

    joint = True


class MultipleNegativesRankingLoss(JointLoss):
    """Every positive of the batch is a candidate for every anchor: mean_i -log softmax_c(scale s(a_i, c))[p_i], c over all
    positives and all hard negatives of the batch (Henderson et al. 2017, section 4.4; with scaled cosines, van den Oord et al.
    2018's InfoNCE).

    Columns: anchor, positive, then any number of hard negatives, of which a row may have fewer. A candidate that is known to
    fit (equal to the anchor, to its positive, or to the positive of another row with the same anchor) is left out, so that
    it is not trained as a negative; so no batch has to be kept free of duplicates.

    Args:
        scale: the inverse temperature, 20 in the field for cosines; 1 is usual for dot.
        similarity: s.
        symmetric: the mean of this and of the same from positives to anchors, -log softmax_j(scale s(a_j, p_i))[i].
    """

    ragged = True
    target = None

    def __init__(self, scale: float = 20.0, similarity: Similarity = "cosine", symmetric: bool = False):
        super().__init__()
        if similarity not in ("cosine", "dot"):
            raise InputError(f"MultipleNegativesRankingLoss: similarity {similarity}: known are cosine and dot")
        self.scale = scale
        self.similarity = similarity
        self.symmetric = symmetric

    def compute(self, columns, labels=None, texts=None):
        columns = _prepare(columns, self.similarity)
        if texts is None:
            count = len(columns) * len(columns[0])
            texts = torch.arange(count, device=columns[0].device).view(len(columns), -1).T
        anchors, *others = columns
        positives = others[0]
        loss = self._ranking(anchors, torch.cat(others), texts[:, 0], texts[:, 1], texts[:, 1:].T.flatten())
        if self.symmetric:
            loss = (loss + self._ranking(positives, anchors, texts[:, 1], texts[:, 0], texts[:, 0])) / 2
        return loss

    def _ranking(self, anchors: Tensor, candidates: Tensor, anchor: Tensor, positive: Tensor, ids: Tensor) -> Tensor:
        """(B, H), (N, H), their numbers (B,), (B,), (N,): cross-entropy with candidate i the target of anchor i."""
        target = torch.arange(len(anchors), device=anchors.device)
        out = known_positives(anchor, positive, ids) | (ids < 0)
        out[target, target] = False
        logits = self.scale * anchors @ candidates.T
        return F.cross_entropy(logits.masked_fill(out, -torch.inf), target)


class CoSENTLoss(JointLoss):
    """log(1 + sum over pairs with y_i > y_j of exp(scale (s_j - s_i))), s the cosine of a pair of texts: pairs are compared with
    pairs, so only the order of the labels counts (Su 2022, "CoSENT").

    Args:
        scale: the inverse temperature.
    """

    def __init__(self, scale: float = 20.0):
        super().__init__()
        self.scale = scale

    def score(self, u: Tensor, v: Tensor) -> Tensor:
        """(B, H), (B, H) -> (B,), larger is more alike."""
        return F.cosine_similarity(u, v, dim=-1)

    def compute(self, columns, labels, texts=None):
        scores = self.scale * self.score(*columns)
        differences = scores[None, :] - scores[:, None]  # [i, j] = s_j - s_i
        wrong = differences.masked_fill(labels[:, None] <= labels[None, :], -torch.inf)
        return torch.cat([scores.new_zeros(1), wrong.flatten()]).logsumexp(0)


class AnglELoss(CoSENTLoss):
    """CoSENT with an angle in the complex plane for the score, which does not saturate where the cosine does (Li and Li 2024,
    "AnglE", section 3.4).

    The halves of an embedding are the real and the imaginary parts of H / 2 complex numbers, u = a + bi and v = c + di; the
    score is |sum_k Re(w_k) + Im(w_k)|, w = u conj(v) / (|u| |v|). H must be even.
    """

    def score(self, u, v):
        if u.shape[-1] % 2:
            raise InputError(f"AnglELoss: embeddings of {u.shape[-1]} numbers; it needs an even number")
        a, b = u.chunk(2, dim=-1)
        c, d = v.chunk(2, dim=-1)
        lengths = torch.linalg.vector_norm(u, dim=-1) * torch.linalg.vector_norm(v, dim=-1)
        total = (a * c + b * d + b * c - a * d).sum(-1)
        return (total / lengths.clamp(min=1e-8)).abs()


class MarginMSELoss(Loss):
    """Distillation of a ranking: mean_i mean_k ((s(q_i, p_i) - s(q_i, n_ik)) - y_ik)^2, y the same difference of a teacher's
    scores (Hofstätter et al. 2020, equation 4).

    Columns: query, positive, then one negative or more, of which a row may have fewer. Labels: (B, C - 2), or (B,) for one
    negative; NaN where a row has no negative.

    Args:
        similarity: s, the inner product in the paper.
    """

    columns = 3
    ragged = True
    target = "margin"

    def __init__(self, similarity: Similarity = "dot"):
        super().__init__()
        if similarity not in ("cosine", "dot"):
            raise InputError(f"MarginMSELoss: similarity {similarity}: known are dot and cosine")
        self.similarity = similarity

    def compute(self, columns, labels):
        query, positive, *negatives = _prepare(columns, self.similarity)
        labels = labels.to(query.dtype).view(len(query), -1)
        there = ~labels.isnan()
        scores = torch.stack([(query * negative).sum(-1) for negative in negatives], dim=1)
        errors = (query * positive).sum(-1, keepdim=True) - scores - labels.nan_to_num()
        return ((errors.square() * there).sum(1) / there.sum(1)).mean()


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
            raise InputError(f"MatryoshkaLoss: {len(weights)} weights for {len(dims)} dims; one for each")
        self.dims, self.weights = list(dims), [1.0] * len(dims) if weights is None else list(weights)
        self.columns, self.ragged, self.target, self.joint = loss.columns, loss.ragged, loss.target, loss.joint
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
            loss.compute([c[:, :d] for c in columns], *shared) for loss, d in zip(self.losses, self.dims, strict=True)
        )
        return sum(weight * part for weight, part in zip(self.weights, parts, strict=True))
