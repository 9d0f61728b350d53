"""loss.safetensors: what a trained loss leaves beside its model, and how it is found again."""

import importlib
import json
import os
import sys

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support import copied, fails, saved_state, write_config

from sbert.errors import InputError
from sbert.losses.saved import LOSS_FILE, TrainedLoss, load_losses, save_loss
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss
from sbert.training.config import ModelConfig
from sbert.training.objectives.make import make_objective

MY_LOSSES = '''
import torch
import torch.nn.functional as F
from torch import nn

from sbert.losses import CosineSimilarityLoss, Loss, SoftmaxLoss


class MyLoss(Loss):
    """mean_i |w . (u_i * v_i) + b - y_i|^power.

    Args:
        power: the exponent.
    """

    def __init__(self, power: float = 2.0):
        super().__init__()
        self.power = power
        self.head = None

    def bind(self, dim):
        if self.head is None:
            self.head = nn.Linear(dim, 1)
        return self

    def compute(self, columns, labels):
        u, v = columns
        return (self.head(u * v).squeeze(-1) - labels).abs().pow(self.power).mean()


class MyHead(SoftmaxLoss):
    """A classifier of |u - v| alone."""

    def __init__(self, num_labels: int = 3):
        super().__init__(num_labels, ["|u-v|"])


class Scaled(CosineSimilarityLoss):
    """Its options are passed on.

    Args:
        factor: of the loss.
    """

    def __init__(self, factor: float = 2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor


class Early(Loss):
    """Its weights do not depend on the size of embeddings.

    Args:
        size: the numbers of an embedding that it reads.
    """

    def __init__(self, size: int = 8):
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.randn(size))

    def compute(self, columns, labels):
        u, v = (column[:, : self.size] for column in columns)
        return ((u * v * self.weight).sum(-1) - labels).square().mean()


class NotALoss:
    pass
'''


