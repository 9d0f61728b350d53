"""Tables of results and differences: intervals, averages, the better score in bold,
scores of seen and unseen rows."""

import math

import numpy as np
import pytest
from evaluation_inputs import cells, compared, noisy_report, undefined_difference

from sbert.data.leakage import SeenTexts, check_contamination
from sbert.data.rows import Rows
from sbert.evaluation import metrics
from sbert.evaluation.bootstrap import Spearman
from sbert.evaluation.report import Report
from sbert.evaluation.results import Result, bootstrap_reports, compare
from sbert.evaluation.significance import bootstrap_interval
from sbert.evaluation.tables import (
    differences_table,
    language_table,
    results_table,
    scores_by_overlap,
)


def test_the_interval_stands_behind_the_primary_metric():
    results = bootstrap_reports([noisy_report(0.2)], 300, 0, "pairs")
    head, _, row = cells(results_table(results))
    assert head[:5] == ["sts", "rows", "Spearman", "95 % interval", "Pearson"]
    low, high = results[0].intervals["spearman_cosine"]
    assert row[3] == f"{100 * low:.1f} to {100 * high:.1f}"


def test_without_resamples_there_is_no_interval_and_nothing_is_bold():
    first, second = bootstrap_reports([noisy_report(0.2), noisy_report(0.4)], 0, 0, "pairs")
    assert cells(results_table([first]))[0][:4] == ["sts", "rows", "Spearman", "Pearson"]
    assert "**" not in differences_table([compare(first, second, "the baseline")])


def report_of_languages(name: str, languages: list[str], **metrics: float) -> Report:
    named = {f"spearman_cosine_{part}".removesuffix("_all"): x for part, x in metrics.items()}
    return Report(name, "sts", len(languages), named, languages=languages)


def test_the_metrics_of_each_language_of_crossed_rows_and_of_all_stand_side_by_side():
    both = report_of_languages(
        "both", ["de", "en", "de-en", "en-de"], de=0.8, en=0.9, crossed=0.7, all=0.75
    )
    apart = report_of_languages("apart", ["fr", "de"], fr=0.5, de=0.6, all=0.55)
    single = report_of_languages("single", ["de", "de"], all=0.4)
    results = [Result(both), Result(apart), Result(single)]
    rows = cells(language_table(results, [Result(both)]))
    assert rows[0] == ["dataset", "metric", "de", "en", "fr", "crossed", "all"]
    assert rows[2:] == [
        ["both", "Spearman", "80.00", "90.00", "-", "70.00", "75.00"],
        ["apart", "Spearman", "60.00", "-", "50.00", "-", "55.00"],
        ["both, baseline", "Spearman", "80.00", "90.00", "-", "70.00", "75.00"],
    ]
    assert language_table([Result(single)], []) == ""


def test_the_average_of_several_sts_datasets_has_an_interval():
    results = []
    for name in "abcd":
        results += bootstrap_reports([noisy_report(0.1, name)], 2000, 0, name)
    row = cells(results_table(results))[-1]
    replicates = np.mean([result.primary_replicates for result in results], axis=0)
    low, high = bootstrap_interval(replicates)
    assert (row[0], row[3]) == ("average", f"{100 * low:.1f} to {100 * high:.1f}")


def test_the_better_score_is_bold_outside_the_noise_alone():
    clear = compared(noisy_report(0.4), noisy_report(0.1))
    slight = compared(noisy_report(0.2, seed=1), noisy_report(0.2, seed=2))
    head, _, first, second = cells(differences_table([clear, slight]))
    expected = "compared, with, metric, score, other score, difference, 95 % interval, p"
    assert head == expected.split(", ")
    assert first[:3] == ["pairs", "the baseline", "Spearman"]
    assert first[3:5] == [f"{100 * clear.first:.2f}", f"**{100 * clear.second:.2f}**"]
    assert second[3:5] == [f"{100 * slight.first:.2f}", f"{100 * slight.second:.2f}"]
    assert (first[-1], second[-1]) == ("0.004", f"{slight.p:.3f}")
    reverse = compared(noisy_report(0.1), noisy_report(0.4), resamples=5000)
    row = cells(differences_table([reverse]))[2]
    assert row[3].startswith("**")
    assert row[-1] == "< 0.001"


def test_equal_models_do_not_differ():
    equal = compared(noisy_report(0.2), noisy_report(0.2))
    assert cells(differences_table([equal]))[2][5:] == ["0.00", "0.00 to 0.00", "1.000"]


def test_an_undefined_difference_is_not_bold():
    assert "**" not in differences_table([undefined_difference()])


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
