"""The keys of configurations: those that no dataclass has, and those whose values differ."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from sbert.errors import require


def check_keys(path: Path, schema: type, flags: Collection[str] = ()) -> None:
    """Refuse a key that `schema` does not have; a missing file is the parser's matter.

    A key with a dot, and the options of a class that the file names, are left to the parser.
    flags: options beside those of the schema.

    Raises:
        InputError: naming the file, where the key stands, and what is known there.
    """
    content = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else None
    if not isinstance(content, dict):
        return
    content = {key: value for key, value in content.items() if key not in flags}
    for place, key, known in _unknown_keys(content, schema, ""):
        require(False, f"{path}: unknown key {place}{key}; known: {', '.join(known)}")


def _unknown_keys(value: object, kind: object, place: str) -> Iterator[tuple[str, str, list[str]]]:
    """(place, key, the keys known there) of each unknown key in a value of type `kind`."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else [kind]
    schemas = [one for one in kinds if is_dataclass(one)]
    item_kinds = [get_args(one)[0] for one in kinds if get_origin(one) is list]
    if isinstance(value, dict) and schemas:
        known = [field.name for field in fields(schemas[0])]
        types = get_type_hints(schemas[0])
        for key, inner in value.items():
            if key in known:
                yield from _unknown_keys(inner, types[key], f"{place}{key}.")
            elif "." not in str(key):
                yield place, key, known
    elif isinstance(value, list) and item_kinds:
        for index, item in enumerate(value):
            yield from _unknown_keys(item, item_kinds[0], f"{place.rstrip('.')}[{index}].")


def first_difference(old: str, new: str) -> str | None:
    """The first option in which two configurations (YAML) differ, described; None if none does.

    The order of options is no difference; 1 and 1.0 are different, as a number of rows and a share.
    """
    before, after = (_flatten(yaml.safe_load(text)) for text in (old, new))
    for name in before | after:
        values = [_describe_value(options, name) for options in (before, after)]
        if values[0] != values[1]:
            return f"{name or 'it'} was {values[0]}, now {values[1]}"
    return None


def _flatten(value: Any, name: str = "") -> dict[str, Any]:
    """{dotted name: value} of nested dicts and lists."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return {name: value}
    flat = {name: value} if not value else {}  # an empty one is a value
    for key, inner in items:
        flat |= _flatten(inner, f"{name}.{key}" if name else str(key))
    return flat


def _describe_value(options: Mapping[str, Any], name: str) -> str:
    return json.dumps(options[name], ensure_ascii=False) if name in options else "not set"
