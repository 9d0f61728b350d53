"""Folders of bi-encoders: plain Hugging Face encoders and both layouts of sentence-transformers.

Read: a Hugging Face folder; the 2.x layout (modules.json, 1_Pooling, 2_Dense, 3_Normalize,
sentence_bert_config.json); the 6.x layout, which renamed the keys. Written: the 2.x layout, which
later versions load, too: docs/models.md has a table.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sbert.models.families import check_cut, cut_layers, encoder_class
from sbert.models.folders.adapter import load_with_adapter
from sbert.models.folders.backbone import (
    Backbone,
    is_classifier,
    load_weights,
    read_backbone,
    read_config,
    save_backbone,
)
from sbert.models.folders.json_files import ST_CONFIG, dump_json, read_model_settings
from sbert.models.folders.modules import read_modules, write_head, write_pooling
from sbert.models.prompts import check_prompts

# of config_sentence_transformers.json, under the names of the attributes of a BiEncoder
_USAGE = ("prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim")


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


def read_bi_encoder_folder(
    name_or_path: str | Path, max_length: int | None, layer: int
) -> SavedBiEncoder:
    """Load a folder, with the transformer up to `layer`.

    Raises:
        InputError: a file is missing or broken, or a module or setting is not supported.
    """
    backbone = read_backbone(
        name_or_path,
        lambda path: load_with_adapter(path, lambda base: _load_layers(base, layer)),
        max_length,
    )
    if is_classifier(backbone.root) and not backbone.modules:
        warnings.warn(
            f"{backbone.root}: is a sequence classifier; its encoder is loaded and its head left "
            "out; CrossEncoder.from_pretrained loads both",
            stacklevel=3,  # the line that called BiEncoder.from_pretrained
        )
    pooling, include_prompt, head = read_modules(backbone.modules)
    usage = _read_usage(backbone.root / ST_CONFIG)
    return SavedBiEncoder(backbone, pooling, include_prompt, head, usage)


def _read_usage(path: Path) -> dict:
    """Prompts, similarity and size of the embeddings, where config_sentence_transformers.json says.

    A folder of another kind of model, such as a cross-encoder, declares them for its own use.
    """
    settings = read_model_settings(path.parent)
    if settings.get("model_type", "SentenceTransformer") != "SentenceTransformer":
        return {}
    usage = {name: settings[name] for name in _USAGE if settings.get(name) is not None}
    name = usage.get("default_prompt_name")
    check_prompts(usage.get("prompts", {}), name, place=f"{path}: ")
    return usage


def _load_layers(path: Path, layer: int) -> nn.Module:
    """The transformer without the layers above hidden state `layer`, which thus is its output."""
    config = read_config(path)
    if layer != -1:
        cut_layers(path, config, layer)
    auto_class = encoder_class(path, config)
    model = load_weights(path, auto_class, config, lambda key, _: key.startswith("pooler."))
    if layer != -1:
        check_cut(path, model, layer)
    return model


def write_bi_encoder_folder(path: str | Path, model) -> None:
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
    size = model.transformer.config.hidden_size
    write_pooling(root / "1_Pooling" / "config.json", size, model.pooling, model.include_prompt)
    for i, module in enumerate(model.head, start=2):
        write_head(root / f"{i}_{type(module).__name__}", module)
