"""Texts as keys: which of them count as equal, and hashes of them."""

import hashlib
import unicodedata
from collections.abc import Hashable, Iterable
from typing import TypeVar

import numpy as np


def canonical(text: str) -> str:
    """Sentences that differ in case and spaces alone are one sentence: of their pairs there is nothing to learn."""
    return " ".join(text.casefold().split())


def digest(texts: list[str]) -> str:
    """A hash of texts, in their order."""
    hashed = hashlib.sha256()
    for text in texts:
        raw = text.encode()
        hashed.update(len(raw).to_bytes(8, "little") + raw)
    return hashed.hexdigest()


def normalise(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


Item = TypeVar("Item", bound=Hashable)


def unique(items: Iterable[Item]) -> tuple[list[Item], np.ndarray]:
    """The distinct texts (or pairs of texts) in order of first sight, and the index of each given one among them, int64."""
    seen: dict[Item, int] = {}
    index = np.fromiter((seen.setdefault(item, len(seen)) for item in items), np.int64)
    return list(seen), index
