"""What a search is asked for: checks, and the vectors that each query does not find."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from scipy import sparse
from torch import Tensor

from sbert.errors import InputError, require
from sbert.mining.search.exact import Vectors, as_vectors

Exclude = np.ndarray | Sequence[Sequence[int]] | None


def check_count(name: str, count: int) -> None:
    """Refuse what is not an integer, 1 or more."""
    require(isinstance(count, (int, np.integer)), f"{name} is {count!r}; it must be an integer")
    require(count >= 1, f"{name} is {count}; it must be 1 or more")


def check_search(queries: Vectors | Sequence, corpus: Vectors, k: int) -> Vectors:
    """The queries as an array or a tensor (Q, H).

    Raises:
        InputError: an empty corpus, no integer k of 1 or more, shapes that do not fit.
    """
    require(len(corpus), "top_k: the corpus is empty")
    check_count("top_k: k", k)
    queries = as_vectors(queries, "queries")
    require(
        queries.shape[1] == corpus.shape[1],
        f"top_k: queries and corpus are {tuple(queries.shape)} and {tuple(corpus.shape)}; "
        "they must be (Q, H) and (N, H)",
    )
    return queries


def exclusion_matrix(exclude: Exclude, query_count: int, corpus_count: int) -> sparse.csr_array:
    """(Q, N) bool: True where a query excludes a vector."""
    if exclude is None:
        return sparse.csr_array((query_count, corpus_count), dtype=bool)
    require(
        len(exclude) == query_count,
        f"top_k: exclude has {len(exclude)} entries for {query_count} queries",
    )
    row, column = _excluded_pairs(exclude)
    outside = (column < 0) | (column >= corpus_count)
    if outside.any():
        first = outside.argmax()
        raise InputError(
            f"top_k: query {row[first]} excludes {column[first]}; "
            f"the corpus has 0 to {corpus_count - 1}"
        )
    present = np.ones(len(row), bool)
    return sparse.csr_array((present, (row, column)), (query_count, corpus_count))


def _excluded_pairs(exclude: Exclude) -> tuple[np.ndarray, np.ndarray]:
    """Queries (E,), ascending, and what each excludes (E,).

    Raises:
        InputError: no integers, or not some for each query.
    """
    try:
        if isinstance(exclude, (np.ndarray, Tensor)):
            exclude = np.asarray(exclude)
            row, entry = np.nonzero(exclude != -1)
            column = exclude[row, entry]
        else:
            counts = np.fromiter(map(len, exclude), int)
            row = np.repeat(np.arange(len(counts)), counts)
            column = np.array(list(chain.from_iterable(exclude)))
    except (TypeError, ValueError):
        raise InputError(
            "top_k: exclude must be a list of indices for each query, or an array (Q, E)"
        ) from None
    if not len(column):
        return row, row
    require(
        column.dtype.kind in "iu" and column.shape == row.shape,
        f"top_k: query {row[0]} excludes {column[0]!s}, of {column.dtype}; it must be integers",
    )
    return row, column
