"""A trained loss beside its model: loss.safetensors holds its class, options and weights."""

import importlib
import inspect
import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sbert import losses
from sbert.errors import require
from sbert.losses.base import Loss

LOSS_FILE = "loss.safetensors"


def save_loss(folder: Path, loss: Loss, classes: list[str] | None) -> None:
    """Write loss.safetensors into a model's folder; nothing for a loss without trained weights.

    classes: the names of the classes that the loss tells apart, if it does.
    """
    if not any(weight.requires_grad for weight in loss.parameters()):
        return
    name = type(loss).__qualname__
    listed = getattr(losses, name, None) is type(loss)
    options = {name: getattr(loss, name) for name in inspect.signature(type(loss)).parameters}
    facts = {
        "class": name if listed else f"{type(loss).__module__}.{name}",
        "options": options,
        "classes": classes,
    }
    weights = {name: t.detach().cpu().contiguous() for name, t in loss.state_dict().items()}
    save_file(weights, folder / LOSS_FILE, {"format": "pt", "facts": json.dumps(facts)})


def load_loss(folder: Path, dim: int) -> tuple[Loss, list[str] | None]:
    """Read what `save_loss` wrote, for embeddings of size `dim`.

    Returns:
        The loss in evaluation mode, and the names of its classes.

    Raises:
        InputError: no such file, or its class cannot be imported or is no loss.
    """
    path = folder / LOSS_FILE
    require(
        path.exists(),
        f"{folder}: no trained loss head ({LOSS_FILE}); "
        "NLI accuracy needs a model trained with SoftmaxLoss",
    )
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    loss = _import_class(facts["class"], path)(**facts["options"]).bind(dim)
    loss.load_state_dict(load_file(path))
    return loss.eval(), facts["classes"]


def _import_class(class_path: str, path: Path) -> type[Loss]:
    module, _, name = class_path.rpartition(".")
    try:
        loss = getattr(importlib.import_module(module or losses.__name__), name)
    except (ImportError, AttributeError):
        loss = None
    # the name comes from a file: nothing but a loss may be called
    require(
        inspect.isclass(loss) and issubclass(loss, Loss),
        f"{path}: loss class {class_path} not found; "
        "it must be a subclass of sbert.losses.Loss in a module on PYTHONPATH",
    )
    return loss
