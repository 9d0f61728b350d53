"""Nearest neighbours, exactly: every query against every vector of a corpus, in bounded memory.

The definition is `naive_top_k` (exact.py). `top_k` gives the same result faster, block by block:

1. A fast pass computes low-precision scores s' with a bound e, |s' - s| <= e, where s is the exact
   score (fast_pass.py). It keeps a floor for each query, which the k best scores are known to
   reach, and drops what lies below it: s' + e < floor.
2. What is left is a few candidates beyond k. They are scored exactly.
3. A query with many candidates is searched again without the exact duplicates of the block, then in
   fp32, whose bound is far smaller, and at last with every score computed exactly.

So the result is exact, whatever the data, the precision and the block sizes. docs/exact_search.md
explains each step.
"""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from sbert.device import Precision, resolve_precision
from sbert.errors import require
from sbert.mining.search.candidate_table import CandidateTable
from sbert.mining.search.corpus_block import CorpusBlock, Entries, ExcludedPairs
from sbert.mining.search.distances import DISTANCES, DistanceCorpus
from sbert.mining.search.exact import (
    SearchSimilarity,
    Vectors,
    VectorSet,
    blocks_of,
    exact_pair_scores,
    exact_scores,
    pair_products,
    places_in_rows,
)
from sbert.mining.search.fast_pass import GROUP, FastPass, group_maxima
from sbert.mining.search.queries import Exclude, check_search, exclusion_matrix

# places for candidates of a query: many more than real sentences need
PLACES = 256
PLACES_PER_NEIGHBOUR = 8

SCORES_PER_NEIGHBOUR = 4  # from which the first floor is found

UNDECIDED = 3  # candidates for each neighbour from which their scores in fp32 save time

# scores that are computed exactly at a time
EXACT_QUERIES = 64
EXACT_COLUMNS = 8192


def top_k(
    queries: Vectors,
    corpus: Vectors,
    k: int,
    exclude: Exclude = None,
    similarity: str = "cosine",
    precision: Precision = "auto",
    device: torch.device | str = "cpu",
    query_block: int | None = None,
    corpus_block: int = 131_072,
    progress: bool | None = False,
) -> tuple[Tensor, Tensor]:
    """The k best of a corpus (N, H) for each query (Q, H): scores (Q, k) float32 and indices
    (Q, k) int64, best first.

    The arguments are those of `Corpus` and of its method `top_k`, which serves several calls; the
    similarity may also be a negative distance, euclidean or manhattan, which takes no fast pass.
    """
    searched = make_corpus(corpus, similarity, precision, device, query_block, corpus_block)
    return searched.top_k(queries, k, exclude, progress)


def make_corpus(
    vectors: Vectors,
    similarity: str = "cosine",
    precision: Precision = "auto",
    device: torch.device | str = "cpu",
    query_block: int | None = None,
    corpus_block: int = 131_072,
) -> "Corpus | DistanceCorpus":
    """What serves several searches of a corpus (N, H), by any similarity."""
    if similarity in DISTANCES:
        return DistanceCorpus(vectors, similarity, device)
    return Corpus(vectors, similarity, precision, device, query_block, corpus_block)


