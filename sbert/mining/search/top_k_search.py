"""The search of the k best: the passes over a block, and the k best so far."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from sbert.device import map_in_threads
from sbert.errors import require
from sbert.mining.search.best_scores import best_candidates, kept_for
from sbert.mining.search.best_so_far import BestSoFar, first_of_best
from sbert.mining.search.candidate_table import kth_best
from sbert.mining.search.cluster_candidates import cluster_candidates
from sbert.mining.search.corpus_block import CorpusBlock, Entries, ExcludedPairs
from sbert.mining.search.exact import (
    LoadedVectors,
    Vectors,
    VectorSet,
    blocks_of,
    exact_pair_scores,
    exact_scores,
)
from sbert.mining.search.floor_search import floor_candidates
from sbert.mining.search.queries import Exclude, exclusion_matrix
from sbert.mining.search.query_part import QueryPart, make_pass
from sbert.mining.search.sizes import CPU, Sizes

LEAST_QUERIES = 64  # of a thread

# queries, and vectors of a block, from which on it pays to look for clusters
LEAST_CLUSTERED_QUERIES = 256
LEAST_CLUSTERED = 2048

# queries, and vectors of a block, from which on it pays to round them to int8
LEAST_INT8_QUERIES = 1024
LEAST_INT8 = 16_384

# candidates of a query in int8 up to which its products save time: so many for each neighbour, and
# one more for so many vectors of the block
CANDIDATES_PER_NEIGHBOUR = 5
VECTORS_PER_CANDIDATE = 1000

# queries for which it takes less time to multiply in fp32 than to round a block to less
FEW = 64

# queries that are searched first, in clusters or in int8
SEARCHED_FIRST = 128

# queries that are searched in clusters at a time: those of a sixteenth of the clusters, between
# these limits
SHARE_TOGETHER = 16
LEAST_TOGETHER = 16
MOST_TOGETHER = 128

EXACT_QUERIES = 64  # whose scores are all computed exactly at a time


class TopKSearch:
    """The state of one search: `best`, the k best so far, with exact scores.

    Args:
        vectors: the corpus (N, H).
        precisions: those that the fast pass takes in turn.
        int8: whether there is a pass in int8 before them.
        queries: (Q, H).
        exclude: for each query the indices that are not returned.
    """

    def __init__(
        self,
        vectors: VectorSet,
        precisions: Sequence[torch.dtype],
        int8: bool,
        queries: Vectors,
        k: int,
        exclude: Exclude = None,
        sizes: Sizes = CPU,
    ):
        self.precisions = precisions
        self.int8 = int8
        self.queries = VectorSet(queries, vectors.similarity, vectors.device, "query")
        if sizes.queued and len(queries) <= sizes.corpus:
            self.queries = LoadedVectors(self.queries, sizes.vectors)
        self.excluded = exclusion_matrix(exclude, len(queries), len(vectors))
        self.k = k
        self.sizes = sizes
        self.best = BestSoFar(len(queries), k, vectors.device)

    def search_block(self, block: CorpusBlock, advance: Callable[[int], None]) -> None:
        """Search one block of the corpus for all queries; `advance` is told how many are done."""
        if block.has_many_duplicates:
            block = block.distinct
        asked = torch.arange(len(self.queries), device=self.best.scores.device)
        if self._worth_clusters(block):
            asked = self.search_clusters(block, asked, advance)
        precisions = self.precisions
        if self._worth_int8(block):
            asked = self.search_int8(block, asked, advance)
            if len(asked) < FEW:
                precisions = precisions[-1:]
        for precision in precisions:
            asked = self.search_fast(block, asked, precision, advance)
            advance = _ignore
            if len(asked) and block.distinct is not block:  # equal vectors in every precision
                block = block.distinct
                asked = self.search_fast(block, asked, precision, advance)
        self.search_exactly(block, asked)

    def _worth_clusters(self, block: CorpusBlock) -> bool:
        """Whether the vectors are in clusters, and so many that it pays to look for them."""
        many = len(self.queries) >= LEAST_CLUSTERED_QUERIES and len(block) >= LEAST_CLUSTERED
        return many and not self.sizes.queued and block.clusters is not None

    def search_clusters(
        self, block: CorpusBlock, asked: Tensor, advance: Callable[[int], None]
    ) -> Tensor:
        """`search_fast` in the clusters of a block, for queries near the same ones at a time.

        Some are searched first; if this leaves most of them undecided, it does so of all.
        """
        nearest = [
            block.clusters.scores(self.queries.load(asked[part])).argmax(1)
            for part in blocks_of(len(asked), self.sizes.queries)
        ]
        asked = asked[torch.cat(nearest).argsort(stable=True)]
        clusters = len(block.clusters)
        size = len(asked) // clusters * max(1, clusters // SHARE_TOGETHER)
        size = min(self.sizes.queries, MOST_TOGETHER, max(LEAST_TOGETHER, size))
        part = torch.arange(len(asked)) // size
        first = part % max(1, len(asked) // SEARCHED_FIRST) == 0

        undecided = self._decide_some(
            block, asked[first], torch.float32, size, cluster_candidates, advance
        )
        others = asked[~first]
        if len(undecided) <= first.sum() / 2:
            others = self._decide_some(
                block, others, torch.float32, size, cluster_candidates, advance
            )
        return torch.cat([undecided, others])

    def _worth_int8(self, block: CorpusBlock) -> bool:
        """Whether the products of int8 may save more time than it takes to round the vectors."""
        many = len(self.queries) >= LEAST_INT8_QUERIES and len(block) >= LEAST_INT8
        return self.int8 and many and block.centre is None and not self._worth_clusters(block)

    def search_int8(
        self, block: CorpusBlock, asked: Tensor, advance: Callable[[int], None]
    ) -> Tensor:
        """`search_fast` in int8, whose bound is seven times that of bf16.

        Some are searched first; if most of these have more candidates than the faster products are
        worth, no others are.
        """
        first = torch.arange(len(asked)) % max(1, len(asked) // SEARCHED_FIRST) == 0
        most = CANDIDATES_PER_NEIGHBOUR * self.k + len(block) // VECTORS_PER_CANDIDATE
        size = self.sizes.queries
        few = partial(floor_candidates, most=most)
        undecided = self._decide_some(block, asked[first], torch.int8, size, few, advance)
        others = torch.cat([undecided, asked[~first]])
        if len(undecided) > first.sum() / 2:
            return others
        return self._decide_some(block, others, torch.int8, size, floor_candidates, advance)

    def _decide_some(
        self,
        block: CorpusBlock,
        asked: Tensor,
        dtype: torch.dtype,
        most: int,
        candidates: Callable[[QueryPart], tuple[Entries, Tensor]],
        advance: Callable[[int], None],
    ) -> Tensor:
        """`_search_parts` for queries `asked` (A,), of which others search the undecided again."""
        return self._search_parts(
            block,
            asked,
            dtype,
            most,
            partial(self._find_candidates, candidates),
            lambda undecided: advance(int((~undecided).sum())),
        )

    def search_fast(
        self, block: CorpusBlock, asked: Tensor, dtype: torch.dtype, advance: Callable[[int], None]
    ) -> Tensor:
        """Search a block for the queries `asked` (A,).

        Returns those of them for which this precision leaves too much undecided: for them nothing
        was found.

        Raises:
            InputError: a dot product that may be beyond fp32.
        """
        find = partial(self._find_candidates, floor_candidates)
        if self.sizes.queued:
            find = self._find_best
        return self._search_parts(
            block,
            asked,
            dtype,
            self.sizes.queries,
            find,
            lambda undecided: advance(len(undecided)),
        )

    def _search_parts(
        self,
        block: CorpusBlock,
        asked: Tensor,
        dtype: torch.dtype,
        most: int,
        find: Callable[[QueryPart], Tensor],
        done: Callable[[Tensor], None],
    ) -> Tensor:
        """Search a block by `find` for the queries `asked` (A,), `most` at a time; `done` is told
        which of a part are undecided."""
        if not len(asked):
            return asked
        rounded = block.rounded(dtype)  # here, since threads share it

        def search(part: tuple[slice, ExcludedPairs]) -> tuple[Tensor, Tensor]:
            rows, excluded = asked[part[0]], part[1]
            queries = self.queries.load(rows)  # (R, H)
            fast = make_pass(queries, rounded, self.sizes.scores)
            floor = self.best.floor(rows)
            undecided = find(QueryPart(block, rows, queries, fast, excluded, floor, self.k))
            return undecided, fast.overflows

        threads = 1 if self.sizes.queued else torch.get_num_threads()
        in_threads = len(asked) >= threads * LEAST_QUERIES and threads > 1
        size = part_size(len(asked), most, threads if in_threads else 1)
        parts = self._parts(block, asked, size, rounded.places)
        results = []
        for undecided, overflows in (map_in_threads if in_threads else map)(search, parts):
            results.append((undecided, overflows))
            done(undecided)
        undecided, overflows = zip(*results, strict=True)
        # here alone Python waits for the device
        require(
            not torch.stack(overflows).any(),
            "top_k: dot products near the largest fp32 number; use the cosine, or scale the "
            "vectors",
        )
        return asked[torch.cat(undecided)]

    def _parts(
        self, block: CorpusBlock, asked: Tensor, size: int, places: np.ndarray | None = None
    ) -> Iterator[tuple[slice, ExcludedPairs]]:
        """The parts of the queries, `size` at a time, each with what it does not find."""
        excluded = block.excluded(self.excluded, asked.cpu().numpy(), size, places)
        return zip(blocks_of(len(asked), size), excluded, strict=True)

    def _find_candidates(
        self, candidates: Callable[[QueryPart], tuple[Entries, Tensor]], part: QueryPart
    ) -> Tensor:
        """Add what `floor_candidates` or `cluster_candidates` finds; returns which queries (R,) are
        undecided."""
        entries, undecided = candidates(part)
        self.best.add_entries(part.rows, part.excluded.expand(entries, self.k))
        return undecided

    def _find_best(self, part: QueryPart) -> Tensor:
        """The same, of a fixed number of candidates. Undecided is a query for which one that was
        not kept can reach its k-th best score."""
        block, fast = part.block, part.fast
        count = min(kept_for(self.k), len(block))
        kept, column = best_candidates(fast, part.excluded, count)  # (R, M)
        row = torch.arange(len(part), device=column.device)[:, None].expand_as(column)
        scores = exact_pair_scores(
            part.queries, row.flatten(), block.fp32, column.flatten(), self.sizes
        )
        scores = scores.view_as(kept).masked_fill_(kept.isneginf(), -torch.inf)
        floor = torch.maximum(part.floor, kth_best(scores, self.k))
        dropped = kept.amin(1).float()  # (R,), no fast score that was dropped is larger
        undecided = (dropped >= fast.threshold(floor)) & dropped.isfinite() & (count < len(block))
        scores.masked_fill_(undecided[:, None], -torch.inf)
        if block.duplicates:
            # the fewer, the less there is to expand, which is done on the CPU
            reaches = scores.isfinite() & (scores >= floor[:, None])
            row, place = reaches.nonzero(as_tuple=True)
            found = row, column[row, place], scores[row, place]
            self.best.add_entries(part.rows, part.excluded.expand(found, self.k))
        else:
            self.best.add(part.rows, scores, column + block.columns.start)
        return undecided

    def search_exactly(self, block: CorpusBlock, asked: Tensor) -> None:
        """Search a block for the queries `asked` (A,) with every score computed exactly."""
        size = max(1, self.sizes.scores // 8 // EXACT_QUERIES)  # fp64 takes the memory of 8 scores
        for part, excluded in self._parts(block, asked, EXACT_QUERIES):
            queries = self.queries.load(asked[part])
            for columns in blocks_of(len(block), size):
                scores = exact_scores(queries, block.fp32[columns])  # (R, T)
                excluded.mask(scores, columns)
                chosen = first_of_best(scores, self.k, excluded.partly(columns))
                row, column = chosen.nonzero(as_tuple=True)
                entries = row, column + columns.start, scores[row, column]
                self.best.add_entries(asked[part], excluded.expand(entries, self.k))


def part_size(count: int, most: int, threads: int) -> int:
    """The size of equal parts of `count` queries, as many for each thread and `most` at most."""
    rounds = -(-count // (most * threads))
    return -(-count // (rounds * threads))


def _ignore(count: int) -> None:
    pass
