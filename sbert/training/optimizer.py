"""AdamW, the weights that decay, gradient clipping, and the learning rate of every step."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from sbert.training.config import OptimConfig


def lr_factor(step: int, total: int, optim: OptimConfig) -> float:
    """The learning rate of update `step`, the first being 0, of `total`, as a share of `optim.lr`.

    A pure function of the step, so that there is no scheduler state to save.
    """
    warmup = round(optim.warmup * total) if optim.warmup < 1 else round(optim.warmup)
    if step < warmup:
        return step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    decayed = {
        "linear": 1 - progress,
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        "constant": 1.0,
    }
    return decayed[optim.schedule]


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scale all gradients by min(1, limit / norm) and return their joint Euclidean norm.

    limit: 0 for no limit.
    """
    parameters = [p for p in parameters if p.grad is not None]
    norm = get_total_norm([p.grad for p in parameters])
    # scaling by 1 is a pass over all gradients; only on a CPU can the norm be read without waiting
    if limit and (norm.device.type != "cpu" or norm > limit):
        clip_grads_with_norm_(parameters, limit, norm)
    return norm


def make_optimizer(
    module: nn.Module, optim: OptimConfig, device: torch.device
) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only, fused where torch supports it."""
    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": optim.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=optim.lr, betas=optim.betas, eps=optim.eps, fused=fused)
