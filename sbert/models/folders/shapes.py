"""Weights whose shape is not the one that config.json asks for."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from safetensors import safe_open
from torch import nn

from sbert.errors import InputError


def refuse_mismatches(folder: Path, model: nn.Module, mismatched: Iterable) -> None:
    """Refuse a model of which transformers says that weights have other shapes.

    Args:
        mismatched: their names, or tuples that start with them, by the version of transformers.

    Raises:
        InputError: there is one.
    """
    names = [found if isinstance(found, str) else found[0] for found in mismatched]
    if names:
        name, config = min(names), model.config
        settings = config.get_text_config().to_dict() | {"num_labels": config.num_labels}
        # older versions of transformers give the names that the file has
        weight = next(w for key, w in model.state_dict().items() if _is_same(key, name))
        refuse_shape(folder, name, weight.shape, settings)


def refuse_shape(
    folder: Path, name: str, expected: Sequence[int], settings: Mapping[str, object]
) -> NoReturn:
    """Say which weight of a folder has another shape than its config.json asks for.

    Args:
        name: of the weight in the model; the file may have it with another prefix.
        settings: of config.json. Those whose value is the expected size are named.

    Raises:
        InputError: always.
    """
    place, found = _find_weight(folder, name)
    reasons = []
    for wanted, size in zip(expected, found, strict=False):
        keys = [key for key, value in settings.items() if type(value) is int and value == wanted]
        if size != wanted and keys:
            reasons.append(f"{' or '.join(keys)} is {wanted}, and {size} would fit")
    if not reasons:
        reasons.append("they are not of the same model")
    raise InputError(
        f"{place} has the shape {_join(found)}, and config.json asks for {_join(expected)}: "
        f"{'; '.join(reasons)}"
    )


def _find_weight(folder: Path, name: str) -> tuple[str, list[int]]:
    """Where a weight is, for messages, and its shape."""
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, "pt") as weights:
            names = weights.keys()
            for stored in names:
                if _is_same(stored, name):
                    return f"{file}: {stored}", weights.get_slice(stored).get_shape()
    return f"{folder}: {name}", []


def _is_same(first: str, second: str) -> bool:
    """Whether two names of weights are equal but for a prefix, such as bert."""
    return f".{first}".endswith(f".{second}") or f".{second}".endswith(f".{first}")


def _join(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes)) or "of another model"
