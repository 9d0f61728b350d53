"""What numbers are worth: intervals and differences of fixed rows, bold and notes where they belong."""

import math

import numpy as np
import pytest

from sbert.evaluation.bootstrap import Mean, Pearson, Spearman
from sbert.evaluation.report import Report
from sbert.evaluation.results import average_difference, bootstrap_reports, compare
from sbert.evaluation.significance import bootstrap_interval
from sbert.evaluation.tables import differences_table, results_table

generator = np.random.default_rng(0)
GOLD = generator.random(200)


def sts(noise: float, name="pairs", gold=GOLD, seed=1):
    scores = gold + noise * np.random.default_rng(seed).normal(size=len(gold))
    samples = {"spearman_cosine": Spearman(scores, gold), "pearson_cosine": Pearson(scores, gold)}
    every = np.ones(len(gold), bool)
    metrics = {metric: sample.of_subset(every) for metric, sample in samples.items()}
    return Report(name, "sts", len(gold), metrics, scores, gold, bootstrap_metrics=samples)


def right(values, task="triplet", name="rows"):
    metric = {"triplet": "accuracy_cosine", "rerank": "ndcg@10_cosine"}[task]
    return Report(
        name, task, len(values), {metric: float(np.mean(values))}, bootstrap_metrics={metric: Mean(values)}
    )


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_every_metric_has_an_interval_around_it():
    [found] = bootstrap_reports([sts(0.2)], 500, 0, "pairs")
    assert found.intervals.keys() == {"spearman_cosine", "pearson_cosine"}
    for name, (low, high) in found.intervals.items():
        assert low < found.report.metrics[name] < high < low + 0.2


def test_the_same_seed_the_same_interval_whatever_else_is_evaluated():
    report, other = sts(0.2), sts(0.3)
    [alone], beside = (
        bootstrap_reports([report], 300, 0, "pairs"),
        bootstrap_reports([other, report], 300, 0, "pairs"),
    )
    assert alone.intervals == beside[1].intervals
    assert alone.intervals != bootstrap_reports([report], 300, 1, "pairs")[0].intervals


def test_no_resamples_no_interval_and_no_verdict():
    first, second = bootstrap_reports([sts(0.2), sts(0.4)], 0, 0, "pairs")
    one = compare(first, second, "the baseline")
    assert first.intervals == {}
    assert math.isnan(one.p)
    assert (
        one.note()
        == "pairs: without resamples it is unknown whether the difference to the baseline is noise"
    )
    assert "**" not in differences_table([one])
    assert cells(results_table([first]))[0][:4] == ["sts", "rows", "Spearman", "Pearson"]


def test_a_difference_is_paired_and_bold_outside_the_noise_alone():
    clear = compare(*bootstrap_reports([sts(0.4), sts(0.1)], 500, 0, "pairs"), "the baseline")
    slight = compare(
        *bootstrap_reports([sts(0.2, seed=1), sts(0.2, seed=2)], 500, 0, "pairs"), "the baseline"
    )
    assert clear.p == pytest.approx(2 / 501)
    assert clear.interval[1] < 0
    assert clear.note() is None
    assert slight.p > 0.05
    assert slight.interval[0] < 0 < slight.interval[1]
    assert slight.note() == (
        f"pairs: the difference of {100 * slight.value:.2f} to the baseline is inside the noise (p = {slight.p:.3f})"
    )
    head, _, first, second = cells(differences_table([clear, slight]))
    assert head == [
        "compared",
        "with",
        "metric",
        "score",
        "other score",
        "difference",
        "95 % interval",
        "p",
    ]
    assert first[:3] == ["pairs", "the baseline", "Spearman"]
    assert (first[3], first[4]) == (f"{100 * clear.first:.2f}", f"**{100 * clear.second:.2f}**"), (
        "the better one"
    )
    assert (second[3], second[4]) == (f"{100 * slight.first:.2f}", f"{100 * slight.second:.2f}")
    assert (first[-1], second[-1]) == ("0.004", f"{slight.p:.3f}")
    reverse = compare(*bootstrap_reports([sts(0.1), sts(0.4)], 5000, 0, "pairs"), "the baseline")
    assert cells(differences_table([reverse]))[2][3].startswith("**")
    assert cells(differences_table([reverse]))[2][-1] == "< 0.001"


def test_equal_models_do_not_differ():
    one = compare(*bootstrap_reports([sts(0.2), sts(0.2)], 200, 0, "pairs"), "the baseline")
    assert (one.value, one.p, one.interval) == (0, 1, (0, 0))
    assert cells(differences_table([one]))[2][5:] == ["0.00", "0.00 to 0.00", "1.000"]


def test_an_undefined_difference_is_not_bold():
    reports = [Report("p", "sts", 3, {"spearman_cosine": math.nan}, gold=GOLD[:3], bootstrap_metrics={"spearman_cosine": Spearman(*x)})
               for x in (([0.1, 0.1, 0.1], [0, 1, 2]), ([0.1, 0.2, 0.3], [0, 1, 2]))]  # fmt: skip
    one = compare(*bootstrap_reports(reports, 100, 0, "p"), "the baseline")
    assert math.isnan(one.p)
    assert "undefined" in one.note()
    assert "**" not in differences_table([one])


def test_the_average_is_of_datasets_whose_noise_is_independent():
    pairs = [bootstrap_reports([sts(0.1, name), sts(0.4, name)], 2000, 0, name) for name in "abcd"]
    one = average_difference([compare(*pair, "the baseline") for pair in pairs])
    assert one.name == "average"
    assert one.value == pytest.approx(
        np.mean([a.report.primary - b.report.primary for a, b in pairs])
    )
    each = compare(*pairs[0], "the baseline")
    assert one.replicates.std() == pytest.approx(each.replicates.std() / 2, rel=0.1)
    row = cells(results_table([pair[0] for pair in pairs]))[-1]
    low, high = bootstrap_interval(np.mean([pair[0].primary_replicates for pair in pairs], axis=0))
    assert (row[0], row[3]) == ("average", f"{100 * low:.1f} to {100 * high:.1f}")


def test_the_interval_stands_behind_the_main_metric():
    head, _, row = cells(results_table(bootstrap_reports([sts(0.2)], 300, 0, "pairs")))
    assert head[:5] == ["sts", "rows", "Spearman", "95 % interval", "Pearson"]
    low, high = bootstrap_reports([sts(0.2)], 300, 0, "pairs")[0].intervals["spearman_cosine"]
    assert row[3] == f"{100 * low:.1f} to {100 * high:.1f}"


def test_ties_that_matter_are_told_with_the_ceiling():
    [tied] = bootstrap_reports([sts(0.1, gold=np.arange(200) % 2 / 1.0)], 0, 0, "pairs")
    assert tied.ceiling == pytest.approx(math.sqrt(3) / 2, abs=1e-3)
    assert tied.notes() == [
        "pairs: 2 distinct labels tie: scores without ties have a Spearman of at most 86.60"
    ]
    [free] = bootstrap_reports([sts(0.1)], 0, 0, "pairs")
    assert (free.ceiling, free.notes()) == (1, [])
    assert bootstrap_reports([right([1, 0])], 0, 0, "rows")[0].ceiling is None


@pytest.mark.parametrize(("count", "task", "notes"), [
    (29, "triplet", ["rows: 29 rows: the interval is rough"]), (30, "triplet", []),
    (3, "rerank", ["rows: 3 queries: the interval is rough"]),
])  # fmt: skip
def test_few_rows_are_told(count, task, notes):
    assert (
        bootstrap_reports([right(np.arange(count) % 2, task)], 100, 0, "rows")[0].notes() == notes
    )
