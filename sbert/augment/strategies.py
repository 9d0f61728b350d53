"""Augmented SBERT (Thakur et al. 2021, arXiv 2010.08240): which pairs of sentences a cross-encoder is asked to label.

Every strategy draws unordered pairs of distinct sentences, none of them known (a gold pair) and none twice. Pairs are numbered:
that of the sentences i < j is number j (j - 1) / 2 + i, so that N sentences have the pairs 0 to N (N - 1) / 2 - 1.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.stats import gaussian_kde

from sbert.errors import InputError
from sbert.mining import bm25
from sbert.mining.exact import Vectors
from sbert.mining.search import top_k
from sbert.texts import canonical

Texts = Iterable[tuple[str, str]]

SOURCES = ("random", "bm25", "semantic", "given")

STRATEGIES = {
    "random": ("random",),
    "bm25": ("bm25",),
    "semantic": ("semantic",),
    "bm25_semantic": ("bm25", "semantic"),
    "kde": ("random", "semantic"),  # of which `accept` chooses, once they are labelled
    "given": ("given",),
}


class SampledPairs(NamedTuple):
    """Pairs (P, 2) of places among the sentences, int64, and which sources found each (P,), uint8: bit s for SOURCES[s]."""

    pairs: np.ndarray
    found: np.ndarray

    def take(self, which: np.ndarray) -> "SampledPairs":
        return SampledPairs(self.pairs[which], self.found[which])

    def names(self) -> list[str]:
        """The sources of each pair: semantic, bm25+semantic."""
        spelt = {
            bits: "+".join(name for s, name in enumerate(SOURCES) if bits >> s & 1)
            for bits in np.unique(self.found).tolist()
        }
        return [spelt[bits] for bits in self.found.tolist()]


def number_of(pairs: np.ndarray) -> np.ndarray:
    """(P, 2), in either order -> (P,) the numbers of the pairs."""
    i, j = pairs.min(axis=1), pairs.max(axis=1)
    return j * (j - 1) // 2 + i


def pair_of(numbers: np.ndarray) -> np.ndarray:
    """(P,) -> (P, 2), i < j."""
    j = ((1 + np.sqrt(1 + 8.0 * numbers)) / 2).astype(np.int64)
    j -= j * (j - 1) // 2 > numbers  # where the root was rounded
    j += j * (j + 1) // 2 <= numbers
    return np.stack([numbers - j * (j - 1) // 2, j], axis=1)


@dataclass(frozen=True)
class Pool:
    """N distinct sentences; the numbers of the known pairs, sorted; and the given pairs (P, 2), in their order."""

    sentences: list[str]
    known: np.ndarray
    given: np.ndarray

    @classmethod
    def of(
        cls, sentences: Iterable[str], known: Texts = (), given: Texts = (), name: str = "pool"
    ) -> "Pool":
        """The pool of some sentences, each in the first spelling that is met. A known or given pair counts if both of its
        sentences are there, and differ. `name`: what errors call it.

        Raises:
            InputError: fewer than two distinct sentences.
        """
        first: dict[str, str] = {}
        for sentence in sentences:
            first.setdefault(canonical(sentence), sentence)
        if len(first) < 2:
            raise InputError(
                f"{name}: {len(first)} distinct sentence, case and spaces aside; pairs need two or more"
            )
        place = {key: i for i, key in enumerate(first)}

        def places(pairs: Texts) -> np.ndarray:
            both = [(place.get(canonical(a), -1), place.get(canonical(b), -1)) for a, b in pairs]
            return np.array(
                [(i, j) for i, j in both if min(i, j) >= 0 and i != j], np.int64
            ).reshape(-1, 2)

        return cls(list(first.values()), np.unique(number_of(places(known))), places(given))

    def __len__(self) -> int:
        return len(self.sentences)

    def excluded(self) -> list[list[int]]:
        """For each sentence itself and those of its known pairs."""
        lists = [[i] for i in range(len(self))]
        for i, j in pair_of(self.known).tolist():
            lists[i].append(j)
            lists[j].append(i)
        return lists


def _random(pool: Pool, count: int, seed: int, **_) -> np.ndarray:
    """Random recombination: `count` of all pairs, or all where there are fewer, all equally likely."""
    free = len(pool) * (len(pool) - 1) // 2 - len(pool.known)
    drawn = (
        np.sort(np.random.default_rng(seed).choice(free, min(count, free), replace=False))
        if free
        else np.arange(0)
    )
    # the r-th free pair comes after as many known ones as have at most r free pairs before them
    before = np.searchsorted(pool.known - np.arange(len(pool.known)), drawn, side="right")
    return pair_of(drawn + before)


def _neighbours(search: Callable[..., tuple], pool: Pool, k: int, **options) -> np.ndarray:
    """Each sentence with the k best of the others that are no known pairs of it."""
    indices = np.asarray(search(k=k, exclude=pool.excluded(), **options)[1])
    owner, rank = np.nonzero(indices >= 0)
    return pair_of(np.unique(number_of(np.stack([owner, indices[owner, rank]], axis=1))))


def _bm25(pool: Pool, k: int, **_) -> np.ndarray:
    """The k that share the rarest words with each sentence. One that shares none has none."""
    return _neighbours(partial(bm25.BM25Index(pool.sentences).top_k, pool.sentences), pool, k)


def _semantic(pool: Pool, k: int, vectors: Vectors, search: dict, **_) -> np.ndarray:
    """The k nearest of each sentence, by the cosine of their embeddings (N, H)."""
    return _neighbours(partial(top_k, vectors, vectors, **search), pool, k)


def _given(pool: Pool, **_) -> np.ndarray:
    """The pairs as they were given, the first of those that are alike."""
    numbers, first = np.unique(number_of(pool.given), return_index=True)
    return pool.given[np.sort(first[~np.isin(numbers, pool.known)])]


_MAKE = {"random": _random, "bm25": _bm25, "semantic": _semantic, "given": _given}


def sample_pairs(strategy: str, pool: Pool, k: int = 3, count: int | None = None, seed: int = 0, vectors: Vectors | None = None,
           **search) -> SampledPairs:  # fmt: skip
    """The candidates of a strategy, in the order of their numbers; what two sources found is there once. Given pairs keep their
    order, and that of their sentences.

    Args:
        k: neighbours of each sentence.
        count: random pairs; None: k for each sentence.
        vectors: embeddings (N, H) of the pool's sentences, where a source is semantic.
        search: options of `sbert.mining.top_k`.

    Raises:
        InputError: no pair is found.
    """
    sources = STRATEGIES[strategy]
    options = {
        "k": k,
        "count": k * len(pool) if count is None else count,
        "seed": seed,
        "vectors": vectors,
    }
    parts = {name: _MAKE[name](pool, search=search, **options) for name in sources}
    bits = np.concatenate(
        [np.full(len(parts[name]), 1 << SOURCES.index(name), np.uint8) for name in sources]
    )
    if not len(bits):
        raise InputError(
            f"strategy {strategy}: finds no pair among {len(pool):,} sentences that is not known already"
        )
    if len(sources) == 1:
        return SampledPairs(parts[strategy], bits)
    numbers, place = np.unique(
        np.concatenate([number_of(pairs) for pairs in parts.values()]), return_inverse=True
    )
    found = np.zeros(len(numbers), np.uint8)
    np.bitwise_or.at(found, place, bits)
    return SampledPairs(pair_of(numbers), found)


def keep_number(total: int, number: int | None, seed: int) -> np.ndarray:
    """The sorted places of `number` of `total` pairs, all equally likely; of all where they are no more."""
    if number is None or number >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng([seed, 1]).choice(total, number, replace=False))


def score_density(scores: np.ndarray, whose: str) -> gaussian_kde:
    """The Gaussian kernel density of scores (P,), its bandwidth by Scott's rule.

    Raises:
        InputError: all are equal.
    """
    if len(np.unique(scores)) < 2:
        what = (
            f"all {len(scores):,} {whose} scores are {scores[0]:g}"
            if len(scores)
            else f"there are no {whose} scores"
        )
        raise InputError(
            f"strategy kde: {what}, so they have no density to match; use another strategy"
        )
    return gaussian_kde(scores)


def accept_by_density(gold: np.ndarray, silver: np.ndarray, seed: int) -> np.ndarray:
    """(P,) bool: which pairs of the silver scores s (P,) to keep, each with probability min(1, F_gold(s) / F_silver(s))
    (section 3.1, "kernel density estimation"): the scores of those kept are distributed like gold's where silver has enough of
    them, by the lower of the two densities.

    Scores count to three digits: so the densities need computing at a thousand places and not at all.
    """
    gold, silver = np.round(gold.astype(np.float64), 3), np.round(silver.astype(np.float64), 3)
    places, index = np.unique(silver, return_inverse=True)
    ratio = score_density(gold, "gold")(places) / score_density(silver, "silver")(places)
    return np.random.default_rng([seed, 2]).random(len(silver)) < ratio[index]
