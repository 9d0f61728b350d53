"""Nearest neighbours, exactly: every query against every vector of a corpus, in bounded memory.

The definition is `naive_top_k` (exact.py). `top_k` gives the same result faster, block by block:

1. A fast pass computes low-precision scores s' and keeps the k + SPARE best of each query. Its
   scores come with a bound e, |s' - s| <= e, where s is the exact score (exact.py).
2. Those of them that can still be among the k best are scored again exactly.
3. The certificate: a query is done if its k-th exact score is greater than s' + e of all that the
   fast pass dropped. Then nothing that was dropped belongs among the k best.
4. A query without a certificate is searched again, with every score computed exactly.

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
from sbert.mining.distances import DISTANCES, DistanceCorpus
from sbert.mining.exact import (
    CorpusBlock,
    ExactScorer,
    SearchSimilarity,
    Vectors,
    VectorSet,
    best_columns,
    blocks_of,
    exact_scores,
    round_queries,
    score_error,
)
from sbert.mining.queries import Exclude, check_search, exclusion_matrix

SPARE = 24  # candidates beyond k: enough to certify the near ties of real sentences

UNCERTIFIED_QUERIES = 64  # that are searched again at a time


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
        query_block, corpus_block: the numbers of vectors that are multiplied at a time. Their
            product bounds the memory, and does not change the result. query_block None: 256 on a
            CPU, 4096 elsewhere.

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
        # on a CPU few, so that a part of their scores stays in the cache
        self.query_block = query_block or (256 if device.type == "cpu" else 4096)
        self.corpus_block = corpus_block

    def blocks(self, first: int = 0) -> Iterator[CorpusBlock]:
        """The blocks that hold a vector from `first` on; one at a time if there are several."""
        if len(self.vectors) <= self.corpus_block:
            yield self._single_block
        else:
            for columns in blocks_of(len(self.vectors), self.corpus_block):
                if columns.stop > first:
                    yield CorpusBlock(self.vectors, columns, self.dtype, self.query_block)

    @cached_property
    def _single_block(self) -> CorpusBlock:
        return CorpusBlock(self.vectors, slice(0, len(self.vectors)), self.dtype, self.query_block)

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
                    bar.update((rows.stop - rows.start) * len(block.fp32))
        uncertified = search.uncertified()
        for part in blocks_of(len(uncertified), UNCERTIFIED_QUERIES):
            search.search_exactly(uncertified[part])
        return search.scores, search.indices.masked_fill(search.scores.isneginf(), -1)


class TopKSearch:
    """The state of one search: the k best so far and what is known of the rest.

    `scores` and `indices` (Q, k): the k best so far, with exact scores. `dropped_bound` (Q,): no
    vector that the fast pass dropped has an exact score above it.
    """

    def __init__(self, corpus: Corpus, queries: Vectors, k: int, exclude: Exclude = None):
        vectors = corpus.vectors
        self.corpus = corpus
        self.queries = VectorSet(queries, vectors.similarity, vectors.device, "query")
        self.excluded = exclusion_matrix(exclude, len(queries), len(vectors))
        self.k = k
        self.scores = torch.full((len(queries), k), -torch.inf)
        self.indices = torch.full((len(queries), k), -1)
        self.dropped_bound = torch.full((len(queries),), -torch.inf)
        self.score_exactly = ExactScorer(vectors.width, vectors.device)

    def search_block(self, block: CorpusBlock, rows: slice) -> None:
        """The fast pass of one block of the corpus for some queries, and exact scores of what it
        keeps."""
        queries = self.queries.load(rows)  # (R, H)
        rounded, sum_error = round_queries(queries, block)
        scores = block.fast_scores(rounded)  # (R, C)
        self._mask_excluded(scores, rows, block.columns)
        best, column = best_columns(scores, min(self.k + SPARE, scores.shape[1]))  # (R, K)
        excluded = best.isneginf()
        error = score_error(best.masked_fill(excluded, 0), sum_error, scores.dtype)
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

    def search_exactly(self, rows: np.ndarray) -> None:
        """Search the whole corpus again for some queries, with every score computed exactly."""
        queries = self.queries.load(rows)
        self.scores[rows] = -torch.inf
        self.indices[rows] = -1
        for columns in blocks_of(len(self.corpus.vectors), self.corpus.corpus_block):
            scores = exact_scores(queries, self.corpus.vectors.load(columns))  # (R, C)
            self._mask_excluded(scores, rows, columns)
            indices = torch.arange(columns.start, columns.stop)
            self._merge(rows, scores, indices.expand(len(rows), -1))

    def _mask_excluded(self, scores: Tensor, rows: slice | np.ndarray, columns: slice) -> None:
        row, column = self.excluded[rows, columns].nonzero()  # of the scores (R, C)
        scores[torch.from_numpy(row).long(), torch.from_numpy(column).long()] = -torch.inf

    def _merge(self, rows: slice | np.ndarray, scores: Tensor, indices: Tensor) -> None:
        """The k best of those so far and of these (R, K): by score, then by index."""
        scores = torch.cat([self.scores[rows], scores.cpu()], dim=1)
        indices = torch.cat([self.indices[rows], indices.cpu()], dim=1)
        indices, order = indices.sort(dim=1)
        scores, rank = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
        self.scores[rows] = scores[:, : self.k]
        self.indices[rows] = indices.gather(1, rank)[:, : self.k]
