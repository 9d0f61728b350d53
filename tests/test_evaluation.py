"""Evaluators on vectors small enough for arithmetic by hand: a fake encoder looks every text up."""

import math

import numpy as np
import pytest
import torch

from sbert.data import Rows
from sbert.errors import InputError
from sbert.evaluation import PRIMARY, TASKS, Report, encoder_judge, evaluate, mean_primary, pair_scores
from sbert.losses import SoftmaxLoss


class Lookup:
    """Text to vector; every text is its vector written out. Keeps what it was called with."""

    def __init__(self, dtype=np.float32):
        self.calls = []
        self.dtype = dtype

    def __call__(self, texts):
        self.calls.append(texts)
        return np.array([[float(x) for x in text.split()] for text in texts], self.dtype)


def sts(gold, first, second, sources=None):
    return Rows("pairs", "sts", [first, second], np.array(gold, np.float32), sources)


def by_angle(gold, seconds, sources=None):
    """Pairs of the first axis and `seconds`."""
    return sts(gold, ["1 0"] * len(gold), seconds, sources)


# cosines 1, 0.6, 0, -1; dots 1, 3, 0, -1; distances 0, sqrt 20, sqrt 5, 2; manhattan 0, 6, 3, 2
FOUR = ["1 0", "3 4", "0 2", "-1 0"]


def test_scores_by_hand():
    u, v = np.tile([[1.0, 0.0]], (4, 1)), np.array([[1.0, 0], [3, 4], [0, 2], [-1, 0]])
    scores = pair_scores(u, v)
    np.testing.assert_allclose(scores["cosine"], [1, 0.6, 0, -1])
    np.testing.assert_allclose(scores["dot"], [1, 3, 0, -1])
    np.testing.assert_allclose(scores["euclidean"], [0, -math.sqrt(20), -math.sqrt(5), -2])
    np.testing.assert_allclose(scores["manhattan"], [0, -6, -3, -2])


def test_larger_is_more_similar_for_every_score():
    u = np.array([[1.0, 2.0]])
    near, far = pair_scores(u, u), pair_scores(u, np.array([[-2.0, 1.0]]))
    assert all(near[kind] > far[kind] for kind in near)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_vectors_have_cosine_0(dtype):
    zero, one = np.zeros((2, 3), dtype), np.ones((2, 3), dtype)
    with np.errstate(all="raise"):
        assert pair_scores(zero, one)["cosine"].tolist() == [0, 0]
        assert pair_scores(zero, zero)["cosine"].tolist() == [0, 0]


def test_sts_by_hand():
    found = evaluate(by_angle([1.0, 0.5, 0.25, 0.0], FOUR), encoder_judge(Lookup())).metrics
    # Spearman from rank differences: 1 - 6 sum d^2 / (4 * 15)
    assert found["spearman_cosine"] == pytest.approx(1)
    assert found["spearman_dot"] == pytest.approx(1 - 6 * 2 / 60)
    assert found["spearman_euclidean"] == pytest.approx(1 - 6 * 8 / 60)
    assert found["spearman_manhattan"] == pytest.approx(1 - 6 * 8 / 60)
    # deviations 0.85, 0.45, -0.15, -1.15 and 0.5625, 0.0625, -0.1875, -0.4375
    assert found["pearson_cosine"] == pytest.approx(1.0375 / math.sqrt(2.27 * 0.546875), rel=1e-6)
    assert set(found) == {
        f"{r}_{k}" for r in ("spearman", "pearson") for k in ("cosine", "dot", "euclidean", "manhattan")
    }


def test_sts_keeps_cosines_and_gold():
    report = evaluate(by_angle([1.0, 0.5, 0.25, 0.0], FOUR), encoder_judge(Lookup()))
    np.testing.assert_allclose(report.scores, [1, 0.6, 0, -1], atol=1e-6)
    assert report.gold.tolist() == [1.0, 0.5, 0.25, 0.0]
    assert (report.name, report.task, report.rows) == ("pairs", "sts", 4)
    assert report.primary == report.metrics["spearman_cosine"]


