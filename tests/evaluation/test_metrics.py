"""Metrics: scipy's correlations, brute force over every threshold, ties, undefined cases."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from sbert.evaluation import metrics

# few distinct scores, so that many tie; multiples of 1/8, so that half-way thresholds are exact
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
    assert metrics.best_f1(scores, gold) == pytest.approx(
        (2 * 2 / (3 + 2), 0.45)
    )  # half-way between 0.7 and 0.2
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
    assert value == pytest.approx(
        max(f1(scores, gold, t) for t in every_threshold(scores)), abs=1e-12
    )
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
        assert f(scores.astype(np.float32), gold.astype(np.float32)) == pytest.approx(
            expected, rel=1e-6
        )
        assert f(scores.tolist(), gold.astype(bool).tolist()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_thresholds_part_even_neighbouring_floats(kind):
    low = kind(1)  # even: half-way to the next float rounds to this one
    scores, gold = np.array([low, np.nextafter(low, kind(2))]), np.array([0, 1])
    for best, rate in ((metrics.best_f1, f1), (metrics.best_accuracy, share_right)):
        value, threshold = best(scores, gold)
        assert value == 1
        assert rate(scores, gold, threshold) == 1
        assert (scores >= threshold).tolist() == [
            False,
            True,
        ]  # numpy compares float32 with a number in float32


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("n", [1, 3])
def test_one_class_has_no_precision_but_an_accuracy(label, n):
    scores, gold = np.linspace(0, 1, n), np.full(n, label)
    assert math.isnan(metrics.average_precision(scores, gold))
    assert all(map(math.isnan, metrics.best_f1(scores, gold)))
    assert metrics.best_accuracy(scores, gold)[0] == 1


# classes


def test_macro_f1_by_hand():
    # 2 TP / (2 TP + FP + FN): class 0: 2 of 2 + 1; class 1: 2 of 2 + 1; class 2: 4 of 4 + 2
    assert metrics.macro_f1([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0]) == pytest.approx(
        (2 / 4 + 2 / 3 + 4 / 5) / 3
    )
    assert metrics.macro_f1([2, 0, 1], [2, 0, 1]) == 1
    assert metrics.macro_f1([1, 0], [0, 1]) == 0
    assert metrics.macro_f1([1, 1], [1, 1]) == 1, "a class that neither names does not count"
    assert metrics.macro_f1([1, 1], [1, 0]) == pytest.approx((2 / 3 + 0) / 2), (
        "a class never told counts 0"
    )
    assert metrics.macro_f1([1, 0], [1, 1]) == pytest.approx((2 / 3 + 0) / 2), (
        "nor is one never right left out"
    )


def test_macro_f1_of_no_rows_is_undefined():
    assert math.isnan(metrics.macro_f1([], []))
    assert math.isnan(metrics.macro_f1(np.array([], int), np.array([], int)))


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("n", [1, 5, 200])
@pytest.mark.parametrize("seed", range(3))
def test_macro_f1_equals_sklearns(classes, n, seed):
    sklearn = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(seed)
    predicted, gold = generator.integers(classes, size=(2, n))
    expected = sklearn.f1_score(gold, predicted, average="macro")
    assert metrics.macro_f1(predicted, gold) == pytest.approx(expected, abs=1e-12)
    assert metrics.macro_f1(predicted.tolist(), gold.tolist()) == pytest.approx(expected, abs=1e-12)
    assert metrics.macro_f1(gold, predicted) == pytest.approx(expected, abs=1e-12), (
        "F1 is symmetric"
    )


# rankings


def ranking(*arguments):
    """The means over the queries with a relevant candidate; NaN without any."""
    by_query = metrics.ranking_metrics(*arguments)
    return {name: metrics.mean_defined(values) for name, values in by_query.items()}


def ranking_loop(scores, relevance, groups, k):
    """The docstring's formulas, query by query; NaN for no query with a relevant candidate."""
    found = {"map": [], f"mrr@{k}": [], f"ndcg@{k}": []}
    for group in set(groups):
        mine = [(s, r) for s, r, g in zip(scores, relevance, groups, strict=True) if g == group]
        if not any(r > 0 for _, r in mine):
            continue
        ranked = [r for _, r in sorted(mine, key=lambda row: (-row[0], row[1]))]
        hits = [rank for rank, r in enumerate(ranked, start=1) if r > 0]
        found["map"].append(
            sum(place / rank for place, rank in enumerate(hits, start=1)) / len(hits)
        )
        found[f"mrr@{k}"].append(1 / hits[0] if hits[0] <= k else 0.0)
        gain, ideal = (
            sum(r / math.log2(rank + 1) for rank, r in enumerate(order[:k], start=1))
            for order in (ranked, sorted(ranked, reverse=True))
        )
        found[f"ndcg@{k}"].append(gain / ideal)
    return {
        name: sum(values) / len(values) if values else math.nan for name, values in found.items()
    }


