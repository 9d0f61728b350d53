"""Nearest neighbours, exactly: every query against every vector of a corpus, in blocks, in bounded memory.

A fast pass, in bf16 where the hardware multiplies it natively, finds somewhat more than k candidates of each query, and those of
them that can still be among its k best are scored again exactly. A certificate decides for each query whether any vector that
was dropped could belong among them; a query that is not certified is searched again in fp64. So the result is exact, whatever
the data.

Exact means: the score of a query q and a vector c (for the cosine both scaled to length 1 and rounded to fp32) is their inner
product in fp64, rounded to fp32; vectors of equal score are ordered by index.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from sbert.device import Precision, resolve_precision
from sbert.errors import InputError
from sbert.mining.exact import (
    CorpusBlock,
    ExactScorer,
    Metric,
    Vectors,
    VectorSet,
    rounding_bounds,
    score_error,
    slices,
)

Exclude = np.ndarray | Sequence[Sequence[int]] | None

SPARE = 24  # candidates beyond k: with them the near ties of real sentences are certified

GROUP = 32  # columns of which the fast pass looks at the largest first


def top_k(queries: Vectors, corpus: Vectors, k: int, exclude: Exclude = None, metric: Metric = "cosine",
          precision: Precision = "auto", device: torch.device | str = "cpu", query_block: int | None = None,
          corpus_block: int = 131_072, progress: bool | None = False) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The k best of a corpus (N, H) for each query (Q, H): scores (Q, k) float32 and indices (Q, k) int64, best first.

    The arguments are those of `Corpus` and of its method `top_k`, which serves several calls.
    """
    return Corpus(corpus, metric, precision, device, query_block, corpus_block).top_k(
        queries, k, exclude, progress
    )


class Corpus:
    """What is searched. A corpus of one block is prepared once, for all calls; a larger one block by block in each call.

    Args:
        vectors: (N, H), an array, a memory-mapped one too, or a tensor.
        metric: cosine (0 between a vector of zeros and any other) or dot.
        precision: of the fast pass; it does not change the result.
        query_block, corpus_block: their product bounds the memory, and does not change the result. None: 256 on a CPU,
            whose cache then holds a part of the scores, 4096 elsewhere.

    Raises:
        InputError: no vectors, NaN or infinity in one, an unknown metric.
    """

    def __init__(self, vectors: Vectors, metric: Metric = "cosine", precision: Precision = "auto",
                 device: torch.device | str = "cpu", query_block: int | None = None, corpus_block: int = 131_072):  # fmt: skip
        if metric not in ("cosine", "dot"):
            raise InputError(f"top_k: unknown metric '{metric}'; known: cosine, dot")
        if not len(vectors):
            raise InputError("top_k: the corpus is empty")
        device = torch.device(device)
        self.side = VectorSet(vectors, metric, device, "corpus vector")
        self.dtype = resolve_precision(precision, device)
        if self.dtype == torch.float16 and metric == "dot":
            self.dtype = torch.float32  # vectors of any length do not fit into fp16
        self.query_block, self.corpus_block = (
            query_block or (256 if device.type == "cpu" else 4096),
            corpus_block,
        )
        self.only: CorpusBlock | None = None

    def blocks(self) -> Iterator["CorpusBlock"]:
        if len(self.side) <= self.corpus_block:
            self.only = self.only or CorpusBlock(
                self.side, slice(0, len(self.side)), self.dtype, self.query_block
            )
            yield self.only
        else:
            for c in slices(len(self.side), self.corpus_block):
                yield CorpusBlock(self.side, c, self.dtype, self.query_block)

    def top_k(
        self, queries: Vectors, k: int, exclude: Exclude = None, progress: bool | None = False
    ) -> tuple[Tensor, Tensor]:
        """The k best for each query (Q, H): scores (Q, k) float32 and indices (Q, k) int64, best first.

        Args:
            exclude: for each query the indices that are not returned: itself, its known positives. Lists, or an array (Q, E)
                with -1 for none.
            progress: show a bar; None: on a terminal alone.

        Where fewer than k vectors are left for a query, its row ends with score -inf and index -1.

        Raises:
            InputError: k below 1, unlike widths, NaN or infinity in a vector, an excluded index that is not in the corpus,
                a dot product beyond fp32.
        """
        right = self.side
        if k < 1:
            raise InputError(f"top_k: k is {k}; it must be 1 or more")
        if queries.ndim != 2 or right.vectors.ndim != 2 or queries.shape[1] != right.width:
            shapes = f"{tuple(queries.shape)} and {tuple(right.vectors.shape)}"
            raise InputError(
                f"top_k: queries and corpus are {shapes}; they must be (Q, H) and (N, H)"
            )
        left = VectorSet(queries, right.metric, right.device, "query")
        search = TopKSearch(
            left, right, Exclusions(exclude, len(left), len(right), right.device), k, self.dtype
        )
        hidden = None if progress is None else not progress
        with tqdm(
            total=len(left) * len(right),
            unit="pairs",
            unit_scale=True,
            desc="search",
            disable=hidden,
        ) as bar:
            for block in self.blocks():
                for q in slices(len(left), self.query_block):
                    search.fast(block, q)
                    bar.update((q.stop - q.start) * len(block.exact))
        unsure = search.unsure()
        for part in slices(len(unsure), 64):
            search.slow(unsure[part], self.corpus_block)
        return search.scores, torch.where(search.scores.isneginf(), -1, search.indices)


