"""Triplet losses that choose the triplets among the texts of a batch, by their classes."""

import abc

import torch
import torch.nn.functional as F
from torch import Tensor

from sbert.losses.base import JointLoss, check_choice, check_margin
from sbert.losses.contrastive import Distance


def _cosine_distances(x: Tensor) -> Tensor:
    unit = F.normalize(x, dim=-1)
    return 1 - unit @ unit.T


# (B, H) -> (B, B)
PAIRWISE_DISTANCES = {
    # not by a matrix product, which is inexact for texts that are close to each other
    "euclidean": lambda x: torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist"),
    "manhattan": lambda x: torch.cdist(x, x, p=1.0),
    "cosine": _cosine_distances,
}


class BatchTripletLoss(JointLoss):
    """Base class: triplets (a, p, n) of a batch, a and p of one class, n of another.

    A text without a p or without an n is the anchor of no triplet. A batch without any costs 0.
    """

    columns = 1
    target = "class"
    needs_classmates = True

    def __init__(self, margin: float = 5.0, distance: Distance = "euclidean"):
        super().__init__()
        self.margin = check_margin(self, margin)
        self.distance = check_choice(self, "distance", distance, Distance)

    def compute(self, columns, labels, texts=None):
        (embeddings,) = columns  # (B, H)
        distances = PAIRWISE_DISTANCES[self.distance](embeddings)
        same = labels[:, None] == labels  # (B, B)
        itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        differences = self.differences(distances, positive=same & ~itself, negative=~same)  # (T,)
        return F.relu(differences + self.margin).sum() / max(1, len(differences))

    @abc.abstractmethod
    def differences(self, distances: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """d(a, p) - d(a, n) of the T triplets that are chosen, (T,).

        distances: (B, B). positive, negative: (B, B) bool, which texts are those of each anchor.
        """


class BatchHardTripletLoss(BatchTripletLoss):
    """mean_a max(0, max_p d(a, p) - min_n d(a, n) + margin).

    Hermans, Beyer and Leibe 2017 (arXiv 1703.07737), equation 5: of each anchor the furthest
    positive and the nearest negative in the batch. The mean is over the anchors that have both.

    Args:
        margin: a negative must be this much further away than a positive, in units of the distance.
        distance: d; cosine is 1 - cos.
    """

    def differences(self, distances, positive, negative):
        anchors = positive.any(1) & negative.any(1)  # (B,)
        furthest = distances.masked_fill(~positive, -torch.inf).amax(1)  # (B,)
        nearest = distances.masked_fill(~negative, torch.inf).amin(1)
        return furthest[anchors] - nearest[anchors]


class BatchSemiHardTripletLoss(BatchTripletLoss):
    """mean_(a,p) max(0, d(a, p) - d(a, n) + margin), n = argmin d(a, n) over d(a, n) > d(a, p).

    Schroff, Kalenichenko and Philbin 2015 (arXiv 1503.03832), section 3.2: of each anchor and
    positive the nearest negative in the batch that is further away than the positive, or else the
    furthest negative. The mean is over all pairs of an anchor that has a negative and a positive.

    Args:
        margin: a negative must be this much further away than a positive, in units of the distance.
        distance: d; cosine is 1 - cos.
    """

    def differences(self, distances, positive, negative):
        pairs = positive & negative.any(1, keepdim=True)  # (B, B)
        ordered = distances.masked_fill(~negative, torch.inf).sort(dim=1).values
        # of each pair, the number of negatives that are not further away than the positive
        passed = torch.searchsorted(ordered.detach(), distances.detach(), right=True)  # (B, B)
        further = ordered.gather(1, passed.clamp(max=len(distances) - 1))  # inf where none is
        furthest = distances.masked_fill(~negative, -torch.inf).amax(1, keepdim=True)  # (B, 1)
        chosen = torch.where(further.isinf(), furthest, further)
        return (distances - chosen)[pairs]
