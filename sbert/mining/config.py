"""The options of the tasks of `mine.py`."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt

from sbert.data.config import CollectionConfig, DatasetConfig
from sbert.device import InferencePrecision, Precision
from sbert.errors import require
from sbert.mining.search.distances import Similarity
from sbert.quantised import Store


def check_threshold(threshold: float | None) -> None:
    require(
        threshold is None or -1 <= threshold <= 1,
        f"threshold is {threshold}; a cosine lies from -1 to 1",
    )


@dataclass
class NegativesConfig:
    """Which of a query's nearest texts, without its positives, become its negatives.

    Args:
        num_negatives: the number of negatives of each query.
        range_min: skip this many of the nearest texts, which are often positives without a label.
        range_max: consider texts up to this rank; null: range_min + num_negatives, or range_min +
            10 num_negatives where a filter may drop some or sampling is random.
        max_score: drop candidates with a higher score.
        min_score: drop candidates with a lower score.
        absolute_margin: drop candidates that score more than the positive's score minus this.
        relative_margin: drop candidates that score more than the positive's score minus this
            fraction of it. Of several positives the lowest score counts.
        sampling: top: the best-scored candidates that are left; random: any of them.
        seed: of random sampling.
    """

    num_negatives: PositiveInt = 3
    range_min: NonNegativeInt = 0
    range_max: int | None = None
    max_score: float | None = None
    min_score: float | None = None
    absolute_margin: float | None = None
    relative_margin: float | None = None
    sampling: Literal["top", "random"] = "top"
    seed: NonNegativeInt = 0

    def __post_init__(self):
        least = self.range_min + self.num_negatives
        require(
            self.range_max is None or self.range_max >= least,
            f"range_max is {self.range_max}: ranks {self.range_min} to {self.range_max} hold "
            f"no {self.num_negatives} negatives; use at least {least}",
        )

    @property
    def depth(self) -> int:
        """The number of nearest texts that are considered."""
        limits = (self.max_score, self.min_score, self.absolute_margin, self.relative_margin)
        filtered = any(limit is not None for limit in limits)
        factor = 10 if filtered or self.sampling == "random" else 1
        return self.range_max or self.range_min + factor * self.num_negatives


@dataclass(kw_only=True)
class MineConfig:
    """The options that all tasks have in common.

    Args:
        output: the file to write: .jsonl or .tsv.
        model: the bi-encoder that embeds the texts: a folder, or a name on the model hub. Not
            needed if all inputs are embeddings.
        pooling: as in training.
        layer: as in training.
        max_length: as in training.
        precision: of the transformer and of the fast pass of a search, whose results do not depend
            on it. auto is bf16 where the hardware multiplies it natively, fp16 on older CUDA
            devices, fp32 elsewhere; int8_dynamic, of the transformer alone, is for CPUs with
            AVX512-VNNI and without bf16, at some loss. Kept embeddings have to be of it.
        prompts: texts that are put before others, by name, such as {query: "query: "}; null: those
            that the model declares.
        default_prompt_name: the prompt of texts that are neither queries nor what they search;
            null: the one that the model declares, if any.
        truncate_dim: the first numbers of each embedding that are kept; null: as the model
            declares.
    """

    output: str
    model: str | None = None
    pooling: str | list[str] | None = None
    layer: int = -1
    max_length: int | None = None
    precision: InferencePrecision = "auto"
    prompts: dict[str, str] | None = None
    default_prompt_name: str | None = None
    truncate_dim: PositiveInt | None = None

    extensions: ClassVar[tuple[str, ...]] = (".jsonl", ".tsv")  # that output may have

    @property
    def search_precision(self) -> Precision:
        """What of `precision` a search has."""
        return "auto" if self.precision == "int8_dynamic" else self.precision

    @property
    def encodes(self) -> bool:
        """Whether a transformer is named, of which `precision` can be."""
        return self.model is not None

    def __post_init__(self):
        require(
            self.encodes or self.precision != "int8_dynamic",
            "precision int8_dynamic: is for the model that embeds, and a search has none; name the "
            "model, or leave precision out",
        )
        for option in ("prompts", "default_prompt_name", "truncate_dim"):
            require(
                self.model is not None or getattr(self, option) is None,
                f"{option}: is for the model that embeds; name the model, or leave {option} out",
            )


@dataclass(kw_only=True)
class SearchConfig(MineConfig):
    """The options of the tasks that search nearest texts.

    Args:
        similarity: cosine; dot; or a negative distance, euclidean or manhattan. null: the one that
            the model declares; without a model cosine.
    """

    similarity: Similarity | None = None


@dataclass(kw_only=True)
class EmbedConfig(MineConfig):
    """Embed texts: a .npy file (N, H) of float32, or a .safetensors file of int8 or binary vectors,
    written in bounded memory.

    Args:
        texts: what to embed. For int8 and binary it may be a .npy file of embeddings, and
            texts.embeddings a file where the float32 embeddings are kept.
        store: float32; int8, a quarter of the size; or binary, a 32nd of it. Searches of the last
            two are approximate.
        similarity: what int8 and binary vectors will be searched by, cosine or dot. null: the one
            that the model declares; without a model cosine.
    """

    texts: CollectionConfig
    store: Store = "float32"
    similarity: Similarity | None = None

    def __post_init__(self):
        super().__post_init__()
        require(
            self.store != "float32" or self.similarity is None,
            "similarity: is for int8 and binary vectors; float32 ones serve all, leave it out",
        )

    @property
    def extensions(self) -> tuple[str, ...]:
        return (".npy",) if self.store == "float32" else (".safetensors",)


@dataclass(kw_only=True)
class NeighboursConfig(SearchConfig):
    """Find the nearest texts of each query: semantic search.

    Args:
        corpus: the texts to search.
        queries: the texts to search for; null: the corpus itself, where no text is its own
            neighbour.
        k: neighbours of each query.
        rescore: for a corpus of int8 or binary vectors: candidates for each neighbour, which are
            scored again.
        rescore_embeddings: for such a corpus: the .npy file of its float32 embeddings, by which the
            candidates are scored; of it only their rows are read. null: by the vectors themselves.
    """

    corpus: CollectionConfig
    queries: CollectionConfig | None = None
    k: PositiveInt = 10
    rescore: PositiveInt = 4
    rescore_embeddings: str | None = None


@dataclass(kw_only=True)
class PairsConfig(MineConfig):
    """Find the most similar pairs of a collection, best first: paraphrases and duplicates.

    Args:
        texts: the collection.
        threshold: the lowest cosine; null for any.
        limit: the largest number of pairs, the best ones; it bounds the memory too.
        distinct: pair each distinct text once; false: exact duplicates are pairs of cosine 1.
    """

    texts: CollectionConfig
    threshold: float | None = None
    limit: PositiveInt = 500_000
    distinct: bool = False

    def __post_init__(self):
        super().__post_init__()
        check_threshold(self.threshold)


@dataclass(kw_only=True)
class ClustersConfig(MineConfig):
    """Find communities: groups of texts that are all similar to a centre; largest first, no text in
    two groups.

    Args:
        texts: the collection.
        threshold: the lowest cosine to the centre.
        min_community_size: the smallest number of texts of a community.
    """

    texts: CollectionConfig
    threshold: float = 0.75
    min_community_size: PositiveInt = 10

    def __post_init__(self):
        super().__post_init__()
        check_threshold(self.threshold)


@dataclass(kw_only=True)
class NegativesTaskConfig(SearchConfig):
    """Mine hard negatives of (query, positive) rows: texts of a corpus that are near a query and
    are not among its positives.

    A .jsonl output has a row for each positive of a query, with the list of its negatives, their
    scores and their margins below the positive; a .tsv output has a row for each negative. train.py
    reads both as triplets.

    Args:
        data: rows of task pair, triplet (whose own negatives are not read) or binary (those with
            label 1), or a retrieval folder, whose corpus is searched.
        corpus: the texts to search, for rows; null: all their positives.
        negatives: which of the nearest texts are taken.
        cross_encoder: a model that scores the candidates and the positives again; all filters then
            read its scores, from 0 to 1.
        embeddings: a .npy file with the embeddings of the corpus; written if it does not exist.
    """

    data: DatasetConfig
    corpus: CollectionConfig | None = None
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    cross_encoder: str | None = None
    embeddings: str | None = None


@dataclass(kw_only=True)
class RankConfig:
    """Rank texts for one query by a cross-encoder, best first.

    Args:
        model: the cross-encoder: the best/ of a run, another folder, or a name on the model hub.
        query: the text to rank for.
        documents: the candidates.
        top_k: how many to show.
        precision: of the transformer.
    """

    model: str
    query: str
    documents: CollectionConfig
    top_k: int = 10
    precision: InferencePrecision = "auto"
