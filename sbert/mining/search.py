"""Nearest neighbours, exactly: every query against every vector of a corpus, in bounded memory.

The definition is `naive_top_k`. `top_k` gives the same result faster, block by block:

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

import torch
from torch import Tensor
from tqdm.auto import tqdm

from sbert.device import Precision, resolve_precision
from sbert.errors import InputError, require
from sbert.mining.exact import (
    CorpusBlock,
    SearchSimilarity,
    Vectors,
    VectorSet,
    blocks_of,
    default_query_block,
    exact_scores,
)
from sbert.mining.top_k_search import Exclude, TopKSearch, exclusion_matrix

UNCERTIFIED_QUERIES = 64  # that are searched again at a time


def naive_top_k(
    queries: Vectors, corpus: Vectors, k: int, similarity: SearchSimilarity = "cosine"
) -> tuple[Tensor, Tensor]:
    """The definition of `top_k`, with all Q x N scores in memory: scores and indices (Q, k).

    Best first; of equal scores the lower index comes first, since the sort is stable.
    """
    cpu = torch.device("cpu")
    q = VectorSet(queries, similarity, cpu, "query").load(slice(0, len(queries)))  # (Q, H)
    c = VectorSet(corpus, similarity, cpu, "corpus vector").load(slice(0, len(corpus)))  # (N, H)
    scores, indices = exact_scores(q, c).sort(dim=1, descending=True, stable=True)  # (Q, N)
    return scores[:, :k], indices[:, :k]


def top_k(
    queries: Vectors,
    corpus: Vectors,
    k: int,
    exclude: Exclude = None,
    similarity: SearchSimilarity = "cosine",
    precision: Precision = "auto",
    device: torch.device | str = "cpu",
    query_block: int | None = None,
    corpus_block: int = 131_072,
    progress: bool | None = False,
) -> tuple[Tensor, Tensor]:
    """The k best of a corpus (N, H) for each query (Q, H): scores (Q, k) float32 and indices
    (Q, k) int64, best first.

    The arguments are those of `Corpus` and of its method `top_k`, which serves several calls.
    """
    searched = Corpus(corpus, similarity, precision, device, query_block, corpus_block)
    return searched.top_k(queries, k, exclude, progress)


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
            f"top_k: unknown similarity '{similarity}'; known: cosine, dot",
        )
        require(len(vectors), "top_k: the corpus is empty")
        device = torch.device(device)
        self.vectors = VectorSet(vectors, similarity, device, "corpus vector")
        self.dtype = resolve_precision(precision, device)
        if self.dtype == torch.float16 and similarity == "dot":
            self.dtype = torch.float32  # vectors of any length do not fit into fp16
        self.query_block = query_block or default_query_block(device)
        self.corpus_block = corpus_block
        self.single_block: CorpusBlock | None = None

    def blocks(self) -> Iterator[CorpusBlock]:
        count = len(self.vectors)
        if count <= self.corpus_block:
            if self.single_block is None:
                self.single_block = self._block(slice(0, count))
            yield self.single_block
        else:
            for columns in blocks_of(count, self.corpus_block):
                yield self._block(columns)

    def _block(self, columns: slice) -> CorpusBlock:
        return CorpusBlock(self.vectors, columns, self.dtype, self.query_block)

    def top_k(
        self, queries: Vectors, k: int, exclude: Exclude = None, progress: bool | None = False
    ) -> tuple[Tensor, Tensor]:
        """The k best for each query (Q, H): scores (Q, k) float32 and indices (Q, k) int64, best
        first, of equal ones the lower index first.

        Where fewer than k vectors are left for a query, its row ends with score -inf and index -1.

        Args:
            exclude: for each query the indices that are not returned: itself, its known positives.
                Lists, or an array (Q, E) with -1 for none.
            progress: show a bar; None: on a terminal alone.

        Raises:
            InputError: k below 1, unlike widths, NaN or infinity in a vector, an excluded index
                that is not in the corpus, a dot product beyond fp32.
        """
        self._check_queries(queries, k)
        corpus = self.vectors
        query_set = VectorSet(queries, corpus.similarity, corpus.device, "query")
        excluded = exclusion_matrix(exclude, len(queries), len(corpus))
        search = TopKSearch(query_set, corpus, excluded, k, self.dtype)
        bar = tqdm(
            total=len(queries) * len(corpus),
            unit="pairs",
            unit_scale=True,
            desc="search",
            disable=None if progress is None else not progress,
        )
        with bar:
            for block in self.blocks():
                for rows in blocks_of(len(queries), self.query_block):
                    search.search_block(block, rows)
                    bar.update((rows.stop - rows.start) * len(block.fp32))
        uncertified = search.uncertified()
        for part in blocks_of(len(uncertified), UNCERTIFIED_QUERIES):
            search.search_exactly(uncertified[part], self.corpus_block)
        return search.scores, search.indices.masked_fill(search.scores.isneginf(), -1)

    def _check_queries(self, queries: Vectors, k: int) -> None:
        corpus = self.vectors.vectors
        require(k >= 1, f"top_k: k is {k}; it must be 1 or more")
        if queries.ndim != 2 or corpus.ndim != 2 or queries.shape[1] != corpus.shape[1]:
            raise InputError(
                f"top_k: queries and corpus are {tuple(queries.shape)} and {tuple(corpus.shape)}; "
                "they must be (Q, H) and (N, H)"
            )
