"""Typed configuration of a recipe: what `python augment.py recipe` reads."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sbert.augment.strategies import STRATEGIES
from sbert.data.config import DatasetConfig, Source
from sbert.errors import InputError
from sbert.losses.base import Loss
from sbert.mining.config import MineConfig
from sbert.training.config import LoopConfig, ModelConfig, OptimConfig, SeedsConfig


@dataclass(kw_only=True)
class SilverConfig(MineConfig):
    """Silver data: pairs of the gold data's sentences, or of others, each with the score that a cross-encoder gives it.

    A row has sentence1, sentence2, score, strategy and teacher, a hash of the cross-encoder's weights; train.py reads it as sts.
    No row is a self pair, a gold pair or the same pair twice, in either order; sentences that differ in case and spaces alone
    are one. The model is for semantic search.

    Args:
        teacher: the folder of the cross-encoder: of one label, with a sigmoid.
        strategy: random; bm25; semantic; bm25_semantic, both; kde, of random and semantic pairs so many of each score that the
            scores are distributed like gold's; given, the pairs of `unlabelled` as they are.
        gold: labelled pairs (task sts or binary): their sentences are paired anew, and their scores are what silver's are
            compared with.
        unlabelled: pairs of another domain, whose sentences are paired instead of gold's; their labels are not used.
        texts: a collection of texts of another domain, which are paired instead of gold's.
        sides: pair the sentences of both columns, or those of the first or of the second alone.
        k: neighbours of a sentence by bm25 and semantic.
        number: keep at most so many pairs, drawn by the seed; null: all that are found, of random k a sentence.
        pool: of kde: label so many random pairs beside the semantic ones; null: k a sentence.
        seed: of all draws.
        symmetric: label by the mean of the logits of both orders of a pair.
    """

    teacher: str
    strategy: Literal["random", "bm25", "semantic", "bm25_semantic", "kde", "given"] = "semantic"
    gold: list[DatasetConfig] = field(default_factory=list)
    unlabelled: DatasetConfig | None = None
    texts: Source | None = None
    sides: Literal["both", "first", "second"] = "both"
    k: int = 3
    number: int | None = None
    pool: int | None = None
    seed: int = 0
    symmetric: bool = True

    @property
    def searches(self) -> bool:
        return "semantic" in STRATEGIES[self.strategy]


@dataclass(kw_only=True)
class CompareConfig:
    """Compare silver data with gold: distributions of scores, their divergence, strategies, examples.

    Args:
        gold: labelled pairs.
        silver: what augment.py silver wrote.
    """

    gold: DatasetConfig
    silver: str


Strategy = Literal["random", "bm25", "semantic", "bm25_semantic", "kde", "given"]

UNTUNED, GOLD, TEACHER = (
    "untuned",
    "gold",
    "cross-encoder",
)  # rows of the table, beside the strategies


@dataclass
class LearnerConfig:
    """How an encoder is trained. Every option is one of train.py.

    Args:
        model: the encoder to start from.
        loss: a class by name, with its options.
        optim: optimisation.
        loop: the training loop; its seed is the recipe's to choose.
        seed_optimisation: begin with several seeds, and go on with the best.
    """

    model: ModelConfig
    loss: Loss
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    seed_optimisation: SeedsConfig = field(default_factory=SeedsConfig)


@dataclass
class TeacherConfig(LearnerConfig):
    """How the cross-encoder is trained.

    Args:
        both_orders: train on every pair in both orders.
    """

    both_orders: bool = True


@dataclass
class SilverOptions:
    """Which pairs the teacher labels; every option but the first is one of augment.py silver.

    Args:
        strategies: a row of the table for each: random, bm25, semantic, bm25_semantic, kde, given. The semantic ones search by
            the bi-encoder that was trained on gold.
        k: neighbours of a sentence by bm25 and semantic.
        unlabelled: pairs whose sentences are paired anew instead of gold's, or which are labelled as they are (given).
        texts: a collection of texts that are paired instead of gold's.
        number: at most so many pairs of each strategy: their common budget; null: all that are found.
        pool: of kde: label so many random pairs beside the semantic ones.
        sides: pair the sentences of both columns, or those of the first or of the second alone.
        symmetric: label by the mean of the logits of both orders of a pair.
    """

    strategies: list[Strategy]
    unlabelled: DatasetConfig | None = None
    texts: Source | None = None
    k: int = 3
    number: int | None = None
    pool: int | None = None
    sides: Literal["both", "first", "second"] = "both"
    symmetric: bool = True

    def __post_init__(self):
        for name in ("k", "number", "pool"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"silver.{name} is {value}; it must be 1 or more")
        if self.unlabelled and self.texts:
            raise InputError(
                "silver: unlabelled and texts are both given; the sentences are those of one"
            )
        if "given" in self.strategies and not self.unlabelled:
            raise InputError(
                "silver.strategies: given labels the pairs of silver.unlabelled, and there are none"
            )
        if not self.strategies or len(set(self.strategies)) < len(self.strategies):
            raise InputError(
                f"silver.strategies: [{', '.join(self.strategies)}]; name some of {', '.join(STRATEGIES)}, each once"
            )


@dataclass
class AugmentedConfig:
    """How the bi-encoder is trained on gold and silver, where it differs from the one on gold alone.

    Args:
        start: base, from the encoder that the bi-encoder starts from; gold, going on from the one that was trained on gold.
        share: of silver in an epoch, of as many rows as both have; null: every row once.
        set: options over those of bi_encoder, dotted: {optim.epochs: 1}.
    """

    start: Literal["base", "gold"] = "base"
    share: float | None = None
    set: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.share is not None and not 0 < self.share < 1:
            raise InputError(f"augmented.share is {self.share}; it must lie between 0 and 1")


@dataclass
class TargetConfig:
    """Domain adaptation: silver.unlabelled or silver.texts are of another domain, and the last bi-encoder is trained on their
    silver alone.

    Args:
        dev: labelled pairs to choose the last bi-encoder's best step by; without any, its last step is taken.
        test: labelled pairs of the target; they choose nothing.
    """

    test: list[DatasetConfig]
    dev: list[DatasetConfig] = field(default_factory=list)


@dataclass
class RecipeConfig:
    """Augmented SBERT (arXiv 2010.08240): a bi-encoder on gold, a cross-encoder on gold, silver that it labels, a bi-encoder on
    gold and silver; for several strategies, seeds and sizes of gold, with a table of all.

    Args:
        name: the recipe's folder below runs.
        gold: the labelled pairs.
        dev: labelled pairs that choose the best step of each training, and the best row of the table.
        test: labelled pairs that choose nothing.
        bi_encoder: how it is trained on gold.
        teacher: how the cross-encoder is trained.
        silver: which pairs it labels.
        augmented: how the bi-encoder is trained on gold and silver.
        target: domain adaptation.
        sizes: limits of gold: a table for each; null for all of it.
        seeds: of everything: the recipe is done once with each.
        one_teacher: of the first seed alone, with its silver, for the bi-encoders of all seeds: sooner, but the deviation says
            nothing of the teacher.
        metric: what the table shows, as pearson; null: the main metric of each dataset. Dev chooses by the main one.
        published: figures of the paper by row, x 100: untuned, gold, cross-encoder, or a strategy.
        runs: the folder of all recipes.
    """

    name: str
    gold: list[DatasetConfig]
    dev: list[DatasetConfig]
    test: list[DatasetConfig]
    bi_encoder: LearnerConfig
    teacher: TeacherConfig
    silver: SilverOptions
    augmented: AugmentedConfig = field(default_factory=AugmentedConfig)
    target: TargetConfig | None = None
    sizes: list[int | float | None] = field(default_factory=list)
    seeds: list[int] = field(default_factory=lambda: [1])
    one_teacher: bool = False
    metric: str | None = None
    published: dict[str, float] = field(default_factory=dict)
    runs: str = "runs/augsbert"

    def __post_init__(self):
        for name in ("gold", "dev"):
            if not getattr(self, name):
                raise InputError(
                    f"{name}: is empty; a recipe needs labelled pairs to train on, and others to choose by"
                )
        for name in ("seeds", "sizes"):
            values = getattr(self, name)
            if len(set(values)) < len(values) or (name == "seeds" and not values):
                raise InputError(f"{name}: {values}; name some, each once")
        if self.target and not self.target.test:
            raise InputError(
                "target.test: is empty; name labelled pairs of the target to evaluate on"
            )
        if self.target and not (self.silver.unlabelled or self.silver.texts):
            raise InputError(
                "target: name its pairs as silver.unlabelled, or its sentences as silver.texts"
            )
        rows = [UNTUNED, GOLD, TEACHER, *STRATEGIES]  # all strategies: a part of them may be chosen
        for row in self.published.keys() - set(rows):
            raise InputError(
                f"published: '{row}' is no row of the table; the rows are {', '.join(rows)}"
            )
