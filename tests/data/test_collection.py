"""Collections: what is read from each kind of file, and what is refused."""

import gzip
import json

import numpy as np
import pytest

from sbert import InputError
from sbert.data import collection
from sbert.data.collection import Collection, load_vectors, read_collection
from sbert.data.config import CollectionConfig

TEXTS = ["a cat", "the dog runs", "a big house", "a cat"]
FILES = {
    "txt": "a cat\n\n the dog runs \r\na big house\n \na cat\n",
    "tsv": "n\ttext\n1\ta cat\n2\t\n3\tthe dog runs\n4\ta big house\n5\t \n6\ta cat\n",
    "csv": 'n,text\n1,a cat\n2,""\n3,the dog runs\n4,"a big house"\n5, \n6,a cat\n',
    "jsonl": "".join(
        json.dumps({"n": n, "text": t}) + "\n"
        for n, t in enumerate(["a cat", "", *TEXTS[1:3], " ", "a cat"], 1)
    ),
}


def written(path, content):
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return str(path)


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("kind", FILES)
def test_texts_of_every_format(tmp_path, kind, zipped):
    path = written(tmp_path / f"x.{kind}{zipped}", FILES[kind])
    found = read_collection(CollectionConfig(path))
    first = 0 if kind in ("txt", "jsonl") else 1  # the header is a line too
    assert found.texts == TEXTS
    assert found.ids == [str(line + first) for line in (1, 3, 4, 6)]
    assert found.describe() == f"{path}: 4 texts; 2 skipped: empty"
    limited = read_collection(CollectionConfig(path, limit=2))
    assert (limited.texts, limited.ids) == (found.texts[:2], found.ids[:2])
    assert len(read_collection(CollectionConfig(path, limit=99))) == len(found) == 4


def test_identifiers_and_columns_are_chosen(tmp_path):
    path = written(
        tmp_path / "x.tsv", "id\tname\ttext\ttitle\n7\tb\ta cat\ta dog\n8\ta\tthe man\ta house\n"
    )
    assert read_collection(CollectionConfig(path)).ids == ["7", "8"]
    found = read_collection(CollectionConfig(path, column="title", id="name"))
    assert (found.texts, found.ids) == (["a dog", "a house"], ["b", "a"])
    assert found.cells(1) == {"id": "a", "text": "a house"}
    assert found.cells(0, "_query") == {"id_query": "b", "text_query": "a dog"}


def test_several_columns_are_one_text(tmp_path):
    path = written(tmp_path / "x.tsv", "id\ttitle\ttext\n7\ta\tcat\n8\t\tdog\n9\t \t\n")
    found = read_collection(CollectionConfig(path, column=["title", "text"]))
    assert (found.texts, found.ids, found.empty) == (["a cat", "dog"], ["7", "8"], 1)
    with pytest.raises(InputError, match="line 2: no column 'body'; available: id, title, text"):
        read_collection(CollectionConfig(path, column=["title", "body"]))


def test_lines_of_text_end_at_line_breaks_alone(tmp_path):
    assert read_collection(
        CollectionConfig(written(tmp_path / "x.txt", "a\u2028b\nlast"))
    ).texts == [
        "a\u2028b",
        "last",
    ]


