"""Files to lines. Each reader yields (line number, {column: value}) and stops with the file and the line in its message.

A new format is one entry of `READERS`.
"""

import csv
import gzip
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from sbert.errors import InputError

Line = tuple[int, dict[str, object]]

Fields = tuple[int, list[str]]


def data_dir() -> Path:
    """The folder of named datasets: SBERT_DATA of the environment, or data/."""
    return Path(os.environ.get("SBERT_DATA", "data"))


def read_text(path: Path) -> str:
    """A whole file, plain or .gz, as UTF-8 text."""
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        bad = raw[error.start]
        raise InputError(
            f"{path}, line {line}: byte 0x{bad:02x} is not UTF-8; convert the file to UTF-8"
        ) from None


def _tab_fields(path: Path) -> Iterator[Fields]:
    # split on \n alone: str.splitlines would also break a text at U+2028 and its like
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.rstrip("\r"):
            yield number, line.rstrip("\r").split("\t")


def _csv_fields(path: Path) -> Iterator[Fields]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        for fields in reader:
            if fields:
                yield reader.line_num, fields
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV: {error}") from None


def _columns(fields: Callable[[Path], Iterator[Fields]], header: list[str] | None = None):
    """A reader of lines of fields, under the column names given or else those of its first line."""

    def read(path: Path) -> Iterator[Line]:
        lines = fields(path)
        names = header or next(lines, (0, []))[1]
        if len(set(names)) < len(names):
            raise InputError(f"{path}, line 1: the header names a column twice: {', '.join(names)}")
        for number, values in lines:
            # more than its header has means a tab or comma inside a text; published lines may bear licences at the end
            if len(values) < len(names) or (len(values) > len(names) and not header):
                wanted = f"{len(names)} are needed ({', '.join(names)})"
                raise InputError(f"{path}, line {number}: {len(values)} fields where {wanted}")
            yield number, dict(zip(names, values, strict=False))

    return read


def _jsonl(path: Path) -> Iterator[Line]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise InputError(
                f"{path}, line {number}: a JSON object is needed, not {type(row).__name__}"
            )
        yield number, row


def _txt(path: Path) -> Iterator[Line]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if "\t" in line:
            raise InputError(
                f"{path}, line {number}: holds a tab; if it is a table, set format: tsv"
            )
        if line.strip():
            yield number, {"text": line.strip()}


READERS: dict[str, Callable[[Path], Iterator[Line]]] = {
    "tsv": _columns(_tab_fields),
    "csv": _columns(_csv_fields),
    "jsonl": _jsonl,
    "txt": _txt,  # a text a line
    # STSbenchmark as published: no header, no quoting, on some lines two more columns of licences
    "stsbenchmark": _columns(
        _tab_fields, ["genre", "file", "year", "id", "score", "sentence1", "sentence2"]
    ),
    # stsb-multi-mt as published: no header, quoted
    "stsb-multi-mt": _columns(_csv_fields, ["sentence1", "sentence2", "score"]),
}
