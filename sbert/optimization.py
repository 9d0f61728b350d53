"""Optimisation: AdamW, which weights decay, and the learning rate as a function of the step."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from sbert.errors import InputError


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


def rate(step: int, total: int, optim: OptimConfig) -> float:
    """The learning rate of update `step` (0 for the first) of `total`, as a share of `optim.lr`.

    A pure function of the step: there is no scheduler whose state could be lost.
    """
    warmup = round(optim.warmup * total) if optim.warmup < 1 else round(optim.warmup)
    if step < warmup:
        return step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    shapes = {"linear": 1 - progress, "cosine": 0.5 * (1 + math.cos(math.pi * progress)), "constant": 1.0}
    return shapes[optim.schedule]


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scale all gradients by min(1, limit / norm), norm their common Euclidean norm, and return it. 0: no limit."""
    parameters = [p for p in parameters if p.grad is not None]
    norm = get_total_norm([p.grad for p in parameters])
    # scaling by 1 is a pass over all gradients; only a CPU can look at the norm without waiting for the device
    if limit and (norm.device.type != "cpu" or norm > limit):
        clip_grads_with_norm_(parameters, limit, norm)
    return norm


def make_optimizer(module: nn.Module, optim: OptimConfig, device: torch.device) -> torch.optim.AdamW:
    """AdamW with decay on matrices only, fused where torch has it."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": optim.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=optim.lr, betas=optim.betas, eps=optim.eps, fused=fused)