class Exclusions:
    """The excluded indices of each query: those of query i are index[starts[i]:starts[i + 1]]."""

    def __init__(self, exclude: Exclude, rows: int, size: int, device: torch.device):
        if exclude is not None and len(exclude) != rows:
            raise InputError(f"top_k: exclude has {len(exclude)} entries for {rows} queries")
        if isinstance(exclude, np.ndarray):
            counts, index = (exclude != -1).sum(axis=1), exclude[exclude != -1]
        else:
            lists = exclude or [()] * rows
            counts, index = (
                np.array([len(ids) for ids in lists], int),
                np.array([i for ids in lists for i in ids], int),
            )
        bad = (index < 0) | (index >= size)
        if bad.any():
            place = int(bad.argmax())
            owner = int(np.repeat(np.arange(rows), counts)[place])
            raise InputError(
                f"top_k: query {owner} excludes {index[place]}; the corpus has 0 to {size - 1}"
            )
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
        scores[
            torch.from_numpy(place).to(self.device), torch.from_numpy(index[inside]).to(self.device)
        ] = -torch.inf


class TopKSearch:
    """The k best found so far, `scores` and `indices` (Q, k), and `ceiling` (Q,): what the fast pass dropped scores no more."""

    def __init__(
        self, left: VectorSet, right: VectorSet, banned: Exclusions, k: int, dtype: torch.dtype
    ):
        self.left, self.right, self.banned, self.k, self.dtype = left, right, banned, k, dtype
        self.scores = torch.full((len(left), k), -torch.inf)
        self.indices = torch.full((len(left), k), -1)
        self.ceiling = torch.full((len(left),), -torch.inf)
        self.exactly = ExactScorer(left.width, left.device)

    def fast(self, block: CorpusBlock, q: slice) -> None:
        """Search one block of the corpus for some queries."""
        exact = self.left.exact(q)
        low, products = rounding_bounds(exact, block)
        scores = block.scores(low)
        self.banned.remove(scores, np.arange(q.start, q.stop), block.columns)
        best, index = _best_columns(scores, min(self.k + SPARE, scores.shape[1]))
        excluded = best.isneginf()
        error = score_error(best.where(~excluded, 0), products, self.dtype)
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
        for c in slices(len(self.right), corpus_block):
            exact = (queries @ self.right.exact(c).double().T).float()
            self.banned.remove(exact, rows.numpy(), c)
            self._merge(rows, exact, torch.arange(c.start, c.stop).expand(len(rows), -1))

    def _merge(self, rows: slice | Tensor, scores: Tensor, indices: Tensor) -> None:
        """The k best of what was found before and of these, best first, of equal ones the lower index first."""
        scores, indices = (
            torch.cat(pair, 1)
            for pair in ((self.scores[rows], scores.cpu()), (self.indices[rows], indices.cpu()))
        )
        indices, order = indices.sort(dim=1)
        scores, place = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
        self.scores[rows], self.indices[rows] = (
            scores[:, : self.k],
            indices.gather(1, place)[:, : self.k],
        )


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
