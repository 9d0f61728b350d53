"""Nearest neighbours, exactly: every query against every vector of a corpus, in blocks, in bounded memory.

A fast pass, in bf16 where the hardware multiplies it natively, keeps somewhat more than k candidates of each query, whose
scores are then computed again exactly. A certificate decides for each query whether any vector that was dropped could belong
among its k best; a query that is not certified is searched again in fp64. So the result is exact, whatever the data.

Exact means: the score of a query q and a vector c (for the cosine both scaled to length 1 and rounded to fp32) is their inner
product in fp64, rounded to fp32; vectors of equal score are ordered by index.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sbert.encoder import Precision, resolve_precision
from sbert.errors import InputError

Metric = Literal["cosine", "dot"]
Vectors = np.ndarray | Tensor

SPARE = 24  # candidates beyond k: with them the near ties of real sentences are certified
GROUP = 32  # columns of which the fast pass looks at the largest first


def top_k(queries: Vectors, corpus: Vectors, k: int, exclude: Sequence[Sequence[int]] | None = None,
          metric: Metric = "cosine", precision: Precision = "auto", device: torch.device | str = "cpu",
          query_block: int = 2048, corpus_block: int = 32_768) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The k best of a corpus (N, H) for each query (Q, H): scores (Q, k) float32 and indices (Q, k) int64, best first.

    Args:
        corpus: an array, a memory-mapped one too, or a tensor; read block by block.
        exclude: for each query the indices that are not returned: itself, its known positives.
        metric: cosine (0 between a vector of zeros and any other) or dot.
        precision: of the fast pass; it does not change the result.
        query_block, corpus_block: their product bounds the memory, and does not change the result.

    Where fewer than k vectors are left for a query, its row ends with score -inf and index -1.

    Raises:
        InputError: k below 1, an empty corpus, unlike widths, NaN or infinity in a vector, an excluded index that is not
            in the corpus, a dot product beyond fp32.
    """
    _check(queries, corpus, k, metric)
    device = torch.device(device)
    dtype = resolve_precision(precision, device)
    if dtype == torch.float16 and metric == "dot":
        dtype = torch.float32  # vectors of any length do not fit into fp16
    left, right = Side(queries, metric, device, "query"), Side(corpus, metric, device, "corpus vector")
    banned = Excluded(exclude, len(left), len(right), device)
    low, found, bound = _fast_pass(left, right, banned, min(k + SPARE, len(right)), dtype, query_block, corpus_block)
    scores = torch.full((len(left), k), -torch.inf)
    indices = torch.full((len(left), k), -1)
    for q in _blocks(len(left), 256):
        best, index = _rescore(left, right, q, low[q], found[q], k)
        scores[q, : best.shape[1]], indices[q, : best.shape[1]] = best, index
    if found.shape[1] < len(right):
        unsure = ~(scores[:, -1] > bound)
        for rows in unsure.nonzero()[:, 0].split(64):
            scores[rows], indices[rows] = _slow_pass(left, right, banned, rows, k, corpus_block)
    if scores.isposinf().any():
        raise InputError("top_k: a dot product is beyond the largest fp32 number; use the cosine, or scale the vectors")
    return scores, torch.where(scores.isneginf(), -1, indices)


