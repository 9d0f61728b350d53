"""All similar pairs of one collection, exactly (paraphrase mining).

The definition is the plain loop over all pairs i < j with the scores of exact.py, of which one
beyond 1 is 1; exact duplicates, which are searched once (duplicates.py), have 1. A fast pass
computes every unordered pair once. It keeps a `floor`: a score that `limit` pairs are known to
reach, or the threshold. A pair with fast score s' and error bound e lies between s' - e and s' + e:
if s' + e is below the floor, the pair is dropped, otherwise it is scored again exactly. So the
result is that of the loop. docs/exact_search.md explains the bounds.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sbert.device import full_precision_products
from sbert.errors import require
from sbert.mining.config import check_threshold
from sbert.mining.search.corpus_block import CorpusBlock
from sbert.mining.search.duplicates import Duplicates, find_duplicates
from sbert.mining.search.exact import Vectors, blocks_of, exact_pair_scores
from sbert.mining.search.fast_pass import FastPass, entries_from
from sbert.mining.search.queries import check_count
from sbert.mining.search.top_k import Corpus


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
        keep = (self.upper >= floor).nonzero()[:, 0]  # once, for all parts
        return PairBounds(self.rows, *(part[keep] for part in self[1:]))


class SimilarPairs:
    """The best pairs of distinct vectors so far: cosine at least `threshold`, `limit` at most.

    `search(rows)` compares some vectors with all that follow them. When all rows have been
    searched, in any order, `best()` is the result.

    Args:
        corpus: the vectors (N, H), with cosine as their similarity.
        threshold: the lowest cosine of a pair; None for any.
        limit: the number of pairs to keep; it bounds the memory.

    Raises:
        InputError: a threshold outside [-1, 1], a limit below 1.
    """

    def __init__(self, corpus: Corpus, threshold: float | None, limit: int):
        similarity = corpus.vectors.similarity
        require(similarity == "cosine", f"similar pairs: by the cosine alone, not by {similarity}")
        check_count("limit", limit)
        check_threshold(threshold)
        self.corpus = corpus
        self.limit = limit
        self.floor = -2.0 if threshold is None else threshold
        self.scores = [torch.empty(0)]  # of pairs with exact scores, in parts
        self.pairs = [torch.empty(0, 2, dtype=torch.int64)]
        self.count = 0
        self.unscored: list[PairBounds] = []

    @full_precision_products()
    def search(self, rows: slice) -> None:
        """Compare the vectors `rows` with all that follow each of them."""
        for block in self.corpus.blocks(rows.start + 1):
            stop = min(rows.stop, block.columns.stop - 1)  # nothing in the block follows its last
            for queries in blocks_of(stop, self.corpus.sizes.queries, rows.start):
                self._search_block(queries, block)
            self._score_candidates(block)
            del block  # before the next one is loaded

    def _search_block(self, rows: slice, block: CorpusBlock) -> None:
        """The fast pass over vectors (R, H) and those of a block that follow them."""
        queries, vectors = self._load(rows, block), block.rounded(self.corpus.dtype)
        fast = FastPass(queries, vectors, self.corpus.sizes.scores)
        fast = fast.subtract(torch.full_like(fast.error, self.floor))
        start = block.columns.start
        for columns, scores in fast.tiles(max(0, rows.start + 1 - start)):
            _mask_earlier(scores, rows.start - start - columns.start)
            floor = torch.full_like(fast.error, self.floor)
            for row, column, score in entries_from(scores, fast.threshold(floor)):
                lower, upper = fast.bounds(score, row)
                part = PairBounds(rows, row, column + columns.start, lower, upper)
                self.unscored.append(part)
            if self._has_many_unscored():
                self._raise_floor(torch.cat([part.lower for part in self.unscored]))
                self.unscored = [part.reaching(self.floor) for part in self.unscored]
            if self._has_many_unscored():  # more near ties than the bounds can tell apart
                self._score_candidates(block)

    def _has_many_unscored(self) -> bool:
        return sum(len(part.row) for part in self.unscored) > 1.5 * self.limit

    def _load(self, rows: slice, block: CorpusBlock) -> Tensor:
        """The vectors (R, H) of some rows, which may be in the block."""
        start, stop = rows.start - block.columns.start, rows.stop - block.columns.start
        if start >= 0 and stop <= len(block):
            return block.fp32[start:stop]
        return self.corpus.vectors.load(rows)

    def _raise_floor(self, lower_bounds: Tensor) -> None:
        """Raise the floor to what `limit` pairs are known to reach; (P,), one bound a pair."""
        if len(lower_bounds) >= self.limit:
            least = lower_bounds.topk(self.limit, sorted=False)[0].min()
            self.floor = max(self.floor, min(1.0, least.item()))

    def _score_candidates(self, block: CorpusBlock) -> None:
        # only after all rows were compared with the block: the floor is above many of them then
        for part in self.unscored:
            part = part.reaching(self.floor)
            scores = exact_pair_scores(
                self._load(part.rows, block), part.row, block.fp32, part.column, self.corpus.sizes
            )
            row, column = part.row + part.rows.start, part.column + block.columns.start
            # the vectors' lengths are rounded, so that a cosine may pass 1 by its last digit
            self.add(scores.clamp(-1, 1).cpu(), torch.stack([row, column], dim=1).cpu())
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
        order = np.lexsort((pairs[:, 1], pairs[:, 0], -scores))[: self.limit]
        return scores[order], pairs[order]


def _mask_earlier(scores: Tensor, diagonal: int) -> None:
    """Keep of the scores (R, T) those of pairs i < j: column j - i + `diagonal` and later ones."""
    rows, columns = scores.shape
    width = max(0, min(rows + diagonal, columns))
    earlier = torch.ones(rows, width, dtype=torch.bool, device=scores.device)
    scores[:, :width].masked_fill_(earlier.tril(diagonal), -torch.inf)


def similar_pairs(
    vectors: Vectors, threshold: float | None = None, limit: int = 500_000, **options
) -> tuple[Tensor, Tensor]:
    """The unordered pairs of N vectors (N, H) with a cosine of at least `threshold`, the best
    `limit` of them: scores (P,) float32 and pairs (P, 2) int64.

    i < j; best first, of equal scores the lower i and j first. The scores are exact (exact.py);
    exact duplicates have a cosine of 1.

    Args:
        options: those of `Corpus`.

    Raises:
        InputError: NaN or infinity in a vector, a threshold outside [-1, 1], a limit below 1.
    """
    duplicates, scores, pairs = distinct_pairs(vectors, threshold, limit, **options)
    return duplicates.expand_pairs(scores, pairs, limit)


def distinct_pairs(
    vectors: Vectors, threshold: float | None, limit: int, **options
) -> tuple[Duplicates, Tensor, Tensor]:
    """The exact duplicates among N vectors (N, H), and of the U distinct vectors what
    `similar_pairs` gives: scores (P,), and pairs (P, 2) of their numbers."""
    collection = Corpus(vectors, **options).vectors
    duplicates = find_duplicates(collection)
    distinct = duplicates.select_distinct(collection.vectors)
    search = SimilarPairs(Corpus(distinct, **options), threshold, limit)
    search.search(slice(0, len(duplicates)))
    return duplicates, *search.best()
