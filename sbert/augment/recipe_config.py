"""The options of `augment.py recipe`."""

from dataclasses import dataclass, field
from typing import Any, Literal

from jsonargparse.typing import OpenUnitInterval

from sbert.atomic import check_run_name
from sbert.augment.config import LabellingConfig, Strategy
from sbert.augment.strategies import STRATEGIES
from sbert.data.config import DatasetConfig
from sbert.errors import require
from sbert.losses.base import Loss
from sbert.training.config import LoopConfig, ModelConfig, OptimConfig, Seed, SeedsConfig


@dataclass
class LearnerConfig:
    """How an encoder is trained. The options are those of train.py.

    Args:
        model: the encoder to start from.
        loss: a class by name, with its options.
        optim: optimisation.
        loop: the training loop; the recipe sets its seed.
        seed_optimisation: start with several seeds and continue with the best.
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
        language: train on, evaluate on and label the translations in this language; null: the
            texts themselves. The paths of all datasets have {language}, as in
            stsb_multi_mt/{language}.
    """

    both_orders: bool = True
    language: str | None = None


@dataclass(kw_only=True)
class SilverOptions(LabellingConfig):
    """Which pairs the teacher labels. All options but strategies are those of augment.py silver.

    Args:
        strategies: random, bm25, semantic, bm25_semantic, kde, given; each is a row of the table.
            Semantic search uses the bi-encoder trained on gold.
    """

    strategies: list[Strategy]

    def __post_init__(self):
        super().__post_init__()
        require(
            self.unlabelled or "given" not in self.strategies,
            "silver.strategies: given labels the pairs of silver.unlabelled; set that too",
        )
        require(
            self.strategies and len(set(self.strategies)) == len(self.strategies),
            f"silver.strategies: [{', '.join(self.strategies)}]; list one or more of "
            f"{', '.join(STRATEGIES)}, each once",
        )


@dataclass
class AugmentedConfig:
    """How the bi-encoder is trained on gold and silver, where that differs from gold alone.

    Args:
        start: base, from the encoder that the bi-encoder starts from; gold, from the one trained on
            gold.
        share: the share of silver in an epoch, which has as many rows as both; null: use every row
            once. With a target there is silver alone, and no share.
        set: options that override those of bi_encoder, dotted: {optim.epochs: 1}.
    """

    start: Literal["base", "gold"] = "base"
    share: OpenUnitInterval | None = None
    set: dict[str, Any] = field(default_factory=dict)


@dataclass
class TargetConfig:
    """Domain adaptation: silver.unlabelled or silver.texts are of another domain, and the last
    bi-encoder is trained on their silver alone.

    Args:
        test: labelled pairs of the target domain, only evaluated on.
        dev: labelled pairs that choose the best step of the last bi-encoder; without any, its last
            step is used.
    """

    test: list[DatasetConfig]
    dev: list[DatasetConfig] = field(default_factory=list)


@dataclass
class RecipeConfig:
    """Augmented SBERT (arXiv 2010.08240): a bi-encoder on gold, a cross-encoder on gold, silver
    that it labels, a bi-encoder on gold and silver; for several strategies, seeds and sizes of
    gold, with a table of the results.

    Args:
        name: the recipe's folder below runs.
        gold: the labelled pairs.
        dev: labelled pairs that choose the best step of each training and the best row of the
            table.
        test: labelled pairs that are only evaluated on.
        held_out: datasets whose texts no stage trains on or labels, such as dev and test: rows of
            gold that have one of them, and sentences of silver that are one, are left out and
            counted. Case, punctuation and spaces make no difference.
        bi_encoder: how it is trained on gold.
        teacher: how the cross-encoder is trained.
        silver: which pairs it labels.
        augmented: how the bi-encoder is trained on gold and silver.
        control: train it on gold once more with these options, dotted, such as {optim.epochs: 20}
            for as many steps as gold and silver take in 10 epochs: the row control of the table. It
            tells what more steps bring from what silver brings.
        target: domain adaptation.
        sizes: limits of gold, each with a table of its own; null for all of gold.
        seeds: the whole recipe is run once with each.
        one_teacher: use the teacher of the first seed and its silver for the bi-encoders of all
            seeds. This is faster, but the deviation then leaves out the teacher's.
        metrics: the metrics in the table, such as [pearson, spearman]; null: the main metric of
            each dataset. Dev always chooses by the main metric.
        published: the paper's results x 100, of the first of the metrics, by dataset and row:
            {stsb-test: {gold: 83.6}}. A row is untuned, gold, cross-encoder, or a strategy.
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
    control: dict[str, Any] = field(default_factory=dict)
    held_out: list[DatasetConfig] = field(default_factory=list)
    target: TargetConfig | None = None
    sizes: list[int | float | None] = field(default_factory=list)
    seeds: list[Seed] = field(default_factory=lambda: [1])
    one_teacher: bool = False
    metrics: list[str] | None = None
    published: dict[str, dict[str, float]] = field(default_factory=dict)
    runs: str = "runs/augsbert"

    def __post_init__(self):
        check_run_name(self.name)
        require(self.gold, "gold: is empty; a recipe needs labelled pairs to train on")
        require(self.dev, "dev: is empty; a recipe needs labelled pairs to choose by")
        require(self.seeds, "seeds: is empty; list one or more")
        for name, values in (("seeds", self.seeds), ("sizes", self.sizes)):
            once = len(set(values)) == len(values)
            require(once, f"{name}: {values} has a value twice; list each once")
        require(
            not self.target or self.target.test,
            "target.test: is empty; name labelled pairs of the target domain",
        )
        require(
            not self.target or self.silver.unlabelled or self.silver.texts,
            "target: set silver.unlabelled to its pairs, or silver.texts to its sentences",
        )
        require(
            not self.target or self.augmented.share is None,
            "augmented.share: with a target there is silver alone; leave share out",
        )
