"""Margins of a teacher's scores: plain loop, hand arithmetic, missing negatives."""

import math

import pytest
import torch
from loss_checks import (
    FOUR_TEXTS,
    THREE_TEXTS,
    LossCase,
    LossChecks,
    case_losses,
    cos,
    defined_losses,
    dot,
    rows,
)

from sbert.errors import InputError
from sbert.losses.distillation import MarginMSELoss

# rows 1 and 3 have one negative; what stands in the place of the other must not count
MISSING = [[0, 1, 2, 3], [4, 5, 6, -1], [8, 9, 10, 11], [12, 13, 14, -1], [16, 17, 18, 19]]
MARGINS = [[0.5, -0.2], [1.0, math.nan], [0.3, 0.1], [-0.4, math.nan], [0.0, 0.2]]


def margin_loop(loss, columns, labels, texts):
    similarity = cos if loss.similarity == "cosine" else dot
    query, positive, *negatives = columns
    total = 0.0
    for i, margins in enumerate(labels):
        errors = []
        for negative, margin in zip(negatives, margins, strict=True):
            if not math.isnan(margin):
                scores = similarity(query[i], positive[i]), similarity(query[i], negative[i])
                errors.append((scores[0] - scores[1] - margin) ** 2)
        total += sum(errors) / len(errors)
    return total / len(labels)


CASES = [
    LossCase("all texts present", MarginMSELoss, margin_loop, FOUR_TEXTS, MARGINS),
    LossCase("dot", MarginMSELoss, margin_loop, MISSING, MARGINS),
    LossCase("cosine", lambda: MarginMSELoss("cosine"), margin_loop, MISSING, MARGINS),
    LossCase("one negative", MarginMSELoss, margin_loop, THREE_TEXTS, [row[:1] for row in MARGINS]),
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


class TestEveryCase(LossChecks):
    pass


def test_every_loss_of_the_file_has_cases():
    assert case_losses(CASES) == defined_losses("distillation")


def test_margins_by_hand():
    # scores 2 and 0.5 in the first row, 3 and 3 in the second
    query, positive, negative = rows([1, 0], [0, 1]), rows([2, 0], [5, 3]), rows([0.5, 9], [0, 3])
    columns = [query, positive, negative]
    value = MarginMSELoss()(columns, torch.tensor([1.0, -0.5])).item()
    assert value == pytest.approx((0.5**2 + 0.5**2) / 2)
    assert MarginMSELoss()(columns, torch.tensor([1.5, 0.0])).item() == 0


def test_margins_of_one_negative_may_be_a_vector():
    columns, labels, _ = CASES[-1].batch()
    assert torch.equal(MarginMSELoss()(columns, labels), MarginMSELoss()(columns, labels[:, 0]))


def test_unknown_similarity_is_refused():
    with pytest.raises(InputError) as error:
        MarginMSELoss("euclidean")
    expected = "MarginMSELoss.similarity: unknown value 'euclidean'; known: cosine, dot"
    assert str(error.value) == expected
