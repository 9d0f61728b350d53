"""Folders of bi-encoders: plain Hugging Face encoders and both layouts of sentence-transformers.

Read: a Hugging Face folder; the 2.x layout (modules.json, 1_Pooling, 2_Dense, 3_Normalize,
sentence_bert_config.json); the 6.x layout, which renamed the keys. Written: the 2.x layout, which
every later version loads.
"""

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModel

from sbert.errors import require
from sbert.models.adapter_folder import load_with_adapter
from sbert.models.hf_folder import (
    ST_CONFIG,
    Backbone,
    dump_json,
    load_json,
    load_weights,
    name_folder_in_errors,
    read_backbone,
    read_config,
    save_backbone,
)
from sbert.models.prompts import check_prompts
from sbert.models.similarity import check_similarity
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
# of config_sentence_transformers.json, under the names of the attributes of a BiEncoder
_USAGE = ("prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim")
_ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid", "SiLU")


@dataclass
class SavedBiEncoder:
    """What a folder holds of a bi-encoder.

    Args:
        pooling: the modes.
        include_prompt: whether the tokens of a prompt are pooled.
        head: the modules after the pooling.
        usage: prompts, default_prompt_name, similarity_fn_name and truncate_dim, where declared.
    """

    backbone: Backbone
    pooling: list[str]
    include_prompt: bool
    head: list[nn.Module]
    usage: dict


def read_st_folder(name_or_path: str | Path, max_length: int | None, layer: int) -> SavedBiEncoder:
    """Load a folder, with the transformer up to `layer`.

    Raises:
        InputError: a file is missing or broken, or a module or setting is not supported.
    """
    backbone = read_backbone(
        name_or_path,
        lambda path: load_with_adapter(path, lambda base: _load_layers(base, layer)),
        max_length,
    )
    pooling, include_prompt, head = ["mean"], True, []
    for i, (module, path) in enumerate(backbone.modules):
        with name_folder_in_errors(path):
            if module == "Pooling" and i == 0:
                pooling, include_prompt = _read_pooling(path / "config.json")
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
    usage = _read_usage(backbone.root / ST_CONFIG)
    return SavedBiEncoder(backbone, pooling, include_prompt, head, usage)


def _read_usage(path: Path) -> dict:
    """Prompts, similarity and size of the embeddings, where config_sentence_transformers.json says.

    A folder of another kind of model, such as a cross-encoder, declares them for its own use.
    """
    settings = load_json(path, default={})
    if settings.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        return {}
    usage = {name: settings[name] for name in _USAGE if settings.get(name) is not None}
    name = usage.get("default_prompt_name")
    check_prompts(usage.get("prompts", {}), name, place=f"{path}: ")
    check_similarity(usage.get("similarity_fn_name", "cosine"), f"{path}: similarity_fn_name")
    return usage


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


def _read_pooling(path: Path) -> tuple[list[str], bool]:
    """The modes, and whether a prompt is pooled."""
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
    return names, config.get("include_prompt", True)


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


def write_st_folder(path: str | Path, model) -> None:
    """Write a `BiEncoder` in the 2.x layout.

    `max_length` is also where the 6.x layout looks for it.
    """
    root = Path(path)
    save_backbone(root, model.transformer, model.tokenizer, model.max_length)
    lower_case = model.text_tokenizer.lower_case
    dump_json(
        root / "sentence_bert_config.json",
        {"max_seq_length": model.max_length, "do_lower_case": lower_case},
    )
    usage = {name: getattr(model, name) for name in _USAGE}
    dump_json(root / ST_CONFIG, {"model_type": "SentenceTransformer", **usage})
    modules = []
    for i, name in enumerate(["Transformer", "Pooling", *(type(m).__name__ for m in model.head)]):
        folder = f"{i}_{name}" if i else ""
        class_name = f"sentence_transformers.models.{name}"
        (root / folder).mkdir(exist_ok=True)
        modules.append({"idx": i, "name": str(i), "path": folder, "type": class_name})
    dump_json(root / "modules.json", modules)
    _write_pooling(root / "1_Pooling" / "config.json", model)
    for i, module in enumerate(model.head, start=2):
        if isinstance(module, Dense):
            _write_dense(root / f"{i}_Dense", module)


def _write_pooling(path: Path, model) -> None:
    size = model.transformer.config.hidden_size
    config = {} if model.include_prompt else {"include_prompt": False}
    if model.pooling == [name for name in _KEYS_2X if name in model.pooling]:
        config |= {"word_embedding_dimension": size}
        config |= {key: name in model.pooling for name, key in _KEYS_2X.items()}
    else:  # another order, or another pooling, needs the key of the 6.x layout
        names = {ours: theirs for theirs, ours in _NAMES_6X.items()}
        modes = [names.get(name, name) for name in model.pooling]
        config |= {"embedding_dimension": size, "pooling_mode": modes}
    dump_json(path, config)


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
