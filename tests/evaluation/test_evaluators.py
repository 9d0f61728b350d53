"""Evaluators on vectors and logits that are typed by hand."""

import math

import numpy as np
import pytest
from evaluation_inputs import FOUR, Lookup, Predict, by_angle, classified, scored

from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation.evaluators import evaluate_rows, undefined_metric
from sbert.evaluation.scorers import bi_encoder_scorer
from sbert.losses.saved import TrainedLoss


def test_sts_by_hand():
    found = evaluate_rows(
        by_angle([1.0, 0.5, 0.25, 0.0], FOUR), bi_encoder_scorer(Lookup())
    ).metrics
    # Spearman from rank differences: 1 - 6 sum d^2 / (4 * 15)
    assert found["spearman_cosine"] == pytest.approx(1)
    assert found["spearman_dot"] == pytest.approx(1 - 6 * 2 / 60)
    assert found["spearman_euclidean"] == pytest.approx(1 - 6 * 8 / 60)
    assert found["spearman_manhattan"] == pytest.approx(1 - 6 * 8 / 60)
    # deviations 0.85, 0.45, -0.15, -1.15 and 0.5625, 0.0625, -0.1875, -0.4375
    assert found["pearson_cosine"] == pytest.approx(1.0375 / math.sqrt(2.27 * 0.546875), rel=1e-6)
    assert set(found) == {
        f"{r}_{k}"
        for r in ("spearman", "pearson")
        for k in ("cosine", "dot", "euclidean", "manhattan")
    }


def test_sts_keeps_cosines_and_gold():
    report = evaluate_rows(by_angle([1.0, 0.5, 0.25, 0.0], FOUR), bi_encoder_scorer(Lookup()))
    np.testing.assert_allclose(report.scores, [1, 0.6, 0, -1], atol=1e-6)
    assert report.gold.tolist() == [1.0, 0.5, 0.25, 0.0]
    assert (report.name, report.task, report.rows) == ("pairs", "sts", 4)
    assert report.primary == report.metrics["spearman_cosine"]


def test_one_correlation_over_all_rows_is_not_the_mean_of_sources():
    # a: two cosines in the right order, rho 1; b: ranks 1, 3, 2, rho 1/2 (its dots are 30, 1, 4).
    # Together a has the highest golds and the lowest cosines: ranks 4 5 | 1 2 3 and 1 2 | 3 5 4,
    # d^2 = 9 + 9 + 4 + 9 + 1
    rows = by_angle(
        [0.6, 1.0, 0.0, 0.2, 0.4], ["-1 0", "0 1", "30 40", "1 0", "4 3"], ["a", "a", "b", "b", "b"]
    )
    found = evaluate_rows(rows, bi_encoder_scorer(Lookup())).metrics
    assert found["spearman_cosine"] == pytest.approx(1 - 6 * 32 / (5 * 24))
    assert found["mean_of_sources"] == pytest.approx((1 + 0.5) / 2)
    assert found["weighted_mean_of_sources"] == pytest.approx((2 * 1 + 3 * 0.5) / 5)


def test_order_of_rows_and_sources_does_not_matter():
    gold, second, sources = (
        [0.6, 1.0, 0.0, 0.2, 0.4],
        ["-1 0", "0 1", "3 4", "1 0", "4 3"],
        ["a", "a", "b", "b", "b"],
    )
    order = [3, 0, 4, 1, 2]
    shuffled = by_angle(*([column[i] for i in order] for column in (gold, second, sources)))
    assert evaluate_rows(shuffled, bi_encoder_scorer(Lookup())).metrics == pytest.approx(
        evaluate_rows(by_angle(gold, second, sources), bi_encoder_scorer(Lookup())).metrics
    )


@pytest.mark.parametrize("sources", [None, ["a"] * 4])
def test_one_source_has_no_mean_of_sources(sources):
    assert (
        "mean_of_sources"
        not in evaluate_rows(
            by_angle([1.0, 0.5, 0.25, 0.0], FOUR, sources), bi_encoder_scorer(Lookup())
        ).metrics
    )


