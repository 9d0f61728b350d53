"""Ranking losses: each rewritten as a plain loop; false negatives, missing texts, limits, gradients, sizes of an embedding."""

import math

import pytest
import torch

from sbert import InputError
from sbert.losses import distillation, matryoshka, ranking, similarity
from sbert.losses.base import JointLoss, Loss
from sbert.losses.distillation import MarginMSELoss
from sbert.losses.matryoshka import MatryoshkaLoss
from sbert.losses.ranking import MultipleNegativesRankingLoss
from sbert.losses.similarity import AnglELoss, CoSENTLoss, CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss

B, H = 5, 6


def cos(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
        sum(x * x for x in a) * sum(y * y for y in b)
    )


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def angle(u, v):
    half = len(u) // 2
    w = sum(
        complex(u[k], u[k + half]) * complex(v[k], v[k + half]).conjugate() for k in range(half)
    )
    return abs(w.real + w.imag) / math.sqrt(dot(u, u) * dot(v, v))


def ranking_loop(loss, columns, labels, texts):
    """Row by row, with sets of names of texts."""
    similarity = cos if loss.similarity == "cosine" else dot

    def one_way(anchors, candidates, anchor_names, positive_names, candidate_names):
        total = 0.0
        for i, anchor in enumerate(anchors):
            known = {anchor_names[i]} | {
                p for a, p in zip(anchor_names, positive_names, strict=True) if a == anchor_names[i]
            }
            kept = [
                c
                for c, name in enumerate(candidate_names)
                if c == i or (name != -1 and name not in known)
            ]
            logits = [loss.scale * similarity(anchor, candidates[c]) for c in kept]
            target = loss.scale * similarity(anchor, candidates[i])
            total += math.log(sum(math.exp(z - target) for z in logits))
        return total / len(anchors)

    names = [list(column) for column in zip(*texts, strict=True)]
    found = one_way(columns[0], sum(columns[1:], []), names[0], names[1], sum(names[1:], []))
    if loss.symmetric:
        found = (found + one_way(columns[1], columns[0], names[1], names[0], names[0])) / 2
    return found


def cosent_loop(loss, columns, labels, texts):
    score = angle if isinstance(loss, AnglELoss) else cos
    scores = [score(u, v) for u, v in zip(*columns, strict=True)]
    total = 1.0
    for i in range(len(scores)):
        for j in range(len(scores)):
            if labels[i] > labels[j]:
                total += math.exp(loss.scale * (scores[j] - scores[i]))
    return math.log(total)


def margin_loop(loss, columns, labels, texts):
    similarity = cos if loss.similarity == "cosine" else dot
    total = 0.0
    for i, query in enumerate(columns[0]):
        errors = [
            (similarity(query, columns[1][i]) - similarity(query, columns[2 + k][i]) - margin) ** 2
            for k, margin in enumerate(labels[i])
            if not math.isnan(margin)
        ]
        total += sum(errors) / len(errors)
    return total / len(columns[0])


def matryoshka_loop(loss, columns, labels, texts):
    return sum(
        weight
        * REFERENCE[type(part)](
            part, [[row[:d] for row in column] for column in columns], labels, texts
        )
        for part, d, weight in zip(loss.losses, loss.dims, loss.weights, strict=True)
    )


