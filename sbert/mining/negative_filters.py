"""Hard negatives: of each query's nearest texts those that are no positives, by rank, score and margin."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from sbert.mining.config import NegativesConfig


def select_negatives(
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
    order = (
        scores
        if config.sampling == "top"
        else np.random.default_rng([config.seed, unit]).random(scores.shape)
    )
    order = np.where(there, order, -np.inf)
    place = np.argsort(-order, axis=1, kind="stable")[:, : config.num_negatives]
    kept = np.take_along_axis(there, place, axis=1)
    counts["beyond num_negatives"] = int(there.sum() - kept.sum())
    counts["negatives"] = int(kept.sum())
    counts["queries with fewer negatives than asked for"] = int(
        (kept.sum(axis=1) < config.num_negatives).sum()
    )
    counts["of these, with none"] = int((~kept.any(axis=1)).sum())
    best_first = np.argsort(
        np.where(kept, -np.take_along_axis(scores, place, axis=1), np.inf), axis=1, kind="stable"
    )
    place = np.take_along_axis(np.where(kept, place, -1), best_first, axis=1)
    missing = config.num_negatives - place.shape[1]
    return np.pad(place, ((0, 0), (0, max(0, missing))), constant_values=-1), counts


def _filters(
    scores: np.ndarray, positive: np.ndarray, config: NegativesConfig
) -> Iterator[tuple[str, np.ndarray]]:
    """Each filter that is set, and the candidates (Q, R) that it leaves out; positive is (Q, 1)."""
    if config.range_min:
        yield (
            f"rank before range_min {config.range_min}",
            np.arange(scores.shape[1])[None] < config.range_min,
        )
    if config.max_score is not None:
        yield f"score above max_score {config.max_score}", scores > config.max_score
    if config.min_score is not None:
        yield f"score below min_score {config.min_score}", scores < config.min_score
    if config.absolute_margin is not None:
        yield (
            f"within absolute_margin {config.absolute_margin}",
            scores > positive - config.absolute_margin,
        )
    if config.relative_margin is not None:
        yield (
            f"within relative_margin {config.relative_margin}",
            scores > positive - abs(positive) * config.relative_margin,
        )
