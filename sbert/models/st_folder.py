"""Folders of bi-encoders: plain Hugging Face encoders and both layouts of sentence-transformers, read and written.

Read: a Hugging Face folder; the 2.x layout (modules.json, 1_Pooling, 2_Dense, 3_Normalize, sentence_bert_config.json)
and the 6.x layout, which renamed the keys. Written: the 2.x layout, which every version since loads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
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
    quietly,
    read_backbone,
    read_config,
)
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

_ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU")


@dataclass
class Saved:
    """What a folder holds. `head`: the modules after the pooling, in order."""

    backbone: Backbone
    pooling: list[str] = field(default_factory=lambda: ["mean"])
    head: list[nn.Module] = field(default_factory=list)


def read_st_folder(name_or_path: str | Path, layer: int = -1) -> Saved:
    """Load a folder; `InputError` says what it lacks or what is wrong in it."""
    saved = Saved(read_backbone(name_or_path, lambda path: _load_transformer(path, layer)))
    for i, (kind, path) in enumerate(saved.backbone.modules):
        with name_folder_in_errors(path):
            _add_module(saved, kind, path, first=i == 0)
    return saved


def _load_transformer(path: Path, layer: int) -> nn.Module:
    config = read_config(path)
    depth = config.num_hidden_layers
    if not -depth - 1 <= layer <= depth:
        raise InputError(f"{path}: layer {layer}: the model has layers {-depth - 1} to {depth}")
    # hidden_states[k] is the output of a model of k layers: so the others need not be loaded
    config.num_hidden_layers = layer if layer >= 0 else depth + 1 + layer
    return load_weights(path, AutoModel, config, lambda key, _: key.startswith("pooler."))


def _add_module(saved: Saved, kind: str, path: Path, first: bool) -> None:
    if kind == "Pooling" and first:
        saved.pooling = _read_pooling(load_json(path / "config.json"), path)
    elif kind == "Normalize" and not first:
        saved.head.append(Normalize())
    elif kind == "Dense" and not first:
        saved.head.append(_read_dense(path))
    elif (
        kind != "Dropout"
    ):  # does nothing at inference, and training here drops out in the transformer
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
    activation = config.get("activation_function", "torch.nn.modules.activation.Tanh").rpartition(
        "."
    )[2]
    if activation not in _ACTIVATIONS:
        raise InputError(
            f"{path}/config.json: activation {activation} is not known; known: {', '.join(_ACTIVATIONS)}"
        )
    if config.get("use_residual"):
        raise InputError(f"{path}/config.json: a Dense with a residual is not supported here")
    if not (path / "model.safetensors").exists():
        raise InputError(f"{path}: no weights: model.safetensors is missing")
    for key in ("in_features", "out_features"):
        if not isinstance(config.get(key), int):
            raise InputError(f"{path}/config.json: {key} is {config.get(key)}, not a whole number")
    dense = Dense(
        config["in_features"], config["out_features"], config.get("bias", True), activation
    )
    dense.load_state_dict(load_file(path / "model.safetensors"))
    return dense


def write_st_folder(path: str | Path, transformer: nn.Module, tokenizer, pooling: Sequence[str], max_length: int,
          head: Sequence[nn.Module], lower_case: bool) -> None:  # fmt: skip
    """Write the 2.x layout, with the length also where the 6.x layout looks for it."""
    root = Path(path)
    root.mkdir(parents=True, exist_ok=True)
    quietly(transformer.save_pretrained, root)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(root)
    names = [("Transformer", ""), ("Pooling", "1_Pooling")]
    names += [
        (type(module).__name__, f"{i}_{type(module).__name__}")
        for i, module in enumerate(head, start=2)
    ]
    for _, name in names:
        (root / name).mkdir(exist_ok=True)
    modules = [
        {"idx": i, "name": str(i), "path": name, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, name) in enumerate(names)
    ]
    dump_json(root / "modules.json", modules)
    dump_json(
        root / "sentence_bert_config.json",
        {"max_seq_length": max_length, "do_lower_case": lower_case},
    )
    dump_json(
        root / "1_Pooling" / "config.json", _pooling_config(transformer.config.hidden_size, pooling)
    )
    for module, (_, name) in zip(head, names[2:], strict=True):
        if isinstance(module, Dense):
            _write_dense(root / name, module)


def _pooling_config(hidden: int, pooling: Sequence[str]) -> dict:
    in_order = [name for name, _, _ in _POOLING if name in pooling]
    config = {"word_embedding_dimension": hidden} | {
        key: name in pooling for name, key, _ in _POOLING
    }
    # the booleans fix the order of a concatenation; another order needs the key of the 6.x layout
    theirs = {name: mode for name, _, mode in _POOLING}
    return config if list(pooling) == in_order else {
        "embedding_dimension": hidden, "pooling_mode": [theirs[name] for name in pooling]}  # fmt: skip


def _write_dense(path: Path, module: nn.Module) -> None:
    linear = module.linear
    sizes = {
        "in_features": linear.in_features,
        "out_features": linear.out_features,
        "bias": linear.bias is not None,
    }
    activation = {
        "activation_function": f"{type(module.activation).__module__}.{type(module.activation).__name__}"
    }
    dump_json(path / "config.json", sizes | activation)
    save_file(module.state_dict(), path / "model.safetensors", metadata={"format": "pt"})
