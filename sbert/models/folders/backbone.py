"""Hugging Face model folders with safetensors and a fast tokenizer: what both encoders share.

No code that a folder brings is executed, and no other weights than safetensors are read.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import transformers
from huggingface_hub import snapshot_download
from torch import nn
from transformers import CONFIG_MAPPING, AutoConfig, AutoTokenizer

from sbert.errors import InputError, require
from sbert.models.adapters import ADAPTER_CONFIG, save_transformer
from sbert.models.families import NO_LIMIT, count_positions
from sbert.models.folders.json_files import (
    ST_CONFIG,
    list_modules,
    load_json,
    name_folder_in_errors,
    read_transformer_settings,
    require_weights,
)
from sbert.models.folders.shapes import refuse_mismatches
from sbert.models.folders.tokenizer import check_size, check_special_tokens, save_tokenizer

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json")
# what transformers, sentence-transformers and this package read of a model's folder
_MODEL_FILES = (
    *("config.json", "generation_config.json", "modules.json", "sentence_*_config.json", ST_CONFIG),
    *("model*.safetensors*", "pytorch_model*", "tf_model*", "flax_model*", "loss.*"),
    *(ADAPTER_CONFIG, "adapter_model.*"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "*.model", "chat_template.*"),
    *("processor_config.json", "preprocessor_config.json"),
)


@dataclass
class Backbone:
    """A transformer and its tokenizer, as a folder holds them.

    Args:
        root: the folder.
        max_length: tokens a text (or pair) keeps, special ones included.
        modules: (class name, folder) of what modules.json lists after the transformer, in order.
    """

    root: Path
    transformer: nn.Module
    tokenizer: object
    max_length: int
    lower_case: bool
    modules: list[tuple[str, Path]]


def is_local(name_or_path: str | Path) -> bool:
    """Whether it is a path, existing or not, rather than a name on the hub."""
    name = str(name_or_path)
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).exists()


def locate_folder(name_or_path: str | Path, revision: str | None = None) -> Path:
    """The local folder of a path or hub name; weights, JSON, vocabularies and card are downloaded.

    revision: of a hub model, None for the newest.

    Raises:
        InputError: no such folder, and none on the hub.
    """
    path = Path(name_or_path)
    if path.is_dir():
        return path
    hint = ""
    if path.name == "best":
        hint = f"; it is written by the run {path.parent.name} of train.py: train that first"
    require(not is_local(name_or_path), f"model {name_or_path}: no such folder{hint}")
    try:
        patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "README.md"]
        name = str(name_or_path)
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises many kinds
        raise InputError(
            f"model {name_or_path}: no such folder, and no model of this name could be downloaded "
            f"from the hub ({type(error).__name__})"
        ) from error


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars of transformers, and no warnings of weights that are unused on purpose."""
    verbosity = transformers.logging.get_verbosity()
    progress_bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if progress_bars:
            transformers.utils.logging.enable_progress_bar()


def read_backbone(
    name_or_path: str | Path, load: Callable[[Path], nn.Module], max_length: int | None
) -> Backbone:
    """Read a folder.

    Args:
        load: makes the transformer from the folder of its weights.
        max_length: None: as saved, else what the tokenizer says. At most what the model has
            positions for.

    Raises:
        InputError: a file is missing or broken, or a setting is not supported.
    """
    root = locate_folder(name_or_path)
    modules = list_modules(root)
    path = modules[0][1] if modules else root
    settings = read_transformer_settings(path)
    with name_folder_in_errors(path):
        transformer = load(path)
        tokenizer = _load_tokenizer(path, transformer, settings.tokenizer_options)
    check_size(path, tokenizer, len(transformer.get_input_embeddings().weight))
    positions = count_positions(transformer)
    require(
        max_length is None or max_length <= positions,
        f"{root}: max_length {max_length}: the model has positions for {positions} tokens",
    )
    if max_length is None:
        saved_length = settings.max_length or tokenizer_length(tokenizer, transformer.config)
        max_length = min(saved_length, positions)
    return Backbone(root, transformer, tokenizer, max_length, settings.lower_case, modules[1:])


def _load_tokenizer(path: Path, transformer: nn.Module, options: dict):
    if not _has_tokenizer(path):
        path = Path(transformer.name_or_path)  # an adapter leaves the tokenizer to its base
    require(_has_tokenizer(path), f"{path}: no tokenizer: {_TOKENIZER_FILES[0]} is missing")
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False, **options)
    if tokenizer.is_fast:  # others are refused elsewhere
        check_special_tokens(path, tokenizer)
    return tokenizer


