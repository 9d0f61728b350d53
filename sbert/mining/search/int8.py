"""Inner products of int8 vectors."""

from functools import lru_cache

import torch
from torch import Tensor

LARGEST = 127


def to_int8(vectors: Tensor) -> Tensor:
    """Vectors (Q, H) to int8, each scaled such that its largest number is 127."""
    largest = vectors.abs().amax(dim=1, keepdim=True)
    scale = LARGEST / largest.where(largest > 0, 1)
    return (vectors * scale).round().to(torch.int8)


def int8_products(queries: Tensor, vectors: Tensor) -> Tensor:
    """(Q, H) and (T, H) int8 -> (Q, T), int32, or fp32 where the hardware has no right ones."""
    # of vectors of one number the product is wrong (torch 2.13)
    if queries.device.type == "cpu" and int8_is_exact() and queries.shape[1] > 1:
        return torch._int_mm(queries, vectors.T)
    return queries.float() @ vectors.float().T


def int8_is_fast() -> bool:
    """Whether the processor multiplies int8 faster than any floats: with VNNI or AMX."""
    return torch.cpu._is_vnni_supported() and int8_is_exact()


@lru_cache
def int8_is_exact() -> bool:
    """Whether the processor's int8 product adds up without saturating, as some old ones do not."""
    extreme = torch.full((32, 64), LARGEST, dtype=torch.int8)
    extreme[::2] = -128
    expected = extreme.int() @ extreme.int().T
    try:
        return torch.equal(torch._int_mm(extreme, extreme.T), expected)
    except RuntimeError:  # this build of torch has none
        return False
