"""Results: intervals and differences of fixed rows, their notes."""

import math

import numpy as np
import pytest
from evaluation_inputs import GOLD, accuracy_report, compared, noisy_report, undefined_difference

from sbert.evaluation.results import (
    average_difference,
    bootstrap_reports,
    compare,
)


def test_every_metric_has_an_interval_around_it():
    [result] = bootstrap_reports([noisy_report(0.2)], 500, 0, "pairs")
    assert result.intervals.keys() == {"spearman_cosine", "pearson_cosine"}
    for name, (low, high) in result.intervals.items():
        assert low < result.report.metrics[name] < high < low + 0.2


def test_the_same_seed_gives_the_same_interval_whatever_else_is_evaluated():
    report, other = noisy_report(0.2), noisy_report(0.3)
    [alone] = bootstrap_reports([report], 300, 0, "pairs")
    _, beside = bootstrap_reports([other, report], 300, 0, "pairs")
    [other_seed] = bootstrap_reports([report], 300, 1, "pairs")
    assert alone.intervals == beside.intervals
    assert alone.intervals != other_seed.intervals


def test_without_resamples_there_is_no_interval_and_no_p():
    first, second = bootstrap_reports([noisy_report(0.2), noisy_report(0.4)], 0, 0, "pairs")
    difference = compare(first, second, "the baseline")
    assert first.intervals == {}
    assert math.isnan(difference.p)
    assert difference.note() == (
        "pairs: without resamples it is unknown whether the difference to the baseline is noise"
    )


def test_a_difference_is_paired():
    clear = compared(noisy_report(0.4), noisy_report(0.1))
    assert clear.p == pytest.approx(2 / 501)
    assert clear.interval[1] < 0
    assert clear.significant
    assert clear.note() is None


def test_a_difference_inside_the_noise_has_a_note():
    slight = compared(noisy_report(0.2, seed=1), noisy_report(0.2, seed=2))
    assert slight.p > 0.05
    assert slight.interval[0] < 0 < slight.interval[1]
    assert slight.note() == (
        f"pairs: the difference of {100 * slight.value:.2f} to the baseline "
        f"is inside the noise (p = {slight.p:.3f})"
    )


def test_equal_models_do_not_differ():
    difference = compared(noisy_report(0.2), noisy_report(0.2))
    assert (difference.value, difference.p, difference.interval) == (0, 1, (0, 0))


def test_an_undefined_difference_has_a_note():
    difference = undefined_difference()
    assert math.isnan(difference.p)
    assert "undefined" in difference.note()


def test_the_average_is_of_datasets_whose_noise_is_independent():
    differences = [compared(noisy_report(0.1, name), noisy_report(0.4, name)) for name in "abcd"]
    average = average_difference(differences)
    assert average.name == "average"
    assert average.value == pytest.approx(np.mean([one.value for one in differences]))
    expected = differences[0].replicates.std() / 2
    assert average.replicates.std() == pytest.approx(expected, rel=0.1)


def test_the_ceiling_of_tied_labels_is_noted():
    tied_labels = np.arange(200) % 2 / 1.0
    [tied] = bootstrap_reports([noisy_report(0.1, gold=tied_labels)], 0, 0, "pairs")
    assert tied.ceiling == pytest.approx(math.sqrt(3) / 2, abs=1e-3)
    assert tied.notes() == [
        "pairs: 2 distinct labels tie: scores without ties have a Spearman of at most 86.60"
    ]
    [free] = bootstrap_reports([noisy_report(0.1, gold=GOLD)], 0, 0, "pairs")
    assert (free.ceiling, free.notes()) == (1, [])
    [accuracy] = bootstrap_reports([accuracy_report([1, 0])], 0, 0, "rows")
    assert accuracy.ceiling is None


@pytest.mark.parametrize(
    ("count", "task", "notes"),
    [
        (29, "triplet", ["rows: 29 rows: the interval is rough"]),
        (30, "triplet", []),
        (3, "rerank", ["rows: 3 queries: the interval is rough"]),
    ],
)
def test_an_interval_of_few_rows_is_noted(count, task, notes):
    report = accuracy_report(np.arange(count) % 2, task)
    [result] = bootstrap_reports([report], 100, 0, "rows")
    assert result.notes() == notes
