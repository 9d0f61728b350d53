"""Blocks of vectors in two precisions, and bounds on how far their inner products can be apart.

The exact searches (search.py, similar_pairs.py) multiply rounded vectors in bf16, fp16 or fp32, and
score again, exactly, what this fast pass cannot decide. The definition that they all meet, for two
fp32 vectors q and c (for the cosine both scaled to length 1 and rounded to fp32):

    score(q, c) = float32(sum_h float64(q_h) float64(c_h))

The fast pass sees q' and c', the vectors rounded to its precision. With |.| for the length,

    |q'c' - qc| <= |q' - q| |c'| + |q| |c' - c|

`round_queries` bounds this and the rounding of the sums, `score_error` adds the rounding of the
result. docs/exact_search.md derives the bounds and explains the searches.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sbert.errors import InputError

SearchSimilarity = Literal["cosine", "dot"]

Vectors = np.ndarray | Tensor

GROUP = 32  # columns of which the fast pass first looks at the largest alone

EXACT_PAIRS = 512  # pairs that are scored exactly at a time


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

    def load(self, rows: slice | np.ndarray) -> Tensor:
        """(R, H) fp32, for the cosine scaled to length 1: what exact scores are defined on.

        Raises:
            InputError: NaN or infinity in a vector.
        """
        part = self.vectors[rows]
        if isinstance(part, np.memmap):
            part = np.array(part)  # read from the disk, and writable, as torch wants it
        raw = torch.as_tensor(part).to(self.device)  # (R, H)
        norms = torch.linalg.vector_norm(raw, dim=1, keepdim=True, dtype=torch.float64)  # (R, 1)
        finite = norms[:, 0].isfinite()
        if not finite.all():
            first = int(finite.logical_not().nonzero()[0])
            raise InputError(
                f"top_k: {self.name} {np.arange(len(self))[rows][first]} contains NaN or infinity"
            )
        if self.similarity == "dot":
            return raw.float()
        return (raw.double() / norms.where(norms > 0, 1)).float()


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


def round_vectors(vectors: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """x' = x rounded to `dtype`, and upper bounds on |x'| and |x' - x|: (R, H), (R,), (R,).

    The factor covers the rounding of the norms themselves, which are computed in fp32.
    """
    rounded = vectors.to(dtype)
    back = rounded.float()
    factor = 1 + 1e-4
    return rounded, back.norm(dim=1) * factor, (vectors - back).norm(dim=1) * factor


class CorpusBlock:
    """C vectors of the corpus in fp32 and rounded, and the memory for their scores.

    Args:
        columns: which vectors of the corpus.
        dtype: the precision of the fast pass.
        query_count: the largest number of queries that are scored at a time.
    """

    def __init__(self, corpus: VectorSet, columns: slice, dtype: torch.dtype, query_count: int):
        count = columns.stop - columns.start
        device = corpus.device
        self.columns = columns
        self.fp32 = torch.empty(count, corpus.width, device=device)  # (C, H)
        self.rounded = torch.empty(count, corpus.width, dtype=dtype, device=device)  # (C, H)
        self.max_norm = torch.zeros((), device=device)  # max |c'|
        self.max_error = torch.zeros((), device=device)  # max |c' - c|
        for part in blocks_of(count, 512):
            self.fp32[part] = corpus.load(
                slice(columns.start + part.start, columns.start + part.stop)
            )
            self.rounded[part], norms, errors = round_vectors(self.fp32[part], dtype)
            self.max_norm = torch.maximum(self.max_norm, norms.max())
            self.max_error = torch.maximum(self.max_error, errors.max())
        # allocated once: to free and allocate this much again costs as much as the products
        self.buffer = torch.empty(query_count * count, dtype=dtype, device=device)

    def fast_scores(self, queries: Tensor, first: int = 0) -> Tensor:
        """q'c' of rounded queries (R, H) and the vectors from `first` on: (R, C - first).

        The result is overwritten by the next call.
        """
        vectors = self.rounded[first:]
        scores = self.buffer[: len(queries) * len(vectors)].view(len(queries), len(vectors))
        return torch.mm(queries, vectors.T, out=scores)


def round_queries(queries: Tensor, block: CorpusBlock) -> tuple[Tensor, Tensor]:
    """Queries (R, H) rounded for the fast pass, and a bound (R,) on the error of its sums.

    |sum' - qc| <= |q' - q| |c'| + |q| |c' - c| + H (2^-22 |q'| |c'| + 2^-120)

    where sum' is the sum of the H products q'_h c'_h in fp32, before it is rounded to the precision
    of the result. Each addition errs by at most 2^-23 |q'| |c'|, also on hardware that truncates;
    the products err by less than that again. 2^-120 is for a product too small for fp32.

    Raises:
        InputError: products so large that a sum may overflow fp32.
    """
    rounded, norms, errors = round_vectors(queries, block.rounded.dtype)
    largest = norms * block.max_norm  # (R,) of |q'| |c'|
    if largest.max() > 1e38:
        raise InputError(
            "top_k: dot products near the largest fp32 number; use the cosine, or scale the vectors"
        )
    rounding = errors * block.max_norm + (norms + errors) * block.max_error
    summation = queries.shape[1] * (4 * 2.0**-24 * largest + 2.0**-120)
    return rounded, rounding + summation


def score_error(scores: Tensor, sum_error: Tensor, dtype: torch.dtype) -> Tensor:
    """How far exact scores can be from those of the fast pass (R, K): a bound (R, K).

    The result of the fast pass is rounded to `dtype`, by at most half a unit in the last place. The
    last factor covers the rounding of these bounds themselves.

    Args:
        sum_error: (R,), from `round_queries`.
    """
    return (scores.abs() * (torch.finfo(dtype).eps / 2) + sum_error[:, None]) * (1 + 1e-5)


def split_groups(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (R, C) in groups of columns: a view (R, GROUP, G), and the columns left over.

    Group g holds the columns g, g + G, g + 2 G, ...: its maximum is one pass over long rows, and
    tells whether the group holds anything of interest.
    """
    rows, columns = scores.shape
    groups = columns // GROUP
    return scores[:, : groups * GROUP].view(rows, GROUP, groups), scores[:, groups * GROUP :]


