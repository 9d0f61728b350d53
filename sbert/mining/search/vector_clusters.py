"""Clusters of vectors, and what no score with a vector of a cluster can be above.

For a vector c of a cluster with centre m and radius r >= |c - m|, by Cauchy-Schwarz,

    q c = q m + q (c - m) <= q m + |q| r
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sbert.mining.search.exact import blocks_of

# cosine with the first vector of a cluster, of vectors less their common mean
SIMILAR = 0.75

# |c - m| by that cosine, of vectors of length 1
FARTHEST = (2 - 2 * SIMILAR) ** 0.5

# vectors of the sample in a cluster, on average, from which on it is one
LEAST_MEMBERS = 4

# the share of the vectors outside of clusters up to which the others are worth the search
MOST_OUTSIDE = 1 / 8


@dataclass
class Clusters:
    """G sets of the vectors of a block, each vector in one of them.

    Attributes:
        centres: m (G, H), fp64.
        radii: r (G,), fp64: |c - m| at most, and what covers the rounding of products.
        counts: (G,), the number of vectors of each.
        members: of each the numbers of its vectors.
    """

    centres: Tensor
    radii: Tensor
    counts: Tensor
    members: list[Tensor]

    def __len__(self) -> int:
        return len(self.members)

    def scores(self, queries: Tensor) -> Tensor:
        """(R, H) -> (R, G), the products with the centres, fp64."""
        return queries.double() @ self.centres.T

    def upper_bounds(self, queries: Tensor, scores: Tensor) -> Tensor:
        """(R, G), which no exact score of a vector of the cluster is above; `scores`: of these."""
        norms = torch.linalg.vector_norm(queries, dim=1, keepdim=True, dtype=torch.float64)
        return (scores + norms * self.radii).float()  # rounded as exact scores are

    def columns_of(self, chosen: Tensor) -> Tensor:
        """The vectors (T,) of some clusters, whose numbers are `chosen`."""
        return torch.cat([self.members[i] for i in chosen.tolist()])


def find_clusters(vectors: Tensor, sample: Tensor, at_once: int) -> Clusters | None:
    """The clusters of vectors (C, H), as a sample of them (S, H) shows them; None where it shows
    that most are in none."""
    mean = sample.mean(0)
    centres = _centres(sample, mean)
    if centres is None:
        return None
    centres = torch.cat([centres, mean[None]])  # the last one: of what is in no cluster
    cluster = torch.empty(len(vectors), dtype=torch.int64)
    distance = torch.empty(len(vectors), dtype=torch.float64)
    squares = centres[:-1].square().sum(1) / 2
    for part in blocks_of(len(vectors), at_once):
        nearest = torch.addmm(squares, vectors[part], centres[:-1].T, beta=-1).argmax(1)
        near, far = (_lengths(vectors[part] - m) for m in (centres[nearest], mean))
        outside = near > FARTHEST * far
        cluster[part] = nearest.masked_fill(outside, len(centres) - 1)
        distance[part] = near.where(~outside, far)
    counts = torch.bincount(cluster, minlength=len(centres))
    if counts[-1] > MOST_OUTSIDE * len(vectors):
        return None
    radii = torch.zeros(len(centres), dtype=torch.float64)
    radii.scatter_reduce_(0, cluster, distance, "amax")
    # for the rounding of the differences, and of the products with the centres and the vectors
    radii = radii * (1 + 1e-6) + vectors.shape[1] * 2.0**-50 * _lengths(centres)
    members = cluster.argsort(stable=True).split(counts.tolist())
    return Clusters(centres.double(), radii, counts, list(members))


def _lengths(vectors: Tensor) -> Tensor:
    return torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)


def _centres(sample: Tensor, mean: Tensor) -> Tensor | None:
    """The means of the clusters of a sample (S, H); None where they are too many."""
    offsets = torch.nn.functional.normalize(sample - mean, dim=1)
    similar = offsets @ offsets.T >= SIMILAR  # (S, S)
    most = len(sample) // LEAST_MEMBERS
    if similar.sum() < len(sample) * LEAST_MEMBERS:
        return None
    left = torch.ones(len(sample), dtype=torch.bool)
    centres = []
    while left.any():
        if len(centres) == most:
            return None
        members = similar[int(left.int().argmax())] & left
        if not members.any():
            return None  # a vector that is the mean
        centres.append(sample[members].mean(0))
        left &= ~members
    return torch.stack(centres)
