"""The cheap dropout has the distribution, the expectation and the gradient of dropout."""

import pytest
import torch
from torch import nn

from sbert.models.dropout import Dropout, replace_dropout


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_share_and_factor(p, kind):
    torch.manual_seed(0)
    x = torch.ones(200_001, dtype=kind)  # no multiple of 4
    y = Dropout(p)(x)
    assert y.dtype == kind
    # five standard deviations of a binomial share
    assert (y == 0).float().mean().item() == pytest.approx(
        p, abs=5 * (p * (1 - p) / len(x)) ** 0.5 + 1e-5
    )
    kept = y[y != 0].float().unique()
    assert kept.tolist() == pytest.approx(
        [1 / (1 - p)], rel=1e-2 if kind == torch.bfloat16 else 1e-4
    )


def test_elements_are_independent():
    torch.manual_seed(0)
    zero = (Dropout(0.5)(torch.ones(100_000)) == 0).double()
    for lag in (1, 2, 3, 4, 5):  # four elements share a random number
        joint = (zero[:-lag] * zero[lag:]).mean().item()
        assert joint == pytest.approx(0.25, abs=0.01)


def test_gradient_is_the_mask():
    torch.manual_seed(0)
    x = torch.randn(7, 9, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), y.detach())


def test_seed_decides_and_evaluation_does_nothing():
    x, dropout = torch.randn(100), Dropout(0.5)
    torch.manual_seed(1)
    first = dropout(x)
    torch.manual_seed(1)
    assert torch.equal(dropout(x), first)
    assert not torch.equal(dropout(x), first)
    assert dropout.eval()(x) is x


def test_replaces_every_dropout_and_keeps_modes():
    module = nn.Sequential(
        nn.Linear(2, 2), nn.Sequential(nn.Dropout(0.1), nn.ReLU()), nn.Dropout(0.2).eval()
    )
    replace_dropout(module)
    assert [type(m) for m in module.modules() if "ropout" in type(m).__name__] == [Dropout, Dropout]
    assert (module[1][0].training, module[2].training) == (True, False)
