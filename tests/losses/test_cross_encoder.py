"""Losses of a cross-encoder: plain loops, hand arithmetic, limits, missing candidates, half types.

And what labels of 0 to 5 do to a binary cross-entropy.
"""

import inspect
import math
from dataclasses import dataclass, field

import pytest
import torch
from loss_checks import defined_losses

from sbert.errors import InputError
from sbert.evaluation import metrics
from sbert.losses.cross_encoder import (
    BinaryCrossEntropyLoss,
    CrossEntropyLoss,
    LocalizedContrastiveLoss,
    MSELoss,
    PairLoss,
)

B = 5
MISSING = -math.inf  # the logit of a candidate that a row lacks


# the references: lists of floats in, one float out


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def binary_loop(loss, logits, labels):
    total = 0.0
    for z, y in zip(logits, labels, strict=True):
        p = sigmoid(z)
        total -= y * math.log(p) + (1 - y) * math.log(1 - p)
    return total / len(logits)


def mse_loop(loss, logits, labels):
    scores = [sigmoid(z) if loss.activation == "sigmoid" else z for z in logits]
    return sum((s - y) ** 2 for s, y in zip(scores, labels, strict=True)) / len(scores)


def softmax_cost(row, right):
    return -math.log(math.exp(row[right]) / sum(math.exp(z) for z in row))


def classes_loop(loss, logits, labels):
    return sum(softmax_cost(row, y) for row, y in zip(logits, labels, strict=True)) / len(logits)


def contrastive_loop(loss, logits, labels):
    return sum(softmax_cost([z for z in row if z != MISSING], 0) for row in logits) / len(logits)


REFERENCE = {
    BinaryCrossEntropyLoss: binary_loop,
    MSELoss: mse_loop,
    CrossEntropyLoss: classes_loop,
    LocalizedContrastiveLoss: contrastive_loop,
}


@dataclass
class Case:
    """A loss with its options, on B rows of `width` logits (None: one score a pair)."""

    loss_class: type[PairLoss]
    options: dict = field(default_factory=dict)
    width: int | None = None

    def __str__(self) -> str:
        return "-".join([self.loss_class.__name__, *map(str, self.options.values())])

    def loss(self) -> PairLoss:
        return self.loss_class(**self.options)

    def batch(self, seed=0, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        shape = (B, self.width) if self.width else (B,)
        logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
        labels = {
            "score": torch.rand(B, generator=generator, dtype=torch.float64).float(),
            "class": torch.randint(self.width or 1, (B,), generator=generator),
            None: None,
        }[self.loss_class.target]
        return logits, labels


CASES = [
    Case(BinaryCrossEntropyLoss),
    Case(MSELoss),
    Case(MSELoss, {"activation": "identity"}),
    Case(MSELoss, {"activation": "sigmoid"}),
    Case(CrossEntropyLoss, {}, 3),
    Case(CrossEntropyLoss, {"num_labels": 2}, 2),
    Case(CrossEntropyLoss, {"num_labels": 7}, 7),
    Case(LocalizedContrastiveLoss, {}, 4),
]

every_loss = pytest.mark.parametrize("case", CASES, ids=str)
SCORE_CASES = [case for case in CASES if case.loss_class.target == "score"]
softmaxes = pytest.mark.parametrize("case", [case for case in CASES if case.width], ids=str)


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


# what holds for every loss


def test_every_loss_is_rewritten_here():
    assert defined_losses("cross_encoder") == set(REFERENCE) == {case.loss_class for case in CASES}


@pytest.mark.parametrize("loss_class", REFERENCE)
def test_every_loss_says_what_it_reads_and_what_predict_makes_of_it(loss_class):
    assert loss_class.__doc__  # not inherited: a subclass without one has None
    loss = loss_class()
    if "__init__" in vars(loss_class):
        for option, parameter in inspect.signature(loss_class).parameters.items():
            # kept, so that a trained loss can be made again
            assert getattr(loss, option) == parameter.default
    reads = {
        BinaryCrossEntropyLoss: (2, False, "score", 1, "sigmoid"),
        MSELoss: (2, False, "score", 1, "identity"),
        CrossEntropyLoss: (2, False, "class", 3, "softmax"),
        LocalizedContrastiveLoss: (3, True, None, 1, "sigmoid"),
    }
    declared = loss.columns, loss.ragged, loss.target, loss.num_labels, loss.activation
    assert declared == reads[loss_class]


def test_the_base_is_abstract():
    with pytest.raises(TypeError):
        PairLoss()


@every_loss
def test_options_are_kept_and_nothing_is_trained(case):
    loss = case.loss()
    assert {name: getattr(loss, name) for name in case.options} == case.options
    assert loss.bind(7) is loss
    assert not list(loss.parameters())


@every_loss
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_the_plain_loop(case, seed):
    loss, (logits, labels) = case.loss(), case.batch(seed)
    expected = REFERENCE[case.loss_class](
        loss, logits.tolist(), None if labels is None else labels.tolist()
    )
    assert expected > 0
    assert loss(logits, labels).shape == ()
    assert loss(logits, labels).dtype == torch.float64
    assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-12)


