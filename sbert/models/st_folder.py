"""Folders of bi-encoders: plain Hugging Face encoders and both layouts of sentence-transformers.

Read: a Hugging Face folder; the 2.x layout (modules.json, 1_Pooling, 2_Dense, 3_Normalize,
sentence_bert_config.json); the 6.x layout, which renamed the keys. Written: the 2.x layout, which
every later version loads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from sbert.errors import InputError
from sbert.models.hf_folder import (
    Backbone,
    dump_json,
    load_json,
    load_weights,
    name_folder_in_errors,
    read_backbone,
    read_config,
    save_backbone,
)
from sbert.pooling import Dense, Normalize

# our pooling names -> the booleans of the 2.x layout, in its fixed order
_KEYS_2X = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weighted_mean": "pooling_mode_weightedmean_tokens",
    "last_token": "pooling_mode_lasttoken",
}
# the names of the 6.x layout -> ours
_NAMES_6X = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last_token",
}
_PACKAGE = "sentence_transformers.models."
_ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU")


@dataclass
class SavedBiEncoder:
    """What a folder holds. `head`: the modules after the pooling, in order."""

    backbone: Backbone
    pooling: list[str] = field(default_factory=lambda: ["mean"])
    head: list[nn.Module] = field(default_factory=list)


def read_st_folder(name_or_path: str | Path, max_length: int | None, layer: int) -> SavedBiEncoder:
    """Load a folder, with the transformer up to `layer`.

    Raises:
        InputError: a file is missing or broken, or a module or setting is not supported.
    """
    load = partial(_load_layers, layer=layer)
    saved = SavedBiEncoder(read_backbone(name_or_path, load, max_length))
    for i, (module, path) in enumerate(saved.backbone.modules):
        with name_folder_in_errors(path):
            _add_module(saved, module, path, first=i == 0)
    return saved


def _load_layers(path: Path, layer: int) -> nn.Module:
    """The transformer without the layers above hidden state `layer`, which thus is its output."""
    config = read_config(path)
    depth = config.num_hidden_layers
    if not -depth - 1 <= layer <= depth:
        raise InputError(f"{path}: layer {layer}: the model has layers {-depth - 1} to {depth}")
    config.num_hidden_layers = layer if layer >= 0 else depth + 1 + layer
    return load_weights(path, AutoModel, config, lambda key, _: key.startswith("pooler."))


def _add_module(saved: SavedBiEncoder, module: str, path: Path, first: bool) -> None:
    if module == "Pooling" and first:
        saved.pooling = _read_pooling(path / "config.json")
    elif module == "Normalize" and not first:
        saved.head.append(Normalize())
    elif module == "Dense" and not first:
        saved.head.append(_read_dense(path))
    # Dropout does nothing at inference, and training here drops out in the transformer
    elif module != "Dropout":
        raise InputError(
            f"{path}: module {module} is not supported here; "
            "known: Transformer, then Pooling, Dense, Normalize"
        )


def _read_pooling(path: Path) -> list[str]:
    config = load_json(path)
    if "pooling_mode" in config:
        modes = config["pooling_mode"]
        modes = [modes] if isinstance(modes, str) else modes
        names = [_NAMES_6X.get(mode) for mode in modes]
    else:
        names = [name for name, key in _KEYS_2X.items() if config.get(key)]
    if not names or None in names:
        raise InputError(f"{path}: no known pooling mode in {config}; known: {', '.join(_KEYS_2X)}")
    return names


def _read_dense(path: Path) -> Dense:
    config_path, weights = path / "config.json", path / "model.safetensors"
    config = load_json(config_path)
    name = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    activation = name.rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise InputError(
            f"{config_path}: unknown activation {activation}; known: {', '.join(_ACTIVATIONS)}"
        )
    if config.get("use_residual"):
        raise InputError(f"{config_path}: a Dense with a residual is not supported here")
    if not weights.exists():
        raise InputError(f"{path}: no weights: model.safetensors is missing")
    for key in ("in_features", "out_features"):
        if not isinstance(config.get(key), int):
            raise InputError(f"{config_path}: {key} is {config.get(key)}, not an integer")
    dense = Dense(
        config["in_features"], config["out_features"], config.get("bias", True), activation
    )
    dense.load_state_dict(load_file(weights))
    return dense


def write_st_folder(
    path: str | Path,
    transformer: nn.Module,
    tokenizer,
    pooling: Sequence[str],
    max_length: int,
    head: Sequence[nn.Module],
    lower_case: bool,
) -> None:
    """Write the 2.x layout, with `max_length` also where the 6.x layout looks for it."""
    root = Path(path)
    save_backbone(root, transformer, tokenizer, max_length)
    settings = {"max_seq_length": max_length, "do_lower_case": lower_case}
    dump_json(root / "sentence_bert_config.json", settings)
    modules = []
    names = ["Transformer", "Pooling", *(type(module).__name__ for module in head)]
    for i, name in enumerate(names):
        folder = f"{i}_{name}" if i else ""
        (root / folder).mkdir(exist_ok=True)
        modules.append({"idx": i, "name": str(i), "path": folder, "type": _PACKAGE + name})
    dump_json(root / "modules.json", modules)
    _write_pooling(root / "1_Pooling" / "config.json", transformer.config.hidden_size, pooling)
    for i, module in enumerate(head, start=2):
        if isinstance(module, Dense):
            _write_dense(root / f"{i}_Dense", module)


def _write_pooling(path: Path, hidden_size: int, pooling: Sequence[str]) -> None:
    in_fixed_order = [name for name in _KEYS_2X if name in pooling]
    if list(pooling) == in_fixed_order:
        flags = {key: name in pooling for name, key in _KEYS_2X.items()}
        dump_json(path, {"word_embedding_dimension": hidden_size, **flags})
    else:  # the booleans imply a fixed order; another one needs the key of the 6.x layout
        names = {ours: theirs for theirs, ours in _NAMES_6X.items()}
        modes = [names[name] for name in pooling]
        dump_json(path, {"embedding_dimension": hidden_size, "pooling_mode": modes})


def _write_dense(path: Path, module: Dense) -> None:
    linear, activation = module.linear, type(module.activation)
    config = {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": linear.bias is not None,
        "activation_function": f"{activation.__module__}.{activation.__name__}",
    }
    dump_json(path / "config.json", config)
    save_file(module.state_dict(), path / "model.safetensors", metadata={"format": "pt"})
