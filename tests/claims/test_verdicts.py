"""Verdicts from intervals by hand; which figures are compared; the detectable effect."""

import math

import numpy as np
import pytest

from sbert import InputError
from sbert.claims.config import ContrastConfig
from sbert.claims.figures import Figure
from sbert.claims.verdicts import differences, judge_all, judge_equal, judge_order
from sbert.evaluation.multi_bootstrap import Estimate

HOLDS, FAILS, UNCLEAR = "holds", "does not hold", "cannot be told"


@pytest.mark.parametrize(("interval", "by", "within", "verdict"), [
    ((0.1, 2), 0, None, HOLDS),
    ((-2, -0.1), 0, None, FAILS),
    ((-0.1, 2), 0, None, UNCLEAR),
    ((0, 2), 0, None, UNCLEAR),
    ((4, 6), 5, None, UNCLEAR),
    ((5.1, 6), 5, None, HOLDS),
    ((1, 4.9), 5, None, FAILS),
    ((-0.4, 0.3), -0.5, None, HOLDS),  # not lower by 0.5
    ((-0.1, 0.4), 0, 0.5, FAILS),  # an effect of interest would be outside
    ((-0.1, 0.6), 0, 0.5, UNCLEAR),
    ((0.1, 0.4), 0, 0.5, HOLDS),
    ((math.nan, math.nan), 0, 0.5, UNCLEAR),
])  # fmt: skip
def test_an_order(interval, by, within, verdict):
    assert judge_order(interval, by, within) == verdict


@pytest.mark.parametrize(("interval", "verdict"), [
    ((-0.4, 0.4), HOLDS),
    ((0.1, 0.4), HOLDS),  # a difference, and one that does not matter
    ((-0.6, 0.4), UNCLEAR),
    ((-1, 1), UNCLEAR),
    ((0.6, 1), FAILS),
    ((-1, -0.6), FAILS),
    ((math.nan, math.nan), UNCLEAR),
])  # fmt: skip
def test_equal_within_half_a_point(interval, verdict):
    assert judge_equal(interval, 0.5) == verdict


def test_all_contrasts_must_hold():
    assert judge_all([HOLDS, HOLDS]) == HOLDS
    assert judge_all([HOLDS, UNCLEAR]) == UNCLEAR
    assert judge_all([UNCLEAR, FAILS, HOLDS]) == FAILS
    assert judge_all([FAILS, "not run yet"]) == "not run yet"


def figure(mean: float, noise: np.ndarray | float, digest: str = "rows") -> Figure:
    replicates = (mean + np.atleast_1d(noise)) / 100
    estimate = Estimate(mean / 100, replicates, {None: digest})
    return Figure(["my-test"], "rho", {"run": mean}, estimate=estimate)


def test_an_order_compares_neighbours_and_equal_figures_all_pairs():
    noise = np.random.default_rng(0).normal(size=1000)
    figures = {name: figure(mean, noise) for name, mean in (("a", 80), ("b", 75), ("c", 72))}
    order = differences(ContrastConfig(order=["a", "b", "c"]), figures)
    assert [(one.first, one.second, one.value) for one in order] == [("a", "b", 5), ("b", "c", 3)]
    assert order[0].interval == pytest.approx((5, 5))  # the same draws: paired
    assert order[0].standard_error == pytest.approx(0, abs=1e-9)
    equal = differences(ContrastConfig(equal=["a", "b", "c"], within=6), figures)
    assert [one.value for one in equal] == [5, 8, 3]
    assert [one.verdict(ContrastConfig(equal=["a", "b"], within=6)) for one in equal] == [
        HOLDS, FAILS, HOLDS
    ]  # fmt: skip


def test_a_number_stands_for_a_figure():
    [one] = differences(ContrastConfig(order=["a", 75]), {"a": figure(80, np.array([-1.0, 1.0]))})
    assert (one.second, one.value) == ("75", 5)
    assert one.replicates.tolist() == pytest.approx([4, 6])


def test_the_detectable_effect_by_hand():
    """A standard error of 1: 1.96 + 0.84 of an order, 1.96 + 1.28 of equal figures."""
    noise = np.array([-1.0, 1.0] * 500)
    order, equal = ContrastConfig(order=["a", "b"]), ContrastConfig(equal=["a", "b"], within=1)
    figures = {"a": figure(80, noise), "b": figure(80, np.zeros(1000))}
    [one] = differences(order, figures)
    assert one.standard_error == pytest.approx(1, abs=1e-3)
    assert one.detectable(order) == pytest.approx(1.960 + 0.842, abs=5e-3)
    assert one.detectable(equal) == pytest.approx(1.960 + 1.282, abs=5e-3)


def test_the_detectable_effect_is_found_in_80_of_100_experiments():
    rng, hits = np.random.default_rng(0), {"order": 0, "equal": 0}
    order, equal = ContrastConfig(order=["a", 0]), ContrastConfig(equal=["a", 0], within=1)
    for _ in range(400):
        deviations = rng.normal(size=500)
        [one] = differences(order, {"a": figure(2.80 + rng.normal(), deviations)})
        hits["order"] += one.verdict(order) == HOLDS
        [one] = differences(equal, {"a": figure(rng.normal(), deviations)})
        hits["equal"] += judge_equal(one.interval, 3.24) == HOLDS
    assert {name: count / 400 for name, count in hits.items()} == {
        "order": pytest.approx(0.8, abs=0.06), "equal": pytest.approx(0.8, abs=0.06)
    }  # fmt: skip


def test_without_scores_of_rows_there_is_a_difference_and_no_verdict():
    figures = {"a": Figure(["my-test"], "rho", {"run": 80}), "b": figure(75, np.zeros(9))}
    contrast = ContrastConfig(order=["a", "b"])
    [one] = differences(contrast, figures)
    assert one.value == 5
    assert (one.verdict(contrast), math.isnan(one.detectable(contrast))) == (UNCLEAR, True)


def test_other_rows_are_refused():
    figures = {"a": figure(80, 0.0), "b": figure(75, 0.0, "others")}
    with pytest.raises(InputError, match="a and b were not evaluated on the same rows"):
        differences(ContrastConfig(order=["a", "b"]), figures)
