"""The k best of each query of a search, among the vectors that were searched so far."""

import torch
from torch import Tensor

from sbert.mining.search.corpus_block import Entries
from sbert.mining.search.exact import places_in_rows


class BestSoFar:
    """`scores` and `indices` (Q, k), on the device, in the order of `best_of`."""

    def __init__(self, queries: int, k: int, device: torch.device):
        self.k = k
        self.scores = torch.full((queries, k), -torch.inf, device=device)
        self.indices = torch.full((queries, k), -1, device=device)

    def floor(self, rows: Tensor | slice) -> Tensor:
        """(R,), which the k best scores of these queries are known to reach."""
        return self.scores[rows, -1]

    def add(self, rows: Tensor, scores: Tensor, indices: Tensor) -> None:
        """Add scores and indices (R, M) of the queries `rows` (R,), -inf where there is none."""
        scores = torch.cat([self.scores[rows], scores], dim=1)
        indices = torch.cat([self.indices[rows], indices], dim=1)
        self.scores[rows], self.indices[rows] = best_of(scores, indices, self.k)

    def add_entries(self, rows: Tensor, entries: Entries) -> None:
        """The same of entries, whose rows are places in `rows`, and ascend."""
        row, index, score = entries
        place, counts = places_in_rows(row, len(rows))
        shape = len(rows), int(counts.max())
        scores, indices = self.scores.new_full(shape, -torch.inf), self.indices.new_full(shape, -1)
        scores[row, place], indices[row, place] = score, index
        self.add(rows, scores, indices)


def best_of(scores: Tensor, indices: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best (R, k) of scores and indices (R, M), best first, of equal scores the lower index
    first; index -1 where the score is -inf."""
    indices, order = indices.masked_fill(scores.isneginf(), -1).sort(dim=1)
    scores, rank = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
    return scores[:, :k], indices.gather(1, rank)[:, :k]


def first_of_best(scores: Tensor, k: int, partly: Tensor | None = None) -> Tensor:
    """(R, T) -> (R, T) bool: the k best of each row, of equal scores those that come first.

    partly: (2, P), rows and columns of vectors for which one of a later place may stand. These are
    chosen besides, since their place among equal scores is not known here.
    """
    found = ~scores.isneginf()
    if partly is not None:
        scores = scores.index_put(tuple(partly), scores.new_full((), -torch.inf))
    best = scores.topk(min(k, scores.shape[1]), sorted=False)[0].amin(1, keepdim=True)
    ties = scores == best
    missing = k - (scores > best).sum(1, keepdim=True)
    chosen = (scores > best) | (ties & (ties.cumsum(1) <= missing))
    if partly is not None:
        chosen[tuple(partly)] = True
    return chosen & found
