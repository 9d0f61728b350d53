"""Losses on distances between embeddings: triplets and contrastive pairs."""

from typing import Literal

import torch
import torch.nn.functional as F

from sbert.losses.base import Loss, check_choice, check_margin

Distance = Literal["euclidean", "manhattan", "cosine"]

# (B, H), (B, H) -> (B,)
DISTANCES = {
    # vector_norm, not the square root of a sum: its gradient at distance 0 is 0, not NaN
    "euclidean": lambda a, b: torch.linalg.vector_norm(a - b, dim=-1),
    "manhattan": lambda a, b: (a - b).abs().sum(dim=-1),
    "cosine": lambda a, b: 1 - F.cosine_similarity(a, b, dim=-1),
}


class TripletLoss(Loss):
    """mean_i max(0, d(a_i, p_i) - d(a_i, n_i) + margin).

    Sentence-BERT (arXiv 1908.10084), section 3, "Triplet Objective Function". Columns: anchor a,
    positive p, negative n.

    Args:
        margin: the negative must be this much further away than the positive, in units of the
            distance; 1 in the paper.
        distance: d; euclidean in the paper, cosine is 1 - cos.
    """

    columns = 3
    target = None

    def __init__(self, margin: float = 1.0, distance: Distance = "euclidean"):
        super().__init__()
        self.margin = check_margin(self, margin)
        self.distance = check_choice(self, "distance", distance, Distance)

    def compute(self, columns, labels=None):
        anchor, positive, negative = columns  # (B, H)
        distance = DISTANCES[self.distance]
        excess = distance(anchor, positive) - distance(anchor, negative) + self.margin  # (B,)
        return F.relu(excess).mean()


class ContrastiveLoss(Loss):
    """mean_i 1/2 [y_i d_i^2 + (1 - y_i) max(0, margin - d_i)^2], d_i = d(u_i, v_i).

    Hadsell, Chopra and LeCun 2006, equation 4, with the label the other way round: y = 1 for a
    similar pair.

    Args:
        margin: dissimilar pairs further apart than this cost nothing.
        distance: d; cosine is 1 - cos.
    """

    target = "binary"

    def __init__(self, margin: float = 0.5, distance: Distance = "cosine"):
        super().__init__()
        self.margin = check_margin(self, margin)
        self.distance = check_choice(self, "distance", distance, Distance)

    def compute(self, columns, labels):
        u, v = columns  # (B, H)
        y = labels.to(u.dtype)
        d = DISTANCES[self.distance](u, v)  # (B,)
        return 0.5 * (y * d.square() + (1 - y) * F.relu(self.margin - d).square()).mean()
