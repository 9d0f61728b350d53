"""Triplets and contrastive pairs: plain loops, hand arithmetic, margins, gradients."""

import math

import pytest
import torch
from loss_checks import (
    THREE_TEXTS,
    TWO_TEXTS,
    LossCase,
    LossChecks,
    case_losses,
    cos,
    defined_losses,
    rows,
)

from sbert.losses.contrastive import ContrastiveLoss, TripletLoss

DISTANCES = ["euclidean", "manhattan", "cosine"]


def plain_distance(a, b, distance):
    if distance == "cosine":
        return 1 - cos(a, b)
    differences = [abs(x - y) for x, y in zip(a, b, strict=True)]
    if distance == "manhattan":
        return sum(differences)
    return math.sqrt(sum(d * d for d in differences))


def triplet_loop(loss, columns, labels, texts):
    total = 0.0
    for a, p, n in zip(*columns, strict=True):
        near, far = plain_distance(a, p, loss.distance), plain_distance(a, n, loss.distance)
        total += max(near - far + loss.margin, 0.0)
    return total / len(columns[0])


def contrastive_loop(loss, columns, labels, texts):
    total = 0.0
    for u, v, y in zip(*columns, labels, strict=True):
        d = plain_distance(u, v, loss.distance)
        total += d**2 / 2 if y == 1 else max(loss.margin - d, 0.0) ** 2 / 2
    return total / len(labels)


def triplet_case(*options):
    name = "-".join(map(str, ["TripletLoss", *options]))
    return LossCase(name, lambda: TripletLoss(*options), triplet_loop, THREE_TEXTS, dim=3)


def contrastive_case(*options):
    name = "-".join(map(str, ["ContrastiveLoss", *options]))
    labels = [0.0, 1.0, 1.0, 0.0, 0.0]
    return LossCase(
        name, lambda: ContrastiveLoss(*options), contrastive_loop, TWO_TEXTS, labels, dim=3
    )


# margins such that random rows fall on both sides of them
CASES = [
    triplet_case(),
    triplet_case(0.4, "euclidean"),
    triplet_case(0.8, "manhattan"),
    triplet_case(0.2, "cosine"),
    contrastive_case(),
    contrastive_case(1.1, "cosine"),
    contrastive_case(3.0, "euclidean"),
    contrastive_case(4.0, "manhattan"),
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


class TestEveryCase(LossChecks):
    def test_cosine_distances_ignore_the_length_of_vectors(self, case):
        loss = case.loss()
        columns, labels, _ = case.batch()
        factors = torch.linspace(0.01, 100, 5, dtype=torch.float64)[:, None]
        scaled = loss([c * factors.roll(i, 0) for i, c in enumerate(columns)], labels).item()
        same = scaled == pytest.approx(loss(columns, labels).item(), rel=1e-12)
        assert same == (loss.distance == "cosine")


def test_every_loss_of_the_file_has_cases():
    assert case_losses(CASES) == defined_losses("contrastive")


# TripletLoss


@pytest.mark.parametrize(
    ("distance", "near", "far"),
    [("euclidean", 5.0, 13.0), ("manhattan", 7.0, 17.0), ("cosine", 0.4, 1 - 5 / 13)],
)
def test_triplet_by_hand(distance, near, far):
    # for the lengths the anchor is 0, for the angles it is the first axis
    anchor = rows([1, 0]) if distance == "cosine" else rows([0, 0])
    value = TripletLoss(margin=20.0, distance=distance)([anchor, rows([3, 4]), rows([5, 12])])
    assert value.item() == pytest.approx(near - far + 20)


def test_the_default_margin_is_1_in_euclidean_distance():
    assert TripletLoss()([rows([0, 0]), rows([3, 4]), rows([3, 4])]).item() == 1.0


@pytest.mark.parametrize("distance", DISTANCES)
def test_triplet_is_zero_beyond_the_margin(distance):
    if distance == "cosine":
        columns = [rows([1, 0]), rows([2, 0]), rows([0, 3])]  # distances 0 and 1
        edge = 1.0
    else:
        columns = [rows([0, 0]), rows([3, 0]), rows([0, 5])]  # distances 3 and 5
        edge = 2.0
    for column in columns:
        column.requires_grad_()
    assert TripletLoss(edge, distance)(columns).item() == 0
    assert TripletLoss(edge + 0.25, distance)(columns).item() == 0.25
    beyond = TripletLoss(edge - 0.25, distance)(columns)
    assert beyond.item() == 0
    beyond.backward()
    assert all(column.grad.eq(0).all() for column in columns)


@pytest.mark.parametrize("distance", DISTANCES)
def test_anchor_equal_to_positive_has_finite_gradients(distance):
    anchor = rows([1, 2], [0, 3]).requires_grad_()
    negative = rows([2, 1], [1, 3]).requires_grad_()
    TripletLoss(5.0, distance)([anchor, anchor, negative]).backward()
    assert anchor.grad.isfinite().all()
    assert negative.grad.isfinite().all()
    assert negative.grad.any()


# ContrastiveLoss


def test_contrastive_by_hand():
    u = rows([1, 0], [1, 0], [1, 0])
    v = rows([3, 4], [3, 4], [0, 1])  # cosine distances 0.4, 0.4, 1
    value = ContrastiveLoss(margin=0.5)([u, v], torch.tensor([1, 0, 0]))
    assert value.item() == pytest.approx((0.4**2 + 0.1**2 + 0.0) / 2 / 3)


@pytest.mark.parametrize("distance", DISTANCES)
def test_identical_similar_and_far_dissimilar_pairs_cost_nothing(distance):
    u = rows([3, 4], [0, 5])
    v = rows([3, 4], [5, 0])  # the second pair at 7.07, 10 and 1
    loss = ContrastiveLoss(0.5, distance)
    assert loss([u, v], torch.tensor([1, 0])).item() == pytest.approx(0, abs=1e-30)
    # with the wrong label identical vectors cost margin^2 / 2
    wrong = loss([u[:1], v[:1]], torch.tensor([0])).item()
    assert wrong == pytest.approx(0.5**2 / 2)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.float64, torch.bool])
def test_contrastive_reads_labels_of_any_type(dtype):
    case = contrastive_case(1.1)
    loss = case.loss()
    columns, labels, _ = case.batch()
    assert loss(columns, labels.to(dtype)).item() == loss(columns, labels).item()


def test_far_dissimilar_pairs_have_zero_gradient():
    u, v = rows([0, 0]).requires_grad_(), rows([3, 4]).requires_grad_()
    ContrastiveLoss(4.0, "euclidean")([u, v], torch.tensor([0])).backward()
    assert u.grad.eq(0).all()
    assert v.grad.eq(0).all()
