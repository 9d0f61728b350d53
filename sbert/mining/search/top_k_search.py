"""The search of the k best: floors, candidates and exact scores, block by block."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sbert.mining.search.candidate_table import CandidateTable, kth_best
from sbert.mining.search.corpus_block import CorpusBlock, Entries, ExcludedPairs
from sbert.mining.search.exact import (
    Vectors,
    VectorSet,
    blocks_of,
    exact_pair_scores,
    exact_scores,
    pair_products,
    places_in_rows,
)
from sbert.mining.search.fast_pass import GROUP, FastPass, group_maxima
from sbert.mining.search.queries import Exclude, exclusion_matrix

# places for candidates of a query: many more than real sentences need
PLACES = 256
PLACES_PER_NEIGHBOUR = 8

SCORES_PER_NEIGHBOUR = 4  # from which the first floor is found

UNDECIDED = 3  # candidates for each neighbour from which their scores in fp32 save time

# scores that are computed exactly at a time
EXACT_QUERIES = 64
EXACT_COLUMNS = 8192


class TopKSearch:
    """The state of one search: `scores` and `indices` (Q, k), the k best so far, exact.

    Args:
        vectors: the corpus (N, H).
        precisions: those that the fast pass takes in turn.
        queries: (Q, H).
        exclude: for each query the indices that are not returned.
    """

    def __init__(
        self,
        vectors: VectorSet,
        precisions: Sequence[torch.dtype],
        queries: Vectors,
        k: int,
        exclude: Exclude = None,
    ):
        self.precisions = precisions
        self.queries = VectorSet(queries, vectors.similarity, vectors.device, "query")
        self.excluded = exclusion_matrix(exclude, len(queries), len(vectors))
        self.k = k
        self.scores = torch.full((len(queries), k), -torch.inf)
        self.indices = torch.full((len(queries), k), -1)

    def search_block(self, block: CorpusBlock, rows: slice) -> None:
        """Search one block of the corpus for some queries."""
        queries = self.queries.load(rows)  # (R, H)
        asked = np.arange(rows.start, rows.stop)
        if block.has_many_duplicates:
            block = block.distinct
        for precision in self.precisions:
            asked, queries = self.search_fast(block, asked, queries, precision)
            if len(asked) and block.distinct is not block:  # equal vectors in every precision
                block = block.distinct
                asked, queries = self.search_fast(block, asked, queries, precision)
        for part in blocks_of(len(asked), EXACT_QUERIES):
            self.search_exactly(block, asked[part], queries[part])

    def search_fast(
        self, block: CorpusBlock, rows: np.ndarray, queries: Tensor, dtype: torch.dtype
    ) -> tuple[np.ndarray, Tensor]:
        """Search a block for the queries `rows` (R,), which are `queries` (R, H).

        Returns those of them for which this precision leaves too much undecided: for them nothing
        was found.
        """
        if not len(rows):
            return rows, queries
        fast = FastPass(queries, block.rounded(dtype))
        excluded = block.excluded(self.excluded, rows)
        size = min(max(PLACES, PLACES_PER_NEIGHBOUR * self.k), len(block))
        table = CandidateTable(len(rows), size, queries.device)
        floor = self.scores[rows, -1].to(queries.device)  # (R,), the k-th best score reaches it
        floor = torch.maximum(floor, self._first_floor(fast, excluded))
        for number, (columns, scores) in enumerate(fast.tiles(), start=1):
            excluded.mask(scores, columns)
            entries = table.reaching(scores, fast.threshold(floor))
            if not table.has_room(entries):
                floor = self._raise_floor(table, fast, floor)
                floor = torch.maximum(floor, fast.bounds(kth_best(scores, self.k))[0])
                # few queries would take the time of all
                table.crowded |= (table.filled > size / 2) & (size < len(block))
                entries = table.reaching(scores, fast.threshold(floor))
            table.add(entries, columns.start)
            if number.bit_count() == 1:  # after 1, 2, 4, 8 tiles: each time about k are new
                floor = self._raise_floor(table, fast, floor)
        self._raise_floor(table, fast, floor)
        row, column, score = self._decide(table, block, queries)
        self._merge(rows, excluded.expand((row, column, score), self.k))
        crowded = table.crowded
        return rows[crowded.cpu().numpy()], queries[crowded]

    def _first_floor(self, fast: FastPass, excluded: ExcludedPairs) -> Tensor:
        """A floor (R,) that the first vectors prove: k of them, or of their groups, reach it."""
        wanted = SCORES_PER_NEIGHBOUR * self.k
        in_groups = len(fast.vectors) > wanted * GROUP
        seen: list[Tensor] = []
        for columns, scores in fast.tiles():
            excluded.mask(scores, columns)
            seen.append(group_maxima(scores) if in_groups else scores.clone())
            if sum(part.shape[1] for part in seen) >= wanted:
                break
        return fast.bounds(kth_best(torch.cat(seen, dim=1), self.k))[0]

    def _raise_floor(self, table: CandidateTable, fast: FastPass, floor: Tensor) -> Tensor:
        """The floor (R,) that the candidates prove; those that cannot reach it are dropped."""
        floor = torch.maximum(floor, fast.bounds(table.kth_best(self.k))[0])
        table.keep(fast.threshold(floor))
        return floor

    def _decide(self, table: CandidateTable, block: CorpusBlock, queries: Tensor) -> Entries:
        """The candidates that can be among the k best, with exact scores."""
        if table.filled.sum() > UNDECIDED * self.k * len(queries):
            # scores in fp32 leave few of many near ties
            row, column, _ = table.entries()
            table.replace_scores(pair_products(queries, row, block.fp32, column, torch.float32))
            fp32 = FastPass(queries, block.rounded(torch.float32))
            self._raise_floor(table, fp32, torch.full_like(table.scores[:, 0], -torch.inf))
        row, column, _ = table.entries()
        return row, column, exact_pair_scores(queries, row, block.fp32, column)

    def search_exactly(self, block: CorpusBlock, rows: np.ndarray, queries: Tensor) -> None:
        """Search a block for the queries `rows` (R,) with every score computed exactly."""
        excluded = block.excluded(self.excluded, rows)
        for columns in blocks_of(len(block), EXACT_COLUMNS):
            scores = exact_scores(queries, block.fp32[columns])  # (R, T)
            excluded.mask(scores, columns)
            row, column = first_of_best(scores, self.k).nonzero(as_tuple=True)
            entries = row, column + columns.start, scores[row, column]
            self._merge(rows, excluded.expand(entries, self.k))

    def _merge(self, rows: np.ndarray, entries: Entries) -> None:
        """The k best of those so far and of these, by score, then by index."""
        row, index, score = (part.cpu() for part in entries)
        place, counts = places_in_rows(row, len(rows))
        width = int(counts.max())
        scores = torch.full((len(rows), width), -torch.inf)
        indices = torch.full((len(rows), width), -1)
        scores[row, place], indices[row, place] = score, index
        scores = torch.cat([self.scores[rows], scores], dim=1)
        indices = torch.cat([self.indices[rows], indices], dim=1)
        indices, order = indices.sort(dim=1)
        scores, rank = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
        self.scores[rows] = scores[:, : self.k]
        self.indices[rows] = indices.gather(1, rank)[:, : self.k]


def first_of_best(scores: Tensor, k: int) -> Tensor:
    """(R, T) -> (R, T) bool: the k best of each row, of equal scores those that come first."""
    best = scores.topk(min(k, scores.shape[1]), sorted=False)[0].amin(1, keepdim=True)
    ties = scores == best
    above = scores > best
    missing = k - above.sum(1, keepdim=True)
    return (above | (ties & (ties.cumsum(1) <= missing))) & ~scores.isneginf()