@every_loss
def test_gradcheck(case):
    loss, (logits, labels) = case.loss(), case.batch()
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.requires_grad_())


@every_loss
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_types_are_computed_in_fp32(case, half, autocast):
    loss, (logits, labels) = case.loss(), case.batch(dtype=half)
    expected = loss(logits.float(), labels)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = loss(logits, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


def test_autocast_is_off_inside_and_on_again_after():
    class Probe(PairLoss):
        def compute(self, logits, labels):
            seen.append((logits.dtype, torch.is_autocast_enabled("cpu")))
            return logits.sum()

    seen = []
    with torch.autocast("cpu", torch.bfloat16):
        for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
            Probe()(torch.zeros(2, dtype=dtype))
        assert torch.is_autocast_enabled("cpu")
    assert seen == [(torch.float32, False)] * 3 + [(torch.float64, False)]


@every_loss
def test_gradients_reach_a_bf16_model(case):
    loss, (logits, labels) = case.loss(), case.batch(dtype=torch.bfloat16)
    loss(logits.requires_grad_(), labels).backward()
    assert logits.grad.dtype == torch.bfloat16
    assert logits.grad.isfinite().all()
    assert logits.grad.any()


@every_loss
def test_order_of_the_rows_does_not_matter(case):
    loss, (logits, labels) = case.loss(), case.batch()
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = loss(logits[order], labels if labels is None else labels[order])
    assert shuffled.item() == pytest.approx(loss(logits, labels).item(), rel=1e-13)


@every_loss
def test_is_the_mean_over_rows(case):
    loss, (logits, labels) = case.loss(), case.batch()
    alone = [
        loss(logits[i : i + 1], labels if labels is None else labels[i : i + 1]).item()
        for i in range(B)
    ]
    assert loss(logits, labels).item() == pytest.approx(sum(alone) / B, rel=1e-13)


@pytest.mark.parametrize("case", SCORE_CASES, ids=str)
@pytest.mark.parametrize("label_type", [torch.int64, torch.float32, torch.float64, torch.bool])
def test_scores_may_be_of_any_type(case, label_type):
    loss, labels = case.loss(), torch.tensor([0, 1, 1, 0, 1])
    for dtype in (torch.float32, torch.float64):
        logits, _ = case.batch(dtype=dtype)
        value = loss(logits, labels.to(label_type))
        assert value.dtype == dtype
        assert torch.equal(value, loss(logits, labels.to(dtype)))


# logits so far out that exp overflows: the loss is their distance, and nothing is inf or NaN


@pytest.mark.parametrize("z", [200.0, 1e4, 3e38])
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_logits_stay_finite(z, sign):
    for loss, logits, labels, expected in [
        (BinaryCrossEntropyLoss(), [sign * z], [0.0], z if sign > 0 else 0),
        (CrossEntropyLoss(2), [[sign * z, 0.0]], [1], z if sign > 0 else 0),
        (LocalizedContrastiveLoss(), [[0.0, sign * z]], None, z if sign > 0 else 0),
        (MSELoss("sigmoid"), [sign * z], [0.0], 1 if sign > 0 else 0),
    ]:
        logits = torch.tensor(logits, requires_grad=True)
        value = loss(logits, None if labels is None else torch.tensor(labels))
        value.backward()
        assert value.item() == pytest.approx(expected, rel=1e-6, abs=1e-30)
        assert logits.grad.isfinite().all()


# split_outputs


@pytest.mark.parametrize("loss_class", [BinaryCrossEntropyLoss, MSELoss])
@pytest.mark.parametrize("rows", [1, 3])
def test_one_logit_a_pair_becomes_a_column(loss_class, rows):
    outputs = torch.randn(rows, 1)
    assert torch.equal(
        loss_class().split_outputs(outputs, torch.ones(rows, 1, dtype=torch.bool)), outputs[:, 0]
    )
    assert loss_class().split_outputs(outputs).shape == (rows,)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("classes", [2, 4])
def test_logits_of_classes_stay_as_they_are(rows, classes):
    outputs = torch.randn(rows, classes)
    assert CrossEntropyLoss(classes).split_outputs(outputs) is outputs


def test_candidates_are_dealt_row_after_row_by_hand():
    present = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 0, 1]], dtype=torch.bool)
    outputs = f64([1], [2], [3], [4], [5], [6])
    expected = [[1, 2, 3], [4, MISSING, MISSING], [5, MISSING, 6]]
    assert LocalizedContrastiveLoss().split_outputs(outputs, present).tolist() == expected


