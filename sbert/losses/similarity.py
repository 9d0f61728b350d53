"""Losses that fit the similarity of a pair to a gold score."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import InputError
from sbert.losses.base import JointLoss, Loss


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
        return F.mse_loss(
            self.scale * F.cosine_similarity(u, v, dim=-1) + self.shift, labels.to(u.dtype)
        )


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
            raise InputError(
                f"AnglELoss: embeddings of {u.shape[-1]} numbers; it needs an even number"
            )
        a, b = u.chunk(2, dim=-1)
        c, d = v.chunk(2, dim=-1)
        lengths = torch.linalg.vector_norm(u, dim=-1) * torch.linalg.vector_norm(v, dim=-1)
        total = (a * c + b * d + b * c - a * d).sum(-1)
        return (total / lengths.clamp(min=1e-8)).abs()
