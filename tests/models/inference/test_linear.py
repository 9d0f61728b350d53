"""Packed products by hand."""

import math

import pytest
import torch

from sbert.models.inference.linear import PackedLinear, supports_packing

WEIGHT = torch.tensor([[1.0, 2.0], [3.0, -4.0], [0.5, 0.0]])  # 2 -> 3
BIAS = torch.tensor([10.0, 0.0, -1.0])
X = torch.tensor([[1.0, 1.0], [2.0, -1.0]])
PRODUCT = torch.tensor([[13.0, -1.0, -0.5], [10.0, 10.0, 0.0]])  # X W^T + b

TYPES = [
    pytest.param(dtype, marks=pytest.mark.skipif(not supports_packing(dtype), reason="not packed"))
    for dtype in (torch.float32, torch.bfloat16)
]


@pytest.mark.parametrize("dtype", TYPES)
def test_the_product(dtype):
    linear = PackedLinear(WEIGHT, BIAS, dtype)
    product = linear(X.to(dtype))
    assert product.dtype == dtype
    assert torch.equal(product.float(), PRODUCT)
    assert torch.equal(linear(X[None].to(dtype))[0], product), "(B, L, in), too"


@pytest.mark.parametrize("dtype", TYPES)
def test_the_residual_and_the_activation(dtype):
    linear = PackedLinear(WEIGHT, BIAS, dtype)
    residual = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=dtype)
    assert torch.equal(linear.add(X.to(dtype), residual), PRODUCT.to(dtype) + residual)
    # gelu(y) = y P(Z <= y), Z normal
    gelu = [y / 2 * (1 + math.erf(y / math.sqrt(2))) for y in PRODUCT.flatten().tolist()]
    expected = torch.tensor(gelu).reshape(PRODUCT.shape)
    tolerance = torch.finfo(dtype).eps
    torch.testing.assert_close(
        linear.gelu(X.to(dtype)).float(), expected, atol=tolerance, rtol=tolerance
    )


def test_one_row_and_many_rows_have_the_same_product():
    """The layout is chosen for many rows."""
    generator = torch.Generator().manual_seed(0)
    weight, x = (torch.randn(n, 48, generator=generator) for n in (40, 5000))
    linear = PackedLinear(weight, torch.zeros(40), torch.float32)
    expected = x.double() @ weight.double().T
    for rows in (1, 7, 5000):
        torch.testing.assert_close(linear(x[:rows]).double(), expected[:rows], atol=1e-4, rtol=0)


def test_types_that_are_not_packed():
    assert not supports_packing(torch.float16)
    assert not supports_packing(torch.float64)
