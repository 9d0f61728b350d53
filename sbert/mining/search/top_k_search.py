"""The search of the k best: the passes over a block, and the k best so far."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from sbert.device import map_in_threads
from sbert.errors import require
from sbert.mining.search.best_scores import best_candidates, kept_for
from sbert.mining.search.best_so_far import BestSoFar
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
from sbert.mining.search.fast_pass import FastPass
from sbert.mining.search.floor_search import floor_candidates
from sbert.mining.search.queries import Exclude, exclusion_matrix
from sbert.mining.search.query_part import QueryPart
from sbert.mining.search.sizes import CPU, Sizes

LEAST_QUERIES = 64  # of a thread

# queries, and vectors of a block, from which on it pays to look for clusters
LEAST_CLUSTERED_QUERIES = 256
LEAST_CLUSTERED = 2048

# queries that are searched in clusters first
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
        sizes: Sizes = CPU,
    ):
        self.precisions = precisions
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
        for precision in self.precisions:
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

        def search(asked: Tensor) -> Tensor:
            return self._search_parts(
                block,
                asked,
                torch.float32,
                size,
                partial(self._find_candidates, cluster_candidates),
                lambda undecided: advance(int((~undecided).sum())),
            )

        undecided, others = search(asked[first]), asked[~first]
        if len(undecided) <= first.sum() / 2:
            others = search(others)
        return torch.cat([undecided, others])

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
            fast = FastPass(queries, rounded, self.sizes.scores)
            floor = self.best.floor(rows)
            undecided = find(QueryPart(block, rows, queries, fast, excluded, floor, self.k))
            return undecided, fast.overflows

        threads = 1 if self.sizes.queued else torch.get_num_threads()
        in_threads = len(asked) >= threads * LEAST_QUERIES and threads > 1
        size = part_size(len(asked), most, threads if in_threads else 1)
        parts = self._parts(block, asked, size)
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
        self, block: CorpusBlock, asked: Tensor, size: int
    ) -> Iterator[tuple[slice, ExcludedPairs]]:
        """The parts of the queries, `size` at a time, each with what it does not find."""
        excluded = block.excluded(self.excluded, asked.cpu().numpy(), size)
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
            row, place = scores.isfinite().nonzero(as_tuple=True)
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
