"""Vectors and queries in the low precision of a fast pass, less their common centre, if any,
with what bounds the rounding."""

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from sbert.mining.search.exact import blocks_of

# columns behind rounded vectors, for what is added to fast scores or subtracted from them: three
# numbers of bf16 sum up to any of fp32, and GPUs are fast at widths that are multiples of eight
SHIFT = 8

# numbers of bf16 that AMX multiplies at a time: a product of other widths takes a fifth longer
CPU_WIDTH = 32

ROUNDED_ONCE = 2.0**-23  # the relative error of the length of a vector that is rounded to fp32


def round_vectors(vectors: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """x' = x rounded to `dtype`, |x'| and |x' - x|: (R, H), and (R,) fp64 twice.

    fp64 holds the squares of all fp32 numbers, so that no length is 0 or infinite by rounding.
    """
    if dtype == torch.float32:
        norms = norms_of(vectors)
        return vectors, norms, torch.zeros_like(norms)
    largest = torch.finfo(dtype).max
    rounded = vectors.to(dtype).clamp_(-largest, largest)  # where rounding would make infinity
    return rounded, norms_of(rounded), norms_of(vectors - rounded.float())


def norms_of(vectors: Tensor) -> Tensor:
    """(R, H) -> (R,) fp64."""
    return torch.linalg.vector_norm(vectors, dim=1, dtype=torch.float64)


class RoundedVectors:
    """C vectors in the precision of a fast pass: `vectors` c' (C, H), max |c'| and max |c' - c|.

    With a centre m they are those of r = c - m, for which, with the direction u of m and any a,

        q c = q m + (q - a u) r + a (u r)

    Where vectors and queries lie around m, r and q - a u are short, and so are their roundings.

    In bf16 and fp16 `SHIFT` columns are the last ones: three numbers whose sum is u r, or ones, and
    then ones. Where ones stand before these (`rounded_width`), the queries have zeros. In fp32 u r
    follows, if there is a centre (C, H + 1).

    Args:
        at_once: the number of vectors that are rounded at a time.
        centre: m (H,).

    Attributes:
        max_offset: max |u r|.
        places: the vectors are in the order of those that were given.
    """

    places = None

    def __init__(
        self, fp32: Tensor, dtype: torch.dtype, at_once: int, centre: Tensor | None = None
    ):
        count, width = fp32.shape
        self.centre = centre
        self.vectors = fp32
        if dtype != torch.float32:
            self.vectors = fp32.new_ones(count, rounded_width(width, fp32.device), dtype=dtype)
        elif centre is not None:
            self.vectors = fp32.new_empty(count, width + 1)
        self.max_norm = torch.zeros((), dtype=torch.float64, device=fp32.device)
        self.max_error = torch.zeros_like(self.max_norm)
        self.max_offset = torch.zeros_like(self.max_norm)
        for part in blocks_of(count, at_once):
            vectors = fp32[part]
            if centre is not None:
                self._add_offsets(part, vectors)
                vectors = vectors - centre
            rounded, norms, errors = round_vectors(vectors, dtype)
            if centre is not None:
                errors += ROUNDED_ONCE * norms
            if self.vectors is not fp32:
                self.vectors[part, :width] = rounded
            self.max_norm = torch.maximum(self.max_norm, norms.max())
            self.max_error = torch.maximum(self.max_error, errors.max())

    @cached_property
    def direction(self) -> Tensor:
        """u (H,), fp64."""
        centre = self.centre.double()
        return centre / centre.norm()

    def _add_offsets(self, part: slice, vectors: Tensor) -> None:
        """Write u r behind some of the vectors."""
        offsets = vectors.double() @ self.direction - self.centre.double() @ self.direction
        self.max_offset = torch.maximum(self.max_offset, offsets.abs().max())
        for column in offset_columns(self.vectors[part]).unbind(1):
            column.copy_(offsets)
            offsets = offsets - column


def rounded_width(width: int, device: torch.device) -> int:
    """The number of columns of vectors of H = `width` numbers in bf16 or fp16."""
    multiple = CPU_WIDTH if device.type == "cpu" else 1
    return -(-(width + SHIFT) // multiple) * multiple


def offset_columns(vectors: Tensor) -> Tensor:
    """Of vectors with a centre the columns of u r; of queries for them, of a."""
    if vectors.dtype == torch.float32:
        return vectors[:, -1:]
    return vectors[:, -SHIFT : -SHIFT + 3]


class RoundedQueries(NamedTuple):
    """Queries (R, H) for vectors with or without a centre: q', or that of q - a u.

    norms, errors: (R,) fp64, |q'| and |q' - q|. share: (R,), a, in the precision. shift: (R,) fp64,
    q m.
    """

    vectors: Tensor
    norms: Tensor
    errors: Tensor
    share: Tensor
    shift: Tensor


def round_queries(queries: Tensor, vectors: RoundedVectors) -> RoundedQueries:
    """Queries (R, H) in the precision of these vectors, less their part along the centre."""
    dtype = vectors.vectors.dtype
    shift = queries.new_zeros(len(queries), dtype=torch.float64)
    if vectors.centre is None:
        return RoundedQueries(*round_vectors(queries, dtype), shift.to(dtype), shift)
    exact = queries.double()
    # any a will do: as the product takes it, and finite
    largest = torch.finfo(dtype).max
    share = (exact @ vectors.direction).to(dtype).clamp_(-largest, largest)
    rest = exact - share.double()[:, None] * vectors.direction  # which may be beyond fp32
    largest = torch.finfo(torch.float32).max
    rounded, norms, _ = round_vectors(rest.clamp(-largest, largest).float(), dtype)
    errors = norms_of(rest - rounded.double())
    shift = exact @ vectors.centre.double()
    return RoundedQueries(rounded, norms, errors + ROUNDED_ONCE * norms, share, shift)
