"""Which options of a run differ from their defaults: what its curves and its model card list."""

import inspect
from dataclasses import fields, is_dataclass
from typing import Any

from sbert.losses import Loss
from sbert.training.config import TrainConfig


def changed_options(config: TrainConfig, options: dict[str, Any]) -> dict[str, Any]:
    """What differs from the defaults, with dotted names; items of a list are counted from 0.

    For example {"data.train.0.path": "stsb", "loss": "CosineSimilarityLoss", "optim.lr": 5e-5}.
    `options` is the configuration as nested dicts, where a loss still has its arguments.
    """
    changed = _changed_fields(config, "")
    if isinstance(config.loss, Loss):
        return changed | _changed_loss("loss", config.loss, options["loss"])
    del changed["loss"]
    for dataset, loss in config.loss.items():
        changed |= _changed_loss(f"loss.{dataset}", loss, options["loss"][dataset])
    return changed


def _changed_loss(name: str, loss: Loss, options: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {name: type(loss).__name__}
    for option, value in options.get("init_args", {}).items():
        default = _default(type(loss), option)
        # options from YAML have lists for tuples
        if value != (list(default) if isinstance(default, tuple) else default):
            changed[f"{name}.{option}"] = value
    return changed


def _default(kind: type[Loss], option: str) -> object:
    """The default of an option that a class takes, or passes on to a base as one of **kwargs."""
    for base in kind.__mro__:
        parameters = inspect.signature(base.__init__).parameters
        if option in parameters:
            return parameters[option].default
    return inspect.Parameter.empty


def _changed_fields(config: object, prefix: str) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for option in fields(config):
        name, value = prefix + option.name, getattr(config, option.name)
        if is_dataclass(value) and option.default is None:  # it is set at all: lora
            changed |= {f"{name}.{part}": choice for part, choice in vars(value).items()}
        elif is_dataclass(value):
            changed |= _changed_fields(value, f"{name}.")
        elif isinstance(value, list) and value and is_dataclass(value[0]):
            for i, item in enumerate(value):
                changed |= _changed_fields(item, f"{name}.{i}.")
        elif value != option.default and value != []:
            changed[name] = value
    return changed
