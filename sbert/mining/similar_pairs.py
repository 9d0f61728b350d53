"""All similar pairs of one collection, exactly (paraphrase mining), and the communities that they form.

A fast pass computes every unordered pair once; the pairs that can reach the threshold and be among the best, by the bound of
`sbert.blocks`, are scored again exactly. So the result is that of the plain loop over all pairs.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sbert.device import Precision, resolve_precision
from sbert.errors import InputError
from sbert.mining.exact import (
    CorpusBlock,
    ExactScorer,
    Vectors,
    VectorSet,
    rounding_bounds,
    score_error,
    slices,
)
from sbert.mining.search import GROUP


class PairBounds(NamedTuple):
    """Pairs of the vectors q and of a block: row (P,) and column (P,) in these, and between what their exact scores lie."""

    q: slice
    row: Tensor
    column: Tensor
    lower: Tensor
    upper: Tensor

    def above(self, floor: float) -> "PairBounds":
        """Those that can reach it."""
        keep = self.upper >= floor
        return PairBounds(self.q, *(part[keep] for part in self[1:]))


class SimilarPairs:
    """The best pairs found so far: cosine at least `threshold`, at most `limit` of them. `search(rows)` compares some vectors
    with all that follow them; after all rows were searched, in any order, `best()` is the result.

    Args:
        vectors: (N, H), an array, a memory-mapped one too, or a tensor.
        threshold: the least cosine of a pair; None for any.
        limit: the number of pairs to keep; it bounds the memory.
    """

    def __init__(self, vectors: Vectors, threshold: float | None, limit: int, precision: Precision = "auto",
                 device: torch.device | str = "cpu", query_block: int | None = None, corpus_block: int = 131_072):  # fmt: skip
        if limit < 1:
            raise InputError(f"limit is {limit}; it must be 1 or more")
        if threshold is not None and not -1 <= threshold <= 1:
            raise InputError(f"threshold is {threshold}; a cosine lies from -1 to 1")
        device = torch.device(device)
        self.side = VectorSet(vectors, "cosine", device, "vector")
        self.threshold, self.limit = -2.0 if threshold is None else threshold, limit
        self.dtype = resolve_precision(precision, device)
        self.query_block, self.corpus_block = (
            query_block or (256 if device.type == "cpu" else 4096),
            corpus_block,
        )
        self.exactly = ExactScorer(self.side.width, device)
        self.found = [(torch.empty(0), torch.empty(0, 2, dtype=torch.int64))]
        self.count = 0
        self.waiting: list[PairBounds] = []
        self.floor = self.threshold

    def search(self, rows: slice, advance: Callable[[int], None] = lambda pairs: None) -> None:
        """Compare the vectors `rows` with all that follow each of them."""
        for c in slices(len(self.side), self.corpus_block):
            if c.stop <= rows.start + 1:
                continue
            block = CorpusBlock(
                self.side, c, self.dtype, min(self.query_block, rows.stop - rows.start)
            )
            for part in slices(rows.stop - rows.start, self.query_block):
                q = slice(rows.start + part.start, rows.start + part.stop)
                if q.start + 1 < c.stop:
                    self._compare(q, block)
                    advance((q.stop - q.start) * (c.stop - max(c.start, q.start)))
            self._settle(block)

    def _compare(self, q: slice, block: CorpusBlock) -> None:
        """Vectors q (R,) with those of a block that follow them; what can be among the best waits for its exact score."""
        exact, first = self.side.exact(q), max(0, q.start - block.columns.start)
        start = block.columns.start + first
        low, products = rounding_bounds(exact, block)
        scores = block.scores(low, first)
        if start < q.stop:  # the diagonal and what is below it
            width = min(q.stop - start, scores.shape[1])
            rows = torch.arange(q.start, q.stop, device=scores.device)[:, None]
            columns = torch.arange(start, start + width, device=scores.device)
            scores[:, :width].masked_fill_(columns <= rows, -torch.inf)
        # a score of the fast pass is at most 1 and a little
        error = score_error(torch.full_like(products, 1.01)[:, None], products, self.dtype)[:, 0]
        row, column, values = self._candidates(scores, error)
        self.waiting.append(
            PairBounds(q, row, column + first, values - error[row], values + error[row])
        )
        if sum(len(some.row) for some in self.waiting) > 1.5 * self.limit:
            lower = torch.cat([some.lower for some in self.waiting])
            self.floor = max(self.floor, float(lower.topk(self.limit, sorted=False)[0].min()))
            self.waiting = [some.above(self.floor) for some in self.waiting]

    def _settle(self, block: CorpusBlock) -> None:
        """The exact scores of what waits. Only now: the floor has risen over many that waited."""
        waiting, self.waiting = self.waiting, []
        for some in waiting:
            q, row, column, *_ = some.above(self.floor)
            scores = self.exactly(self.side.exact(q), row, block.exact, column)
            keep = scores >= self.floor
            pairs = torch.stack([row[keep] + q.start, column[keep] + block.columns.start], 1)
            self.add(scores[keep].cpu(), pairs.cpu())

    def _candidates(self, scores: Tensor, error: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows, columns and scores of those of the fast pass (R, C) that, within error (R,), can reach the floor. The largest of
        each group of columns is looked at first."""
        rows, size = scores.shape
        groups = size // GROUP
        head, tail = (
            scores[:, : groups * GROUP].view(rows, GROUP, groups),
            scores[:, groups * GROUP :].float(),
        )
        largest = head.amax(1).float()
        self._raise(largest[largest >= (self.floor - error)[:, None]], error)
        row, group = (largest >= (self.floor - error)[:, None]).nonzero(as_tuple=True)
        members = head[row, :, group].float()
        chosen, member = (members >= (self.floor - error)[row, None]).nonzero(as_tuple=True)
        values = members[chosen, member]
        self._raise(values, error)
        row, column = row[chosen], member * groups + group[chosen]
        kept = values >= (self.floor - error)[row]
        last_row, last = (tail >= (self.floor - error)[:, None]).nonzero(as_tuple=True)
        return (
            torch.cat([row[kept], last_row]),
            torch.cat([column[kept], last + groups * GROUP]),
            torch.cat([values[kept], tail[last_row, last]]),
        )

    def _raise(self, scores: Tensor, error: Tensor) -> None:
        """Raise the floor where more pairs than are wanted have these scores (P,): `limit` pairs score at least that."""
        if len(scores) > self.limit:
            self.floor = max(
                self.floor, float(scores.topk(self.limit, sorted=False)[0].min() - error.max())
            )

    def add(self, scores: Tensor, pairs: Tensor) -> None:
        """Take pairs (P, 2) with their exact scores (P,) in; forget those that are beyond the limit."""
        self.found.append((scores, pairs))
        self.count += len(scores)
        if self.count > 1.5 * self.limit:
            scores, pairs = self._joined()
            self.floor = max(self.floor, scores.topk(self.limit, sorted=False)[0].min().item())
            keep = scores >= self.floor
            self.found, self.count = [(scores[keep], pairs[keep])], int(keep.sum())

    def _joined(self) -> tuple[Tensor, Tensor]:
        return torch.cat([scores for scores, _ in self.found]), torch.cat(
            [pairs for _, pairs in self.found]
        )

    def best(self) -> tuple[Tensor, Tensor]:
        """Scores (P,) and pairs (P, 2), i < j, best first, of equal ones the lower i and j first; at most `limit`."""
        scores, pairs = self._joined()
        order = torch.from_numpy(
            np.lexsort((pairs[:, 1].numpy(), pairs[:, 0].numpy(), -scores.numpy()))[: self.limit]
        )
        return scores[order], pairs[order]


