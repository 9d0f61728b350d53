"""The token ids of many texts in one flat array, from which batches.py cuts padded batches.

`save_table` keeps a table in a folder of .npy files and their digest; `load_table` maps them into
memory.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sbert.errors import InputError

ID_CHUNK = 2**20  # ids that a pass over a table copies at a time
DIGEST_CHUNK = 2**20  # bytes

JoinParts = Callable[[Iterable[np.ndarray]], np.ndarray]


@dataclass
class TokenTable:
    """The token ids of U distinct texts in one array: text t is `ids[starts[t] : starts[t + 1]]`.

    Special tokens are included where the tokenizer adds them to single texts. `cut_tokens` counts
    what truncation removed from each text, `prompt_lengths` the tokens of the prompt at its start,
    with the special tokens before it; 0 without a prompt. Where texts have different prompts,
    `text_ids` tells which of them are equal without it; None: all differ.
    """

    ids: np.ndarray  # (sum of lengths,) int32
    starts: np.ndarray  # (U + 1,) int64
    cut_tokens: np.ndarray  # (U,) int64
    prompt_lengths: np.ndarray  # (U,) int64
    text_ids: np.ndarray | None = None  # (U,) int64

    @property
    def lengths(self) -> np.ndarray:
        """(U,) tokens of each text after truncation."""
        return np.diff(self.starts)

    @property
    def full_lengths(self) -> np.ndarray:
        """(U,) tokens of each text before truncation."""
        return self.lengths + self.cut_tokens

    def lengths_of(self, texts: np.ndarray) -> np.ndarray:
        """`lengths[texts]`, without a pass over the whole table."""
        return self.starts[texts + 1] - self.starts[texts]

    def full_lengths_of(self, texts: np.ndarray) -> np.ndarray:
        """`full_lengths[texts]`, without a pass over the whole table."""
        return self.lengths_of(texts) + self.cut_tokens[texts]

    def distinct_ids(self) -> np.ndarray:
        """The distinct ids, sorted. Sorting all of them would take a copy and a hundred times as
        long."""
        occurs = np.zeros(self.ids.max(initial=-1) + 1, bool)
        for start in range(0, len(self.ids), ID_CHUNK):
            occurs[self.ids[start : start + ID_CHUNK]] = True
        return np.flatnonzero(occurs)


def concatenate(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The parts of an array of int32, of which there may be none, as one array in memory."""
    return np.concatenate([np.empty(0, np.int32), *parts])


def save_table(folder: Path, make: Callable[[JoinParts], tuple[TokenTable, np.ndarray]]) -> None:
    """Write a table and the rows (N, C) of texts in it into a new folder.

    Its ids, the largest part, are never in memory as a whole.

    Args:
        make: makes both with a function that joins the parts of the ids.
    """
    folder.mkdir()

    def write_ids(parts: Iterable[np.ndarray]) -> np.ndarray:
        return _write_array(folder / "ids.npy", parts)

    table, rows = make(write_ids)
    for name in ("starts", "cut_tokens", "prompt_lengths"):
        np.save(folder / f"{name}.npy", getattr(table, name))
    if table.text_ids is not None:
        np.save(folder / "text_ids.npy", table.text_ids)
    np.save(folder / "rows.npy", rows)
    (folder / "sha256").write_text(_digest(folder))


def load_table(folder: Path) -> tuple[TokenTable, np.ndarray]:
    """A table and its rows (N, C), memory-mapped.

    Its files are read once, for their digest: under a second for two million pairs.

    Raises:
        InputError: a file of it is missing, or is not as it was written.
    """
    try:
        if (folder / "sha256").read_text() != _digest(folder):
            raise ValueError("its files are not as they were written")
        arrays = {path.stem: _map_array(path) for path in folder.glob("*.npy")}
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{folder}: damaged: {error}; delete it, to make it again") from None
    rows = arrays.pop("rows")
    return TokenTable(**arrays), rows


def _digest(folder: Path) -> str:
    """SHA-256 of the names, sizes and bytes of a table's arrays."""
    hashed = hashlib.sha256()
    for path in sorted(folder.glob("*.npy")):
        hashed.update(f"{path.name} {path.stat().st_size}\n".encode())
        with open(path, "rb") as file:
            while chunk := file.read(DIGEST_CHUNK):
                hashed.update(chunk)
    return hashed.hexdigest()


def _write_array(path: Path, parts: Iterable[np.ndarray]) -> np.ndarray:
    """Write the parts of an array of int32, one after another, as a .npy file -> it, mapped."""
    count = 0
    with open(path, "wb") as file:
        _write_header(file, count)
        for part in parts:
            file.write(part.astype("<i4", copy=False).data)
            count += len(part)
        file.seek(0)
        _write_header(file, count)  # as long as the first: headers are padded to 128 bytes
    return _map_array(path)


def _write_header(file, count: int) -> None:
    header = {"descr": "<i4", "fortran_order": False, "shape": (count,)}
    np.lib.format.write_array_header_1_0(file, header)


def _map_array(path: Path) -> np.ndarray:
    """A .npy file as a read-only array whose parts are read when they are used."""
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
