"""Blocks of the corpus, and what a search needs of each: its vectors, rounded and distinct, and
what some queries do not find in it."""

from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from sbert.mining.search.duplicates import Duplicates, first_equal_rows
from sbert.mining.search.exact import VectorSet, blocks_of

SAMPLE = 512  # vectors among which duplicates are looked for before the search

Entries = tuple[Tensor, Tensor, Tensor]  # of a matrix: rows, columns and values, (P,) each


def round_vectors(vectors: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """x' = x rounded to `dtype`, and upper bounds on |x'| and |x' - x|: (R, H), (R,), (R,).

    The factor covers the rounding of the norms themselves, which are computed in fp32.
    """
    rounded = vectors.to(dtype)
    back = rounded.float()
    factor = 1 + 1e-4
    return rounded, back.norm(dim=1) * factor, (vectors - back).norm(dim=1) * factor


class RoundedVectors:
    """C vectors in the precision of a fast pass: `vectors` (C, H), max |c'| and max |c' - c|."""

    def __init__(self, fp32: Tensor, dtype: torch.dtype):
        self.vectors = fp32 if dtype == torch.float32 else torch.empty_like(fp32, dtype=dtype)
        self.max_norm = torch.zeros((), device=fp32.device)
        self.max_error = torch.zeros((), device=fp32.device)
        for part in blocks_of(len(fp32), 512):
            rounded, norms, errors = round_vectors(fp32[part], dtype)
            if dtype != torch.float32:
                self.vectors[part] = rounded
            self.max_norm = torch.maximum(self.max_norm, norms.max())
            self.max_error = torch.maximum(self.max_error, errors.max())


class CorpusBlock:
    """C vectors of the corpus, in fp32 and, when they are asked for, rounded.

    Args:
        columns: which vectors of the corpus the block stands for.
        fp32: (C, H).
        duplicates: of which of them there is one vector each; None: of none.
    """

    def __init__(self, columns: slice, fp32: Tensor, duplicates: Duplicates | None = None):
        self.columns = columns
        self.fp32 = fp32
        self.duplicates = duplicates
        self._rounded: dict[torch.dtype, RoundedVectors] = {}

    @classmethod
    def load(cls, corpus: VectorSet, columns: slice) -> "CorpusBlock":
        """Some vectors of the corpus."""
        fp32 = torch.empty(columns.stop - columns.start, corpus.width, device=corpus.device)
        for part in blocks_of(len(fp32), 512):
            fp32[part] = corpus.load(slice(columns.start + part.start, columns.start + part.stop))
        return cls(columns, fp32)

    def __len__(self) -> int:
        return len(self.fp32)

    @property
    def width(self) -> int:
        """The number of vectors of the corpus that the block stands for."""
        return self.columns.stop - self.columns.start

    def rounded(self, dtype: torch.dtype) -> RoundedVectors:
        """The vectors in the precision of a fast pass."""
        if dtype not in self._rounded:
            self._rounded[dtype] = RoundedVectors(self.fp32, dtype)
        return self._rounded[dtype]

    @cached_property
    def has_many_duplicates(self) -> bool:
        """Whether some of a few evenly spaced vectors are equal."""
        rows = np.linspace(0, len(self) - 1, min(len(self), SAMPLE)).astype(int)
        return len(np.unique(first_equal_rows(self.fp32, rows, zeros=True))) < len(rows)

    @cached_property
    def distinct(self) -> "CorpusBlock":
        """The block with each distinct vector once; itself, if there are no duplicates."""
        if self.duplicates:
            return self
        first = first_equal_rows(self.fp32, np.arange(len(self)), zeros=True)
        duplicates = Duplicates(np.unique(first, return_inverse=True)[1])
        if not duplicates.exist:
            return self
        fp32 = self.fp32[torch.from_numpy(duplicates.first).to(self.fp32.device)]
        return CorpusBlock(self.columns, fp32, duplicates)

    def excluded(self, matrix: csr_array, rows: np.ndarray) -> "ExcludedPairs":
        """What the queries `rows` do not find in this block; (Q, N), of all of the corpus."""
        row, column = matrix[rows][:, self.columns].nonzero()
        return ExcludedPairs(self, len(rows), row, column)


class ExcludedPairs:
    """What R = `row_count` queries do not find in a block: the pairs `row` and `column` (E,).

    Args:
        column: the number of a vector in the block before duplicates are merged.
    """

    def __init__(self, block: CorpusBlock, row_count: int, row: np.ndarray, column: np.ndarray):
        self.block = block
        self.row_count = row_count
        self.row, self.column = row, column
        if block.duplicates:  # a vector is not found if none of its duplicates is
            pairs = np.stack([row, block.duplicates.group[column]])
            (row, column), counts = np.unique(pairs, axis=1, return_counts=True)
            whole = counts == block.duplicates.counts[column]
            row, column = row[whole], column[whole]
        order = np.argsort(column, kind="stable")
        self._masked_column = column[order]
        self._masked_row = row[order]

    def mask(self, scores: Tensor, columns: slice) -> None:
        """Set the scores (R, T) of these pairs to -inf; `columns`: of the vectors of the block."""
        start, stop = np.searchsorted(self._masked_column, [columns.start, columns.stop])
        if start < stop:
            row = torch.from_numpy(self._masked_row[start:stop]).to(scores.device)
            column = self._masked_column[start:stop] - columns.start
            scores[row.long(), torch.from_numpy(column).long().to(scores.device)] = -torch.inf

    def expand(self, entries: Entries, k: int) -> Entries:
        """Rows, vectors of the block and scores (P,) -> the same with vectors of the corpus.

        Of duplicates there are the first ones that the query finds, k or more if there are so many.
        """
        row, column, score = (part.cpu().numpy() for part in entries)
        duplicates = self.block.duplicates
        if duplicates:
            own_count = np.bincount(self.row, minlength=self.row_count)
            most = np.minimum(duplicates.counts[column], k + own_count[row])
            row, score = np.repeat(row, most), np.repeat(score, most)
            column = duplicates.rows_of(column, most)
            size = self.block.width
            found = ~np.isin(row * size + column, self.row * size + self.column)
            row, column, score = row[found], column[found], score[found]
        column = column + self.block.columns.start
        return torch.from_numpy(row), torch.from_numpy(column), torch.from_numpy(score)
