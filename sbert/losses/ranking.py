"""Losses that rank the right text of a batch before all others."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sbert.losses.base import (
    DotSimilarity,
    JointLoss,
    check_choice,
    check_positive,
    normalize_columns,
)


class MultipleNegativesRankingLoss(JointLoss):
    """mean_i -log softmax_c(scale s(a_i, c))[p_i], c over all positives and negatives of the batch.

    Every text of the batch that is not an anchor is a candidate for every anchor (Henderson et al.
    2017, arXiv 1705.00652, section 4.4; InfoNCE of van den Oord et al. 2018, arXiv 1807.03748).

    Columns: anchor a, positive p, then any number of hard negatives; a row may have fewer than
    others. A candidate known to fit an anchor (see `known_positives`) is not one of its negatives,
    so batches may contain duplicates.

    Args:
        scale: the inverse temperature; 20 is usual for cosine, 1 for dot.
        similarity: s.
        symmetric: average this loss and the same in the other direction, from positives to
            anchors: -log softmax_j(scale s(a_j, p_i))[i].
    """

    ragged = True
    target = None

    def __init__(
        self, scale: float = 20.0, similarity: DotSimilarity = "cosine", symmetric: bool = False
    ):
        super().__init__()
        self.scale = check_positive(self, "scale", scale)
        self.similarity = check_choice(self, "similarity", similarity, DotSimilarity)
        self.symmetric = symmetric

    def compute(self, columns, labels=None, texts=None):
        columns = normalize_columns(columns, self.similarity)
        anchors, positives = columns[:2]  # (B, H)
        candidates = torch.cat(columns[1:])  # (N, H), N = (C - 1) B
        if texts is None:
            texts = torch.arange(len(anchors) * len(columns), device=anchors.device)
            texts = texts.view(len(anchors), -1)  # (B, C)
        anchor_ids, positive_ids = texts[:, 0], texts[:, 1]  # (B,)
        candidate_ids = texts[:, 1:].T.flatten()  # (N,), column after column
        fits = known_positives(anchor_ids, positive_ids, candidate_ids)
        loss = self._cross_entropy(anchors, candidates, fits | (candidate_ids < 0))
        if self.symmetric:
            fits = known_positives(positive_ids, anchor_ids, anchor_ids)
            loss = (loss + self._cross_entropy(positives, anchors, fits)) / 2
        return loss

    def _cross_entropy(self, anchors: Tensor, candidates: Tensor, excluded: Tensor) -> Tensor:
        """Cross-entropy of (B, H) against (N, H), candidate i the target of anchor i.

        excluded: (B, N), the candidates that are left out of an anchor's softmax unless they are
        its target.
        """
        target = torch.arange(len(anchors), device=anchors.device)  # (B,)
        excluded[target, target] = False
        logits = self.scale * anchors @ candidates.T  # (B, N)
        return F.cross_entropy(logits.masked_fill(excluded, -torch.inf), target)


def known_positives(anchors: Tensor, positives: Tensor, candidates: Tensor) -> Tensor:
    """Which candidates are known to fit which anchor: (B,), (B,), (N,) ids of texts -> (B, N).

    A candidate fits if it is the anchor itself, its positive, or the positive of another row with
    the same anchor.
    """
    groups = anchors.unique(return_inverse=True)[1]  # (B,), equal for equal anchors
    distinct, index = torch.cat([anchors, positives, candidates]).unique(return_inverse=True)
    anchors, positives, candidates = index.split([len(anchors), len(positives), len(candidates)])
    # row g: the distinct texts that fit the anchor of group g
    fits = torch.zeros(len(anchors), len(distinct), dtype=torch.bool, device=anchors.device)
    fits[groups, anchors] = True
    fits[groups, positives] = True
    return fits.index_select(0, groups).index_select(1, candidates)
