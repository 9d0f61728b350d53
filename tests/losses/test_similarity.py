"""Losses on gold scores: plain loops, hand arithmetic, order of the labels, angles."""

import math

import pytest
import torch
from loss_checks import (
    SCORES,
    TWO_TEXTS,
    LossCase,
    LossChecks,
    case_losses,
    cos,
    defined_losses,
    dot,
    rows,
)
from support import fails, write_config

from sbert.errors import InputError
from sbert.losses.similarity import AnglELoss, CoSENTLoss, CosineSimilarityLoss


def cosine_loop(loss, columns, labels, texts):
    scale, shift = loss.scale.item(), loss.shift.item()
    total = 0.0
    for u, v, y in zip(*columns, labels, strict=True):
        total += (scale * cos(u, v) + shift - y) ** 2
    return total / len(labels)


def angle(u, v):
    half = len(u) // 2
    total = 0j
    for k in range(half):
        total += complex(u[k], u[k + half]) * complex(v[k], v[k + half]).conjugate()
    return abs(total.real + total.imag) / math.sqrt(dot(u, u) * dot(v, v))


def cosent_loop(loss, columns, labels, texts):
    similarity = angle if isinstance(loss, AnglELoss) else cos
    scores = [similarity(u, v) for u, v in zip(*columns, strict=True)]
    total = 1.0
    for i in range(len(scores)):
        for j in range(len(scores)):
            if labels[i] > labels[j]:
                total += math.exp(loss.scale * (scores[j] - scores[i]))
    return math.log(total)


def scaled_cosine():
    loss = CosineSimilarityLoss(learnable_scale=True)
    loss.scale.data.fill_(0.7)
    loss.shift.data.fill_(0.2)
    return loss


COSENT = LossCase("CoSENT", CoSENTLoss, cosent_loop, TWO_TEXTS, SCORES)
CASES = [
    LossCase("cosine", CosineSimilarityLoss, cosine_loop, TWO_TEXTS, SCORES, dim=3),
    LossCase("scaled cosine", scaled_cosine, cosine_loop, TWO_TEXTS, SCORES, dim=3),
    COSENT,
    LossCase("AnglE", lambda: AnglELoss(scale=3.0), cosent_loop, TWO_TEXTS, SCORES),
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


class TestEveryCase(LossChecks):
    def test_length_of_vectors_does_not_matter(self, case):
        loss = case.loss()
        columns, labels, _ = case.batch()
        factors = torch.linspace(0.01, 100, 5, dtype=torch.float64)[:, None]
        scaled = loss([c * factors.roll(i, 0) for i, c in enumerate(columns)], labels)
        assert scaled.item() == pytest.approx(loss(columns, labels).item(), rel=1e-11)


def test_every_loss_of_the_file_has_cases():
    assert case_losses(CASES) == defined_losses("similarity")


# CosineSimilarityLoss


def test_cosine_by_hand():
    u, v = rows([1, 0], [1, 0], [2, 0]), rows([3, 4], [0, 5], [-1, 0])  # cosines 0.6, 0, -1
    value = CosineSimilarityLoss()([u, v], torch.tensor([1.0, 0.5, 0.0]))
    assert value.item() == pytest.approx((0.4**2 + 0.5**2 + 1.0**2) / 3)


@pytest.mark.parametrize("learnable", [False, True])
def test_scale_and_shift_are_trained_on_request_alone(learnable):
    loss = CosineSimilarityLoss(learnable_scale=learnable)
    assert {name: p.item() for name, p in loss.named_parameters()} == {"scale": 1.0, "shift": 0.0}
    assert all(p.requires_grad == learnable for p in loss.parameters())


def test_gradient_of_scale_and_shift_by_hand():
    loss = CosineSimilarityLoss(learnable_scale=True).double()
    loss.scale.data.fill_(2.0)
    loss.shift.data.fill_(-0.5)
    u, v, y = rows([1, 0], [1, 0]), rows([3, 4], [0, 5]), torch.tensor([0.5, 1.0])
    # predictions 2 * 0.6 - 0.5 = 0.7 and -0.5, residuals 0.2 and -1.5
    value = loss([u, v], y)
    value.backward()
    assert value.item() == pytest.approx((0.2**2 + 1.5**2) / 2)
    assert loss.scale.grad.item() == pytest.approx(2 * (0.2 * 0.6 + -1.5 * 0.0) / 2)
    assert loss.shift.grad.item() == pytest.approx(2 * (0.2 - 1.5) / 2)


# CoSENTLoss and AnglELoss


def test_cosent_reads_the_order_of_the_labels_alone():
    loss = CoSENTLoss()
    columns, labels, _ = COSENT.batch()
    assert torch.equal(loss(columns, labels), loss(columns, labels**3 * 7 - 2))
    assert loss(columns, torch.ones(5)).item() == 0


def test_cosent_by_hand():
    u = torch.tensor([[1.0, 0], [1.0, 0]])
    right, wrong = torch.tensor([[1.0, 0], [-1.0, 0]]), torch.tensor([[-1.0, 0], [1.0, 0]])
    labels = torch.tensor([1.0, 0])
    # similarities 1 and -1: log(1 + exp(-40)) in the right order, log(1 + exp(40)) in the wrong one
    assert CoSENTLoss()([u, right], labels).item() == pytest.approx(0, abs=1e-6)
    assert CoSENTLoss()([u, wrong], labels).item() == pytest.approx(40, rel=1e-6)


def test_angle_by_hand():
    """u = 1 + 2i, v = 3 - i: u conj(v) = 1 + 7i, so the similarity is 8 / (sqrt 5 sqrt 10)."""
    u, v = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]])
    assert AnglELoss().pair_similarity(u, v).item() == pytest.approx(8 / math.sqrt(50))


@pytest.mark.parametrize("loss", [AnglELoss(), CoSENTLoss()], ids=["AnglE", "CoSENT"])
def test_zero_against_another_vector_has_finite_gradients(loss):
    u = torch.zeros(2, 4, requires_grad=True)
    loss([u, torch.ones(2, 4)], torch.tensor([1.0, 0])).backward()
    assert u.grad.isfinite().all()


def test_angle_refuses_an_odd_embedding_size():
    with pytest.raises(InputError) as error:
        AnglELoss()([torch.ones(2, 3)] * 2, torch.tensor([0.0, 1]))
    assert str(error.value) == "AnglELoss: the embedding size is 3; it must be even"
    with pytest.raises(InputError) as error:
        AnglELoss().bind(3)
    assert str(error.value) == "AnglELoss: the embedding size is 3; it must be even"


def test_an_odd_embedding_size_is_refused_before_the_folder_is_opened(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    config = write_config(tmp_path, tiny_folder, pairs_file, loss="AnglELoss")
    line = fails(train_command, capsys, config, "--model.dense", "33")
    assert line.endswith("AnglELoss: the embedding size is 33; it must be even")
    assert not (tmp_path / "runs").exists()
