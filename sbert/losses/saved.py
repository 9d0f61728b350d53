"""A trained loss beside its model: loss.safetensors holds its class, options and weights.

In a run with a loss for each dataset there is a file for each, loss.<dataset>.safetensors.
"""

import inspect
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sbert import losses
from sbert.errors import InputError, require
from sbert.losses.base import Loss

LOSS_FILE = "loss.safetensors"


class TrainedLoss(NamedTuple):
    """A loss, the names of the classes that it tells apart, if it does, and its dataset.

    dataset: None for a loss of all datasets.
    """

    loss: Loss
    classes: list[str] | None = None
    dataset: str | None = None


def save_loss(folder: Path, trained: TrainedLoss) -> None:
    """Write a loss into a model's folder; nothing for one without trained weights."""
    loss, classes, dataset = trained
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
    file = LOSS_FILE
    if dataset is not None:
        facts["dataset"] = dataset
        file = f"loss.{quote(dataset, safe='')}.safetensors"
    weights = {name: t.detach().cpu().contiguous() for name, t in loss.state_dict().items()}
    save_file(weights, folder / file, {"format": "pt", "facts": json.dumps(facts)})


def saved_options(loss: Loss) -> dict[str, Any] | None:
    """The options that a loss with trained weights is built again from; None for other losses.

    Raises:
        InputError: an option that the loss does not keep, passes on as one of **kwargs, or that
            JSON cannot hold.
    """
    if not any(weight.requires_grad for weight in loss.parameters()):
        return None
    name = type(loss).__name__
    options = {}
    for option, parameter in inspect.signature(type(loss)).parameters.items():
        require(
            parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD),
            f"{name} takes {parameter}, so the options that it would be built again from are not "
            "known; name them in __init__",
        )
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


def loss_files(folder: Path) -> list[Path]:
    """The files that `save_loss` wrote into a model's folder."""
    return sorted(folder.glob("loss.*safetensors"))


def load_losses(folder: Path, dim: int) -> list[TrainedLoss]:
    """Read all losses that `save_loss` wrote, in evaluation mode, for embeddings of size `dim`.

    The file names the class: one of `sbert.losses`, or of a module that is already imported. No
    module is imported because a file names it, since that would run it.

    Raises:
        InputError: no such file, or its class is not imported or is no loss.
    """
    paths = loss_files(folder)
    require(
        paths,
        f"{folder}: no trained loss head ({LOSS_FILE}); "
        "NLI accuracy needs a model trained with SoftmaxLoss",
    )
    return [_load_loss(path, dim) for path in paths]


def _load_loss(path: Path, dim: int) -> TrainedLoss:
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    loss = _imported_class(facts["class"], path)(**facts["options"])
    loss.restore(load_file(path), dim)
    return TrainedLoss(loss.eval(), facts["classes"], facts.get("dataset"))


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
