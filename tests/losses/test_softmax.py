"""The classification objective: plain loop, the concatenations of the paper, its head."""

import math

import pytest
import torch
from loss_checks import (
    ONE_TEXT,
    TWO_TEXTS,
    LossCase,
    LossChecks,
    case_losses,
    defined_losses,
    rows,
)

from sbert.errors import InputError
from sbert.losses.softmax import SoftmaxLoss

B, H = 5, 3
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


def softmax_loop(loss, columns, labels, texts):
    weight, bias = loss.head.weight.tolist(), loss.head.bias.tolist()
    total = 0.0
    first, second = columns * 2 if len(columns) == 1 else columns
    for u, v, label in zip(first, second, labels, strict=True):
        features = []
        for part in loss.concatenation:
            for x, y in zip(u, v, strict=True):
                features.append({"u": x, "v": y, "|u-v|": abs(x - y), "u*v": x * y}[part])
        logits = []
        for row, b in zip(weight, bias, strict=True):
            logits.append(b + sum(w * f for w, f in zip(row, features, strict=True)))
        total -= math.log(math.exp(logits[label]) / sum(math.exp(z) for z in logits))
    return total / len(labels)


def softmax_case(parts=CONCATENATIONS[5], texts=TWO_TEXTS):
    return LossCase(
        " ".join(parts),
        lambda: SoftmaxLoss(concatenation=parts),
        softmax_loop,
        texts,
        [2, 0, 1, 1, 0],
        dim=H,
    )


CASES = [softmax_case(parts) for parts in CONCATENATIONS] + [softmax_case(("u",), ONE_TEXT)]


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return request.param


class TestEveryCase(LossChecks):
    pass


def test_every_loss_of_the_file_has_cases():
    assert case_losses(CASES) == defined_losses("softmax")


@pytest.mark.parametrize("parts", CONCATENATIONS, ids=" ".join)
@pytest.mark.parametrize("classes", [2, 3])
def test_head_has_one_block_of_weights_a_part(parts, classes):
    loss = SoftmaxLoss(classes, parts).bind(H)
    assert loss.head.weight.shape == (classes, len(parts) * H)
    u, v = torch.randn(B, H), torch.randn(B, H)
    assert loss.logits(u, v).shape == (B, classes)


@pytest.mark.parametrize("parts", CONCATENATIONS, ids=" ".join)
def test_parts_are_concatenated_in_the_order_given(parts):
    u, v = rows([3, -2]), rows([1, 4])
    values = {"u": [3, -2], "v": [1, 4], "|u-v|": [2, 6], "u*v": [3, -8]}
    size = 2 * len(parts)
    loss = SoftmaxLoss(size, parts).bind(2).double()
    loss.head.weight.data = torch.eye(size, dtype=torch.float64)  # the logits are the features
    loss.head.bias.data.zero_()
    assert loss.logits(u, v).tolist() == [[x for part in parts for x in values[part]]]


def test_softmax_by_hand():
    loss = SoftmaxLoss(2, ["u*v"]).bind(1).double()
    loss.head.weight.data = rows([1], [0])
    loss.head.bias.data = torch.tensor([0.0, math.log(3)], dtype=torch.float64)
    # u*v = 0: probabilities 1/4, 3/4; u*v = log 3: 1/2, 1/2
    u, v = rows([5], [math.log(3)]), rows([0], [1])
    value = loss([u, v], torch.tensor([1, 0])).item()
    assert value == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


@pytest.mark.parametrize(
    ("parts", "columns"), [(["u"], 1), (["v"], 2), (["u", "v"], 2), (["u*v"], 2)], ids=str
)
def test_it_reads_as_many_texts_as_its_parts_name(parts, columns):
    assert SoftmaxLoss(concatenation=parts).columns == columns


def test_one_text_by_hand():
    loss = SoftmaxLoss(2, ["u"]).bind(1).double()
    loss.head.weight.data = rows([1], [0])
    loss.head.bias.data.zero_()
    # probabilities of the first class: 3/4 and 1/2
    value = loss([rows([math.log(3)], [0])], torch.tensor([0, 1])).item()
    assert value == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_zero_head_costs_log_of_the_number_of_classes():
    case = softmax_case()
    loss = case.loss()
    columns, labels, _ = case.batch()
    for p in loss.parameters():
        p.data.zero_()
    assert loss(columns, labels).item() == pytest.approx(math.log(3))


def test_head_gets_gradients():
    case = softmax_case()
    loss = case.loss()
    columns, labels, _ = case.batch()
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
        ({"concatenation": ["u", "w"]}, ["SoftmaxLoss.concatenation", "'w'", "u, v, |u-v|, u*v"]),
        ({"concatenation": []}, ["SoftmaxLoss.concatenation", "[]", "u, v, |u-v|, u*v"]),
        ({"num_labels": 1}, ["SoftmaxLoss.num_labels is 1", "2 or more"]),
        ({"num_labels": 0}, ["SoftmaxLoss.num_labels is 0", "2 or more"]),
    ],
    ids=str,
)
def test_invalid_options_are_refused(options, named):
    with pytest.raises(InputError) as error:
        SoftmaxLoss(**options)
    assert all(text in str(error.value) for text in named)
