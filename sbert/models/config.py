"""The options of adapters."""

from dataclasses import dataclass
from typing import Literal

from jsonargparse.typing import ClosedUnitInterval, PositiveInt


@dataclass
class LoraConfig:
    """LoRA: each chosen weight matrix W stays as it is, and W + alpha / rank B A is computed, where
    only A (rank, in) and B (out, rank) are trained.

    Args:
        rank: of the updates B A.
        alpha: the updates are multiplied by alpha / rank.
        dropout: of what A is multiplied with, in training.
        target_modules: the linear layers that get an update: names or ends of names, such as
            [query, value]; "all-linear": all of the encoder; null: what peft chooses for the model
            type, or all.
        save: what best/ holds: merged, an ordinary model; adapter, only A and B (of a
            cross-encoder also its head), beside the name of the model that they belong to.
    """

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: ClosedUnitInterval = 0.05
    target_modules: list[str] | Literal["all-linear"] | None = None
    save: Literal["merged", "adapter"] = "merged"