class Side:
    """The queries or the corpus: blocks of vectors in fp32, scaled to length 1 for the cosine."""

    def __init__(self, vectors: Vectors, metric: Metric, device: torch.device, name: str):
        self.vectors, self.metric, self.device, self.name = vectors, metric, device, name
        self.lengths = torch.empty(len(vectors), dtype=torch.float64)
        for block in _blocks(len(vectors), 16_384):
            self.lengths[block] = self._raw(block).double().norm(dim=1).cpu()
            if not self.lengths[block].isfinite().all():
                row = block.start + int((~self.lengths[block].isfinite()).nonzero()[0])
                raise InputError(f"top_k: {name} {row} holds NaN or infinity")

    def __len__(self) -> int:
        return len(self.vectors)

    def _raw(self, rows: slice | Tensor) -> Tensor:
        part = self.vectors[rows if isinstance(rows, slice) or isinstance(self.vectors, Tensor) else rows.numpy()]
        return torch.as_tensor(np.array(part) if isinstance(part, np.memmap) else part).to(self.device)

    def exact(self, rows: slice | Tensor) -> Tensor:
        """(R, H) fp32: what the scores are defined on."""
        raw = self._raw(rows).float() if self.metric == "dot" else self._raw(rows).double()
        if self.metric == "dot":
            return raw
        lengths = self.lengths[rows].to(self.device)
        return (raw / lengths.where(lengths > 0, 1)[:, None]).float()

    def rounded(self, rows: slice, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """(R, H) in `dtype`, and upper bounds (R,) on the lengths of these vectors and of their rounding errors."""
        exact = self.exact(rows)
        low = exact.to(dtype)
        lengths, errors = low.float().norm(dim=1), (exact - low.float()).norm(dim=1)
        return low, lengths * (1 + 1e-4), errors * (1 + 1e-4)


class Excluded:
    """The excluded indices of each query, sorted by index."""

    def __init__(self, exclude: Sequence[Sequence[int]] | None, rows: int, size: int, device: torch.device):
        if exclude is not None and len(exclude) != rows:
            raise InputError(f"top_k: exclude has {len(exclude)} entries for {rows} queries")
        lists = exclude or []
        owner = np.repeat(np.arange(len(lists)), [len(ids) for ids in lists])
        index = np.array([i for ids in lists for i in ids], np.int64)
        bad = (index < 0) | (index >= size)
        if bad.any():
            place = int(bad.argmax())
            raise InputError(f"top_k: query {owner[place]} excludes {index[place]}; the corpus has 0 to {size - 1}")
        order = np.argsort(index, kind="stable")
        self.owner, self.index = torch.from_numpy(owner[order]).to(device), torch.from_numpy(index[order]).to(device)

    def remove(self, scores: Tensor, rows: slice | Tensor, columns: slice) -> None:
        """Set what is excluded of scores (R, N) of these rows and columns to -inf."""
        if not len(self.index):
            return
        first, last = torch.searchsorted(
            self.index, torch.tensor([columns.start, columns.stop], device=self.index.device)
        )
        owner, index = self.owner[first:last], self.index[first:last] - columns.start
        if isinstance(rows, slice):
            inside = (owner >= rows.start) & (owner < rows.stop)
            scores[owner[inside] - rows.start, index[inside]] = -torch.inf
        else:
            same, place = torch.nonzero(owner[:, None] == rows.to(owner.device), as_tuple=True)
            scores[place, index[same]] = -torch.inf


def _blocks(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _check(queries: Vectors, corpus: Vectors, k: int, metric: str) -> None:
    if metric not in ("cosine", "dot"):
        raise InputError(f"top_k: unknown metric '{metric}'; known: cosine, dot")
    if k < 1:
        raise InputError(f"top_k: k is {k}; it must be 1 or more")
    if queries.ndim != 2 or corpus.ndim != 2 or queries.shape[1] != corpus.shape[1]:
        shapes = f"{tuple(queries.shape)} and {tuple(corpus.shape)}"
        raise InputError(f"top_k: queries and corpus are {shapes}; they must be (Q, H) and (N, H)")
    if not len(corpus):
        raise InputError("top_k: the corpus is empty")


def _fast_pass(left: Side, right: Side, banned: Excluded, keep: int, dtype: torch.dtype, query_block: int,
               corpus_block: int) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The `keep` best scores (Q, keep) in `dtype` and their indices, and a bound (Q,) on the exact score of all others.

    With q', c' the vectors rounded to `dtype`, and |.| lengths: |q'c' - qc| <= |q' - q| |c'| + |q| |c' - c|; the sum of
    H products in fp32 adds at most 4 H 2^-24 |q'| |c'| (4: some hardware truncates), and rounding it to `dtype` at most
    half a unit in the last place of the result. What was dropped has a rounded score of at most the least that was kept.
    """
    low, found = torch.full((len(left), keep), -torch.inf), torch.full((len(left), keep), -1)
    longest = error = torch.zeros(())
    for c in _blocks(len(right), corpus_block):
        there, lengths, errors = right.rounded(c, dtype)
        longest, error = torch.maximum(longest, lengths.max().cpu()), torch.maximum(error, errors.max().cpu())
        for q in _blocks(len(left), query_block):
            scores = left.rounded(q, dtype)[0] @ there.T
            banned.remove(scores, q, c)
            best, index = _best_columns(scores, keep)
            best, index = torch.cat([low[q], best], 1), torch.cat([found[q], index + c.start], 1)
            low[q], place = best.topk(keep)
            found[q] = index.gather(1, place)
    bound = torch.empty(len(left))
    width = left.vectors.shape[1]
    for q in _blocks(len(left), 16_384):
        _, lengths, errors = (t.cpu() for t in left.rounded(q, dtype))
        bound[q] = errors * longest + (lengths + errors) * error + 4 * width * 2.0**-24 * lengths * longest
    worst = low[:, -1]
    # 2^-120: products too small for fp32 are lost; the last factor: rounding of these sums themselves
    return low, found, worst + (worst.abs() * torch.finfo(dtype).eps / 2 + bound + width * 2.0**-120) * (1 + 1e-5)


def _best_columns(scores: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` best of each row (R, N), fp32, and their columns, on the CPU.

    The largest of each group of columns decides which groups can hold them: one pass over the scores that is a maximum of
    long rows, and a search among few.
    """
    rows, size = scores.shape
    groups = size // GROUP
    if groups <= keep:
        best, index = scores.topk(min(keep, size))
        return best.float().cpu(), index.cpu()
    # group j holds the columns j, j + groups, j + 2 groups, ...; the rest at the end is a group of its own
    head, tail = scores[:, : groups * GROUP], scores[:, groups * GROUP :]
    chosen = head.view(rows, GROUP, groups).amax(1).topk(keep)[1]
    columns = (chosen[:, :, None] + torch.arange(GROUP, device=scores.device) * groups).flatten(1)
    values = torch.cat([head.gather(1, columns), tail], 1)
    columns = torch.cat([columns, torch.arange(groups * GROUP, size, device=scores.device).expand(rows, -1)], 1)
    best, place = values.topk(keep)
    return best.float().cpu(), columns.gather(1, place).cpu()


def _ordered(scores: Tensor, indices: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of each row, best first, of equal ones the lower index first."""
    indices, order = indices.sort(dim=1)
    scores, place = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
    return scores[:, :k], indices.gather(1, place)[:, :k]


def _rescore(left: Side, right: Side, q: slice, low: Tensor, found: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The exact scores of the candidates of some queries, the k best in order."""
    vectors = right.exact(found.clamp(min=0).flatten()).double().view(*found.shape, -1)
    scores = torch.einsum("qh,qkh->qk", left.exact(q).double(), vectors).float().cpu()
    return _ordered(scores.masked_fill(low.isneginf(), -torch.inf), found, k)


def _slow_pass(
    left: Side, right: Side, banned: Excluded, rows: Tensor, k: int, corpus_block: int
) -> tuple[Tensor, Tensor]:
    """The k best of some queries, every score computed exactly."""
    queries = left.exact(rows).double()
    scores, indices = torch.full((len(rows), k), -torch.inf), torch.full((len(rows), k), -1)
    for c in _blocks(len(right), corpus_block):
        exact = (queries @ right.exact(c).double().T).float()
        banned.remove(exact, rows, c)
        index = torch.arange(c.start, c.stop).expand(len(rows), -1)
        scores, indices = _ordered(torch.cat([scores, exact.cpu()], 1), torch.cat([indices, index], 1), k)
    return scores, indices
