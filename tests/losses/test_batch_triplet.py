"""Triplets chosen in the batch: plain loops, hand arithmetic, rows without a triplet."""

import math

import pytest
import torch
from loss_checks import ONE_TEXT, LossCase, LossChecks, case_losses, cos, defined_losses, rows

from sbert.errors import InputError
from sbert.losses.batch_triplet import BatchHardTripletLoss, BatchSemiHardTripletLoss
from sbert.losses.contrastive import ContrastiveLoss, TripletLoss

LOSSES = [BatchHardTripletLoss, BatchSemiHardTripletLoss]
DISTANCES = ["euclidean", "manhattan", "cosine"]


@pytest.mark.parametrize("loss", [*LOSSES, TripletLoss, ContrastiveLoss])
@pytest.mark.parametrize("margin", [-1.0, math.nan, math.inf])
def test_a_margin_is_a_finite_number_from_0_upwards(loss, margin):
    with pytest.raises(InputError, match=f"{loss.__name__}.margin is {margin:g}; it must be a fin"):
        loss(margin=margin)


def plain_distance(a, b, distance):
    if distance == "cosine":
        return 1 - cos(a, b)
    differences = [abs(x - y) for x, y in zip(a, b, strict=True)]
    return sum(differences) if distance == "manhattan" else math.hypot(*differences)


def positives_and_negatives(loss, texts, labels):
    """(distances to the others of its class, distances to the other classes) of each text."""
    for i, a in enumerate(texts):
        distances = [plain_distance(a, b, loss.distance) for b in texts]
        others = [j for j in range(len(texts)) if j != i]
        near = [distances[j] for j in others if labels[j] == labels[i]]
        yield near, [distances[j] for j in others if labels[j] != labels[i]]


def hard_loop(loss, columns, labels, texts):
    terms = []
    for positives, negatives in positives_and_negatives(loss, columns[0], labels):
        if positives and negatives:
            terms.append(max(max(positives) - min(negatives) + loss.margin, 0.0))
    return sum(terms) / len(terms)


def semi_hard_loop(loss, columns, labels, texts):
    terms = []
    for positives, negatives in positives_and_negatives(loss, columns[0], labels):
        for positive in positives if negatives else []:
            further = [negative for negative in negatives if negative > positive]
            chosen = min(further) if further else max(negatives)
            terms.append(max(positive - chosen + loss.margin, 0.0))
    return sum(terms) / len(terms)


LOOPS = dict(zip(LOSSES, [hard_loop, semi_hard_loop], strict=True))


def triplet_case(loss, labels, *options):
    name = "-".join(map(str, [loss.__name__, *labels, *options]))
    return LossCase(name, lambda: loss(*options), LOOPS[loss], ONE_TEXT, labels, dim=3)


CASES = [
    *(triplet_case(loss, [1, 0, 1, 0, 1], 1.0, name) for loss in LOSSES for name in DISTANCES),
    *(triplet_case(loss, [2, 0, 2, 1, 2]) for loss in LOSSES),  # two texts are alone
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


class TestEveryCase(LossChecks):
    pass


def test_every_loss_of_the_file_has_cases():
    assert case_losses(CASES) == defined_losses("batch_triplet")


# on a line: two texts of class 0 and two of class 1
LINE = rows([0], [2], [3], [7])
CLASSES = torch.tensor([0, 0, 1, 1])


def test_hard_by_hand():
    # furthest positive - nearest negative + 1 of each: 2 - 3 + 1, 2 - 1 + 1, 4 - 1 + 1, 4 - 5 + 1
    value = BatchHardTripletLoss(margin=1)([LINE], CLASSES).item()
    assert value == pytest.approx((0 + 2 + 4 + 0) / 4)


def test_semi_hard_by_hand():
    # the negatives are at 3, 7; at 1, 5; at 3, 1; at 7, 5. The nearest beyond the positive is 3 and
    # 5; beyond 4 there is none, so 3; and 5
    value = BatchSemiHardTripletLoss(margin=2)([LINE], CLASSES).item()
    assert value == pytest.approx(((2 - 3 + 2) + 0 + (4 - 3 + 2) + (4 - 5 + 2)) / 4)


def test_a_negative_as_far_as_the_positive_is_not_further():
    line = rows([0], [2], [-2], [5])
    # of the first text 2 - 5 + 1, not 2 - 2 + 1; 2 - 3 + 1; 7 - 4 + 1; 7 - 5 + 1
    value = BatchSemiHardTripletLoss(margin=1)([line], CLASSES).item()
    assert value == pytest.approx((0 + 0 + 4 + 3) / 4)


def test_the_defaults_are_those_of_sentence_transformers():
    for loss in LOSSES:
        assert (loss().margin, loss().distance, loss.columns) == (5, "euclidean", 1)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 1, 1], [0]], ids=str)
def test_a_batch_without_a_triplet_costs_nothing(loss, labels):
    embeddings = torch.randn(len(labels), 3, requires_grad=True)
    value = loss()([embeddings], torch.tensor(labels))
    value.backward()
    assert value.item() == 0
    assert not embeddings.grad.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_text_alone_in_its_class_is_no_anchor(loss):
    labels = torch.tensor([0, 0, 1])
    far = rows([0], [1], [100])  # further away than the margin from both: they cost nothing
    assert loss()([far], labels).item() == 0
    near = rows([0], [1], [2])
    expected = {BatchHardTripletLoss: (4 + 5) / 2, BatchSemiHardTripletLoss: (4 + 5) / 2}[loss]
    assert loss()([near], labels).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
@pytest.mark.parametrize("seed", range(3))
def test_equals_sentence_transformers(loss, distance, seed):
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    metric = getattr(theirs.BatchHardTripletLossDistanceFunction, f"{distance}_distance")
    torch.manual_seed(seed)
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 1, 2])
    mine = torch.randn(10, 6, dtype=torch.float64, requires_grad=True)
    other = mine.detach().clone().requires_grad_()
    value = loss(0.5, distance)([mine], labels)
    module = getattr(theirs, loss.__name__)(None, metric, margin=0.5)
    expected = module.compute_loss_from_embeddings([other], labels)
    value.backward()
    expected.backward()
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(mine.grad, other.grad, rtol=1e-6, atol=1e-6)


def test_sentence_transformers_makes_an_anchor_of_a_text_without_a_positive():
    """Where the two differ: there such a text costs max(0, margin - distance to a negative)."""
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    embeddings, labels = rows([0], [1], [2]), torch.tensor([0, 0, 1])
    module = theirs.BatchHardTripletLoss(None, margin=5)
    expected = module.compute_loss_from_embeddings([embeddings], labels).item()
    mine = BatchHardTripletLoss()([embeddings], labels).item()
    assert expected == pytest.approx((2 * mine + 4) / 3)


def test_an_unknown_distance_is_refused():
    with pytest.raises(InputError, match="BatchHardTripletLoss.distance: unknown value 'dot'"):
        BatchHardTripletLoss(distance="dot")
