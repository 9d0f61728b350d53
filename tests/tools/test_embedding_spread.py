"""Mean cosine, uniformity and alignment, by hand and by plain loops, and the command."""

import math

import numpy as np
import pytest

from tools import embedding_spread
from tools.embedding_spread import alignment, main, mean_cosine, uniformity


def random_directions(number: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(number, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_of_orthogonal_vectors():
    """|x - y|^2 is 2 for each pair, so the uniformity is log exp(-4)."""
    assert mean_cosine(np.eye(5)) == pytest.approx(0)
    assert uniformity(np.eye(5)) == pytest.approx(-4)
    assert alignment(np.eye(5), np.roll(np.eye(5), 1, axis=0)) == pytest.approx(2)


def test_of_equal_vectors():
    same = np.tile([0.6, 0.8], (4, 1))
    assert mean_cosine(same) == pytest.approx(1)
    assert uniformity(same) == pytest.approx(0)
    assert alignment(same, same) == 0


def test_equal_a_plain_loop_whatever_the_blocks(monkeypatch):
    monkeypatch.setattr(embedding_spread, "BLOCK", 3)
    vectors = random_directions(10)
    pairs = [(x, y) for i, x in enumerate(vectors) for j, y in enumerate(vectors) if i != j]
    cosines = [float(x @ y) for x, y in pairs]
    potentials = [math.exp(-2 * float(((x - y) ** 2).sum())) for x, y in pairs]
    assert mean_cosine(vectors) == pytest.approx(sum(cosines) / len(pairs), abs=1e-12)
    assert uniformity(vectors) == pytest.approx(math.log(sum(potentials) / len(pairs)), abs=1e-12)


def test_alignment_without_similar_pairs_is_undefined():
    assert math.isnan(alignment(np.empty((0, 3)), np.empty((0, 3))))


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("sentence1\tsentence2\tscore\na cat\ta cat\t1\na cat\ta dog\t0\n", "utf-8")
    return path


def test_table_of_several_models(tiny_folder, pairs, capsys):
    """Equal texts align exactly; two copies of one model have the same row."""
    main([str(tiny_folder), str(tiny_folder), "--data", str(pairs)])
    _, _, first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.split("|")[-2].strip() == "0.00"


def test_refuses_what_has_no_pairs(tiny_folder, tmp_path, capsys):
    path = tmp_path / "text.txt"
    path.write_text("a cat\n", "utf-8")
    with pytest.raises(SystemExit) as stop:
        main([str(tiny_folder), "--data", str(path)])
    assert stop.value.code == 2
    assert "task text; the spread is of sts" in capsys.readouterr().err
