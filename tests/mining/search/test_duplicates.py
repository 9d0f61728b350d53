"""Exact duplicates: by text or by vector, in groups that are numbered by their first rows."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mine_inputs import TEXTS, table, write_texts
from vectors import generator

from sbert import InputError
from sbert.mining.search.duplicates import Duplicates, find_duplicates, first_equal_vectors
from sbert.mining.search.exact import VectorSet
from sbert.mining.search.similar_pairs import similar_pairs


def groups_of(vectors, texts=()):
    vectors = VectorSet(vectors, "cosine", torch.device("cpu"), "vector")
    return find_duplicates(vectors, texts).group.tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_by_vector(dtype):
    vectors = [[1.0, 2], [0, 0], [3, 1], [1, 2], [0, -0.0], [3, 1], [1, 2.0625], [2, 4]]
    vectors = torch.tensor(vectors, dtype=dtype)
    assert groups_of(vectors) == [0, 1, 2, 0, 3, 2, 4, 5]
    assert groups_of(torch.tensor([[0.0, 1], [-0.0, 1]])) == [0, 0]
    assert groups_of(torch.empty(0, 2)) == []


def test_vectors_that_differ_in_the_last_digit():
    vectors = torch.ones(3, 2, dtype=torch.float64)
    vectors[1, 0] += 2**-52
    assert groups_of(vectors) == [0, 1, 0]


def test_vectors_of_one_hash_are_compared(monkeypatch):
    """Weights of zero make all sums equal."""
    zeros = SimpleNamespace(integers=lambda high, size: np.zeros(size, np.int64))
    monkeypatch.setattr(np.random, "default_rng", lambda seed: zeros)
    vectors = torch.tensor([[1.0, 2], [2, 1], [1, 2], [0, 0], [0, 0]])
    assert groups_of(vectors) == [0, 1, 0, 2, 3]


def test_a_bad_vector_has_its_own_number():
    vectors = torch.tensor([[1.0, 2], [1, 2], [3, 1], [np.nan, 0], [1, 2]])
    with pytest.raises(InputError, match="vector 3 contains NaN or infinity"):
        similar_pairs(vectors)


def test_by_text_where_the_vectors_differ():
    """Those of equal texts, embedded in unlike batches, may differ in the last digit."""
    vectors = torch.randn(4, 5, generator=generator())
    vectors[3] = vectors[1]
    assert groups_of(vectors, ["a", "b", "a", "c"]) == [0, 1, 0, 1]
    assert groups_of(torch.zeros(3, 2), ["a", "b", "a"]) == [0, 1, 0]


def test_only_the_rows_asked_for_are_read():
    duplicates = Duplicates(np.array([0, 1, 0, 2, 1]))
    assert duplicates.first.tolist() == [0, 1, 3]
    selected = duplicates.select_distinct(np.arange(10.0).reshape(5, 2))
    assert (len(selected), selected.shape) == (3, (3, 2))
    assert selected[1:].tolist() == [[2, 3], [6, 7]]
    assert duplicates.rows_of(np.array([1, 0])).tolist() == [1, 4, 0, 2]


@pytest.fixture
def many(tmp_path):
    """300 equal lines among others."""
    lines = [TEXTS[0]] * 150 + TEXTS + [TEXTS[0]] * 149
    return write_texts(tmp_path / "many.txt", lines)


def test_clusters_of_duplicates(many, tmp_path, tiny_folder, mine_command, monkeypatch, capsys):
    """More pairs of duplicates than communities are made of."""
    monkeypatch.setattr("sbert.mining.clusters.MAX_PAIRS", 1000)
    argv = ["clusters", "--texts.path", many, "--model", tiny_folder, "--threshold", 0.9999]
    mine_command(*argv, "--output", tmp_path / "x.jsonl")
    (found,) = table(tmp_path / "x.jsonl")
    assert found["size"] == 300
    assert set(found["texts"]) == {TEXTS[0]}
    assert found["ids"] == [str(i) for i in [*range(1, 152), *range(181, 330)]]
    said = capsys.readouterr().out
    assert "299 of 329 are exact duplicates of one before; the most frequent, 300 times: " in said


def test_pairs_of_duplicates(many, tmp_path, tiny_folder, mine_command, capsys):
    argv = ["pairs", "--texts.path", many, "--model", tiny_folder]
    mine_command(*argv, "--limit", 70, "--output", tmp_path / "x.jsonl")
    rows = table(tmp_path / "x.jsonl")
    assert [(row["id1"], row["id2"]) for row in rows] == [("1", str(j)) for j in range(2, 72)]
    assert {row["score"] for row in rows} == {1.0}
    said = capsys.readouterr().out
    assert "70 pairs of 329 texts; limit is reached" in said
    assert "44,850 pairs are of exact duplicates; --distinct true leaves them out" in said


def test_pairs_of_distinct_texts(many, tmp_path, tiny_folder, mine_command):
    write_texts(tmp_path / "once.txt", TEXTS)
    for name, distinct in (("many", "true"), ("once", "false")):
        argv = ["pairs", "--texts.path", tmp_path / f"{name}.txt", "--model", tiny_folder]
        mine_command(*argv, "--distinct", distinct, "--output", tmp_path / f"{name}.jsonl")
    many_rows, once_rows = (table(tmp_path / f"{name}.jsonl") for name in ("many", "once"))
    assert len(many_rows) == 30 * 29 // 2
    for row in many_rows + once_rows:
        del row["id1"], row["id2"]
    assert many_rows == once_rows


def test_duplicates_in_a_file_of_embeddings(tmp_path, mine_command):
    np.save(tmp_path / "x.npy", np.repeat(np.eye(4, 3) + 0.1, 20, axis=0).astype(np.float16))
    argv = ["clusters", "--texts.path", tmp_path / "x.npy", "--threshold", 1.0]
    mine_command(*argv, "--output", tmp_path / "x.jsonl")
    sizes = [json.loads(line)["size"] for line in (tmp_path / "x.jsonl").open()]
    assert sizes == [20, 20, 20, 20]


def test_the_first_equal_vector_of_each():
    """-0 is 0; vectors of zeros are equal, and those that differ in one bit are not."""
    vectors = torch.randn(40, 8, generator=generator())
    vectors[7] = vectors[35] = vectors[2]
    vectors[36] = vectors[2].nextafter(torch.tensor(9.0))
    vectors[5] = 0
    vectors[9] = -vectors[5]
    expected = np.arange(40)
    expected[[7, 35]], expected[9] = 2, 5
    for at_once in (3, 100):
        assert (first_equal_vectors(vectors, at_once) == expected).all()
