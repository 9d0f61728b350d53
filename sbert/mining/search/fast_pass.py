"""The fast pass of the exact searches: products of rounded vectors, tile by tile, with bounds.

The exact searches (top_k.py, similar_pairs.py) multiply rounded vectors in bf16, fp16 or fp32, and
compute exactly what this fast pass cannot decide. It sees q' and c', the vectors rounded to its
precision. With |.| for the length of a vector,

    |q'c' - qc| <= |q' - q| |c'| + |q| |c' - c|

`FastPass` bounds this and the rounding of the sums and of the result. docs/exact_search.md derives
the bounds and explains the searches.
"""

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sbert.mining.search.corpus_block import Entries
from sbert.mining.search.exact import blocks_of
from sbert.mining.search.rounded import (
    SHIFT,
    RoundedQueries,
    RoundedVectors,
    offset_columns,
    round_queries,
)
from sbert.mining.search.sizes import CPU

GROUP = 32  # columns of a tile of which the largest score alone is looked at first


class ErrorTerms(NamedTuple):
    """The parts of the error E of the sums, (R,) fp64 each. docs/exact_search.md derives them."""

    of_queries: Tensor  # |q' - q| |c'|
    of_vectors: Tensor  # |q| |c' - c|
    of_sums: Tensor  # H 2^-22 (|q'| |c'| + |a| |u r|)
    of_small_numbers: Tensor  # H 2^-126 (|q'| + |c'| ...): of those that hardware takes for 0
    of_small_results: Tensor  # H 2^-120, and of a result too small for the precision
    of_shift: Tensor  # 2^-21 |q m|: of its rounding, and of each sum with it


def error_terms(queries: RoundedQueries, vectors: RoundedVectors) -> ErrorTerms:
    limits = torch.finfo(vectors.vectors.dtype)
    width = queries.vectors.shape[1] + SHIFT
    norms, share = queries.norms, queries.share.double().abs()
    return ErrorTerms(
        of_queries=queries.errors * vectors.max_norm,
        of_vectors=(norms + queries.errors) * vectors.max_error,
        of_sums=width * 2.0**-22 * (norms * vectors.max_norm + share * vectors.max_offset),
        of_small_numbers=width
        * 2.0**-126
        * (norms + share + vectors.max_norm + vectors.max_offset),
        # the factor: of what is left of u r, which the precision may not hold
        of_small_results=width * 2.0**-120 + (1 + share) * limits.eps * limits.tiny,
        of_shift=2.0**-21 * queries.shift.abs(),
    )


