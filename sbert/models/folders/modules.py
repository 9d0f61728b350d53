"""The modules after the transformer, pooling and head, in a folder of sentence-transformers."""

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from sbert.errors import require
from sbert.models.folders.json_files import (
    dump_json,
    load_json,
    name_folder_in_errors,
    require_weights,
)
from sbert.models.folders.settings import HEAD, POOLING, check_settings, of_type
from sbert.models.folders.shapes import refuse_shape
from sbert.pooling import POOLING as MODES
from sbert.pooling import Dense, LayerNorm, Normalize

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


def read_modules(
    modules: list[tuple[str, Path]],
) -> tuple[list[str], bool, list[nn.Module]]:
    """The pooling modes, whether a prompt is pooled, and the modules after the pooling.

    Without a pooling it is the mean.

    Args:
        modules: (class name, folder) of the modules after the transformer, in order.

    Raises:
        InputError: a module or a setting of it is not supported.
    """
    pooling, include_prompt, head = ["mean"], True, []
    for i, (name, path) in enumerate(modules):
        known = ["Pooling"] if i == 0 else list(HEAD)
        require(
            name in [*known, "Dropout"],
            f"{path}: module {name} is not supported here; "
            f"known: Transformer, then Pooling, {', '.join(HEAD)}",
        )
        with name_folder_in_errors(path):
            if name == "Pooling":
                pooling, include_prompt = _read_pooling(path / "config.json")
            else:
                head += _read_head(name, path)
    return pooling, include_prompt, head


def _read_pooling(path: Path) -> tuple[list[str], bool]:
    """The modes, and whether a prompt is pooled."""
    config = load_json(path)
    check_settings(config, POOLING, str(path))
    if "pooling_mode" in config:
        modes = config["pooling_mode"]
        modes = [modes] if isinstance(modes, str) else modes
        names = [_NAMES_6X.get(mode, mode) for mode in modes]
    else:
        names = [name for name, key in _KEYS_2X.items() if config.get(key)]
    require(
        names and set(names) <= set(MODES),
        f"{path}: no known pooling mode in {config}; known: {', '.join(MODES)}",
    )
    return names, config.get("include_prompt", True)


def _read_head(name: str, path: Path) -> list[nn.Module]:
    """A module after the pooling; none for a dropout, which does nothing to an embedding."""
    config_path = path / "config.json"
    if name == "Normalize":  # in the 2.x layout it has no folder
        check_settings(load_json(config_path, default={}), HEAD[name], str(config_path))
        return [Normalize()]
    config = load_json(config_path)
    check_settings(config, HEAD[name], str(config_path))
    if name == "Dropout":
        return []
    module = LayerNorm(config["dimension"]) if name == "LayerNorm" else _make_dense(config, path)
    weights = path / "model.safetensors"
    require_weights(path)
    stored = load_file(weights)
    for name, weight in module.state_dict().items():
        if name in stored and stored[name].shape != weight.shape:
            refuse_shape(path, name, weight.shape, config)
    module.load_state_dict(stored)
    return [module]


def _make_dense(config: dict, path: Path) -> Dense:
    for key in ("in_features", "out_features"):
        of_type(int)(config.get(key), f"{path / 'config.json'}: {key}")
    activation = config.get("activation_function", "Tanh").rpartition(".")[2]
    require(
        activation in _ACTIVATIONS,
        f"{path / 'config.json'}: unknown activation {activation}; "
        f"known: {', '.join(_ACTIVATIONS)}",
    )
    sizes = config["in_features"], config["out_features"]
    bias, residual = config.get("bias", True), config.get("use_residual", False)
    return Dense(*sizes, bias=bias, activation=activation, residual=residual)


def write_pooling(path: Path, size: int, pooling: list[str], include_prompt: bool) -> None:
    """Write a pooling's config.json, for token embeddings of this size."""
    config = {} if include_prompt else {"include_prompt": False}
    if pooling == [name for name in _KEYS_2X if name in pooling]:
        config |= {"word_embedding_dimension": size}
        config |= {key: name in pooling for name, key in _KEYS_2X.items()}
    else:  # another order, or another pooling, needs the key of the 6.x layout
        names = {ours: theirs for theirs, ours in _NAMES_6X.items()}
        modes = [names.get(name, name) for name in pooling]
        config |= {"embedding_dimension": size, "pooling_mode": modes}
    dump_json(path, config)


def write_head(path: Path, module: nn.Module) -> None:
    """Write the settings and weights of a module after the pooling."""
    if isinstance(module, Dense):
        linear, activation = module.linear, type(module.activation)
        config = {
            "in_features": linear.in_features,
            "out_features": linear.out_features,
            "bias": linear.bias is not None,
            "activation_function": f"{activation.__module__}.{activation.__name__}",
        }
        # versions before 5.7 know no such key
        config |= {"use_residual": True} if module.residual is not None else {}
    elif isinstance(module, LayerNorm):
        config = {"dimension": module.norm.normalized_shape[0]}
    else:
        return
    dump_json(path / "config.json", config)
    save_file(module.state_dict(), path / "model.safetensors", metadata={"format": "pt"})
