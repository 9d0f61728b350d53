"""Texts as keys: which of them count as equal, distinct texts, and hashes."""

import hashlib
import unicodedata
from collections.abc import Hashable, Iterable
from typing import TypeVar

import numpy as np

Item = TypeVar("Item", bound=Hashable)


def unique(items: Iterable[Item]) -> tuple[list[Item], np.ndarray]:
    """The distinct items in order of first occurrence, and the index of each item in them, int64.

    `distinct[index[i]] == items[i]`. Texts, or tuples of texts.
    """
    seen: dict[Item, int] = {}
    index = np.fromiter((seen.setdefault(item, len(seen)) for item in items), np.int64)
    return list(seen), index


def normalise(text: str) -> str:
    """The form in which texts are compared for overlap: NFKC, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def canonical(text: str) -> str:
    """The form in which sentences are paired: those that differ only in case and spaces are one."""
    return " ".join(text.casefold().split())


def digest(texts: list[str]) -> str:
    """SHA-256 of a list of texts, in their order; each is preceded by its length in bytes."""
    hashed = hashlib.sha256()
    for text in texts:
        raw = text.encode()
        hashed.update(len(raw).to_bytes(8, "little") + raw)
    return hashed.hexdigest()
