"""The files of a tokenizer: its special tokens are checked when it is read, and it is written so
that older versions of transformers read it too.
"""

import json
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import Unigram

from sbert.errors import InputError, require
from sbert.models.folders.json_files import dump_json, load_json

# what transformers 5 calls the class of 4, which both know
_CLASS_NAMES = {"TokenizersBackend": "PreTrainedTokenizerFast"}

# of the embeddings, the share that has tokens: of published models all but 2 %, filled up to a
# multiple of 64 or more
_FEWEST = 0.75


def check_special_tokens(root: Path, tokenizer) -> None:
    """Refuse a tokenizer without a token that it puts around texts, or for unknown pieces, or that
    its settings name.

    For a token that tokenizer.json lacks, transformers makes a new id, whose embedding is that of
    another piece or of none.

    Raises:
        InputError: naming the folder and the token.
    """
    lacks = f"{root}: the tokenizer lacks the special token"
    backend = tokenizer.backend_tokenizer
    processor = backend.post_processor
    uses = named_tokens(root)
    for token, i in processor_tokens(processor and json.loads(processor.__getstate__())):
        use = uses[token] = "its post_processor puts around texts"
        require(backend.token_to_id(token) == i, f"{lacks} {token} of id {i}, which {use}")
    if isinstance(backend.model, Unigram):  # which names it by its id
        if tokenizer.unk_token:
            uses[tokenizer.unk_token] = "stands for unknown pieces"
    else:
        unknown = getattr(backend.model, "unk_token", None)
        known = unknown is None or backend.model.token_to_id(unknown) is not None
        require(known, f"{lacks} {unknown}, which stands for unknown pieces")
    for token in _absent(root, backend, uses):
        right = "take the tokenizer.json that belongs to the model"
        raise InputError(f"{lacks} {token}, which {uses[token]}; {right}")


def _absent(root: Path, backend: Tokenizer, tokens: Iterable[str]) -> list[str]:
    """Those of the tokens that are neither in the vocabulary of tokenizer.json nor among its added
    tokens; none where there is no such file."""
    size, later = backend.get_vocab_size(with_added_tokens=False), []
    for token in tokens:
        i = backend.token_to_id(token)
        if i is None or i >= size:
            later.append(token)
    file = root / "tokenizer.json"
    if not later or not file.exists():
        return []
    declared = [token["content"] for token in load_json(file)["added_tokens"]]
    return [token for token in later if token not in declared]


def check_size(root: Path, tokenizer, embeddings: int) -> None:
    """Refuse a tokenizer with more tokens than the model has embeddings; warn of far fewer.

    Raises:
        InputError: there are more.
    """
    size = len(tokenizer)
    sizes = f"the tokenizer has {size} tokens, and the model embeddings for {embeddings}"
    if size > embeddings:
        reason = "they are not of the same model"
        absent = []
        if tokenizer.is_fast:
            absent = _absent(root, tokenizer.backend_tokenizer, tokenizer.all_special_tokens)
        if absent:
            kind = type(tokenizer).__name__
            reason = f"tokenizer.json lacks {', '.join(absent)}, which {kind} adds"
        raise InputError(f"{root}: {sizes}; {reason}")
    if size < _FEWEST * embeddings:
        warnings.warn(
            f"{root}: {sizes}; unless so many are spare, they are not of the same model, and "
            "tools/trim_vocabulary.py trims both",
            stacklevel=5,  # the line that called from_pretrained
        )


def named_tokens(root: Path) -> dict[str, str]:
    """What the settings of a tokenizer call each token that they name."""
    names = {}
    for file in ("special_tokens_map.json", "tokenizer_config.json"):
        for key, value in load_json(root / file, default={}).items():
            if key.endswith(("_token", "_special_tokens")):
                names |= dict.fromkeys(_contents(value), f"{file} names as {key}")
    return names


def _contents(value: object) -> Iterator[str]:
    """The tokens of a setting: a token, one with its options, a list or dict of them, or a switch
    such as add_bos_token."""
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, dict) and "content" in value:
        yield value["content"]
    elif isinstance(value, (dict, list)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _contents(one)


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