def test_one_correlation_over_all_rows_is_not_the_mean_of_sources():
    # a: two cosines in the right order, rho 1; b: ranks 1, 3, 2, rho 1/2 (its dots are 30, 1, 4). Together a has the
    # highest golds and the lowest cosines: ranks 4 5 | 1 2 3 and 1 2 | 3 5 4, d^2 = 9 + 9 + 4 + 9 + 1
    rows = by_angle([0.6, 1.0, 0.0, 0.2, 0.4], ["-1 0", "0 1", "30 40", "1 0", "4 3"], ["a", "a", "b", "b", "b"])
    found = evaluate(rows, encoder_judge(Lookup())).metrics
    assert found["spearman_cosine"] == pytest.approx(1 - 6 * 32 / (5 * 24))
    assert found["mean_of_sources"] == pytest.approx((1 + 0.5) / 2)
    assert found["weighted_mean_of_sources"] == pytest.approx((2 * 1 + 3 * 0.5) / 5)


def test_order_of_rows_and_sources_does_not_matter():
    gold, second, sources = [0.6, 1.0, 0.0, 0.2, 0.4], ["-1 0", "0 1", "3 4", "1 0", "4 3"], ["a", "a", "b", "b", "b"]
    order = [3, 0, 4, 1, 2]
    shuffled = by_angle(*([column[i] for i in order] for column in (gold, second, sources)))
    assert evaluate(shuffled, encoder_judge(Lookup())).metrics == pytest.approx(
        evaluate(by_angle(gold, second, sources), encoder_judge(Lookup())).metrics
    )


@pytest.mark.parametrize("sources", [None, ["a"] * 4])
def test_one_source_has_no_mean_of_sources(sources):
    assert (
        "mean_of_sources"
        not in evaluate(by_angle([1.0, 0.5, 0.25, 0.0], FOUR, sources), encoder_judge(Lookup())).metrics
    )


def test_a_source_without_a_correlation_makes_the_mean_undefined():
    rows = by_angle([1.0, 0.5, 0.25, 0.25], FOUR, ["a", "a", "b", "b"])
    found = evaluate(rows, encoder_judge(Lookup())).metrics
    assert math.isnan(found["mean_of_sources"])
    assert math.isnan(found["weighted_mean_of_sources"])
    assert math.isfinite(found["spearman_cosine"])


def test_equal_cosines_are_undefined_and_not_0():
    report = evaluate(by_angle([1.0, 0.5, 0.0], ["3 4"] * 3), encoder_judge(Lookup()))
    assert math.isnan(report.primary)


