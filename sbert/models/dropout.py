"""Dropout for training on a CPU, where drawing random numbers is a large part of its cost.

torch draws one random number an element, in one thread; here four elements share one.
"""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """y = x m / (1 - p), each m 0 with probability p and 1 otherwise; the identity in evaluation.

    Compares 16 random bits an element with p, which thereby is rounded to a multiple of 1 / 65536.
    The factor uses the rounded p, so that E[y] = x exactly. Draws from torch's CPU generator.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p  # attention reads it off the module
        self.dropped = round(p * 65536)  # of 65536 values of 16 bits

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.dropped == 0:
            return x
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)  # uniform on -32768 to 32767
        # 0 or 1, in the type of x from the start: conversions take longer than the comparison
        kept = torch.ge(bits, self.dropped - 32768, out=torch.empty_like(x))
        factor = 65536 / (65536 - self.dropped)
        return x * kept.mul_(factor)


def replace_dropout(module: nn.Module) -> None:
    """Replace every torch dropout inside a module by `Dropout`; for modules that train on a CPU.

    The distribution of the outputs stays the same up to the rounding of p to 16 bits, the random
    stream does not: with the same seed other elements are dropped. Modules have no weights, so
    names in the state stay.
    """
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Dropout and child.p < 1:
                setattr(parent, name, Dropout(child.p).train(child.training))
