"""Metrics: scipy's correlations, brute force over every threshold, ties, undefined cases."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from sbert import metrics

# few distinct scores, so that ties are everywhere; multiples of 1/8 so that half-way thresholds are exact
TIED = st.integers(-4, 4).map(lambda k: k / 8)

# the same examples everywhere, and no deadline: a busy machine is no error
quick = settings(deadline=None, derandomize=True)


@st.composite
def ranked(draw, both_classes=True):
    """Scores with heavy ties and 0/1 labels."""
    n = draw(st.integers(2 if both_classes else 1, 12))
    scores = np.array(draw(st.lists(TIED, min_size=n, max_size=n)))
    gold = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    if both_classes:
        gold[0], gold[-1] = 0, 1
    order = draw(st.permutations(range(n)))
    return scores[order], gold[order]


def counts(scores, gold, threshold):
    """True positives, false positives, false negatives, true negatives of score >= threshold."""
    cells = {(p, g): 0 for p in (True, False) for g in (0, 1)}
    for s, g in zip(scores, gold, strict=True):
        cells[bool(s >= threshold), int(g)] += 1
    return cells[True, 1], cells[True, 0], cells[False, 1], cells[False, 0]


def f1(scores, gold, threshold):
    tp, fp, fn, _ = counts(scores, gold, threshold)
    return 2 * tp / (2 * tp + fp + fn)


def share_right(scores, gold, threshold):
    tp, _, _, tn = counts(scores, gold, threshold)
    return (tp + tn) / len(gold)


def every_threshold(scores):
    """One threshold for every division that score >= threshold can make: all, ..., none."""
    return [*sorted(set(scores.tolist())), math.inf]


# correlations


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("distinct", [2, 5, 1000])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_correlations_equal_scipys(seed, distinct, kind):
    generator = np.random.default_rng(seed)
    x = (generator.integers(distinct, size=200) / 7).astype(kind)
    y = (x + generator.integers(distinct, size=200) / 5).astype(kind)
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    assert metrics.pearson(x, y) == pytest.approx(stats.pearsonr(x64, y64).statistic, abs=1e-12)
    assert metrics.spearman(x, y) == pytest.approx(stats.spearmanr(x64, y64).statistic, abs=1e-12)


def test_correlations_by_hand():
    # deviations -1, 0, 1 and -4/3, -1/3, 5/3: 3 / sqrt(2 * 42/9)
    assert metrics.pearson([1, 2, 3], [0, 1, 3]) == pytest.approx(3 / math.sqrt(2 * 42 / 9))
    # ranks 1, 2, 3, 4 and 1, 3, 2, 4: 1 - 6 * 2 / (4 * 15)
    assert metrics.spearman([1, 2, 3, 4], [0, 50, 20, 1000]) == pytest.approx(0.8)
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5)
    assert metrics.spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_a_line_correlates_perfectly():
    x = np.array([0.0, 0.1, 0.5, 2.0])
    assert metrics.pearson(x, 3 * x - 7) == pytest.approx(1)
    assert metrics.pearson(x, -x) == pytest.approx(-1)


@quick
@given(st.lists(st.tuples(TIED, TIED), min_size=3, max_size=12), st.randoms())
def test_correlations_are_symmetric_and_know_no_row_order(rows, random):
    x, y = np.array(rows).T
    shuffled = rows.copy()
    random.shuffle(shuffled)
    for f in (metrics.pearson, metrics.spearman):
        value = f(x, y)
        assert f(y, x) == pytest.approx(value, nan_ok=True)
        assert f(*np.array(shuffled).T) == pytest.approx(value, abs=1e-12, nan_ok=True)
        assert math.isnan(value) == (len(set(x)) == 1 or len(set(y)) == 1)


def test_spearman_knows_ranks_alone():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 50))
    assert metrics.spearman(np.exp(3 * x), y**3) == pytest.approx(metrics.spearman(x, y), abs=1e-15)
    assert metrics.spearman(-x, y) == pytest.approx(-metrics.spearman(x, y), abs=1e-15)


def test_fp32_columns_are_correlated_in_float64():
    # in fp32 the squares of the deviations would lose all digits beside the mean
    x = (1e4 + np.arange(100) / 64).astype(np.float32)
    assert metrics.pearson(x, np.arange(100)) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("f", [metrics.pearson, metrics.spearman])
@pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_a_constant_column_has_no_correlation(f, value, n):
    assert math.isnan(f(np.full(n, value), np.arange(n)))
    assert math.isnan(f(np.arange(n), np.full(n, value)))


@pytest.mark.parametrize(("value", "n"), [(0.1, 3), (0.7, 7), (1 / 3, 11), (0.1, 1000)])
def test_a_constant_column_whose_mean_rounds_has_no_correlation(value, n):
    # (0.1 + 0.1 + 0.1) / 3 is not 0.1 in floating point: the deviations are 1e-17 and not 0
    assert math.isnan(metrics.pearson(np.full(n, value), np.arange(n) ** 2))


# rates


def test_accuracy_is_the_share_of_equal_entries():
    assert metrics.accuracy([0, 1, 2, 2], [0, 1, 1, 2]) == 0.75
    assert metrics.accuracy(np.array([1]), np.array([0])) == 0
    assert math.isnan(metrics.accuracy([], []))


def test_rates_by_hand():
    scores, gold = [0.9, 0.8, 0.7, 0.2], [1, 0, 1, 0]
    assert metrics.average_precision(scores, gold) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert metrics.best_f1(scores, gold) == pytest.approx((2 * 2 / (3 + 2), 0.45))  # half-way between 0.7 and 0.2
    assert metrics.best_accuracy(scores, gold) == pytest.approx((3 / 4, 0.85))


def test_equal_scores_enter_together():
    # one cut alone, "all": precision 1/2 at recall 1, whatever the order of the rows
    for gold in ([1, 0], [0, 1]):
        assert metrics.average_precision([0.5, 0.5], gold) == 0.5
        assert metrics.best_f1([0.5, 0.5], gold) == (pytest.approx(2 / 3), 0.5)
        assert metrics.best_accuracy([0.5, 0.5], gold)[0] == 0.5


def test_scores_that_fp32_cannot_tell_apart_are_no_tie():
    scores, gold = np.array([1.0, 1.0 + 1e-9]), np.array([0, 1])
    assert metrics.average_precision(scores, gold) == 1
    assert metrics.best_f1(scores, gold)[0] == metrics.best_accuracy(scores, gold)[0] == 1


def test_a_perfect_order_scores_1_at_the_gap():
    scores, gold = np.array([-0.5, 0.75, 0.25, 1.0]), np.array([0, 1, 0, 1])
    assert metrics.average_precision(scores, gold) == 1
    assert metrics.best_f1(scores, gold) == (1, 0.5)
    assert metrics.best_accuracy(scores, gold) == (1, 0.5)


@quick
@given(ranked())
def test_average_precision_is_the_sum_over_thresholds(data):
    scores, gold = data
    expected = last = 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        tp, fp, fn, _ = counts(scores, gold, threshold)
        expected += (tp / (tp + fn) - last) * tp / (tp + fp)
        last = tp / (tp + fn)
    assert metrics.average_precision(scores, gold) == pytest.approx(expected, abs=1e-12)


@quick
@given(ranked())
@example((np.array([0.5, 0.5, 0.25]), np.array([0, 1, 1])))
def test_best_f1_is_the_best_of_all_thresholds_and_its_threshold_gives_it(data):
    scores, gold = data
    value, threshold = metrics.best_f1(scores, gold)
    assert value == pytest.approx(max(f1(scores, gold, t) for t in every_threshold(scores)), abs=1e-12)
    assert f1(scores, gold, threshold) == pytest.approx(value, abs=1e-12)


@quick
@given(ranked(both_classes=False))
@example((np.array([0.5, 0.5, 0.25]), np.array([0, 1, 1])))
@example((np.array([0.5, 0.25]), np.array([0, 1])))  # no threshold beats calling both negative
@example((np.array([0.5, 0.25]), np.array([0, 0])))
@example((np.array([0.5, 0.25]), np.array([1, 1])))
def test_best_accuracy_is_the_best_of_all_thresholds_and_its_threshold_gives_it(data):
    scores, gold = data
    value, threshold = metrics.best_accuracy(scores, gold)
    assert value == max(share_right(scores, gold, t) for t in every_threshold(scores))
    assert share_right(scores, gold, threshold) == value
    assert math.isfinite(threshold)


@quick
@given(ranked(), st.randoms())
def test_row_order_does_not_matter(data, random):
    scores, gold = data
    order = list(range(len(gold)))
    random.shuffle(order)
    for f in (metrics.average_precision, metrics.best_f1, metrics.best_accuracy):
        assert f(scores[order], gold[order]) == f(scores, gold)


@quick
@given(ranked())
def test_only_the_order_of_scores_decides_the_values(data):
    scores, gold = data
    stretched = np.exp(3 * scores)
    assert metrics.average_precision(stretched, gold) == metrics.average_precision(scores, gold)
    assert metrics.best_f1(stretched, gold)[0] == metrics.best_f1(scores, gold)[0]
    assert metrics.best_accuracy(stretched, gold)[0] == metrics.best_accuracy(scores, gold)[0]


@quick
@given(ranked())
def test_types_of_scores_and_labels_do_not_matter(data):
    scores, gold = data
    for f in (metrics.average_precision, metrics.best_f1, metrics.best_accuracy):
        expected = f(scores, gold)
        assert f(scores.astype(np.float32), gold.astype(np.float32)) == pytest.approx(expected, rel=1e-6)
        assert f(scores.tolist(), gold.astype(bool).tolist()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_thresholds_part_even_neighbouring_floats(kind):
    low = kind(1)  # even: half-way to the next float rounds to this one
    scores, gold = np.array([low, np.nextafter(low, kind(2))]), np.array([0, 1])
    for best, rate in ((metrics.best_f1, f1), (metrics.best_accuracy, share_right)):
        value, threshold = best(scores, gold)
        assert value == 1
        assert rate(scores, gold, threshold) == 1
        assert (scores >= threshold).tolist() == [False, True]  # numpy compares float32 with a number in float32


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("n", [1, 3])
def test_one_class_has_no_precision_but_an_accuracy(label, n):
    scores, gold = np.linspace(0, 1, n), np.full(n, label)
    assert math.isnan(metrics.average_precision(scores, gold))
    assert all(map(math.isnan, metrics.best_f1(scores, gold)))
    assert metrics.best_accuracy(scores, gold)[0] == 1
