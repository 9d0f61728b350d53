"""A trained loss beside its model: loss.safetensors holds its class, options and weights."""

import inspect
import json
import sys
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sbert import losses
from sbert.errors import InputError, require
from sbert.losses.base import Loss

LOSS_FILE = "loss.safetensors"


def save_loss(folder: Path, loss: Loss, classes: list[str] | None) -> None:
    """Write loss.safetensors into a model's folder; nothing for a loss without trained weights.

    classes: the names of the classes that the loss tells apart, if it does.
    """
    options = saved_options(loss)
    if options is None:
        return
    name = type(loss).__qualname__
    listed = getattr(losses, name, None) is type(loss)
    facts = {
        "class": name if listed else f"{type(loss).__module__}.{name}",
        "options": options,
        "classes": classes,
    }
    weights = {name: t.detach().cpu().contiguous() for name, t in loss.state_dict().items()}
    save_file(weights, folder / LOSS_FILE, {"format": "pt", "facts": json.dumps(facts)})


def saved_options(loss: Loss) -> dict[str, Any] | None:
    """The options that a loss with trained weights is built again from; None for other losses.

    Raises:
        InputError: an option that the loss does not keep, or that JSON cannot hold.
    """
    if not any(weight.requires_grad for weight in loss.parameters()):
        return None
    name = type(loss).__name__
    options = {}
    for option in inspect.signature(type(loss)).parameters:
        require(
            hasattr(loss, option),
            f"{name} does not keep its option {option}, so it could not be saved; set "
            f"self.{option} in __init__",
        )
        options[option] = getattr(loss, option)
    try:
        json.dumps(options)
    except TypeError as error:
        raise InputError(f"{name}: options {options} cannot be saved: {error}") from None
    return options


def load_loss(folder: Path, dim: int) -> tuple[Loss, list[str] | None]:
    """Read what `save_loss` wrote, for embeddings of size `dim`.

    The file names the class: one of `sbert.losses`, or of a module that is already imported. No
    module is imported because a file names it, since that would run it.

    Returns:
        The loss in evaluation mode, and the names of its classes.

    Raises:
        InputError: no such file, or its class is not imported or is no loss.
    """
    path = folder / LOSS_FILE
    require(
        path.exists(),
        f"{folder}: no trained loss head ({LOSS_FILE}); "
        "NLI accuracy needs a model trained with SoftmaxLoss",
    )
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    loss = _imported_class(facts["class"], path)(**facts["options"]).bind(dim)
    loss.load_state_dict(load_file(path))
    return loss.eval(), facts["classes"]


def _imported_class(class_path: str, path: Path) -> type[Loss]:
    module, _, name = class_path.rpartition(".")
    loss = getattr(sys.modules.get(module or losses.__name__), name, None)
    # the name comes from a file: nothing but a loss may be called
    require(
        inspect.isclass(loss) and issubclass(loss, Loss),
        f"{path}: the loss {class_path} is neither in sbert.losses nor imported, and a file "
        "imports nothing; import its module before, or name it: evaluate.py --loss "
        "my_module.MyLoss",
    )
    return loss