@pytest.fixture
def my_losses(tmp_path, monkeypatch):
    """A user's own module, on sys.path."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "my_losses.py").write_text(MY_LOSSES, "utf-8")
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("my_losses")
    del sys.modules["my_losses"]


def facts(folder):
    with safe_open(folder / LOSS_FILE, "pt") as file:
        return json.loads(file.metadata()["facts"])


def test_trained_head_is_saved_beside_the_model(tmp_path):
    loss = SoftmaxLoss(2, ["|u-v|", "u*v"]).bind(4)
    save_loss(tmp_path, TrainedLoss(loss, ["no", "yes"]))
    [(loaded, classes, _)] = load_losses(tmp_path, 4)
    assert classes == ["no", "yes"]
    assert loaded.concatenation == ["|u-v|", "u*v"]
    assert torch.equal(loaded.head.weight, loss.head.weight)
    assert not loaded.training
    assert facts(tmp_path)["class"] == "SoftmaxLoss"


def test_loss_without_learnt_weights_leaves_no_file(tmp_path):
    save_loss(tmp_path, TrainedLoss(CosineSimilarityLoss()))
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="no trained loss head"):
        load_losses(tmp_path, 4)
    save_loss(tmp_path, TrainedLoss(CosineSimilarityLoss(learnable_scale=True)))
    assert isinstance(load_losses(tmp_path, 4)[0].loss, CosineSimilarityLoss)


def test_loss_of_an_own_module_is_found_by_its_full_name(tmp_path, my_losses):
    loss = my_losses.MyLoss(power=1.5).bind(4)
    save_loss(tmp_path, TrainedLoss(loss))
    assert facts(tmp_path) == {
        "class": "my_losses.MyLoss", "options": {"power": 1.5}, "classes": None
    }  # fmt: skip
    [(loaded, classes, _)] = load_losses(tmp_path, 4)
    assert type(loaded) is my_losses.MyLoss
    assert (loaded.power, classes) == (1.5, None)
    columns, labels = [torch.randn(3, 4), torch.randn(3, 4)], torch.rand(3)
    assert torch.equal(loaded(columns, labels), loss(columns, labels))


def test_loss_that_takes_the_name_of_a_listed_one_is_found_by_its_full_name(tmp_path, my_losses):
    class_ = type("SoftmaxLoss", (my_losses.MyLoss,), {"__module__": "my_losses"})
    my_losses.SoftmaxLoss = class_
    save_loss(tmp_path, TrainedLoss(class_().bind(4)))
    assert type(load_losses(tmp_path, 4)[0].loss) is class_


@pytest.mark.parametrize(
    "name", ["my_losses.Absent", "my_losses.NotALoss", "nowhere.MyLoss", "Absent", "os.mkdir"]
)
def test_class_that_cannot_be_found_is_one_line(tmp_path, my_losses, monkeypatch, name):
    """A file names a class; what is no loss is not called."""
    calls = []
    monkeypatch.setattr(os, "mkdir", lambda **options: calls.append(options))
    content = {"class": name, "options": {"path": "x"}, "classes": None}
    save_file({"a": torch.ones(1)}, tmp_path / LOSS_FILE, {"facts": json.dumps(content)})
    with pytest.raises(InputError) as error:
        load_losses(tmp_path, 4)
    assert str(error.value) == (
        f"{tmp_path / LOSS_FILE}: the loss {name} is neither in sbert.losses nor imported, and a "
        "file imports nothing; import its module before, or name it: evaluate.py --loss "
        "my_module.MyLoss"
    )
    assert not calls


def test_file_imports_no_module(tmp_path, monkeypatch):
    """Not even one that the model folder brings, below a folder on sys.path."""
    folder = tmp_path / "downloaded"
    folder.mkdir()
    (folder / "payload.py").write_text("raise SystemExit('executed')", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    content = {"class": "downloaded.payload.MyLoss", "options": {}, "classes": None}
    save_file({"a": torch.ones(1)}, folder / LOSS_FILE, {"facts": json.dumps(content)})
    with pytest.raises(InputError, match=r"the loss downloaded.payload.MyLoss is neither"):
        load_losses(folder, 4)


class Forgetful(SoftmaxLoss):
    """Does not keep its option."""

    def __init__(self, rate: float = 0.1):
        super().__init__()


class Unwritable(SoftmaxLoss):
    """Its option is no JSON."""

    def __init__(self, device=None):
        super().__init__()
        self.device = torch.device("cpu")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            Forgetful(),
            "Forgetful does not keep its option rate, so it could not be saved; set self.rate in "
            "__init__",
        ),
        (
            Unwritable(),
            "Unwritable: options {'device': device(type='cpu')} cannot be saved: Object of type "
            "device is not JSON serializable",
        ),
    ],
)
def test_loss_that_cannot_be_built_again_is_refused_before_training(tiny_folder, loss, message):
    with pytest.raises(InputError) as error:
        make_objective(ModelConfig(str(tiny_folder)), [loss], None, seed=0)
    assert str(error.value) == message


def test_own_loss_trains_and_is_read_back(
    tmp_path, tiny_folder, pairs_file, my_losses, train_command
):
    config = write_config(tmp_path, tiny_folder, pairs_file)
    train_command(config, "--loss", "my_losses.MyLoss", "--loss.power", "1.5")
    run = tmp_path / "runs" / "run"
    [(loaded, *_)] = load_losses(run / "best", 32)
    assert type(loaded) is my_losses.MyLoss
    assert loaded.power == 1.5
    saved = load_file(run / "best" / LOSS_FILE)
    assert torch.equal(loaded.head.weight, saved["head.weight"])
    assert any("head.weight" in name for name in saved_state(run))
    torch.manual_seed(0)
    assert not torch.equal(saved["head.weight"], my_losses.MyLoss().bind(32).head.weight)


def test_own_head_is_evaluated_and_resumed(
    tmp_path, tiny_folder, my_losses, train_command, evaluate_command, capsys
):
    """Training reads best/ back; a new process has to be told the class."""
    lines = ["premise\thypothesis\tlabel", *["the cat\ta dog\tneutral"] * 4]
    file = tmp_path / "nli.tsv"
    file.write_text("\n".join(lines), "utf-8")
    test = copied(file)
    data = {"train": [{"path": str(file)}], "test": [{"path": str(test)}]}
    loop = {"precision": "fp32", "evaluate_steps": 2}
    config = write_config(
        tmp_path, tiny_folder, file, data=data, loop=loop, loss="my_losses.MyHead"
    )
    train_command(config, "--optim.batch_size", "2")
    run = tmp_path / "runs/run"
    [result] = json.loads((run / "result.json").read_text("utf-8"))["results"]
    assert set(result["after"]) == {"accuracy", "macro_f1"}
    train_command(config, "--optim.batch_size", "2", "--resume")
    del sys.modules["my_losses"]
    line = fails(evaluate_command, capsys, "--model", run / "best", "--data", test)
    assert "the loss my_losses.MyHead is neither in sbert.losses nor imported" in line
    evaluate_command("--model", run / "best", "--data", test, "--loss", "my_losses.MyHead")
    assert f"{100 * result['after']['accuracy']:.2f}" in capsys.readouterr().out


def test_configuration_names_an_own_loss(
    tmp_path, tiny_folder, pairs_file, my_losses, train_command
):
    loss = {"class_path": "my_losses.MyLoss", "init_args": {"power": 1.0}}
    config = write_config(tmp_path, tiny_folder, pairs_file, loss=loss)
    train_command(config)
    assert facts(tmp_path / "runs" / "run" / "best")["options"] == {"power": 1.0}
    # the configuration that the run keeps names it too
    train_command(tmp_path / "runs" / "run" / "config.yaml", "--name", "again")
    assert facts(tmp_path / "runs" / "again" / "best")["class"] == "my_losses.MyLoss"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_losses.Absent", "module 'my_losses' has no attribute 'Absent'"),
        ("my_losses.NotALoss", "does not correspond to a subclass of Loss; my_losses.NotALoss"),
        ("nowhere.MyLoss", "No module named 'nowhere'"),
        ("Absent", "loss: unknown class Absent; --help lists the known ones"),
    ],
)
def test_configuration_with_an_unknown_loss_ends_in_one_line(
    tmp_path, tiny_folder, pairs_file, my_losses, train_command, capsys, name, message
):
    config = write_config(tmp_path, tiny_folder, pairs_file)
    line = fails(train_command, capsys, config, "--loss", name)
    assert "loss" in line
    assert message in line


def test_a_loss_that_passes_its_options_on(
    tmp_path, tiny_folder, pairs_file, my_losses, train_command, capsys
):
    loss = {"class_path": "my_losses.Scaled", "init_args": {"factor": 3.0}}
    config = write_config(tmp_path, tiny_folder, pairs_file, loss=loss)
    train_command(config, "--optim.steps", "1")
    line = fails(train_command, capsys, config, "--name", "two", "--loss.learnable_scale", "true")
    assert line.endswith(
        "Scaled takes **kwargs, so the options that it would be built again from are not known; "
        "name them in __init__"
    )
    assert not (tmp_path / "runs/two").exists()


def test_weights_that_a_loss_draws_when_it_is_made_come_from_the_seed(
    tmp_path, tiny_folder, pairs_file, my_losses, train_command
):
    """Also those of a loss inside another, and of a dataset's own."""
    nested = {
        "class_path": "MatryoshkaLoss",
        "init_args": {"loss": "my_losses.Early", "dims": [32, 16]},
    }
    drawn = {}
    for kind, loss in {"alone": "my_losses.Early", "nested": nested}.items():
        for seed, name in ((1, "a"), (1, "b"), (2, "c")):
            torch.seed()
            loss = {"pairs": loss} if kind == "alone" and name == "b" else loss
            config = write_config(tmp_path, tiny_folder, pairs_file, loss=loss)
            options = ["--optim.steps", "1", "--optim.lr", "1e-30", "--loop.seed", str(seed)]
            train_command(config, "--name", f"{kind}/{name}", *options)
            [file] = (tmp_path / f"runs/{kind}/{name}/best").glob("loss*.safetensors")
            drawn[name] = load_file(file)["weight"]
        assert torch.equal(drawn["a"], drawn["b"])
        assert not torch.equal(drawn["a"], drawn["c"])
