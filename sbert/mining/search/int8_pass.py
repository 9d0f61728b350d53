"""The fast pass in int8: products of whole numbers, twice as fast as those of bf16 on a CPU.

Vectors and queries become whole numbers times a scale, c' = s z and q' = a y, so that
q'c' = a s (y z), where the sum y z of integers is exact. As in `fast_pass.py`,

    |q'c' - qc| <= |q' - q| |c'| + |q| |c' - c|

127 stands for the largest number, to which the error of a vector is in proportion. So vectors are
sorted by it, and those of a block, which has one scale, have like ones. docs/exact_search.md.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sbert.mining.search.exact import blocks_of
from sbert.mining.search.int8 import LARGEST

BLOCK = 2048  # vectors of one scale, which are multiplied at a time
ROUNDED = 256  # vectors that are rounded at a time, in the cache

WIDTH = 4  # numbers that are multiplied together; of fewer torch 2.13 has wrong products

SMALLEST = 1e-30  # largest numbers below it are rounded as if they were it

# of the scale: by so much the error of each number is taken to be larger. It covers the rounding of
# x / s (2^-17 s), and of exact scores and their bounds to fp32 (2^-23 |x'|)
SLACK = 2.0**-15

INT32 = torch.iinfo(torch.int32)


def scale_for(largest: Tensor) -> Tensor:
    """s, fp32, of vectors with these largest numbers."""
    return largest.clamp(min=SMALLEST) / LARGEST


def largest_numbers(vectors: Tensor) -> Tensor:
    """(R, H) -> (R,), without a copy of the vectors."""
    return torch.maximum(vectors.amax(1), -vectors.amin(1))


def round_to_int8(vectors: Tensor, scale: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Write z, x' = s z, of vectors x (R, H) to `out` (R, H) fp32. The vectors become x / s - z.

    scale: s, one () or one for each vector (R, 1).

    Returns: |x'| and |x' - x|, (R,) fp64.
    """
    width = vectors.shape[1]
    torch.round(vectors.div_(scale), out=out)
    vectors.sub_(out)
    # sums of squares in fp32, which are below 2^15 H and not too small: all numbers are below 128
    lengths, rests = (torch.linalg.vector_norm(x, dim=1).double() for x in (out, vectors))
    scale, sums = scale.double().flatten(), 1 + width * 2.0**-23
    return scale * sums * lengths, scale * (sums * rests + width**0.5 * SLACK)