class FastPass:
    """Queries (R, H) against rounded vectors (C, H): fast scores and what they prove.

    For the exact score s of a fast score s', with the relative rounding `eps` of the result and the
    error E of the sums,

        |s - s'| <= eps |s'| + E

    `error_terms` are the parts of E.

    Args:
        scores: the number of scores that are computed at a time.

    Attributes:
        error: (R,), E for each query.
        shift: (R,), f for each query: what is subtracted from its scores.
        overflows: (), bool, whether products are so large that a sum may overflow fp32.
        tile: T, the number of vectors that are multiplied at a time.
    """

    def __init__(self, queries: Tensor, vectors: RoundedVectors, scores: int = CPU.scores):
        self.vectors = vectors.vectors
        rounded = round_queries(queries, vectors)
        width, dtype = queries.shape[1], self.vectors.dtype
        self.queries = torch.nn.functional.pad(rounded.vectors, (0, self.vectors.shape[1] - width))
        if vectors.centre is not None:
            offset_columns(self.queries).copy_(rounded.share[:, None])
        largest = (
            rounded.norms * vectors.max_norm + rounded.share.double().abs() * vectors.max_offset
        )
        self.overflows = ~((largest + rounded.shift.abs()).max() <= 1e38)
        # the factor and 2^-22 cover the rounding of these bounds themselves
        self.error = (sum(error_terms(rounded, vectors)) * (1 + 1e-5)).float()
        self.shift = rounded.shift.float()
        self.eps = torch.finfo(dtype).eps / 2 + 2.0**-22
        self.tile = max(1, scores // len(queries))
        size = len(queries) * min(self.tile, len(self.vectors))
        self._buffer = torch.empty(size, dtype=self.vectors.dtype, device=queries.device)

    def subtract(self, floor: Tensor) -> "FastPass":
        """The pass whose scores are s' - f, with f just below `threshold(floor)`; this one has no
        more tiles, and goes on to bound the scores of those that it had.

        Near the floor they are small, and so is their rounding to the precision; scores that cannot
        reach it are negative. Where f would be negative it is 0, and in fp32, which needs none.
        """
        if self.vectors.dtype == torch.float32:
            return self
        less = copy.copy(self)
        wanted = self.threshold(floor)
        wanted = wanted.where(wanted.isfinite(), 0)
        # what f adds to the errors of the sums, of `bounds` and of `threshold`
        error = (self.queries.shape[1] + 2) * 1.01 * 2.0**-22 * wanted.abs()
        rest = (wanted - 2 * error).clamp(min=0)
        for column in self.queries[:, -3:].unbind(1):
            column.copy_(-rest)
            rest = rest + column
            less.shift = less.shift - column
        less.error = self.error + error
        return less

    def tiles(self, first: int = 0) -> Iterator[tuple[slice, Tensor]]:
        """The vectors from `first` on, T at a time, with their fast scores (R, T), s' - f each.

        The scores are overwritten by the next tile.
        """
        for columns in blocks_of(len(self.vectors), self.tile, first):
            vectors = self.vectors[columns]
            scores = self._buffer[: len(self.queries) * len(vectors)]
            scores = scores.view(len(self.queries), len(vectors))
            yield columns, torch.mm(self.queries, vectors.T, out=scores)

    def bounds(self, scores: Tensor, row: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """The bounds (P,) between which the exact scores of these fast scores (P,) lie.

        row: the query of each, (P,); by default that at its place.
        """
        scores = scores.float()
        error = self.eps * scores.abs() + self.error[row]
        scores = scores + self.shift[row]
        return scores - error, scores + error

    def lower(self, scores: Tensor, row: Tensor, columns: slice) -> Tensor:
        """What the exact scores of these fast scores are not below; the same for all columns."""
        return self.bounds(scores, row)[0]

    def kept(self, floor: Tensor) -> Tensor:
        """(R,): what `lower` gives below it proves that the exact score is below `floor`."""
        threshold = self.threshold(floor)
        size = threshold.abs() + self.shift.abs() + self.error
        return self.bounds(threshold)[0] - 2.0**-20 * size  # which covers the rounding of `bounds`

    def numbers(self, column: Tensor) -> Tensor:
        """Which vectors these columns are."""
        return column

    def threshold(self, floor: Tensor, columns: slice | None = None) -> Tensor:
        """(R,) -> (R,): a fast score x below it proves that the exact score is below `floor`; the
        same for all columns.

        It is the solution of x + f + eps |x| + E = floor.
        """
        bound = floor - self.shift - self.error
        return bound / torch.where(bound >= 0, 1 + self.eps, 1 - self.eps)


def entries_from(scores: Tensor, threshold: Tensor) -> Iterator[Entries]:
    """The entries of a tile (R, T) that reach the threshold (R,) of their row, in one or two parts.

    Group g holds the columns g, g + G, g + 2 G, ...: the largest score of each group is one pass
    over the tile, and only groups whose largest one reaches the threshold are looked at. The rows
    of a part ascend.
    """
    columns = scores.shape[1]
    count = columns // GROUP
    if count:
        grouped = scores[:, : count * GROUP].unflatten(1, (GROUP, count))  # (R, GROUP, G)
        positive = scores.device.type == "cpu" and threshold.min() > 0  # a GPU would wait
        largest = largest_if_positive(grouped) if positive else grouped.amax(1)
        row, group = (largest >= threshold[:, None]).nonzero(as_tuple=True)
        members = _as_compared(grouped[row, :, group], threshold)  # (groups that reach it, GROUP)
        chosen, member = (members >= threshold[row, None]).nonzero(as_tuple=True)
        yield row[chosen], member * count + group[chosen], members[chosen, member]
    if columns > count * GROUP:
        rest = _as_compared(scores[:, count * GROUP :], threshold)
        row, column = (rest >= threshold[:, None]).nonzero(as_tuple=True)
        yield row, column + count * GROUP, rest[row, column]


def _as_compared(scores: Tensor, threshold: Tensor) -> Tensor:
    """Scores as fp32; as integers, where the threshold is one."""
    return scores.float() if threshold.is_floating_point() else scores


def largest_if_positive(grouped: Tensor) -> Tensor:
    """The largest score of each group, (R, GROUP, G) -> (R, G); any of a group without a positive
    one."""
    if grouped.dtype in (torch.bfloat16, torch.float16):
        # as integers their bits have the order of positive numbers, and compare three times as fast
        return grouped.view(torch.int16).amax(1).view(grouped.dtype)
    return grouped.amax(1)


def group_maxima(scores: Tensor) -> Tensor:
    """`largest_if_positive` of the groups of a tile (R, T), and the scores outside of groups."""
    count = scores.shape[1] // GROUP
    grouped = scores[:, : count * GROUP].unflatten(1, (GROUP, count))
    return torch.cat([largest_if_positive(grouped), scores[:, count * GROUP :]], dim=1)
