"""Folders of cross-encoders: plain sequence classifiers, and what sentence-transformers saves."""

from pathlib import Path

from torch import nn

from sbert.errors import require
from sbert.models.classifier import load_classifier_with_adapter
from sbert.models.folders.adapter import is_adapter
from sbert.models.folders.backbone import (
    Backbone,
    read_backbone,
    save_backbone,
    tokenizer_length,
)
from sbert.models.folders.json_files import (
    ST_CONFIG,
    dump_json,
    read_model_settings,
    read_transformer_settings,
)

# our activations -> the classes that folders name
_CLASSES = {
    "sigmoid": "torch.nn.modules.activation.Sigmoid",
    "identity": "torch.nn.modules.linear.Identity",
    "softmax": "torch.nn.modules.linear.Identity",
}


def read_cross_encoder_folder(
    name_or_path: str | Path, num_labels: int | None, max_length: int | None, new_head: bool
) -> tuple[Backbone, str]:
    """Load a classifier with its tokenizer -> both, and the name of the activation.

    Without a saved activation it is the sigmoid for one label, softmax for several.

    Raises:
        InputError: a file is missing or broken, or a module or setting is not supported.
    """
    backbone = read_backbone(
        name_or_path,
        lambda path: load_classifier_with_adapter(path, num_labels, new_head),
        max_length,
    )
    root, config = backbone.root, backbone.transformer.config
    require(
        read_transformer_settings(root).truncation != "only_first",
        f"{root}/sentence_bert_config.json: truncation is 'only_first'; of a pair the longer text "
        "is cut first: True, longest_first",
    )
    settings = read_model_settings(root)
    if settings.get("model_type") == "CrossEncoder":  # a bi-encoder's are not for pairs
        prompts = [name for name, text in (settings.get("prompts") or {}).items() if text]
        require(
            not prompts,
            f"{root / ST_CONFIG}: prompts of a cross-encoder are not supported: "
            f"{', '.join(prompts)}",
        )
        require(
            not backbone.modules,
            f"{root}: a cross-encoder of several modules is not supported here: Transformer, "
            f"{', '.join(name for name, _ in backbone.modules)}",
        )
    # where versions 6, 4 and 2 of sentence-transformers save it
    saved = (
        settings.get("activation_fn")
        or (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
        or getattr(config, "sbert_ce_default_activation_function", None)
    )
    one_score = config.num_labels == 1
    if new_head or saved is None:
        return backbone, "sigmoid" if one_score else "softmax"
    # for classes it gives the logits, unless asked for probabilities
    activations = {"Sigmoid": "sigmoid", "Identity": "identity" if one_score else "softmax"}
    name = saved.rpartition(".")[2]
    require(
        name in activations, f"{root}: unknown activation {saved}; known: {', '.join(activations)}"
    )
    return backbone, activations[name]


def write_cross_encoder_folder(
    path: str | Path, transformer: nn.Module, tokenizer, max_length: int, activation: str
) -> None:
    """Write a sequence-classification folder that names the activation."""
    root = Path(path)
    # where sentence-transformers 4 to 6, and where 2 and 3 look for it
    transformer.config.sentence_transformers = {"activation_fn": _CLASSES[activation]}
    transformer.config.sbert_ce_default_activation_function = _CLASSES[activation]
    save_backbone(root, transformer, tokenizer, max_length)
    # relative positions have no limit, and a tokenizer's length is read up to that of config.json
    if is_adapter(root) or tokenizer_length(tokenizer, transformer.config) != max_length:
        _write_settings(root, activation, max_length)


def _write_settings(root: Path, activation: str, max_length: int) -> None:
    """What config.json cannot say: in the layout of sentence-transformers 6.

    An earlier version knows no adapters of cross-encoders, and no length beyond config.json's.
    """
    settings = {"model_type": "CrossEncoder", "activation_fn": _CLASSES[activation]}
    dump_json(root / ST_CONFIG, settings)
    transformer = "sentence_transformers.base.modules.transformer.Transformer"
    dump_json(root / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": transformer}])
    output = {"text": {"method": "forward", "method_output_name": "logits"}}
    names = {"modality_config": output, "module_output_name": "scores"}
    task = {"transformer_task": "sequence-classification"}
    dump_json(root / "sentence_bert_config.json", {"max_seq_length": max_length} | task | names)
