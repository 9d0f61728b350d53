"""The base class: its documentation, its names in a configuration, columns, options."""

import importlib
import inspect
import math
import pkgutil
import textwrap

import jsonargparse
import pytest
import torch
import torch.nn.functional as F
from loss_checks import rows

from sbert import losses
from sbert.errors import InputError
from sbert.losses import (
    ContrastiveLoss,
    CoSENTLoss,
    CosineSimilarityLoss,
    DistillKLDivLoss,
    JointLoss,
    Loss,
    MarginMSELoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
    PairLoss,
    TripletLoss,
)
from sbert.losses.base import check_choice, normalize_columns
from sbert.losses.batch_triplet import BatchTripletLoss

BASES = [Loss, JointLoss, PairLoss, BatchTripletLoss]
LOSSES = [getattr(losses, name) for name in losses.__all__ if getattr(losses, name) not in BASES]


@pytest.mark.parametrize("base", BASES)
def test_bases_are_abstract(base):
    with pytest.raises(TypeError):
        base()


def test_every_loss_of_the_package_is_listed():
    defined = set()
    for info in pkgutil.iter_modules(losses.__path__):
        module = importlib.import_module(f"sbert.losses.{info.name}")
        for value in vars(module).values():
            if inspect.isclass(value) and issubclass(value, Loss):
                defined.add(value)
    assert defined == {*LOSSES, *BASES}


@pytest.mark.parametrize("loss_class", LOSSES)
def test_every_loss_is_found_by_its_class_name_alone(loss_class):
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--loss", type=Loss)
    options = ["--loss.loss", "CoSENTLoss", "--loss.dims", "[2, 1]"]
    if loss_class is not losses.MatryoshkaLoss:
        options = []
    given = parser.parse_args(["--loss", loss_class.__name__, *options])
    assert type(parser.instantiate(given).loss) is loss_class


@pytest.mark.parametrize("loss_class", LOSSES)
def test_every_loss_says_what_it_reads(loss_class):
    assert loss_class.__doc__  # not inherited: a subclass without one has None
    assert loss_class.columns in (1, 2, 3)
    assert loss_class.target in ("score", "binary", "class", "margin", "embedding", None)


def test_the_loss_of_the_documentation_works():
    lines = inspect.getdoc(Loss).splitlines()
    first = lines.index("    class MarginLoss(Loss):")
    last = next(i for i in range(first, len(lines)) if ".mean()" in lines[i])
    scope = {"Loss": Loss, "F": F}
    exec(textwrap.dedent("\n".join(lines[first : last + 1])), scope)
    loss = scope["MarginLoss"](margin=0.25)
    u, v = rows([1, 0], [1, 0]), rows([3, 4], [0, 1])  # cosines 0.6 and 0
    assert loss([u, v], torch.tensor([0.5, 1.0])).item() == pytest.approx((0 + 0.75) / 2)


def test_a_plain_loss_is_its_own_full_loss_and_has_nothing_to_bind():
    loss = CosineSimilarityLoss()
    assert loss.full_loss is loss
    assert loss.bind(7) is loss
    assert (Loss.joint, JointLoss.joint) == (False, True)


# split_outputs


def test_outputs_are_split_into_columns_by_hand():
    outputs = rows([1], [2], [3], [4], [5], [6])
    columns = TripletLoss().split_outputs(outputs, torch.ones(2, 2, dtype=torch.bool))
    assert [c.tolist() for c in columns] == [[[1], [2]], [[3], [4]], [[5], [6]]]
    columns = CosineSimilarityLoss().split_outputs(outputs)
    assert [c.tolist() for c in columns] == [[[1], [2], [3]], [[4], [5], [6]]]


def test_missing_texts_are_zero_and_take_no_gradient():
    present = torch.tensor([[1, 0, 1], [1, 1, 0]], dtype=torch.bool)
    outputs = rows([1, -1], [2, -2], [3, -3], [4, -4], [5, -5], [6, -6]).requires_grad_()
    columns = MarginMSELoss().split_outputs(outputs, present)
    assert torch.stack(columns)[:, :, 0].tolist() == [[1, 2], [3, 4], [0, 5], [6, 0]]
    assert torch.stack(columns)[:, :, 1].tolist() == [[-1, -2], [-3, -4], [0, -5], [-6, 0]]
    weights = [10, 20, 30, 40]
    sum(w * column.sum() for w, column in zip(weights, columns, strict=True)).backward()
    assert outputs.grad[:, 0].tolist() == [10, 10, 20, 20, 30, 40]


# options


def test_dot_products_of_normalized_columns_are_the_similarity():
    columns = [torch.randn(4, 3), torch.randn(4, 3)]
    u, v = normalize_columns(columns, "cosine")
    torch.testing.assert_close((u * v).sum(-1), F.cosine_similarity(*columns))
    assert normalize_columns(columns, "dot") is columns


@pytest.mark.parametrize("loss_class", [TripletLoss, ContrastiveLoss])
@pytest.mark.parametrize("distance", ["Cosine", "", None])
def test_an_unknown_choice_is_refused(loss_class, distance):
    with pytest.raises(InputError) as error:
        loss_class(distance=distance)
    assert str(error.value) == (
        f"{loss_class.__name__}.distance: unknown value '{distance}'; "
        "known: euclidean, manhattan, cosine"
    )


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize(
    ("option", "make"),
    [
        ("scale", lambda value: CoSENTLoss(scale=value)),
        ("scale", lambda value: MultipleNegativesRankingLoss(scale=value)),
        ("temperature", lambda value: DistillKLDivLoss(temperature=value)),
        ("teacher_temperature", lambda value: DistillKLDivLoss(teacher_temperature=value)),
        ("weights", lambda value: MatryoshkaLoss(CoSENTLoss(), [8, 4], [1.0, value])),
    ],
)
def test_what_must_be_a_finite_number_above_0(option, make, value):
    with pytest.raises(InputError, match=rf"\.{option} is {value:g}; it must be a finite number"):
        make(value)


def test_a_known_choice_is_returned():
    assert check_choice(TripletLoss(), "distance", "manhattan", losses.contrastive.Distance) == (
        "manhattan"
    )