def test_binary_by_hand():
    # cosines 1, 0.8, 0.6, 0 for 1, 0, 1, 0
    texts = [["1 0"] * 4, ["2 0", "4 3", "3 4", "0 1"]]
    report = evaluate(Rows("pairs", "binary", texts, np.array([1, 0, 1, 0], np.float32)), encoder_judge(Lookup()))
    found = report.metrics
    assert report.primary == found["ap_cosine"] == pytest.approx((1 + 2 / 3) / 2)
    assert (found["f1_cosine"], found["f1_threshold_cosine"]) == pytest.approx((4 / 5, 0.3))
    assert (found["accuracy_cosine"], found["accuracy_threshold_cosine"]) == pytest.approx((3 / 4, 0.9))
    # dots 2, 4, 3, 0 for 1, 0, 1, 0: precision 1/2 at 3, 2/3 at 2
    assert found["ap_dot"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    # distances 1, sqrt 18, sqrt 20, sqrt 2: the order 1, 0, 0, 1
    assert found["ap_euclidean"] == found["ap_manhattan"] == pytest.approx((1 + 2 / 4) / 2)
    assert found["accuracy_threshold_manhattan"] == pytest.approx(-(1 + 2) / 2)
    assert report.scores is None


def test_triplet_by_hand():
    triplets = [
        ("1 0", "2 0", "1 1"),  # angles 0 and 45 degrees, dots 2 and 1, but both at distance 1: a tie
        (
            "1 0",
            "0 1",
            "-1 0",
        ),  # cosines 0 and -1, dots 0 and -1, distances sqrt 2 and 2, but both at 2 in manhattan: a tie
        ("1 0", "-1 0", "1 0"),  # wrong in all
        ("1 0", "1 0", "0 0"),  # right in all: the zero vector has cosine 0
    ]
    report = evaluate(
        Rows("triplets", "triplet", [list(column) for column in zip(*triplets, strict=True)], None),
        encoder_judge(Lookup()),
    )
    assert report.metrics == {
        "accuracy_cosine": 3 / 4,
        "accuracy_dot": 3 / 4,
        "accuracy_euclidean": 2 / 4,
        "accuracy_manhattan": 1 / 4,
    }
    assert report.primary == 3 / 4


@pytest.mark.parametrize(("positive", "negative"), [("0 1", "0 -1"), ("3 4", "3 4"), ("0 0", "0 0")])
def test_a_tie_is_wrong(positive, negative):
    rows = Rows("ties", "triplet", [["1 0"], [positive], [negative]], None)
    assert set(evaluate(rows, encoder_judge(Lookup())).metrics.values()) == {0.0}


@pytest.fixture
def widest_difference():
    """A head whose class is the dimension in which u and v differ most."""
    head = SoftmaxLoss(3, ["|u-v|"]).bind(3)
    head.head.weight.data = torch.eye(3)
    head.head.bias.data.zero_()
    return head


def test_nli_by_hand(widest_difference):
    texts = [["0 0 0", "1 1 1", "5 0 0", "0 2 0"], ["3 1 2", "1 0 1", "5 1 2", "0 -2 9"]]  # classes 0, 1, 2, 2
    report = evaluate(Rows("pairs", "nli", texts, np.array([0, 1, 2, 0])), encoder_judge(Lookup(), widest_difference))
    # 2 TP / (2 TP + FP + FN): class 0 misses one, class 2 takes it
    assert report.metrics == pytest.approx({"accuracy": 0.75, "macro_f1": (2 / 3 + 1 + 2 / 3) / 3})
    assert report.primary == 0.75


def test_nli_takes_embeddings_of_another_type_than_the_head(widest_difference):
    rows = Rows("pairs", "nli", [["0 0 0"], ["3 1 2"]], np.array([0]))
    for dtype in (np.float64, np.float16):
        assert evaluate(rows, encoder_judge(Lookup(dtype), widest_difference)).primary == 1
    assert evaluate(rows, encoder_judge(Lookup(), widest_difference.double())).primary == 1


def test_nli_without_a_head_is_refused():
    with pytest.raises(InputError, match=r"pairs.*SoftmaxLoss"):
        evaluate(Rows("pairs", "nli", [["0 0 0"], ["3 1 2"]], np.array([0])), encoder_judge(Lookup()))


@pytest.mark.parametrize(
    ("task", "columns", "labels"),
    [("sts", 2, [1.0, 0.5, 0.0]), ("binary", 2, [1, 0, 0]), ("nli", 2, [0, 1, 2]), ("triplet", 3, None)],
)
def test_all_texts_are_encoded_in_one_call(task, columns, labels, widest_difference):
    texts = [[f"{c} {row} 1" for row in range(3)] for c in range(columns)]
    encode = Lookup()
    report = evaluate(
        Rows("rows", task, texts, None if labels is None else np.array(labels)),
        encoder_judge(encode, widest_difference),
    )
    assert encode.calls == [[text for column in texts for text in column]]
    assert report.rows == 3
    assert PRIMARY[task].format("cosine") == report.main
    assert report.main in report.metrics


def test_every_task_has_a_primary_metric():
    assert set(PRIMARY) == set(TASKS)


def test_mean_primary_is_over_datasets_and_not_over_rows():
    many = Report("many", "sts", 1000, {"spearman_cosine": 0.9, "pearson_cosine": 0.1})
    few = Report("few", "triplet", 10, {"accuracy_cosine": 0.5, "accuracy_dot": 0.0})
    assert mean_primary([many]) == 0.9
    assert mean_primary([many, few]) == pytest.approx(0.7)
    assert math.isnan(mean_primary([many, Report("none", "sts", 2, {"spearman_cosine": math.nan})]))
