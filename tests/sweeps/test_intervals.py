"""Intervals beside the table of a sweep: differences to the baseline, records, missing scores."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sweep_inputs import config, run

from sbert.evaluation.bootstrap import Mean
from sbert.evaluation.multi_bootstrap import estimate_mean
from sbert.evaluation.report import Report
from sbert.evaluation.scores import read_scores, save_scores
from sbert.sweeps.intervals import Comparison, comparison_table, sweep_comparisons

ROWS = SimpleNamespace(texts=[[f"text {i}" for i in range(60)]])
ACCURACY = {"a": 0.6, "b": 0.9}


@pytest.fixture
def finished(tmp_path):
    """Two variants with three seeds each, whose scores of 60 test rows are on disk."""
    runs = []
    for variant, seed in [(v, s) for v in ACCURACY for s in (1, 2, 3)]:
        one = run({"variant": variant, "seed": seed}, 0.5, ACCURACY[variant])
        one.run.folder = tmp_path / one.run.label
        one.run.folder.mkdir()
        right = np.random.default_rng(seed).random(60) < ACCURACY[variant]
        report = Report("my-test", "triplet", 60, bootstrap_metrics={"rho": Mean(right)})
        save_scores(one.run.folder, [ROWS], [report])
        runs.append(one)
    return runs


def of_variant(finished, variant):
    runs = [one for one in finished if one.run.axes["variant"] == variant]
    return {one.repeat: read_scores(one.run.folder)["my-test"] for one in runs}


def test_each_row_and_its_difference_to_the_first(finished):
    first, second = sweep_comparisons(finished, config())
    a, b = (estimate_mean("my-test", "rho", of_variant(finished, v)) for v in "ab")
    assert (first.row, first.column, first.runs) == ("a", ("my-test", "rho"), 3)
    assert first.estimate.interval == a.interval
    assert first.difference is None
    assert second.difference.value == pytest.approx(b.value - a.value)
    assert second.difference.interval == b.difference(a).interval
    assert 0 < second.difference.interval[0] < second.difference.value


def test_records_are_json_with_numbers(finished):
    first, second = [one.record() for one in sweep_comparisons(finished, config(baseline="b"))]
    assert json.loads(json.dumps([first, second])) == [first, second]
    assert list(second) == ["row", "dataset", "metric", "runs", "mean", "interval"]
    low, high = first["difference_interval"]
    assert low < first["difference"] < high < 0
    assert first["difference"] == pytest.approx(first["mean"] - second["mean"])
    assert (first["baseline"], first["p"]) == ("b", pytest.approx(2 / 10_001))


def test_the_table(finished):
    head, _, a, b, _, note = comparison_table(
        sweep_comparisons(finished, config()), "variant"
    ).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, a, b)]
    interval = "95 % interval"
    assert cells[0] == ["variant", "test set", "runs", "mean", interval, "above a", interval, "p"]
    assert (cells[1][:3], cells[1][5:]) == (["a", "my-test rho", "3"], ["-", "-", "-"])
    assert cells[2][-1] == "< 0.001"
    assert " to " in cells[2][4]
    assert note.startswith("- 95 % interval and p: 10,000 resamples of the rows and, jointly, ")


def test_a_row_of_runs_without_scores_is_shown_without_an_interval(finished, tmp_path):
    (tmp_path / "b,seed=2/scores.safetensors").unlink()
    comparisons = sweep_comparisons(finished, config())
    assert [one.estimate is None for one in comparisons] == [False, True]
    assert comparisons[1].record() == {
        "row": "b", "dataset": "my-test", "metric": "rho", "runs": 3, "mean": None,
        "interval": None, "baseline": "a", "difference": None, "difference_interval": None,
        "p": None,
    }  # fmt: skip
    assert "\n- no interval: a run kept no scores of its rows, " in comparison_table(
        comparisons, "variant"
    )


def test_dev_sets_and_metrics_without_rows_have_no_interval(finished):
    runs = [
        replace(one, result=one.result | {"results": one.evaluations("dev")}) for one in finished
    ]
    assert sweep_comparisons(runs, config()) == []
    assert comparison_table([], "variant") == ""
    for one in finished:
        one.result["results"][1]["after"]["f1"] = 0.5
    assert [c.estimate for c in sweep_comparisons(finished, config(metrics=["f1"]))] == [None] * 2


def test_losses_in_nats_are_not_multiplied():
    estimate = SimpleNamespace(value=-2.5, interval=(-2.75, -2.25), p=0.5)
    difference = SimpleNamespace(value=0.5, interval=(0.25, 0.75), p=0.5)
    loss = Comparison("a", ("wiki", "negative_loss"), 1, "b", estimate, difference)
    assert loss.cells()[3:7] == [-2.5, "-2.75 to -2.25", 0.5, "0.25 to 0.75"]
    rho = replace(loss, column=("sts", "rho"))
    assert rho.cells()[3:5] == [-250, "-275.00 to -225.00"]
