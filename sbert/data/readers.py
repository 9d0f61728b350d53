"""File formats. Each reader yields (line number, {column: value}); an error names file and line.

A new format is one entry of `READERS`.
"""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from sbert.errors import InputError, require

Line = tuple[int, dict[str, object]]

Fields = tuple[int, list[str]]

_LONGEST_FIELD = 2**31 - 1  # characters of a CSV field: what a C long can hold everywhere


def read_text(path: Path) -> str:
    """A whole file, plain or .gz, as UTF-8 text without its byte order mark."""
    with _open_binary(path) as file:
        raw = file.read()
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, raw.count(b"\n", 0, error.start) + 1, raw[error.start]) from None


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file, as `read_text` has them, without ever holding the whole of it."""
    with _open_binary(path) as file:
        # split on \n alone: str.splitlines would also split a text at U+2028 and similar characters
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise _not_utf8(path, number, raw[error.start]) from None
            yield number, line.removesuffix("\n").removeprefix("\ufeff" if number == 1 else "")


@contextmanager
def _open_binary(path: Path) -> Iterator[BinaryIO]:
    """A file, plain or .gz, opened to read; what fails in the block is an `InputError`."""
    open_file = gzip.open if path.suffix == ".gz" else open
    try:
        with open_file(path, "rb") as file:
            yield file
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _not_utf8(path: Path, line: int, byte: int) -> InputError:
    return InputError(
        f"{path}, line {line}: byte 0x{byte:02x} is not UTF-8; convert the file to UTF-8"
    )


def _tab_fields(path: Path) -> Iterator[Fields]:
    for number, line in numbered_lines(path):
        line = line.rstrip("\r")
        if line:
            yield number, line.split("\t")


def _space_fields(path: Path) -> Iterator[Fields]:
    for number, line in numbered_lines(path):
        if line.strip():
            yield number, line.split()


def _csv_fields(path: Path) -> Iterator[Fields]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    with _fields_of_any_length():
        try:
            lines = [(reader.line_num, fields) for fields in reader if fields]
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: not CSV: {error}") from None
    yield from lines


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """Lift the limit that the module csv has for the whole process, and restore it."""
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _table_reader(
    read_fields: Callable[[Path], Iterator[Fields]], header: list[str] | None = None
) -> Callable[[Path], Iterator[Line]]:
    """A reader whose column names are the given ones, or else the fields of the first line."""

    def read(path: Path) -> Iterator[Line]:
        lines = read_fields(path)
        names = header or next(lines, (0, []))[1]
        require(
            len(set(names)) == len(names),
            f"{path}, line 1: duplicate column name in: {', '.join(names)}",
        )
        for number, values in lines:
            # more fields than the header has: a tab or comma inside a text. Files without a header
            # may have further columns: some lines of STSbenchmark end with licences
            if len(values) < len(names) or (len(values) > len(names) and not header):
                raise InputError(
                    f"{path}, line {number}: {len(values)} fields, expected {len(names)} "
                    f"({', '.join(names)})"
                )
            yield number, dict(zip(names, values, strict=False))

    return read


def _read_jsonl(path: Path) -> Iterator[Line]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        location = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{location}: not JSON: {error}") from None
        _check_object(row, location, line)
        yield number, row


def _read_json(path: Path) -> Iterator[Line]:
    """An array of objects, numbered from 1; a file that starts otherwise has one on each line."""
    text = read_text(path)
    if not text.lstrip().startswith("["):
        yield from _read_jsonl(path)
        return
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    for number, row in enumerate(rows, start=1):
        _check_object(row, f"{path}, line {number}", text)
        yield number, row


def _check_object(row: object, location: str, source: str) -> None:
    """Refuse what is no object, and lone surrogates, which JSON can write and UTF-8 does not have.

    source: the text that the row was read from.
    """
    if not isinstance(row, dict):
        raise InputError(f"{location}: expected a JSON object, not {type(row).__name__}")
    if "\\u" not in source:
        return
    for key, value in row.items():
        try:
            json.dumps([key, value], ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise InputError(
                f"{location}: {key} contains a lone surrogate: not valid text"
            ) from None


def _read_parquet(path: Path) -> Iterator[Line]:
    """The rows, numbered from 1."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f"{path}: parquet needs the package pyarrow; pip install -e '.[datasets]'"
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            rows = chain.from_iterable(batch.to_pylist() for batch in file.iter_batches())
            yield from enumerate(rows, start=1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None


def _read_txt(path: Path) -> Iterator[Line]:
    for number, line in numbered_lines(path):
        if "\t" in line:
            raise InputError(
                f"{path}, line {number}: contains a tab; if the file is a table, set format: tsv"
            )
        if line.strip():
            yield number, {"text": line.strip()}


READERS: dict[str, Callable[[Path], Iterator[Line]]] = {
    "tsv": _table_reader(_tab_fields),
    "csv": _table_reader(_csv_fields),
    "jsonl": _read_jsonl,
    "json": _read_json,
    "parquet": _read_parquet,
    "txt": _read_txt,  # one text per line
    # STSbenchmark as published: no header, no quoting, two more columns (licences) on some lines
    "stsbenchmark": _table_reader(
        _tab_fields, ["genre", "file", "year", "id", "score", "sentence1", "sentence2"]
    ),
    # stsb-multi-mt as published: no header, quoted
    "stsb-multi-mt": _table_reader(_csv_fields, ["sentence1", "sentence2", "score"]),
    # judgements of TREC: no header, spaces or tabs
    "trec": _table_reader(_space_fields, ["query_id", "iteration", "doc_id", "relevance"]),
}


def file_format(path: Path) -> str:
    """The reader that the extension names, which may be unknown: "tsv" for x.tsv and x.tsv.gz."""
    return path.name.removesuffix(".gz").rpartition(".")[2]


def single_file(path: str, split: str | None) -> Path:
    """The path of a file. `InputError`: a split, which is one of a name's files."""
    problem = f"is read as a file, which has no splits; leave out split {split}"
    require(split is None, f"{path}: {problem}")
    return Path(path)