REFERENCE = {
    MultipleNegativesRankingLoss: ranking_loop,
    CoSENTLoss: cosent_loop,
    AnglELoss: cosent_loop,
    MarginMSELoss: margin_loop,
    MatryoshkaLoss: matryoshka_loop,
}
DISTINCT = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [16, 17, 18, 19]]
# rows 0 and 1 share an anchor, 2 and 3 a positive, 4's anchor is 0's positive; 3's negative is 1's positive; some are not there
REPEATS = [[0, 1, 2, 3], [0, 5, 6, -1], [8, 9, -1, 11], [12, 9, 5, -1], [1, 17, 18, 0]]
SCORES = [0.0, 0.4, 0.4, 1.0, 0.7]
MARGINS = [[0.5, -0.2], [1.0, math.nan], [0.3, 0.1], [-0.4, math.nan], [0.0, 0.2]]
CASES = {
    "ranking": (lambda: MultipleNegativesRankingLoss(), DISTINCT, None),
    "repeats": (lambda: MultipleNegativesRankingLoss(), REPEATS, None),
    "symmetric": (lambda: MultipleNegativesRankingLoss(scale=5.0, symmetric=True), REPEATS, None),
    "dot": (lambda: MultipleNegativesRankingLoss(scale=1.0, similarity="dot"), REPEATS, None),
    "pairs alone": (lambda: MultipleNegativesRankingLoss(), [row[:2] for row in REPEATS], None),
    "CoSENT": (lambda: CoSENTLoss(), [row[:2] for row in DISTINCT], SCORES),
    "AnglE": (lambda: AnglELoss(scale=3.0), [row[:2] for row in DISTINCT], SCORES),
    "margins": (lambda: MarginMSELoss(), DISTINCT, MARGINS),
    "margins of cosines": (lambda: MarginMSELoss("cosine"), DISTINCT, MARGINS),
    "Matryoshka ranking": (
        lambda: MatryoshkaLoss(MultipleNegativesRankingLoss(), [6, 2, 4], [1, 0.5, 2]),
        REPEATS,
        None,
    ),
    "Matryoshka CoSENT": (
        lambda: MatryoshkaLoss(CoSENTLoss(), [2, 6]),
        [row[:2] for row in DISTINCT],
        SCORES,
    ),
    "Matryoshka margins": (lambda: MatryoshkaLoss(MarginMSELoss(), [6, 3]), DISTINCT, MARGINS),
}


def case(name, seed=0):
    make, texts, labels = CASES[name]
    g = torch.Generator().manual_seed(seed)
    # equal texts have equal embeddings, as a model gives them
    embeddings = torch.randn(20, H, generator=g, dtype=torch.float64)
    columns = [embeddings[[row[c] for row in texts]] for c in range(len(texts[0]))]
    labels = None if labels is None else torch.tensor(labels, dtype=torch.float64)
    return make().bind(H), columns, labels, torch.tensor(texts)


def value(loss, columns, labels, texts):
    return loss(columns, labels, texts)


def test_every_loss_is_rewritten_here():
    kinds = {
        kind
        for module in (ranking, similarity, distillation, matryoshka)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Loss)
        if kind not in (Loss, JointLoss, CosineSimilarityLoss)
    }
    assert kinds == set(REFERENCE) == {type(make()) for make, *_ in CASES.values()}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_the_plain_loop(name, seed):
    loss, columns, labels, texts = case(name, seed)
    expected = REFERENCE[type(loss)](
        loss,
        [c.tolist() for c in columns],
        None if labels is None else labels.tolist(),
        texts.tolist(),
    )
    assert expected > 0
    assert value(loss, columns, labels, texts).item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_gradcheck(name):
    loss, columns, labels, texts = case(name)
    columns = [c.clone().requires_grad_() for c in columns]
    assert torch.autograd.gradcheck(lambda *c: value(loss, c, labels, texts), columns)


@pytest.mark.parametrize("name", CASES)
def test_half_types_are_lifted_and_autocast_is_off(name):
    loss, columns, labels, texts = case(name)
    low = [c.bfloat16() for c in columns]
    with torch.autocast("cpu", torch.bfloat16):
        found = value(loss, low, labels, texts)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, value(loss, [c.float() for c in low], labels, texts))


@pytest.mark.parametrize("name", CASES)
def test_order_of_rows_means_nothing(name):
    loss, columns, labels, texts = case(name)
    order = torch.tensor([3, 0, 4, 2, 1])
    moved = value(
        loss, [c[order] for c in columns], labels if labels is None else labels[order], texts[order]
    )
    torch.testing.assert_close(moved, value(loss, columns, labels, texts))


@pytest.mark.parametrize("name", ["ranking", "repeats", "symmetric", "dot"])
def test_what_stands_for_a_missing_text_means_nothing(name):
    loss, columns, labels, texts = case(name)
    other = [c.masked_fill((texts[:, i] < 0)[:, None], 7.0) for i, c in enumerate(columns)]
    assert torch.equal(value(loss, other, labels, texts), value(loss, columns, labels, texts))


def test_without_numbers_all_texts_differ():
    loss, columns, labels, texts = case("ranking")
    assert torch.equal(loss(columns), value(loss, columns, labels, texts))


