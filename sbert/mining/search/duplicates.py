"""Exact duplicates of a collection: one vector with a count, which is searched once.

Rows are duplicates if their texts or their vectors are equal. Their cosine is 1 by definition,
where rounding would make it 0.99999994 and lose it at a threshold of 1. A vector of zeros, whose
cosine with any other is 0, has no duplicate but by its text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from sbert.mining.search.exact import Vectors, VectorSet, as_floats, blocks_of
from sbert.texts import unique

ROWS_AT_ONCE = 4096  # that are read and hashed together


class SelectedRows:
    """Some rows of vectors (N, H), read where they are needed: the file may exceed the memory."""

    def __init__(self, vectors: Vectors, rows: np.ndarray):
        self.vectors = vectors
        self.rows = rows
        self.shape = (len(rows), vectors.shape[1])
        self.ndim = 2

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, selected: slice | np.ndarray) -> Vectors:
        return self.vectors[self.rows[selected]]


@dataclass
class Duplicates:
    """N rows in U groups of exact duplicates.

    group: (N,), the group of each row. The groups are numbered in the order of their first rows.
    """

    group: np.ndarray

    @cached_property
    def first(self) -> np.ndarray:
        """(U,), the first row of each group."""
        return np.unique(self.group, return_index=True)[1]

    @cached_property
    def counts(self) -> np.ndarray:
        """(U,), the number of rows of each group."""
        return np.bincount(self.group)

    @cached_property
    def _grouped_rows(self) -> np.ndarray:
        """(N,), all rows, those of group 0 first."""
        return np.argsort(self.group, kind="stable")

    @cached_property
    def _stop(self) -> np.ndarray:
        """(U,), where each group ends in `_grouped_rows`."""
        return np.cumsum(self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def exist(self) -> bool:
        return len(self) < len(self.group)

    @property
    def pair_count(self) -> int:
        """How many pairs of rows are exact duplicates."""
        return int((self.counts * (self.counts - 1) // 2).sum())

    def describe(self, names: Sequence[str]) -> str:
        """How many there are and the most frequent one; `names` of the N rows."""
        most = int(self.counts.argmax())
        name = names[self.first[most]][:80]
        return (
            f"{len(self.group) - len(self):,} of {len(self.group):,} are exact duplicates of one "
            f"before; the most frequent, {self.counts[most]:,} times: {name}"
        )

    def select_distinct(self, vectors: Vectors) -> Vectors | SelectedRows:
        """The vectors (U, H) of the groups, of all vectors (N, H)."""
        return SelectedRows(vectors, self.first) if self.exist else vectors

    def rows_of(self, groups: np.ndarray, most: np.ndarray | None = None) -> np.ndarray:
        """The rows of some groups (P,), one group after the other; `most` (P,): of each the first
        ones, so many at most."""
        counts = self.counts[groups]
        start = self._stop[groups] - counts
        return self._grouped_rows[_ranges(start, counts if most is None else most)]

    def expand_pairs(self, scores: Tensor, pairs: Tensor, limit: int) -> tuple[Tensor, Tensor]:
        """Pairs of groups (P, 2) with scores (P,), in the order of `SimilarPairs.best` -> the pairs
        of their rows and those within a group, in the same order, `limit` at most.

        If `limit` pairs of groups are given, they need not be all: each holds a pair of rows.
        """
        if not self.exist:
            return scores, pairs
        repeated = np.flatnonzero(self.counts > 1)
        links = np.concatenate([np.stack([repeated, repeated], 1), pairs.numpy()])
        values = np.append(np.ones(len(repeated), np.float32), scores.numpy())
        one, other = self.counts[links].T
        sizes = np.where(links[:, 0] == links[:, 1], one * (one - 1) // 2, one * other)
        kept = values >= values[_place_of(limit, sizes)]
        values, links = values[kept], links[kept]
        single = (self.counts[links] == 1).all(1)  # one row linked with one: most, as a rule
        expanded_values, expanded = self._expand_links(values[~single], links[~single], limit)
        values = np.append(values[single], expanded_values)
        rows = np.concatenate([self.first[links[single]], expanded])
        best = np.lexsort((rows[:, 1], rows[:, 0], -values))[:limit]
        return torch.from_numpy(values[best]), torch.from_numpy(rows[best])

    def _expand_links(
        self, scores: np.ndarray, links: np.ndarray, limit: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The pairs of the rows of linked groups (L, 2), a group linked with itself: within it; at
        least the `limit` best, in any order."""
        between = links[:, 0] != links[:, 1]
        owner, target = np.concatenate([links, links[between][:, ::-1]]).T
        scores = np.append(scores, scores[between])
        # each row of the owner, with the rows of the target that follow it
        row = self.rows_of(owner)
        scores = np.repeat(scores, self.counts[owner])
        target = np.repeat(target, self.counts[owner])
        rows = self._grouped_rows
        start = np.searchsorted(
            self.group[rows] * len(rows) + rows, target * len(rows) + row, side="right"
        )
        count = self._stop[target] - start
        order = np.lexsort((row, -scores))
        row, scores, start, count = (part[order] for part in (row, scores, start, count))
        last = _place_of(limit, count)  # with all others of the same score and row
        stop = np.flatnonzero((scores == scores[last]) & (row == row[last]))[-1] + 1
        partner = rows[_ranges(start[:stop], count[:stop])]
        row, scores = (np.repeat(part[:stop], count[:stop]) for part in (row, scores))
        return scores, np.stack([row, partner], axis=1)


