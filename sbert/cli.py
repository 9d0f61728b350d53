"""The command line: options are the fields of dataclasses, read from YAML and from arguments."""

import argparse
import platform
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, fields
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import jsonargparse
import yaml

from sbert.config_keys import check_keys
from sbert.errors import InputError, require

PARSER_FLAGS = ("help", "print_config")  # those of jsonargparse

# in a field of any type, such as the values of a sweep's variants, a class that a file names is a
# value like others: it is neither imported nor made
jsonargparse.set_parsing_settings(
    validate_subclass_spec_in_any=False, instantiate_subclass_spec_in_any=False
)

PACKAGES = ("sbert", "torch", "transformers", "tokenizers", "numpy", "scipy")


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML in which a duplicate key is an error."""


def _construct_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict:
    counts = Counter(key.value for key, _ in node.value)
    for key, _ in node.value:
        if counts[key.value] > 1:
            mark = key.start_mark
            raise InputError(f"{mark.name}, line {mark.line + 1}: duplicate key '{key.value}'")
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter, jsonargparse.DefaultHelpFormatter):
    """Keeps the line breaks of a script's docstring, which shows its commands."""


class Parser(jsonargparse.ArgumentParser):
    """jsonargparse's parser, with each error on one line and exit status 2."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        line = f"{self.prog}: error: {_one_line(message)} (options: {self.prog} --help)"
        print(line, file=sys.stderr, flush=True)
        raise SystemExit(2)


class InnerParser(Parser):
    """For configurations that a command builds itself: an error is an `InputError`."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        raise InputError(_one_line(message))


# jsonargparse's wording of frequent errors, and ours
_REWORDINGS = [
    (r"Does not validate against any of the Union subtypes; Subtypes: .*; Errors; - ", ""),
    (r"; - Expected a <class '(NoneType|dict)'>", ""),
    (r"Expected an instantiatable class, but \S+ is abstract; - ", ""),
    (r"; Given value type: .*; Given value: ", "; "),
    (r'(Parser key ".+?") element \d+; ', r"\1; "),
    (
        r'Parser key "(.+?)"; Not of type \w+: (\S+) does not conform to restriction (.*)',
        r"\1 is \2; it must be \3",
    ),
    (
        r'Parser key "(.+?)"; Not of type \w+: does not conform to restriction (.*); (\S+)',
        r"\1 is \3; it must be \2",
    ),
    (r"^'int' object is not iterable$", "a number where a list is needed, such as [96]"),
    (r" and v<inf\b", " and finite"),
    (r"\bv([<>=]+)(?=[-\d])", r"\1 "),
    (
        r'Parser key "(.+?)"; Expected a dot import path string: (\S+?)(;.*)?$',
        r"\1: unknown class \2; --help lists the known ones, one of your own is module.Class",
    ),
]


def _one_line(message: str) -> str:
    lines = [line.strip().rstrip(":") for line in str(message).splitlines()]
    line = "; ".join(line for line in lines if line)
    for pattern, wording in _REWORDINGS:
        line = re.sub(pattern, wording, line)
    return line


def make_parser(
    schema: type,
    program: str,
    usage: str,
    parser_class: type[Parser] = Parser,
    **lists: tuple[object, str],
) -> Parser:
    """The parser of a command whose options are the fields of the dataclass `schema`.

    lists: name=(type, help) of the fields that take several words, as in `--data stsb sts12`.
    """
    parser = parser_class(prog=program, description=usage, formatter_class=_HelpFormatter)
    text = "A YAML file; the options that follow override it."
    parser.add_argument("--config", action="config", help=text)
    parser.add_class_arguments(schema, as_group=False, skip=set(lists))
    defaults = {field.name: field.default_factory for field in fields(schema)}
    for name, (item_type, text) in lists.items():
        required = defaults[name] is MISSING
        presence = {"required": True} if required else {"default": []}
        parser.add_argument(f"--{name}", nargs="+", type=item_type, help=text, **presence)
    return parser


class Command(NamedTuple):
    """A parsed command line.

    config: an instance of the schema. options: the same as nested dicts. config_yaml: the same as
    a complete YAML document. flags: the options without a value, by name.
    """

    config: Any
    options: dict[str, Any]
    config_yaml: str
    flags: dict[str, bool]


