"""The options of train.py: their ranges."""

import math

import pytest

from sbert.cli import InnerParser, make_parser
from sbert.errors import InputError
from sbert.training.config import TrainConfig

REQUIRED = {
    "name": "run",
    "model": {"path": "encoder"},
    "data": {"train": [{"path": "stsb", "split": "train"}]},
    "loss": "CosineSimilarityLoss",
}


@pytest.fixture
def parser():
    return make_parser(TrainConfig, "train.py", "", InnerParser)


@pytest.mark.parametrize(
    ("group", "name"),
    [
        *(("optim", name) for name in ("lr", "batch_size", "accumulate", "epochs", "steps")),
        *(("loop", name) for name in ("evaluate_epochs", "evaluate_steps", "save_steps")),
        *(("loop", name) for name in ("patience", "log_steps")),
        ("seed_optimisation", "seeds"),
    ],
)
@pytest.mark.parametrize("value", [0, -1])
def test_what_must_be_positive(parser, group, name, value):
    with pytest.raises(InputError) as error:
        parser.parse_object(REQUIRED | {group: {name: value}})
    may_be_a_fraction = name in ("lr", "epochs", "evaluate_epochs")
    end = " and finite" if may_be_a_fraction else ""
    assert str(error.value) == f"{group}.{name} is {value}; it must be > 0{end}"


@pytest.mark.parametrize(
    ("group", "options", "range_"),
    [
        ("loop", {"seed": -1}, ">= 0 and < 4294967296"),
        ("loop", {"seed": 2**40}, ">= 0 and < 4294967296"),
        *(
            ("optim", {name: -0.5}, ">= 0 and finite")
            for name in ("warmup", "weight_decay", "eps", "max_grad_norm")
        ),
    ],
)
def test_what_must_not_be_negative(parser, group, options, range_):
    [(name, value)] = options.items()
    with pytest.raises(InputError) as error:
        parser.parse_object(REQUIRED | {group: options})
    assert str(error.value) == f"{group}.{name} is {value}; it must be {range_}"


@pytest.mark.parametrize(
    ("group", "name"),
    [
        *(("optim", name) for name in ("lr", "epochs", "warmup", "weight_decay", "eps")),
        ("optim", "max_grad_norm"),
        ("loop", "evaluate_epochs"),
    ],
)
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_must_be_finite(parser, group, name, value):
    with pytest.raises(InputError, match=rf"{group}.{name} is {value}; it must be .* and finite$"):
        parser.parse_object(REQUIRED | {group: {name: value}})


@pytest.mark.parametrize("betas", [[0.9, 1.0], [-0.1, 0.999]])
def test_decay_rates_lie_below_1(parser, betas):
    with pytest.raises(InputError, match=">= 0 and < 1"):
        parser.parse_object(REQUIRED | {"optim": {"betas": betas}})


def test_seeds_of_datasets_are_not_negative(parser):
    data = {"train": [{"path": "stsb", "limit_seed": -1}]}
    with pytest.raises(InputError, match=r"limit_seed.*>= ?0"):
        parser.parse_object(REQUIRED | {"data": data})


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_the_share_of_seed_optimisation_lies_between_0_and_1(parser, share):
    with pytest.raises(InputError) as error:
        parser.parse_object(REQUIRED | {"seed_optimisation": {"share": share}})
    assert str(error.value) == f"seed_optimisation.share is {share}; it must be > 0 and < 1"


def test_an_unknown_loss_of_one_dataset_is_one_line(parser):
    with pytest.raises(InputError, match="^loss: unknown class Absent; --help lists the known"):
        parser.parse_object(REQUIRED | {"loss": {"nli": "SoftmaxLoss", "stsb": "Absent"}})


def named(parser, name: str) -> TrainConfig:
    parsed = parser.parse_object(REQUIRED | {"name": name})
    parsed.pop("config", None)
    return TrainConfig(**vars(parser.instantiate(parsed)))


@pytest.mark.parametrize("name", ["", ".", "./", "..", "../run", "a/../b", "/tmp/run"])
def test_a_name_that_is_no_folder_below_runs(parser, name):
    with pytest.raises(InputError) as error:
        named(parser, name)
    assert str(error.value) == (
        f"name is {name!r}; it must name a folder below runs, such as stsb or stsb/lr3e-5"
    )


@pytest.mark.parametrize("name", ["stsb", "stsb/lr3e-5", "a..b", "stsb,seed=1"])
def test_a_name_of_a_folder_below_runs(parser, name):
    assert named(parser, name).name == name
