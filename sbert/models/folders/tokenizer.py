"""The files of a tokenizer: its special tokens are checked when it is read, and it is written so
that older versions of transformers read it too.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers.models import Unigram

from sbert.errors import require
from sbert.models.folders.json_files import dump_json, load_json

# what transformers 5 calls the class of 4, which both know
_CLASS_NAMES = {"TokenizersBackend": "PreTrainedTokenizerFast"}


def check_special_tokens(root: Path, tokenizer) -> None:
    """Refuse a tokenizer without a token that it puts around texts, or for unknown pieces.

    For a token that tokenizer.json lacks, transformers makes a new id, whose embedding is that of
    another piece or of none.

    Raises:
        InputError: naming the folder and the token.
    """
    lacks = f"{root}: the tokenizer lacks the special token"
    backend = tokenizer.backend_tokenizer
    processor = backend.post_processor
    around = list(processor_tokens(processor and json.loads(processor.__getstate__())))
    for token, i in around:
        found = backend.token_to_id(token) == i
        require(found, f"{lacks} {token} of id {i}, which its post_processor puts around texts")
    tokens = [token for token, _ in around]
    if isinstance(backend.model, Unigram):  # which names it by its id
        tokens += [tokenizer.unk_token] if tokenizer.unk_token else []
    else:
        unknown = getattr(backend.model, "unk_token", None)
        known = unknown is None or backend.model.token_to_id(unknown) is not None
        require(known, f"{lacks} {unknown}, which stands for unknown pieces")
    size = backend.get_vocab_size(with_added_tokens=False)
    added = [token for token in tokens if backend.token_to_id(token) >= size]
    file = root / "tokenizer.json"
    if added and file.exists():
        declared = [token["content"] for token in load_json(file)["added_tokens"]]
        for token in added:
            require(token in declared, f"{lacks} {token}")


def processor_tokens(processor: dict | None) -> Iterator[tuple[str, int]]:
    """(token, id) of all tokens that the post_processor of a tokenizer.json puts around texts."""
    kind = processor["type"] if processor else None
    if kind == "Sequence":
        for part in processor["processors"]:
            yield from processor_tokens(part)
    elif kind == "TemplateProcessing":
        for special in processor["special_tokens"].values():
            yield from zip(special["tokens"], special["ids"], strict=True)
    elif kind in ("BertProcessing", "RobertaProcessing"):
        yield from (processor["cls"], processor["sep"])


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
