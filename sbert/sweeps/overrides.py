"""Options by their dotted names, in a configuration that is still nested dicts and lists."""

import copy
import re
from collections.abc import Callable
from typing import Any

from sbert.atomic import file_name
from sbert.errors import InputError


def axes_label(axes: dict[str, Any], shown: Callable[[object], str] = file_name) -> str:
    """The name of a point on some axes: the variant as it is called, the others as axis=value."""
    return ",".join(
        shown(v) if name == "variant" else f"{shown(name)}={shown(v)}" for name, v in axes.items()
    )


def fill_placeholders(value: Any, axes: dict[str, Any], option: str) -> Any:
    """The value of an option with a run's values on the axes in the place of {seed} and its like.

    Raises:
        InputError: a name that is none of the axes.
    """

    def found(match: re.Match) -> str:
        if match[1] not in axes:
            raise InputError(
                f"{option}: {match[0]} is no axis of this sweep; it has {', '.join(axes) or 'none'}"
            )
        return file_name(axes[match[1]])

    if isinstance(value, dict):
        return {key: fill_placeholders(part, axes, option) for key, part in value.items()}
    if isinstance(value, list):
        return [fill_placeholders(part, axes, option) for part in value]
    return re.sub(r"\{([\w.*]+)\}", found, value) if isinstance(value, str) else value


def set_option(node: Any, path: str, value: Any) -> None:
    """Set a dotted option, in lists by number or * for all. The options of a class are named without init_args, as on the command
    line; which of them it has, its parser knows.

    Raises:
        InputError: an option that is not there.
    """
    key, _, rest = path.removeprefix("init_args.").partition(".")
    if isinstance(node, dict) and "class_path" in node:
        node = node.setdefault("init_args", {})
        known = {*node, key} if not rest else set(node)
    else:
        known = node if isinstance(node, dict) else {}
    if isinstance(node, list):
        keys = (
            range(len(node))
            if key == "*"
            else [int(key)]
            if key.isdecimal() and int(key) < len(node)
            else []
        )
        known = [*map(str, range(len(node))), "*"]
    else:
        keys = [key] if key in known else []
    if not keys:
        raise InputError(f"'{key}' is none of {', '.join(known) or 'no options'}")
    for k in keys:
        if rest and isinstance(node[k], str):  # a class by its name alone
            node[k] = {"class_path": node[k]}
        if rest:
            set_option(node[k], rest, value)
        else:
            node[k] = copy.deepcopy(value)


def overrides(later: str, earlier: str) -> bool:
    """Whether setting one option, dotted, undoes what another was set to before: it is the same, or holds it."""
    later, earlier = later.split("."), earlier.split(".")
    pairs = zip(later, earlier, strict=False)
    return len(later) <= len(earlier) and all(a == b or "*" in (a, b) for a, b in pairs)
