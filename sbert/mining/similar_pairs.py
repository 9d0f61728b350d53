"""All similar pairs of one collection, exactly (paraphrase mining).

The definition is the plain loop over all pairs i < j with the scores of exact.py. A fast pass
computes every unordered pair once. It keeps a `floor`: a score that `limit` pairs are known to
reach, or the threshold. A pair with fast score s' and error bound e lies between s' - e and s' + e:
if s' + e is below the floor, the pair is dropped, otherwise it is scored again exactly. So the
result is that of the loop. docs/exact_search.md explains the bounds.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sbert.device import Precision, resolve_precision
from sbert.errors import require
from sbert.mining.config import check_threshold
from sbert.mining.exact import (
    GROUP,
    CorpusBlock,
    ExactScorer,
    Vectors,
    VectorSet,
    blocks_of,
    default_query_block,
    round_queries,
    score_error,
    split_groups,
)


class PairBounds(NamedTuple):
    """P pairs of `rows` of the collection and a block: their indices in these, (P,) each, and the
    bounds (P,) between which their exact scores lie."""

    rows: slice
    row: Tensor
    column: Tensor
    lower: Tensor
    upper: Tensor

    def reaching(self, floor: float) -> "PairBounds":
        """The pairs whose exact scores can be `floor` or more."""
        keep = self.upper >= floor
        row, column, lower, upper = (part[keep] for part in self[1:])
        return PairBounds(self.rows, row, column, lower, upper)


class SimilarPairs:
    """The best pairs so far: cosine at least `threshold`, at most `limit` of them.

    `search(rows)` compares some vectors with all that follow them. When all rows have been
    searched, in any order, `best()` is the result.

    Args:
        vectors: (N, H), an array, a memory-mapped one too, or a tensor.
        threshold: the lowest cosine of a pair; None for any.
        limit: the number of pairs to keep; it bounds the memory.
        precision: of the fast pass; it does not change the result.
        query_block, corpus_block: as of `Corpus`.

    Raises:
        InputError: a threshold outside [-1, 1], a limit below 1.
    """

    def __init__(
        self,
        vectors: Vectors,
        threshold: float | None,
        limit: int,
        precision: Precision = "auto",
        device: torch.device | str = "cpu",
        query_block: int | None = None,
        corpus_block: int = 131_072,
    ):
        require(limit >= 1, f"limit is {limit}; it must be 1 or more")
        check_threshold(threshold)
        device = torch.device(device)
        self.vectors = VectorSet(vectors, "cosine", device, "vector")
        self.limit = limit
        self.floor = -2.0 if threshold is None else threshold
        self.dtype = resolve_precision(precision, device)
        self.query_block = query_block or default_query_block(device)
        self.corpus_block = corpus_block
        self.score_exactly = ExactScorer(self.vectors.width, device)
        self.scores = [torch.empty(0)]  # of pairs with exact scores, in parts
        self.pairs = [torch.empty(0, 2, dtype=torch.int64)]
        self.count = 0
        self.unscored: list[PairBounds] = []

    def search(self, rows: slice) -> None:
        """Compare the vectors `rows` with all that follow each of them."""
        query_block = min(self.query_block, rows.stop - rows.start)
        for columns in blocks_of(len(self.vectors), self.corpus_block):
            if columns.stop <= rows.start + 1:
                continue
            block = CorpusBlock(self.vectors, columns, self.dtype, query_block)
            for part in blocks_of(rows.stop - rows.start, self.query_block):
                queries = slice(rows.start + part.start, rows.start + part.stop)
                if queries.start + 1 < columns.stop:
                    self._search_block(queries, block)
            self._score_candidates(block)

    def _search_block(self, rows: slice, block: CorpusBlock) -> None:
        """The fast pass over vectors (R, H) and those of a block that follow them."""
        rounded, sum_error = round_queries(self.vectors.load(rows), block)
        first = max(0, rows.start - block.columns.start)  # what is before was met in other rows
        scores = block.fast_scores(rounded, first)  # (R, C)
        _mask_lower_triangle(scores, rows, block.columns.start + first)
        # a cosine of the fast pass is at most 1 and a little
        largest = torch.full_like(sum_error, 1.01)[:, None]
        error = score_error(largest, sum_error, self.dtype)[:, 0]  # (R,)
        row, column, values = self._candidates(scores, error)
        bounds = PairBounds(rows, row, column + first, values - error[row], values + error[row])
        self.unscored.append(bounds)
        if sum(len(part.row) for part in self.unscored) > 1.5 * self.limit:
            self._raise_floor(torch.cat([part.lower for part in self.unscored]))
            self.unscored = [part.reaching(self.floor) for part in self.unscored]

    def _candidates(self, scores: Tensor, error: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of the fast scores (R, C) those that can reach the floor, given their error bound (R,).

        Rows, columns and scores, (P,) each. A group of columns is skipped if its maximum cannot.
        """
        grouped, rest = split_groups(scores)
        rest = rest.float()
        group_count = grouped.shape[2]
        largest = grouped.amax(1).float()  # (R, G)
        self._raise_floor(largest[largest >= (self.floor - error)[:, None]] - error.max())
        row, group = (largest >= (self.floor - error)[:, None]).nonzero(as_tuple=True)
        members = grouped[row, :, group].float()  # (groups that can, GROUP)
        chosen, member = (members >= (self.floor - error)[row, None]).nonzero(as_tuple=True)
        values = members[chosen, member]
        self._raise_floor(values - error.max())
        row, column = row[chosen], member * group_count + group[chosen]
        needed = self.floor - error
        keep = values >= needed[row]
        rest_row, rest_column = (rest >= needed[:, None]).nonzero(as_tuple=True)
        return (
            torch.cat([row[keep], rest_row]),
            torch.cat([column[keep], rest_column + GROUP * group_count]),
            torch.cat([values[keep], rest[rest_row, rest_column]]),
        )

    def _raise_floor(self, lower_bounds: Tensor) -> None:
        """Raise the floor to what `limit` pairs are known to reach; (P,), one bound a pair."""
        if len(lower_bounds) >= self.limit:
            least = lower_bounds.topk(self.limit, sorted=False)[0].min()
            self.floor = max(self.floor, least.item())

    def _score_candidates(self, block: CorpusBlock) -> None:
        """Add the exact scores of the candidates of a block.

        Only after all rows were compared with it: by then the floor is above many of them.
        """
        for part in self.unscored:
            part = part.reaching(self.floor)
            queries = self.vectors.load(part.rows)
            scores = self.score_exactly(queries, part.row, block.fp32, part.column)
            row, column = part.row + part.rows.start, part.column + block.columns.start
            self.add(scores.cpu(), torch.stack([row, column], dim=1).cpu())
        self.unscored = []

    def add(self, scores: Tensor, pairs: Tensor) -> None:
        """Add pairs (P, 2) with their exact scores (P,); drop those below the floor."""
        keep = scores >= self.floor
        self.scores.append(scores[keep])
        self.pairs.append(pairs[keep])
        self.count += int(keep.sum())
        if self.count > 1.5 * self.limit:
            scores, pairs = torch.cat(self.scores), torch.cat(self.pairs)
            self._raise_floor(scores)
            keep = scores >= self.floor
            self.scores, self.pairs = [scores[keep]], [pairs[keep]]
            self.count = int(keep.sum())

    def best(self) -> tuple[Tensor, Tensor]:
        """Scores (P,) and pairs (P, 2), i < j, best first, of equal ones the lower i and j first;
        P is at most `limit`."""
        scores, pairs = torch.cat(self.scores), torch.cat(self.pairs)
        first, second = pairs.numpy().T
        order = np.lexsort((second, first, -scores.numpy()))[: self.limit]
        return scores[order], pairs[order]


def _mask_lower_triangle(scores: Tensor, rows: slice, first: int) -> None:
    """Set the scores (R, C) of rows i and columns j >= first to -inf where j <= i."""
    if first < rows.stop:
        width = min(rows.stop - first, scores.shape[1])
        row = torch.arange(rows.start, rows.stop, device=scores.device)[:, None]
        column = torch.arange(first, first + width, device=scores.device)
        scores[:, :width].masked_fill_(column <= row, -torch.inf)


def similar_pairs(
    vectors: Vectors, threshold: float | None = None, limit: int = 500_000, **options
) -> tuple[Tensor, Tensor]:
    """The unordered pairs of N vectors (N, H) with a cosine of at least `threshold`, the best
    `limit` of them: scores (P,) float32 and pairs (P, 2) int64.

    i < j; best first, of equal scores the lower i and j first. The scores are exact (exact.py).

    Args:
        options: those of `SimilarPairs`.

    Raises:
        InputError: NaN or infinity in a vector, a threshold outside [-1, 1], a limit below 1.
    """
    search = SimilarPairs(vectors, threshold, limit, **options)
    search.search(slice(0, len(vectors)))
    return search.best()
