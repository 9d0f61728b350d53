"""Blocks of the corpus, and what a search needs of each: its vectors, rounded and distinct, and
what some queries do not find in it."""

from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sbert.mining.search.duplicates import Duplicates, first_equal_vectors
from sbert.mining.search.exact import VectorSet, blocks_of
from sbert.mining.search.int8_pass import Int8Vectors
from sbert.mining.search.rounded import RoundedVectors
from sbert.mining.search.sizes import CPU
from sbert.mining.search.vector_clusters import Clusters, find_clusters

SAMPLE = 512  # vectors by which duplicates and a common centre are looked for before the search

# |m|^2 / mean |c|^2, of cosines their mean: from here on c - m is a tenth shorter than c
WORTH_CENTRING = 0.2

Entries = tuple[Tensor, Tensor, Tensor]  # of a matrix: rows, columns and values, (P,) each


class CorpusBlock:
    """C vectors of the corpus, in fp32 and, when they are asked for, rounded.

    Args:
        columns: which vectors of the corpus the block stands for.
        fp32: (C, H).
        at_once: the number of vectors that are prepared at a time.
        duplicates: of which of them there is one vector each; None: of none.
    """

    def __init__(
        self, columns: slice, fp32: Tensor, at_once: int, duplicates: Duplicates | None = None
    ):
        self.columns = columns
        self.fp32 = fp32
        self.at_once = at_once
        self.duplicates = duplicates
        self._rounded: dict[torch.dtype, RoundedVectors | Int8Vectors] = {}

    @classmethod
    def load(cls, corpus: VectorSet, columns: slice, at_once: int = CPU.vectors) -> "CorpusBlock":
        """Some vectors of the corpus."""
        return cls(columns, corpus.load_in_parts(columns, at_once), at_once)

    def __len__(self) -> int:
        return len(self.fp32)

    @property
    def width(self) -> int:
        """The number of vectors of the corpus that the block stands for."""
        return self.columns.stop - self.columns.start

    def rounded(self, dtype: torch.dtype) -> RoundedVectors | Int8Vectors:
        """The vectors in the precision of a fast pass."""
        if dtype not in self._rounded:
            if dtype == torch.int8:
                rounded = Int8Vectors(self.fp32)
            else:
                rounded = RoundedVectors(self.fp32, dtype, self.at_once, self.centre)
            self._rounded[dtype] = rounded
        return self._rounded[dtype]

    @cached_property
    def _sample(self) -> Tensor:
        """A few evenly spaced vectors, on the CPU."""
        size = min(len(self), SAMPLE)
        rows = torch.arange(size) * (len(self) - 1) // max(1, size - 1)
        return self.fp32[rows.to(self.fp32.device)].cpu()

    @cached_property
    def has_many_duplicates(self) -> bool:
        """Whether some of a few evenly spaced vectors are equal."""
        return len(np.unique(first_equal_vectors(self._sample, self.at_once))) < len(self._sample)

    @cached_property
    def centre(self) -> Tensor | None:
        """The mean (H,) of a few vectors, where they are around it rather than around 0."""
        sample = self._sample.double()
        mean = sample.mean(0)
        share = mean.square().sum() / sample.square().sum(1).mean()
        return mean.float().to(self.fp32.device) if share > WORTH_CENTRING else None

    @cached_property
    def clusters(self) -> Clusters | None:
        """The clusters of the vectors, where most are in one."""
        return find_clusters(self.fp32, self._sample, self.at_once)

    @cached_property
    def distinct(self) -> "CorpusBlock":
        """The block with each distinct vector once; itself, if there are no duplicates."""
        if self.duplicates:
            return self
        first = first_equal_vectors(self.fp32, self.at_once)
        duplicates = Duplicates(np.unique(first, return_inverse=True)[1])
        if not duplicates.exist:
            return self
        fp32 = self.fp32[torch.from_numpy(duplicates.first).to(self.fp32.device)]
        return CorpusBlock(self.columns, fp32, self.at_once, duplicates)

    def excluded(
        self, matrix: csr_array, rows: np.ndarray, at_once: int, places: np.ndarray | None = None
    ) -> list["ExcludedPairs"]:
        """What the queries `rows` do not find in this block, for `at_once` of them at a time.

        Args:
            matrix: (Q, N), of all queries and all of the corpus.
            places: (C,), the column of each vector in a pass; None: its number in the block.
        """
        row, column = matrix[rows][:, self.columns].nonzero()
        hidden_row, hidden_column = self._never_found(row, column)
        if places is not None:
            hidden_column = places[hidden_column]
        order = np.lexsort((hidden_column, hidden_row // at_once))
        hidden_row, hidden_column = hidden_row[order], hidden_column[order]
        # to the device once, for all queries
        hidden = torch.from_numpy(np.stack([hidden_row % at_once, hidden_column]))
        hidden = hidden.to(self.fp32.device, torch.int64)
        parts = []
        for part in blocks_of(len(rows), at_once):
            own = slice(*np.searchsorted(row, [part.start, part.stop]))
            places = slice(
                *np.searchsorted(hidden_row // at_once, part.start // at_once + np.arange(2))
            )
            pairs = row[own] - part.start, column[own]
            count = part.stop - part.start
            parts.append(
                ExcludedPairs(self, count, pairs, hidden_column[places], hidden[:, places])
            )
        return parts

    def _never_found(self, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The vectors of the block that each query does not find, of the excluded pairs (E,)."""
        if not self.duplicates:
            return row, column
        pairs = np.stack([row, self.duplicates.group[column]])
        (row, column), counts = np.unique(pairs, axis=1, return_counts=True)
        whole = counts == self.duplicates.counts[column]  # none of its duplicates is found
        return row[whole], column[whole]


class ExcludedPairs:
    """What R = `row_count` queries do not find in a block.

    Args:
        pairs: rows and columns (E,), the column of a vector before duplicates are merged.
        hidden_column: (P,), ascending, of pairs after that, in the order of the pass.
        hidden: (2, P), rows and columns of these, on the device.
    """

    def __init__(
        self,
        block: CorpusBlock,
        row_count: int,
        pairs: tuple[np.ndarray, np.ndarray],
        hidden_column: np.ndarray,
        hidden: Tensor,
    ):
        self.block = block
        self.row_count = row_count
        self.row, self.column = pairs
        self._hidden_column = hidden_column
        self._hidden = hidden

    def mask(self, scores: Tensor, columns: slice) -> None:
        """Set the scores (R, T) of these pairs to -inf; `columns`: of the vectors of the block."""
        start, stop = np.searchsorted(self._hidden_column, [columns.start, columns.stop])
        if start < stop:
            row, column = self._hidden[:, start:stop]
            least = -torch.inf if scores.is_floating_point() else torch.iinfo(scores.dtype).min
            scores.index_put_((row, column - columns.start), scores.new_full((), least))

    def mask_selected(self, scores: Tensor, columns: Tensor) -> None:
        """The same for scores (R, T) of some vectors of the block, whose numbers are `columns`."""
        if self._hidden.shape[1]:
            place = columns.new_full((len(self.block),), -1)
            place[columns] = torch.arange(len(columns))
            row, place = self._hidden[0], place[self._hidden[1]]
            scores[row[place >= 0], place[place >= 0]] = -torch.inf

    def partly(self, columns: slice) -> Tensor | None:
        """Of the vectors `columns` of the block those of which a query may not find the first
        duplicate: rows and columns (2, P) of its scores (R, T), or None."""
        if not self.block.duplicates:
            return None
        column = self.block.duplicates.group[self.column]
        own = (column >= columns.start) & (column < columns.stop)
        places = np.stack([self.row[own], column[own] - columns.start])
        return torch.from_numpy(places).to(self.block.fp32.device, torch.int64)

    def expand(self, entries: Entries, k: int) -> Entries:
        """Rows, vectors of the block and scores (P,) -> the same with vectors of the corpus.

        Of duplicates there are the first ones that the query finds, k or more if there are so many.
        """
        row, column, score = entries
        if self.block.duplicates:
            row, column, score = self._with_duplicates(*(part.cpu().numpy() for part in entries), k)
        return row, column + self.block.columns.start, score

    def _with_duplicates(
        self, row: np.ndarray, column: np.ndarray, score: np.ndarray, k: int
    ) -> Entries:
        duplicates = self.block.duplicates
        own_count = np.bincount(self.row, minlength=self.row_count)
        most = np.minimum(duplicates.counts[column], k + own_count[row])
        row, score = np.repeat(row, most), np.repeat(score, most)
        column = duplicates.rows_of(column, most)
        size = self.block.width
        found = ~np.isin(row * size + column, self.row * size + self.column)
        device = self.block.fp32.device
        return tuple(torch.from_numpy(part[found]).to(device) for part in (row, column, score))
