"""Linear layers whose weights are packed for the processor once, by oneDNN.

torch's own linear layer brings the weights into oneDNN's layout in every product, and adds the
bias, the residual or the activation in passes of their own. The operators here are those that
torch.compile uses on a CPU; they exist unchanged in torch 2.6 to 2.13.
"""

import math

import torch
from torch import Tensor

from sbert.errors import require

_PACKED_ROWS = 2048  # the number of rows that the layout is chosen for; any other is correct, too
_AT_ONCE = 2**17  # numbers that are rounded together, so that what lies between stays in the cache


def supports_packing(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies packed weights of this type on this processor."""
    if not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return dtype == torch.float32


class PackedLinear:
    """y = x W^T + b: (..., in) -> (..., out), x in the type of W.

    Args:
        weight: (out, in).
        bias: (out,).
        dtype: that they are rounded to.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype):
        weight = weight.detach().to(dtype).contiguous()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _PACKED_ROWS)
        self.bias = bias.detach().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")

    def gelu(self, x: Tensor) -> Tensor:
        """gelu(y), its exact form."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "gelu", [], "none")

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        """y + residual, (..., out)."""
        pointwise = torch.ops.mkldnn._linear_pointwise.binary
        return pointwise(x, residual, self.weight, self.bias, "add")


def check_int8_products(device: torch.device) -> None:
    """Raises InputError where products of eight bits are not to be had, or saturate."""
    vnni = device.type == "cpu" and torch.backends.mkldnn.is_available()
    require(
        vnni and torch.cpu._is_vnni_supported(),
        f"precision int8_dynamic: needs a CPU with AVX512-VNNI, and computes on {device}; use auto",
    )


class Int8Linear:
    """y = x W^T + b with x and W rounded to eight bits, and exact sums of their products.

    W_n, the weights of output n, have a scale of their own; all of x has one, and a zero point z,
    chosen in every call ("dynamic quantisation"):

        W_n ~ s_n W'_n    s_n = max |W_n| / 127           W' = round(W / s_n), -127 to 127
        x ~ s (x' - z)    s = (max x - min x) / 254       x' = round(x / s) + z, 0 to 255
        y_n = s s_n sum_i (x'_i - z) W'_ni + b_n

    So the result for a row depends on the largest and smallest number of the others, by rounding.
    In and out are fp32. It has the methods of `PackedLinear`.
    """

    def __init__(self, weight: Tensor, bias: Tensor):
        weight = weight.detach()
        # a row of zeros has no largest number to divide by
        scale = (weight.abs().amax(dim=1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        rounded = (weight / scale[:, None]).round().to(torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(rounded, [_PACKED_ROWS, weight.shape[1]])
        self.weight = (packed, scale, torch.zeros(len(scale), dtype=torch.int64), bias.detach())

    def __call__(self, x: Tensor) -> Tensor:
        return self._product(x, "none")

    def gelu(self, x: Tensor) -> Tensor:
        return self._product(x, "gelu")

    def add(self, x: Tensor, residual: Tensor) -> Tensor:
        return self._product(x, "none").add_(residual)

    def _product(self, x: Tensor, activation: str) -> Tensor:
        return torch.ops.onednn.qlinear_pointwise(
            *quantize(x), *self.weight, 1.0, 0, torch.float32, activation, [], "none"
        )


def quantize(x: Tensor) -> tuple[Tensor, float, int]:
    """x' (uint8), s and z of `Int8Linear`, with which x ~ s (x' - z); 0 becomes z exactly.

    s is NaN, and so is the product, if there is a number in x that is not finite.
    """
    low, high = (bound.item() for bound in torch.aminmax(x))
    if not math.isfinite(high - low):
        return torch.zeros(x.shape, dtype=torch.uint8), math.nan, 0
    low, high = min(low, 0.0), max(high, 0.0)
    # 254 steps and not 255: with z rounded, too, x' does not exceed 255
    scale = max((high - low) / 254, torch.finfo(torch.float32).tiny)
    # just under half is rounded up, too, or the lowest number could become -1, which wraps around
    zero = math.ceil(-low / scale - 0.49)
    rounded = torch.empty(x.shape, dtype=torch.uint8)
    shift = torch.tensor(zero - 128.0)
    parts = zip(x.flatten().split(_AT_ONCE), rounded.flatten().split(_AT_ONCE), strict=True)
    for part, place in parts:
        # torch converts to int8 in half the time that uint8 takes: x' - 128, whose sign bit is then
        # flipped, which adds 128 to the number of eight bits without a sign
        signed = torch.add(shift, part, alpha=1 / scale).round_()
        torch.bitwise_xor(signed.to(torch.int8).view(torch.uint8), 128, out=place)
    return rounded, scale, zero
