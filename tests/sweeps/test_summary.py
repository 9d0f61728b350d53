"""The table of a sweep against hand arithmetic, and its tests against scipy."""

import itertools
import json
import math

import pytest
from scipy import stats
from sweep_inputs import config, run, text_run

from sbert.errors import InputError
from sbert.sweeps.summary import sweep_table


def cells(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_mean_deviation_number_and_best():
    runs = [
        run({"seed": s}, dev, test)
        for s, dev, test in [(1, 0.5, 0.9), (2, 0.7, 0.3), (3, 0.6, 0.6)]
    ]
    head, _, line = cells(sweep_table(runs, config()))
    assert head == [
        "sweep",
        "runs",
        "my-dev rho",
        "deviation",
        "best",
        "my-test rho",
        "deviation",
        "best",
    ]
    # deviation: sqrt((0.1^2 + 0.1^2 + 0) / 2) and three times that
    # the best run is the best on dev, not on test
    assert line == ["mine", "3", "60.00", "10.00", "70.00", "60.00", "30.00", "30.00"]


def test_one_run_has_no_deviation():
    assert cells(sweep_table([run({}, 0.5, None)], config()))[2] == [
        "mine",
        "1",
        "50.00",
        "-",
        "50.00",
    ]


def test_a_row_for_all_that_seed_and_fold_share():
    runs = []
    for variant, size, seed, fold in itertools.product("ab", (5, 9), (1, 2), (1, 2)):
        axes = {"variant": variant, "size": size, "seed": seed, "fold": fold}
        runs.append(run(axes, 0.1 * fold, None))
    table = cells(sweep_table(runs, config()))
    assert [line[:2] for line in table] == [
        ["variant, size", "runs"], ["-" * 13, "---:"],
        ["**a,size=5**", "4"], ["a,size=9", "4"], ["b,size=5", "4"], ["b,size=9", "4"],
    ]  # fmt: skip


def test_dev_chooses_the_row_and_test_does_not():
    runs = [
        run({"variant": v, "seed": s}, *scores)
        for v, scores in (("a", (0.8, 0.1)), ("b", (0.6, 0.9)))
        for s in (1, 2)
    ]
    text = sweep_table(runs, config())
    assert [line[0] for line in cells(text)[2:]] == ["**a**", "b"]
    note = "\n- `a` is best on dev, 20.00 above `b`, which is outside the noise between runs "
    assert note + "(paired over 2 runs, p < 0.001)\n" in text


def test_the_highest_of_runs_is_defined():
    text = sweep_table(
        [run({"seed": s}, None, test) for s, test in ((1, math.nan), (2, 0.1), (3, 0.2))], config()
    )
    assert cells(text)[2] == ["mine", "3", "-", "-", "20.00"]


def test_without_dev_nothing_is_chosen():
    text = sweep_table(
        [run({"variant": v}, None, test) for v, test in (("a", 0.1), ("b", 0.2))], config()
    )
    assert "**" not in text
    assert "no dev set: no row is chosen" in text
    assert cells(text)[0][4] == "highest"


def test_a_lead_inside_the_noise_is_called_so():
    scores = {"a": (0.5, 0.7, 0.6), "b": (0.52, 0.6, 0.63), "c": (0.1, 0.1, 0.1)}
    runs = []
    for variant, devs in scores.items():
        runs += [run({"variant": variant, "seed": s}, dev, None) for s, dev in enumerate(devs)]
    p = stats.ttest_rel(scores["a"], scores["b"]).pvalue
    said = (
        "\n- warning: `a` is best on dev, 1.67 above `b`, which is inside the noise between runs "
        "(paired over 3 runs, "
        f"p = {p:.3f}, not corrected for the choice among 3): the order may be due to chance"
    )
    assert said in sweep_table(runs, config())


def test_a_single_run_says_nothing_of_the_noise():
    text = sweep_table(
        [run({"variant": v}, dev, None) for v, dev in (("a", 0.5), ("b", 0.6))], config()
    )
    note = "\n- warning: `b` is best on dev, 10.00 above `a`; with one run per row the noise"
    assert f"{note} between runs is unknown\n" in text


def test_folds_are_not_independent_and_the_note_says_so():
    runs = [
        run({"variant": v, "fold": f}, 0.1 * f + lead, None)
        for v, lead in (("a", 0.05), ("b", 0.0))
        for f in (1, 2)
    ]
    assert (
        "(paired over 2 runs, p < 0.001; folds share training rows, so p is too small)"
        in sweep_table(runs, config())
    )


@pytest.mark.parametrize("change", ["seeds", "dev"])
def test_rows_with_different_runs_are_not_compared(change):
    """As of a sweep that is not done, or where each row has a dev set of its own."""
    runs = [run({"variant": v, "seed": s}, 0.5 + s / 10, None) for v in "ab" for s in (1, 2)]
    if change == "seeds":
        runs.pop()
    else:
        for one in runs[2:]:
            one.result["results"][0]["dataset"] = "other-dev"
    text = sweep_table(runs, config())
    assert "rows differ in their seeds, folds or dev sets: none is chosen" in text
    assert "**" not in text


def test_an_undefined_metric_is_not_best():
    text = sweep_table(
        [run({"variant": v}, dev, None) for v, dev in (("a", math.nan), ("b", 0.1), ("c", 0.2))],
        config(),
    )
    assert [line[0] for line in cells(text)[2:]] == ["a", "b", "**c**"]
    two = sweep_table(
        [run({"seed": s}, dev, None) for s, dev in ((1, math.nan), (2, 0.1))], config()
    )
    assert cells(two)[2] == ["mine", "2", "-", "-", "10.00"]


def test_other_metrics_and_published_figures():
    runs = [run({"variant": v}, 0.5, None, r=0.25) for v in "ab"]
    head, _, first, second = cells(
        sweep_table(runs, config(metrics=["r", "rho"], published={"b": 80.78}))
    )
    assert head == [
        "variant",
        "runs",
        "my-dev r",
        "deviation",
        "best",
        "my-dev rho",
        "deviation",
        "best",
        "published",
    ]
    assert (first[2], first[5], first[-1], second[-1]) == ("25.00", "50.00", "-", "80.78")
    with pytest.raises(InputError, match="metrics: no dataset has 'x'; there are: r, rho"):
        sweep_table(runs, config(metrics=["x"]))


def test_datasets_that_some_rows_lack():
    """As where each variant is tested on another topic."""
    runs = [run({"variant": "a"}, None, 0.5), run({"variant": "b"}, 0.4, None)]
    assert [line[2::3] for line in cells(sweep_table(runs, config()))[2:]] == [
        ["50.00", "-"],
        ["-", "40.00"],
    ]


def test_a_row_of_results_is_json_with_all_that_the_run_left():
    row = run({"variant": "a", "seed": 1}, 0.5, 0.25).record()
    assert json.loads(json.dumps(row)) == row
    assert (row["run"], row["axes"], row["seconds"]) == (
        "a,seed=1",
        {"variant": "a", "seed": 1},
        1.5,
    )
    assert row["results"]["my-test"]["after"] == {"rho": 0.25}


def test_losses_in_nats_are_not_multiplied():
    """Nor is the lead of a row; a run with losses on dev is judged by them alone."""
    losses = {"a": (2.0, 2.5), "b": (3.0, 3.0)}
    runs = [text_run({"variant": v, "seed": s}, losses[v][s], 4.0) for v in "ab" for s in (0, 1)]
    assert runs[0].main_score("dev") == -2
    text = sweep_table(runs, config(metrics=["negative_loss", "perplexity", "rho"]))
    _, _, first, second = cells(text)
    assert first[2:5] == ["-2.25", "0.35", "-2.00"]
    assert second[2] == "-3.00"
    assert first[5] == f"{(math.exp(2) + math.exp(2.5)) / 2:.2f}"
    assert "50.00" in first
    assert "`a` is best on dev, 0.75 above `b`" in text
    assert "my-dev -2.00, my-test -4.00, pairs 50.00;" in runs[0].progress_line()
