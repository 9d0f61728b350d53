"""Which rows make up each training step, as a pure function of (seed, step)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Sampler:
    """Which rows make up step n: a pure function of the fields and n, so that a resumed run needs no replay.

    An epoch holds every row once, or, where the datasets have `weights`, as many rows as there are, dealt to the
    datasets by weight; a dataset that is dealt fewer rows than it has goes on with the others in the next epoch, and
    one that is dealt more starts over. Rows of like length share a batch: a shuffled epoch is cut into pools of
    `pool` batches, each pool is sorted by length and cut into batches, and the batches are shuffled (Sentence-BERT,
    section 7, "smart batching"). The last batch of an epoch may be short.

    lengths: (N,) tokens of the longest text of each row. sizes: rows of each dataset, sum N.
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
        return -(-len(self._rows(0)) // self.batch_size)

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *key])

    def _rows(self, epoch: int) -> np.ndarray:
        """The rows of an epoch, in shuffled order."""
        total = len(self.lengths)
        if not self.weights:
            return self._generator(0, epoch).permutation(total)
        first, dealt = 0, []
        for k, (size, weight) in enumerate(zip(self.sizes, self.weights, strict=True)):
            count = max(1, round(total * weight / sum(self.weights)))
            turns = np.arange(epoch * count, (epoch + 1) * count)
            orders = {
                turn: self._generator(1, k, turn).permutation(size)
                for turn in np.unique(turns // size).tolist()
            }
            dealt.append(first + np.array([orders[t // size][t % size] for t in turns.tolist()]))
            first += size
        rows = np.concatenate(dealt)
        return rows[self._generator(0, epoch).permutation(len(rows))]

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The batches of an epoch in order, each an array of row indices."""
        rows = self._rows(epoch)
        if not self.group_by_length:
            return [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        span = self.batch_size * self.pool
        batches = []
        for start in range(0, len(rows), span):
            pool = rows[start : start + span]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += [pool[i : i + self.batch_size] for i in range(0, len(pool), self.batch_size)]
        order = self._generator(2, epoch).permutation(len(batches))
        return [batches[i] for i in order]
