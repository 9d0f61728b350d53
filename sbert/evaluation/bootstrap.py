"""The bootstrap: metrics of rows drawn anew with replacement, ten thousand times (Efron and Tibshirani, 1993).

A `Sample` is a metric together with the N rows (or queries) that it is of. It takes counts (R, N), how often each of R
resamples holds each row, and gives the metric of each, exactly: ranks are those of the resample, ties share theirs. No row is
copied and nothing is sorted again, so a resample costs a few additions a row. A count of 0 leaves a row out, so `mask[None]`
gives the metric of a part of the rows.

Rows are taken as independent; where they are not (three hypotheses of one premise), intervals are too narrow.
"""

import abc
import zlib
from collections.abc import Sequence

import numpy as np
from tqdm.auto import tqdm

Array = np.ndarray

CELLS = 2**19  # counts that are held at a time, whatever the numbers of rows and resamples


class Sample(abc.ABC):
    """A metric of N rows; len() is N."""

    def __init__(self, rows: int):
        self.rows = rows

    def __len__(self) -> int:
        return self.rows

    @abc.abstractmethod
    def __call__(self, counts: Array) -> Array:
        """(R, N) counts -> the metric (R,) of each resample; NaN where it is undefined."""

    def of(self, mask: Array) -> float:
        """The metric of the rows where `mask` (N,) is true."""
        return float(self(np.asarray(mask)[None].astype(np.int64))[0])


class Mean(Sample):
    """The mean of a value a row: right or wrong, the nDCG of a query. Rows whose value is NaN do not count."""

    def __init__(self, values: Array):
        super().__init__(len(values))
        values = np.asarray(values, np.float64)
        there = ~np.isnan(values)
        self.columns = np.stack([np.where(there, values, 0), there], axis=1)

    def __call__(self, counts: Array) -> Array:
        total, number = (counts @ self.columns).T
        return _ratio(total, number)


class Pearson(Sample):
    """Pearson's r of two columns."""

    def __init__(self, x: Array, y: Array):
        super().__init__(len(x))
        x, y = (np.asarray(v, np.float64) - np.mean(v, dtype=np.float64) for v in (x, y))
        self.columns = np.stack([x, y, x * y, x * x, y * y], axis=1)
        self.distinct = [_Ties(v) for v in (x, y)]

    def __call__(self, counts: Array) -> Array:
        n = counts.sum(axis=1)
        x, y, xy, xx, yy = (counts @ self.columns).T
        spreads = xx * n - x * x, yy * n - y * y
        found = _ratio(
            xy * n - x * y, np.sqrt(np.maximum(spreads[0], 0) * np.maximum(spreads[1], 0))
        )
        for ties, spread, size in zip(self.distinct, spreads, (xx * n, yy * n), strict=True):
            # the sums of equal numbers round: where the spread may be a rounding, count the distinct values
            doubtful = np.flatnonzero(spread <= 1e-9 * size)
            constant = (ties.counts(counts[doubtful])[0] > 0).sum(axis=1) < 2
            found[doubtful[constant]] = np.nan
        return found


class Spearman(Sample):
    """Spearman's rho of two columns: Pearson's r of their ranks in the resample, ties sharing their average rank."""

    def __init__(self, x: Array, y: Array):
        super().__init__(len(x))
        self.undefined = bool(np.isnan(x).any() or np.isnan(y).any())
        self.x, self.y = _Ties(x), _Ties(y)

    def __call__(self, counts: Array) -> Array:
        if self.undefined:
            return np.full(len(counts), np.nan)
        (m, x), (n, y) = self.x.ranks(counts), self.y.ranks(counts)
        products = np.einsum("rn,rn,rn->r", counts, x[:, self.x.group], y[:, self.y.group])
        squares = [np.einsum("rk,rk,rk->r", k, ranks, ranks) for k, ranks in ((m, x), (n, y))]
        return _ratio(products, np.sqrt(squares[0] * squares[1]))


class AveragePrecision(Sample):
    """sum_k (R_k - R_{k-1}) P_k over the cuts between distinct scores, as `metrics.average_precision`."""

    def __init__(self, scores: Array, gold: Array):
        super().__init__(len(scores))
        self.scores, self.gold = np.asarray(scores), np.asarray(gold).astype(np.int64)
        self.ties = _Ties(-self.scores)

    def __call__(self, counts: Array) -> Array:
        if np.isnan(self.scores).any():
            return np.full(len(counts), np.nan)
        (size, k), (gain, hits) = self.ties.counts(counts), self.ties.counts(counts * self.gold)
        found = _ratio((gain * hits / np.maximum(k, 1)).sum(axis=1), hits[:, -1])
        found[hits[:, -1] == size.sum(axis=1)] = np.nan  # one class only
        return found


class _Ties:
    """The K groups of equal values of a column (N,), in ascending order; `group` (N,): that of each row."""

    def __init__(self, values: Array):
        self.order = np.argsort(values, kind="stable")
        ordered = np.asarray(values)[self.order]
        self.ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self.group = np.empty(len(values), np.int64)
        self.group[self.order] = np.repeat(
            np.arange(len(self.ends)), np.diff(self.ends, prepend=-1)
        )

    def counts(self, counts: Array) -> tuple[Array, Array]:
        """How many rows of each resample are in each group, and up to its end, (R, K) each."""
        upto = counts[:, self.order].cumsum(axis=1)[:, self.ends]
        return np.diff(upto, axis=1, prepend=0), upto

    def ranks(self, counts: Array) -> tuple[Array, Array]:
        """(R, K) rows of each group and their average rank less the mean rank: before + (1 + size) / 2 - (1 + n) / 2."""
        size, upto = self.counts(counts)
        return size, upto - size / 2 - upto[:, -1:] / 2


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def resample(samples: Sequence[Sample], resamples: int, seed: int, name: str = "") -> Array:
    """Values (S, R) of S metrics of the same N rows, on the same R resamples: their differences are paired.

    The draws depend on the seed, the name (of the data) and N alone: those of two datasets are independent.
    """
    rows, generator = len(samples[0]), np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = np.empty((len(samples), resamples))
    block = max(1, CELLS // rows)
    for start in tqdm(
        range(0, resamples, block), desc=f"resample {name}", unit="block", disable=None, leave=False
    ):
        part = slice(start, min(start + block, resamples))
        counts = draw_counts(generator, part.stop - part.start, rows)
        for place, sample in enumerate(samples):
            values[place, part] = sample(counts)
    return values


def draw_counts(generator: np.random.Generator, resamples: int, rows: int) -> Array:
    """Counts (R, N): each of R resamples is N rows drawn with replacement."""
    drawn = generator.integers(0, rows, (resamples, rows))
    drawn += np.arange(resamples)[:, None] * rows
    return np.bincount(drawn.ravel(), minlength=resamples * rows).reshape(resamples, rows)
