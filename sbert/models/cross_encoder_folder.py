"""Folders of cross-encoders: plain sequence classifiers, and what sentence-transformers saves."""

from functools import partial
from pathlib import Path

from torch import nn

from sbert.errors import InputError
from sbert.models.classifier import load_classifier
from sbert.models.hf_folder import (
    ST_CONFIG,
    Backbone,
    load_json,
    read_backbone,
    save_backbone,
)

# our activations -> the classes that folders name
_CLASSES = {
    "sigmoid": "torch.nn.modules.activation.Sigmoid",
    "identity": "torch.nn.modules.linear.Identity",
    # sentence-transformers gives the logits of classes unless asked for probabilities
    "softmax": "torch.nn.modules.linear.Identity",
}
_ACTIVATIONS = {"Sigmoid": "sigmoid", "Identity": "identity"}


def read_cross_encoder_folder(
    name_or_path: str | Path, num_labels: int | None, max_length: int | None, new_head: bool
) -> tuple[Backbone, str]:
    """Load a classifier with its tokenizer -> both, and the name of the activation.

    Without a saved activation it is the sigmoid for one label, softmax for several.

    Raises:
        InputError: a file is missing or broken, or a module or setting is not supported.
    """
    load = partial(load_classifier, num_labels=num_labels, new_head=new_head)
    backbone = read_backbone(name_or_path, load, max_length)
    root, config = backbone.root, backbone.transformer.config
    model_type = load_json(root / ST_CONFIG, default={}).get("model_type")
    if backbone.modules and model_type == "CrossEncoder":
        raise InputError(f"{root}: a cross-encoder of several modules is not supported here")
    activation = None if new_head else _read_activation(root, config)
    if config.num_labels > 1 and activation != "sigmoid":
        activation = "softmax"
    return backbone, activation or "sigmoid"


def _read_activation(root: Path, config) -> str | None:
    """The activation that sentence-transformers of any version saved; None if there is none."""
    name = (
        load_json(root / ST_CONFIG, default={}).get("activation_fn")
        or (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
        or getattr(config, "sbert_ce_default_activation_function", None)
    )
    if name is None:
        return None
    class_name = name.rpartition(".")[2]
    if class_name not in _ACTIVATIONS:
        raise InputError(f"{root}: unknown activation {name}; known: {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[class_name]


def write_cross_encoder_folder(
    path: str | Path, transformer: nn.Module, tokenizer, max_length: int, activation: str
) -> None:
    """Write a sequence-classification folder that names the activation."""
    root = Path(path)
    # where sentence-transformers 4 to 6, and where 2 and 3 look for it
    transformer.config.sentence_transformers = {"activation_fn": _CLASSES[activation]}
    transformer.config.sbert_ce_default_activation_function = _CLASSES[activation]
    save_backbone(root, transformer, tokenizer, max_length)
    # files of another model that was saved here before
    for stale in ("modules.json", "sentence_bert_config.json", ST_CONFIG):
        (root / stale).unlink(missing_ok=True)
