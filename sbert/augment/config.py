"""The options of `augment.py silver` and `augment.py compare`."""

from dataclasses import dataclass, field
from typing import Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt

from sbert.augment.strategies import STRATEGIES
from sbert.data.config import CollectionConfig, DatasetConfig
from sbert.errors import require
from sbert.mining.config import SearchConfig

Strategy = Literal[tuple(STRATEGIES)]


@dataclass(kw_only=True)
class LabellingConfig:
    """Which pairs the cross-encoder labels, and how.

    Args:
        unlabelled: pairs of another domain. Their sentences are paired instead of gold's; strategy
            given labels the pairs themselves. Their labels are not read.
        texts: a collection of texts of another domain, paired instead of gold's sentences.
        sides: pair the sentences of both columns, or only of the first or the second.
        k: neighbours of each sentence for bm25 and semantic.
        number: maximum number of pairs of a strategy, drawn at random; null: k random pairs for
            each sentence, and all pairs of the other strategies.
        pool: for kde, the number of random pairs to label besides the semantic ones; null: k for
            each sentence.
        symmetric: label with the mean of the logits of both orders of a pair.
    """

    unlabelled: DatasetConfig | None = None
    texts: CollectionConfig | None = None
    sides: Literal["both", "first", "second"] = "both"
    k: PositiveInt = 3
    number: PositiveInt | None = None
    pool: PositiveInt | None = None
    symmetric: bool = True

    def __post_init__(self):
        require(
            not self.unlabelled or not self.texts,
            "unlabelled and texts are both given; the sentences are those of one",
        )


@dataclass(kw_only=True)
class SilverConfig(LabellingConfig, SearchConfig):
    """Silver data: pairs of sentences, each with the score that a cross-encoder gives it.

    A row has sentence1, sentence2, score, strategy and teacher, a hash of the cross-encoder's
    weights; train.py reads it as sts. No row pairs a sentence with itself, is a gold pair, or
    occurs twice in either order; sentences that differ in case and spaces alone are equal. The
    model is for semantic search.

    Args:
        teacher: the folder of the cross-encoder, with one label and a sigmoid.
        teacher_language: label a pair by its translation in this language. The path of gold, or of
            unlabelled, has {language}, as in stsb_multi_mt/{language}: line by line its files are
            translations of each other. A sentence of several rows has the translation of the first.
        strategy: random; bm25; semantic; bm25_semantic, both; kde, those random and semantic pairs
            whose scores are distributed like gold's; given, the pairs of `unlabelled` as they are.
        gold: labelled pairs (task sts or binary). Their sentences are paired, and the silver scores
            are compared with theirs.
        held_out: datasets whose texts are not paired: a sentence that one of them has is left out
            and counted. Case, punctuation and spaces make no difference.
        seed: of all random draws.
    """

    teacher: str
    teacher_language: str | None = None
    strategy: Strategy = "semantic"
    gold: list[DatasetConfig] = field(default_factory=list)
    held_out: list[DatasetConfig] = field(default_factory=list)
    seed: NonNegativeInt = 0

    @property
    def encodes(self) -> bool:
        return True  # the teacher does

    def __post_init__(self):
        LabellingConfig.__post_init__(self)
        SearchConfig.__post_init__(self)
        strategy = self.strategy
        require(
            self.model or "semantic" not in STRATEGIES[strategy],
            f"model: strategy {strategy} needs the bi-encoder that finds the neighbours",
        )
        require(
            self.gold or self.unlabelled or self.texts,
            "gold: name the data whose sentences are paired, or set unlabelled or texts",
        )
        require(self.gold or strategy != "kde", "strategy kde needs gold, whose scores are matched")
        require(
            self.unlabelled or strategy != "given",
            "strategy given needs unlabelled, whose pairs are labelled",
        )
        require(
            strategy == "kde" or not self.pool,
            f"pool is for strategy kde; of {strategy} pairs, number is how many are kept",
        )


@dataclass(kw_only=True)
class CompareConfig:
    """Compare silver with gold: score distributions and their divergence, strategies, examples.

    Args:
        gold: labelled pairs.
        silver: a file written by augment.py silver.
    """

    gold: DatasetConfig
    silver: str
