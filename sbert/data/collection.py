"""Collections of texts for mining: read from a file, embedded once, and the embeddings kept."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sbert.data.config import Source
from sbert.data.readers import READERS, data_dir, read_text
from sbert.data.schema import check_text
from sbert.errors import InputError
from sbert.texts import digest

UNIT = 16_384  # texts that are embedded between two states of an interrupted run


@dataclass
class Collection:
    """N texts with their identifiers; `texts` is empty where there are embeddings alone, and those are `vectors`."""

    name: str
    ids: list[str]
    texts: list[str]
    empty: int = 0
    vectors: np.ndarray | None = None
    embeddings: str | None = None

    def __len__(self) -> int:
        return len(self.texts if self.vectors is None else self.vectors)

    def describe(self) -> str:
        what = "embeddings" if self.vectors is not None else "texts"
        return f"{self.name}: {len(self):,} {what}" + (
            f"; {self.empty:,} skipped: empty" if self.empty else ""
        )

    def cells(self, index: int, suffix: str = "") -> dict[str, str]:
        """What a result says of one text: its identifier, and the text where there is one."""
        text = {f"text{suffix}": self.texts[index]} if self.texts else {}
        return {f"id{suffix}": self.ids[index]} | text

    @property
    def digest(self) -> str:
        """A hash of the texts, or of the embeddings, which are read in parts."""
        if self.vectors is None:
            return digest(self.texts)
        hashed = hashlib.sha256(f"{self.vectors.dtype} {self.vectors.shape}".encode())
        for start in range(0, len(self), UNIT):
            hashed.update(self.vectors[start : start + UNIT].tobytes())
        return hashed.hexdigest()


def load_vectors(path: str | Path) -> np.ndarray:
    """Embeddings (N, H) of a .npy file, memory-mapped."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: not a .npy file of numbers: {error}") from None
    if not isinstance(vectors, np.ndarray):
        raise InputError(f"{path}: not a .npy file of numbers but an archive of several")
    if vectors.ndim != 2 or vectors.dtype not in (np.float16, np.float32, np.float64):
        raise InputError(
            f"{path}: holds {vectors.dtype} of shape {vectors.shape}; embeddings are float16, float32 or float64 of shape (N, H)"
        )
    return vectors


def _check_finite(path: str, vectors: np.ndarray) -> None:
    for start in range(0, len(vectors), UNIT):
        good = np.isfinite(vectors[start : start + UNIT]).all(axis=1)
        if not good.all():
            raise InputError(
                f"{path}: row {start + int(good.argmin())} (from 0) holds NaN or infinity"
            )


def read_collection(source: Source) -> Collection:
    """Read texts; `InputError` names the file and the line that stops it."""
    if source.limit is not None and source.limit < 1:
        raise InputError(f"{source.path}: limit is {source.limit}; it must be 1 or more")
    if Path(source.path).suffix == ".npy":
        vectors = load_vectors(source.path)[: source.limit]
        if not vectors.size:
            raise InputError(f"{source.path}: has no embeddings")
        _check_finite(source.path, vectors)
        return Collection(source.path, [str(i) for i in range(len(vectors))], [], vectors=vectors)
    path = find_file(source)
    found = Collection(str(path), [], [], embeddings=source.embeddings)
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind in ("tsv", "csv", "jsonl"):
        _read_columns(path, kind, source, found)
    elif kind == "txt":
        for number, line in enumerate(read_text(path).split("\n"), start=1):
            found.ids.append(str(number))
            found.texts.append(line.strip())
    else:
        raise InputError(
            f"{path}: its ending tells no format; known: txt, tsv, csv, jsonl (each also .gz), npy"
        )
    there = [i for i, text in enumerate(found.texts) if text.strip()]
    last = kind == "txt" and found.texts[-1] == ""  # what follows the last line's end is no line
    found.empty = len(found.texts) - len(there) - last
    there = there[: source.limit]
    found.ids, found.texts = [found.ids[i] for i in there], [found.texts[i] for i in there]
    if not found.texts:
        raise InputError(f"{path}: has no texts")
    return found


def find_file(source: Source) -> Path:
    """The file of a source: its path, or the file of that name in the data folder."""
    if Path(source.path.removesuffix(".gz")).suffix:
        return Path(source.path)
    folder = data_dir() / source.path
    there = sorted(path.name.removesuffix(".tsv.gz") for path in folder.glob("*.tsv.gz"))
    split = source.split or (there[0] if len(there) == 1 else None)
    if split not in there:
        what = (
            f"there are: {', '.join(there)}; name one as split"
            if there
            else "SBERT_DATA sets the data folder"
        )
        raise InputError(
            f"{source.path}: no such file, and {'no split ' + split + ' ' if split else 'none '}in {folder}; {what}"
        )
    return folder / f"{split}.tsv.gz"


def _read_columns(path: Path, kind: str, source: Source, found: Collection) -> None:
    for number, line in READERS[kind](path):
        for column in filter(None, (source.column, source.id)):
            if column not in line:
                raise InputError(
                    f"{path}, line {number}: no column '{column}'; there are: {', '.join(line)}"
                )
        name = str(line.get(source.id or "id", number))
        for column, text in ((source.column, line[source.column]), (source.id or "id", name)):
            check_text(column, text, f"{path}, line {number}")
        found.texts.append(line[source.column])
        found.ids.append(name)
