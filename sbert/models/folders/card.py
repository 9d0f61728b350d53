"""Model cards: README.md, with the metadata that the Hugging Face hub reads in front of the text.

https://huggingface.co/docs/hub/model-cards describes the metadata.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sbert.atomic import write_whole
from sbert.markdown import markdown_code, markdown_table
from sbert.models.bi_encoder import BiEncoder
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.folders.adapter import is_adapter
from sbert.models.folders.backbone import is_local, locate_folder
from sbert.models.folders.card_usage import describe_usage
from sbert.yaml_text import dump_yaml

CARD = "README.md"

_NO_LANGUAGE = (
    "# language: not declared by the training data; list codes of ISO 639, as in [de, en]"
)
_LICENSE = (
    "# license: for you to fill in, in view of the licences of the base model and of the data"
)
_NO_BASE = "# base_model: a local folder; give its name on the model hub, if it has one"


@dataclass
class ModelCard:
    """The card of a model, but for what the model itself says.

    Args:
        name: of the model.
        base: the folder or hub name of the model that it was made from.
        languages: of its texts, as codes of ISO 639; none: those that the base's card declares.
        datasets: that it was trained on, by their names on the hub.
        results: evaluations, as the hub's model-index has them.
        sections: Markdown, after the description of the model.
    """

    name: str
    base: str
    languages: Sequence[str] = ()
    datasets: Sequence[str] = ()
    results: Sequence[dict] = ()
    sections: Sequence[str] = ()
    base_metadata: dict[str, Any] = field(init=False)

    def __post_init__(self):
        # now: when a long training ends, the base may be gone
        self.base_metadata = read_metadata(locate_folder(self.base))


def write_card(folder: Path, model: BiEncoder | CrossEncoder, card: ModelCard) -> None:
    """Write the card into the folder that the model was saved in, in the place of another."""
    parts = [
        f"{_front_matter(card, model)}\n\n# {markdown_code(card.name)}",
        _describe_model(folder, model, card.base),
        describe_usage(model),
        *card.sections,
    ]
    write_whole(folder / CARD, ("\n\n".join(parts) + "\n").encode())


def read_metadata(folder: Path) -> dict[str, Any]:
    """The metadata of the card in a folder, with all scalars as text.

    {} if there is no card, or none whose metadata can be read: a model does without.
    """
    path = folder / CARD
    text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
    found = re.match(r"\s*---\n(.*?)\n---\s*?(\n|$)", text, re.S)
    try:
        # text, because the code of Norwegian, no, would be read as false
        metadata = yaml.load(found[1], yaml.BaseLoader) if found else {}
    except yaml.YAMLError:
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _front_matter(card: ModelCard, model: BiEncoder | CrossEncoder) -> str:
    """The metadata; what is left to the user is a comment."""
    base = card.base_metadata.get("base_model") if is_local(card.base) else card.base
    languages = list(card.languages) or card.base_metadata.get("language")
    task, *tags = _task_and_tags(model)
    rest = {"library_name": "sentence-transformers", "pipeline_tag": task}
    rest["tags"] = ["sentence-transformers", *tags]
    if card.datasets:
        rest["datasets"] = list(card.datasets)
    if card.results:
        rest["model-index"] = [{"name": card.name, "results": list(card.results)}]
    lines = [
        "---",
        _dump({"language": languages}) if languages else _NO_LANGUAGE,
        _LICENSE,
        _dump({"base_model": base}) if base else _NO_BASE,
        _dump(rest),
        "---",
    ]
    return "\n".join(lines)


def _dump(content: dict) -> str:
    return dump_yaml(content, width=1000).rstrip()


def _task_and_tags(model: BiEncoder | CrossEncoder) -> list[str]:
    """The task by which the hub runs the model, and tags by which it is found."""
    if isinstance(model, BiEncoder):
        return ["sentence-similarity", "sentence-similarity", "feature-extraction"]
    if model.dim == 1:
        return ["text-ranking", "cross-encoder", "reranker"]
    return ["text-classification", "cross-encoder"]


def _describe_model(folder: Path, model: BiEncoder | CrossEncoder, base: str) -> str:
    facts = {"base model": markdown_code(base)}
    if is_adapter(folder):
        facts["files"] = "a LoRA adapter: loading it needs the base model, and peft"
    # of LoRA those that are trained are merged into the others, or lie beside them
    count = sum(w.numel() for name, w in model.named_parameters() if ".lora_" not in name)
    facts["encoder"] = f"{model.transformer.config.model_type}, {count:,} weights"
    if isinstance(model, BiEncoder):
        sentence = "A bi-encoder: it turns each text into an embedding."
        facts |= _bi_encoder_facts(model)
    else:
        sentence = "A cross-encoder: it reads two texts together."
        facts |= _cross_encoder_facts(model)
    table = markdown_table(["", ""], [[name, fact] for name, fact in facts.items()])
    return f"{sentence}\n\n{table}"


def _bi_encoder_facts(model: BiEncoder) -> dict[str, str]:
    size = f"{model.dim} numbers"
    if model.truncate_dim:
        size = f"the first {model.truncate_dim} of {size}"
    pooling = ", ".join(model.pooling)
    if not model.include_prompt:
        pooling += ", without the tokens of the prompt"
    facts = {"embedding": size, "pooling": pooling}
    if len(model.head):
        facts["modules after it"] = ", ".join(type(module).__name__ for module in model.head)
    facts["longest text"] = f"{model.max_length} tokens, special ones included"
    facts["similarity"] = model.similarity_fn_name
    for name, text in model.prompts.items():
        default = " (the default)" if name == model.default_prompt_name else ""
        shown = markdown_code(json.dumps(text, ensure_ascii=False))
        facts[f"prompt {markdown_code(name)}"] = shown + default
    return facts


def _cross_encoder_facts(model: CrossEncoder) -> dict[str, str]:
    output = f"one score, activation {model.activation}"
    if model.dim > 1:
        output = f"{model.dim} classes, activation {model.activation}"
    facts = {"output": output}
    if model.dim > 1 and model.classes:
        facts["classes"] = ", ".join(map(markdown_code, model.classes))
    facts["longest pair"] = f"{model.max_length} tokens, special ones included"
    return facts
