"""What a run lists as changed."""

import pytest

from sbert.cli import InnerParser, make_parser
from sbert.training.changed_options import changed_options
from sbert.training.config import TrainConfig

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
