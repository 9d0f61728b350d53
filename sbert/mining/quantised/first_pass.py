"""The first pass over quantised vectors: int8 products, of which each query's best are kept."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from tqdm.auto import tqdm

from sbert.mining.quantised.int8 import int8_products, to_int8
from sbert.mining.search.candidate_table import kth_best
from sbert.mining.search.corpus_block import Entries
from sbert.mining.search.exact import blocks_of, places_in_rows
from sbert.mining.search.fast_pass import entries_from
from sbert.quantised_files import QuantisedVectors

VECTORS = 32_768  # that are unpacked at a time
QUERIES = 1024  # that are searched for at a time
PRODUCTS = 2**22  # of a tile: they stay in a CPU's cache

EXCLUDED = torch.iinfo(torch.int32).min  # the product of a pair that is not searched for


class FirstPass:
    """The best C of N vectors for each of Q queries, by products of int8 numbers.

    Args:
        queries: (Q, H), of any lengths: their int8 numbers are multiplied with `factors`.
        count: C.
        excluded: (Q, N) bool, which vectors a query does not find.

    Attributes:
        scores, indices: (Q, C), best first, of equal scores the lower index first; -inf and -1
            where there are fewer than C.
    """

    def __init__(
        self, vectors: QuantisedVectors, queries: Tensor, count: int, excluded: sparse.csr_array
    ):
        self.vectors = vectors
        self.queries = to_int8(queries)
        self.excluded = excluded
        self.scores = torch.full((len(queries), count), -torch.inf, device=queries.device)
        self.indices = torch.full((len(queries), count), -1, device=queries.device)

    def search(self, bar: tqdm) -> None:
        """Compare all queries with all vectors. `bar` counts pairs."""
        for block in blocks_of(len(self.vectors), VECTORS):
            factors = self.vectors.quantiser.factors(np.array(self.vectors.codes[block]))
            factors = torch.from_numpy(factors).to(self.queries.device)  # (B, H)
            for rows in blocks_of(len(self.queries), QUERIES):
                self._search_block(rows, factors, block.start)
                bar.update((rows.stop - rows.start) * len(factors))

    def _search_block(self, rows: slice, factors: Tensor, start: int) -> None:
        """Compare some queries with vectors (B, H), the first of which has the number `start`."""
        found: list[Entries] = []
        room = self.scores[rows].numel()
        for tile in blocks_of(len(factors), PRODUCTS // (rows.stop - rows.start)):
            products = int8_products(self.queries[rows], factors[tile])  # (R, T)
            columns = slice(start + tile.start, start + tile.stop)
            row, column = self.excluded[rows, columns].nonzero()
            products[row, column] = EXCLUDED
            for row, column, score in entries_from(products, self._threshold(rows, products)):
                found.append((row, column + columns.start, score))
            if sum(len(row) for row, _, _ in found) >= room:
                self._merge(rows, found)
                found = []
        if found:
            self._merge(rows, found)

    def _threshold(self, rows: slice, products: Tensor) -> Tensor:
        """What a product has to reach to be among the best: (R,)."""
        worst = self.scores[rows, -1]
        if worst.isneginf().any():
            return kth_best(products, self.scores.shape[1])
        # where it equals the worst one kept, its index is the higher one
        return worst.nextafter(torch.full_like(worst, torch.inf))

    def _merge(self, rows: slice, found: list[Entries]) -> None:
        """Put what was found among the best so far."""
        row, index, score = (torch.cat(parts) for parts in zip(*found, strict=True))
        row, order = row.sort(stable=True)
        place, counts = places_in_rows(row, rows.stop - rows.start)
        shape = len(counts), int(counts.max())
        scores = self.scores.new_full(shape, -torch.inf)
        indices = self.indices.new_full(shape, -1)
        scores[row, place], indices[row, place] = score[order], index[order]
        scores.masked_fill_(scores == EXCLUDED, -torch.inf)
        self.scores[rows], self.indices[rows] = best_of(
            torch.cat([self.scores[rows], scores], dim=1),
            torch.cat([self.indices[rows], indices], dim=1),
            self.scores.shape[1],
        )


def best_of(scores: Tensor, indices: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best (R, k) of scores and indices (R, M), best first, of equal scores the lower index
    first; index -1 where the score is -inf."""
    indices, order = indices.masked_fill(scores.isneginf(), -1).sort(dim=1)
    scores, rank = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
    return scores[:, :k], indices.gather(1, rank)[:, :k]
