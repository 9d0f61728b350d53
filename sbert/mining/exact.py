"""Blocks of vectors in two precisions, and how far their products can be apart: what exact searches are made of.

A fast pass multiplies vectors in bf16, fp16 or fp32; what it cannot decide is scored again exactly. The exact score of two
vectors (for the cosine both scaled to length 1 and rounded to fp32) is their inner product in fp64, rounded to fp32.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sbert.errors import InputError

Metric = Literal["cosine", "dot"]

Vectors = np.ndarray | Tensor

ROOM = 512  # pairs that are scored exactly at a time


def slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


class VectorSet:
    """The queries or the corpus: blocks of vectors in fp32, scaled to length 1 for the cosine."""

    def __init__(self, vectors: Vectors, metric: Metric, device: torch.device, name: str):
        self.vectors, self.metric, self.device, self.name = vectors, metric, device, name
        self.width = vectors.shape[-1]

    def __len__(self) -> int:
        return len(self.vectors)

    def exact(self, rows: slice | Tensor) -> Tensor:
        """(R, H) fp32: what the scores are defined on."""
        part = self.vectors[
            rows if isinstance(rows, slice) or isinstance(self.vectors, Tensor) else rows.numpy()
        ]
        raw = torch.as_tensor(np.array(part) if isinstance(part, np.memmap) else part).to(
            self.device
        )
        lengths = torch.linalg.vector_norm(raw, dim=1, keepdim=True, dtype=torch.float64)
        if not lengths.isfinite().all():
            bad = int((~lengths.isfinite()).nonzero()[0, 0])
            row = rows.start + bad if isinstance(rows, slice) else int(rows[bad])
            raise InputError(f"top_k: {self.name} {row} holds NaN or infinity")
        if self.metric == "dot":
            return raw.float()
        return (raw.double() / lengths.where(lengths > 0, 1)).float()


def _rounded(exact: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """(R, H) in `dtype`, and upper bounds (R,) on the lengths of these vectors and of their rounding errors."""
    low = exact.to(dtype)
    back = low.float()
    return low, back.norm(dim=1) * (1 + 1e-4), (exact - back).norm(dim=1) * (1 + 1e-4)


class CorpusBlock:
    """A part of the corpus in both precisions, and room for its scores."""

    def __init__(self, side: VectorSet, columns: slice, dtype: torch.dtype, rows: int):
        size, device = columns.stop - columns.start, side.device
        self.columns, self.longest, self.error = (
            columns,
            torch.zeros((), device=device),
            torch.zeros((), device=device),
        )
        self.exact = torch.empty(size, side.width, device=device)
        self.low = torch.empty(size, side.width, dtype=dtype, device=device)
        for part in slices(size, 512):
            exact = side.exact(slice(columns.start + part.start, columns.start + part.stop))
            low, lengths, errors = _rounded(exact, dtype)
            self.exact[part], self.low[part] = exact, low
            self.longest, self.error = (
                torch.maximum(self.longest, lengths.max()),
                torch.maximum(self.error, errors.max()),
            )
        # taken once: giving memory of this size back and taking it again costs as much as the products
        self.room = torch.empty(rows, size, dtype=dtype, device=device)

    def scores(self, queries: Tensor, first: int = 0) -> Tensor:
        """(R, H) -> (R, C), from the vector `first` of the block on; good until the next call."""
        vectors = self.low[first:]
        room = self.room.view(-1)[: len(queries) * len(vectors)].view(len(queries), -1)
        return torch.mm(queries, vectors.T, out=room)


def rounding_bounds(exact: Tensor, block: CorpusBlock) -> tuple[Tensor, Tensor]:
    """Queries (R, H) as the fast pass has them, and a bound (R,) on what their scores with a block lose but for the rounding
    of the result.

    With q', c' the vectors rounded, and |.| lengths: |q'c' - qc| <= |q' - q| |c'| + |q| |c' - c|, and the sum of H products in
    fp32 adds at most 4 H 2^-24 |q'| |c'| (4: some hardware truncates), and 2^-120 for each that is too small for fp32.
    """
    low, lengths, errors = _rounded(exact, block.low.dtype)
    if lengths.max() * block.longest > 1e38:
        raise InputError(
            "top_k: dot products near the largest fp32 number; use the cosine, or scale the vectors"
        )
    bound = errors * block.longest + (lengths + errors) * block.error
    return low, bound + exact.shape[1] * (4 * 2.0**-24 * lengths * block.longest + 2.0**-120)


def score_error(scores: Tensor, products: Tensor, dtype: torch.dtype) -> Tensor:
    """How far the exact scores can be from those of the fast pass, (R, K): also half a unit in the last place of the result; the
    last factor is for the rounding of these sums themselves."""
    return (scores.abs() * (torch.finfo(dtype).eps / 2) + products[:, None]) * (1 + 1e-5)


class ExactScorer:
    """Exact scores of chosen pairs, few at a time and in the same memory: on a CPU it stays in the cache, which makes this
    several times as fast."""

    def __init__(self, width: int, device: torch.device):
        self.single = torch.empty(ROOM, width, device=device)
        self.double = torch.empty(2, ROOM, width, dtype=torch.float64, device=device)

    def __call__(self, queries: Tensor, row: Tensor, vectors: Tensor, column: Tensor) -> Tensor:
        """The scores (M,) of queries[row] and vectors[column], fp32."""
        queries, parts = queries.double(), [torch.empty(0, dtype=torch.float64, device=row.device)]
        for r, c in zip(row.split(ROOM), column.split(ROOM), strict=True):
            single, left, right = self.single[: len(r)], *self.double[:, : len(r)]
            torch.index_select(queries, 0, r, out=left)
            right.copy_(torch.index_select(vectors, 0, c, out=single))
            parts.append(left.mul_(right).sum(1))
        return torch.cat(parts).float()
