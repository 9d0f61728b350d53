"""Candidates of a block of queries on a CPU: what reaches a floor that rises."""

import torch
from torch import Tensor

from sbert.mining.search.candidate_table import CandidateTable, kth_best
from sbert.mining.search.corpus_block import Entries
from sbert.mining.search.exact import exact_pair_scores, pair_products
from sbert.mining.search.fast_pass import GROUP, FastPass, group_maxima
from sbert.mining.search.query_part import QueryPart
from sbert.mining.search.sizes import CPU

# places for candidates of a query: many more than real sentences need
PLACES = 512
PLACES_PER_NEIGHBOUR = 8

SCORES_PER_NEIGHBOUR = 4  # from which the first floor is found

UNDECIDED = 3  # candidates for each neighbour from which their scores in fp32 save time


class FloorSearch:
    """The search of one block for R queries. To make one searches the first tile.

    Args:
        most: the number of candidates with which a query is left undecided, at the end; None: those
            for which there are places.

    Attributes:
        floor: (R,), which the k best scores are known to reach; it rises.
        table: the candidates, with lower bounds of their scores; a query that is crowded there
            has too many.
    """

    def __init__(self, part: QueryPart, most: int | None = None):
        self.part = part
        self.most = most
        self.block = part.block
        size = min(max(PLACES, PLACES_PER_NEIGHBOUR * part.k), len(part.block))
        self.table = CandidateTable(len(part), size, part.queries.device)
        self.floor, self.fast = part.floor, part.fast
        self.first = slice(0)  # columns of the first tile, if its candidates are in the table
        self._search_first()
        self.fast = part.fast.subtract(self.floor)

    def search(self) -> Entries:
        """The candidates that can be among the k best, with exact scores."""
        tiles = self.fast.tiles(self.first.stop)
        for number, (columns, scores) in enumerate(tiles, start=2 if self.first.stop else 1):
            self.part.excluded.mask(scores, columns)
            self._add(columns, scores)
            if number.bit_count() == 1:  # after 1, 2, 4, 8 tiles: each time about k are new
                self._raise_floor()
        self._raise_floor()
        self._drop()
        if self.most is not None:
            self.table.crowded |= self.table.filled > self.most
        return self._decide()

    def _search_first(self) -> None:
        """Raise the floor to what the first vectors prove: k of them, or of their groups, reach it.

        If those of one tile are enough, its candidates are added at once.
        """
        wanted = SCORES_PER_NEIGHBOUR * self.part.k
        in_groups = len(self.block) > wanted * GROUP
        row = torch.arange(len(self.part))[:, None]
        seen: list[Tensor] = []
        for columns, scores in self.fast.tiles():
            self.part.excluded.mask(scores, columns)
            largest = group_maxima(scores) if in_groups else scores
            seen.append(self.fast.lower(largest, row, columns))
            if sum(part.shape[1] for part in seen) >= wanted:
                break
        proved = kth_best(torch.cat(seen, dim=1), self.part.k)
        self.floor = torch.maximum(self.floor, proved)
        if len(seen) == 1:
            self._add(columns, scores)
            self._raise_floor()
            self.first = columns

    def _add(self, columns: slice, scores: Tensor) -> None:
        """Add the candidates of a tile (R, T)."""
        table = self.table
        entries = self._reaching(scores, columns)
        if not table.has_room(entries):
            self._raise_floor()
            of_tile = kth_best(scores, self.part.k)
            proved = self.fast.lower(of_tile, torch.arange(len(of_tile)), columns)
            self.floor = torch.maximum(self.floor, proved)
            self._drop()
            # few queries would take the time of all
            table.crowded |= (table.filled > table.size / 2) & (table.size < len(self.block))
            entries = self._reaching(scores, columns)
        table.add(entries, columns.start)

    def _drop(self) -> None:
        """Drop the candidates that are proved to be below the floor."""
        kept = self.fast.kept(self.floor)[:, None]
        if self.fast is not self.part.fast:
            # nothing was subtracted from the scores of the first tile: they are rounded more
            of_first = self.table.columns[:, : self.table.used] < self.first.stop
            kept = torch.where(of_first, self.part.fast.kept(self.floor)[:, None], kept)
        self.table.keep(kept)

    def _reaching(self, scores: Tensor, columns: slice) -> list[Entries]:
        """The entries of a tile that can reach the floor, with the lower bounds of their scores."""
        entries = self.table.reaching(scores, self.fast.threshold(self.floor, columns))
        return [
            (row, column, self.fast.lower(score, row, columns)) for row, column, score in entries
        ]

    def _raise_floor(self) -> None:
        """Raise it to what the candidates prove."""
        self.floor = torch.maximum(self.floor, self.table.kth_best(self.part.k))

    def _decide(self) -> Entries:
        table, queries, k = self.table, self.part.queries, self.part.k
        row, column, _ = table.entries()
        column = self.fast.numbers(column)
        if len(row) > UNDECIDED * k * len(queries):
            # scores in fp32 leave few of many near ties
            fp32 = FastPass(queries, self.block.rounded(torch.float32), scores=1)
            scores = pair_products(fp32.queries, row, fp32.vectors, column, torch.float32)
            table.replace_scores(scores)
            threshold = fp32.threshold(fp32.bounds(table.kth_best(k))[0])
            reaching = scores >= threshold[row]
            row, column = row[reaching], column[reaching]
        return row, column, exact_pair_scores(queries, row, self.block.fp32, column, CPU)


def floor_candidates(part: QueryPart, most: int | None = None) -> tuple[Entries, Tensor]:
    """What a `FloorSearch` of these finds, and which queries (R,) are undecided, of which it finds
    nothing: they have too many candidates."""
    search = FloorSearch(part, most)
    return search.search(), search.table.crowded
