"""Nearest neighbours by a distance: every one is computed, in fp64, block by block."""

from typing import Literal

import torch
from scipy import sparse
from torch import Tensor

from sbert.device import with_fp64
from sbert.mining.search.exact import Vectors, VectorSet, as_vectors, blocks_of
from sbert.mining.search.queries import Exclude, check_search, exclusion_matrix

DISTANCES = {"euclidean": 2.0, "manhattan": 1.0}  # the p of (sum_h |q_h - c_h|^p)^(1/p)

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]

QUERY_BLOCK, CORPUS_BLOCK = 64, 8192


def nearest(
    queries: Vectors,
    corpus: Vectors,
    k: int,
    excluded: sparse.csr_array,
    distance: str,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Tensor]:
    """The k vectors of a corpus (N, H) at the smallest distance from each query (Q, H).

    Returns the negative distances (Q, k) float32 and the indices (Q, k), nearest first, of equal
    distances the lower index first; -inf and -1 where fewer than k are left.

    Args:
        excluded: (Q, N) bool, which vectors a query does not find.
        distance: a name in `DISTANCES`.

    Raises:
        InputError: NaN or infinity in a vector.
    """
    device = with_fp64(device)
    # "dot" stands for vectors as they are
    query_set = VectorSet(queries, "dot", device, "query")
    corpus_set = VectorSet(corpus, "dot", device, "corpus vector")
    scores = torch.full((len(queries), k), -torch.inf, dtype=torch.float64)
    indices = torch.full((len(queries), k), -1)
    for columns in blocks_of(len(corpus), CORPUS_BLOCK):
        vectors = corpus_set.load(columns).double()
        numbers = torch.arange(columns.start, columns.stop)
        for rows in blocks_of(len(queries), QUERY_BLOCK):
            found = -torch.cdist(
                query_set.load(rows).double(),
                vectors,
                p=DISTANCES[distance],
                compute_mode="donot_use_mm_for_euclid_dist",  # which loses digits of near vectors
            )
            found = found.cpu()
            row, column = excluded[rows, columns].nonzero()
            found[torch.from_numpy(row).long(), torch.from_numpy(column).long()] = -torch.inf
            # the best so far have lower indices, and a stable sort keeps them before equal ones
            merged = torch.cat([scores[rows], found], dim=1)
            places = torch.cat([indices[rows], numbers.expand(len(found), -1)], dim=1)
            merged, order = merged.sort(dim=1, descending=True, stable=True)
            scores[rows] = merged[:, :k]
            indices[rows] = places.gather(1, order[:, :k])
    return scores.float(), indices.masked_fill(scores.isneginf(), -1)


class DistanceCorpus:
    """What is searched by a distance, a name in `DISTANCES`; `top_k` is that of `Corpus`."""

    def __init__(self, vectors: Vectors, distance: str, device: torch.device | str = "cpu"):
        self.vectors = as_vectors(vectors, "corpus")
        self.distance = distance
        self.device = device

    def top_k(
        self, queries: Vectors, k: int, exclude: Exclude = None, progress: bool | None = False
    ) -> tuple[Tensor, Tensor]:
        """The k nearest for each query: negative distances (Q, k) and indices (Q, k)."""
        queries = check_search(queries, self.vectors, k)
        excluded = exclusion_matrix(exclude, len(queries), len(self.vectors))
        return nearest(queries, self.vectors, k, excluded, self.distance, self.device)
