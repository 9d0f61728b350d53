"""Linear layers whose weights are packed for the processor once, by oneDNN.

torch's own linear layer brings the weights into oneDNN's layout in every product, and adds the
bias, the residual or the activation in passes of their own. The operators here are those that
torch.compile uses on a CPU; they exist unchanged in torch 2.6 to 2.13.
"""

import torch
from torch import Tensor

_PACKED_ROWS = 4096  # the number of rows that the layout is chosen for; any other is correct, too


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
