"""A loss at several embedding sizes: the losses inside it are tested in their own files."""

import math

import pytest
import torch
from loss_checks import (
    FOUR_TEXTS,
    SCORES,
    TWO_TEXTS,
    LossCase,
    LossChecks,
    case_losses,
    defined_losses,
    rows,
)

from sbert.errors import InputError
from sbert.losses.cross_encoder import BinaryCrossEntropyLoss
from sbert.losses.distillation import EmbeddingMSELoss, MarginMSELoss
from sbert.losses.language_model import MaskedLanguageModelLoss
from sbert.losses.matryoshka import MatryoshkaLoss
from sbert.losses.ranking import MultipleNegativesRankingLoss
from sbert.losses.similarity import CoSENTLoss, CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss

H = 6
REPEATS = [[0, 1, 2, 3], [0, 5, 6, -1], [8, 9, -1, 11], [12, 9, 5, -1], [1, 17, 18, 0]]
MARGINS = [[0.5, -0.2], [1.0, math.nan], [0.3, 0.1], [-0.4, math.nan], [0.0, 0.2]]


def matryoshka_loop(loss, columns, labels, texts):
    """Row after row cut to each size; the loss of a size is called as if it were alone."""
    labels = None if labels is None else torch.tensor(labels)
    total = 0.0
    for part, size, weight in zip(loss.losses, loss.dims, loss.weights, strict=True):
        truncated = [rows(*[row[:size] for row in column]) for column in columns]
        total += weight * part(truncated, labels, torch.tensor(texts)).item()
    return total


def matryoshka_case(name, loss, dims, weights, texts, labels=None):
    return LossCase(
        name, lambda: MatryoshkaLoss(loss, dims, weights), matryoshka_loop, texts, labels, dim=H
    )


CASES = [
    matryoshka_case("ranking", MultipleNegativesRankingLoss(), [6, 2, 4], [1, 0.5, 2], REPEATS),
    matryoshka_case("CoSENT", CoSENTLoss(), [2, 6], None, TWO_TEXTS, SCORES),
    matryoshka_case("margins", MarginMSELoss(), [6, 3], None, FOUR_TEXTS, MARGINS),
    matryoshka_case("softmax", SoftmaxLoss(3), [2, 6], [3, 1], TWO_TEXTS, [2, 0, 1, 1, 0]),
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


class TestEveryCase(LossChecks):
    pass


def test_every_loss_of_the_file_has_cases():
    assert case_losses(CASES) == defined_losses("matryoshka")


def test_matryoshka_by_hand():
    u, v = rows([1, 0]), rows([3, 4])  # cosines 0.6, and 1 of the first dimension alone
    loss = MatryoshkaLoss(CosineSimilarityLoss(), [2, 1], [1, 10])
    assert loss([u, v], torch.tensor([0.5])).item() == pytest.approx(0.1**2 + 10 * 0.5**2)
    loss = MatryoshkaLoss(CosineSimilarityLoss(), [2, 1])
    assert loss([u, v], torch.tensor([0.5])).item() == pytest.approx(0.1**2 + 0.5**2)


def test_one_size_is_the_loss():
    inner = MultipleNegativesRankingLoss(scale=5.0, symmetric=True)
    loss = MatryoshkaLoss(inner, [H]).bind(H)
    columns, _, texts = CASES[0].batch()
    assert torch.equal(loss(columns, None, texts), inner(columns, None, texts))
    assert (loss.joint, loss.ragged, loss.target) == (True, True, None)
    assert isinstance(loss.full_loss, MultipleNegativesRankingLoss)


def test_every_size_has_a_head_of_its_own():
    loss = MatryoshkaLoss(SoftmaxLoss(3), [2, H, 4]).bind(H)
    assert [part.head.in_features for part in loss.losses] == [6, 18, 12]
    assert loss.full_loss is loss.losses[1]
    assert (loss.joint, loss.target) == (False, "class")


@pytest.mark.parametrize("dims", [[], [6, 6], [6, 0]], ids=str)
def test_invalid_dims_are_refused(dims):
    with pytest.raises(InputError) as error:
        MatryoshkaLoss(CoSENTLoss(), dims)
    assert str(error.value) == (
        f"MatryoshkaLoss.dims is {dims}; it must list different sizes of 1 or more, "
        "the model's own among them"
    )


def test_another_number_of_weights_is_refused():
    with pytest.raises(InputError) as error:
        MatryoshkaLoss(CoSENTLoss(), [6, 3], [1])
    assert str(error.value) == "MatryoshkaLoss.weights: 1 weights for 2 dims; give one for each"


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (EmbeddingMSELoss(), "EmbeddingMSELoss compares embeddings at full size only"),
        (MaskedLanguageModelLoss(), "MaskedLanguageModelLoss reads tokens, not embeddings"),
        (BinaryCrossEntropyLoss(), "BinaryCrossEntropyLoss reads scores of pairs, not embeddings"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_loss_that_does_not_read_embeddings_of_any_size_is_refused(loss, reason):
    with pytest.raises(InputError) as error:
        MatryoshkaLoss(loss, [6, 3])
    assert str(error.value) == f"MatryoshkaLoss.loss: {reason}"


def test_the_largest_of_dims_must_be_the_models():
    with pytest.raises(InputError) as error:
        MatryoshkaLoss(CoSENTLoss(), [3]).bind(6)
    assert str(error.value) == (
        "MatryoshkaLoss.dims: the largest is 3; it must be the model's embedding size, 6"
    )
