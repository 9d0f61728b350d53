"""The Multi-Bootstrap: intervals of means over training runs, over rows and seeds jointly.

A mean over seeds differs from what more seeds and more rows would give, because of both. Every seed
is evaluated on every row, so that the two are crossed: a resample draws rows and, apart from them,
seeds, with replacement (the pigeonhole bootstrap: Owen, Annals of Applied Statistics 1, 2007). Its
value is the mean, over the drawn seeds, of the metric on the drawn rows (MultiBERTs, arXiv
2106.16163, section 4).

Systems see the same draws of rows, and those with the same seeds the same draws of seeds: their
difference is paired. A system with one seed has the interval of its rows alone.

S seeds drawn with replacement have a mean whose variance is (S - 1) / S of what it should be: half
of it for two seeds. Deviations between seeds are therefore multiplied by sqrt(S / (S - 1)) (Rao and
Wu, JASA 83, 1988; the narrowness bias of Hesterberg, The American Statistician 69, 2015), which
makes the standard error right. The percentiles remain those of a normal distribution rather than
of Student's t, so that with few seeds the interval is still too narrow; `docs/sweeps.md` has how
often it covers.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sbert.evaluation.bootstrap import resample
from sbert.evaluation.scores import DatasetScores
from sbert.evaluation.significance import Resampled

RESAMPLES = 10_000

Repeat = tuple[object, object]  # the seed and the fold of a run; None without


@dataclass
class Estimate(Resampled):
    """The mean of a metric over the runs of a system, or the difference of two such means.

    replicates: its values (R,) on the resamples.
    digests: of the rows of each fold.
    """

    value: float
    replicates: np.ndarray
    digests: dict[object, str]

    def difference(self, other: "Estimate") -> "Estimate | None":
        """None where the two were not evaluated on the same rows."""
        if self.digests != other.digests:
            return None
        replicates = self.replicates - other.replicates
        return Estimate(self.value - other.value, replicates, self.digests)


def estimate_mean(
    dataset: str,
    metric: str,
    runs: Mapping[Repeat, DatasetScores],
    resamples: int = RESAMPLES,
) -> Estimate | None:
    """The mean of a metric over the seeds, of each its mean over the folds.

    The rows of each fold are drawn on their own, the seeds once for all folds. None where the seeds
    differ in their folds, or the runs of a fold in their rows.
    """
    values, replicates, digests = {}, {}, {}
    for (seed, fold), scores in runs.items():
        if digests.setdefault(fold, scores.digest) != scores.digest:
            return None
        name = dataset if fold is None else f"{dataset} {fold}"
        measured = scores.metrics[metric]
        [drawn] = resample([measured], resamples, 0, name, scores.clusters)
        values.setdefault(seed, []).append(measured.of_all())
        replicates.setdefault(seed, []).append(drawn)
    if any(len(of_folds) != len(digests) for of_folds in values.values()):
        return None
    means = {seed: np.mean(of_folds, axis=0) for seed, of_folds in replicates.items()}
    return Estimate(float(np.mean(list(values.values()))), resample_seeds(means), digests)


def resample_seeds(values: Mapping[object, np.ndarray]) -> np.ndarray:
    """The mean over the S drawn seeds, (R,), from the values (R,) of each seed.

    On each resample, the mean over all seeds plus sqrt(S / (S - 1)) times the deviation of the
    drawn ones from it. The draws depend on the seeds' numbers alone: equal sets of seeds are drawn
    alike, others independently.
    """
    seeds = sorted(values, key=str)
    of_seeds = np.stack([values[seed] for seed in seeds], axis=1)  # (R, S)
    of_all = of_seeds.mean(axis=1)
    if len(seeds) == 1:
        return of_all
    key = zlib.crc32(f"seeds {' '.join(map(str, seeds))}".encode())
    drawn = np.random.default_rng([0, key]).integers(0, len(seeds), of_seeds.shape)
    of_drawn = np.take_along_axis(of_seeds, drawn, axis=1).mean(axis=1)
    return of_all + math.sqrt(len(seeds) / (len(seeds) - 1)) * (of_drawn - of_all)
