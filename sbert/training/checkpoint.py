"""The full state of a training, last/: whenever the process dies, it is the old or the new one."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sbert import distributed
from sbert.atomic import sync
from sbert.errors import InputError, require
from sbert.training.objectives.trained import fingerprint_frozen, trained_state

STATE = "state.safetensors"


@dataclass
class Progress:
    """How far a training has come, in updates of the optimiser; part of every checkpoint.

    best: the dev score of the model in best/, of step `best_step`; None if undefined.
    without_best: the evaluations since then.
    """

    step: int = 0
    best: float | None = None
    best_step: int | None = None
    without_best: int = 0


class RunSize(NamedTuple):
    """The number of training rows, and of steps in all."""

    rows: int
    total: int


def save_training(
    folder: Path,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    size: RunSize,
    accelerator: Accelerator,
) -> None:
    """Write trained weights, optimiser state, progress and the random states of all W processes.

    Of frozen weights only a fingerprint, of the training data only its size.
    """
    random_states = distributed.random_states(accelerator)
    if accelerator.is_main_process:
        tensors = {
            **_add_prefix("objective.", trained_state(objective)),
            **_add_prefix("optimizer.", optimizer_tensors(optimizer)),
            **_add_prefix("random.", random_states),
        }
        facts = {
            "progress": vars(progress),
            **size._asdict(),
            "scaler": accelerator.scaler and accelerator.scaler.state_dict(),
            "frozen": fingerprint_frozen(objective.model),
        }
        save_state(folder, tensors, facts)
    accelerator.wait_for_everyone()


def load_training(
    folder: Path,
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    size: RunSize,
    accelerator: Accelerator,
) -> Progress:
    """Restore what `save_training` wrote.

    Raises:
        InputError: the state cannot be read, or was written by another number of processes, in a
            run of another size, with other weights to train, or with other frozen weights.
    """
    tensors, facts = load_state(folder)
    random_states = _with_prefix("random.", tensors)
    processes = len(random_states["cpu"])
    require(
        processes == accelerator.num_processes,
        f"{folder} was written by {processes} processes, now there are "
        f"{accelerator.num_processes}; resume with {processes}",
    )
    old = RunSize(facts.get("rows", size.rows), facts["total"])  # older versions kept no rows
    require(
        old == size,
        f"{folder} was written by a run of {old.rows:,} training rows and {old.total:,} steps, now "
        f"there are {size.rows:,} and {size.total:,}: the training data has changed; resume with "
        "the data of then, or start anew with --overwrite",
    )
    trained = _with_prefix("objective.", tensors)
    others = trained.keys() ^ trained_state(objective).keys()
    require(
        not others,
        f"{folder} holds other weights than this run trains, such as {min(others, default='')}: "
        "it is of other settings or of an older version; start without --resume",
    )
    require(
        facts["frozen"] == fingerprint_frozen(objective.model),
        f"{folder} was written with other frozen weights: it fits another base model or other "
        "training texts than those of this run; resume with what model.path and data.train named",
    )
    objective.load_state_dict(trained, strict=False)  # the frozen weights are those of the base
    load_optimizer_tensors(optimizer, _with_prefix("optimizer.", tensors))
    distributed.set_random_states(accelerator, random_states)
    if accelerator.scaler and facts["scaler"]:
        accelerator.scaler.load_state_dict(facts["scaler"])
    return Progress(**facts["progress"])


def _add_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors[name] for name in names}


def save_state(folder: Path, tensors: dict[str, Tensor], facts: dict) -> None:
    """Write tensors and JSON facts as one file, which one rename puts in place."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{STATE}.unfinished"
    tensors = _without_shared_memory(tensors)
    save_file(tensors, unfinished, {"facts": json.dumps(facts)})
    sync(unfinished)
    os.replace(unfinished, folder / STATE)
    sync(folder)


def _without_shared_memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors, a copy for every further name of tied weights, as safetensors needs."""
    seen, unshared = set(), {}
    for name, tensor in tensors.items():
        tensor = tensor.contiguous()
        unshared[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return unshared


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors and facts that `save_state` wrote.

    Raises:
        InputError: no file, or one that `save_state` did not write.
    """
    path = folder / STATE
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(file.metadata()["facts"])
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a readable checkpoint ({error})") from None


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of the optimiser as tensors named "<index of the parameter>.<name>"."""
    tensors = {}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            tensors[f"{index}.{name}"] = torch.as_tensor(value)
    return tensors


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
