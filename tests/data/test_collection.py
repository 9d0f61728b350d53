"""Collections: what is read from each kind of file, and embeddings that are made once, unit by unit, and kept."""

import gzip
import json

import numpy as np
import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from tiny_models import write_tiny

from sbert import BiEncoder, InputError
from sbert.data import collection
from sbert.data.collection import Collection, load_vectors, read_collection
from sbert.data.config import Source
from sbert.mining import embeddings
from sbert.mining.embeddings import load_or_embed, write_embeddings

TEXTS = ["a cat", "the dog runs", "a big house", "a cat"]
FILES = {
    "txt": "a cat\n\n the dog runs \r\na big house\n \na cat\n",
    "tsv": 'n\ttext\n1\ta cat\n2\t\n3\tthe dog runs\n4\ta big house\n5\t \n6\ta cat\n',
    "csv": 'n,text\n1,a cat\n2,""\n3,the dog runs\n4,"a big house"\n5, \n6,a cat\n',
    "jsonl": "".join(json.dumps({"n": n, "text": t}) + "\n" for n, t in enumerate(["a cat", "", *TEXTS[1:3], " ", "a cat"], 1)),
}  # fmt: skip


@pytest.fixture
def accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=True)


def written(path, content):
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return str(path)


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("kind", FILES)
def test_texts_of_every_format(tmp_path, kind, zipped):
    path = written(tmp_path / f"x.{kind}{zipped}", FILES[kind])
    found = read_collection(Source(path))
    first = 0 if kind in ("txt", "jsonl") else 1  # the header is a line too
    assert found.texts == TEXTS
    assert found.ids == [str(line + first) for line in (1, 3, 4, 6)]
    assert found.describe() == f"{path}: 4 texts; 2 skipped: empty"
    limited = read_collection(Source(path, limit=2))
    assert (limited.texts, limited.ids) == (found.texts[:2], found.ids[:2])
    assert len(read_collection(Source(path, limit=99))) == len(found) == 4


def test_identifiers_and_columns_are_chosen(tmp_path):
    path = written(
        tmp_path / "x.tsv", "id\tname\ttext\ttitle\n7\tb\ta cat\ta dog\n8\ta\tthe man\ta house\n"
    )
    assert read_collection(Source(path)).ids == ["7", "8"]
    found = read_collection(Source(path, column="title", id="name"))
    assert (found.texts, found.ids) == (["a dog", "a house"], ["b", "a"])
    assert found.cells(1) == {"id": "a", "text": "a house"}
    assert found.cells(0, "_query") == {"id_query": "b", "text_query": "a dog"}


def test_lines_of_text_end_at_line_breaks_alone(tmp_path):
    assert read_collection(Source(written(tmp_path / "x.txt", "a\u2028b\nlast"))).texts == [
        "a\u2028b",
        "last",
    ]


def test_names_in_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    for name in ("one/only", "two/corpus", "two/queries"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path / f"{name}.tsv.gz", f"id\ttext\n1\t{name}\n")
    assert read_collection(Source("one")).texts == ["one/only"]
    assert read_collection(Source("two", split="corpus")).texts == ["two/corpus"]
    for source, message in (
        (
            Source("two"),
            "two: no such file, and none in .*; there are: corpus, queries; name one as split",
        ),
        (Source("two", split="dev"), "no split dev in .*; there are: corpus, queries"),
        (Source("three"), "three: no such file, and none in .*; SBERT_DATA sets the data folder"),
    ):
        with pytest.raises(InputError, match=message):
            read_collection(source)