def _has_tokenizer(path: Path) -> bool:
    names = [file.name for file in path.iterdir()]
    return any(name in _TOKENIZER_FILES or name.endswith(".model") for name in names)


def tokenizer_length(tokenizer, config: transformers.PretrainedConfig) -> int:
    """The tokenizer's limit, at most max_position_embeddings, as sentence-transformers has it."""
    trained = getattr(config, "max_position_embeddings", None) or NO_LIMIT
    if trained < 0:  # XLNet has -1 for none
        trained = NO_LIMIT
    return min(tokenizer.model_max_length, trained)


def read_config(path: Path) -> transformers.PretrainedConfig:
    """The config.json of a folder that also has weights.

    With what the `config_args` of sentence_bert_config.json replace.

    Raises:
        InputError: no config.json, no safetensors; a model that transformers does not have;
            `config_args` that the model does not have.
    """
    require((path / "config.json").exists(), f"{path}: no config.json: not a model folder")
    require_weights(path)
    model_type = load_json(path / "config.json").get("model_type")
    require(
        model_type in CONFIG_MAPPING,
        f"{path}: transformers {transformers.__version__} has no model type {model_type}, and code "
        "that a folder brings is not executed",
    )
    options = read_transformer_settings(path).config_options
    config, unknown = AutoConfig.from_pretrained(
        path, trust_remote_code=False, return_unused_kwargs=True, **options
    )
    require(not unknown, f"{path}: config_args: the model has no setting {', '.join(unknown)}")
    return config


def is_classifier(root: Path) -> bool:
    """Whether a folder holds a sequence classifier, which every cross-encoder is."""
    if load_json(root / ADAPTER_CONFIG, default={}).get("task_type") == "SEQ_CLS":
        return True
    names = load_json(root / "config.json", default={}).get("architectures") or []
    return any(name.endswith("ForSequenceClassification") for name in names)


def load_weights(
    path: Path,
    auto_class: type,
    config: transformers.PretrainedConfig,
    may_miss: Callable[[str, nn.Module], bool],
) -> nn.Module:
    """A model of an Auto class of transformers, in fp32, from the safetensors of a folder.

    Args:
        may_miss: (weight name, model) -> whether the folder may lack this weight, which then is
            initialised.

    Raises:
        InputError: the folder lacks another weight, or has one of another shape.
    """
    with quiet_transformers():
        model, info = auto_class.from_pretrained(
            path,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused here
        )
    refuse_mismatches(path, model, info["mismatched_keys"])
    missing = sorted(key for key in info["missing_keys"] if not may_miss(key, model))
    if missing:
        hint = "; it is made for code of its own, which is not executed here"
        raise InputError(
            f"{path}: incomplete: {len(missing)} weights are missing, for example {missing[0]}"
            f"{hint if hasattr(config, 'auto_map') else ''}"
        )
    model.float()
    own_memory(model)
    return model


def own_memory(model: nn.Module) -> None:
    """Move weights that are multiplied out of the file that they are mapped from.

    There they are at any address, and on some CPUs the sums of a product depend on it: a copy of
    the model, whose weights torch aligns, would not give the same bit for bit. Word embeddings are
    looked up: those that do not occur are never read. Tied ones are an output layer's weights, too.
    """
    word_embeddings = model.get_input_embeddings()
    for module in model.modules():
        if module is not word_embeddings:
            for weight in module.parameters(recurse=False):
                weight.data = weight.data.clone()


def save_backbone(root: Path, transformer: nn.Module, tokenizer, max_length: int) -> None:
    """Write a Hugging Face folder, with `max_length` among the settings of its tokenizer.

    Nothing stays of a model that the folder held before.
    """
    root.mkdir(parents=True, exist_ok=True)
    remove_model(root)
    with quiet_transformers():
        save_transformer(root, transformer)
    save_tokenizer(root, tokenizer, max_length)


def remove_model(root: Path) -> None:
    """Remove every file that a loader would read of a model, and no other, from a folder."""
    folders = [root]
    with contextlib.suppress(InputError, TypeError, KeyError):  # a broken file lists no modules
        for module in load_json(root / "modules.json", default=[]):
            folder = root / module["path"]
            if folder.parent == root and folder.is_dir() and not folder.is_symlink():
                folders.append(folder)
    for folder in folders:
        for pattern in _MODEL_FILES:
            for file in folder.glob(pattern):
                file.unlink()
        if folder != root and not any(folder.iterdir()):
            folder.rmdir()
