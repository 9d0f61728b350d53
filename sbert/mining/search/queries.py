"""What a search is asked for: checks, and the vectors that each query does not find."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from scipy import sparse

from sbert.errors import InputError, require
from sbert.mining.search.exact import Vectors

Exclude = np.ndarray | Sequence[Sequence[int]] | None


def check_search(queries: Vectors, corpus: Vectors, k: int) -> None:
    """Refuse an empty corpus, k below 1, and shapes that do not fit."""
    require(len(corpus), "top_k: the corpus is empty")
    require(k >= 1, f"top_k: k is {k}; it must be 1 or more")
    require(
        queries.ndim == corpus.ndim == 2 and queries.shape[1] == corpus.shape[1],
        f"top_k: queries and corpus are {tuple(queries.shape)} and {tuple(corpus.shape)}; "
        "they must be (Q, H) and (N, H)",
    )


def exclusion_matrix(exclude: Exclude, query_count: int, corpus_count: int) -> sparse.csr_array:
    """(Q, N) bool: True where a query excludes a vector."""
    if exclude is None:
        return sparse.csr_array((query_count, corpus_count), dtype=bool)
    require(
        len(exclude) == query_count,
        f"top_k: exclude has {len(exclude)} entries for {query_count} queries",
    )
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
    present = np.ones(len(row), bool)
    return sparse.csr_array((present, (row, column)), (query_count, corpus_count))
