"""Reports: the primary metric of each task and its mean, the metrics that can be resampled."""

import math

import numpy as np
import pytest
from evaluation_inputs import FOUR, Lookup, Predict, by_angle, classified, scored

from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation.evaluators import EVALUATORS, evaluate_rows
from sbert.evaluation.report import COLUMNS, Report, factor_of, main_factor, mean_primary
from sbert.evaluation.scorers import bi_encoder_scorer
from sbert.losses.saved import TrainedLoss


def test_every_task_has_columns_the_primary_metric_first():
    assert set(COLUMNS) == set(EVALUATORS)


def test_mean_primary_is_over_datasets_and_not_over_rows():
    many = Report("many", "sts", 1000, {"spearman_cosine": 0.9, "pearson_cosine": 0.1})
    few = Report("few", "triplet", 10, {"accuracy_cosine": 0.5, "accuracy_dot": 0.0})
    assert mean_primary([many]) == 0.9
    assert mean_primary([many, few]) == pytest.approx(0.7)
    assert math.isnan(mean_primary([many, Report("none", "sts", 2, {"spearman_cosine": math.nan})]))


def test_a_language_model_is_judged_by_its_texts_alone():
    """By minus the mean loss of all masked tokens, 3 of the first text and 1 of the second."""
    rows = Rows("wiki", "text", [["a", "b"]], None, lines=np.array([1, 2]))
    scorer = bi_encoder_scorer(Lookup())
    with pytest.raises(InputError, match="wiki: task text has no labels to evaluate by"):
        evaluate_rows(rows, scorer)
    scorer.token_losses = lambda columns, prompts: np.array([[6.0, 3], [4.0, 1]])
    report = evaluate_rows(rows, scorer)
    perplexity = pytest.approx(math.exp(2.5))
    assert report.metrics == {"negative_loss": -2.5, "loss": 2.5, "perplexity": perplexity}
    assert report.bootstrap_metrics["negative_loss"].of_subset(np.array([False, True])) == -4
    pairs = Report("pairs", "sts", 10, {"spearman_cosine": 0.9})
    assert mean_primary([pairs, report]) == -2.5
    assert (pairs.factor, report.factor) == (100, 1)
    assert main_factor([pairs.primary_metric, report.primary_metric]) == 1
    assert factor_of("perplexity_de") == factor_of("negative_loss_crossed") == 1


def test_notes_of_one_report_are_not_anothers():
    first, second = (Report(name, "sts", 1, {}) for name in "ab")
    first.notes.append("mine")
    assert second.notes == []


def test_mean_primary_is_of_each_models_own_score():
    logits = evaluate_rows(scored("sts", [1, 0.5, 0], [3, 2, 1]), Predict().scorer())
    classes = evaluate_rows(classified([0, 1], [[1, 0], [1, 0]]), Predict(2).scorer())
    assert mean_primary([logits, classes]) == pytest.approx((1 + 0.5) / 2)


SCORES = ("cosine", "dot", "euclidean", "manhattan")
BINARY = Rows(
    "p", "binary", [["1 0"] * 4, ["2 0", "4 3", "3 4", "0 1"]], np.array([1, 0, 1, 0], np.float32)
)
RERANK = Rows(
    "p", "rerank", [["1 0"] * 3 + ["0 1"], ["3 4", "0 1", "1 0", "0 1"]], np.array([1, 0, 2, 0])
)
# of each task: rows, and the metrics that can be resampled
SAMPLED = {
    "sts": (
        by_angle([1.0, 0.5, 0.25, 0.0], FOUR),
        {f"{name}_{score}" for name in ("spearman", "pearson") for score in SCORES},
    ),
    "binary": (BINARY, {f"ap_{score}" for score in SCORES}),
    "triplet": (
        Rows("p", "triplet", [["1 0", "1 0"], ["0 1", "2 0"], ["1 1", "0 2"]], None),
        {f"accuracy_{score}" for score in SCORES},
    ),
    "nli": (
        Rows("p", "nli", [["0 0 0"] * 2, ["3 1 2", "1 5 2"]], np.array([0, 2])),
        {"accuracy"},
    ),
    "rerank": (
        RERANK,
        {f"{name}_{score}" for name in ("map", "mrr@10", "ndcg@10") for score in SCORES},
    ),
}


@pytest.mark.parametrize("task", SAMPLED)
def test_what_can_be_resampled_is_the_metric(task, widest_difference):
    rows, names = SAMPLED[task]
    report = evaluate_rows(rows, bi_encoder_scorer(Lookup(), [TrainedLoss(widest_difference)]))
    assert set(report.bootstrap_metrics) == names
    assert report.primary_metric in names
    for name, sample in report.bootstrap_metrics.items():
        assert sample.of_subset(np.ones(sample.rows, bool)) == pytest.approx(report.metrics[name])
    assert report.bootstrap_metrics[report.primary_metric].rows == (
        2 if task == "rerank" else report.rows
    ), "rows, or queries"