def _ranges(start: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """start[0], start[0] + 1, ... (counts[0] numbers), start[1], ..."""
    before = np.cumsum(counts) - counts
    return np.arange(counts.sum()) + np.repeat(start - before, counts)


def _place_of(limit: int, sizes: np.ndarray) -> int:
    """The first place up to which `sizes` sum to `limit`; the last place if they do not."""
    return min(int(np.searchsorted(np.cumsum(sizes), limit)), len(sizes) - 1)


def find_duplicates(vectors: VectorSet, texts: Sequence[str] = ()) -> Duplicates:
    """The exact duplicates among N vectors, and the texts that they belong to, if there are some.

    Raises:
        InputError: there are duplicates, and NaN or infinity in a vector.
    """
    of_texts = Duplicates(unique(texts)[1] if texts else np.arange(len(vectors)))
    first = first_equal_rows(vectors.vectors, of_texts.first)
    group = np.unique(first, return_inverse=True)[1]
    duplicates = Duplicates(group[of_texts.group])
    for part in blocks_of(len(vectors) if duplicates.exist else 0, ROWS_AT_ONCE):
        vectors.load(part)  # names a bad vector by its own number, which later ones are not
    return duplicates


def first_equal_vectors(vectors: Tensor, at_once: int) -> np.ndarray:
    """For each of these vectors (C, H) fp32 the first one that is equal, on any device.

    The hash of unlike vectors may be equal, once in 10^18: some duplicates are not seen then.
    """
    weights = torch.randint(2**62, vectors.shape[1:], generator=torch.Generator().manual_seed(0))
    weights = weights.to(vectors.device)
    hashes = torch.empty(len(vectors), dtype=torch.int64, device=vectors.device)
    for part in blocks_of(len(vectors), at_once):
        bits = (vectors[part] + 0.0).view(torch.int32)  # -0 becomes 0
        hashes[part] = (bits * weights).sum(1)  # modulo 2^64
    group = hashes.unique(return_inverse=True)[1]
    numbers = torch.arange(len(vectors), device=vectors.device)
    first = torch.full_like(numbers, len(vectors)).scatter_reduce(0, group, numbers, "amin")[group]
    for part in blocks_of(len(vectors), at_once):
        equal = (vectors[part] == vectors[first[part]]).all(1)
        first[part] = first[part].where(equal, numbers[part])
    return first.cpu().numpy()


def first_equal_rows(vectors: Vectors, rows: np.ndarray) -> np.ndarray:
    """For each of these rows (R,) the first of them that is equal; for zeros the row itself."""
    generator = np.random.default_rng(0)
    weights = generator.integers(2**63, size=vectors.shape[1]).astype(np.uint64)
    sums = np.empty(len(rows), np.uint64)
    for part in blocks_of(len(rows), ROWS_AT_ONCE):
        bits = _bits(vectors[rows[part]])
        # the lowest bits are zero unless the vectors are float64
        sums[part] = (bits >> np.uint64(20)) @ weights
    # equal rows have equal sums; of unlike ones few have
    _, index, counts = np.unique(sums, return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(counts[index] > 1)
    first = rows.copy()
    seen: dict[bytes, int] = {}
    for part in blocks_of(len(suspects), ROWS_AT_ONCE):
        chosen = suspects[part]
        for place, row in zip(chosen.tolist(), _bits(vectors[rows[chosen]]), strict=True):
            if row.any():
                key = blake2b(row, digest_size=16).digest()
                first[place] = seen.setdefault(key, rows[place])
    return first


def _bits(part: Vectors) -> np.ndarray:
    """The numbers of vectors (R, H) as float64, bit by bit, uint64."""
    # -0 becomes 0
    return (as_floats(part).double() + 0.0).cpu().numpy().view(np.uint64)
