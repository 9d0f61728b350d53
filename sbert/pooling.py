"""Pooling: from token embeddings (B, L, H) and an attention mask (B, L) to one vector a sentence, and what may follow it.

Sentence-BERT (arXiv 1908.10084), section 3, compares cls, mean and max. Every function here

- takes `tokens` (B, L, H) of any floating type and `mask` (B, L), 1 for a real token and 0 for padding, on either side;
- returns (B, H), computed in fp32 for half types (a bf16 sum over 100 tokens loses two digits);
- returns the zero vector for a row without a real token, so that nothing downstream sees NaN or -inf.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sbert.errors import InputError


def _position(mask: Tensor, last: bool) -> Tensor:
    """Index of the first or last real token of each row, (B,); 0 for an empty row."""
    steps = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    score = mask.bool() * (steps if last else steps.flip(0))
    return score.argmax(dim=1)


def _token_at(tokens: Tensor, mask: Tensor, last: bool) -> Tensor:
    rows = torch.arange(len(tokens), device=tokens.device)
    picked = tokens[rows, _position(mask, last)]
    return torch.where(mask.any(dim=1, keepdim=True), picked, torch.zeros_like(picked))


def cls(tokens: Tensor, mask: Tensor) -> Tensor:
    """The first real token: `[CLS]` or `<s>`, wherever the padding lies."""
    return _token_at(tokens, mask, last=False)


def last_token(tokens: Tensor, mask: Tensor) -> Tensor:
    """The last real token: what a causal model has read everything by."""
    return _token_at(tokens, mask, last=True)


def max_tokens(tokens: Tensor, mask: Tensor) -> Tensor:
    """Maximum over the real tokens of each dimension."""
    # -inf and not zero: a dimension may be negative in every token
    masked = tokens.masked_fill(~mask.bool()[..., None], float("-inf")).amax(dim=1)
    return torch.where(mask.any(dim=1, keepdim=True), masked, torch.zeros_like(masked))


def _weighted_sum(tokens: Tensor, weights: Tensor) -> Tensor:
    """sum_t w_t x_t as one matrix product: no (B, L, H) temporary."""
    return torch.einsum("bl,blh->bh", weights.to(tokens.dtype), tokens)


def mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """sum_t m_t x_t / sum_t m_t."""
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return _weighted_sum(tokens, mask) / count


def mean_sqrt_len(tokens: Tensor, mask: Tensor) -> Tensor:
    """sum_t m_t x_t / sqrt(sum_t m_t): longer sentences keep a larger norm."""
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
    return _weighted_sum(tokens, mask) / count.to(tokens.dtype).sqrt()


def weighted_mean(tokens: Tensor, mask: Tensor) -> Tensor:
    """sum_t w_t x_t / sum_t w_t with w_t = 1, 2, 3, ... over the real tokens (SGPT, arXiv 2202.08904, section 3.2)."""
    weights = mask.cumsum(dim=1) * mask
    return _weighted_sum(tokens, weights) / weights.sum(dim=1, keepdim=True).clamp(min=1)


POOLING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cls": cls,
    "mean": mean,
    "max": max_tokens,
    "mean_sqrt_len": mean_sqrt_len,
    "weighted_mean": weighted_mean,
    "last_token": last_token,
}


def check_modes(modes: str | Sequence[str]) -> list[str]:
    """`"mean"` or `["cls", "mean"]` as a list of known names; `InputError` names an unknown one."""
    names = [modes] if isinstance(modes, str) else list(modes)
    for name in names:
        if name not in POOLING:
            raise InputError(f"pooling: unknown mode '{name}'; known: {', '.join(POOLING)}")
    if not names:
        raise InputError(f"pooling: the list of modes is empty; known: {', '.join(POOLING)}")
    return names


def pool(tokens: Tensor, mask: Tensor, modes: Sequence[str]) -> Tensor:
    """The named poolings side by side in the order given: (B, L, H) -> (B, len(modes) * H), fp32 for half types."""
    if tokens.dtype in (torch.float16, torch.bfloat16):
        tokens = tokens.float()
    with torch.autocast(tokens.device.type, enabled=False):  # it would take the sums back to bf16
        return torch.cat([POOLING[mode](tokens, mask) for mode in modes], dim=-1)


class Dense(nn.Module):
    """activation(W x + b) after the pooling, as some published encoders have it."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, activation: str = "Tanh"
    ):
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        self.activation = getattr(nn, activation)()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.linear(x))


class Normalize(nn.Module):
    """x / ||x||, the zero vector staying where it is."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1)