@pytest.mark.parametrize(("name", "content", "options", "message"), [
    ("x.tsv", FILES["tsv"], {"column": "body"}, "x.tsv, line 2: no column 'body'; there are: n, text"),
    ("x.csv", FILES["csv"], {"id": "name"}, "x.csv, line 2: no column 'name'; there are: n, text"),
    ("x.jsonl", '{"text": 5}\n', {}, "x.jsonl, line 1: text is 5, not a text"),
    ("x.jsonl", '{"text": "a"}\n{"text": "\\ud83d"}\n', {}, "line 2: text holds half of a surrogate pair"),
    ("x.jsonl", '{"text": "a", "id": "\\ud83d"}\n', {}, "line 1: id holds half of a surrogate pair"),
    ("x.jsonl", '{"text": "a"\n', {}, "x.jsonl, line 1: not JSON"),
    ("x.txt", "", {}, "x.txt: has no texts"),
    ("x.txt", "\n \n", {}, "x.txt: has no texts"),
    ("x.tsv", "id\ttext\n", {}, "x.tsv: has no texts"),
    ("x.txt", "a\n", {"limit": 0}, "x.txt: limit is 0; it must be 1 or more"),
    ("x.txt", "a\nb\n", {"limit": -1}, "x.txt: limit is -1; it must be 1 or more"),
    ("x.md", "a\n", {}, "x.md: its ending tells no format; known: txt, tsv, csv, jsonl"),
    ("x.txt", None, {}, "x.txt: no such file"),
    ("x.npy", None, {}, "x.npy: no such file"),
    ("x.npy", "", {}, "x.npy: not a .npy file of numbers"),
    ("x.npy", "a cat\n", {}, "x.npy: not a .npy file of numbers"),
])  # fmt: skip
def test_bad_files(tmp_path, name, content, options, message):
    if content is not None:
        written(tmp_path / name, content)
    with pytest.raises(InputError, match=message):
        read_collection(Source(str(tmp_path / name), **options))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_embeddings_alone(tmp_path, dtype):
    vectors = np.arange(12, dtype=dtype).reshape(4, 3)
    np.save(tmp_path / "x.npy", vectors)
    found = read_collection(Source(str(tmp_path / "x.npy"), limit=3))
    assert found.ids == ["0", "1", "2"]
    assert found.texts == []
    assert isinstance(found.vectors, np.memmap)
    np.testing.assert_array_equal(load_or_embed(found, None, None, "auto"), vectors[:3])
    assert found.cells(1, "2") == {"id2": "1"}
    assert found.describe() == f"{tmp_path}/x.npy: 3 embeddings"


@pytest.mark.parametrize(("array", "message"), [
    (np.zeros(3, "f4"), r"holds float32 of shape \(3,\); embeddings are float16, float32 or float64 of shape \(N, H\)"),
    (np.zeros((2, 3), int), r"holds int64 of shape \(2, 3\)"),
    (np.zeros((2, 3), ">f4"), r"holds >f4 of shape \(2, 3\)"),
    (np.zeros((2, 3), np.longdouble), r"holds float128 of shape"),
    (np.array([[None]]), "not a .npy file of numbers: "),
    (np.zeros((0, 3), "f4"), "x.npy: "),
    (np.array([[1, 2], [3, 4], [np.nan, 0]]), r"x.npy: row 2 \(from 0\) holds NaN or infinity"),
    (np.array([[1, 2], [np.inf, 4], [0, 0]]), r"x.npy: row 1 \(from 0\) holds NaN or infinity"),
])  # fmt: skip
def test_bad_embeddings(tmp_path, array, message, monkeypatch):
    monkeypatch.setattr(collection, "UNIT", 2)
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=message):
        read_collection(Source(str(tmp_path / "x.npy")))