def test_gradients_of_candidates_go_back_to_their_own_pair():
    present = torch.tensor([[1, 0, 1], [1, 1, 0]], dtype=torch.bool)
    outputs = torch.zeros(4, 1, requires_grad=True)
    weights = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    logits_of_rows = LocalizedContrastiveLoss().split_outputs(outputs, present)
    torch.where(present, logits_of_rows * weights, 0.0).sum().backward()
    assert outputs.grad.tolist() == [[1], [3], [4], [5]]


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_candidates_of_a_half_type_are_lifted(half):
    logits_of_rows = LocalizedContrastiveLoss().split_outputs(
        torch.ones(2, 1, dtype=half), torch.ones(1, 2, dtype=torch.bool)
    )
    assert (logits_of_rows.dtype, logits_of_rows.tolist()) == (torch.float32, [[1, 1]])


# BinaryCrossEntropyLoss


def test_binary_by_hand():
    # p = 3/4, 1/2, 1/5
    logits = f64(math.log(3), 0, -math.log(4))
    value = BinaryCrossEntropyLoss()(logits, torch.tensor([1.0, 0.3, 0.0])).item()
    assert value == pytest.approx((math.log(4 / 3) + math.log(2) + math.log(5 / 4)) / 3)


def entropy(y):
    return 0.0 if y in (0, 1) else -(y * math.log(y) + (1 - y) * math.log(1 - y))


def test_perfect_logits_cost_the_entropy_of_soft_labels_and_no_logits_cost_less():
    labels = f64(0.2, 0.5, 0.9)
    loss, perfect = BinaryCrossEntropyLoss(), labels.logit()
    bound = sum(map(entropy, labels.tolist())) / 3
    assert loss(perfect, labels).item() == pytest.approx(bound, rel=1e-12)
    for step in (-1, -0.01, 0.01, 1):
        assert loss(perfect + step, labels).item() > bound


def test_perfect_logits_of_hard_labels_cost_nothing_in_the_limit():
    labels, signs = f64(0, 1, 1), f64(-1, 1, 1)
    values = [BinaryCrossEntropyLoss()(size * signs, labels).item() for size in (1, 5, 20, 40)]
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] < 1e-17


def test_gradient_of_the_binary_loss_is_what_is_missing():
    logits, labels = f64(0, math.log(3)).requires_grad_(), f64(1, 0.25)
    BinaryCrossEntropyLoss()(logits, labels).backward()
    assert logits.grad.tolist() == pytest.approx([(0.5 - 1) / 2, (0.75 - 0.25) / 2])


# MSELoss


def test_mse_by_hand():
    logits, labels = f64(math.log(3), 0, -2), torch.tensor([1.0, 0.0, 0.5])
    identity = ((math.log(3) - 1) ** 2 + 0 + 2.5**2) / 3
    assert (
        MSELoss()(logits, labels).item()
        == MSELoss("identity")(logits, labels).item()
        == pytest.approx(identity)
    )
    scores = (3 / 4, 1 / 2, 1 / (1 + math.exp(2)))
    expected = ((scores[0] - 1) ** 2 + scores[1] ** 2 + (scores[2] - 0.5) ** 2) / 3
    assert MSELoss("sigmoid")(logits, labels).item() == pytest.approx(expected)


def test_perfect_scores_cost_nothing():
    labels = f64(0.1, 0.5, 0.8)
    assert MSELoss()(labels, labels).item() == 0
    assert MSELoss("sigmoid")(labels.logit(), labels).item() == pytest.approx(0, abs=1e-30)