def best_columns(scores: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` best of each row (R, C), fp32, and their columns: (R, keep) each.

    `keep` groups can hold them: those with the largest maxima. Only their members and the columns
    outside of groups are searched.
    """
    grouped, rest = split_groups(scores)  # (R, GROUP, G), (R, C - GROUP G)
    group_count = grouped.shape[2]
    if group_count <= keep:
        best, column = scores.topk(keep)
        return best.float(), column
    groups = grouped.amax(1).topk(keep)[1]  # (R, keep)
    members = grouped.gather(2, groups[:, None, :].expand(-1, GROUP, -1)).flatten(1)
    best, position = torch.cat([members, rest], 1).topk(keep)
    member, group = position // keep, groups.gather(1, position % keep)
    rest_column = position + GROUP * (group_count - keep)
    in_group = member * group_count + group
    return best.float(), torch.where(position < GROUP * keep, in_group, rest_column)


class ExactScorer:
    """Exact scores of chosen pairs, few at a time in the same memory.

    On a CPU this memory stays in the cache, which makes it several times as fast.
    """

    def __init__(self, width: int, device: torch.device):
        self.single = torch.empty(EXACT_PAIRS, width, device=device)
        self.double = torch.empty(2, EXACT_PAIRS, width, dtype=torch.float64, device=device)

    def __call__(self, queries: Tensor, row: Tensor, vectors: Tensor, column: Tensor) -> Tensor:
        """The scores (P,) of queries[row] and vectors[column], fp32."""
        queries = queries.double()
        sums = torch.empty(len(row), dtype=torch.float64, device=row.device)
        for part in blocks_of(len(row), EXACT_PAIRS):
            count = part.stop - part.start
            left, right = self.double[:, :count]
            torch.index_select(queries, 0, row[part], out=left)
            right.copy_(torch.index_select(vectors, 0, column[part], out=self.single[:count]))
            sums[part] = left.mul_(right).sum(1)
        return sums.float()
