"""The scores of the rows whose pairs or sentences were seen in training, and of the others."""

import math

import numpy as np
import pytest

from sbert.data.leakage import SeenTexts, check_contamination
from sbert.data.rows import Rows
from sbert.evaluation import metrics
from sbert.evaluation.bootstrap import Spearman
from sbert.evaluation.report import Report
from sbert.evaluation.results import scores_by_overlap


def test_scores_of_seen_and_unseen_rows():
    scores, gold = np.array([0.1, 0.2, 0.5, 0.4, 0.9, 0.3]), np.array([0, 0.2, 0.1, 0.4, 0.6, 1])
    texts = [["a", "b", "c", "d", "e", "f"], ["g", "h", "i", "j", "k", "l"]]
    seen = SeenTexts({}, set("gadjfzke"), {("a", "g"), ("d", "j"), ("f", "z"), ("e", "k")})
    report = Report(
        "test", "sts", 6, {}, bootstrap_metrics={"spearman_cosine": Spearman(scores, gold)}
    )
    found = scores_by_overlap(report, check_contamination(Rows("test", "sts", texts, gold), seen))
    parts = {
        "all": [0, 1, 2, 3, 4, 5],
        "pair unseen": [1, 2, 5],
        "pair seen": [0, 3, 4],
        "no sentence seen": [1, 2],
    }
    assert found == pytest.approx(
        {name: metrics.spearman(scores[rows], gold[rows]) for name, rows in parts.items()}
    )
    assert len({round(value, 3) for value in found.values()}) > 2, "or the test shows nothing"
    nothing = check_contamination(
        Rows("test", "sts", texts, gold),
        SeenTexts({}, {"other"}, set()),
    )
    assert math.isnan(scores_by_overlap(report, nothing)["pair seen"])
