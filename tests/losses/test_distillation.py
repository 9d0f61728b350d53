"""Margins of a teacher's scores, and its embeddings: plain loops, hand arithmetic."""

import math

import pytest
import torch
from loss_checks import (
    FOUR_TEXTS,
    THREE_TEXTS,
    TWO_TEXTS,
    LossCase,
    LossChecks,
    case_losses,
    cos,
    defined_losses,
    dot,
    rows,
)

from sbert.errors import InputError
from sbert.losses.distillation import DistillKLDivLoss, EmbeddingMSELoss, MarginMSELoss
from sbert.losses.matryoshka import MatryoshkaLoss

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


def kl_loop(loss, columns, labels, texts):
    similarity = cos if loss.similarity == "cosine" else dot
    query, positive, *negatives = columns
    total = 0.0
    for i, margins in enumerate(labels):
        student, teacher = [similarity(query[i], positive[i])], [10.0]  # any score of the positive
        for negative, margin in zip(negatives, margins, strict=True):
            if not math.isnan(margin):
                student.append(similarity(query[i], negative[i]))
                teacher.append(10.0 - margin)
        p = softmax(teacher, loss.teacher_temperature or loss.temperature)
        r = softmax(student, loss.temperature)
        total += sum(a * math.log(a / b) for a, b in zip(p, r, strict=True))
    return loss.temperature**2 * total / len(labels)


def embedding_loop(loss, columns, labels, texts):
    errors = []
    for column in columns:
        for vector, target in zip(column, labels, strict=True):
            errors += [(x - y) ** 2 for x, y in zip(vector, target, strict=True)]
    return sum(errors) / len(errors)


EMBEDDINGS = [[math.sin(3 * i + h) for h in range(6)] for i in range(5)]


def softmax(scores, temperature):
    powers = [math.exp(score / temperature) for score in scores]
    return [power / sum(powers) for power in powers]


def kl(**options):
    return lambda: DistillKLDivLoss(**options)


CASES = [
    LossCase("all texts present", MarginMSELoss, margin_loop, FOUR_TEXTS, MARGINS),
    LossCase("dot", MarginMSELoss, margin_loop, MISSING, MARGINS),
    LossCase("cosine", lambda: MarginMSELoss("cosine"), margin_loop, MISSING, MARGINS),
    LossCase("one negative", MarginMSELoss, margin_loop, THREE_TEXTS, [row[:1] for row in MARGINS]),
    LossCase("KL", DistillKLDivLoss, kl_loop, FOUR_TEXTS, MARGINS),
    LossCase("KL, missing", kl(temperature=2.0), kl_loop, MISSING, MARGINS),
    LossCase(
        "KL, cosine",
        kl(similarity="cosine", temperature=0.5, teacher_temperature=0.3),
        kl_loop,
        MISSING,
        MARGINS,
    ),
    LossCase("KL, one", DistillKLDivLoss, kl_loop, THREE_TEXTS, [row[:1] for row in MARGINS]),
    LossCase("embeddings", EmbeddingMSELoss, embedding_loop, TWO_TEXTS, EMBEDDINGS),
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
    columns, labels, _ = CASES[3].batch()
    assert torch.equal(MarginMSELoss()(columns, labels), MarginMSELoss()(columns, labels[:, 0]))


def test_divergence_by_hand():
    # the student sees no difference, the teacher has three times the odds for the positive
    query, positive, negative = rows([1, 0]), rows([2, 5]), rows([2, -3])
    value = DistillKLDivLoss()([query, positive, negative], torch.tensor([[math.log(3)]]))
    assert value.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    # of the positive alone there is nothing to learn
    assert DistillKLDivLoss()([query, positive, negative], torch.tensor([[math.nan]])).item() == 0


@pytest.mark.parametrize("margin", [1e4, -1e4])
def test_certain_teacher_has_a_finite_loss_and_gradient(margin):
    columns = [column.requires_grad_() for column in (rows([1, 2]), rows([3, 1]), rows([0, 2]))]
    value = DistillKLDivLoss()(columns, torch.tensor([[margin]]))
    value.backward()
    assert value.isfinite()
    assert all(column.grad.isfinite().all() for column in columns)
    assert columns[0].grad.any()


@pytest.mark.parametrize("temperatures", [(1.0, None), (2.0, None), (0.5, 4.0)])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_divergence_equals_sentence_transformers(temperatures, similarity):
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    util = pytest.importorskip("sentence_transformers.util")
    temperature, teacher_temperature = temperatures
    loss = theirs.DistillKLDivLoss(
        None,
        getattr(util, {"dot": "pairwise_dot_score", "cosine": "pairwise_cos_sim"}[similarity]),
        temperature,
        teacher_temperature=teacher_temperature,
    )
    columns, _, _ = CASES[0].batch()
    scores = torch.randn(5, 3, dtype=torch.float64)
    expected = loss.compute_loss_from_embeddings(columns, scores)
    mine = DistillKLDivLoss(similarity, temperature, teacher_temperature)
    margins = scores[:, :1] - scores[:, 1:]
    assert mine(columns, margins).item() == pytest.approx(expected.item(), rel=1e-12)


def test_unknown_similarity_is_refused():
    with pytest.raises(InputError) as error:
        MarginMSELoss("euclidean")
    expected = "MarginMSELoss.similarity: unknown value 'euclidean'; known: cosine, dot"
    assert str(error.value) == expected


def test_embeddings_by_hand():
    text, translation, teacher = rows([1, 0]), rows([0, 2]), rows([0, 0])
    # the squared distances are 1 and 4, of 2 columns and 2 numbers
    assert EmbeddingMSELoss()([text, translation], teacher).item() == (1 + 4) / 4
    paper = ((text - teacher) ** 2 + (translation - teacher) ** 2).sum(dim=1).mean()
    assert EmbeddingMSELoss()([text, translation], teacher) == paper / (2 * 2)


def test_embeddings_as_sentence_transformers():
    theirs = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
    loss = theirs.MSELoss(torch.nn.Identity())
    columns, labels, _ = CASES[-1].batch()
    expected = loss.compute_loss_from_embeddings(columns, [labels, labels])
    assert EmbeddingMSELoss()(columns, labels).item() == pytest.approx(expected.item(), rel=1e-12)


def test_embeddings_have_one_size():
    with pytest.raises(InputError) as error:
        MatryoshkaLoss(EmbeddingMSELoss(), [6, 3])
    expected = "MatryoshkaLoss.loss: EmbeddingMSELoss compares embeddings at full size only"
    assert str(error.value) == expected