def test_hand_arithmetic_of_the_ranking():
    """Two rows with orthogonal anchors that equal their positives: -log e^s / (e^s + 1)."""
    eye = torch.eye(2)
    loss = MultipleNegativesRankingLoss(scale=3.0)
    assert loss([eye, eye]).item() == pytest.approx(math.log(1 + math.exp(-3)), rel=1e-6)
    assert MultipleNegativesRankingLoss(scale=0.0)([eye, eye]).item() == pytest.approx(math.log(2))


def test_a_false_negative_is_not_trained_on():
    """Row 1's positive is row 0's text: without the mask it would be pushed away from anchor 0."""
    anchors, positives = torch.eye(2), torch.tensor([[1.0, 0], [1.0, 0]])
    loss = MultipleNegativesRankingLoss()
    assert loss([anchors, positives], None, torch.tensor([[0, 1], [2, 1]])).item() == 0
    assert loss([anchors, positives], None, torch.tensor([[0, 1], [2, 3]])).item() == pytest.approx(
        math.log(2)
    )


def test_cosent_knows_the_order_of_the_labels_alone():
    loss, columns, labels, texts = case("CoSENT")
    assert torch.equal(loss(columns, labels), loss(columns, labels**3 * 7 - 2))
    assert loss(columns, torch.ones(B)).item() == 0
    # far apart in the right order: nothing left to learn
    u = torch.tensor([[1.0, 0], [1.0, 0]])
    assert loss(
        [u, torch.tensor([[1.0, 0], [-1.0, 0]])], torch.tensor([1.0, 0])
    ).item() == pytest.approx(0, abs=1e-6)
    assert loss(
        [u, torch.tensor([[-1.0, 0], [1.0, 0]])], torch.tensor([1.0, 0])
    ).item() == pytest.approx(40, rel=1e-6)


def test_angle_of_hand_typed_vectors():
    """u = 1 + 2i, v = 3 - i: u conj(v) = (1 + 2i)(3 + i) = 1 + 7i, so the score is 8 / (sqrt 5 sqrt 10)."""
    score = AnglELoss().score(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -1.0]]))
    assert score.item() == pytest.approx(8 / math.sqrt(50))


def test_zeros_have_finite_gradients():
    for loss in (AnglELoss(), CoSENTLoss(), MultipleNegativesRankingLoss()):
        u = torch.zeros(2, 4, requires_grad=True)
        loss([u, torch.ones(2, 4)], torch.tensor([1.0, 0])).backward()
        assert u.grad.isfinite().all()


def test_matryoshka_of_one_size_is_the_loss():
    loss, columns, labels, texts = case("symmetric")
    one = MatryoshkaLoss(loss, [H]).bind(H)
    assert torch.equal(value(one, columns, None, texts), value(loss, columns, None, texts))
    assert (one.joint, one.ragged, one.target) == (True, True, None)
    assert isinstance(one.whole, MultipleNegativesRankingLoss)


def test_matryoshka_gives_every_size_a_head_of_its_own():
    loss = MatryoshkaLoss(SoftmaxLoss(3), [2, H, 4]).bind(H)
    assert [part.head.in_features for part in loss.losses] == [6, 18, 12]
    assert loss.whole is loss.losses[1]
    assert (loss.joint, loss.target) == (False, "class")
    plain = CosineSimilarityLoss()
    assert plain.whole is plain


@pytest.mark.parametrize(("make", "message"), [
    (lambda: MultipleNegativesRankingLoss(similarity="euclidean"), "similarity euclidean: known are cosine and dot"),
    (lambda: MarginMSELoss("euclidean"), "similarity euclidean: known are dot and cosine"),
    (lambda: MatryoshkaLoss(CoSENTLoss(), []), "different sizes from 1 up"),
    (lambda: MatryoshkaLoss(CoSENTLoss(), [6, 6]), "different sizes from 1 up"),
    (lambda: MatryoshkaLoss(CoSENTLoss(), [6, 0]), "different sizes from 1 up"),
    (lambda: MatryoshkaLoss(CoSENTLoss(), [6, 3], [1]), "1 weights for 2 dims"),
    (lambda: MatryoshkaLoss(CoSENTLoss(), [3]).bind(6), "the largest of dims is 3; the model's embeddings have 6"),
    (lambda: AnglELoss()([torch.ones(2, 3)] * 2, torch.tensor([0.0, 1])), "embeddings of 3 numbers; it needs an even number"),
])  # fmt: skip
def test_bad_input(make, message):
    with pytest.raises(InputError, match=message):
        make()
