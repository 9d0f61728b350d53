"""Typed configuration: dataclasses whose fields are the options, read from YAML and the command line by jsonargparse."""

import argparse
import platform
import sys
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import MISSING, fields
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from sbert.errors import InputError

# options without a value: a configuration file has none of them, so their place does not matter
FLAGS = ("--resume", "--overwrite", "--dry_run", "--redo")


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, and 2e-5 is a number."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict:
    counts = Counter(key.value for key, _ in node.value)
    for key, _ in node.value:
        if counts[key.value] > 1:
            raise InputError(
                f"{key.start_mark.name}, line {key.start_mark.line + 1}: '{key.value}' stands twice"
            )
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class _Help(argparse.RawDescriptionHelpFormatter, jsonargparse.DefaultHelpFormatter):
    """Keeps the lines of a script's docstring, which show its commands."""


class Parser(jsonargparse.ArgumentParser):
    """jsonargparse's parser with every error on one line."""

    def error(self, message: str, ex: Exception | None = None):
        print(
            f"{self.prog}: error: {_line(message)} (options: {self.prog} --help)",
            file=sys.stderr,
            flush=True,
        )
        raise SystemExit(2)


class InnerParser(Parser):
    """For what a command makes itself: its errors do not end the process."""

    def error(self, message: str, ex: Exception | None = None):
        raise InputError(_line(message))


def _line(message: str) -> str:
    return "; ".join(part.strip().rstrip(":") for part in str(message).splitlines() if part.strip())


def make_parser(
    schema: type, program: str, usage: str, kind: type = Parser, **several: tuple[object, str]
) -> Parser:
    """The parser of a command whose options are the fields of a dataclass.

    several: name=(type, help) of fields that take several words on the command line, as in `--data stsb sts12`.
    """
    made = kind(prog=program, description=usage, formatter_class=_Help)
    made.add_argument(
        "--config", action="config", help="A YAML file; options that follow override it."
    )
    made.add_class_arguments(schema, as_group=False, skip=set(several))
    optional = {option.name for option in fields(schema) if option.default_factory is not MISSING}
    for name, (kind, text) in several.items():
        presence = {"default": []} if name in optional else {"required": True}
        made.add_argument(f"--{name}", nargs="+", type=kind, help=text, **presence)
    return made


def check_arguments(argv: list[str]) -> None:
    """Refuse an option or a YAML key that is given twice, and an option before --config, which the file would override: one
    of the two would be lost without a word."""
    options = [word.partition("=")[0] for word in argv if word.startswith("--")]
    for option, count in Counter(options).items():
        if count > 1 and not option.endswith("+"):
            raise InputError(f"{option} is given {count} times")
    before = options[: options.index("--config")] if "--config" in options else []
    for option in before:
        if option not in FLAGS:
            raise InputError(
                f"{option} stands before --config, whose file would override it; put --config first"
            )
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        path = (
            Path(word.partition("=")[2] or following)
            if word.partition("=")[0] == "--config"
            else None
        )
        if path and path.is_file():
            with path.open(encoding="utf-8") as file:
                try:
                    yaml.load(file, _UniqueKeys)
                except yaml.YAMLError as error:
                    raise InputError(f"{path}: not YAML: {error}") from None


def choose_task(
    program: str,
    argv: list[str],
    usage: str,
    tasks: Collection[str],
    moved: Mapping[str, str] | None = None,
) -> tuple[str, list[str]]:
    """The task that a command line names first, and the words after it. Without one, or with --help, print the usage and exit.

    moved: former tasks and what replaces them.

    Raises:
        InputError: an unknown task.
    """
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help"):
        print(usage.strip())
        raise SystemExit(0)
    if name in (moved or {}):
        raise InputError(f"'{name}' is now: python {moved[name]}")
    if name not in tasks:
        raise InputError(
            f"unknown task '{name}'; the tasks are {', '.join(tasks)} ({program} --help)"
        )
    return name, rest


def flatten_options(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as {"optim.lr": ...}."""
    result: dict[str, Any] = {}
    for key, value in options.items():
        result |= (
            flatten_options(value, f"{prefix}{key}.")
            if isinstance(value, dict)
            else {prefix + key: value}
        )
    return result


PACKAGES = ("sbert", "torch", "transformers", "tokenizers", "numpy", "scipy")


def versions() -> dict[str, str]:
    return {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def first_difference(old: str, new: str) -> str | None:
    """The first line in which two configurations differ."""
    for before, after in zip_longest(old.splitlines(), new.splitlines(), fillvalue=""):
        if before != after:
            return f"it was '{before.strip()}', now '{after.strip()}'"
    return None
