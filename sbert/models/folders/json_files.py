"""The JSON files of a model folder, read and checked, and whether its weights are there."""

import contextlib
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sbert.errors import InputError, require
from sbert.models.folders.settings import MODEL, MODULE, TRANSFORMER, check_settings

ST_CONFIG = "config_sentence_transformers.json"


def load_json(path: Path, default: dict | None = None) -> dict:
    """The content of a JSON file; `default`, if given, where there is no such file."""
    if not path.exists():
        require(default is not None, f"{path}: no such file")
        return default
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:  # of the encoding or of the JSON
        raise InputError(f"{path}: not JSON: {error}") from None


def dump_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def require_weights(folder: Path, name: str = "model.safetensors") -> None:
    """Refuse a folder without weights in safetensors, whole or in parts.

    Raises:
        InputError: there are none. Where there are pickled weights, it names what converts them.
    """
    stem = name.removesuffix(".safetensors")
    pickled = sorted(file.name for file in folder.glob("*.bin"))
    hint = ""
    if pickled:
        hint = f"; python tools/convert_weights.py {folder} makes it of {pickled[0]}"
    require(
        any(folder.glob(f"{stem}*.safetensors")), f"{folder}: no weights: {name} is missing{hint}"
    )


@contextlib.contextmanager
def name_folder_in_errors(path: Path) -> Iterator[None]:
    """Turn any exception inside the block into an `InputError` of one line that names `path`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # transformers and safetensors raise many kinds on a broken folder
        raise InputError(
            f"{path}: cannot be read: {type(error).__name__}: {textwrap.shorten(str(error), 200)}"
        ) from error


@contextlib.contextmanager
def prefix_errors(path: Path) -> Iterator[None]:
    """Let every `InputError` inside the block start with `path`."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def list_modules(root: Path) -> list[tuple[str, Path]]:
    """(class name, folder) of the modules in modules.json; the first is the transformer.

    Raises:
        InputError: another module is the first; a module that brings its own code.
    """
    path = root / "modules.json"
    modules = []
    with name_folder_in_errors(path):
        for i, module in enumerate(load_json(path, default=[])):
            check_settings(module, MODULE, str(path))
            package, _, name = module["type"].rpartition(".")
            require(
                package.startswith("sentence_transformers."),
                f"{path}: module {module['type']} brings its own code, which is not executed",
            )
            require(
                i > 0 or name == "Transformer",
                f"{path}: module {name} is not supported; known: Transformer as the first",
            )
            modules.append((name, root / module["path"]))
    return modules


def read_model_settings(root: Path) -> dict:
    """config_sentence_transformers.json, checked; {} if there is none."""
    settings = load_json(root / ST_CONFIG, default={})
    check_settings(settings, MODEL, str(root / ST_CONFIG))
    return settings


@dataclass
class TransformerSettings:
    """What sentence_bert_config.json says of a transformer.

    Args:
        max_length: tokens a text keeps, special ones included.
        tokenizer_options: of AutoTokenizer.from_pretrained.
        config_options: settings that replace those of config.json.
        truncation: how pairs that are too long are cut, as the tokenizer names it.
    """

    max_length: int | None = None
    lower_case: bool = False
    tokenizer_options: dict = field(default_factory=dict)
    config_options: dict = field(default_factory=dict)
    truncation: str | bool = True


def read_transformer_settings(path: Path) -> TransformerSettings:
    """Read sentence_bert_config.json from the transformer's folder.

    Of several lengths, the one for the call of the tokenizer counts, then the one for its making.

    Raises:
        InputError: a setting that is not supported.
    """
    # before 2020 the file had the names of other models, as in sentence_roberta_config.json
    files = sorted(path.glob("sentence_*_config.json"), key=lambda file: "_bert_" not in file.name)
    if not files:
        return TransformerSettings()
    settings = load_json(files[0])
    check_settings(settings, TRANSFORMER, str(files[0]))
    tokenizer_options = _options(settings, "tokenizer_args", "processor_kwargs")
    processing = settings.get("processing_kwargs", {}).get("text", {})
    lengths = (
        processing.get("max_length"),
        tokenizer_options.get("model_max_length"),
        settings.get("max_seq_length"),
    )
    return TransformerSettings(
        max_length=next((length for length in lengths if length), None),
        lower_case=bool(settings.get("do_lower_case")),
        tokenizer_options=tokenizer_options,
        config_options=_options(settings, "config_args", "config_kwargs"),
        truncation=processing.get("truncation", True),
    )


def _options(settings: dict, *names: str) -> dict:
    """The options under an old and a new name, but for the one to execute code."""
    options = {}
    for name in names:
        options |= settings.get(name) or {}
    options.pop("trust_remote_code", None)
    return options
