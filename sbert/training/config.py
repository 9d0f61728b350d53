"""The options of `train.py`: the model, the data, the loss, the optimiser, the loop."""

from dataclasses import dataclass, field
from typing import Literal

from sbert.data.config import DatasetConfig
from sbert.device import Precision
from sbert.errors import InputError
from sbert.losses import Loss


@dataclass
class ModelConfig:
    """The encoder to start from.

    Args:
        path: a folder (also another run's best/), or a name on the model hub.
        pooling: cls, mean, max, mean_sqrt_len, weighted_mean, last_token, or a list of them; null: as saved, else mean.
        layer: the hidden layer that is pooled: -1 the last, -2 the second to last.
        max_length: tokens that a text (of a cross-encoder: a pair) keeps; null: as saved.
        new_head: of a cross-encoder: start its last layer afresh, though the folder has one.
    """

    path: str
    pooling: str | list[str] | None = None
    layer: int = -1
    max_length: int | None = None
    new_head: bool = False


@dataclass
class DataConfig:
    """The datasets.

    Args:
        train: trained on, mixed, or in proportion to their weights.
        dev: evaluated while training; the mean of their main metrics chooses the best model.
        test: evaluated with the model of the start and the best one, and used for nothing else.
        both_orders: train on every pair in both orders; for scores that do not depend on the order.
    """

    train: list[DatasetConfig]
    dev: list[DatasetConfig] = field(default_factory=list)
    test: list[DatasetConfig] = field(default_factory=list)
    both_orders: bool = False


@dataclass
class OptimConfig:
    """Optimisation: AdamW and a learning rate that warms up and decays.

    Args:
        lr: the highest learning rate.
        batch_size: rows per update, over all processes and parts: the result does not depend on their number.
        accumulate: parts in which every process computes its share of a batch, to save memory.
        epochs: passes over the data; may be a fraction.
        steps: updates, in place of epochs: the same training for data of any size.
        warmup: rising steps at the start, as a share of all steps (below 1) or as their number.
        schedule: after the warm-up: linear or cosine to 0, or constant.
        weight_decay: on weight matrices; never on biases, LayerNorm and scalars.
        betas: AdamW's.
        eps: AdamW's.
        max_grad_norm: the gradient is scaled down to this Euclidean norm; 0 for never.
    """

    lr: float = 2e-5
    batch_size: int = 16
    accumulate: int = 1
    epochs: float = 1
    steps: int | None = None
    warmup: float = 0.1
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    max_grad_norm: float = 1.0

    def __post_init__(self):
        for name in ("lr", "batch_size", "accumulate", "epochs", "steps"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"optim.{name} is {value}; it must be above 0")


@dataclass
class LoopConfig:
    """How the loop runs.

    Args:
        seed: of the loss head, dropout and the order of rows.
        precision: of products: auto is bf16 where the hardware multiplies it natively, else fp32.
        compile: torch.compile the transformer; pays off on long runs.
        group_by_length: batches of rows of like length (less padding).
        evaluate_epochs: evaluate on dev after every so many epochs, for example 0.25.
        evaluate_steps: evaluate every so many steps instead.
        save_steps: write last/ every so many steps, besides at every evaluation.
        patience: stop after so many evaluations in a row without a new best; null for never.
        log_steps: steps between two points of the training curves.
    """

    seed: int = 42
    precision: Precision = "auto"
    compile: bool = False
    group_by_length: bool = True
    evaluate_epochs: float = 1.0
    evaluate_steps: int | None = None
    save_steps: int | None = None
    patience: int | None = None
    log_steps: int = 10

    def __post_init__(self):
        for name in ("evaluate_epochs", "evaluate_steps", "save_steps", "patience", "log_steps"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"loop.{name} is {value}; it must be above 0")


STRIDE = 1000  # between the seeds of a run, so that runs of seeds 1, 2, 3, ... try different ones


@dataclass
class SeedsConfig:
    """Seed optimisation: begin with several seeds, go on with the best on dev.

    Args:
        seeds: how many: loop.seed, loop.seed + 1000, loop.seed + 2000 and so on; 1 for none but loop.seed.
        share: of the steps, after which they are compared.
    """

    seeds: int = 1
    share: float = 0.2

    def __post_init__(self):
        if self.seeds < 1:
            raise InputError(f"seed_optimisation.seeds is {self.seeds}; it must be 1 or more")
        if not 0 < self.share < 1:
            raise InputError(
                f"seed_optimisation.share is {self.share}; it must lie between 0 and 1"
            )

    def candidates(self, first: int) -> list[int]:
        return [first + STRIDE * k for k in range(self.seeds)]

    def stop(self, total: int) -> int:
        """The step, of so many, after which the seeds are compared."""
        return max(1, round(self.share * total))


@dataclass
class TrainConfig:
    """One training run of a bi-encoder or a cross-encoder; the loss says of which.

    Args:
        name: the run's folder below runs.
        model: the encoder to start from.
        data: the datasets.
        loss: a class by name, with its options: of sbert.losses or sbert.ranking_losses for a bi-encoder, of
            sbert.cross_losses for a cross-encoder.
        optim: optimisation.
        loop: the training loop.
        seed_optimisation: begin with several seeds, and go on with the best.
        runs: the folder of all runs.
    """

    name: str
    model: ModelConfig
    data: DataConfig
    loss: Loss
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    seed_optimisation: SeedsConfig = field(default_factory=SeedsConfig)
    runs: str = "runs"
