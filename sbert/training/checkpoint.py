"""State that survives a crash at any instant: what is on disk is the old state or the new one, whole."""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from sbert.atomic import _sync
from sbert.errors import InputError

STATE = "state.safetensors"


def save_state(folder: Path, tensors: dict[str, Tensor], facts: dict) -> None:
    """Write tensors and JSON facts as one file, put in place by one rename."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{STATE}.unfinished"
    save_file(
        {name: t.contiguous() for name, t in tensors.items()},
        unfinished,
        {"facts": json.dumps(facts)},
    )
    _sync(unfinished)
    os.replace(unfinished, folder / STATE)
    _sync(folder)


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict]:
    """What `save_state` wrote. `InputError` where there is nothing or something else."""
    path = folder / STATE
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(file.metadata()["facts"])
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no checkpoint that can be read ({error})") from None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: "<number of the parameter>.<name>"."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, s in state.items()
        for name, value in s.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )
