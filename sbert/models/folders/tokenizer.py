"""The files of a tokenizer, written so that older versions of transformers read them too."""

import json
from pathlib import Path

from sbert.models.folders.json_files import dump_json, load_json

# what transformers 5 calls the class of 4, which both know
_CLASS_NAMES = {"TokenizersBackend": "PreTrainedTokenizerFast"}


def save_tokenizer(root: Path, tokenizer, max_length: int) -> None:
    """Write a tokenizer, with `max_length` among its settings."""
    tokenizer.model_max_length = max_length
    # without this it saves only the side that it was made with
    tokenizer.init_kwargs["truncation_side"] = tokenizer.truncation_side
    tokenizer.save_pretrained(root)
    settings = load_json(root / "tokenizer_config.json")
    name = settings.get("tokenizer_class")
    dump_json(
        root / "tokenizer_config.json",
        settings | {"tokenizer_class": _CLASS_NAMES.get(name, name)},
    )
    _join_merges(root / "tokenizer.json")


def _join_merges(path: Path) -> None:
    """Write the merges of a BPE as "a b", as versions of tokenizers before 0.20 read them.

    Merges of tokens that contain spaces can only be written as lists, and stay so.
    """
    content = load_json(path)
    merges = content["model"].get("merges", [])
    tokens = [token for merge in merges if isinstance(merge, list) for token in merge]
    if not tokens or any(" " in token for token in tokens):
        return
    content["model"]["merges"] = [" ".join(merge) for merge in merges]
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")
