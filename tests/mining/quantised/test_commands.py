"""mine.py embed --store int8 and binary, and neighbours in what it writes."""

import json

import numpy as np
import pytest
from mine_inputs import QUERIES, TEXTS, table, write_texts
from support import fails

from sbert.mining import embed
from sbert.quantised import QUANTISERS
from sbert.quantised_files import load_quantised

MODEL = ["--model", "tiny", "--precision", "fp32"]
NEIGHBOURS = ["neighbours", "--k", "3", "--output", "x.jsonl"]
STORES = ["int8", "binary"]


@pytest.fixture
def place(tmp_path, tiny_folder, monkeypatch):
    """A folder to stand in: texts, queries, a model, float embeddings."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").symlink_to(tiny_folder)
    write_texts(tmp_path / "c.txt", TEXTS)
    write_texts(tmp_path / "q.txt", QUERIES)
    generator = np.random.default_rng(0)
    np.save("v.npy", generator.normal(size=(90, 16)).astype(np.float32))
    np.save("other.npy", generator.normal(size=(90, 16)).astype(np.float32))
    np.save("nan.npy", np.where(np.arange(9)[:, None] == 4, np.nan, np.ones((9, 8))))
    np.save("wide.npy", generator.normal(size=(9, 30)))
    return tmp_path


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kept", [False, True], ids=["texts", "kept embeddings"])
def test_texts_are_embedded(place, mine_command, capsys, monkeypatch, tiny, store, kept):
    monkeypatch.setattr(embed, "UNIT_TEXTS", 7)
    options = ["--texts.embeddings", "kept.npy"] if kept else []
    argv = ["embed", "--texts.path", "c.txt", *MODEL, "--store", store, *options]
    mine_command(*argv, "--output", "c.safetensors")
    size = {"int8": 32, "binary": 4}[store]
    said = f"30 {store} embeddings of 32 numbers, {size} bytes each; searches of them are approxi"
    assert said in capsys.readouterr().out
    found = load_quantised("c.safetensors")
    vectors = tiny.encode(TEXTS, precision="fp32")
    if kept:
        np.testing.assert_allclose(np.load("kept.npy"), vectors, atol=1e-5)
    expected = QUANTISERS[store].fit(vectors, "cosine")
    np.testing.assert_allclose(
        found.quantiser.calibration, expected.calibration, atol=1e-5, rtol=1e-4
    )
    codes = found.quantiser.encode(vectors)
    assert (found.codes == codes).mean() > 0.98  # of other batches the last digits may differ
    facts = json.loads((place / "c.safetensors.json").read_text())
    assert (facts["store"], facts["similarity"]) == (store, "cosine")


@pytest.mark.parametrize("store", STORES)
def test_embeddings_are_quantised_without_a_model(place, mine_command, monkeypatch, store):
    monkeypatch.setattr(embed, "UNIT_TEXTS", 7)
    argv = ["embed", "--texts.path", "v.npy", "--store", store, "--output", "v.safetensors"]
    mine_command(*argv)
    vectors = np.load("v.npy")
    quantiser = QUANTISERS[store].fit(vectors, "cosine")
    found = load_quantised("v.safetensors")
    np.testing.assert_array_equal(found.codes, quantiser.encode(vectors))
    # the calibration is of evenly spaced vectors, the first and the last among them
    monkeypatch.setattr(embed, "CALIBRATION_TEXTS", 3)
    mine_command(*argv, "--overwrite")
    quantiser = QUANTISERS[store].fit(vectors[[0, 44, 89]], "cosine")
    np.testing.assert_array_equal(load_quantised("v.safetensors").codes, quantiser.encode(vectors))


@pytest.mark.parametrize("store", STORES)
def test_neighbours_rescored_by_all_are_the_exact_ones(place, mine_command, capsys, store):
    argv = ["embed", "--texts.path", "v.npy", "--store", store, "--output", "v.safetensors"]
    mine_command(*argv)
    for queries in ([], ["--queries.path", "other.npy"]):
        given = [*NEIGHBOURS, *queries, "--overwrite"]
        mine_command(*given, "--corpus.path", "v.npy")
        expected = (place / "x.jsonl").read_bytes()
        assert "search" not in json.loads((place / "x.jsonl.json").read_text())
        given += ["--corpus.path", "v.safetensors"]
        capsys.readouterr()
        mine_command(*given, "--rescore", 30, "--rescore_embeddings", "v.npy")
        assert (place / "x.jsonl").read_bytes() == expected
        method = f"approximate: 30 k candidates from {store} vectors, scored by the float vectors "
        assert f"search: {method}of v.npy\n" in capsys.readouterr().out
        mine_command(*given)
        method = f"approximate, from {store} vectors alone"
        said = capsys.readouterr().out
        assert f"v.safetensors: 90 {store} embeddings\n" in said
        assert f"search: {method}\n" in said
        assert json.loads((place / "x.jsonl.json").read_text())["search"] == method
        assert "exact" not in said.replace("v.safetensors", "")


def test_texts_with_kept_int8_embeddings(place, mine_command, capsys):
    mine_command(
        "embed", "--texts.path", "c.txt", *MODEL, "--store", "int8", "--output", "kept.safetensors"
    )
    given = [*NEIGHBOURS, *MODEL, "--corpus.path", "c.txt", "--queries.path", "q.txt"]
    mine_command(*given, "--corpus.embeddings", "kept.safetensors")
    rows = table(place / "x.jsonl")
    mine_command(*given, "--overwrite")
    for row, expected in zip(rows, table(place / "x.jsonl"), strict=True):
        assert row["text_query"] == expected["text_query"]
        assert row["neighbours"][0]["text"] in {best["text"] for best in expected["neighbours"]}
    write_texts(place / "c.txt", TEXTS[::-1])
    line = fails(
        mine_command, capsys, *given, "--corpus.embeddings", "kept.safetensors", "--overwrite"
    )
    assert "kept.safetensors: was made of other texts; name another file" in line


INT8 = ["embed", "--store", "int8", "--output", "x.safetensors", "--texts.path"]
BINARY = ["embed", "--store", "binary", "--output", "x.safetensors", "--texts.path"]
SEARCH = [*NEIGHBOURS, "--corpus.path", "v8.safetensors"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([*INT8, "nan.npy"], "nan.npy: row 4 (from 0) contains NaN or infinity"),
        (
            [*BINARY, "wide.npy"],
            "8 numbers a byte, which do not divide 30; store int8, or embed the texts with trun",
        ),
        (
            [*BINARY, "v.npy", "--similarity", "dot"],
            "binary vectors are searched by cosine, not by",
        ),
        (
            [*INT8, "v.npy", "--similarity", "manhattan"],
            "int8 vectors are searched by cosine or dot, not by manhattan",
        ),
        ([*INT8[:-2], "x.npy", "--texts.path", "v.npy"], "output x.npy: ends in .safetensors"),
        (
            ["embed", "--texts.path", "c.txt", *MODEL, "--similarity", "dot", "--output", "x.npy"],
            "similarity: is for int8 and binary vectors; float32 ones serve all, leave it out",
        ),
        (
            [*INT8, "v8.safetensors"],
            "v8.safetensors: has int8 embeddings, which are for the corpus",
        ),
        (
            [*SEARCH, "--similarity", "dot"],
            "v8.safetensors: was quantised for the similarity cosine, not for dot",
        ),
        (
            [*SEARCH, "--rescore_embeddings", "other.npy"],
            "other.npy: row 0 (from 0) is not the vector that v8.safetensors was made of",
        ),
        (
            [*SEARCH, "--rescore_embeddings", "wide.npy"],
            "wide.npy: has shape (9, 30) and does not fit v8.safetensors, which was made of (90",
        ),
        ([*SEARCH, "--rescore_embeddings", "no.npy"], "no.npy: no such file"),
        ([*SEARCH, "--rescore", "0"], "rescore is 0; it must be > 0"),
        ([*SEARCH, "--queries.path", "v8.safetensors"], "v8.safetensors: has int8 embeddings, whi"),
        (
            [*SEARCH, "--queries.path", "wide.npy"],
            "wide.npy: has embeddings of 30 numbers, and v8.safetensors of 16; name",
        ),
        (
            [*NEIGHBOURS, "--corpus.path", "v.npy", "--rescore_embeddings", "v.npy"],
            "rescore_embeddings: is for a corpus of int8 or binary embeddings; those of v.npy are",
        ),
        (
            [*NEIGHBOURS, "--corpus.path", "c.txt", *MODEL]
            + ["--corpus.embeddings", "no.safetensors"],
            "no.safetensors: no such file; mine.py embed --store int8 or binary writes it",
        ),
        (
            ["pairs", "--texts.path", "v8.safetensors", "--output", "x.jsonl"],
            "v8.safetensors: has int8 embeddings, which are for the corpus of neighbours alone",
        ),
    ],
    ids=lambda value: None if isinstance(value, list) else value[:40],
)
def test_bad_input(place, mine_command, capsys, argv, message):
    mine_command("embed", "--store", "int8", "--texts.path", "v.npy", "--output", "v8.safetensors")
    assert message in fails(mine_command, capsys, *argv)
    assert not [path for path in place.glob("x.*") if path.stat().st_size]


def test_a_model_whose_embeddings_are_nan(place, mine_command, capsys, monkeypatch, tiny):
    encode = type(tiny).encode

    def broken(self, texts, **options):
        return np.where(np.arange(len(texts))[:, None] == 2, np.nan, encode(self, texts, **options))

    monkeypatch.setattr(type(tiny), "encode", broken)
    for options in ([], ["--store", "int8"]):
        output = "x.safetensors" if options else "x.npy"
        argv = ["embed", "--texts.path", "c.txt", *MODEL, *options, "--output", output]
        assert "row 2 (from 0) contains NaN or infinity" in fails(mine_command, capsys, *argv)


def test_the_first_embeddings_of_a_file(place, mine_command):
    mine_command("embed", "--store", "int8", "--texts.path", "v.npy", "--output", "v8.safetensors")
    mine_command(*SEARCH, "--corpus.limit", "9", "--queries.path", "other.npy")
    for row in table(place / "x.jsonl"):
        assert {int(found["id"]) for found in row["neighbours"]} <= {*range(9)}
