"""The options of train.py: their ranges, and what a run lists as changed."""

import pytest

from sbert.cli import InnerParser, make_parser
from sbert.errors import InputError
from sbert.training.config import TrainConfig, changed_options

REQUIRED = {
    "name": "run",
    "model": {"path": "encoder"},
    "data": {"train": [{"path": "stsb", "split": "train"}, {"path": "sick.tsv", "weight": 2.0}]},
    "loss": "CosineSimilarityLoss",
}


@pytest.fixture
def parser():
    return make_parser(TrainConfig, "train.py", "", InnerParser)


def changes(parser, options: dict) -> dict:
    parsed = parser.parse_object(REQUIRED | options)
    parsed.pop("config", None)
    as_dicts = parsed.clone().as_dict()
    return changed_options(TrainConfig(**vars(parser.instantiate(parsed))), as_dicts)


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
    assert str(error.value) == f"{group}.{name} is {value}; it must be > 0"


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_the_share_of_seed_optimisation_lies_between_0_and_1(parser, share):
    with pytest.raises(InputError) as error:
        parser.parse_object(REQUIRED | {"seed_optimisation": {"share": share}})
    assert str(error.value) == f"seed_optimisation.share is {share}; it must be > 0 and < 1"


def test_only_changed_options_are_listed(parser):
    options = {
        "optim": {"lr": 1e-3, "epochs": 1},
        "loop": {"seed": 42, "patience": 3},
        "loss": {"class_path": "CosineSimilarityLoss", "init_args": {"learnable_scale": True}},
    }
    assert changes(parser, options) == {
        "name": "run",
        "model.path": "encoder",
        "data.train.0.path": "stsb",
        "data.train.0.split": "train",
        "data.train.1.path": "sick.tsv",
        "data.train.1.weight": 2.0,
        "loss": "CosineSimilarityLoss",
        "loss.learnable_scale": True,
        "optim.lr": 1e-3,
        "loop.patience": 3,
    }


def test_a_default_of_the_loss_is_not_listed(parser):
    loss = {"class_path": "CosineSimilarityLoss", "init_args": {"learnable_scale": False}}
    assert "loss.learnable_scale" not in changes(parser, {"loss": loss})


def test_a_loss_inside_a_loss_is_listed(parser):
    inner = {"class_path": "MultipleNegativesRankingLoss", "init_args": {"scale": 10.0}}
    loss = {"class_path": "MatryoshkaLoss", "init_args": {"loss": inner, "dims": [32, 8]}}
    listed = changes(parser, {"loss": loss})
    assert listed["loss"] == "MatryoshkaLoss"
    assert listed["loss.dims"] == [32, 8]
    assert "MultipleNegativesRankingLoss" in str(listed["loss.loss"])


def test_a_loss_for_each_dataset_is_listed(parser):
    softmax = {"class_path": "SoftmaxLoss", "init_args": {"num_labels": 2}}
    listed = changes(parser, {"loss": {"nli": softmax, "stsb": "CosineSimilarityLoss"}})
    assert {name: value for name, value in listed.items() if name.startswith("loss")} == {
        "loss.nli": "SoftmaxLoss",
        "loss.nli.num_labels": 2,
        "loss.stsb": "CosineSimilarityLoss",
    }


def test_an_unknown_loss_of_one_dataset_is_one_line(parser):
    with pytest.raises(InputError, match="^loss: unknown class Absent; --help lists the known"):
        parser.parse_object(REQUIRED | {"loss": {"nli": "SoftmaxLoss", "stsb": "Absent"}})
