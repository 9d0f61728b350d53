"""Pooling: from token embeddings to one vector a text, and the modules that may follow it.

Sentence-BERT (arXiv 1908.10084), section 3, compares cls, mean and max. A pooling is a function of

- `tokens` (B, L, H), the token embeddings x_t of each text, of any floating type, and
- `mask` (B, L), m_t = 1 for a real token and 0 for padding, which may be on either side,

that returns (B, H), the zero vector for a text without a real token. To add one, write such a
function and list it in `POOLING`. `pool` calls it in fp32 for half types.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import InputError


def cls(tokens: Tensor, mask: Tensor) -> Tensor:
    """x_t of the first real token t, `[CLS]` or `<s>`: (B, L, H), (B, L) -> (B, H)."""
    return _token_at(tokens, mask, mask.int().argmax(dim=1))  # of equal values the first


def last_token(tokens: Tensor, mask: Tensor) -> Tensor:
    """x_t of the last real token t, for causal models: (B, L, H), (B, L) -> (B, H)."""
    count = mask.int().cumsum(dim=1)  # (B, L), reaches its maximum at the last real token
    return _token_at(tokens, mask, count.argmax(dim=1))


def mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """sum_t m_t x_t / sum_t m_t: (B, L, H), (B, L) -> (B, H)."""
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1)
    return weighted_sum(tokens, mask) / count


def mean_sqrt_len(tokens: Tensor, mask: Tensor) -> Tensor:
    """sum_t m_t x_t / sqrt(sum_t m_t): (B, L, H), (B, L) -> (B, H).

    Longer texts keep a larger norm than with `mean`.
    """
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1)
    return weighted_sum(tokens, mask) / count.to(tokens.dtype).sqrt()


def weighted_mean(tokens: Tensor, mask: Tensor, text: Tensor | None = None) -> Tensor:
    """sum_t w_t x_t / sum_t w_t, w_t = 1, 2, 3, ... over the real tokens: -> (B, H).

    For causal models, whose later tokens have seen more (SGPT, arXiv 2202.08904, section 3.2).

    text: (B, L), the tokens over which w_t counts, where the mask leaves some out; None: the mask.
    """
    position = (mask if text is None else text).cumsum(dim=1)
    weights = position * mask  # (B, L)
    return weighted_sum(tokens, weights) / weights.sum(dim=1, keepdim=True).clamp(min=1)


def max(tokens: Tensor, mask: Tensor) -> Tensor:
    """max over t with m_t = 1 of x_t, for each dimension: (B, L, H), (B, L) -> (B, H)."""
    # -inf, not zero: a dimension may be negative in every token
    masked = tokens.masked_fill(~mask.bool()[:, :, None], -torch.inf)  # (B, L, H)
    return _zero_if_empty(masked.amax(dim=1), mask)


def _token_at(tokens: Tensor, mask: Tensor, index: Tensor) -> Tensor:
    """One token of each text: (B, L, H), (B, L), (B,) -> (B, H)."""
    rows = torch.arange(len(tokens), device=tokens.device)
    return _zero_if_empty(tokens[rows, index], mask)


def _zero_if_empty(pooled: Tensor, mask: Tensor) -> Tensor:
    """(B, H), (B, L) -> (B, H), zero for a text without a real token."""
    return torch.where(mask.any(dim=1, keepdim=True), pooled, 0.0)


def weighted_sum(tokens: Tensor, weights: Tensor) -> Tensor:
    """sum_t w_t x_t as one matrix product, without a temporary of (B, L, H)."""
    return torch.einsum("bl,blh->bh", weights.to(tokens.dtype), tokens)


POOLING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": cls,
    "mean": mean,
    "max": max,
    "mean_sqrt_len": mean_sqrt_len,
    "weighted_mean": weighted_mean,
    "last_token": last_token,
}


def check_modes(modes: str | Sequence[str]) -> list[str]:
    """A pooling mode or several, such as `"mean"` or `["cls", "mean"]`, as a list of names.

    Raises:
        InputError: an unknown mode, or none.
    """
    names = [modes] if isinstance(modes, str) else list(modes)
    known = ", ".join(POOLING)
    for name in names:
        if name not in POOLING:
            raise InputError(f"pooling: unknown mode '{name}'; known: {known}")
    if not names:
        raise InputError(f"pooling: the list of modes is empty; known: {known}")
    return names


def pool(
    tokens: Tensor, mask: Tensor, modes: Sequence[str], pooled: Tensor | None = None
) -> Tensor:
    """The poolings of these names side by side: (B, L, H), (B, L) -> (B, len(modes) * H).

    Half types are pooled in fp32: a bf16 sum over 100 tokens loses two digits.

    pooled: (B, L), the tokens of `mask` that are pooled, such as those after a prompt; None: all.
    """
    if tokens.dtype in (torch.float16, torch.bfloat16):
        tokens = tokens.float()
    with torch.autocast(tokens.device.type, enabled=False):  # it would sum in bf16 again
        known = POOLING | {"weighted_mean": partial(weighted_mean, text=mask)}
        mask = mask if pooled is None else pooled
        return torch.cat([known[mode](tokens, mask) for mode in modes], dim=-1)


class Dense(nn.Module):
    """activation(W x + b), which some published encoders have after the pooling.

    activation: the name of a module of torch.nn. residual: add x, or V x where the sizes differ.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        activation: str = "Tanh",
        residual: bool = False,
    ):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.activation = getattr(nn, activation)()
        self.residual: nn.Module | None = None
        if residual and in_features == out_features:
            self.residual = nn.Identity()
        elif residual:
            self.residual = nn.Linear(in_features, out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_features) -> (B, out_features)."""
        out = self.activation(self.linear(x))
        return out if self.residual is None else out + self.residual(x)


class LayerNorm(nn.Module):
    """(x - mean(x)) / sqrt(var(x) + 1e-5) * weight + bias, over the numbers of an embedding."""

    def __init__(self, dimension: int):
        super().__init__()
        self.norm = nn.LayerNorm(dimension)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H) -> (B, H)."""
        return self.norm(x)


class Normalize(nn.Module):
    """x / ||x||; the zero vector stays zero."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, H) -> (B, H)."""
        return F.normalize(x, dim=-1)


def ends_in_normalize(head: Sequence[nn.Module]) -> bool:
    """Whether the modules after the pooling make embeddings of length 1."""
    return len(head) > 0 and isinstance(head[-1], Normalize)
