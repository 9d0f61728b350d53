"""The steps of an exact search that search.py lists: fast pass, exact scores, certificate."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from sbert.errors import InputError
from sbert.mining.exact import (
    CorpusBlock,
    ExactScorer,
    VectorSet,
    best_columns,
    blocks_of,
    exact_scores,
    round_queries,
    score_error,
)

Exclude = np.ndarray | Sequence[Sequence[int]] | None

SPARE = 24  # candidates beyond k: enough to certify the near ties of real sentences


def exclusion_matrix(exclude: Exclude, query_count: int, corpus_count: int) -> sparse.csr_array:
    """(Q, N) bool: True where a query excludes a vector."""
    shape = (query_count, corpus_count)
    if exclude is None:
        return sparse.csr_array(shape, dtype=bool)
    if len(exclude) != query_count:
        raise InputError(f"top_k: exclude has {len(exclude)} entries for {query_count} queries")
    if isinstance(exclude, np.ndarray):
        row, entry = np.nonzero(exclude != -1)
        column = exclude[row, entry]
    else:
        row = np.repeat(np.arange(query_count), np.fromiter(map(len, exclude), int))
        column = np.fromiter(chain.from_iterable(exclude), int)
    outside = (column < 0) | (column >= corpus_count)
    if outside.any():
        first = outside.argmax()
        raise InputError(
            f"top_k: query {row[first]} excludes {column[first]}; "
            f"the corpus has 0 to {corpus_count - 1}"
        )
    return sparse.csr_array((np.ones(len(row), bool), (row, column)), shape)


class TopKSearch:
    """The state of one search: the k best so far and what is known of the rest.

    `scores` and `indices` (Q, k): the k best so far, with exact scores. `dropped_bound` (Q,): no
    vector that the fast pass dropped has an exact score above it.
    """

    def __init__(
        self,
        queries: VectorSet,
        corpus: VectorSet,
        excluded: sparse.csr_array,
        k: int,
        dtype: torch.dtype,
    ):
        self.queries = queries
        self.corpus = corpus
        self.excluded = excluded
        self.k = k
        self.dtype = dtype
        self.scores = torch.full((len(queries), k), -torch.inf)
        self.indices = torch.full((len(queries), k), -1)
        self.dropped_bound = torch.full((len(queries),), -torch.inf)
        self.score_exactly = ExactScorer(queries.width, queries.device)

    def search_block(self, block: CorpusBlock, rows: slice) -> None:
        """The fast pass of one block of the corpus for some queries, and exact scores of what it
        keeps."""
        queries = self.queries.load(rows)  # (R, H)
        rounded, sum_error = round_queries(queries, block)
        scores = block.fast_scores(rounded)  # (R, C)
        self._mask_excluded(scores, rows, block.columns)
        best, column = best_columns(scores, min(self.k + SPARE, scores.shape[1]))  # (R, K)
        excluded = best.isneginf()
        error = score_error(best.masked_fill(excluded, 0), sum_error, self.dtype)
        if best.shape[1] < scores.shape[1]:
            dropped = (best + error)[:, -1].cpu()
            self.dropped_bound[rows] = torch.maximum(self.dropped_bound[rows], dropped)
        # the k-th best scores at least `floor`: most of the spare candidates need no exact score
        floor = self.scores[rows, -1].to(best.device)
        if best.shape[1] >= self.k:
            floor = torch.maximum(floor, (best - error)[:, : self.k].amin(1))
        possible = (best + error >= floor[:, None]) & ~excluded
        row, rank = possible.nonzero(as_tuple=True)
        exact = torch.full_like(best, -torch.inf)
        exact[row, rank] = self.score_exactly(queries, row, block.fp32, column[row, rank])
        self._merge(rows, exact, column + block.columns.start)

    def uncertified(self) -> np.ndarray:
        """The queries whose k-th best score is not above the bound on all that was dropped."""
        certified = (self.scores[:, -1] > self.dropped_bound) | self.dropped_bound.isneginf()
        return np.flatnonzero(~certified.numpy())

    def search_exactly(self, rows: np.ndarray, corpus_block: int) -> None:
        """Search the whole corpus again for some queries, with every score computed exactly."""
        queries = self.queries.load(rows)
        self.scores[rows] = -torch.inf
        self.indices[rows] = -1
        for columns in blocks_of(len(self.corpus), corpus_block):
            scores = exact_scores(queries, self.corpus.load(columns))  # (R, C)
            self._mask_excluded(scores, rows, columns)
            indices = torch.arange(columns.start, columns.stop).expand(len(rows), -1)
            self._merge(rows, scores, indices)

    def _mask_excluded(self, scores: Tensor, rows: slice | np.ndarray, columns: slice) -> None:
        """Set the excluded ones of the scores (R, C) of these queries and columns to -inf."""
        row, column = self.excluded[rows, columns].nonzero()
        scores[torch.from_numpy(row).long(), torch.from_numpy(column).long()] = -torch.inf

    def _merge(self, rows: slice | np.ndarray, scores: Tensor, indices: Tensor) -> None:
        """The k best of those so far and of these (R, K): by score, then by index."""
        scores = torch.cat([self.scores[rows], scores.cpu()], dim=1)
        indices = torch.cat([self.indices[rows], indices.cpu()], dim=1)
        indices, order = indices.sort(dim=1)
        scores, rank = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
        self.scores[rows] = scores[:, : self.k]
        self.indices[rows] = indices.gather(1, rank)[:, : self.k]