def parse_command(
    program: str,
    schema: type,
    usage: str,
    argv: list[str],
    flags: Mapping[str, str] | None = None,
    parser_class: type[Parser] = Parser,
    **lists: tuple[object, str],
) -> Command:
    """Parse the arguments of a command. `flags`: name and help of the options without a value.

    Raises:
        InputError: an option or a YAML key that is given twice or unknown, an option before
            --config, an option that a loss refuses.
    """
    flags = flags or {}
    check_arguments(argv, flags)
    for path in _config_files(argv):
        check_keys(path, schema, flags)
    parser = make_parser(schema, program, usage, parser_class, **lists)
    for name, text in flags.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    parsed = parser.parse_args(argv)
    given_flags = {name: parsed.pop(name) for name in flags}
    parsed.pop("config")
    config_yaml = parser.dump(parsed, skip_validation=True)
    options = parsed.clone().as_dict()  # before instantiate, which changes what it is given
    try:
        config = schema(**vars(parser.instantiate(parsed)))
    except ValueError as error:  # where an option may be of several types, it hides the first one
        raise InputError(str(error.__cause__ or error)) from None
    return Command(config, options, config_yaml, given_flags)


def check_arguments(argv: list[str], flags: Collection[str] = ()) -> None:
    """Refuse what would silently lose a value.

    Raises:
        InputError: an option or a YAML key that is given twice; an element of a list; an option
            before --config, whose file may override it. Flags, which no file holds, may come first,
            --help and --print_config too.
    """
    options = [word.partition("=")[0] for word in argv if word.startswith("--")]
    for option in options:
        element = re.match(r"(--[\w.]+?)\.\d+(\.|$)", option)
        if element:  # jsonargparse refuses what is left of it without the name of the list
            raise InputError(
                f"{option}: is of an element of a list; give the whole list, {element[1]} '[...]', "
                "or change it in the file, or in `set` of a sweep"
            )
    for option, count in Counter(options).items():
        require(count == 1 or option.endswith("+"), f"{option} is given {count} times")
    before = options[: options.index("--config")] if "--config" in options else []
    for option in before:
        message = f"{option} comes before --config, whose file may override it"
        is_flag = option.removeprefix("--") in {*flags, *PARSER_FLAGS}
        require(is_flag, f"{message}; put --config first")
    for path in _config_files(argv):
        check_yaml(path)


def _config_files(argv: list[str]) -> Iterator[Path]:
    for word, following in zip_longest(argv, argv[1:], fillvalue=""):
        option, equals, value = word.partition("=")
        if option == "--config":
            yield Path(value if equals else following)


def check_yaml(path: Path) -> None:
    """Refuse a file that is not YAML or has a duplicate key; a missing file is the parser's matter.

    Raises:
        InputError: naming the file, the line and the key.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        try:
            yaml.load(file, _UniqueKeyLoader)
        except yaml.YAMLError as error:
            raise InputError(f"{path}: not YAML: {error}") from None


def choose_task(
    program: str,
    argv: list[str],
    usage: str,
    tasks: Collection[str],
    moved: Mapping[str, str] | None = None,
) -> tuple[str, list[str]]:
    """The task, which a command line names first, and the words after it.

    Without a task, or with --help, the usage is printed and the process exits.

    moved: former tasks, and the commands that replace them.

    Raises:
        InputError: an unknown task.
    """
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help"):
        print(usage.strip())
        raise SystemExit(0)
    if moved and name in moved:
        raise InputError(f"{program} {name} has moved: use python {moved[name]}")
    known = ", ".join(tasks)
    require(name in tasks, f"unknown task '{name}'; the tasks are {known} ({program} --help)")
    return name, rest


def flatten_options(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as {"optim.lr": ...}."""
    result: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, dict):
            result.update(flatten_options(value, f"{prefix}{key}."))
        else:
            result[prefix + key] = value
    return result


def versions() -> dict[str, str]:
    """The versions that the results of a run depend on, by name."""
    return {"Python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # sbert from a checkout that is on the path alone
        return "not installed"
