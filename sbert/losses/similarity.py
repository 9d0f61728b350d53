"""Losses that fit the similarity of a pair of texts to a gold score."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import require
from sbert.losses.base import JointLoss, Loss, check_positive


class CosineSimilarityLoss(Loss):
    """mean_i (a cos(u_i, v_i) + b - y_i)^2, with a = 1 and b = 0 unless they are learnt.

    Sentence-BERT (arXiv 1908.10084), section 3, "Regression Objective Function".

    Args:
        learnable_scale: learn a and b, starting from 1 and 0. The encoder then need not match the
            scale of the labels. For a > 0, rank correlations of the cosine do not depend on them.
    """

    def __init__(self, learnable_scale: bool = False):
        super().__init__()
        self.learnable_scale = learnable_scale
        self.scale = nn.Parameter(torch.ones(()), requires_grad=learnable_scale)
        self.shift = nn.Parameter(torch.zeros(()), requires_grad=learnable_scale)

    def compute(self, columns, labels):
        u, v = columns  # (B, H)
        scores = self.scale * F.cosine_similarity(u, v, dim=-1) + self.shift  # (B,)
        return F.mse_loss(scores, labels.to(u.dtype))


class CoSENTLoss(JointLoss):
    """log(1 + sum_{i, j: y_i > y_j} exp(scale (s_j - s_i))), s_i = cos(u_i, v_i).

    Pairs of texts are compared with each other, so only the order of the labels matters (Su 2022,
    "CoSENT").

    Args:
        scale: the inverse temperature, above 0.
    """

    def __init__(self, scale: float = 20.0):
        super().__init__()
        self.scale = check_positive(self, "scale", scale)

    def pair_similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """s: (B, H), (B, H) -> (B,), larger for more similar texts."""
        return F.cosine_similarity(u, v, dim=-1)

    def compute(self, columns, labels, texts=None):
        u, v = columns  # (B, H)
        scores = self.scale * self.pair_similarity(u, v)  # (B,)
        differences = scores[None, :] - scores[:, None]  # (B, B), [i, j] = s_j - s_i
        unordered = labels[:, None] <= labels[None, :]
        terms = differences.masked_fill(unordered, -torch.inf).flatten()  # (B^2,)
        return torch.cat([scores.new_zeros(1), terms]).logsumexp(0)  # exp(0) is the 1


class AnglELoss(CoSENTLoss):
    """`CoSENTLoss` with an angle in the complex plane as s, which does not saturate as cos does.

    The halves of an embedding are the real and imaginary parts of H / 2 complex numbers, u = a + bi
    and v = c + di; s = |sum_k Re(w_k) + Im(w_k)| with w = u conj(v) / (|u| |v|). H must be even
    (Li and Li 2024, "AnglE", section 3.4).

    Raises:
        InputError: an odd H.
    """

    def bind(self, dim):
        self._check_size(dim)
        return self

    def _check_size(self, dim: int) -> None:
        require(dim % 2 == 0, f"AnglELoss: the embedding size is {dim}; it must be even")

    def pair_similarity(self, u, v):
        self._check_size(u.shape[-1])  # outside of training, no loss needs to be bound
        a, b = u.chunk(2, dim=-1)  # (B, H / 2)
        c, d = v.chunk(2, dim=-1)
        lengths = torch.linalg.vector_norm(u, dim=-1) * torch.linalg.vector_norm(v, dim=-1)  # (B,)
        total = (a * c + b * d + b * c - a * d).sum(-1)  # (B,)
        return (total / lengths.clamp(min=1e-8)).abs()