def test_a_source_without_a_correlation_makes_the_mean_undefined():
    rows = by_angle([1.0, 0.5, 0.25, 0.25], FOUR, ["a", "a", "b", "b"])
    found = evaluate_rows(rows, bi_encoder_scorer(Lookup())).metrics
    assert math.isnan(found["mean_of_sources"])
    assert math.isnan(found["weighted_mean_of_sources"])
    assert math.isfinite(found["spearman_cosine"])


def test_equal_cosines_are_undefined_and_not_0():
    report = evaluate_rows(by_angle([1.0, 0.5, 0.0], ["3 4"] * 3), bi_encoder_scorer(Lookup()))
    assert math.isnan(report.primary)


def test_binary_by_hand():
    # cosines 1, 0.8, 0.6, 0 for 1, 0, 1, 0
    texts = [["1 0"] * 4, ["2 0", "4 3", "3 4", "0 1"]]
    report = evaluate_rows(
        Rows("pairs", "binary", texts, np.array([1, 0, 1, 0], np.float32)),
        bi_encoder_scorer(Lookup()),
    )
    found = report.metrics
    assert report.primary == found["ap_cosine"] == pytest.approx((1 + 2 / 3) / 2)
    assert (found["f1_cosine"], found["f1_threshold_cosine"]) == pytest.approx((4 / 5, 0.3))
    assert (found["accuracy_cosine"], found["accuracy_threshold_cosine"]) == pytest.approx(
        (3 / 4, 0.9)
    )
    # dots 2, 4, 3, 0 for 1, 0, 1, 0: precision 1/2 at 3, 2/3 at 2
    assert found["ap_dot"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    # distances 1, sqrt 18, sqrt 20, sqrt 2: the order 1, 0, 0, 1
    assert found["ap_euclidean"] == found["ap_manhattan"] == pytest.approx((1 + 2 / 4) / 2)
    assert found["accuracy_threshold_manhattan"] == pytest.approx(-(1 + 2) / 2)
    assert report.scores is None


def test_triplet_by_hand():
    triplets = [
        # angles 0 and 45 degrees, dots 2 and 1, but both at distance 1: a tie
        ("1 0", "2 0", "1 1"),
        # cosines 0 and -1, dots 0 and -1, distances sqrt 2 and 2; Manhattan distances equal: a tie
        ("1 0", "0 1", "-1 0"),
        ("1 0", "-1 0", "1 0"),  # wrong in all
        ("1 0", "1 0", "0 0"),  # right in all: the zero vector has cosine 0
    ]
    report = evaluate_rows(
        Rows("triplets", "triplet", [list(column) for column in zip(*triplets, strict=True)], None),
        bi_encoder_scorer(Lookup()),
    )
    assert report.metrics == {
        "accuracy_cosine": 3 / 4,
        "accuracy_dot": 3 / 4,
        "accuracy_euclidean": 2 / 4,
        "accuracy_manhattan": 1 / 4,
    }
    assert report.primary == 3 / 4


@pytest.mark.parametrize(
    ("positive", "negative"), [("0 1", "0 -1"), ("3 4", "3 4"), ("0 0", "0 0")]
)
def test_a_tie_is_wrong(positive, negative):
    rows = Rows("ties", "triplet", [["1 0"], [positive], [negative]], None)
    assert set(evaluate_rows(rows, bi_encoder_scorer(Lookup())).metrics.values()) == {0.0}


def test_nli_by_hand(widest_difference):
    texts = [
        ["0 0 0", "1 1 1", "5 0 0", "0 2 0"],
        ["3 1 2", "1 0 1", "5 1 2", "0 -2 9"],
    ]  # classes 0, 1, 2, 2
    report = evaluate_rows(
        Rows("pairs", "nli", texts, np.array([0, 1, 2, 0])),
        bi_encoder_scorer(Lookup(), [TrainedLoss(widest_difference)]),
    )
    # 2 TP / (2 TP + FP + FN): class 0 misses one, class 2 takes it
    assert report.metrics == pytest.approx({"accuracy": 0.75, "macro_f1": (2 / 3 + 1 + 2 / 3) / 3})
    assert report.primary == 0.75


def test_sts_of_logits_by_hand():
    # ranks 4, 3, 2, 1 and 3, 4, 2, 1; logits of any size, for a correlation needs no probabilities
    report = evaluate_rows(scored("sts", [1, 0.5, 0.25, 0], [3, 7, -1, -40]), Predict().scorer())
    assert report.metrics == {
        "spearman_logit": pytest.approx(1 - 6 * 2 / 60),
        "pearson_logit": pytest.approx(np.corrcoef([3, 7, -1, -40], [1, 0.5, 0.25, 0])[0, 1]),
    }
    assert (report.score_name, report.primary_metric, report.primary) == (
        "logit",
        "spearman_logit",
        report.metrics["spearman_logit"],
    )
    assert report.scores.tolist() == [3, 7, -1, -40]
    assert report.gold.tolist() == [1, 0.5, 0.25, 0]
    assert report.notes == []


def test_sts_of_logits_over_sources():
    found = evaluate_rows(
        scored("sts", [0, 1, 1, 0], [1, 2, 3, 4], sources=list("aabb")), Predict().scorer()
    ).metrics
    assert found["mean_of_sources"] == found["weighted_mean_of_sources"] == pytest.approx(0)
    assert set(found) == {
        "spearman_logit",
        "pearson_logit",
        "mean_of_sources",
        "weighted_mean_of_sources",
    }


def test_binary_of_logits_by_hand():
    report = evaluate_rows(scored("binary", [1, 0, 1, 0], [9, 2, -1, -30]), Predict().scorer())
    assert report.metrics == {
        "ap_logit": pytest.approx((1 + 2 / 3) / 2),
        "f1_logit": pytest.approx(4 / 5),
        "f1_threshold_logit": -15.5,
        "accuracy_logit": 0.75,
        "accuracy_threshold_logit": 5.5,
    }
    assert report.primary_metric == "ap_logit"


def test_triplets_of_logits_by_hand():
    rows = Rows("triplets", "triplet", [["a", "b", "c"], ["1", "2", "-3"], ["0", "2", "-4"]], None)
    report = evaluate_rows(rows, Predict().scorer())
    assert report.metrics == {"accuracy_logit": pytest.approx(2 / 3)}
    assert report.primary_metric == "accuracy_logit"


def test_classes_of_logits_by_hand():
    # told 0, 1, 2, 2 and no thresholds: the largest logit of each row
    rows = classified([0, 1, 2, 0], [[5, 4, 3], [-3, -1, -2], [0, 0, 1], [8, 8, 9]])
    report = evaluate_rows(rows, Predict(3).scorer())
    assert report.metrics == {"accuracy": 0.75, "macro_f1": pytest.approx((2 / 3 + 1 + 2 / 3) / 3)}
    assert report.primary_metric == "accuracy"


def test_rerank_of_logits_by_hand():
    # a: the order y (0), x (1); b: z (2), w (0), v (1). The rows of a query need not stand together
    rows = scored("rerank", [1, 2, 0, 0, 1], [1, 30, 2, 20, 10], ["a", "b", "a", "b", "b"])
    report = evaluate_rows(rows, Predict().scorer())
    assert report.metrics == {
        "map_logit": pytest.approx((1 / 2 + (1 + 2 / 3) / 2) / 2),
        "mrr@10_logit": pytest.approx((1 / 2 + 1) / 2),
        "ndcg@10_logit": pytest.approx(
            (1 / math.log2(3) + (2 + 1 / 2) / (2 + 1 / math.log2(3))) / 2
        ),
    }
    assert (report.primary_metric, report.rows, report.scores, report.notes) == (
        "ndcg@10_logit",
        5,
        None,
        [],
    )


def test_equal_logits_gain_nothing_in_a_ranking():
    report = evaluate_rows(scored("rerank", [1, 0, 0], [0, 0, 0], ["q"] * 3), Predict().scorer())
    assert report.metrics["mrr@10_logit"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "classes", [["no", "yes"], ["yes", "no", "maybe"], ["no", "maybe"]], ids=str
)
def test_other_classes_than_the_models_are_refused(classes):
    predict = Predict(len(classes))
    rows = classified([0], [[0] * len(classes)], classes=["yes", "no"])
    with pytest.raises(InputError) as error:
        evaluate_rows(rows, predict.scorer(classes))
    assert str(error.value) == f"pairs: classes ['yes', 'no']; the model was trained on {classes}"
    assert predict.calls == []


@pytest.mark.parametrize("dim", [2, 4])
def test_another_number_of_classes_is_refused(dim):
    rows = classified([0], [[0] * dim], classes=["yes", "no", "maybe"])
    with pytest.raises(InputError) as error:
        evaluate_rows(rows, Predict(dim).scorer())
    assert str(error.value) == f"pairs: 3 classes; the model has {dim}"


@pytest.mark.parametrize("mine", [None, ["yes", "no"]])
@pytest.mark.parametrize("models", [None, ["yes", "no"]])
def test_the_same_classes_and_unknown_ones_are_judged(mine, models):
    rows = classified([0, 1], [[1, 0], [3, 2]], classes=mine)
    assert evaluate_rows(rows, Predict(2).scorer(models)).primary == 0.5


def test_a_head_of_other_classes_is_refused(widest_difference):
    texts = [["0 0 0"], ["3 1 2"]]
    scorer = bi_encoder_scorer(Lookup(), [TrainedLoss(widest_difference, ["a", "b", "c"])])
    with pytest.raises(
        InputError, match=r"^pairs: classes \['c', 'b', 'a'\]; the model was trained on"
    ):
        evaluate_rows(Rows("pairs", "nli", texts, np.array([0]), classes=["c", "b", "a"]), scorer)
    assert (
        evaluate_rows(
            Rows("pairs", "nli", texts, np.array([0]), classes=["a", "b", "c"]), scorer
        ).primary
        == 1
    )


def labelled(task, labels, queries=None):
    return scored(task, labels, range(len(labels)), queries)


UNDEFINED = {
    "sts": (labelled("sts", [0.5] * 3), "pairs: all 3 labels are 0.5: a correlation is undefined"),
    "many": (
        labelled("sts", [0] * 1234),
        "pairs: all 1,234 labels are 0: a correlation is undefined",
    ),
    "binary": (
        labelled("binary", [1, 1]),
        "pairs: all 2 labels are 1: average precision is undefined",
    ),
    "rerank": (
        labelled("rerank", [0, 0, 0], list("aab")),
        "pairs: no query has a relevant candidate: nDCG is undefined",
    ),
}


@pytest.mark.parametrize(("rows", "reason"), UNDEFINED.values(), ids=UNDEFINED)
def test_a_metric_that_no_model_can_have_is_told_and_is_nan(rows, reason):
    assert undefined_metric(rows) == reason
    report = evaluate_rows(rows, Predict().scorer())
    assert report.notes[0] == reason
    assert math.isnan(report.primary)


@pytest.mark.parametrize(
    "rows",
    [
        labelled("sts", [0.5, 0.5, 0.25]),
        labelled("binary", [0, 1]),
        labelled("rerank", [0.5, 0.5], ["q", "q"]),  # any order is right, but one can be said
        classified([1, 1], [[0, 1], [1, 0]]),  # accuracy needs no second class
        Rows("pairs", "triplet", [["a"], ["1"], ["0"]], None),
    ],
    ids=lambda rows: rows.task,
)
def test_a_metric_that_is_defined_has_no_note(rows):
    assert undefined_metric(rows) is None
    report = evaluate_rows(rows, Predict(2 if rows.task == "nli" else 1).scorer())
    assert report.notes == []
    assert math.isfinite(report.primary)


def test_queries_left_out_are_counted_in_a_note():
    rows = labelled("rerank", [0, 1, 0, 0, 0], ["a", "b", "a", "c", "b"])
    report = evaluate_rows(rows, Predict().scorer())
    assert report.notes == ["2 of 3 queries have no relevant candidate and are left out"]
    # b alone: logits 1 and 4, the relevant one behind
    assert report.metrics["mrr@10_logit"] == 0.5


def test_large_counts_of_queries_have_commas():
    rows = labelled("rerank", [1] + [0] * 2000, [f"q{i}" for i in range(2001)])
    expected = "2,000 of 2,001 queries have no relevant candidate and are left out"
    assert evaluate_rows(rows, Predict().scorer()).notes == [expected]


# a row: the positive's logit, the negatives' (None: missing), is it right?
SEVERAL = {
    "above all": (3, [1, 2], True),
    "below the first": (2, [3, 1], False),
    "below the last": (2, [1, 3], False),
    "below all": (0, [1, 2], False),
    "tied with the last": (2, [1, 2], False),
    "tied with the first": (2, [2, 1], False),
    "above the only one": (-5, [-6, None], True),
    "below the only one": (-7, [-6, None], False),
    "tied with the only one": (-6, [-6, None], False),
    "above two with a gap": (0, [-1, None, -2], True),
    "below the one behind a gap": (0, [-1, None, 1], False),
}


def triplets(cases):
    width = max(len(negatives) for _, negatives, _ in cases)
    rows = [
        [positive, *negatives] + [None] * (width - len(negatives))
        for positive, negatives, _ in cases
    ]
    texts = [[None if x is None else str(x) for x in column] for column in zip(*rows, strict=True)]
    return Rows("triplets", "triplet", [[f"anchor {i}" for i in range(len(rows))], *texts], None)


@pytest.mark.parametrize("case", SEVERAL.values(), ids=SEVERAL)
def test_right_is_above_every_negative_that_is_there(case):
    assert evaluate_rows(triplets([case]), Predict().scorer()).metrics == {
        "accuracy_logit": float(case[-1])
    }


def test_rows_with_few_and_with_many_negatives_count_alike():
    cases = list(SEVERAL.values())
    predict = Predict()
    report = evaluate_rows(triplets(cases), predict.scorer())
    assert report.metrics == {"accuracy_logit": sum(right for *_, right in cases) / len(cases)}
    there = sum(1 + sum(x is not None for x in negatives) for _, negatives, _ in cases)
    assert [len(pairs) for pairs in predict.calls] == [there], "a missing negative is not judged"


def test_an_encoder_judges_several_negatives_by_each_of_its_scores():
    texts = [
        ["1 0", "1 0", "1 0"],
        [
            "4 3",
            "1 0",
            "5 1",
        ],  # cosines 0.8, 1, 0.98; dots 4, 1, 5; distances sqrt 18, 0, sqrt 17; manhattan 6, 0, 5
        ["0 1", "-1 0", "4 3"],  # 0, -1, 0.8; 0, -1, 4; sqrt 2, 2, sqrt 18; 2, 2, 6
        [None, "2 0", "2 2"],  # -, 1, 0.7; -, 2, 2; -, 1, sqrt 5; -, 1, 3
    ]
    encode = Lookup()
    report = evaluate_rows(Rows("triplets", "triplet", texts, None), bi_encoder_scorer(encode))
    right = {"cosine": 2, "dot": 2, "euclidean": 1, "manhattan": 1}
    assert report.metrics == {f"accuracy_{kind}": pytest.approx(n / 3) for kind, n in right.items()}
    assert len(encode.calls) == 1
    assert sorted(encode.calls[0]) == sorted(
        {x for column in texts for x in column if x is not None}
    )


def test_an_encoder_judges_rankings_by_each_of_its_scores():
    # to the query 1 0: cosines 0.6, 0, 1, dots 6, 0, 1, distances sqrt 89, sqrt 2, 0,
    # Manhattan distances 13, 2, 0
    texts = [["1 0", "1 0", "1 0", "0 2"], ["6 8", "0 1", "1 0", "0 1"]]
    encode = Lookup()
    report = evaluate_rows(
        Rows("pairs", "rerank", texts, np.array([1, 0, 0, 0], np.float32)),
        bi_encoder_scorer(encode),
    )
    ranks = {"cosine": 2, "dot": 1, "euclidean": 3, "manhattan": 3}
    assert report.metrics == pytest.approx(
        {f"{name}_{kind}": 1 / rank for kind, rank in ranks.items() for name in ("map", "mrr@10")}
        | {f"ndcg@10_{kind}": 1 / math.log2(rank + 1) for kind, rank in ranks.items()}
    )
    assert report.primary_metric == "ndcg@10_cosine"
    assert report.notes == ["1 of 2 queries have no relevant candidate and are left out"]
    assert encode.calls == [["1 0", "0 2", "6 8", "0 1"]]
