"""A checkpoint is the old state or the new one whenever the process dies."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from support import fails, write_config

from sbert import InputError, atomic
from sbert.training import checkpoint
from sbert.training.config import OptimConfig
from sbert.training.optimizer import make_optimizer


def test_state_comes_back(tmp_path):
    tensors = {
        "a": torch.randn(3, 2),
        "b": torch.arange(4, dtype=torch.uint8),
        "c": torch.tensor(7.0),
    }
    checkpoint.save_state(tmp_path, tensors, {"step": 3, "best": None})
    loaded, facts = checkpoint.load_state(tmp_path)
    assert facts == {"step": 3, "best": None}
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all"])
def test_unreadable_state(tmp_path, content):
    if content is not None:
        (tmp_path / checkpoint.STATE).write_bytes(content)
    with pytest.raises(InputError, match=r"state.safetensors: not a readable checkpoint"):
        checkpoint.load_state(tmp_path)


class Crash(BaseException):
    """Stands for the death of the process: nothing in the code may catch it."""


@pytest.mark.parametrize("call", ["save_file", "sync", "os.replace"])
def test_crash_while_saving_leaves_the_old_state(tmp_path, monkeypatch, call):
    checkpoint.save_state(tmp_path, {"a": torch.zeros(2)}, {"step": 1})

    def die(*args, **kwargs):
        raise Crash

    monkeypatch.setattr(f"sbert.training.checkpoint.{call}", die)
    with pytest.raises(Crash):
        checkpoint.save_state(tmp_path, {"a": torch.ones(2)}, {"step": 2})
    assert checkpoint.load_state(tmp_path)[1] == {"step": 1}


@pytest.mark.parametrize("dies_at", range(1, 6))
def test_crash_while_replacing_a_folder_leaves_one_whole(tmp_path, monkeypatch, dies_at):
    """Die at the n-th change on disk: after recovery the folder is the old one or the new one."""
    folder = tmp_path / "best"

    def write(text):
        def fill(path):
            path.mkdir()
            (path / "model").write_text(text)

        return fill

    atomic.replace_folder(folder, write("old"))
    calls = 0

    def counted(function):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == dies_at:
                raise Crash
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for module, name in ((os, "rename"), (atomic.shutil, "rmtree")):
            patch.setattr(module, name, counted(getattr(module, name)))
        if dies_at <= 4:
            with pytest.raises(Crash):
                atomic.replace_folder(folder, write("new"))
        else:
            atomic.replace_folder(folder, write("new"))
    atomic.recover_folder(folder)
    assert (folder / "model").read_text() == ("old" if dies_at <= 3 else "new")
    atomic.replace_folder(folder, write("newer"))
    assert (folder / "model").read_text() == "newer"
    assert [p.name for p in tmp_path.iterdir()] == ["best"]


def test_killed_at_any_moment(tmp_path):
    """A process that saves all the time is killed ten times: the state on disk is readable and
    consistent every time."""
    code = (
        "import sys, torch, pathlib\nfrom sbert.training.checkpoint import save_state\n"
        "for step in range(10**6):\n"
        "    tensors = {'a': torch.full((200_000,), float(step))}\n"
        "    save_state(pathlib.Path(sys.argv[1]), tensors, {'step': step})\n"
        "    print(step, flush=True)\n"
    )
    for attempt in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        time.sleep(0.003 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        tensors, facts = checkpoint.load_state(tmp_path)
        assert tensors["a"].unique().tolist() == [facts["step"]]


def test_optimizer_state_comes_back():
    def make():
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 2)
        return module, make_optimizer(module, OptimConfig(lr=0.1), torch.device("cpu"))

    def step(module, optimizer):
        module(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    module, optimizer = make()
    step(module, optimizer)
    tensors = {k: t.clone() for k, t in checkpoint.optimizer_tensors(optimizer).items()}
    weights = {k: t.clone() for k, t in module.state_dict().items()}
    step(module, optimizer)
    other, resumed = make()
    other.load_state_dict(weights)
    checkpoint.load_optimizer_tensors(resumed, tensors)
    step(other, resumed)
    assert torch.equal(other.weight, module.weight)


@pytest.mark.parametrize("change", ["a weight is missing", "an older version"])
def test_a_checkpoint_of_other_weights_is_refused(
    tmp_path, tiny_folder, pairs_file, train_command, capsys, change
):
    """A head that the file lacks would start anew, and no one would know."""
    loss = {"class_path": "CosineSimilarityLoss", "init_args": {"learnable_scale": True}}
    config = write_config(tmp_path, tiny_folder, pairs_file, loss=loss)
    train_command(config, "--optim.steps", "4")
    last = tmp_path / "runs/run/last"
    tensors, facts = checkpoint.load_state(last)
    head = next(name for name in tensors if name.startswith("objective.losses."))
    weight = tensors.pop(head)
    if change == "an older version":  # which named the loss otherwise
        tensors["objective.loss.scale"] = weight
        del facts["frozen"]
    checkpoint.save_state(last, tensors, facts)
    line = fails(train_command, capsys, config, "--optim.steps", "4", "--resume")
    assert "holds other weights than this run trains" in line


@pytest.mark.parametrize(
    ("optim", "steps"), [({"epochs": 2}, (8, 16)), ({"steps": 8}, (8, 8))], ids=["epochs", "steps"]
)
def test_a_run_is_not_resumed_on_other_data(
    tmp_path, tiny_folder, pairs_file, train_command, capsys, optim, steps
):
    optim = {"lr": 1e-3, "batch_size": 8} | optim
    config = write_config(tmp_path, tiny_folder, pairs_file, optim=optim)
    train_command(config)
    run = tmp_path / "runs/run"
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    lines = pairs_file.read_text().splitlines(keepends=True)
    pairs_file.write_text("".join([*lines, *lines[1:]]))
    line = fails(train_command, capsys, config, "--resume")
    assert line.endswith(
        f"{run / 'last'} was written by a run of 32 training rows and {steps[0]} steps, now there "
        f"are 64 and {steps[1]}: the training data has changed; resume with the data of then, or "
        "start anew with --overwrite"
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == files
