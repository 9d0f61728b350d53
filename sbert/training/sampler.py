"""Which rows make up each training step, as a pure function of (seed, step)."""

import math
from dataclasses import dataclass

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
    """

    lengths: np.ndarray
    batch_size: int
    seed: int
    group_by_length: bool = True
    sizes: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
    pool: int = 50

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self._rows(0)) / self.batch_size)

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The batches of an epoch in order, each an array of row indices."""
        rows = self._rows(epoch)
        if not self.group_by_length:
            return self._cut(rows, self.batch_size)
        batches = []
        for pool in self._cut(rows, self.batch_size * self.pool):
            by_length = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += self._cut(by_length, self.batch_size)
        return [batches[i] for i in self._generator(2, epoch).permutation(len(batches))]

    def _rows(self, epoch: int) -> np.ndarray:
        """The rows of an epoch in shuffled order."""
        total = len(self.lengths)
        if not self.weights:
            return self._generator(0, epoch).permutation(total)
        dealt, first = [], 0
        for dataset, (size, weight) in enumerate(zip(self.sizes, self.weights, strict=True)):
            count = max(1, round(total * weight / sum(self.weights)))
            dealt.append(first + self._deal(dataset, size, count, epoch))
            first += size
        rows = np.concatenate(dealt)
        return rows[self._generator(0, epoch).permutation(len(rows))]

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