@st.composite
def candidates(draw):
    """Scores with heavy ties, graded relevance with many zeros, queries of very different sizes."""
    rows = draw(
        st.lists(
            st.tuples(TIED, st.sampled_from([0, 0, 0, 1, 2, 0.5]), st.integers(0, 3)), min_size=1
        )
    )
    return tuple(np.array(column) for column in zip(*rows, strict=True))


@quick
@given(candidates(), st.integers(1, 12))
def test_ranking_equals_the_plain_loop(data, k):
    expected = ranking_loop(*(column.tolist() for column in data), k)
    assert ranking(*data, k) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_ranking_by_hand():
    # the order: relevant, not, relevant, not
    found = ranking([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], [0, 0, 0, 0])
    assert found == {
        "map": pytest.approx((1 / 1 + 2 / 3) / 2),
        "mrr@10": 1,
        "ndcg@10": pytest.approx((1 + 1 / 2) / (1 + 1 / math.log2(3))),
    }
    assert list(found) == ["map", "mrr@10", "ndcg@10"]


def test_ranking_of_graded_relevance_by_hand():
    # the order: 1, 0, 3, against the ideal 3, 1, 0
    found = ranking([3, 2, 1], [1, 0, 3], [7, 7, 7])
    assert found["map"] == pytest.approx((1 + 2 / 3) / 2), "any relevance above 0 is relevant"
    assert found["mrr@10"] == 1
    assert found["ndcg@10"] == pytest.approx((1 + 3 / 2) / (3 + 1 / math.log2(3))), (
        "the gain is the relevance itself"
    )


def test_the_mean_is_over_queries_and_not_over_candidates():
    # a: five candidates, the relevant one last; b: two, in the right order
    scores, relevance = [5, 4, 3, 2, 1, 1, 0], [0, 0, 0, 0, 1, 1, 0]
    found = ranking(scores, relevance, list("aaaaabb"))
    assert found["map"] == found["mrr@10"] == pytest.approx((1 / 5 + 1) / 2)
    assert found["ndcg@10"] == pytest.approx((1 / math.log2(6) + 1) / 2)


def test_a_perfect_ranking_scores_1_and_a_lone_candidate_too():
    assert set(ranking([4, 3, 2, 1], [3, 2, 1, 0], [0] * 4).values()) == {1.0}
    assert set(ranking([-7.0], [0.5], [3]).values()) == {1.0}


@pytest.mark.parametrize("at", range(1, 14))
def test_the_relevant_candidate_at_each_rank(at):
    relevance = np.zeros(13)
    relevance[at - 1] = 2
    found = ranking(-np.arange(13), relevance, np.zeros(13))
    assert found["map"] == pytest.approx(1 / at), "all ranks count"
    assert found["mrr@10"] == pytest.approx(1 / at if at <= 10 else 0)
    assert found["ndcg@10"] == pytest.approx(1 / math.log2(at + 1) if at <= 10 else 0)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_another_k_cuts_and_names_the_metrics(k):
    found = ranking([5, 4, 3, 2, 1], [0, 0, 1, 0, 1], [0] * 5, k)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, 2) + 1))
    gain = {1: 0, 2: 0, 3: 1 / 2, 5: 1 / 2 + 1 / math.log2(6)}[k]
    assert found == pytest.approx(
        {
            "map": (1 / 3 + 2 / 5) / 2,
            f"mrr@{k}": 1 / 3 if k >= 3 else 0,
            f"ndcg@{k}": gain / ideal,
        }
    )


@pytest.mark.parametrize("first", [True, False])
def test_ties_are_pessimistic(first):
    relevance = [1, 0, 0, 0] if first else [0, 0, 0, 1]
    found = ranking([0.5] * 4, relevance, [0] * 4)
    assert found == pytest.approx({"map": 1 / 4, "mrr@10": 1 / 4, "ndcg@10": 1 / math.log2(5)})
    # among relevant ones too: the better ranks behind
    graded = ranking([0.5, 0.5], [3, 1] if first else [1, 3], [0, 0])
    assert graded["ndcg@10"] == pytest.approx((1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)))


def test_a_query_without_a_relevant_candidate_is_left_out():
    scores, relevance = [3, 2, 1, 9, 8, 0, -1], [0, 1, 0, 0, 0, 0, 1]
    groups = np.array([4, 4, 4, 1, 1, 6, 6])
    with_it = ranking(scores, relevance, groups)
    keep = groups != 1
    assert with_it == ranking(np.array(scores)[keep], np.array(relevance)[keep], groups[keep])
    assert with_it["map"] == pytest.approx(1 / 2)


@pytest.mark.filterwarnings(
    "error"
)  # said by NaN alone, and not by numpy's warning of an empty mean
def test_no_relevant_candidate_at_all_is_undefined():
    for scores, relevance, groups in (
        ([2, 1], [0, 0], [0, 0]),
        ([1, 1], [0, 0], [0, 1]),
        ([], [], []),
    ):
        found = ranking(scores, relevance, groups, 5)
        assert list(found) == ["map", "mrr@5", "ndcg@5"]
        assert all(map(math.isnan, found.values()))


