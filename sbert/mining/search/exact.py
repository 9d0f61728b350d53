"""The definition of the exact searches: vectors as they are read, and exact scores.

For two fp32 vectors q and c (for the cosine both scaled to length 1 and rounded to fp32):

    score(q, c) = float32(sum_h float64(q_h) float64(c_h))

The searches (top_k.py, similar_pairs.py) compute it only for what their fast pass (fast_pass.py)
cannot decide. docs/exact_search.md explains them.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sbert.errors import InputError, require
from sbert.mining.search.sizes import CPU, Sizes

SearchSimilarity = Literal["cosine", "dot"]

Vectors = np.ndarray | Tensor


ARRAY_FLOATS = (np.float16, np.float32, np.float64)
TENSOR_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def as_vectors(vectors: Vectors | Sequence, name: str) -> Vectors:
    """Vectors (N, H) of real numbers of any type, lists too, as an array or a tensor.

    They are not read: an array may be a file.

    Raises:
        InputError: anything else.
    """
    if not hasattr(vectors, "shape"):
        try:
            vectors = np.asarray(vectors)
        except (TypeError, ValueError):
            raise InputError(
                f"top_k: {name} is no array; it must be one, or rows of equal length"
            ) from None
    shape = tuple(vectors.shape)
    require(len(shape) == 2 and shape[1] > 0, f"top_k: {name} has shape {shape}; it must be (N, H)")
    dtype = getattr(vectors, "dtype", np.float32)  # what selects rows of others has none
    of_tensor = isinstance(dtype, torch.dtype)
    real = not dtype.is_complex if of_tensor else np.dtype(dtype).kind in "fiub"
    require(real, f"top_k: {name} is of type {dtype}; it must be of real numbers")
    return vectors.detach() if of_tensor else vectors


def as_floats(part: Vectors) -> Tensor:
    """Some vectors (R, H) as a tensor of floats; fp64 holds other numbers."""
    if isinstance(part, np.ndarray):
        if part.dtype not in ARRAY_FLOATS:
            part = part.astype(np.float64)
        elif isinstance(part, np.memmap) or not part.flags.writeable or min(part.strides) < 0:
            part = np.array(part)  # read from the disk, and as torch wants it
    part = torch.as_tensor(part)
    return part if part.dtype in TENSOR_FLOATS else part.double()


def with_squares_in_range(raw: Tensor) -> Tensor:
    """Vectors (R, H) fp64, those beyond the squares of fp64 divided by their largest number."""
    largest = raw.abs().amax(1, keepdim=True)
    out_of_range = (largest > 0) & ((largest < 1e-140) | (largest > 1e140))
    return torch.where(out_of_range, raw / largest, raw)


def exact_scores(queries: Tensor, corpus: Tensor) -> Tensor:
    """The definition: fp64 inner products, rounded to fp32. (Q, H) and (N, H) fp32 -> (Q, N)."""
    return (queries.double() @ corpus.double().T).float()


def blocks_of(stop: int, size: int, start: int = 0) -> Iterator[slice]:
    """The slices of `size` indices, the last one shorter, that cover `start` to `stop`."""
    for first in range(start, stop, size):
        yield slice(first, min(first + size, stop))


class VectorSet:
    """The queries or the corpus, read block by block.

    Args:
        vectors: (N, H), an array, a memory-mapped one too, or a tensor.
        name: what errors call one of the vectors.
    """

    def __init__(
        self, vectors: Vectors, similarity: SearchSimilarity, device: torch.device, name: str
    ):
        self.vectors = vectors
        self.similarity = similarity
        self.device = device
        self.name = name
        self.width = vectors.shape[-1]

    def __len__(self) -> int:
        return len(self.vectors)

    def load(self, rows: slice | np.ndarray | Tensor) -> Tensor:
        """(R, H) fp32, for the cosine scaled to length 1: what exact scores are defined on.

        Raises:
            InputError: NaN or infinity in a vector, for the dot product as fp32.
        """
        if isinstance(rows, Tensor):
            rows = rows.cpu().numpy()
        raw = as_floats(self.vectors[rows]).to(self.device)  # (R, H)
        if self.similarity == "dot":
            raw = raw.float()
        elif raw.dtype == torch.float64:
            raw = with_squares_in_range(raw)
        norms = torch.linalg.vector_norm(raw, dim=1, keepdim=True, dtype=torch.float64)  # (R, 1)
        finite = norms[:, 0].isfinite()
        if not finite.all():
            first = np.arange(len(self))[rows][int(finite.logical_not().nonzero()[0])]
            where = " in fp32" if self.similarity == "dot" else ""
            raise InputError(f"top_k: {self.name} {first} contains NaN or infinity{where}")
        if self.similarity == "dot":
            return raw
        scaled = raw.to(torch.float64, copy=True).div_(norms.where(norms > 0, 1))
        return scaled.float()

    def load_in_parts(self, rows: slice, size: int) -> Tensor:
        """The same, `size` vectors at a time."""
        count = rows.stop - rows.start
        loaded = torch.empty(count, self.width, device=self.device)
        for part in blocks_of(count, size):
            loaded[part] = self.load(slice(rows.start + part.start, rows.start + part.stop))
        return loaded


class LoadedVectors:
    """The vectors of a set, loaded once: (N, H) fp32."""

    def __init__(self, vectors: VectorSet, size: int):
        self.fp32 = vectors.load_in_parts(slice(0, len(vectors)), size)

    def __len__(self) -> int:
        return len(self.fp32)

    def load(self, rows: Tensor) -> Tensor:
        """(R, H), as `VectorSet.load`."""
        return self.fp32[rows]


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


def places_in_rows(row: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """For ascending rows (P,) of `count` the place of each entry in its row, from 0, and the
    numbers of entries (count,)."""
    counts = torch.bincount(row, minlength=count)
    start = counts.cumsum(0) - counts
    return torch.arange(len(row), device=row.device) - start[row], counts


def pair_products(
    queries: Tensor,
    row: Tensor,
    vectors: Tensor,
    column: Tensor,
    dtype: torch.dtype,
    at_once: int = CPU.pairs,
) -> Tensor:
    """The inner products (P,) of queries[row] and vectors[column], computed in `dtype`.

    The rows ascend. The vectors of `at_once` pairs at most, those of about 16 queries, are
    multiplied with all of these queries: that takes less time than to gather the queries too. For
    a CPU: it reads numbers of `row`.
    """
    at_once = min(at_once, max(64, 16 * len(row) // len(queries)))
    queries = queries.to(dtype)
    products = torch.empty(len(row), dtype=dtype)
    # allocated once: to free and allocate it again costs as much as the products
    gathered = torch.empty(min(at_once, len(row)), vectors.shape[1])
    for part in blocks_of(len(row), at_once):
        first, last = int(row[part.start]), int(row[part.stop - 1])
        right = gathered[: part.stop - part.start]
        torch.index_select(vectors, 0, column[part], out=right)
        dense = right.to(dtype) @ queries[first : last + 1].T  # (pairs, queries)
        products[part] = dense.gather(1, row[part, None] - first)[:, 0]
    return products


def exact_pair_scores(
    queries: Tensor, row: Tensor, vectors: Tensor, column: Tensor, sizes: Sizes
) -> Tensor:
    """The exact scores (P,) of queries[row] and vectors[column]; the rows ascend.

    sizes: those of the device that holds all of these.
    """
    if not sizes.queued:
        return pair_products(queries, row, vectors, column, torch.float64, sizes.pairs).float()
    scores = torch.empty(len(row), device=row.device)
    for part in blocks_of(len(row), sizes.pairs):
        products = queries[row[part]].double().mul_(vectors[column[part]])
        scores[part] = products.sum(1).float()
    return scores
