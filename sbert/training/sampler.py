"""Which rows make up each training step, as a pure function of (seed, step)."""

import math
from dataclasses import dataclass
from itertools import chain

import numpy as np


@dataclass(frozen=True)
class Sampler:
    """Which rows make up each step: a pure function of the fields, so resuming needs no replay.

    An epoch has every row once. If the datasets have `weights`, it has as many rows, dealt to the
    datasets in proportion; a dataset that is dealt fewer rows than it has continues with the
    others in the next epoch, and one that is dealt more starts over.

    Rows of similar length share a batch: a shuffled epoch is cut into pools of `pool` batches, each
    pool is sorted by length and cut into batches, and the batches are shuffled (Sentence-BERT,
    section 7, "smart batching"). The last batch of an epoch may be short.

    lengths: (N,) tokens of the longest sequence of each row. sizes: rows of each dataset, N in all.
    separate: each batch is of one dataset, and the batches of all datasets are shuffled.
    in_turn: separate, and the datasets take turns; each is dealt the same number of rows.
    classes: (N,) the class of each row of which a batch must have two rows or none, -1 for any
        number; None: all -1. Such a batch may have up to two rows more than `batch_size`.
    batch_tokens: batches of at most so many tokens, padding included, instead of `batch_size` rows;
        then an epoch has every row once, and all of it is sorted by length.
    """

    lengths: np.ndarray
    batch_size: int
    seed: int
    group_by_length: bool = True
    sizes: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    pool: int = 50
    separate: bool = False
    in_turn: bool = False
    classes: np.ndarray | None = None
    batch_tokens: int | None = None

    @property
    def steps_per_epoch(self) -> int:
        if self.batch_tokens:
            return len(self.epoch(0))
        return sum(math.ceil(len(rows) / self.batch_size) for rows in self._rows(0))

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The batches of an epoch in order, each an array of row indices."""
        random = self._generator(2, epoch)
        parts = [self._batches(rows, random) for rows in self._rows(epoch)]
        if self.in_turn:
            return list(chain.from_iterable(zip(*parts, strict=True)))
        batches = list(chain.from_iterable(parts))
        if self.separate:
            batches = [batches[i] for i in random.permutation(len(batches))]
        return batches

    def _batches(self, rows: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
        """Shuffled rows as batches."""
        if self.classes is not None and self.classes[rows[0]] >= 0:
            return self._batches_of_classmates(rows, random)
        if self.batch_tokens:
            return self._batches_of_tokens(rows, random)
        if not self.group_by_length:
            return self._cut(rows, self.batch_size)
        batches = []
        for pool in self._cut(rows, self.batch_size * self.pool):
            by_length = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += self._cut(by_length, self.batch_size)
        return [batches[i] for i in random.permutation(len(batches))]

    def _batches_of_tokens(self, rows: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
        """Shuffled rows as batches, each of all the next ones by length that its tokens hold.

        Where a batch ends depends on the lengths alone, so all epochs have as many steps.
        """
        order = rows[np.argsort(self.lengths[rows], kind="stable")]
        batches, start = [], 0
        while start < len(order):
            lengths = self.lengths[order[start : start + self.batch_tokens]]  # rising
            padded = lengths * np.arange(1, len(lengths) + 1)  # tokens of the first 1, 2, ... rows
            size = max(1, np.searchsorted(padded, self.batch_tokens, side="right"))
            batches.append(order[start : start + size])
            start += size
        return [batches[i] for i in random.permutation(len(batches))]

    def _batches_of_classmates(
        self, rows: np.ndarray, random: np.random.Generator
    ) -> list[np.ndarray]:
        """Shuffled rows as batches, as many as of any rows, of whole groups of classmates."""
        groups = self._classmates(rows)
        order = random.permutation(len(groups))
        if self.group_by_length:
            lengths = np.array([self.lengths[group].max() for group in groups])
            pools = self._cut(order, self.batch_size * self.pool // 2)
            order = np.concatenate([p[np.argsort(lengths[p], kind="stable")] for p in pools])
        sizes = np.array([len(groups[i]) for i in order])
        middles = np.cumsum(sizes) - sizes / 2
        steps = math.ceil(len(rows) / self.batch_size)
        # a group is of the batch in whose share of the rows its middle lies
        ends = np.searchsorted(middles, np.arange(1, steps) * len(rows) / steps)
        batches = [np.concatenate([groups[i] for i in part]) for part in np.split(order, ends)]
        return [batches[i] for i in random.permutation(steps)]

    def _classmates(self, rows: np.ndarray) -> list[np.ndarray]:
        """The rows in pairs of one class; the last of an odd number joins a pair."""
        order = rows[np.argsort(self.classes[rows], kind="stable")]
        _, first, sizes = np.unique(self.classes[order], return_index=True, return_counts=True)
        position = np.arange(len(order)) - np.repeat(first, sizes)  # of each row in its class
        left = np.repeat(sizes, sizes) - position
        starts = (position == 0) | ((position % 2 == 0) & (left > 1))
        return np.split(order, np.flatnonzero(starts)[1:])

    def _rows(self, epoch: int) -> list[np.ndarray]:
        """The rows of an epoch in shuffled order: of all datasets or, if separate, of each."""
        random = self._generator(0, epoch)
        parts = self._dealt(epoch)
        if not (self.separate or self.in_turn):
            parts = [np.concatenate(parts)]
        return [rows[random.permutation(len(rows))] for rows in parts]

    def _dealt(self, epoch: int) -> list[np.ndarray]:
        """The rows of an epoch that each dataset is dealt."""
        total = len(self.lengths)
        weights = (1,) * len(self.sizes) if self.in_turn else self.weights
        if not weights:
            return np.split(np.arange(total), np.cumsum(self.sizes)[:-1].astype(int))
        dealt, first = [], 0
        for dataset, (size, weight) in enumerate(zip(self.sizes, weights, strict=True)):
            count = max(1, round(total * weight / sum(weights)))
            dealt.append(first + self._deal(dataset, size, count, epoch))
            first += size
        return dealt

    def _deal(self, dataset: int, size: int, count: int, epoch: int) -> np.ndarray:
        """The `count` rows, of `size`, that an epoch takes from one dataset.

        A dataset is an endless sequence of passes over its rows, each in a new order; every epoch
        takes the next `count` of the sequence.
        """
        passes, positions = np.divmod(np.arange(epoch * count, (epoch + 1) * count), size)
        rows = np.empty(count, np.int64)
        for number in np.unique(passes).tolist():
            order = self._generator(1, dataset, number).permutation(size)
            in_pass = passes == number
            rows[in_pass] = order[positions[in_pass]]
        return rows

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])

    @staticmethod
    def _cut(rows: np.ndarray, size: int) -> list[np.ndarray]:
        return [rows[i : i + size] for i in range(0, len(rows), size)]
