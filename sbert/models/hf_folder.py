"""Model folders on disk: what every kind has in common. A Hugging Face folder with safetensors and a fast tokenizer.

No code that a folder brings is run, and no weights but safetensors are read.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import transformers
from huggingface_hub import snapshot_download
from torch import nn
from transformers import AutoConfig, AutoTokenizer

from sbert.errors import InputError

_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")


@dataclass
class Backbone:
    """A transformer and its tokenizer. `modules`: (kind, folder) of what modules.json puts after it, in order.

    max_length: tokens a text (or pair) keeps; longest: the most that the model has positions for.
    """

    root: Path
    path: Path
    transformer: nn.Module
    tokenizer: object
    max_length: int
    longest: int
    lower_case: bool
    modules: list[tuple[str, Path]]


def is_local(name_or_path: str | Path) -> bool:
    """Whether it is a path, there or not, and no name on the hub."""
    return (
        Path(name_or_path).exists()
        or str(name_or_path).startswith((".", "/", "~"))
        or str(name_or_path).count("/") > 1
    )


def locate_folder(name_or_path: str | Path) -> Path:
    """The local folder of a path or of a hub name, which is fetched (safetensors, JSON and vocabularies alone)."""
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if is_local(name_or_path):
        raise InputError(f"model {name_or_path}: no such folder")

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(str(name_or_path), allow_patterns=patterns))
    except Exception as error:  # the hub's client raises many kinds: each means that there is no model to go on with
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"model {name_or_path}: no such folder, and the hub did not give it: {reason}"
        ) from error


def load_json(path: Path, default: dict | None = None) -> dict:
    if default is not None and not path.exists():
        return default
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None


@contextlib.contextmanager
def name_folder_in_errors(path: Path) -> Iterator[None]:
    """Name the file or folder that something broken stands in."""
    try:
        yield
    except InputError:
        raise
    except (
        Exception
    ) as error:  # transformers and safetensors raise almost anything on a broken folder
        reason = str(error).strip().split("\n")
        reason = " ".join(reason[:2]) if len(reason[0]) < 60 else reason[0]
        raise InputError(
            f"{path}: cannot be read: {type(error).__name__}: {' '.join(reason.split())}"
        ) from error


def read_backbone(name_or_path: str | Path, load: Callable[[Path], nn.Module]) -> Backbone:
    """Read a folder; `load` makes the transformer from the folder of its weights.

    Raises:
        InputError: what the folder lacks or what is wrong in it.
    """
    root = locate_folder(name_or_path)
    with name_folder_in_errors(root / "modules.json"):
        modules = load_json(root / "modules.json", default=[])
        kinds = [(m["type"].rpartition(".")[2], root / m["path"]) for m in modules]
    path = kinds[0][1] if kinds else root
    with name_folder_in_errors(path):
        transformer = load(path)
        tokenizer = _load_tokenizer(path)
    longest = getattr(transformer.config, "max_position_embeddings", None) or 10**9
    if transformer.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        longest -= transformer.config.pad_token_id + 1  # their positions start after the padding's
    # sentence_bert_config.json; before 2020 under the names of other models
    sentence = next(
        iter(sorted(path.glob("sentence_*_config.json"))), path / "sentence_bert_config.json"
    )
    with name_folder_in_errors(sentence):
        options = load_json(sentence, default={})
        length = int(min(options.get("max_seq_length") or tokenizer.model_max_length, longest))
        lower_case = bool(options.get("do_lower_case"))
    prompts = load_json(root / "config_sentence_transformers.json", default={})
    if prompts.get("default_prompt_name"):
        raise InputError(
            f"{root}: the folder puts a prompt before every text, which is not supported here"
        )
    return Backbone(root, path, transformer, tokenizer, length, longest, lower_case, kinds[1:])


def quietly(load, *args, **options):
    """Run a function of transformers without its bar, and without its remarks on weights that are unused on purpose."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        return load(*args, **options)
    finally:
        transformers.logging.set_verbosity(level)
        if bars:
            transformers.utils.logging.enable_progress_bar()


def _load_tokenizer(path: Path):
    if not any(file.name in _TOKENIZERS or file.suffix == ".model" for file in path.iterdir()):
        raise InputError(f"{path}: no tokenizer: {_TOKENIZERS[0]} is missing")
    return quietly(AutoTokenizer.from_pretrained, path, trust_remote_code=False)


def read_config(path: Path) -> transformers.PretrainedConfig:
    """The config.json of a folder that has weights too."""
    if not (path / "config.json").exists():
        raise InputError(f"{path}: no config.json: not a model folder")
    if not list(path.glob("*.safetensors")):
        others = sorted(p.name for p in path.glob("*.bin"))
        hint = f" (there is {others[0]}: convert it to safetensors)" if others else ""
        raise InputError(f"{path}: no weights: model.safetensors is missing{hint}")
    return AutoConfig.from_pretrained(path, trust_remote_code=False)


def is_classifier(root: Path) -> bool:
    """Whether a folder holds a sequence classifier, which a cross-encoder is."""
    names = load_json(root / "config.json", default={}).get("architectures")
    return any(name.endswith("ForSequenceClassification") for name in names or [])


def load_weights(path: Path, kind: type, config: transformers.PretrainedConfig,
                 may_miss: Callable[[str, nn.Module], bool]) -> nn.Module:  # fmt: skip
    """A model of `kind` (an Auto class) in fp32. Weights that the folder lacks start afresh where `may_miss` allows it."""
    options = {
        "config": config,
        "use_safetensors": True,
        "trust_remote_code": False,
        "output_loading_info": True,
    }
    model, info = quietly(kind.from_pretrained, path, **options)
    if missing := sorted(key for key in info["missing_keys"] if not may_miss(key, model)):
        raise InputError(
            f"{path}: {len(missing)} weights are missing, {missing[0]} for one: the folder is not complete"
        )
    return model.float()


def dump_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