def test_an_archive_and_a_cut_file_are_no_embeddings(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.eye(3))
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    with pytest.raises(
        InputError, match="x.npy: not a .npy file of numbers but an archive of several"
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
    monkeypatch.setattr(collection, "UNIT", 2)
    assert numbers(others[0]) == digests[4]
    assert numbers(np.asfortranarray(others[0])) == digests[4]


def kept(texts, path, model, accelerator):
    return load_or_embed(
        Collection("x", [], texts, embeddings=str(path)), model, accelerator, "fp32"
    )


def test_embeddings_are_kept_and_reused(tmp_path, tiny, accelerator, monkeypatch, tiny_folder):
    path, texts = tmp_path / "kept.npy", TEXTS[:3]
    made = kept(texts, path, tiny, accelerator)
    np.testing.assert_array_equal(made, tiny.encode(texts, precision="fp32"))
    shorter = BiEncoder.from_pretrained(tiny_folder, max_length=4)
    monkeypatch.setattr(BiEncoder, "encode", lambda *_, **__: pytest.fail("embedded again"))
    np.testing.assert_array_equal(kept(texts, path, tiny, accelerator), made)
    other = BiEncoder.from_pretrained(write_tiny(tmp_path / "other", seed=1))
    cls = BiEncoder.from_pretrained(tiny_folder, pooling="cls")
    before = path.read_bytes()
    for changed, model, message in (
        (texts[::-1], tiny, "kept.npy: was made of other texts; name another file"),
        (texts[:2], tiny, "was made of other texts"),
        (texts, other, "kept.npy: was made by another model; name another file"),
        (texts, cls, "by another model"),
        (texts, shorter, "by another model"),
    ):
        with pytest.raises(InputError, match=message):
            kept(changed, path, model, accelerator)
    assert path.read_bytes() == before
    np.save(path, made[:2])
    with pytest.raises(
        InputError, match="kept.npy: holds 2 embeddings for 3 texts; name another file"
    ):
        kept(texts, path, tiny, accelerator)
    (tmp_path / "kept.npy.json").unlink()
    with pytest.raises(
        InputError,
        match=r"nothing says which texts and model it is of \(kept.npy.json is missing\)",
    ):
        kept(texts, path, tiny, accelerator)


def test_texts_without_a_model(accelerator):
    with pytest.raises(
        InputError, match="x: has texts and no embeddings; name the model that makes them"
    ):
        load_or_embed(Collection("x", ["1"], ["a"]), None, accelerator, "auto")


def test_embed_in_units(tmp_path, tiny, accelerator, sentences, monkeypatch):
    monkeypatch.setattr(embeddings, "UNIT", 7)
    write_embeddings(sentences, tiny, tmp_path / "x.npy", {}, accelerator, "fp32")
    found = np.load(tmp_path / "x.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, tiny.encode(sentences, precision="fp32"), atol=1e-5)
    for first in range(0, len(sentences), 7):
        expected = tiny.encode(sentences[first : first + 7], precision="fp32")
        np.testing.assert_array_equal(found[first : first + 7], expected)
    np.save(tmp_path / "plain.npy", found)
    assert (tmp_path / "x.npy").stat().st_size == (tmp_path / "plain.npy").stat().st_size


@pytest.mark.parametrize("done", [0, 1, 3, 6])
def test_interrupted_and_gone_on_with(tmp_path, tiny, accelerator, sentences, monkeypatch, done):
    monkeypatch.setattr(embeddings, "UNIT", 7)
    write_embeddings(sentences, tiny, tmp_path / "whole.npy", {}, accelerator, "fp32")
    encode, calls = tiny.encode, []

    def interrupted(texts, **options):
        if len(calls) == done:
            raise KeyboardInterrupt
        calls.append(texts)
        return encode(texts, **options)

    monkeypatch.setattr(tiny, "encode", interrupted)
    if done < 6:
        with pytest.raises(KeyboardInterrupt):
            write_embeddings(sentences, tiny, tmp_path / "x.npy", {}, accelerator, "fp32")
    monkeypatch.setattr(
        tiny, "encode", lambda texts, **options: calls.append(texts) or encode(texts, **options)
    )
    if done in (1, 3):
        with pytest.raises(
            InputError, match="was begun with precision torch.float32, now torch.bfloat16"
        ):
            write_embeddings(sentences, tiny, tmp_path / "x.npy", {}, accelerator, "bf16")
    write_embeddings(sentences, tiny, tmp_path / "x.npy", {}, accelerator, "fp32")
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert sum(map(len, calls)) == len(sentences)  # no text was embedded twice
