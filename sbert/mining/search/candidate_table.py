"""Candidates of a block of queries: a table with a fixed number of places for each."""

import torch
from torch import Tensor

from sbert.mining.search.corpus_block import Entries
from sbert.mining.search.exact import places_in_rows
from sbert.mining.search.fast_pass import entries_from


class CandidateTable:
    """Up to M candidates of each of R queries: `scores` and `columns` (R, M), -inf where none is.

    A query with more than M is crowded: what did not fit is not in the table.
    """

    def __init__(self, rows: int, size: int, device: torch.device):
        self.scores = torch.full((rows, size), -torch.inf, device=device)
        self.columns = torch.zeros(rows, size, dtype=torch.int64, device=device)
        self.filled = torch.zeros(rows, dtype=torch.int64, device=device)
        self.crowded = torch.zeros(rows, dtype=torch.bool, device=device)

    @property
    def size(self) -> int:
        return self.scores.shape[1]

    @property
    def used(self) -> int:
        """Places up to which there are candidates: the others cost no time."""
        return max(1, int(self.filled.max()))

    def reaching(self, scores: Tensor, threshold: Tensor) -> list[Entries]:
        """The entries of a tile (R, T) that reach the threshold (R,), but for crowded queries."""
        most = torch.inf if threshold.is_floating_point() else torch.iinfo(threshold.dtype).max
        return list(entries_from(scores, threshold.masked_fill(self.crowded, most)))

    def has_room(self, parts: list[Entries]) -> bool:
        """Whether these candidates fit into the table."""
        counts = [torch.bincount(row, minlength=len(self.filled)) for row, _, _ in parts]
        return bool((self.filled + sum(counts)).max() <= self.size)

    def add(self, parts: list[Entries], start: int = 0) -> None:
        """Add candidates, their columns counted from `start`."""
        for row, column, score in parts:
            place, counts = places_in_rows(row, len(self.filled))
            place += self.filled[row]
            self.filled += counts
            self.crowded |= self.filled > self.size
            self.filled.clamp_(max=self.size)
            fits = place < self.size
            row, place = row[fits], place[fits]
            self.scores[row, place] = score[fits]
            self.columns[row, place] = column[fits] + start

    def entries(self) -> Entries:
        """All candidates of the queries that are not crowded."""
        row, place = self._present().nonzero(as_tuple=True)
        return row, self.columns[row, place], self.scores[row, place]

    def replace_scores(self, scores: Tensor) -> None:
        """Give the candidates that `entries` returns other scores (P,), in the same order."""
        row, place = self._present().nonzero(as_tuple=True)
        self.scores[row, place] = scores

    def _present(self) -> Tensor:
        return self.scores[:, : self.used].isfinite() & ~self.crowded[:, None]

    def keep(self, threshold: Tensor) -> None:
        """Drop those below the threshold, (R, 1), or (R, `used`) of each candidate."""
        scores = self.scores[:, : self.used]
        row, place = (scores >= threshold).nonzero(as_tuple=True)
        kept = row, self.columns[row, place], scores[row, place]
        scores.fill_(-torch.inf)
        self.filled.zero_()
        self.add([kept])

    def kth_best(self, k: int) -> Tensor:
        """(R,), the k-th best score of each query; -inf where there are fewer than k."""
        return kth_best(self.scores[:, : self.used], k)


def kth_best(scores: Tensor, k: int) -> Tensor:
    """The k-th best score (R,) of each row (R, T), fp32; -inf where T is below k."""
    if k > scores.shape[1]:
        return scores.new_full((len(scores),), -torch.inf, dtype=torch.float32)
    return scores.topk(k, sorted=False)[0].amin(1).float()
