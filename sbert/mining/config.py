"""The options of the tasks of `mine.py`."""

from dataclasses import dataclass, field
from typing import Literal

from sbert.data.config import DatasetConfig, Source
from sbert.device import Precision
from sbert.errors import InputError
from sbert.mining.exact import Metric


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


@dataclass(kw_only=True)
class MineConfig:
    """What all tasks have in common.

    Args:
        output: the file to write: .jsonl or .tsv.
        model: the bi-encoder that embeds texts: a folder or a name on the model hub; not needed for embeddings alone.
        pooling: as for training.
        layer: as for training.
        max_length: as for training.
        precision: of the transformer and of the fast pass of a search, whose results do not depend on it: auto is bf16 where the
            hardware multiplies it natively.
    """

    output: str
    model: str | None = None
    pooling: str | list[str] | None = None
    layer: int = -1
    max_length: int | None = None
    precision: Precision = "auto"

    endings = (".jsonl", ".tsv")


@dataclass(kw_only=True)
class EmbedConfig(MineConfig):
    """Texts to a .npy file of embeddings (N, H), float32, in bounded memory.

    Args:
        texts: what to embed.
    """

    texts: Source

    endings = (".npy",)


@dataclass(kw_only=True)
class NeighboursConfig(MineConfig):
    """The nearest texts of each query: semantic search.

    Args:
        corpus: what is searched.
        queries: what is searched for; null: the corpus itself, where no text is its own neighbour.
        k: neighbours of a query.
        metric: cosine or dot.
    """

    corpus: Source
    queries: Source | None = None
    k: int = 10
    metric: Metric = "cosine"


@dataclass(kw_only=True)
class PairsConfig(MineConfig):
    """The most similar pairs of a collection, best first: paraphrases and duplicates.

    Args:
        texts: the collection.
        threshold: the least cosine; null for any.
        limit: at most so many pairs, the best; bounds the memory too.
    """

    texts: Source
    threshold: float | None = None
    limit: int = 500_000


@dataclass(kw_only=True)
class ClustersConfig(MineConfig):
    """Communities: groups of texts around a centre that all of them resemble; largest first, no text in two.

    Args:
        texts: the collection.
        threshold: the least cosine to the centre.
        min_community_size: the least number of texts of a community.
    """

    texts: Source
    threshold: float = 0.75
    min_community_size: int = 10


@dataclass(kw_only=True)
class NegativesTaskConfig(MineConfig):
    """Hard negatives of (query, positive) rows: texts of a corpus that are near a query and are none of its positives.

    A .jsonl output has a row for each positive of a query, with the list of its negatives, their scores and their margins below
    the positive; a .tsv output has a row for each negative. Both are read by train.py as triplets.

    Args:
        data: rows of task pair, triplet (whose own negatives are not read) or binary (those with label 1), or a retrieval
            folder, whose corpus is searched.
        corpus: what is searched for rows; null: all their positives.
        negatives: which of the nearest texts are taken.
        cross_encoder: a model that scores the candidates and the positives again; all filters then read its scores, from 0 to 1.
        embeddings: a .npy file: those of the corpus, read if it is there, otherwise made and kept.
    """

    data: DatasetConfig
    corpus: Source | None = None
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    cross_encoder: str | None = None
    embeddings: str | None = None


@dataclass(kw_only=True)
class RankConfig:
    """Texts ranked for one query by a cross-encoder, best first.

    Args:
        model: the cross-encoder: a run's best/, any folder with one, or a name on the model hub.
        query: the text to rank for.
        documents: the candidates.
        top_k: how many to show.
        precision: of the transformer's products.
    """

    model: str
    query: str
    documents: Source
    top_k: int = 10
    precision: Precision = "auto"
