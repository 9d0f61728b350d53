"""Comparison of silver with gold: the divergence by hand, its description, its figures."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import fails
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sbert.augment import divergence
from sbert.augment.divergence import bin_edges, describe_divergence, draw_divergence, kl_divergence
from sbert.data.rows import Rows

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=50).map(np.array)


def rows(scores, sources=None):
    texts = [[f"{side} text {i}" for i in range(len(scores))] for side in ("first", "second")]
    return Rows("x", "sts", texts, np.array(scores, np.float32), sources)


def test_divergence_by_hand():
    # grades 0 and 1: two bins that meet at 1/2; with one score more in each
    gold, silver = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.45, 0.9])
    p, q = (3 / 6, 3 / 6), (6 / 8, 2 / 8)
    assert kl_divergence(gold, silver) == pytest.approx(
        sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    )


def test_divergence_of_tenths_by_hand():
    gold, silver = (np.arange(20) + 0.5) / 20, np.full(30, 0.05)
    expected = 0.1 * math.log(0.1 / (31 / 40)) + 9 * 0.1 * math.log(0.1 / (1 / 40))
    assert kl_divergence(gold, silver) == pytest.approx(expected)


@given(SCORES, SCORES)
def test_divergence_is_finite_and_not_negative(gold, silver):
    assert kl_divergence(gold, gold) == pytest.approx(0, abs=1e-12)
    assert 0 <= kl_divergence(gold, silver) + 1e-12 < 6


def test_what_silver_lacks_costs_more_than_what_it_has_beside():
    whole, half = np.linspace(0, 1, 1000), np.linspace(0, 0.5, 1000)
    assert kl_divergence(whole, half) > 2 * kl_divergence(half, whole) > 1


def test_scores_between_grades_belong_to_the_nearer():
    assert bin_edges(np.array([0, 0.25, 0.5, 1, 1])).tolist() == [0, 0.125, 0.375, 0.75, 1]
    assert len(bin_edges(np.linspace(0, 1, 11))) == 11
    # so that grades alone are no skew
    graded, smooth = (
        np.repeat([0, 0.25, 0.5, 0.75, 1], [125, 250, 250, 250, 125]),
        np.linspace(0, 1, 1000),
    )
    assert kl_divergence(graded, smooth) < 0.001


def test_equal_gold_scores_have_ten_bins():
    assert len(bin_edges(np.full(5, 0.5))) == 11


def test_the_warning():
    gold = rows(np.linspace(0, 1, 400))
    low, all_of_it = rows(np.linspace(0, 0.3, 200)), rows(np.linspace(0, 1, 200))
    said = describe_divergence(gold, low)
    assert kl_divergence(gold.labels, low.labels) > divergence.MAX_KL
    assert "WARNING: silver is skewed: " in said
    assert "its scores are lower than gold's (mean 0.15 against 0.50)" in said
    assert "bm25 and semantic find more similar pairs" in said
    assert "higher than gold's (mean 0.85 against 0.50)" in describe_divergence(
        gold, rows(np.linspace(0.7, 1, 200))
    )
    assert "WARNING" not in describe_divergence(gold, all_of_it)
    assert "WARNING" not in describe_divergence(None, low)


def test_the_description():
    gold = rows([0, 0, 0.5, 1])
    silver = rows([0.05] * 30 + [0.3, 0.45, 0.99], ["random"] * 30 + ["bm25", "bm25", "semantic"])
    said = describe_divergence(gold, silver)
    assert "| bm25     |     2 |  6.06 |       0.38 |" in said
    assert "| random   |    30 | 90.91 |       0.05 |" in said
    assert "| 0 to 0.25    |    2 | 50.00 |     30 | 90.91 |" in said
    assert "| 0.25 to 0.75 |    1 | 25.00 |      2 |  6.06 |" in said
    p, q = np.array([3, 2, 2]) / 7, np.array([31, 3, 2]) / 36
    assert (
        f"KL(gold || silver) = {(p * np.log(p / q)).sum():.3f} nats, 3 bins, 1 added to each"
        in said
    )
    # ten examples of a band, all where there are fewer
    assert said.count("| 0.050 |") == 10
    assert [line.split("|")[1].strip() for line in said.splitlines()[2:5]] == [
        "0.990",
        "0.450",
        "0.300",
    ]
    assert "| first text 32" in said
    assert describe_divergence(gold, silver) == said


def test_without_gold():
    said = describe_divergence(None, rows([0.05, 0.95]))
    assert "| 0 to 0.5 |      1 | 50.00 |" in said
    assert "KL" not in said


def test_the_histograms(tmp_path):
    pytest.importorskip("matplotlib")
    gold, silver = (
        rows([0, 0.5, 1]),
        rows([0.1, 0.2, 0.3, 0.4], ["bm25", "bm25", "bm25", "semantic"]),
    )
    draw_divergence(tmp_path / "look", gold, rows([0.7]))
    draw_divergence(tmp_path / "look", gold, silver)  # replaces the first
    found = EventAccumulator(str(tmp_path / "look"), {"histograms": 0}).Reload()
    counts = {
        tag: found.Histograms(tag)[0].histogram_value.num for tag in found.Tags()["histograms"]
    }
    assert counts == {
        "scores/gold": 3,
        "scores/silver": 4,
        "scores/silver, bm25": 3,
        "scores/silver, semantic": 1,
    }
    assert (tmp_path / "look/scores.png").read_bytes().startswith(b"\x89PNG")


def test_without_the_extra_there_is_no_picture(tmp_path, monkeypatch):
    monkeypatch.setattr("sbert.evaluation.figures.matplotlib_available", lambda: False)
    draw_divergence(tmp_path, None, rows([0.1, 0.2]))
    assert [path.name.partition(".")[0] for path in tmp_path.iterdir()] == ["events"]


def test_as_a_command(tmp_path, augment_command, capsys):
    head = "sentence1\tsentence2\tscore"
    (tmp_path / "gold.tsv").write_text(f"{head}\na\tb\t0\nc\td\t5\n")
    (tmp_path / "silver.tsv").write_text(f"{head}\tstrategy\na\td\t0.1\tbm25\nc\tb\t0.2\tbm25\n")
    gold = ["--gold.path", str(tmp_path / "gold.tsv"), "--gold.range", "[0, 5]"]
    augment_command("compare", *gold, "--silver", tmp_path / "silver.tsv")
    said = capsys.readouterr().out
    assert "| 0 to 0.5 |    1 | 50.00 |      2 | 100.00 |" in said
    assert "nothing.tsv: no such file" in fails(
        augment_command, capsys, "compare", *gold, "--silver", tmp_path / "nothing.tsv"
    )


@pytest.mark.parametrize(
    ("path", "lines", "task"),
    [
        ("gold.tsv", ["premise\thypothesis\tlabel", "a\tb\tneutral"], "nli"),
        ("gold.tsv", ["text\tlabel", "a\tx", "b\ty"], "class"),
        ("gold.tsv", ["anchor\tpositive", "a\tb"], "pair"),
        ("corpus", [], "retrieval"),
    ],
)
def test_gold_of_another_task_is_refused(tmp_path, augment_command, capsys, path, lines, task):
    (tmp_path / "gold.tsv").write_text("\n".join(lines))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/corpus.tsv").write_text("id\ttext\nx\ta cat\n")
    (tmp_path / "corpus/queries.tsv").write_text("id\ttext\nq\ta dog\n")
    (tmp_path / "corpus/qrels.tsv").write_text("query_id\tdoc_id\trelevance\nq\tx\t1\n")
    silver = tmp_path / "silver.tsv"
    silver.write_text("sentence1\tsentence2\tscore\tstrategy\na\td\t0.1\tbm25\n")
    argv = ["compare", "--gold.path", tmp_path / path, "--silver", silver]
    name = path.partition(".")[0]
    message = f"gold {name}: task {task}; gold is of task sts or binary"
    assert message in fails(augment_command, capsys, *argv)
