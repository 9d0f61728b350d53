"""Model folders on disk: plain Hugging Face encoders and both layouts of sentence-transformers, read and written.

Read: a Hugging Face folder; the 2.x layout (modules.json, 1_Pooling, 2_Dense, 3_Normalize, sentence_bert_config.json)
and the 6.x layout, which renamed the keys. Written: the 2.x layout, which every version since loads. Weights are
safetensors alone, and no code that a folder brings is run.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from sbert.errors import InputError
from sbert.pooling import Dense, Normalize

# our pooling names, the booleans of the 2.x layout in its fixed order, and the names of the 6.x layout
_POOLING = [
    ("cls", "pooling_mode_cls_token", "cls"),
    ("max", "pooling_mode_max_tokens", "max"),
    ("mean", "pooling_mode_mean_tokens", "mean"),
    ("mean_sqrt_len", "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("weighted_mean", "pooling_mode_weightedmean_tokens", "weightedmean"),
    ("last_token", "pooling_mode_lasttoken", "lasttoken"),
]
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")
_ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU")


@dataclass
class Saved:
    """What a folder holds. `head`: the modules after the pooling, in order."""

    transformer: nn.Module
    tokenizer: object
    max_length: int
    longest: int
    lower_case: bool = False
    pooling: list[str] = field(default_factory=lambda: ["mean"])
    head: list[nn.Module] = field(default_factory=list)


def locate(name_or_path: str | Path) -> Path:
    """The local folder of a path or of a hub name, which is fetched (safetensors, JSON and vocabularies alone)."""
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if path.exists() or str(name_or_path).startswith((".", "/", "~")) or str(name_or_path).count("/") > 1:
        raise InputError(f"model {name_or_path}: no such folder")
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model"]
    try:
        return Path(snapshot_download(str(name_or_path), allow_patterns=patterns))
    except Exception as error:  # the hub's client raises many kinds: each means that there is no model to go on with
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"model {name_or_path}: no such folder, and the hub did not give it: {reason}") from error


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
def _place(path: Path) -> Iterator[None]:
    """Name the file or folder that something broken stands in."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # transformers and safetensors raise almost anything on a broken folder
        reason = str(error).strip().split("\n")
        reason = " ".join(reason[:2]) if len(reason[0]) < 60 else reason[0]
        raise InputError(f"{path}: cannot be read: {type(error).__name__}: {' '.join(reason.split())}") from error


def read(name_or_path: str | Path, layer: int = -1) -> Saved:
    """Load a folder; `InputError` says what it lacks or what is wrong in it."""
    root = locate(name_or_path)
    with _place(root / "modules.json"):
        modules = load_json(root / "modules.json", default=[])
        kinds = [(m["type"].rpartition(".")[2], root / m["path"]) for m in modules]
    backbone = kinds[0][1] if kinds else root
    with _place(backbone):
        transformer = _load_transformer(backbone, layer)
        tokenizer = _load_tokenizer(backbone)
    longest = getattr(transformer.config, "max_position_embeddings", None) or 10**9
    if transformer.config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        longest -= transformer.config.pad_token_id + 1  # their positions start after the padding's
    # sentence_bert_config.json; before 2020 under the names of other models
    sentence = next(iter(sorted(backbone.glob("sentence_*_config.json"))), backbone / "sentence_bert_config.json")
    with _place(sentence):
        options = load_json(sentence, default={})
        length = options.get("max_seq_length") or tokenizer.model_max_length
        saved = Saved(transformer, tokenizer, int(min(length, longest)), longest, bool(options.get("do_lower_case")))
    for i, (kind, path) in enumerate(kinds[1:]):
        with _place(path):
            _add_module(saved, kind, path, first=i == 0)
    prompts = load_json(root / "config_sentence_transformers.json", default={})
    if prompts.get("default_prompt_name"):
        raise InputError(f"{root}: the folder puts a prompt before every text, which is not supported here")
    return saved


def _quietly(load, *args, **options):
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
    return _quietly(AutoTokenizer.from_pretrained, path, trust_remote_code=False)


