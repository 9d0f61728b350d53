"""State that survives a crash at any instant: what is on disk is the old state or the new one, whole."""

import inspect
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from sbert import losses
from sbert.errors import InputError
from sbert.losses import Loss

STATE = "state.safetensors"
LOSS = "loss.safetensors"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_state(folder: Path, tensors: dict[str, Tensor], facts: dict) -> None:
    """Write tensors and JSON facts as one file, put in place by one rename."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{STATE}.unfinished"
    save_file({name: t.contiguous() for name, t in tensors.items()}, unfinished, {"facts": json.dumps(facts)})
    _sync(unfinished)
    os.replace(unfinished, folder / STATE)
    _sync(folder)


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict]:
    """What `save_state` wrote. `InputError` where there is nothing or something else."""
    path = folder / STATE
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["facts"])  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no checkpoint that can be read ({error})") from None


def replace_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a new folder, then put it in the place of the old one.

    A folder cannot be replaced in one step: between two renames the old one bears the name <folder>.old, and
    `recover_folder` puts it back.
    """
    new, old = folder.with_name(folder.name + ".unfinished"), folder.with_name(folder.name + ".old")
    shutil.rmtree(new, ignore_errors=True)
    write(new)
    for file in new.rglob("*"):
        _sync(file)
    recover_folder(folder)
    if folder.exists():
        os.rename(folder, old)
    os.rename(new, folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """After a crash inside `replace_folder`: put the old folder back, or remove it where the new one is in place."""
    old = folder.with_name(folder.name + ".old")
    if old.exists() and folder.exists():
        shutil.rmtree(old)
    elif old.exists():
        os.rename(old, folder)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: "<number of the parameter>.<name>"."""
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": torch.as_tensor(value) for number, s in state.items() for name, value in s.items()}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def save_loss(folder: Path, loss: Loss, classes: list[str] | None) -> None:
    """Save a loss that has learnt weights beside its model: class, options, weights, and the names of the classes."""
    if any(p.requires_grad for p in loss.parameters()):
        options = {name: getattr(loss, name) for name in inspect.signature(type(loss)).parameters}
        facts = {"class": type(loss).__name__, "options": options, "classes": classes}
        weights = {name: t.detach().cpu().contiguous() for name, t in loss.state_dict().items()}
        save_file(weights, folder / LOSS, {"format": "pt", "facts": json.dumps(facts)})


def load_loss(folder: Path, dim: int) -> tuple[Loss, list[str] | None]:
    """The loss that `save_loss` wrote for embeddings of size `dim`, and the names of its classes."""
    path = folder / LOSS
    if not path.exists():
        raise InputError(
            f"{folder}: no trained loss head ({LOSS}): an NLI accuracy needs a model trained by SoftmaxLoss"
        )
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    loss = getattr(losses, facts["class"])(**facts["options"]).bind(dim)
    loss.load_state_dict(load_file(path))
    return loss.eval(), facts["classes"]
