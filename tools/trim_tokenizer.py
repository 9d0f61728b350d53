"""A tokenizer.json with fewer pieces: which of them must stay, and the file without the others.

The pieces that stay keep their order and get the ids 0, 1, 2, ...
"""

import re
from collections.abc import Iterable, Iterator

from tokenizers import decoders

from sbert.errors import require
from sbert.models.folders.tokenizer import processor_tokens

_SPACE = "▁"  # before the first piece of a word; byte-level BPE has the byte of a space
_BYTE = re.compile("<0x[0-9A-F]{2}>")  # the bytes that stand for a character without a piece


class Unigram:
    """Pieces with scores; of all ways to cut a text the one with the highest sum counts.

    That sum does not change where other ways disappear. An unknown character scores less than the
    lowest piece, which therefore stays.
    """

    affixes: tuple[str, ...] = ()

    def __init__(self, model: dict):
        self.model = model
        self.pieces = {i: piece for i, (piece, _) in enumerate(model["vocab"])}

    def needed(self, kept: set[int]) -> set[int]:
        """The ids without which the pieces of these ids would not be found as before."""
        scores = [score for _, score in self.model["vocab"]]
        unknown = self.model.get("unk_id")
        needed = {scores.index(min(scores))}
        return needed if unknown is None else needed | {unknown}

    def trimmed(self, new_ids: dict[int, int]) -> dict:
        """The model with these pieces alone."""
        vocab = [entry for i, entry in enumerate(self.model["vocab"]) if i in new_ids]
        unknown = self.model.get("unk_id")
        return self.model | {"vocab": vocab, "unk_id": new_ids.get(unknown)}


class _Named:
    """A vocabulary of pieces and ids, with the unknown piece by its name."""

    def __init__(self, model: dict):
        self.model = model
        self.pieces = {i: piece for piece, i in model["vocab"].items()}
        names = ("continuing_subword_prefix", "end_of_word_suffix")
        self.affixes = tuple(filter(None, map(model.get, names)))

    def needed(self, kept: set[int]) -> set[int]:
        unknown = self.model.get("unk_token")
        return set() if unknown is None else {self.model["vocab"][unknown]}

    def trimmed(self, new_ids: dict[int, int]) -> dict:
        vocab = {}
        for i in sorted(self.pieces):
            if i in new_ids:
                vocab[self.pieces[i]] = new_ids[i]
        return self.model | {"vocab": vocab}


class WordPiece(_Named):
    """From the start of a word on the longest piece counts, which stays the longest."""


class BPE(_Named):
    """Characters, merged pair by pair in the order of the merges."""

    def merges(self) -> Iterator[tuple[object, int, int, int]]:
        """(merge as the file has it, ids of its parts and of its result)."""
        vocab = self.model["vocab"]
        prefix = self.model.get("continuing_subword_prefix") or ""
        for merge in self.model["merges"]:
            first, second = merge.split(" ") if isinstance(merge, str) else merge
            result = first + second.removeprefix(prefix)
            yield merge, vocab[first], vocab[second], vocab[result]

    def needed(self, kept: set[int]) -> set[int]:
        """Also what the kept pieces are merged from, and what that is merged from."""
        kept = kept | super().needed(kept)
        parts_of: dict[int, set[int]] = {}
        for _, first, second, result in self.merges():
            parts_of.setdefault(result, set()).update((first, second))
        open_ids = list(kept)
        while open_ids:
            new = parts_of.get(open_ids.pop(), set()) - kept
            kept |= new
            open_ids += new
        return kept

    def trimmed(self, new_ids: dict[int, int]) -> dict:
        merges = [merge for merge, *ids in self.merges() if new_ids.keys() >= set(ids)]
        return super().trimmed(new_ids) | {"merges": merges}


MODELS = {"Unigram": Unigram, "BPE": BPE, "WordPiece": WordPiece}


def read_model(content: dict) -> Unigram | BPE | WordPiece:
    """The vocabulary of a tokenizer.json.

    Raises:
        InputError: a kind of tokenizer that is not known here.
    """
    kind = content["model"].get("type")
    require(
        kind in MODELS, f"a tokenizer of type {kind} is not supported; known: {', '.join(MODELS)}"
    )
    return MODELS[kind](content["model"])


def choose_ids(content: dict, used: Iterable[int], settings: dict[str, int]) -> list[int]:
    """The ids that stay, in order: used ones, special and added tokens, single characters.

    And what these need: see `needed` of the models.

    Args:
        settings: ids of tokens that the model's configuration names, such as pad_token_id.

    Raises:
        InputError: the tokenizer has no token of an id in `settings`, or of its post_processor.
    """
    model = read_model(content)
    tokens = model.pieces | {token["id"]: token["content"] for token in content["added_tokens"]}
    special = dict(processor_tokens(content.get("post_processor")))
    for token, i in special.items():
        lacks = f"the tokenizer lacks the special token {token}, which its post_processor puts"
        require(tokens.get(i) == token, f"{lacks} around texts with the id {i}")
    for name, i in settings.items():
        no_token = f"config.json: {name} is {i}, and the tokenizer has no token of this id"
        require(i in tokens, f"{no_token}; set the id of one, or null")
    kept = {*used, *special.values(), *settings.values()}
    kept |= {token["id"] for token in content["added_tokens"]}
    byte_level = (content.get("decoder") or {}).get("type") == "ByteLevel"
    for i, piece in model.pieces.items():
        characters = _read_bytes(piece) if byte_level else piece
        if _is_single(characters, model.affixes):
            kept.add(i)
    return sorted(kept | model.needed(kept))


def _read_bytes(piece: str) -> str:
    """The text of a piece of byte-level BPE, with one character for a part of another one."""
    return decoders.ByteLevel().decode([piece]).replace(" ", _SPACE)


def _is_single(piece: str, affixes: tuple[str, ...]) -> bool:
    """Whether a piece is one character or byte, beside the mark of a word's start or end."""
    for affix in (_SPACE, *affixes):
        piece = piece.removeprefix(affix).removesuffix(affix)
    return len(piece) <= 1 or _BYTE.fullmatch(piece) is not None


def trim_content(content: dict, kept: list[int]) -> dict:
    """A tokenizer.json with the pieces of these ids alone, which become 0, 1, 2, ..."""
    new_ids = {i: new for new, i in enumerate(kept)}
    trimmed = content | {"model": read_model(content).trimmed(new_ids)}
    trimmed["added_tokens"] = [
        token | {"id": new_ids[token["id"]]} for token in content["added_tokens"]
    ]
    trimmed["post_processor"] = _renumber(content.get("post_processor"), new_ids)
    if content.get("padding"):
        padding = content["padding"]
        trimmed["padding"] = padding | {"pad_id": new_ids[padding["pad_id"]]}
    return trimmed


def _renumber(processor: dict | None, new_ids: dict[int, int]) -> dict | None:
    """A post_processor with the new ids of its tokens."""
    kind = processor["type"] if processor else None
    if kind == "Sequence":
        return processor | {"processors": [_renumber(p, new_ids) for p in processor["processors"]]}
    if kind == "TemplateProcessing":
        special = {}
        for name, token in processor["special_tokens"].items():
            special[name] = token | {"ids": [new_ids[i] for i in token["ids"]]}
        return processor | {"special_tokens": special}
    if kind in ("BertProcessing", "RobertaProcessing"):
        ends = {}
        for name in ("cls", "sep"):
            token, i = processor[name]
            ends[name] = [token, new_ids[i]]
        return processor | ends
    return processor
