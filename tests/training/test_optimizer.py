"""The learning rate at its corners, which weights decay, and AdamW against its formula."""

import pytest
import torch
from torch import nn

from sbert.training.config import OptimConfig
from sbert.training.optimizer import clip_gradients, lr_factor, make_optimizer


@pytest.mark.parametrize("warmup", [0.1, 10])
def test_warm_up_is_a_share_or_a_number_of_steps(warmup):
    optim = OptimConfig(warmup=warmup)
    assert [lr_factor(step, 100, optim) for step in (0, 1, 5, 10)] == pytest.approx(
        [0, 0.1, 0.5, 1.0]
    )


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        ("linear", [1, 0.5, 1 / 90]),
        ("cosine", [1, 0.5, 0.000305]),
        ("constant", [1, 1, 1]),
    ],
)
def test_decay_after_the_warm_up(schedule, values):
    optim = OptimConfig(warmup=10, schedule=schedule)
    assert [lr_factor(step, 100, optim) for step in (10, 55, 99)] == pytest.approx(values, abs=1e-5)


def test_no_warm_up_starts_at_the_full_rate():
    assert lr_factor(0, 10, OptimConfig(warmup=0)) == 1


def test_only_matrices_decay():
    module = nn.ModuleDict(
        {"linear": nn.Linear(3, 2), "norm": nn.LayerNorm(2), "embedding": nn.Embedding(4, 2)}
    )
    decayed, others = make_optimizer(module, OptimConfig(), torch.device("cpu")).param_groups
    assert {id(p) for p in decayed["params"]} == {
        id(module["linear"].weight),
        id(module["embedding"].weight),
    }
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    assert len(others["params"]) == 3


def test_frozen_weights_are_left_out():
    module = nn.Linear(3, 2)
    module.bias.requires_grad_(False)
    groups = make_optimizer(module, OptimConfig(), torch.device("cpu")).param_groups
    assert [len(group["params"]) for group in groups] == [1, 0]


def test_first_update_is_the_sign_of_the_gradient_and_the_decay():
    weight = nn.Parameter(torch.tensor([[2.0, -3.0]]))
    module = nn.Module()
    module.weight = weight
    optimizer = make_optimizer(
        module, OptimConfig(lr=0.1, weight_decay=0.5, eps=0), torch.device("cpu")
    )
    weight.grad = torch.tensor([[4.0, -0.25]])
    optimizer.step()
    # AdamW: w - lr * decay * w - lr * m / sqrt(v), and m / sqrt(v) = sign(g) at the first step
    assert weight.tolist()[0] == pytest.approx([2 - 0.1 * 0.5 * 2 - 0.1, -3 + 0.1 * 0.5 * 3 + 0.1])


@pytest.mark.parametrize(
    ("limit", "factor"), [(0, 1), (100, 1), (13, 1), (6.5, 0.5), (1e-3, 1e-3 / 13)]
)
def test_gradients_are_clipped_to_a_common_norm(limit, factor):
    a, b, frozen = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    a.grad, b.grad = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 12.0])
    assert clip_gradients([a, b, frozen], limit).item() == pytest.approx(13)
    assert [*a.grad.tolist(), *b.grad.tolist()] == pytest.approx(
        [3 * factor, 4 * factor, 0, 12 * factor], rel=1e-4
    )
