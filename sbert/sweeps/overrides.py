"""Options by their dotted names, in a configuration that is still nested dicts and lists.

jsonargparse merges dotted options too, but it has no names for the entries of a list, and it merges
a dict into the earlier one where a sweep replaces it.
"""

import copy
import re
from collections.abc import Callable
from typing import Any

from sbert.atomic import file_name
from sbert.data.origin import LANGUAGE
from sbert.errors import require


def axes_label(
    axes: dict[str, Any], format_value: Callable[[object], str] = file_name, separator: str = ","
) -> str:
    """The label of a point on some axes: axis=value, and the variant by its name alone."""
    parts = {axis: f"{format_value(axis)}={format_value(value)}" for axis, value in axes.items()}
    if "variant" in axes:
        parts["variant"] = format_value(axes["variant"])
    return separator.join(parts.values())


def fill_placeholders(value: Any, axes: dict[str, Any], option: str) -> Any:
    """The value of an option, with {seed} and other axes in its strings replaced by a run's values.
    {language} stays: it is for the path of a dataset.

    Raises:
        InputError: a placeholder that is not an axis.
    """

    def axis_value(match: re.Match) -> str:
        if match[0] == LANGUAGE:
            return LANGUAGE
        require(
            match[1] in axes,
            f"{option}: {match[0]} is not an axis of this sweep; "
            f"the axes are: {', '.join(axes) or 'none'}",
        )
        return file_name(axes[match[1]])

    if isinstance(value, dict):
        return {key: fill_placeholders(part, axes, option) for key, part in value.items()}
    if isinstance(value, list):
        return [fill_placeholders(part, axes, option) for part in value]
    if isinstance(value, str):
        return re.sub(r"\{([\w.*]+)\}", axis_value, value)
    return value


def set_option(node: Any, path: str, value: Any) -> None:
    """Set a dotted option. Entries of a list are named by index, or * for all; options of a class
    without init_args, as on the command line. Whether a class has an option is left to its parser.

    Raises:
        InputError: no such option.
    """
    key, _, rest = path.removeprefix("init_args.").partition(".")
    if isinstance(node, dict) and "class_path" in node:
        node = node.setdefault("init_args", {})
        if not rest:
            node.setdefault(key, None)
    for k in _matching_keys(node, key):
        if not rest:
            node[k] = copy.deepcopy(value)
        else:
            if isinstance(node[k], str):  # a class given by its name alone
                node[k] = {"class_path": node[k]}
            set_option(node[k], rest, value)


def _matching_keys(node: Any, key: str) -> list:
    """The keys of a dict, or the indices of a list, that one part of a dotted option names."""
    keys: dict[str, list] = {}
    if isinstance(node, dict):
        keys = {name: [name] for name in node}
    elif isinstance(node, list):
        indices = range(len(node))
        keys = {str(index): [index] for index in indices} | {"*": list(indices)}
    require(keys.get(key), f"'{key}' is not one of {', '.join(keys) or 'no options'}")
    return keys[key]


def overrides(later: str, earlier: str) -> bool:
    """Whether setting the later option replaces what the earlier one set: it is the same option, or
    contains it."""
    later_keys, earlier_keys = later.split("."), earlier.split(".")
    return len(later_keys) <= len(earlier_keys) and all(
        a == b or "*" in (a, b) for a, b in zip(later_keys, earlier_keys, strict=False)
    )
