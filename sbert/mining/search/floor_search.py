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
    """The search of one block for R queries.

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
        self.fast = part.fast
        self.block = part.block
        size = min(max(PLACES, PLACES_PER_NEIGHBOUR * part.k), len(part.block))
        self.table = CandidateTable(len(part), size, part.queries.device)
        self.floor = torch.maximum(part.floor, self._first_floor())
        self.fast.subtract(self.floor)

    def search(self) -> Entries:
        """The candidates that can be among the k best, with exact scores."""
        table, fast = self.table, self.fast
        for number, (columns, scores) in enumerate(fast.tiles(), start=1):
            self.part.excluded.mask(scores, columns)
            entries = self._reaching(scores, columns)
            if not table.has_room(entries):
                self._raise_floor()
                of_tile = kth_best(scores, self.part.k)
                proved = fast.lower(of_tile, torch.arange(len(of_tile)), columns)
                self.floor = torch.maximum(self.floor, proved)
                table.keep(fast.kept(self.floor))
                # few queries would take the time of all
                table.crowded |= (table.filled > table.size / 2) & (table.size < len(self.block))
                entries = self._reaching(scores, columns)
            table.add(entries, columns.start)
            if number.bit_count() == 1:  # after 1, 2, 4, 8 tiles: each time about k are new
                self._raise_floor()
        self._raise_floor()
        table.keep(fast.kept(self.floor))
        if self.most is not None:
            table.crowded |= table.filled > self.most
        return self._decide()

    def _reaching(self, scores: Tensor, columns: slice) -> list[Entries]:
        """The entries of a tile that can reach the floor, with the lower bounds of their scores."""
        entries = self.table.reaching(scores, self.fast.threshold(self.floor, columns))
        return [
            (row, column, self.fast.lower(score, row, columns)) for row, column, score in entries
        ]

    def _first_floor(self) -> Tensor:
        """A floor (R,) that the first vectors prove: k of them, or of their groups, reach it."""
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
        return kth_best(torch.cat(seen, dim=1), self.part.k)

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
