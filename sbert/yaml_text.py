"""Settings as YAML text."""

from collections.abc import Mapping
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Also of numbers with a range, such as jsonargparse's NonNegativeInt: subclasses of int."""


_Dumper.add_multi_representer(int, lambda dumper, value: dumper.represent_int(int(value)))
_Dumper.add_multi_representer(float, lambda dumper, value: dumper.represent_float(float(value)))


def dump_yaml(content: Mapping[str, Any], **options: Any) -> str:
    """The content in its order, as yaml.safe_dump has it with the same `options`."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **options)
