"""The first pass over quantised vectors: int8 products, of which each query's best are kept."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from tqdm.auto import tqdm

from sbert.mining.search.best_so_far import BestSoFar
from sbert.mining.search.candidate_table import kth_best
from sbert.mining.search.corpus_block import Entries
from sbert.mining.search.exact import blocks_of
from sbert.mining.search.fast_pass import entries_from
from sbert.mining.search.int8 import int8_products, to_int8
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
        best: the C best.
    """

    def __init__(
        self, vectors: QuantisedVectors, queries: Tensor, count: int, excluded: sparse.csr_array
    ):
        self.vectors = vectors
        self.queries = to_int8(queries)
        self.excluded = excluded
        self.best = BestSoFar(len(queries), count, queries.device)

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
        room = (rows.stop - rows.start) * self.best.k
        for tile in blocks_of(len(factors), PRODUCTS // (rows.stop - rows.start)):
            products = int8_products(self.queries[rows], factors[tile])  # (R, T)
            columns = slice(start + tile.start, start + tile.stop)
            row, column = self.excluded[rows, columns].nonzero()
            products[row, column] = EXCLUDED
            for row, column, score in entries_from(products, self._threshold(rows, products)):
                found.append((row, column + columns.start, score))
            if sum(len(row) for row, _, _ in found) >= room:
                self._add(rows, found)
                found = []
        if found:
            self._add(rows, found)

    def _threshold(self, rows: slice, products: Tensor) -> Tensor:
        """What a product has to reach to be among the best: (R,)."""
        worst = self.best.floor(rows)
        if worst.isneginf().any():
            return kth_best(products, self.best.k)
        # where it equals the worst one kept, its index is the higher one
        return worst.nextafter(torch.full_like(worst, torch.inf))

    def _add(self, rows: slice, found: list[Entries]) -> None:
        """Put what was found among the best so far."""
        row, index, score = (torch.cat(parts) for parts in zip(*found, strict=True))
        score = score.masked_fill(score == EXCLUDED, -torch.inf)
        row, order = row.sort(stable=True)
        asked = torch.arange(rows.start, rows.stop, device=row.device)
        self.best.add_entries(asked, (row, index[order], score[order]))