@pytest.mark.parametrize("name", ["softmax", "Sigmoid", "", None])
def test_an_unknown_activation_is_refused(name):
    with pytest.raises(InputError) as error:
        MSELoss(activation=name)
    expected = f"MSELoss.activation: unknown value '{name}'; known: identity, sigmoid"
    assert str(error.value) == expected


# CrossEntropyLoss


def test_classes_by_hand():
    # probabilities 1/2, 1/4, 1/4 and 1/9, 3/9, 5/9
    logits = f64([math.log(2), 0, 0], [0, math.log(3), math.log(5)])
    assert CrossEntropyLoss()(logits, torch.tensor([0, 2])).item() == pytest.approx(
        (math.log(2) + math.log(9 / 5)) / 2
    )


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_equal_logits_cost_the_log_of_the_number_of_classes(classes):
    value = CrossEntropyLoss(classes)(
        torch.full((4, classes), 0.7), torch.tensor([0, 1, 1, 0])
    ).item()
    assert value == pytest.approx(math.log(classes), rel=1e-6)


def test_perfect_classes_cost_nothing_in_the_limit():
    labels = torch.tensor([2, 0, 1])
    right = torch.nn.functional.one_hot(labels).double()
    values = [CrossEntropyLoss()(size * right, labels).item() for size in (1, 5, 20, 40)]
    assert values == sorted(values, reverse=True)
    assert 0 <= values[-1] < 1e-16


@pytest.mark.parametrize("num_labels", [1, 0, -3])
def test_fewer_than_two_classes_are_refused(num_labels):
    with pytest.raises(InputError) as error:
        CrossEntropyLoss(num_labels=num_labels)
    expected = f"CrossEntropyLoss.num_labels is {num_labels}; it must be 2 or more"
    assert str(error.value) == expected


# the softmax losses


@softmaxes
def test_shifting_all_logits_of_a_row_changes_nothing(case):
    loss, (logits, labels) = case.loss(), case.batch()
    shifts = f64(-50, -1, 0, 3, 1000)[:, None]
    assert loss(logits + shifts, labels).item() == pytest.approx(
        loss(logits, labels).item(), rel=1e-11
    )


@softmaxes
def test_gradients_of_a_row_cancel(case):
    loss, (logits, labels) = case.loss(), case.batch()
    loss(logits.requires_grad_(), labels).backward()
    assert logits.grad.sum(dim=1).abs().max() < 1e-15
    assert logits.grad.ne(0).all()


# LocalizedContrastiveLoss


def test_contrastive_by_hand():
    # exp: 3 of 3 + 1 + 1 + 1, and 1 of 1 + 2 + 1 + 4
    logits = f64([math.log(3), 0, 0, 0], [0, math.log(2), 0, math.log(4)])
    assert LocalizedContrastiveLoss()(logits).item() == pytest.approx(
        (math.log(2) + math.log(8)) / 2
    )


def test_the_first_candidate_is_the_positive():
    logits = f64([30, 0, 0])
    assert LocalizedContrastiveLoss()(logits).item() == pytest.approx(0, abs=1e-12)
    assert LocalizedContrastiveLoss()(logits[:, [1, 0, 2]]).item() == pytest.approx(30)
    assert LocalizedContrastiveLoss()(logits[:, [1, 2, 0]]).item() == pytest.approx(30)


def test_one_negative_is_a_binary_loss_of_the_difference():
    logits = f64([0.3, -1.2], [2, 2.5])
    expected = BinaryCrossEntropyLoss()(logits[:, 0] - logits[:, 1], f64(1, 1))
    torch.testing.assert_close(LocalizedContrastiveLoss()(logits), expected)


def test_order_of_negatives_does_not_matter():
    case = Case(LocalizedContrastiveLoss, {}, 5)
    loss, (logits, _) = case.loss(), case.batch()
    for order in ([0, 4, 3, 2, 1], [0, 2, 1, 4, 3]):
        assert loss(logits[:, order]).item() == pytest.approx(loss(logits).item(), rel=1e-13)


def test_equal_candidates_cost_the_log_of_their_number():
    logits = f64([1, 1, 1, 1], [2, 2, MISSING, MISSING], [3, MISSING, 3, 3])
    expected = (math.log(4) + math.log(2) + math.log(3)) / 3
    assert LocalizedContrastiveLoss()(logits).item() == pytest.approx(expected)


