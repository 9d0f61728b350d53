"""Dropout that is cheap on a CPU: torch draws one random number an element there, in one thread; four elements can share it."""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """y = x m / (1 - p), each m 0 with probability p and 1 otherwise; the identity in evaluation.

    Compares 16 random bits an element with p, which is thereby rounded to a multiple of 1 / 65536 (in the factor too, so
    that E[y] = x exactly). Draws from torch's generator of the CPU.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p  # attention reads it off the module
        self.dropped = round(p * 65536)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return x
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)  # each of -32768 to 32767 alike
        kept = bits >= self.dropped - 32768
        return x * (kept * (65536 / (65536 - self.dropped))).to(x.dtype)


def replace_dropout(module: nn.Module) -> None:
    """Put `Dropout` in the place of every torch dropout below a module."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Dropout and child.p < 1:
                setattr(parent, name, Dropout(child.p).train(child.training))