def similar_pairs(
    vectors: Vectors, threshold: float | None = None, limit: int = 500_000, **options
) -> tuple[Tensor, Tensor]:
    """The unordered pairs of N vectors (N, H) whose cosine is at least `threshold`, the best `limit` of them: scores (P,) float32
    and pairs (P, 2) int64 with i < j, best first, of equal ones the lower i and j first.

    The score is the inner product in fp64 of the vectors scaled to length 1 and rounded to fp32, rounded to fp32. `options` are
    those of `SimilarPairs`.

    Raises:
        InputError: NaN or infinity in a vector, a threshold outside [-1, 1], a limit below 1.
    """
    found = SimilarPairs(vectors, threshold, limit, **options)
    found.search(slice(0, len(vectors)))
    return found.best()


def communities(count: int, scores: Tensor, pairs: Tensor, least: int) -> list[list[int]]:
    """Groups of at least `least` of `count` vectors, largest first, none in two: every vector with its neighbours, best first,
    is a candidate; they are taken from the largest on, less what is taken already.

    scores (P,), pairs (P, 2): all pairs above the threshold, as `similar_pairs` gives them. Of equally large candidates the one
    of the lower index comes first; a centre that is taken leads none. The first of a group is its centre.
    """
    both = torch.cat([pairs, pairs.flip(1)]).numpy()
    order = np.lexsort((both[:, 1], -torch.cat([scores, scores]).numpy(), both[:, 0]))
    neighbours = both[order, 1]
    degrees = np.bincount(both[:, 0], minlength=count)
    starts = np.append(0, np.cumsum(degrees))
    taken, found = np.zeros(count, bool), []
    for centre in np.argsort(-degrees, kind="stable"):
        if degrees[centre] + 1 < least:
            break
        if taken[centre]:
            continue
        members = np.append(centre, neighbours[starts[centre] : starts[centre + 1]])
        members = members[~taken[members]]
        if len(members) >= least:
            taken[members] = True
            found.append(members.tolist())
    return sorted(found, key=len, reverse=True)