class Corpus:
    """What is searched. One block is prepared once, for all calls; several are, in each call.

    Args:
        vectors: (N, H), an array, a memory-mapped one too, or a tensor.
        similarity: cosine (0 between a vector of zeros and any other) or dot.
        precision: of the fast pass; it does not change the result.
        query_block, corpus_block: the numbers of queries that are searched for at a time, and of
            vectors that are prepared at a time. They bound the memory, and do not change the
            result. query_block None: 1024 on a CPU, 4096 elsewhere.

    Raises:
        InputError: no vectors, NaN or infinity in one, an unknown similarity.
    """

    def __init__(
        self,
        vectors: Vectors,
        similarity: SearchSimilarity = "cosine",
        precision: Precision = "auto",
        device: torch.device | str = "cpu",
        query_block: int | None = None,
        corpus_block: int = 131_072,
    ):
        require(
            similarity in ("cosine", "dot"),
            f"top_k: unknown similarity '{similarity}'; known: cosine, dot (of top_k itself also "
            "euclidean, manhattan)",
        )
        device = torch.device(device)
        self.vectors = VectorSet(vectors, similarity, device, "corpus vector")
        self.dtype = resolve_precision(precision, device)
        if self.dtype == torch.float16 and similarity == "dot":
            self.dtype = torch.float32  # vectors of any length do not fit into fp16
        # those that the fast pass takes in turn
        self.precisions = list(dict.fromkeys([self.dtype, torch.float32]))
        self.query_block = query_block or (1024 if device.type == "cpu" else 4096)
        self.corpus_block = corpus_block

    def blocks(self, first: int = 0) -> Iterator[CorpusBlock]:
        """The blocks that hold a vector from `first` on; one at a time if there are several."""
        if len(self.vectors) <= self.corpus_block:
            yield self._single_block
        else:
            for columns in blocks_of(len(self.vectors), self.corpus_block):
                if columns.stop > first:
                    yield CorpusBlock.load(self.vectors, columns)

    @cached_property
    def _single_block(self) -> CorpusBlock:
        return CorpusBlock.load(self.vectors, slice(0, len(self.vectors)))

    def top_k(
        self, queries: Vectors, k: int, exclude: Exclude = None, progress: bool | None = False
    ) -> tuple[Tensor, Tensor]:
        """The k best for each query (Q, H): scores (Q, k) float32 and indices (Q, k) int64, best
        first, of equal ones the lower index first.

        Where fewer than k vectors are left for a query, its row ends with score -inf and index -1.

        Args:
            exclude: for each query the indices that are not returned: itself, its known positives.
                Lists, or an array (Q, E) with -1 for none.
            progress: show a bar, in compared pairs; None: only on a terminal.

        Raises:
            InputError: k below 1, unlike widths, NaN or infinity in a vector, an excluded index
                that is not in the corpus, a dot product beyond fp32.
        """
        vectors = self.vectors.vectors
        check_search(queries, vectors, k)
        search = TopKSearch(self, queries, k, exclude)
        total = len(queries) * len(vectors)
        hide = None if progress is None else not progress
        with tqdm(total=total, unit="pairs", unit_scale=True, desc="search", disable=hide) as bar:
            for block in self.blocks():
                for rows in blocks_of(len(queries), self.query_block):
                    search.search_block(block, rows)
                    bar.update((rows.stop - rows.start) * block.width)
        return search.scores, search.indices.masked_fill(search.scores.isneginf(), -1)


class TopKSearch:
    """The state of one search: `scores` and `indices` (Q, k), the k best so far, exact."""

    def __init__(self, corpus: Corpus, queries: Vectors, k: int, exclude: Exclude = None):
        vectors = corpus.vectors
        self.corpus = corpus
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
        for precision in self.corpus.precisions:
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
        for columns, scores in fast.tiles():
            excluded.mask(scores, columns)
            entries = table.reaching(scores, fast.threshold(floor))
            if not table.has_room(entries):
                floor = self._raise_floor(table, fast, floor)
                floor = torch.maximum(floor, fast.bounds(kth_best(scores, self.k))[0])
                # few queries would take the time of all
                table.crowded |= (table.filled > size / 2) & (size < len(block))
                entries = table.reaching(scores, fast.threshold(floor))
            table.add(entries, columns.start)
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


def kth_best(scores: Tensor, k: int) -> Tensor:
    """The k-th best score (R,) of each row (R, T); -inf where T is below k."""
    if k > scores.shape[1]:
        return scores.new_full((len(scores),), -torch.inf, dtype=torch.float32)
    return scores.topk(k, sorted=False)[0].amin(1).float()


def first_of_best(scores: Tensor, k: int) -> Tensor:
    """(R, T) -> (R, T) bool: the k best of each row, of equal scores those that come first."""
    best = scores.topk(min(k, scores.shape[1]), sorted=False)[0].amin(1, keepdim=True)
    ties = scores == best
    above = scores > best
    missing = k - above.sum(1, keepdim=True)
    return (above | (ties & (ties.cumsum(1) <= missing))) & ~scores.isneginf()
