"""Losses that learn from the scores of a teacher model."""

import torch

from sbert.errors import InputError
from sbert.losses.base import Loss, Similarity, normalized_columns


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
        query, positive, *negatives = normalized_columns(columns, self.similarity)
        labels = labels.to(query.dtype).view(len(query), -1)
        there = ~labels.isnan()
        scores = torch.stack([(query * negative).sum(-1) for negative in negatives], dim=1)
        errors = (query * positive).sum(-1, keepdim=True) - scores - labels.nan_to_num()
        return ((errors.square() * there).sum(1) / there.sum(1)).mean()
