"""A trained loss head beside its model: written to and read from loss.safetensors."""

import importlib
import inspect
import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sbert.errors import InputError
from sbert.losses.base import Loss

LOSS = "loss.safetensors"


def save_loss(folder: Path, loss: Loss, classes: list[str] | None) -> None:
    """Save a loss that has learnt weights beside its model: class, options, weights, and the names of the classes."""
    if any(p.requires_grad for p in loss.parameters()):
        options = {name: getattr(loss, name) for name in inspect.signature(type(loss)).parameters}
        facts = {"class": _class_path(type(loss)), "options": options, "classes": classes}
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
    loss = _find_class(facts["class"], path)(**facts["options"]).bind(dim)
    loss.load_state_dict(load_file(path))
    return loss.eval(), facts["classes"]


def _class_path(loss: type) -> str:
    """The name of a class of sbert.losses; of any other its module and name."""
    ours = loss.__module__.startswith("sbert.losses.")
    return loss.__name__ if ours else f"{loss.__module__}.{loss.__qualname__}"


def _find_class(name: str, path: Path) -> type:
    """The class that `_class_path` named: nothing is imported but what the user's own code can import."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module or "sbert.losses"), attribute)
    except (ImportError, AttributeError):
        raise InputError(
            f"{path}: loss class {name} not found; the module that defines it must be importable"
        ) from None