def test_names_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    for name in ("one/only", "two/corpus", "two/queries"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path / f"{name}.tsv.gz", f"id\ttext\n1\t{name}\n")
    assert read_collection(CollectionConfig("one")).texts == ["one/only"]
    assert read_collection(CollectionConfig("two", split="corpus")).texts == ["two/corpus"]
    for source, message in (
        (
            CollectionConfig("two"),
            "dataset two: split is not set; available: corpus, queries",
        ),
        (
            CollectionConfig("two", split="dev"),
            "dataset two: no split 'dev'; available: corpus, queries",
        ),
        (
            CollectionConfig("three"),
            "dataset three: no such file, and no <split>.tsv.gz in .*/three .SBERT_DATA sets",
        ),
    ):
        with pytest.raises(InputError, match=message):
            read_collection(source)


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        (
            "x.tsv",
            FILES["tsv"],
            {"column": "body"},
            "x.tsv, line 2: no column 'body'; available: n, text",
        ),
        (
            "x.csv",
            FILES["csv"],
            {"id": "name"},
            "x.csv, line 2: no column 'name'; available: n, text",
        ),
        ("x.jsonl", '{"text": 5}\n', {}, "x.jsonl, line 1: text is 5, not a text"),
        (
            "x.jsonl",
            '{"text": "a"}\n{"text": "\\ud83d"}\n',
            {},
            "line 2: text contains a lone surrogate",
        ),
        ("x.jsonl", '{"text": "a", "id": "\\ud83d"}\n', {}, "line 1: id contains a lone surrogate"),
        (
            "x.jsonl",
            '{"text": "a", "id": 0}\n{"text": "b", "id": null}\n',
            {},
            "x.jsonl, line 2: id is null; fill it in every line",
        ),
        (
            "x.jsonl",
            '{"text": "a", "n": null}\n',
            {"id": "n"},
            "x.jsonl, line 1: n is null; fill it in every line",
        ),
        ("x.jsonl", '{"text": "a"\n', {}, "x.jsonl, line 1: not JSON"),
        ("x.txt", "", {}, "x.txt: contains no texts"),
        ("x.txt", "\n \n", {}, "x.txt: contains no texts"),
        ("x.tsv", "id\ttext\n", {}, "x.tsv: contains no texts"),
        ("x.txt", "a\n", {"limit": 0}, "x.txt: limit is 0; it must be 1 or more"),
        ("x.txt", "a\nb\n", {"limit": -1}, "x.txt: limit is -1; it must be 1 or more"),
        (
            "x.md",
            "a\n",
            {},
            "x.md: unknown file extension; known: tsv, csv, jsonl, json, parquet, txt",
        ),
        ("x.txt", "a\n", {"split": "dev"}, "x.txt: is read as a file, which has no splits"),
        ("x.npy", "", {"split": "dev"}, "x.npy: is read as a file, which has no splits"),
        ("x.txt", None, {}, "x.txt: no such file"),
        ("x.npy", None, {}, "x.npy: no such file"),
        ("x.npy", "", {}, "x.npy: not a .npy file of numbers"),
        ("x.npy", "a cat\n", {}, "x.npy: not a .npy file of numbers"),
    ],
)
def test_bad_files(tmp_path, name, content, options, message):
    if content is not None:
        written(tmp_path / name, content)
    with pytest.raises(InputError, match=message):
        read_collection(CollectionConfig(str(tmp_path / name), **options))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_embeddings_alone(tmp_path, dtype):
    vectors = np.arange(12, dtype=dtype).reshape(4, 3)
    np.save(tmp_path / "x.npy", vectors)
    found = read_collection(CollectionConfig(str(tmp_path / "x.npy"), limit=3))
    assert found.ids == ["0", "1", "2"]
    assert found.texts == []
    assert isinstance(found.vectors, np.memmap)
    np.testing.assert_array_equal(found.vectors, vectors[:3])
    assert found.cells(1, "2") == {"id2": "1"}
    assert found.describe() == f"{tmp_path}/x.npy: 3 embeddings"


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.zeros(3, "f4"),
            r"contains float32 of shape \(3,\); expected embeddings, float16, float32 or float64",
        ),
        (np.zeros((2, 3), int), r"contains int64 of shape \(2, 3\)"),
        (np.zeros((2, 3), ">f4"), r"contains >f4 of shape \(2, 3\)"),
        (np.zeros((2, 3), np.longdouble), r"contains float128 of shape"),
        (np.array([[None]]), "not a .npy file of numbers: "),
        (np.zeros((0, 3), "f4"), "x.npy: "),
        (
            np.array([[1, 2], [3, 4], [np.nan, 0]]),
            r"x.npy: row 2 \(from 0\) contains NaN or infinity",
        ),
        (
            np.array([[1, 2], [np.inf, 4], [0, 0]]),
            r"x.npy: row 1 \(from 0\) contains NaN or infinity",
        ),
    ],
)
def test_bad_embeddings(tmp_path, array, message, monkeypatch):
    monkeypatch.setattr(collection, "_CHUNK", 2)
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=message):
        read_collection(CollectionConfig(str(tmp_path / "x.npy")))


def test_text_is_refused_without_advice_to_load_it_unsafely(tmp_path):
    (tmp_path / "t.txt").write_text("a cat\n")
    with pytest.raises(InputError) as error:
        load_vectors(tmp_path / "t.txt")
    assert str(error.value) == f"{tmp_path}/t.txt: not a .npy file of numbers"


def test_an_archive_and_a_cut_file_are_no_embeddings(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.eye(3))
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    with pytest.raises(
        InputError, match="x.npy: an archive of arrays, not a .npy file of one array"
    ):
        load_vectors(tmp_path / "x.npy")
    np.save(tmp_path / "y.npy", np.eye(30))
    (tmp_path / "y.npy").write_bytes((tmp_path / "y.npy").read_bytes()[:-8])
    with pytest.raises(InputError, match="y.npy: not a .npy file of numbers: "):
        load_vectors(tmp_path / "y.npy")


def test_the_digest_tells_collections_apart(monkeypatch):
    def texts(*texts):
        return Collection("x", list(map(str, range(len(texts)))), list(texts)).digest

    def numbers(array):
        return Collection("x", ["0"] * len(array), [], vectors=array).digest

    assert texts("ab", "c") == texts("ab", "c")
    vectors = np.arange(12, dtype=np.float32)
    others = [
        vectors.reshape(3, 4),
        vectors.reshape(4, 3),
        vectors.reshape(3, 4) + 1,
        vectors.reshape(3, 4).view("i4"),
    ]
    digests = [
        texts("ab", "c"),
        texts("a", "bc"),
        texts("c", "ab"),
        texts("ab"),
        *map(numbers, others),
    ]
    assert len(set(digests)) == len(digests)
    monkeypatch.setattr(collection, "_CHUNK", 2)
    assert numbers(others[0]) == digests[4]
    assert numbers(np.asfortranarray(others[0])) == digests[4]
