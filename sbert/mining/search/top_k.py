"""Nearest neighbours, exactly: every query against every vector of a corpus, in bounded memory.

The definition is `naive_top_k` (exact.py). `top_k` gives the same result faster, block by block:

1. A fast pass computes low-precision scores s' with a bound e, |s' - s| <= e, where s is the exact
   score (fast_pass.py). It keeps a floor for each query, which the k best scores are known to
   reach, and drops what lies below it: s' + e < floor.
2. What is left is a few candidates beyond k. They are scored exactly.
3. A query with many candidates is searched again without the exact duplicates of the block, then in
   fp32, whose bound is far smaller, and at last with every score computed exactly.
4. On a CPU with fast products of int8 a pass in int8 comes first (int8_pass.py).
5. Where vectors lie in clusters, a pass before all of these leaves out whole ones that cannot hold
   a neighbour (cluster_candidates.py).

So the result is exact, whatever the data, the precision and the block sizes. docs/exact_search.md
explains each step.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sbert.device import Precision, full_precision_products, resolve_precision, with_fp64
from sbert.errors import require
from sbert.mining.search.corpus_block import CorpusBlock
from sbert.mining.search.distances import DISTANCES, DistanceCorpus
from sbert.mining.search.exact import (
    SearchSimilarity,
    Vectors,
    VectorSet,
    as_vectors,
    blocks_of,
)
from sbert.mining.search.int8 import int8_is_fast
from sbert.mining.search.queries import Exclude, check_count, check_search
from sbert.mining.search.sizes import sizes_for
from sbert.mining.search.top_k_search import TopKSearch


def top_k(
    queries: Vectors,
    corpus: Vectors,
    k: int,
    exclude: Exclude = None,
    similarity: str = "cosine",
    precision: Precision = "auto",
    device: torch.device | str = "cpu",
    query_block: int | None = None,
    corpus_block: int | None = None,
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
    corpus_block: int | None = None,
) -> "Corpus | DistanceCorpus":
    """What serves several searches of a corpus (N, H), by any similarity."""
    if similarity in DISTANCES:
        return DistanceCorpus(vectors, similarity, device)
    return Corpus(vectors, similarity, precision, device, query_block, corpus_block)


class Corpus:
    """What is searched. One block is prepared once, for all calls; several are, in each call.

    Args:
        vectors: (N, H), an array, a memory-mapped one too, a tensor or lists; of any real numbers.
        similarity: cosine (0 between a vector of zeros and any other) or dot.
        precision: of the fast pass; it does not change the result. auto: int8 first, where the
            processor multiplies it fast, and then what suits the device (`resolve_precision`).
        query_block, corpus_block: the numbers of queries that are searched for at a time, and of
            vectors that are prepared at a time. They bound the memory, and do not change the
            result. None: what suits the device and its free memory (sizes.py).

    Raises:
        InputError: NaN or infinity in a vector, no numbers (N, H), an unknown similarity, a
            block below 1.
    """

    def __init__(
        self,
        vectors: Vectors,
        similarity: SearchSimilarity = "cosine",
        precision: Precision = "auto",
        device: torch.device | str = "cpu",
        query_block: int | None = None,
        corpus_block: int | None = None,
    ):
        require(
            similarity in ("cosine", "dot"),
            f"top_k: unknown similarity '{similarity}'; known: cosine, dot (of top_k itself also "
            "euclidean, manhattan)",
        )
        for name, block in (("query_block", query_block), ("corpus_block", corpus_block)):
            if block is not None:
                check_count(f"top_k: {name}", block)
        device = with_fp64(device)
        vectors = as_vectors(vectors, "corpus")
        self.vectors = VectorSet(vectors, similarity, device, "corpus vector")
        self.dtype = _precision_of_products(precision, device, similarity)
        # those that the fast pass takes in turn, after one in int8
        self.precisions = list(dict.fromkeys([self.dtype, torch.float32]))
        self.int8 = precision == "auto" and device.type == "cpu" and int8_is_fast()
        sizes = sizes_for(device, self.vectors.width)
        self.sizes = replace(
            sizes, queries=query_block or sizes.queries, corpus=corpus_block or sizes.corpus
        )

    def blocks(self, first: int = 0) -> Iterator[CorpusBlock]:
        """The blocks that hold a vector from `first` on; one at a time if there are several."""
        if len(self.vectors) <= self.sizes.corpus:
            yield self._single_block
        else:
            for columns in blocks_of(len(self.vectors), self.sizes.corpus):
                if columns.stop > first:
                    yield self._load(columns)

    @cached_property
    def _single_block(self) -> CorpusBlock:
        return self._load(slice(0, len(self.vectors)))

    def _load(self, columns: slice) -> CorpusBlock:
        return CorpusBlock.load(self.vectors, columns, self.sizes.vectors)

    @full_precision_products()
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
            InputError: k below 1 or no integer, unlike widths, NaN or infinity in a vector, an
                excluded index that is not in the corpus, a dot product beyond fp32.
        """
        vectors = self.vectors.vectors
        queries = check_search(queries, vectors, k)
        search = TopKSearch(
            self.vectors, self.precisions, self.int8, queries, k, exclude, self.sizes
        )
        total = len(queries) * len(vectors)
        hide = None if progress is None else not progress
        with tqdm(total=total, unit="pairs", unit_scale=True, desc="search", disable=hide) as bar:
            for block in self.blocks():
                search.search_block(
                    block, lambda count, width=block.width: bar.update(count * width)
                )
                del block  # before the next one is loaded
        return search.best.scores.cpu(), search.best.indices.cpu()


def _precision_of_products(
    precision: Precision, device: torch.device, similarity: SearchSimilarity
) -> torch.dtype:
    if precision == "auto" and device.type == "cuda" and similarity == "cosine":
        return torch.float16  # as fast as bf16, with an eighth of its rounding errors
    dtype = resolve_precision(precision, device)
    if dtype == torch.float16 and similarity == "dot":
        return torch.float32  # vectors of any length do not fit into fp16
    return dtype
