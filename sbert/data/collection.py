"""Collections of texts, or of their embeddings, that mining reads from a file."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sbert.data.config import CollectionConfig
from sbert.data.origin import is_dataset_name, split_file, split_files
from sbert.data.readers import READERS, file_format, numbered_lines, single_file
from sbert.data.schema import check_columns, check_filled, check_text, column_names, read_field
from sbert.data.text_column import TextColumn
from sbert.errors import InputError, require
from sbert.quantised import check_finite
from sbert.quantised_files import QuantisedVectors, load_quantised
from sbert.texts import digest

_CHUNK = 16_384  # embeddings that are read at a time
_ARRAY_STARTS = (b"\x93NUMPY", b"PK")  # of a .npy file, of an archive of them


@dataclass
class Collection:
    """N texts with their ids, or embeddings alone.

    Attributes:
        ids: N ids.
        texts: N texts; empty where there are embeddings alone.
        empty: how many empty texts were skipped.
        vectors: (N, H), of a collection without texts.
        embeddings: the file in which the embeddings of the texts are kept.
        prompt: the text that is put before each text where they are embedded.
    """

    name: str
    ids: Sequence[str]
    texts: Sequence[str]
    empty: int = 0
    vectors: np.ndarray | QuantisedVectors | None = None
    embeddings: str | None = None
    prompt: str = ""

    def __len__(self) -> int:
        return len(self.texts if self.vectors is None else self.vectors)

    def describe(self) -> str:
        unit = "texts" if self.vectors is None else "embeddings"
        if isinstance(self.vectors, QuantisedVectors):
            unit = f"{self.vectors.quantiser.store} embeddings"
        skipped = f"; {self.empty:,} skipped: empty" if self.empty else ""
        return f"{self.name}: {len(self):,} {unit}{skipped}"

    def cells(self, index: int, suffix: str = "") -> dict[str, str]:
        """The fields of a result about one text: its id, and the text if there is one."""
        cells = {f"id{suffix}": self.ids[index]}
        if self.texts:
            cells[f"text{suffix}"] = self.texts[index]
        return cells

    @property
    def digest(self) -> str:
        """A hash of the texts, or of the embeddings."""
        if self.vectors is None:
            return digest(self.texts)
        if isinstance(self.vectors, QuantisedVectors):
            return self.vectors.digest
        hashed = hashlib.sha256(f"{self.vectors.dtype} {self.vectors.shape}".encode())
        hashed.update(np.ascontiguousarray(self.vectors))
        return hashed.hexdigest()


def read_collection(config: CollectionConfig) -> Collection:
    """Read texts or embeddings; `InputError` names the file and the line that cannot be used."""
    require(
        config.limit is None or config.limit >= 1,
        f"{config.path}: limit is {config.limit}; it must be 1 or more",
    )
    if Path(config.path).suffix in (".npy", ".safetensors"):
        return _read_embeddings(config)
    path = collection_file(config)
    collection = Collection(str(path), TextColumn(), TextColumn(), embeddings=config.embeddings)
    for identifier, text in _identified_texts(path, config):
        if not text.strip():
            collection.empty += 1
        elif config.limit is None or len(collection) < config.limit:
            collection.ids.append(identifier)
            collection.texts.append(text)
    require(len(collection), f"{path}: contains no texts")
    return collection


def collection_file(config: CollectionConfig) -> Path:
    """The file of a collection: its path, or that of a named dataset's split."""
    if not is_dataset_name(config.path):
        return single_file(config.path, config.split)
    splits = list(split_files(config.path))
    only_split = splits[0] if len(splits) == 1 else None
    return split_file(config.path, config.split or only_split)


def _identified_texts(path: Path, config: CollectionConfig) -> Iterator[tuple[str, str]]:
    """(id, text) of each line; empty texts too."""
    extension = file_format(path)
    known = ", ".join(READERS)
    require(
        extension in READERS,
        f"{path}: unknown file extension; known: {known} (plain or .gz), npy, safetensors",
    )
    if extension == "txt":
        _refuse_unread(config, ("column", "id"), "one text a line, and no columns")
        for number, line in numbered_lines(path):
            yield str(number), line.strip()
    else:
        id_column = config.id or "id"
        required = column_names(config.column) + ([config.id] if config.id else [])
        for number, line in READERS[extension](path):
            location = f"{path}, line {number}"
            check_columns(required, line, location)
            identifier = line.get(id_column, number)
            check_filled(id_column, identifier, location)
            name, text = read_field(line, config.column, location)
            check_text(name, text, location)
            yield str(identifier), text


def _refuse_unread(config: CollectionConfig, names: Sequence[str], contents: str) -> None:
    """Refuse settings that a file of these contents has no use for."""
    for name in names:
        value, default = getattr(config, name), getattr(CollectionConfig, name)
        require(value == default, f"{config.path}: has {contents}; leave {name} {value} out")


def _read_embeddings(config: CollectionConfig) -> Collection:
    """A collection of embeddings alone; their ids are their row numbers from 0."""
    _refuse_unread(config, ("column", "id", "embeddings"), "embeddings alone")
    vectors = load_embeddings(single_file(config.path, config.split))
    if isinstance(vectors, QuantisedVectors):
        vectors = vectors.first(config.limit)
    else:
        vectors = vectors[: config.limit]
        _check_embeddings(vectors, config.path)
    ids = TextColumn(map(str, range(len(vectors))))
    return Collection(config.path, ids, [], vectors=vectors)


def _check_embeddings(vectors: np.ndarray, path: str) -> None:
    require(vectors.size, f"{path}: contains no embeddings")
    for start in range(0, len(vectors), _CHUNK):
        part = vectors[start : start + _CHUNK]
        check_finite(part, range(start, start + len(part)), path)


def load_embeddings(path: str | Path) -> np.ndarray | QuantisedVectors:
    """The embeddings (N, H) of a .npy file, or of a .safetensors file of quantised ones.

    Raises:
        InputError: no such file, another kind of file.
    """
    if Path(path).suffix == ".safetensors":
        return load_quantised(path)
    return load_vectors(path)


def load_vectors(path: str | Path) -> np.ndarray:
    """The embeddings (N, H) of a .npy file, memory-mapped.

    Raises:
        InputError: no such file, or not float16, float32 or float64 of shape (N, H).
    """
    try:
        with open(path, "rb") as file:
            start = file.read(6)
        # anything else NumPy takes for a pickle, and says how to load that
        is_numpy = start.startswith(_ARRAY_STARTS)
        vectors = np.load(path, mmap_mode="r", allow_pickle=False) if is_numpy else None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: not a .npy file of numbers: {error}") from None
    require(is_numpy, f"{path}: not a .npy file of numbers")
    require(
        isinstance(vectors, np.ndarray),
        f"{path}: an archive of arrays, not a .npy file of one array",
    )
    require(
        vectors.ndim == 2 and vectors.dtype in (np.float16, np.float32, np.float64),
        f"{path}: contains {vectors.dtype} of shape {vectors.shape}; expected embeddings, "
        "float16, float32 or float64 of shape (N, H)",
    )
    return vectors
