"""Losses on distances between embeddings: triplets and contrastive pairs."""

import torch.nn.functional as F

from sbert.losses.base import DISTANCES, Distance, Loss, check_distance


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
