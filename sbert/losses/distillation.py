"""Losses that learn from the scores of a teacher model."""

import torch

from sbert.losses.base import DotSimilarity, Loss, check_choice, normalize_columns


class MarginMSELoss(Loss):
    """mean_i mean_k [s(q_i, p_i) - s(q_i, n_ik) - y_ik]^2.

    Distillation of a ranking: y_ik is the same difference of a teacher's scores (Hofstätter et al.
    2020, arXiv 2010.02666, equation 4). Columns: query q, positive p, then one or more negatives n;
    a row may have fewer than others. Labels: (B, C - 2), or (B,) for one negative; NaN where a row
    has no negative.

    Args:
        similarity: s; dot in the paper.
    """

    columns = 3
    ragged = True
    target = "margin"

    def __init__(self, similarity: DotSimilarity = "dot"):
        super().__init__()
        self.similarity = check_choice(self, "similarity", similarity, DotSimilarity)

    def compute(self, columns, labels):
        columns = normalize_columns(columns, self.similarity)
        query, positive, *negatives = columns  # (B, H)
        negative_scores = [(query * negative).sum(-1) for negative in negatives]  # (B,) each
        positive_scores = (query * positive).sum(-1, keepdim=True)  # (B, 1)
        margins = positive_scores - torch.stack(negative_scores, dim=1)  # (B, C - 2)
        labels = labels.to(query.dtype).view(margins.shape)
        present = ~labels.isnan()
        errors = margins - labels.nan_to_num()
        return ((errors.square() * present).sum(1) / present.sum(1)).mean()
