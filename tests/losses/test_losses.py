"""Losses: each rewritten as a plain loop over rows and dimensions; hand arithmetic, limits, gradients, half types."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from torch.func import functional_call

from sbert.errors import InputError
from sbert.losses import JointLoss, MarginMSELoss, MatryoshkaLoss, PairLoss
from sbert.losses.base import Loss
from sbert.losses.contrastive import ContrastiveLoss, TripletLoss
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss

B, H = 4, 3
# the seven rows of the upper part of table 6 of the Sentence-BERT paper
CONCATENATIONS = [
    ("u", "v"),
    ("|u-v|",),
    ("u*v",),
    ("|u-v|", "u*v"),
    ("u", "v", "u*v"),
    ("u", "v", "|u-v|"),
    ("u", "v", "|u-v|", "u*v"),
]


# the references: lists of floats in, one float out


def cos(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / (math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b)))


def dist(a, b, kind):
    if kind == "cosine":
        return 1 - cos(a, b)
    differences = [abs(x - y) for x, y in zip(a, b, strict=True)]
    return sum(differences) if kind == "manhattan" else math.sqrt(sum(d * d for d in differences))


def cosine_loop(loss, columns, labels):
    u, v = columns
    scale, shift = loss.scale.item(), loss.shift.item()
    return sum((scale * cos(u[i], v[i]) + shift - labels[i]) ** 2 for i in range(len(u))) / len(u)


def softmax_loop(loss, columns, labels):
    weight, bias = loss.head.weight.tolist(), loss.head.bias.tolist()
    total = 0.0
    for u, v, label in zip(*columns, labels, strict=True):
        features = []
        for part in loss.concatenation:
            for x, y in zip(u, v, strict=True):
                features.append({"u": x, "v": y, "|u-v|": abs(x - y), "u*v": x * y}[part])
        logits = [
            b + sum(w * f for w, f in zip(row, features, strict=True))
            for row, b in zip(weight, bias, strict=True)
        ]
        total -= math.log(math.exp(logits[label]) / sum(math.exp(z) for z in logits))
    return total / len(labels)


def triplet_loop(loss, columns, labels):
    total = 0.0
    for a, p, n in zip(*columns, strict=True):
        total += max(dist(a, p, loss.distance) - dist(a, n, loss.distance) + loss.margin, 0.0)
    return total / len(columns[0])


def contrastive_loop(loss, columns, labels):
    total = 0.0
    for u, v, y in zip(*columns, labels, strict=True):
        d = dist(u, v, loss.distance)
        total += d**2 / 2 if y == 1 else max(loss.margin - d, 0.0) ** 2 / 2
    return total / len(labels)


REFERENCE = {
    CosineSimilarityLoss: cosine_loop,
    SoftmaxLoss: softmax_loop,
    TripletLoss: triplet_loop,
    ContrastiveLoss: contrastive_loop,
}


@dataclass
class Case:
    """A loss with its options. The margins are such that random rows fall on both sides of them."""

    kind: type[Loss]
    options: dict = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.kind.__name__, *map(str, self.options.values())])

    def loss(self, dtype=torch.float64) -> Loss:
        torch.manual_seed(1)
        loss = self.kind(**self.options).bind(H).to(dtype)
        if "learnable_scale" in self.options:
            loss.scale.data.fill_(0.7)
            loss.shift.data.fill_(0.2)
        return loss

    def batch(self, seed=0, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        columns = [
            torch.randn(B, H, generator=generator, dtype=torch.float64).to(dtype)
            for _ in range(self.kind.columns)
        ]
        labels = {
            "score": torch.rand(B, generator=generator, dtype=torch.float64).float(),
            "binary": torch.tensor([0.0, 1.0, 1.0, 0.0]),
            "class": torch.tensor([2, 0, 1, 1]),
            None: None,
        }[self.kind.target]
        return columns, labels


CASES = [
    Case(CosineSimilarityLoss),
    Case(CosineSimilarityLoss, {"learnable_scale": True}),
    *(Case(SoftmaxLoss, {"concatenation": parts}) for parts in CONCATENATIONS),
    Case(TripletLoss),
    Case(TripletLoss, {"margin": 0.4, "distance": "euclidean"}),
    Case(TripletLoss, {"margin": 0.8, "distance": "manhattan"}),
    Case(TripletLoss, {"margin": 0.2, "distance": "cosine"}),
    Case(ContrastiveLoss),
    Case(ContrastiveLoss, {"margin": 1.1, "distance": "cosine"}),
    Case(ContrastiveLoss, {"margin": 3.0, "distance": "euclidean"}),
    Case(ContrastiveLoss, {"margin": 4.0, "distance": "manhattan"}),
]

COSINES = ("cosine", CosineSimilarityLoss)

every_loss = pytest.mark.parametrize("case", CASES, ids=str)


def rows(*vectors):
    return torch.tensor(vectors, dtype=torch.float64)


def concrete(kind=Loss):
    """Every subclass written in sbert.losses that is not itself a base."""
    found = [k for sub in kind.__subclasses__() for k in [sub, *concrete(sub)]]
    others = (JointLoss, PairLoss, MarginMSELoss, MatryoshkaLoss)
    return [
        k
        for k in found
        if not (issubclass(k, others) or k.__abstractmethods__)
        and k.__module__.startswith("sbert.losses")
    ]


# what holds for every loss


def test_every_loss_is_rewritten_here():
    assert set(concrete()) == set(REFERENCE) == {case.kind for case in CASES}


@pytest.mark.parametrize("kind", concrete())
def test_every_loss_says_what_it_reads(kind):
    assert kind.columns in (2, 3)
    assert kind.target in ("score", "binary", "class", None)
    assert kind.__doc__  # not inherited: a subclass without one has None


def test_the_base_is_abstract():
    with pytest.raises(TypeError):
        Loss()


@every_loss
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_plain_loop(case, seed):
    loss, (columns, labels) = case.loss(), case.batch(seed)
    expected = REFERENCE[case.kind](
        loss, [c.tolist() for c in columns], None if labels is None else labels.tolist()
    )
    assert expected > 0
    assert loss(columns, labels).shape == ()
    assert loss(columns, labels).item() == pytest.approx(expected, rel=1e-12)


@every_loss
def test_gradcheck(case):
    """With respect to the embeddings and, where the loss has them, its weights."""
    loss, (columns, labels) = case.loss(), case.batch()
    names = [name for name, p in loss.named_parameters() if p.requires_grad]
    weights = [p.detach().clone().requires_grad_() for p in loss.parameters() if p.requires_grad]

    def value(*inputs):
        mine = dict(zip(names, inputs[len(columns) :], strict=True))
        return functional_call(loss, mine, (inputs[: len(columns)], labels))

    assert torch.autograd.gradcheck(value, [c.requires_grad_() for c in columns] + weights)


@every_loss
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_types_are_computed_in_fp32(case, half, autocast):
    loss, (columns, labels) = case.loss(torch.float32), case.batch(dtype=half)
    expected = loss([c.float() for c in columns], labels)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(columns, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


@every_loss
def test_autocast_around_fp32_changes_nothing(case):
    loss, (columns, labels) = case.loss(torch.float32), case.batch(dtype=torch.float32)
    for c in columns:
        c.requires_grad_()
    expected = torch.autograd.grad(loss(columns, labels), columns)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(columns, labels)
        assert torch.is_autocast_enabled("cpu")  # off inside alone
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(columns, labels))
    for mine, theirs in zip(torch.autograd.grad(value, columns), expected, strict=True):
        assert torch.equal(mine, theirs)


@every_loss
def test_gradients_reach_a_bf16_encoder(case):
    loss, (columns, labels) = case.loss(torch.float32), case.batch(dtype=torch.bfloat16)
    for c in columns:
        c.requires_grad_()
    loss(columns, labels).backward()
    assert all(c.grad.dtype == torch.bfloat16 and c.grad.isfinite().all() for c in columns)
    assert any(c.grad.any() for c in columns)


@every_loss
def test_order_of_the_rows_does_not_matter(case):
    loss, (columns, labels) = case.loss(), case.batch()
    order = torch.tensor([3, 0, 1, 2])
    shuffled = loss([c[order] for c in columns], labels if labels is None else labels[order])
    assert shuffled.item() == pytest.approx(loss(columns, labels).item(), rel=1e-13)


@every_loss
def test_is_the_mean_over_rows(case):
    loss, (columns, labels) = case.loss(), case.batch()
    alone = [
        loss(
            [c[i : i + 1] for c in columns], labels if labels is None else labels[i : i + 1]
        ).item()
        for i in range(B)
    ]
    assert loss(columns, labels).item() == pytest.approx(sum(alone) / B, rel=1e-13)


@pytest.mark.parametrize(
    "case", [c for c in CASES if getattr(c.loss(), "distance", c.kind) in COSINES], ids=str
)
def test_cosine_losses_ignore_the_length_of_vectors(case):
    loss, (columns, labels) = case.loss(), case.batch()
    factors = torch.linspace(0.01, 100, B, dtype=torch.float64)[:, None]
    scaled = loss([c * factors.roll(i, 0) for i, c in enumerate(columns)], labels)
    assert scaled.item() == pytest.approx(loss(columns, labels).item(), rel=1e-12)


@every_loss
@pytest.mark.parametrize("same", [0.0, 1.0])
def test_equal_and_zero_vectors_have_finite_gradients(case, same):
    loss, (_, labels) = case.loss(), case.batch()
    columns = [
        torch.full((B, H), same, dtype=torch.float64, requires_grad=True)
        for _ in range(case.kind.columns)
    ]
    loss(columns, labels).backward()
    assert all(c.grad.isfinite().all() for c in columns)


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


# SoftmaxLoss


@pytest.mark.parametrize("parts", CONCATENATIONS, ids=" ".join)
@pytest.mark.parametrize("classes", [2, 3])
def test_head_has_one_block_of_weights_a_part(parts, classes):
    loss = SoftmaxLoss(classes, parts).bind(H)
    assert loss.head.weight.shape == (classes, len(parts) * H)
    u, v = torch.randn(B, H), torch.randn(B, H)
    assert loss.logits(u, v).shape == (B, classes)


@pytest.mark.parametrize("parts", CONCATENATIONS, ids=" ".join)
def test_parts_lie_in_the_order_given(parts):
    u, v = rows([3, -2]), rows([1, 4])
    values = {"u": [3, -2], "v": [1, 4], "|u-v|": [2, 6], "u*v": [3, -8]}
    loss = SoftmaxLoss(2 * len(parts), parts).bind(2).double()
    loss.head.weight.data = torch.eye(
        2 * len(parts), dtype=torch.float64
    )  # the logits are the features
    loss.head.bias.data.zero_()
    assert loss.logits(u, v).tolist() == [[x for part in parts for x in values[part]]]


def test_softmax_by_hand():
    loss = SoftmaxLoss(2, ["u*v"]).bind(1).double()
    loss.head.weight.data = rows([1], [0])
    loss.head.bias.data = torch.tensor([0.0, math.log(3)], dtype=torch.float64)
    # u*v = 0: probabilities 1/4, 3/4; u*v = log 3: 1/2, 1/2
    u, v = rows([5], [math.log(3)]), rows([0], [1])
    assert loss([u, v], torch.tensor([1, 0])).item() == pytest.approx(
        (math.log(4 / 3) + math.log(2)) / 2
    )


def test_zero_head_costs_log_of_the_number_of_classes():
    case = Case(SoftmaxLoss, {"num_labels": 3})
    loss, (columns, labels) = case.loss(), case.batch()
    for p in loss.parameters():
        p.data.zero_()
    assert loss(columns, labels).item() == pytest.approx(math.log(3))


def test_head_gets_gradients():
    case = Case(SoftmaxLoss)
    loss, (columns, labels) = case.loss(), case.batch()
    loss(columns, labels).backward()
    assert all(p.grad.any() for p in loss.parameters())
    # a softmax's gradients cancel over the classes
    torch.testing.assert_close(loss.head.bias.grad.sum(), torch.zeros((), dtype=torch.float64))


def test_binding_twice_keeps_the_weights():
    loss = SoftmaxLoss()
    assert list(loss.parameters()) == []
    assert loss.bind(H) is loss
    head = loss.head
    assert loss.bind(H).head is head


def test_the_default_is_the_papers():
    loss = SoftmaxLoss()
    assert (loss.num_labels, loss.concatenation) == (3, ["u", "v", "|u-v|"])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"concatenation": ["u", "w"]}, ["'w'", "u, v, |u-v|, u*v"]),
        ({"concatenation": []}, ["[]", "u, v, |u-v|, u*v"]),
        ({"num_labels": 1}, ["num_labels is 1", "2 or more"]),
        ({"num_labels": 0}, ["num_labels is 0", "2 or more"]),
    ],
    ids=str,
)
def test_softmax_refuses_what_it_cannot_build(options, named):
    with pytest.raises(InputError) as error:
        SoftmaxLoss(**options)
    assert all(text in str(error.value) for text in ["SoftmaxLoss", *named])


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


@pytest.mark.parametrize("distance", ["euclidean", "manhattan", "cosine"])
def test_triplet_is_zero_from_the_margin_on(distance):
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


@pytest.mark.parametrize("distance", ["euclidean", "manhattan", "cosine"])
def test_anchor_equal_to_positive_has_finite_gradients(distance):
    anchor, negative = rows([1, 2], [0, 3]).requires_grad_(), rows([2, 1], [1, 3]).requires_grad_()
    TripletLoss(5.0, distance)([anchor, anchor, negative]).backward()
    assert anchor.grad.isfinite().all()
    assert negative.grad.isfinite().all()
    assert negative.grad.any()


# ContrastiveLoss


def test_contrastive_by_hand():
    u, v = (
        rows([1, 0], [1, 0], [1, 0]),
        rows([3, 4], [3, 4], [0, 1]),
    )  # cosine distances 0.4, 0.4, 1
    value = ContrastiveLoss(margin=0.5)([u, v], torch.tensor([1, 0, 0]))
    assert value.item() == pytest.approx((0.4**2 + 0.1**2 + 0.0) / 2 / 3)


@pytest.mark.parametrize("distance", ["euclidean", "manhattan", "cosine"])
def test_identical_similar_and_far_dissimilar_pairs_cost_nothing(distance):
    u = rows([3, 4], [0, 5])
    v = rows([3, 4], [5, 0])  # the second pair at 7.07, 10 and 1
    assert ContrastiveLoss(0.5, distance)([u, v], torch.tensor([1, 0])).item() == pytest.approx(
        0, abs=1e-30
    )
    # and the other way round: margin^2 / 2 for identical vectors said to differ
    wrong = ContrastiveLoss(0.5, distance)([u[:1], v[:1]], torch.tensor([0])).item()
    assert wrong == pytest.approx(0.5**2 / 2)


@pytest.mark.parametrize("kind", [torch.int64, torch.float32, torch.float64, torch.bool])
def test_contrastive_reads_labels_of_any_type(kind):
    case = Case(ContrastiveLoss, {"margin": 1.1})
    loss, (columns, labels) = case.loss(), case.batch()
    assert loss(columns, labels.to(kind)).item() == loss(columns, labels).item()


def test_far_dissimilar_pairs_have_zero_gradient():
    u, v = rows([0, 0]).requires_grad_(), rows([3, 4]).requires_grad_()
    ContrastiveLoss(4.0, "euclidean")([u, v], torch.tensor([0])).backward()
    assert u.grad.eq(0).all()
    assert v.grad.eq(0).all()
