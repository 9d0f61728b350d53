"""In-batch negatives: plain loop, false negatives, missing texts, limits."""

import math

import pytest
import torch
from loss_checks import (
    FOUR_TEXTS,
    LossCase,
    LossChecks,
    case_losses,
    cos,
    defined_losses,
    dot,
)

from sbert.errors import InputError
from sbert.losses.ranking import MultipleNegativesRankingLoss, known_positives

# rows 0 and 1 share an anchor, 2 and 3 a positive; 4's anchor is 0's positive; 3's negative is 1's
# positive; some are missing
REPEATS = [[0, 1, 2, 3], [0, 5, 6, -1], [8, 9, -1, 11], [12, 9, 5, -1], [1, 17, 18, 0]]


def fitting_texts(anchor, anchor_ids, positive_ids):
    """The anchor, and the positives of all rows that have it."""
    fitting = {anchor}
    for other, positive in zip(anchor_ids, positive_ids, strict=True):
        if other == anchor:
            fitting.add(positive)
    return fitting


def one_direction(loss, anchors, candidates, anchor_ids, positive_ids, candidate_ids):
    similarity = cos if loss.similarity == "cosine" else dot
    total = 0.0
    for i, anchor in enumerate(anchors):
        fitting = fitting_texts(anchor_ids[i], anchor_ids, positive_ids)
        target = loss.scale * similarity(anchor, candidates[i])
        partition = 0.0
        for c, text in enumerate(candidate_ids):
            if c == i or (text != -1 and text not in fitting):
                partition += math.exp(loss.scale * similarity(anchor, candidates[c]) - target)
        total += math.log(partition)
    return total / len(anchors)


def ranking_loop(loss, columns, labels, texts):
    ids = [list(column) for column in zip(*texts, strict=True)]
    candidates, candidate_ids = sum(columns[1:], []), sum(ids[1:], [])
    value = one_direction(loss, columns[0], candidates, ids[0], ids[1], candidate_ids)
    if loss.symmetric:
        back = one_direction(loss, columns[1], columns[0], ids[1], ids[0], ids[0])
        value = (value + back) / 2
    return value


def ranking_case(name, texts, **options):
    return LossCase(name, lambda: MultipleNegativesRankingLoss(**options), ranking_loop, texts)


DISTINCT = ranking_case("distinct", FOUR_TEXTS)
CASES = [
    DISTINCT,
    ranking_case("repeats", REPEATS),
    ranking_case("symmetric", REPEATS, scale=5.0, symmetric=True),
    ranking_case("dot", REPEATS, scale=1.0, similarity="dot"),
    ranking_case("pairs alone", [row[:2] for row in REPEATS]),
]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


class TestEveryCase(LossChecks):
    pass


def test_every_loss_of_the_file_has_cases():
    assert case_losses(CASES) == defined_losses("ranking")


def test_without_ids_all_texts_differ():
    loss = DISTINCT.loss()
    columns, _, texts = DISTINCT.batch()
    assert torch.equal(loss(columns), loss(columns, None, texts))


def test_ranking_by_hand():
    """Two rows with orthogonal anchors that equal their positives: -log e^s / (e^s + 1)."""
    eye = torch.eye(2)
    loss = MultipleNegativesRankingLoss(scale=3.0)
    assert loss([eye, eye]).item() == pytest.approx(math.log(1 + math.exp(-3)), rel=1e-6)
    flat = MultipleNegativesRankingLoss(scale=1e-12)
    assert flat([eye, eye]).item() == pytest.approx(math.log(2))


def test_a_false_negative_is_not_trained_on():
    """Row 1's positive is row 0's text: without the mask it would be pushed away from anchor 0."""
    columns = [torch.eye(2), torch.tensor([[1.0, 0], [1.0, 0]])]
    loss = MultipleNegativesRankingLoss()
    assert loss(columns, None, torch.tensor([[0, 1], [2, 1]])).item() == 0
    value = loss(columns, None, torch.tensor([[0, 1], [2, 3]])).item()
    assert value == pytest.approx(math.log(2))


def test_known_positives_by_hand():
    anchors, positives = torch.tensor([7, 7, 9]), torch.tensor([4, 5, 7])
    candidates = torch.tensor([4, 5, 7, 9, 8, -1])
    assert known_positives(anchors, positives, candidates).int().tolist() == [
        [1, 1, 1, 0, 0, 0],  # both positives of 7, and 7
        [1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],  # the positive of 9, and 9
    ]


@pytest.mark.parametrize("seed", range(5))
def test_known_positives_equal_the_plain_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    anchors, positives = torch.randint(6, (2, 8), generator=generator)
    candidates = torch.randint(-1, 6, (20,), generator=generator)
    expected = []
    for anchor in anchors.tolist():
        fitting = fitting_texts(anchor, anchors.tolist(), positives.tolist())
        expected.append([text in fitting for text in candidates.tolist()])
    assert known_positives(anchors, positives, candidates).tolist() == expected


def test_zeros_have_finite_gradients():
    u = torch.zeros(2, 4, requires_grad=True)
    MultipleNegativesRankingLoss()([u, torch.ones(2, 4)]).backward()
    assert u.grad.isfinite().all()


def test_unknown_similarity_is_refused():
    with pytest.raises(InputError) as error:
        MultipleNegativesRankingLoss(similarity="euclidean")
    assert str(error.value) == (
        "MultipleNegativesRankingLoss.similarity: unknown value 'euclidean'; known: cosine, dot"
    )