class Int8Vectors:
    """C vectors (C, H) fp32 in int8, in blocks of `BLOCK` with like largest numbers and one scale.

    Attributes:
        order: (C,), which vectors they are.
        codes: (C, H) int8, z, and zeros up to a multiple of `WIDTH`.
        scales, max_norms, max_errors: (B,) fp64, of each block s, max |c'| and max |c' - c|.
    """

    def __init__(self, fp32: Tensor):
        count, width = fp32.shape
        largest = largest_numbers(fp32)
        self.order = largest.argsort(stable=True)
        self.codes = torch.zeros(count, -(-width // WIDTH) * WIDTH, dtype=torch.int8)
        blocks = list(blocks_of(count, BLOCK))
        self.scales, self.max_norms, self.max_errors = torch.zeros(
            3, len(blocks), dtype=torch.float64
        )
        # allocated once: to free and allocate it again takes longer than to round what it holds
        vectors, codes = torch.empty(2, ROUNDED, width)
        for i, block in enumerate(blocks):
            scale = scale_for(largest[self.order[block.stop - 1]])
            self.scales[i] = scale
            for part in blocks_of(block.stop, ROUNDED, block.start):
                rows = slice(0, part.stop - part.start)
                torch.index_select(fp32, 0, self.order[part], out=vectors[rows])
                norms, errors = round_to_int8(vectors[rows], scale, codes[rows])
                self.codes[part, :width] = codes[rows]
                self.max_norms[i] = torch.maximum(self.max_norms[i], norms.max())
                self.max_errors[i] = torch.maximum(self.max_errors[i], errors.max())

    @cached_property
    def places(self) -> np.ndarray:
        """(C,), where in `order` each vector is."""
        places = np.empty(len(self.order), np.int64)
        places[self.order.numpy()] = np.arange(len(places))
        return places


class Int8ErrorTerms(NamedTuple):
    """The parts of the error, (R, B) fp64 each."""

    of_queries: Tensor  # |q' - q| |c'|
    of_vectors: Tensor  # |q| |c' - c|
    of_small_numbers: Tensor  # of those below 2^-126, among them exact scores


def int8_error_terms(
    norms: Tensor, errors: Tensor, vectors: Int8Vectors, width: int
) -> Int8ErrorTerms:
    """norms, errors: (R,), |q'| and |q' - q| of queries of H = `width` numbers."""
    norms, errors = norms[:, None], errors[:, None]
    return Int8ErrorTerms(
        of_queries=errors * vectors.max_norms,
        of_vectors=(norms + errors) * vectors.max_errors,
        of_small_numbers=width * (2.0**-126 * (norms + vectors.max_norms) + 2.0**-120),
    )


class Int8Pass:
    """Queries (R, H) against vectors in int8: what `FloorSearch` asks of a fast pass.

    The scores are the sums y z, int32. Their columns are places in the order of the vectors.

    Attributes:
        error: (R, B) fp64, of the scores with each block.
        overflows: as of a `FastPass`.
    """

    def __init__(self, queries: Tensor, vectors: Int8Vectors):
        self.vectors = vectors
        count, width = queries.shape
        scale = scale_for(largest_numbers(queries))[:, None]
        codes = torch.empty(count, width)
        norms, errors = round_to_int8(queries.clone(), scale, codes)
        self.codes = torch.zeros(count, vectors.codes.shape[1], dtype=torch.int8)
        self.codes[:, :width] = codes
        self.factor = scale.double() * vectors.scales  # (R, B), a s
        products = (norms + errors)[:, None] * (vectors.max_norms + vectors.max_errors)
        self.overflows = ~(products.max() <= 1e38)
        self.error = sum(int8_error_terms(norms, errors, vectors, width)) * (1 + 1e-5)
        self._buffer = torch.empty(count * BLOCK, dtype=torch.int32)

    def subtract(self, floor: Tensor) -> "Int8Pass":
        """Itself: integers are not rounded."""
        return self

    def tiles(self, first: int = 0) -> Iterator[tuple[slice, Tensor]]:
        """The blocks from vector `first` on with their scores (R, T), which are overwritten by the
        next ones."""
        for columns in blocks_of(len(self.vectors.codes), BLOCK, first):
            codes = self.vectors.codes[columns]
            scores = self._buffer[: len(self.codes) * len(codes)]
            scores = scores.view(len(self.codes), len(codes))
            yield columns, torch._int_mm(self.codes, codes.T, out=scores)

    def threshold(self, floor: Tensor, columns: slice) -> Tensor:
        """(R,) -> (R,) int32: a score of this block below it proves that the exact score is below
        `floor`. All that are not excluded reach the least one."""
        block = columns.start // BLOCK
        least = (floor.double() - self.error[:, block]) / self.factor[:, block]
        return least.ceil_().clamp_(INT32.min + 1, INT32.max).to(torch.int32)

    def lower(self, scores: Tensor, row: Tensor, columns: slice) -> Tensor:
        """What the exact scores of these scores of a block are not below, fp32."""
        block = columns.start // BLOCK
        factor, error = self.factor[:, block][row], self.error[:, block][row]
        return (scores.double() * factor - error).float()

    def kept(self, floor: Tensor) -> Tensor:
        """(R,): what `lower` gives below it proves that the exact score is below `floor`."""
        return (floor.double() - 2 * self.error.amax(1)).float()

    def numbers(self, column: Tensor) -> Tensor:
        """Which vectors these columns are."""
        return self.vectors.order[column]
