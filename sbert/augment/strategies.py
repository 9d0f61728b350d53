"""Sampling strategies of Augmented SBERT (arXiv 2010.08240, section 3.1): which pairs to label.

To add a strategy, write a sampler and enter it in `SAMPLERS`; the commands then know its name:

    def same_length_pairs(pool: SentencePool, options: SamplingOptions) -> np.ndarray:
        lengths = np.array([len(sentence) for sentence in pool.sentences])
        pairs = np.argwhere(np.triu(lengths[:, None] == lengths, k=1))  # (P, 2), i < j
        return pairs[~np.isin(pair_numbers(pairs), pool.known)]

A sampler returns distinct pairs (P, 2), int64, of indices of `pool.sentences`: no sentence with
itself and no known pair. A strategy that joins several samplers is an entry of `STRATEGIES`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import gaussian_kde

from sbert.augment.pool import SentencePool, pair_numbers, pairs_from_numbers
from sbert.errors import require
from sbert.mining.bm25 import BM25Index
from sbert.mining.search.exact import Vectors
from sbert.mining.search.top_k import top_k


@dataclass(frozen=True)
class SamplingOptions:
    """What samplers may read.

    k: neighbours of each sentence, for bm25 and semantic. count: number of random pairs; None: k
    for each sentence. vectors: embeddings (N, H) of the sentences, for semantic. search: options of
    `sbert.mining.top_k`.
    """

    k: int = 3
    count: int | None = None
    seed: int = 0
    vectors: Vectors | None = None
    search: dict[str, Any] = field(default_factory=dict)


def random_pairs(pool: SentencePool, options: SamplingOptions) -> np.ndarray:
    """`count` of all pairs, with equal probability; all pairs if there are no more."""
    count = options.k * len(pool) if options.count is None else options.count
    free = len(pool) * (len(pool) - 1) // 2 - len(pool.known)
    generator = np.random.default_rng(options.seed)
    ranks = np.sort(generator.choice(free, min(count, free), replace=False))
    # the free pair of rank r comes after the known pairs that have at most r free ones before them
    free_before = pool.known - np.arange(len(pool.known))
    return pairs_from_numbers(ranks + np.searchsorted(free_before, ranks, side="right"))


def bm25_pairs(pool: SentencePool, options: SamplingOptions) -> np.ndarray:
    """Each sentence with the k best by BM25. One that shares no word with others has none."""
    _, neighbours = BM25Index(pool.sentences).top_k(pool.sentences, options.k, pool.excluded())
    return _neighbour_pairs(neighbours)


def semantic_pairs(pool: SentencePool, options: SamplingOptions) -> np.ndarray:
    """Each sentence with the k nearest by the similarity of their embeddings: that of
    `options.search`, else the cosine."""
    vectors = options.vectors
    _, neighbours = top_k(vectors, vectors, options.k, pool.excluded(), **options.search)
    return _neighbour_pairs(neighbours.numpy())


def _neighbour_pairs(neighbours: np.ndarray) -> np.ndarray:
    """Neighbours (N, K) of every sentence, -1 for none -> the distinct pairs (P, 2)."""
    first, column = np.nonzero(neighbours >= 0)
    pairs = np.stack([first, neighbours[first, column]], axis=1)
    return pairs_from_numbers(np.unique(pair_numbers(pairs)))


def given_pairs(pool: SentencePool, options: SamplingOptions) -> np.ndarray:
    """The pairs of the data as they are, in their order, without duplicates."""
    numbers, first = np.unique(pair_numbers(pool.given), return_index=True)
    new = np.sort(first[~np.isin(numbers, pool.known)])
    return pool.given[new]


SAMPLERS: dict[str, Callable[[SentencePool, SamplingOptions], np.ndarray]] = {
    "random": random_pairs,
    "bm25": bm25_pairs,
    "semantic": semantic_pairs,
    "given": given_pairs,
}

# strategy -> its samplers
STRATEGIES = {name: (name,) for name in SAMPLERS} | {
    "bm25_semantic": ("bm25", "semantic"),
    "kde": ("random", "semantic"),  # of which `accept_by_density` chooses, once labelled
}

SAMPLER_BITS = {name: 1 << s for s, name in enumerate(SAMPLERS)}


# a pair to label: the indices of its sentences, and the bits of all samplers that found it
SAMPLED_PAIR = np.dtype([("pairs", "<i8", 2), ("samplers", "u1")])


def sampler_names(samplers: np.ndarray) -> list[str]:
    """The samplers of each pair (P,), given as their bits: semantic, bm25+semantic."""
    names = {}
    for bits in np.unique(samplers).tolist():
        names[bits] = "+".join(name for name, bit in SAMPLER_BITS.items() if bits & bit)
    return [names[bits] for bits in samplers.tolist()]


def sample_pairs(strategy: str, pool: SentencePool, options: SamplingOptions) -> np.recarray:
    """The pairs of a strategy (P,) of `SAMPLED_PAIR`. Those of several samplers are joined, in the
    order of their numbers.

    Raises:
        InputError: there is no pair.
    """
    parts = {name: SAMPLERS[name](pool, options) for name in STRATEGIES[strategy]}
    require(
        any(map(len, parts.values())),
        f"strategy {strategy}: finds no pair among {len(pool):,} sentences that is not known",
    )
    if len(parts) == 1:
        [(name, pairs)] = parts.items()
        samplers = np.full(len(pairs), SAMPLER_BITS[name])
        return np.rec.fromarrays([pairs, samplers], dtype=SAMPLED_PAIR)
    numbers = np.unique(np.concatenate([pair_numbers(pairs) for pairs in parts.values()]))
    samplers = np.zeros(len(numbers), np.uint8)
    for name, pairs in parts.items():
        samplers[np.searchsorted(numbers, pair_numbers(pairs))] |= SAMPLER_BITS[name]
    return np.rec.fromarrays([pairs_from_numbers(numbers), samplers], dtype=SAMPLED_PAIR)


def draw_indices(total: int, number: int | None, seed: int) -> np.ndarray:
    """`number` sorted indices below `total`, with equal probability; all if None or not fewer."""
    if number is None or number >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng([seed, 1]).choice(total, number, replace=False))


def score_density(scores: np.ndarray, name: str) -> gaussian_kde:
    """The Gaussian kernel density of scores (P,), with the bandwidth of Scott's rule.

    Raises:
        InputError: no scores, or all are equal. `name` is the name of the data in the message.
    """
    problem = f"there are no {name} scores"
    if len(scores):
        problem = f"all {len(scores):,} {name} scores are {scores[0]:g}"
    require(
        len(np.unique(scores)) > 1,
        f"strategy kde: {problem}, so they have no density; use another strategy",
    )
    return gaussian_kde(scores)


def accept_by_density(gold: np.ndarray, silver: np.ndarray, seed: int) -> np.ndarray:
    """Which pairs of silver scores s (P,) to keep, bool (P,).

    Strategy kde (Augmented SBERT, section 3.1, "kernel density estimation"): each is kept with
    probability min(1, F_gold(s) / F_silver(s)), F the kernel densities. So the
    density of the scores kept is, up to a factor, the lower of the two.
    """
    gold = np.round(gold.astype(np.float64), 3)
    silver = np.round(silver.astype(np.float64), 3)
    # three digits: the densities are computed at a thousand scores at most, not at all P
    values, index = np.unique(silver, return_inverse=True)
    ratio = score_density(gold, "gold")(values) / score_density(silver, "silver")(values)
    return np.random.default_rng([seed, 2]).random(len(silver)) < ratio[index]
