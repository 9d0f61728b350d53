"""Hard negatives: of each query's nearest texts those that are no positives, by rank, score and margin."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sbert.errors import InputError


@dataclass
class NegativesConfig:
    """Which of a query's nearest texts, its positives left out, become its negatives.

    Args:
        num_negatives: so many for each query.
        range_min: skip so many of the nearest first; those nearest of all are often positives that nobody has marked.
        range_max: look no further than this rank; null: range_min + num_negatives, ten times num_negatives where a filter may
            remove some or sampling is random.
        max_score: leave out those that score more.
        min_score: leave out those that score less.
        absolute_margin: a negative scores at most the positive's score less this.
        relative_margin: a negative scores at most the positive's score less this share of it. Of several positives the lowest
            score counts.
        sampling: top, the best-scored of what is left, or random.
        seed: of random.
    """

    num_negatives: int = 3
    range_min: int = 0
    range_max: int | None = None
    max_score: float | None = None
    min_score: float | None = None
    absolute_margin: float | None = None
    relative_margin: float | None = None
    sampling: Literal["top", "random"] = "top"
    seed: int = 0

    def __post_init__(self):
        if self.num_negatives < 1:
            raise InputError(f"num_negatives is {self.num_negatives}; it must be 1 or more")
        if self.range_min < 0:
            raise InputError(f"range_min is {self.range_min}; it must be 0 or more")
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}; it must be 0 or more")
        if self.range_max is not None and self.range_max < self.range_min + self.num_negatives:
            raise InputError(
                f"range_max is {self.range_max}: ranks {self.range_min} to {self.range_max} hold no {self.num_negatives} "
                f"negatives; use at least {self.range_min + self.num_negatives}"
            )

    @property
    def depth(self) -> int:
        """How many of the nearest texts are looked at."""
        limits = (self.max_score, self.min_score, self.absolute_margin, self.relative_margin)
        choosy = self.sampling == "random" or any(limit is not None for limit in limits)
        return self.range_max or self.range_min + self.num_negatives * (10 if choosy else 1)


def choose(
    scores: np.ndarray, positive: np.ndarray, config: NegativesConfig, unit: int = 0
) -> tuple[np.ndarray, Counter]:
    """The places (Q, num_negatives) of the negatives among each query's candidates, best first, -1 for too few; and how many
    candidates each filter left out.

    Args:
        scores: (Q, R) of the candidates, in the order of their ranks; -inf where there is none.
        positive: (Q,) the lowest score of the query's positives.
        unit: the number of this call; with the seed, what random draws from.
    """
    there = scores > -np.inf
    counts = Counter({"candidates": int(there.sum())})
    for name, out in _filters(scores, positive[:, None], config):
        counts[name] = int((there & out).sum())
        there = there & ~out
    order = scores if config.sampling == "top" else np.random.default_rng([config.seed, unit]).random(scores.shape)
    order = np.where(there, order, -np.inf)
    place = np.argsort(-order, axis=1, kind="stable")[:, : config.num_negatives]
    kept = np.take_along_axis(there, place, axis=1)
    counts["beyond num_negatives"] = int(there.sum() - kept.sum())
    counts["negatives"] = int(kept.sum())
    counts["queries with fewer negatives than asked for"] = int((kept.sum(axis=1) < config.num_negatives).sum())
    counts["of these, with none"] = int((~kept.any(axis=1)).sum())
    best_first = np.argsort(np.where(kept, -np.take_along_axis(scores, place, axis=1), np.inf), axis=1, kind="stable")
    place = np.take_along_axis(np.where(kept, place, -1), best_first, axis=1)
    missing = config.num_negatives - place.shape[1]
    return np.pad(place, ((0, 0), (0, max(0, missing))), constant_values=-1), counts


def _filters(scores: np.ndarray, positive: np.ndarray, config: NegativesConfig) -> Iterator[tuple[str, np.ndarray]]:
    """Each filter that is set, and the candidates (Q, R) that it leaves out; positive is (Q, 1)."""
    if config.range_min:
        yield f"rank before range_min {config.range_min}", np.arange(scores.shape[1])[None] < config.range_min
    if config.max_score is not None:
        yield f"score above max_score {config.max_score}", scores > config.max_score
    if config.min_score is not None:
        yield f"score below min_score {config.min_score}", scores < config.min_score
    if config.absolute_margin is not None:
        yield f"within absolute_margin {config.absolute_margin}", scores > positive - config.absolute_margin
    if config.relative_margin is not None:
        yield (
            f"within relative_margin {config.relative_margin}",
            scores > positive - abs(positive) * config.relative_margin,
        )
