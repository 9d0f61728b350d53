"""Losses of a bi-encoder that compare the rows of a batch with each other, and others that learn an order.

A joint loss is a function of the whole batch: `loss(columns, labels, texts)` with columns of (B, H), labels (B,) or None, and
`texts` (B, C), the number of each text, equal for equal texts and -1 for one that is not there; None: all differ. The training
loop gives it all rows of a batch, however many processes and parts computed their embeddings (see `sbert.joint`).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sbert.errors import InputError
from sbert.losses.base import JointLoss, Similarity, normalized_columns


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

    def __init__(
        self, scale: float = 20.0, similarity: Similarity = "cosine", symmetric: bool = False
    ):
        super().__init__()
        if similarity not in ("cosine", "dot"):
            raise InputError(
                f"MultipleNegativesRankingLoss: similarity {similarity}: known are cosine and dot"
            )
        self.scale = scale
        self.similarity = similarity
        self.symmetric = symmetric

    def compute(self, columns, labels=None, texts=None):
        columns = normalized_columns(columns, self.similarity)
        if texts is None:
            count = len(columns) * len(columns[0])
            texts = torch.arange(count, device=columns[0].device).view(len(columns), -1).T
        anchors, *others = columns
        positives = others[0]
        loss = self._ranking(
            anchors, torch.cat(others), texts[:, 0], texts[:, 1], texts[:, 1:].T.flatten()
        )
        if self.symmetric:
            loss = (
                loss + self._ranking(positives, anchors, texts[:, 1], texts[:, 0], texts[:, 0])
            ) / 2
        return loss

    def _ranking(
        self, anchors: Tensor, candidates: Tensor, anchor: Tensor, positive: Tensor, ids: Tensor
    ) -> Tensor:
        """(B, H), (N, H), their numbers (B,), (B,), (N,): cross-entropy with candidate i the target of anchor i."""
        target = torch.arange(len(anchors), device=anchors.device)
        out = known_positives(anchor, positive, ids) | (ids < 0)
        out[target, target] = False
        logits = self.scale * anchors @ candidates.T
        return F.cross_entropy(logits.masked_fill(out, -torch.inf), target)
