"""Folders of bi-encoders: plain Hugging Face encoders and both layouts of sentence-transformers.

Read: a Hugging Face folder; the 2.x layout (modules.json, 1_Pooling, 2_Dense, 3_Normalize,
sentence_bert_config.json); the 6.x layout, which renamed the keys. Written: the 2.x layout, which
every later version loads.
"""

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from sbert.errors import require
from sbert.models.adapter_folder import load_with_adapter
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
from sbert.pooling import POOLING, Dense, Normalize

# our pooling names -> the booleans of the 2.x layout, in its fixed order
_KEYS_2X = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weighted_mean": "pooling_mode_weightedmean_tokens",
    "last_token": "pooling_mode_lasttoken",
}
# the names of the 6.x layout -> ours, where they differ
_NAMES_6X = {
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last_token",
}
_ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU")


def read_st_folder(
    name_or_path: str | Path, max_length: int | None, layer: int
) -> tuple[Backbone, list[str], list[nn.Module]]:
    """Load a folder, with the transformer up to `layer`.

    Returns:
        The transformer with its tokenizer, the pooling modes, and the modules after the pooling.

    Raises:
        InputError: a file is missing or broken, or a module or setting is not supported.
    """
    backbone = read_backbone(
        name_or_path,
        lambda path: load_with_adapter(path, lambda base: _load_layers(base, layer)),
        max_length,
    )
    pooling, head = ["mean"], []
    for i, (module, path) in enumerate(backbone.modules):
        with name_folder_in_errors(path):
            if module == "Pooling" and i == 0:
                pooling = _read_pooling(path / "config.json")
            elif module == "Normalize" and i > 0:
                head.append(Normalize())
            elif module == "Dense" and i > 0:
                head.append(_read_dense(path))
            else:
                # dropout does nothing at inference, and training drops out in the transformer
                require(
                    module == "Dropout",
                    f"{path}: module {module} is not supported here; "
                    "known: Transformer, then Pooling, Dense, Normalize",
                )
    return backbone, pooling, head


def _load_layers(path: Path, layer: int) -> nn.Module:
    """The transformer without the layers above hidden state `layer`, which thus is its output."""
    config = read_config(path)
    depth = config.num_hidden_layers
    require(
        -depth - 1 <= layer <= depth,
        f"{path}: layer {layer}: the model has layers {-depth - 1} to {depth}",
    )
    config.num_hidden_layers = layer if layer >= 0 else depth + 1 + layer
    return load_weights(path, AutoModel, config, lambda key, _: key.startswith("pooler."))


def _read_pooling(path: Path) -> list[str]:
    config = load_json(path)
    if "pooling_mode" in config:
        modes = config["pooling_mode"]
        modes = [modes] if isinstance(modes, str) else modes
        names = [_NAMES_6X.get(mode, mode) for mode in modes]
    else:
        names = [name for name, key in _KEYS_2X.items() if config.get(key)]
    require(
        names and set(names) <= set(POOLING),
        f"{path}: no known pooling mode in {config}; known: {', '.join(POOLING)}",
    )
    return names


def _read_dense(path: Path) -> Dense:
    config_path, weights = path / "config.json", path / "model.safetensors"
    config = load_json(config_path)
    activation = config.get("activation_function", "Tanh").rpartition(".")[2]
    require(
        activation in _ACTIVATIONS,
        f"{config_path}: unknown activation {activation}; known: {', '.join(_ACTIVATIONS)}",
    )
    require(
        not config.get("use_residual"),
        f"{config_path}: a Dense with a residual is not supported here",
    )
    require(weights.exists(), f"{path}: no weights: model.safetensors is missing")
    sizes = {key: config.get(key) for key in ("in_features", "out_features")}
    for key, size in sizes.items():
        require(isinstance(size, int), f"{config_path}: {key} is {size}, not an integer")
    dense = Dense(**sizes, bias=config.get("bias", True), activation=activation)
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
    dump_json(
        root / "sentence_bert_config.json",
        {"max_seq_length": max_length, "do_lower_case": lower_case},
    )
    modules = []
    for i, name in enumerate(["Transformer", "Pooling", *(type(m).__name__ for m in head)]):
        folder = f"{i}_{name}" if i else ""
        class_name = f"sentence_transformers.models.{name}"
        (root / folder).mkdir(exist_ok=True)
        modules.append({"idx": i, "name": str(i), "path": folder, "type": class_name})
    dump_json(root / "modules.json", modules)
    _write_pooling(root / "1_Pooling" / "config.json", transformer.config.hidden_size, pooling)
    for i, module in enumerate(head, start=2):
        if isinstance(module, Dense):
            _write_dense(root / f"{i}_Dense", module)


def _write_pooling(path: Path, hidden_size: int, pooling: Sequence[str]) -> None:
    if list(pooling) == [name for name in _KEYS_2X if name in pooling]:
        flags = {key: name in pooling for name, key in _KEYS_2X.items()}
        dump_json(path, {"word_embedding_dimension": hidden_size, **flags})
    else:  # another order, or another pooling, needs the key of the 6.x layout
        names = {ours: theirs for theirs, ours in _NAMES_6X.items()}
        modes = [names.get(name, name) for name in pooling]
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
