"""Losses that learn from a teacher model: from its scores, or from its embeddings.

Of scores the labels are margins: by how much the teacher scores the positive above each negative.
Scores themselves would say no more: a softmax does not change when all scores of a query are
shifted, so that of 0 for the positive and minus the margins for the negatives is the teacher's.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sbert.losses.base import (
    DotSimilarity,
    Loss,
    check_choice,
    check_positive,
    normalize_columns,
)


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
        scores = candidate_scores(columns, self.similarity)  # (B, C - 1)
        margins = scores[:, :1] - scores[:, 1:]  # (B, C - 2)
        labels = labels.to(margins.dtype).view(margins.shape)
        present = ~labels.isnan()
        errors = margins - labels.nan_to_num()
        return ((errors.square() * present).sum(1) / present.sum(1)).mean()


class DistillKLDivLoss(Loss):
    """T^2 mean_i KL(softmax(t_i / T_t) || softmax(s_i / T)), over the positive and the negatives.

    Distillation of the distribution over the candidates of a query (Lin, Yang and Lin 2020, arXiv
    2010.11386, equation 4): s_ij is the similarity of query i and candidate j, t_ij the teacher's
    score, and KL(p || r) = sum_j p_j log(p_j / r_j). T^2 keeps the size of the gradient as T rises
    (Hinton et al. 2015, arXiv 1503.02531, section 2). Columns and labels are those of
    `MarginMSELoss`; t_ij is 0 for the positive and -y_ik for the negatives.

    Args:
        similarity: s.
        temperature: T; about 0.05 for cosine.
        teacher_temperature: T_t; null for T.

    Raises:
        InputError: a temperature that is not a finite number above 0.
    """

    columns = 3
    ragged = True
    target = "margin"

    def __init__(
        self,
        similarity: DotSimilarity = "dot",
        temperature: float = 1.0,
        teacher_temperature: float | None = None,
    ):
        super().__init__()
        self.similarity = check_choice(self, "similarity", similarity, DotSimilarity)
        self.temperature = check_positive(self, "temperature", temperature)
        self.teacher_temperature = teacher_temperature
        if teacher_temperature is not None:
            check_positive(self, "teacher_temperature", teacher_temperature)

    def compute(self, columns, labels):
        scores = candidate_scores(columns, self.similarity)  # (B, C - 1)
        margins = labels.to(scores.dtype).view(len(scores), -1)  # (B, C - 2)
        teacher_scores = torch.cat([torch.zeros_like(scores[:, :1]), -margins], dim=1)
        missing = teacher_scores.isnan()
        log_p = self._log_softmax(teacher_scores, self.teacher_temperature, missing)
        log_r = self._log_softmax(scores, self.temperature, missing)
        ratios = (log_p - log_r).masked_fill(missing, 0)  # not inf - inf
        return self.temperature**2 * (log_p.exp() * ratios).sum(dim=1).mean()

    def _log_softmax(self, scores: Tensor, temperature: float | None, missing: Tensor) -> Tensor:
        """(B, C - 1) -> (B, C - 1), -inf for a missing candidate."""
        scores = scores / (temperature or self.temperature)
        return scores.masked_fill(missing, -torch.inf).log_softmax(dim=1)


class EmbeddingMSELoss(Loss):
    """mean_i mean_c mean_h (x_ich - y_ih)^2: the embeddings of both texts, and the teacher's.

    Multilingual knowledge distillation (Reimers and Gurevych 2020, arXiv 2004.09813, section 2):
    x_ic are the student's embeddings of a text (c = 1) and of its translation (c = 2), y_i is the
    teacher's of the text. It is the paper's loss divided by 2 H, as MSELoss of
    sentence-transformers. Columns: text, translation. Labels: (B, H), see `distillation` in the
    options of train.py.
    """

    target = "embedding"

    def compute(self, columns, labels):
        targets = labels.to(columns[0].dtype)  # (B, H)
        return torch.stack([F.mse_loss(column, targets) for column in columns]).mean()


def candidate_scores(columns: Sequence[Tensor], similarity: DotSimilarity) -> Tensor:
    """The similarity of each query and its candidates: query and candidates (B, H) -> (B, C - 1).

    Candidate 0 is the positive, the others are the negatives.
    """
    query, *candidates = normalize_columns(columns, similarity)
    return torch.stack([(query * candidate).sum(-1) for candidate in candidates], dim=1)