@pytest.mark.parametrize("missing", [[3], [1], [2, 3], [1, 3], [1, 2, 3]], ids=str)
def test_a_missing_candidate_is_as_if_the_list_were_shorter(missing):
    case = Case(LocalizedContrastiveLoss, {}, 4)
    loss, (full, _) = case.loss(), case.batch()
    present = [j for j in range(4) if j not in missing]
    short = full[:, present].clone().requires_grad_()
    loss(short).backward()
    ragged = full.clone()
    ragged[:, missing] = MISSING
    value = loss(ragged.requires_grad_())
    value.backward()
    assert value.item() == pytest.approx(loss(short).item(), rel=1e-13)
    torch.testing.assert_close(ragged.grad[:, present], short.grad, rtol=1e-12, atol=1e-15)
    assert ragged.grad[:, missing].eq(0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_rows_of_different_lengths_are_each_their_own(dtype):
    lists = [[0.5, -1.0, 2.0], [1.0, 0.25], [-3.0]]
    present = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.bool)
    outputs = torch.tensor([[z] for row in lists for z in row], dtype=dtype, requires_grad=True)
    loss = LocalizedContrastiveLoss()
    value = loss(loss.split_outputs(outputs, present))
    value.backward()
    assert value.item() == pytest.approx(contrastive_loop(loss, lists, None), rel=1e-6)
    assert outputs.grad.isfinite().all()
    assert outputs.grad[:5].ne(0).all()
    assert outputs.grad[5].item() == 0  # nothing to be told from


def test_a_candidate_alone_costs_nothing():
    for logits in (f64([7.0], [-2.0]), f64([7.0, MISSING, MISSING], [-2.0, MISSING, MISSING])):
        value = LocalizedContrastiveLoss()(logits.requires_grad_())
        value.backward()
        assert value.item() == 0
        assert logits.grad.eq(0).all()


# labels of 0 to 5, which training refuses: for y > 1, -y log p - (1 - y) log (1 - p) has no lower
# bound


STEPS = 400
GRADES = torch.arange(6).repeat(40).float()  # 0 to 5, as STSb has them


def fit(labels):
    """Train a logit linear in a noisy feature of the grade -> the losses, the final logits."""
    generator = torch.Generator().manual_seed(0)
    # what the pairs truly are, whatever the scale of their labels
    grade = 4 * (GRADES / 5 - 0.5)[:, None]
    noise = torch.randn(len(grade), 2, generator=generator)
    features = torch.cat([grade + 0.4 * noise[:, :1], noise[:, 1:]], dim=1)
    model = torch.nn.Linear(2, 1)
    for p in model.parameters():
        p.data.zero_()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    loss, losses = BinaryCrossEntropyLoss(), []
    for _ in range(STEPS):
        optimiser.zero_grad()
        value = loss(loss.split_outputs(model(features)), labels)
        value.backward()
        optimiser.step()
        losses.append(value.item())
    with torch.no_grad():
        return losses, model(features).squeeze(-1)


def test_without_the_guard_labels_of_0_to_5_make_the_loss_fall_without_bound():
    losses, _ = fit(GRADES)
    quarters = losses[STEPS // 4 - 1 :: STEPS // 4]
    falls = [before - after for before, after in zip(quarters, quarters[1:], strict=False)]
    assert losses[-1] < -10
    assert all(fall > 10 for fall in falls)
    assert falls[-1] > 0.9 * falls[0]  # as fast at the end as at the start: it goes nowhere


def test_the_same_labels_divided_by_5_keep_to_the_entropy():
    losses, _ = fit(GRADES / 5)
    bound = sum(entropy(k / 5) for k in range(6)) / 6
    assert min(losses) > bound
    assert losses[-1] - bound < 0.05
    assert abs(losses[-1] - losses[STEPS // 2]) < 1e-3  # it has come to rest


def test_without_the_guard_the_sigmoid_saturates_and_scores_tie_where_logits_do_not():
    _, logits = fit(GRADES)
    scores, grades = logits.sigmoid(), GRADES.numpy()
    top = scores == 1.0
    assert top.float().mean() > 0.5
    assert len(logits[top].unique()) > 0.9 * top.sum()
    assert metrics.spearman(scores.numpy(), grades) < metrics.spearman(logits.numpy(), grades) - 0.1


def test_with_labels_of_0_to_1_scores_rank_as_logits_do():
    _, logits = fit(GRADES / 5)
    scores = logits.sigmoid()
    assert scores.max() < 1
    both = [metrics.spearman(values.numpy(), GRADES.numpy()) for values in (scores, logits)]
    assert both[0] == pytest.approx(both[1], abs=1e-6)
    assert both[0] > 0.9