@quick
@given(candidates(), st.randoms())
def test_order_of_rows_and_names_of_groups_do_not_matter(data, random):
    scores, relevance, groups = data
    expected = ranking(scores, relevance, groups)
    order = list(range(len(scores)))
    random.shuffle(order)
    shuffled = ranking(scores[order], relevance[order], groups[order])
    assert shuffled == pytest.approx(expected, abs=1e-12, nan_ok=True)
    for names in (np.array([70, -3, 12, 5]), np.array(["d", "a", "c", "b"])):
        assert ranking(scores, relevance, names[groups]) == pytest.approx(
            expected, abs=1e-12, nan_ok=True
        )


@quick
@given(candidates())
def test_only_the_order_within_a_query_decides_a_ranking(data):
    scores, relevance, groups = data
    moved = np.exp(scores) + np.array([100, -5, 0, 7])[groups]
    expected = ranking(scores, relevance, groups)
    assert ranking(moved, relevance, groups) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert ranking(
        scores.astype(np.float32), relevance.astype(np.float32), groups
    ) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def queries(seed, grades):
    """Thirty interleaved queries of 2 to 25 candidates, one relevant at least; no equal scores."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(30), generator.integers(2, 26, size=30))
    relevance = generator.choice(grades, size=len(groups)) * (generator.random(len(groups)) < 0.4)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    relevance[starts] = np.maximum(relevance[starts], 1)
    scores = generator.permutation(len(groups)) / 7 - 10
    order = generator.permutation(len(groups))
    return scores[order], relevance[order], groups[order]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grades", [[1], [1, 2, 3]], ids=["binary", "graded"])
@pytest.mark.parametrize("k", [3, 10])
def test_ranking_equals_sklearns(seed, grades, k):
    sklearn = pytest.importorskip("sklearn.metrics")
    scores, relevance, groups = queries(seed, grades)
    ap, ndcg = [], []
    for group in range(30):
        r, s = relevance[groups == group], scores[groups == group]
        ap.append(sklearn.average_precision_score(r > 0, s))
        ndcg.append(sklearn.ndcg_score([r], [s], k=k))
    found = ranking(scores, relevance, groups, k)
    assert found["map"] == pytest.approx(np.mean(ap), abs=1e-12)
    assert found[f"ndcg@{k}"] == pytest.approx(np.mean(ndcg), abs=1e-12)


class FakeCrossEncoder:
    """What sentence-transformers' evaluator needs; a document is its score, written out."""

    model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *args: None)

    def predict(self, pairs, **options):
        return np.array([float(document) for _, document in pairs])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("k", [3, 10])
def test_ranking_equals_sentence_transformers(seed, k):
    theirs = pytest.importorskip("sentence_transformers.cross_encoder.evaluation")
    scores, relevance, groups = queries(seed, [1])
    samples = []
    for group in range(30):
        mine = groups == group
        positive, negative = (list(map(str, scores[mine & (relevance == r)])) for r in (1, 0))
        samples.append({"query": str(group), "positive": positive, "negative": negative})
    expected = theirs.CrossEncoderRerankingEvaluator(samples, at_k=k, write_csv=False)(
        FakeCrossEncoder()
    )
    found = ranking(scores, relevance, groups, k)
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-12)


def test_scores_that_are_nan_have_no_order():
    scores, gold = np.array([0.5, np.nan, 0.1]), np.array([1, 0, 0])
    for metric in (metrics.average_precision, metrics.spearman):
        assert math.isnan(metric(scores, gold))
    for metric in (metrics.best_f1, metrics.best_accuracy):
        assert all(map(math.isnan, metric(scores, gold)))
    assert all(map(math.isnan, ranking(scores, gold, np.zeros(3)).values()))


def test_rankings_by_query():
    """In the order of the queries; NaN for a query without a relevant candidate."""
    scores, relevance = np.array([3.0, 9, 1, 2, 4]), np.array([0, 0, 2, 1, 1])
    found = metrics.ranking_metrics(scores, relevance, np.array([2, 1, 2, 0, 0]))
    assert found["mrr@10"].tolist()[::2] == [1, 1 / 2]
    assert found["map"].tolist()[::2] == [1, 1 / 2]
    assert found["ndcg@10"][2] == pytest.approx(1 / math.log2(3))
    assert all(np.isnan(values).tolist() == [False, True, False] for values in found.values())
    assert ranking(scores, relevance, np.array([2, 1, 2, 0, 0]))["map"] == 3 / 4


def test_retrieval_metrics():
    # judged: 0 has 1 and 3, 1 has none that is relevant, 2 has 0
    query, document, relevance = (
        np.array([2, 0, 0, 1]),
        np.array([0, 3, 1, 1]),
        np.array([1.0, 1, 1, 0]),
    )
    found = metrics.retrieval_metrics(
        np.array([[2, 1, 3], [1, 0, 2], [0, -1, -1]]), query, document, relevance
    )
    assert found["mrr@10"].tolist()[::2] == [1 / 2, 1]
    assert found["recall@1"].tolist()[::2] == [0, 1]
    assert found["map@100"][0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert all(np.isnan(values).tolist() == [False, True, False] for values in found.values())
