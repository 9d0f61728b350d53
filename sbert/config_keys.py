"""The keys of a configuration file, compared with the fields of the dataclasses that it fills."""

from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Union, get_args, get_origin, get_type_hints

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
