"""Single texts by a head and by their neighbours, on vectors that are typed by hand."""

import math

import numpy as np
import pytest
import torch
from evaluation_inputs import Lookup, Predict

from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation.evaluators import evaluate_rows
from sbert.evaluation.scorers import bi_encoder_scorer
from sbert.losses.saved import TrainedLoss
from sbert.losses.softmax import SoftmaxLoss

TEXTS = ["1 0", "3 1", "0 1", "1 4", "1 3"]


def topics(labels: list[int], classes: str, texts: list[str] = TEXTS) -> Rows:
    lines = np.arange(len(labels)) + 2
    return Rows(
        "topics",
        "class",
        [texts],
        np.array(labels),
        classes=list(classes),
        files=["t.tsv"],
        lines=lines,
    )


def largest_number(classes: str, dataset: str | None = None) -> TrainedLoss:
    """A head whose logits are the numbers of the vector."""
    loss = SoftmaxLoss(len(classes), ["u"]).bind(len(classes))
    loss.head.weight.data = torch.eye(len(classes))
    loss.head.bias.data.zero_()
    return TrainedLoss(loss, list(classes), dataset)


def test_a_head_by_hand():
    scorer = bi_encoder_scorer(Lookup(), [largest_number("xy")])
    report = evaluate_rows(topics([0, 1, 1, 1, 1], "xy"), scorer)  # the second is taken for an x
    # F1 of x: 2 / (2 + 1 + 0), of y: 2 * 3 / (2 * 3 + 0 + 1)
    expected = {"accuracy_head": 4 / 5, "macro_f1_head": (2 / 3 + 6 / 7) / 2}
    assert report.metrics == pytest.approx(expected)
    assert (report.primary, report.score_name) == (4 / 5, "head")
    [correct] = report.bootstrap_metrics["accuracy_head"].columns.values()
    assert correct.tolist() == [1, 0, 1, 1, 1]


def test_the_head_knows_classes_by_their_names():
    scorer = bi_encoder_scorer(Lookup(), [largest_number("xy")])
    same = evaluate_rows(topics([1, 0, 0, 0, 0], "yx"), scorer)
    assert same.metrics["accuracy_head"] == 4 / 5
    part = evaluate_rows(topics([0, 0, 0], "y", TEXTS[2:]), scorer)
    assert part.metrics["accuracy_head"] == 1


def test_a_class_that_the_head_does_not_know_is_refused():
    scorer = bi_encoder_scorer(Lookup(), [largest_number("xy")])
    with pytest.raises(InputError) as error:
        evaluate_rows(topics([0, 0, 1, 0, 0], "xz"), scorer)
    assert str(error.value) == "t.tsv, line 4: unknown label 'z'; the classes are x, y"


def test_which_head_is_for_single_texts():
    pairs = TrainedLoss(SoftmaxLoss(2).bind(2), list("xy"), "nli")
    heads = [pairs, largest_number("xy", "a"), largest_number("uv", "b")]
    scorer = bi_encoder_scorer(Lookup(), heads)
    assert evaluate_rows(topics([0] * 5, "v"), scorer).metrics["accuracy_head"] == 3 / 5
    without = bi_encoder_scorer(Lookup(), [pairs])
    assert "accuracy_cosine" in evaluate_rows(topics([0] * 5, "v"), without).metrics


def test_neighbours_by_hand():
    """The nearest other text by the cosine: 1 0 and 3 1 of each other, 0 1 and 1 3 of 1 4."""
    report = evaluate_rows(topics([0, 0, 1, 1, 0], "xy"), bi_encoder_scorer(Lookup()))
    # predicted: x, x, y, by the nearest of 1 4, and y
    [correct] = report.bootstrap_metrics["accuracy_cosine"].columns.values()
    assert correct.tolist() == [1, 1, 1, 0, 0]
    assert report.metrics["accuracy_cosine"] == report.primary == 3 / 5
    assert report.notes == [
        "topics: no head of single texts was trained: a text gets the class of the nearest other "
        "text"
    ]


def test_a_single_text_has_no_neighbour():
    report = evaluate_rows(topics([0], "x", ["1 0"]), bi_encoder_scorer(Lookup()))
    assert math.isnan(report.metrics["accuracy_cosine"])
    assert any("no two texts are of one class" in note for note in report.notes)


@pytest.mark.parametrize(
    ("task", "scorer", "message"),
    [
        ("text", bi_encoder_scorer(Lookup()), "topics: task text has no labels to evaluate by"),
        ("class", Predict(2).scorer(), "topics: task class has single texts, and a cross-encoder"),
        ("class", Predict(1).scorer(), "topics: task class has single texts, and a cross-encoder"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(task, scorer, message):
    rows = topics([0] * 5, "x")
    rows.task = task
    with pytest.raises(InputError) as error:
        evaluate_rows(rows, scorer)
    assert str(error.value).startswith(message)
