"""Nearest neighbours, exactly: every query against every vector of a corpus, in blocks, in bounded memory.

A fast pass, in bf16 where the hardware multiplies it natively, finds somewhat more than k candidates of each query, and those of
them that can still be among its k best are scored again exactly. A certificate decides for each query whether any vector that
was dropped could belong among them; a query that is not certified is searched again in fp64. So the result is exact, whatever
the data.

Exact means: the score of a query q and a vector c (for the cosine both scaled to length 1 and rounded to fp32) is their inner
product in fp64, rounded to fp32; vectors of equal score are ordered by index.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from sbert.encoder import Precision, resolve_precision
from sbert.errors import InputError

Metric = Literal["cosine", "dot"]
Vectors = np.ndarray | Tensor

SPARE = 24  # candidates beyond k: with them the near ties of real sentences are certified
GROUP = 32  # columns of which the fast pass looks at the largest first
ROOM = 512  # pairs that are scored exactly at a time


def top_k(queries: Vectors, corpus: Vectors, k: int, exclude: np.ndarray | Sequence[Sequence[int]] | None = None,
          metric: Metric = "cosine", precision: Precision = "auto", device: torch.device | str = "cpu",
          query_block: int | None = None, corpus_block: int = 131_072,
          progress: bool | None = False) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The k best of a corpus (N, H) for each query (Q, H): scores (Q, k) float32 and indices (Q, k) int64, best first.

    Args:
        corpus: an array, a memory-mapped one too, or a tensor; read once, block by block.
        exclude: for each query the indices that are not returned: itself, its known positives. Lists, or an array (Q, E)
            with -1 for none.
        metric: cosine (0 between a vector of zeros and any other) or dot.
        precision: of the fast pass; it does not change the result.
        query_block, corpus_block: their product bounds the memory, and does not change the result. None: 256 on a CPU,
            whose cache then holds a part of the scores, 4096 elsewhere.
        progress: show a bar; None: on a terminal alone.

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
    search = Search(left, right, Excluded(exclude, len(left), len(right), device), k, dtype)
    size = query_block or (256 if device.type == "cpu" else 4096)
    hidden = None if progress is None else not progress
    with tqdm(total=len(left) * len(right), unit="pairs", unit_scale=True, desc="search", disable=hidden) as bar:
        for c in _blocks(len(right), corpus_block):
            block = Block(right, c, dtype, min(size, len(left)))
            for q in _blocks(len(left), size):
                search.fast(block, q)
                bar.update((q.stop - q.start) * (c.stop - c.start))
    unsure = search.unsure()
    for part in _blocks(len(unsure), 64):
        search.slow(unsure[part], corpus_block)
    return search.scores, torch.where(search.scores.isneginf(), -1, search.indices)


class Side:
    """The queries or the corpus: blocks of vectors in fp32, scaled to length 1 for the cosine."""

    def __init__(self, vectors: Vectors, metric: Metric, device: torch.device, name: str):
        self.vectors, self.metric, self.device, self.name = vectors, metric, device, name
        self.width = vectors.shape[1]

    def __len__(self) -> int:
        return len(self.vectors)

    def exact(self, rows: slice | Tensor) -> Tensor:
        """(R, H) fp32: what the scores are defined on."""
        part = self.vectors[rows if isinstance(rows, slice) or isinstance(self.vectors, Tensor) else rows.numpy()]
        raw = torch.as_tensor(np.array(part) if isinstance(part, np.memmap) else part).to(self.device)
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


class Block:
    """A part of the corpus in both precisions, and room for its scores."""

    def __init__(self, side: Side, columns: slice, dtype: torch.dtype, rows: int):
        size, device = columns.stop - columns.start, side.device
        self.columns, self.longest, self.error = columns, torch.zeros((), device=device), torch.zeros((), device=device)
        self.exact = torch.empty(size, side.width, device=device)
        self.low = torch.empty(size, side.width, dtype=dtype, device=device)
        for part in _blocks(size, 512):
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


def _bounds(exact: Tensor, block: Block) -> tuple[Tensor, Tensor]:
    """Queries (R, H) as the fast pass has them, and a bound (R,) on what their scores with a block lose but for the rounding
    of the result.

    With q', c' the vectors rounded, and |.| lengths: |q'c' - qc| <= |q' - q| |c'| + |q| |c' - c|, and the sum of H products in
    fp32 adds at most 4 H 2^-24 |q'| |c'| (4: some hardware truncates), and 2^-120 for each that is too small for fp32.
    """
    low, lengths, errors = _rounded(exact, block.low.dtype)
    if lengths.max() * block.longest > 1e38:
        raise InputError("top_k: dot products near the largest fp32 number; use the cosine, or scale the vectors")
    bound = errors * block.longest + (lengths + errors) * block.error
    return low, bound + exact.shape[1] * (4 * 2.0**-24 * lengths * block.longest + 2.0**-120)


def _error(scores: Tensor, products: Tensor, dtype: torch.dtype) -> Tensor:
    """How far the exact scores can be from those of the fast pass, (R, K): also half a unit in the last place of the result; the
    last factor is for the rounding of these sums themselves."""
    return (scores.abs() * (torch.finfo(dtype).eps / 2) + products[:, None]) * (1 + 1e-5)


class Exactly:
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


class Excluded:
    """The excluded indices of each query: those of query i are index[starts[i]:starts[i + 1]]."""

    def __init__(
        self, exclude: np.ndarray | Sequence[Sequence[int]] | None, rows: int, size: int, device: torch.device
    ):
        if exclude is not None and len(exclude) != rows:
            raise InputError(f"top_k: exclude has {len(exclude)} entries for {rows} queries")
        if isinstance(exclude, np.ndarray):
            counts, index = (exclude != -1).sum(axis=1), exclude[exclude != -1]
        else:
            lists = exclude or [()] * rows
            counts, index = np.array([len(ids) for ids in lists], int), np.array([i for ids in lists for i in ids], int)
        bad = (index < 0) | (index >= size)
        if bad.any():
            place = int(bad.argmax())
            owner = int(np.repeat(np.arange(rows), counts)[place])
            raise InputError(f"top_k: query {owner} excludes {index[place]}; the corpus has 0 to {size - 1}")
        self.counts, self.starts = counts, np.append(0, np.cumsum(counts))
        self.index, self.device = index, device

    def remove(self, scores: Tensor, rows: np.ndarray, columns: slice) -> None:
        """Set what is excluded of scores (R, C) of these rows and columns to -inf."""
        if not len(self.index):
            return
        counts = self.counts[rows]
        first = np.repeat(self.starts[rows] - np.append(0, np.cumsum(counts)[:-1]), counts)
        index = self.index[first + np.arange(counts.sum())] - columns.start
        inside = (index >= 0) & (index < columns.stop - columns.start)
        place = np.repeat(np.arange(len(rows)), counts)[inside]
        scores[torch.from_numpy(place).to(self.device), torch.from_numpy(index[inside]).to(self.device)] = -torch.inf


class Search:
    """The k best found so far, `scores` and `indices` (Q, k), and `ceiling` (Q,): what the fast pass dropped scores no more."""

    def __init__(self, left: Side, right: Side, banned: Excluded, k: int, dtype: torch.dtype):
        self.left, self.right, self.banned, self.k, self.dtype = left, right, banned, k, dtype
        self.scores = torch.full((len(left), k), -torch.inf)
        self.indices = torch.full((len(left), k), -1)
        self.ceiling = torch.full((len(left),), -torch.inf)
        self.exactly = Exactly(left.width, left.device)

    def fast(self, block: Block, q: slice) -> None:
        """Search one block of the corpus for some queries."""
        exact = self.left.exact(q)
        low, products = _bounds(exact, block)
        scores = block.scores(low)
        self.banned.remove(scores, np.arange(q.start, q.stop), block.columns)
        best, index = _best_columns(scores, min(self.k + SPARE, scores.shape[1]))
        excluded = best.isneginf()
        error = _error(best.where(~excluded, 0), products, self.dtype)
        if best.shape[1] < scores.shape[1]:
            self.ceiling[q] = torch.maximum(self.ceiling[q], (best + error)[:, -1].cpu())
        # the k-th best scores at least this, so that most of the spare candidates need no exact score
        floor = self.scores[q, -1].to(best.device)
        if best.shape[1] >= self.k:
            floor = torch.maximum(floor, (best - error)[:, : self.k].amin(1))
        row, place = ((best + error >= floor[:, None]) & ~excluded).nonzero(as_tuple=True)
        column = index[row, place]
        found = torch.full_like(best, -torch.inf)
        found[row, place] = self.exactly(exact, row, block.exact, column)
        self._merge(q, found, index + block.columns.start)

    def unsure(self) -> Tensor:
        """The queries whose k-th best does not clear all that was dropped."""
        return (~(self.scores[:, -1] > self.ceiling) & ~self.ceiling.isneginf()).nonzero()[:, 0]

    def slow(self, rows: Tensor, corpus_block: int) -> None:
        """Search the whole corpus for some queries, every score computed exactly."""
        queries = self.left.exact(rows).double()
        self.scores[rows], self.indices[rows] = -torch.inf, -1
        for c in _blocks(len(self.right), corpus_block):
            exact = (queries @ self.right.exact(c).double().T).float()
            self.banned.remove(exact, rows.numpy(), c)
            self._merge(rows, exact, torch.arange(c.start, c.stop).expand(len(rows), -1))

    def _merge(self, rows: slice | Tensor, scores: Tensor, indices: Tensor) -> None:
        """The k best of what was found before and of these, best first, of equal ones the lower index first."""
        scores, indices = (
            torch.cat(pair, 1) for pair in ((self.scores[rows], scores.cpu()), (self.indices[rows], indices.cpu()))
        )
        indices, order = indices.sort(dim=1)
        scores, place = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
        self.scores[rows], self.indices[rows] = scores[:, : self.k], indices.gather(1, place)[:, : self.k]


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


def _best_columns(scores: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """The `keep` best of each row (R, N), fp32, and their columns.

    The largest of each group of columns decides which groups can hold them: one pass over the scores that is a maximum of
    long rows, and a search among few.
    """
    rows, size = scores.shape
    groups = size // GROUP
    if groups <= keep:
        best, index = scores.topk(min(keep, size))
        return best.float(), index
    # group j holds the columns j, j + groups, j + 2 groups, ...; what is left at the end stands for itself
    head, tail = scores[:, : groups * GROUP].view(rows, GROUP, groups), scores[:, groups * GROUP :]
    chosen = head.amax(1).topk(keep)[1]
    members = head.gather(2, chosen[:, None, :].expand(-1, GROUP, -1)).flatten(1)
    best, place = torch.cat([members, tail], 1).topk(keep)
    inside = place < GROUP * keep
    column = place // keep * groups + chosen.gather(1, place % keep)
    return best.float(), torch.where(inside, column, place - GROUP * keep + groups * GROUP)