def _load_transformer(path: Path, layer: int) -> nn.Module:
    if not (path / "config.json").exists():
        raise InputError(f"{path}: no config.json: not a model folder")
    if not list(path.glob("*.safetensors")):
        others = sorted(p.name for p in path.glob("*.bin"))
        hint = f" (there is {others[0]}: convert it to safetensors)" if others else ""
        raise InputError(f"{path}: no weights: model.safetensors is missing{hint}")
    config = AutoConfig.from_pretrained(path, trust_remote_code=False)
    depth = config.num_hidden_layers
    if not -depth - 1 <= layer <= depth:
        raise InputError(f"{path}: layer {layer}: the model has layers {-depth - 1} to {depth}")
    # hidden_states[k] is the output of a model of k layers: so the others need not be loaded
    config.num_hidden_layers = layer if layer >= 0 else depth + 1 + layer
    options = {"config": config, "use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
    model, info = _quietly(AutoModel.from_pretrained, path, **options)
    if missing := sorted(key for key in info["missing_keys"] if not key.startswith("pooler.")):
        raise InputError(
            f"{path}: {len(missing)} weights are missing, {missing[0]} for one: the folder is not complete"
        )
    return model.float()


def _add_module(saved: Saved, kind: str, path: Path, first: bool) -> None:
    if kind == "Pooling" and first:
        saved.pooling = _read_pooling(load_json(path / "config.json"), path)
    elif kind == "Normalize" and not first:
        saved.head.append(Normalize())
    elif kind == "Dense" and not first:
        saved.head.append(_read_dense(path))
    elif kind != "Dropout":  # does nothing at inference, and training here drops out in the transformer
        raise InputError(
            f"{path}: module {kind} is not supported here; known: Transformer, then Pooling, Dense, Normalize"
        )


def _read_pooling(config: dict, path: Path) -> list[str]:
    if "pooling_mode" in config:
        modes = config["pooling_mode"]
        ours = {theirs: name for name, _, theirs in _POOLING}
        names = [ours.get(mode) for mode in ([modes] if isinstance(modes, str) else modes)]
    else:
        names = [name for name, key, _ in _POOLING if config.get(key)]
    if not names or None in names:
        raise InputError(f"{path}/config.json: no pooling mode that is known here: {config}")
    return names


def _read_dense(path: Path) -> Dense:
    config = load_json(path / "config.json")
    activation = config.get("activation_function", "torch.nn.modules.activation.Tanh").rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise InputError(f"{path}/config.json: activation {activation} is not known; known: {', '.join(_ACTIVATIONS)}")
    if config.get("use_residual"):
        raise InputError(f"{path}/config.json: a Dense with a residual is not supported here")
    if not (path / "model.safetensors").exists():
        raise InputError(f"{path}: no weights: model.safetensors is missing")
    for key in ("in_features", "out_features"):
        if not isinstance(config.get(key), int):
            raise InputError(f"{path}/config.json: {key} is {config.get(key)}, not a whole number")
    dense = Dense(config["in_features"], config["out_features"], config.get("bias", True), activation)
    dense.load_state_dict(load_file(path / "model.safetensors"))
    return dense


def write(path: str | Path, transformer: nn.Module, tokenizer, pooling: Sequence[str], max_length: int,
          head: Sequence[nn.Module], lower_case: bool) -> None:  # fmt: skip
    """Write the 2.x layout, with the length also where the 6.x layout looks for it."""
    root = Path(path)
    root.mkdir(parents=True, exist_ok=True)
    _quietly(transformer.save_pretrained, root)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(root)
    names = [("Transformer", ""), ("Pooling", "1_Pooling")]
    names += [(type(module).__name__, f"{i}_{type(module).__name__}") for i, module in enumerate(head, start=2)]
    for _, name in names:
        (root / name).mkdir(exist_ok=True)
    modules = [
        {"idx": i, "name": str(i), "path": name, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, name) in enumerate(names)
    ]
    _dump(root / "modules.json", modules)
    _dump(root / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": lower_case})
    _dump(root / "1_Pooling" / "config.json", _pooling_config(transformer.config.hidden_size, pooling))
    for module, (_, name) in zip(head, names[2:], strict=True):
        if isinstance(module, Dense):
            _write_dense(root / name, module)


def _pooling_config(hidden: int, pooling: Sequence[str]) -> dict:
    in_order = [name for name, _, _ in _POOLING if name in pooling]
    config = {"word_embedding_dimension": hidden} | {key: name in pooling for name, key, _ in _POOLING}
    # the booleans fix the order of a concatenation; another order needs the key of the 6.x layout
    theirs = {name: mode for name, _, mode in _POOLING}
    return config if list(pooling) == in_order else {
        "embedding_dimension": hidden, "pooling_mode": [theirs[name] for name in pooling]}  # fmt: skip


def _write_dense(path: Path, module: nn.Module) -> None:
    linear = module.linear
    sizes = {"in_features": linear.in_features, "out_features": linear.out_features, "bias": linear.bias is not None}
    activation = {"activation_function": f"{type(module.activation).__module__}.{type(module.activation).__name__}"}
    _dump(path / "config.json", sizes | activation)
    save_file(module.state_dict(), path / "model.safetensors", metadata={"format": "pt"})


def _dump(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
