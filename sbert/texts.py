"""Texts: what is accepted as one, which of them count as equal, distinct texts, and hashes."""

import hashlib
import unicodedata
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain
from typing import TypeVar

import numpy as np

from sbert.errors import InputError, require

Item = TypeVar("Item", bound=Hashable)

VARIATION_SELECTORS = {chr(code) for code in range(0xFE00, 0xFE10)}


def list_texts(
    texts: Iterable[str], function: str, kind: str = "text", may_be_empty: bool = True
) -> list[str]:
    """The texts of any iterable: a list, a generator, an array of str, the keys of a dict.

    Args:
        function, kind: what messages call the caller and one of the texts.

    Raises:
        InputError: one text instead of several; one of them is no text, by its number.
    """
    require(
        not isinstance(texts, str),
        f"{function}: takes a list of {kind}s, not one {kind}; write [{kind}]",
    )
    require(isinstance(texts, Iterable), f"{function}: takes a list of {kind}s, not {texts!r}")
    listed = list(texts)
    for i, text in enumerate(listed):
        check_text(text, f"{function}: {kind} {i}", may_be_empty)
    return listed


def check_text(text: object, name: str, may_be_empty: bool = True) -> None:
    """Refuse what is no text: another type than str, or a lone surrogate, which UTF-8 lacks.

    Raises:
        InputError: it is none, or has nothing but spaces; the message starts with `name`.
    """
    require(isinstance(text, str), f"{name} is {text!r}, not a str")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{name} contains a lone surrogate, {text[error.start]!r}: not valid text"
        ) from None
    require(may_be_empty or text.strip(), f"{name} is empty")


def unique(items: Iterable[Item]) -> tuple[list[Item], np.ndarray]:
    """The distinct items in order of first occurrence, and the index of each item in them, int64.

    `distinct[index[i]] == items[i]`. Texts, or tuples of texts.
    """
    seen: dict[Item, int] = {}
    index = np.fromiter((seen.setdefault(item, len(seen)) for item in items), np.int64)
    return list(seen), index


def distinct_cells(
    columns: Sequence[Sequence[str | None]], kind: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The distinct texts of C columns of N, in 16 bytes for each: those of equal BLAKE2b hashes of
    128 bits are one, if they are of one kind.

    Cells are numbered column after column.

    Args:
        kind: (C N,), a number for each cell.

    Returns: the cells in which a distinct text occurs first, (U,), and which of these each cell
        is, (C N,), -1 for None.
    """
    present, hashes = np.zeros(len(kind), bool), bytearray()
    for cell, text in enumerate(chain(*columns)):
        if text is not None:
            present[cell] = True
            hashes += hashlib.blake2b(text.encode(), digest_size=16).digest()
    halves = np.frombuffer(hashes, np.uint64).reshape(-1, 2)  # (P, 2) of the texts present
    keys = [*halves.T, kind[present]]
    order = np.lexsort(keys)  # of equal ones the earlier first
    starts = np.zeros(len(order), bool)
    starts[:1] = True
    for key in keys:
        starts[1:] |= np.diff(key[order]) != 0
    first = order[starts]
    rank = np.argsort(first)
    cells = np.full(len(kind), -1)
    own = np.empty(len(order), np.int64)
    own[order] = np.argsort(rank)[np.cumsum(starts) - 1]
    cells[present] = own
    return np.flatnonzero(present)[first[rank]], cells


class SelectedTexts(Sequence):
    """Some cells of columns of N texts, in order; no list of them."""

    def __init__(self, columns: Sequence[Sequence[str]], cells: np.ndarray):
        self.columns, self.cells = columns, cells

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        column, row = divmod(int(self.cells[index]), len(self.columns[0]))
        return self.columns[column][row]


def normalise(text: str) -> str:
    """The form in which texts are compared for overlap: NFKC, lower case, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


def bare(text: str) -> str:
    """The letters, vowel signs and digits of a text, without case: what is left of a text where no
    difference in case, punctuation or spaces shall hide that it is the same."""
    return "".join(filter(_spells, unicodedata.normalize("NFKC", text).casefold()))


def _spells(character: str) -> bool:
    """Whether a character spells a word: a letter, a digit, or a mark on one, as the vowels of
    Devanagari and Thai are. The marks that choose the picture of an emoji are none."""
    if character.isalnum():
        return True
    return unicodedata.category(character) in ("Mn", "Mc") and character not in VARIATION_SELECTORS


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
