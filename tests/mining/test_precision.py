"""mine.py in each precision of the model, and kept embeddings of another one, which are refused."""

import json
import shlex

import numpy as np
import pytest
import torch
from mine_inputs import QUERIES, TEXTS, write_texts
from support import fails, needs_int8
from tiny_models import write_classifier

from sbert.device import DTYPES

PRECISIONS = [*DTYPES, pytest.param("int8_dynamic", marks=needs_int8)]
NAMES = DTYPES | {"int8_dynamic": torch.int8}
KEEPING = {
    "neighbours": "neighbours --corpus.path c.txt --corpus.embeddings k.npy --output x.tsv",
    "queries": "neighbours --corpus.path q.txt --queries.path c.txt --queries.embeddings k.npy "
    "--output x.tsv",
    "pairs": "pairs --texts.path c.txt --texts.embeddings k.npy --output x.tsv",
    "clusters": "clusters --texts.path c.txt --texts.embeddings k.npy --output x.tsv",
    "negatives": "negatives --data.path rows.tsv --corpus.path c.txt --embeddings k.npy "
    "--cross_encoder cross --output x.tsv",
    "int8": "embed --texts.path c.txt --texts.embeddings k.npy --store int8 --output x.safetensors",
}


@pytest.fixture
def place(tmp_path, tiny_folder, monkeypatch):
    """A folder to stand in: texts, rows, the models."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").symlink_to(tiny_folder)
    write_classifier(tmp_path / "cross")
    write_texts(tmp_path / "c.txt", TEXTS)
    write_texts(tmp_path / "q.txt", QUERIES)
    write_texts(tmp_path / "rows.tsv", ["query\tpositive", f"{QUERIES[0]}\t{TEXTS[0]}"])
    return tmp_path


def task(words: str, precision: str) -> list[str]:
    return [*shlex.split(words), "--model", "tiny", "--precision", precision]


def recorded(path) -> str:
    return json.loads((path.with_name(f"{path.name}.json")).read_text())["precision"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_embeddings_are_of_the_precision(place, mine_command, tiny, precision):
    expected = tiny.encode(TEXTS, precision)
    mine_command(*task("embed --texts.path c.txt --output x.npy", precision))
    np.testing.assert_array_equal(np.load("x.npy"), expected)
    assert recorded(place / "x.npy") == str(NAMES[precision])
    mine_command(*task("embed --texts.path c.txt --store int8 --output x.safetensors", precision))
    assert recorded(place / "x.safetensors") == str(NAMES[precision])


@needs_int8
@pytest.mark.parametrize("words", KEEPING.values(), ids=KEEPING)
def test_kept_embeddings_of_another_precision_are_refused(place, mine_command, capsys, tiny, words):
    mine_command(*task(words, "int8_dynamic"))
    made = tiny.encode(TEXTS, "int8_dynamic")
    np.testing.assert_array_equal(np.sort(np.load("k.npy"), axis=0), np.sort(made, axis=0))
    mine_command(*task(words, "int8_dynamic"), "--overwrite")
    assert (
        "k.npy: was made in precision int8_dynamic, which is now fp32; pass --precision "
        "int8_dynamic, or name another file"
    ) in fails(mine_command, capsys, *task(words, "fp32"), "--overwrite")
    np.testing.assert_array_equal(np.sort(np.load("k.npy"), axis=0), np.sort(made, axis=0))


@pytest.mark.parametrize("kept", ["", "--texts.embeddings k.npy"])
def test_kept_codes_of_another_precision_are_refused(place, mine_command, capsys, kept):
    embed = f"embed --texts.path c.txt --store int8 {kept} --output k.safetensors"
    mine_command(*task(embed, "fp32"))
    search = (
        "neighbours --corpus.path c.txt --queries.path q.txt --corpus.embeddings k.safetensors "
        "--output x.tsv"
    )
    mine_command(*task(search, "fp32"))
    assert "k.safetensors: was made in precision fp32, which is now bf16; " in fails(
        mine_command, capsys, *task(search, "bf16"), "--overwrite"
    )


def test_a_precision_that_a_model_lacks_is_refused_at_once(
    place, mine_command, capsys, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    for words in KEEPING.values():
        said = fails(mine_command, capsys, *task(words, "int8_dynamic"))
        assert "precision int8_dynamic: needs a CPU with AVX512-VNNI" in said
    assert not [*place.glob("x.*"), *place.glob("k.*")]


def test_a_search_alone_has_no_int8_dynamic(place, mine_command, capsys):
    np.save("v.npy", np.eye(3))
    words = shlex.split("neighbours --corpus.path v.npy --output x.tsv --precision int8_dynamic")
    assert "precision int8_dynamic: is for the model that embeds" in fails(
        mine_command, capsys, *words
    )
