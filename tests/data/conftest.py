"""Fixtures of the tests of data: an empty data folder, and a function that writes a file."""

import gzip

import pytest


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def put(tmp_path):
    """A function that writes a file, lists of fields as TSV, and returns its path."""

    def write(content: str | list[list[str]], name: str = "rows.tsv") -> str:
        text = (
            content
            if isinstance(content, str)
            else "".join("\t".join(line) + "\n" for line in content)
        )
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return str(path)

    return write
