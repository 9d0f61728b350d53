"""The scores of rows on disk: metrics come back to the bit; clusters of rows; a damaged file."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation_inputs import FOUR, Lookup, Predict, by_angle, classified

from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation.bootstrap import resample
from sbert.evaluation.evaluators import clusters_of_lines, evaluate_rows
from sbert.evaluation.scorers import bi_encoder_scorer
from sbert.evaluation.scores import SCORES_FILE, digest_texts, read_scores, save_scores

STS = by_angle([1.0, 0.5, 0.25, 0.0], FOUR)
BINARY = Rows(
    "a/b", "binary", [["1 0"] * 4, ["2 0", "4 3", "3 4", "0 1"]], np.array([1, 0, 1, 0], np.float32)
)


def test_metrics_come_back_to_the_bit(tmp_path):
    scorer = bi_encoder_scorer(Lookup())
    datasets = [STS, BINARY, classified([0, 1, 1], [[1, 0], [1, 0], [0, 1]])]
    datasets[2].name = "nli"
    reports = [evaluate_rows(rows, scorer) for rows in datasets[:2]]
    reports.append(evaluate_rows(datasets[2], Predict(2).scorer()))
    save_scores(tmp_path, datasets, reports)
    saved = read_scores(tmp_path)
    assert list(saved) == [rows.name for rows in datasets]
    for rows, report in zip(datasets, reports, strict=True):
        found = saved[rows.name]
        assert (found.digest, found.clusters) == (digest_texts(rows.texts), None)
        assert found.metrics.keys() == report.bootstrap_metrics.keys()
        for name, metric in found.metrics.items():
            every = np.ones(metric.rows, bool)
            assert metric.of_subset(every) == pytest.approx(report.metrics[name], abs=1e-12)
            expected = resample([report.bootstrap_metrics[name]], 50, 0)
            np.testing.assert_array_equal(resample([metric], 50, 0), expected)
    first = (tmp_path / SCORES_FILE).read_bytes()
    save_scores(tmp_path, datasets, reports)
    assert (tmp_path / SCORES_FILE).read_bytes() == first


def test_rows_of_one_line_are_a_cluster(tmp_path):
    assert clusters_of_lines(np.array([7, 2, 5])) is None
    assert clusters_of_lines(np.empty(0, int)) is None
    assert clusters_of_lines(np.array([7, 2, 7, 5])).tolist() == [2, 0, 2, 1]
    rows = replace(STS, lines=np.array([1, 2, 1, 2]))
    report = evaluate_rows(rows, bi_encoder_scorer(Lookup()))
    save_scores(tmp_path, [rows], [report])
    assert read_scores(tmp_path)[rows.name].clusters.tolist() == [0, 1, 0, 1]


def test_metrics_of_each_language(tmp_path):
    """The rows of a language as a dataset of their own; a resample draws both of a line."""
    rng = np.random.default_rng(0)
    labels, seconds = rng.random(40), [f"1 {y}" for y in rng.random(40)]
    both = by_angle(labels, seconds)
    both = replace(both, languages=["de", "en"] * 20, lines=np.repeat(np.arange(20), 2))
    report = evaluate_rows(both, bi_encoder_scorer(Lookup()))
    save_scores(tmp_path, [both], [report])
    saved = read_scores(tmp_path)[both.name]
    for start, language in enumerate(("de", "en")):
        alone = by_angle(labels[start::2], seconds[start::2])
        expected = evaluate_rows(alone, bi_encoder_scorer(Lookup()))
        for name in ("spearman_cosine", "pearson_cosine"):
            part = f"{name}_{language}"
            assert report.metrics[part] == pytest.approx(expected.metrics[name], abs=1e-12)
            of_part = resample([saved.metrics[part]], 50, 0, clusters=saved.clusters)
            of_alone = resample([expected.bootstrap_metrics[name]], 50, 0)
            np.testing.assert_allclose(of_part, of_alone, atol=1e-12)
    one = evaluate_rows(replace(both, languages=["de"] * 40), bi_encoder_scorer(Lookup()))
    assert not any(name.endswith("_de") for name in one.metrics)


def test_metrics_of_many_languages(tmp_path):
    """More than a byte can number."""
    languages = [f"l{i:03}" for i in range(300) for _ in range(3)]
    rng = np.random.default_rng(0)
    rows = by_angle(rng.random(900), [f"1 {y}" for y in rng.random(900)])
    rows = replace(rows, languages=languages)
    save_scores(tmp_path, [rows], [evaluate_rows(rows, bi_encoder_scorer(Lookup()))])
    metrics = read_scores(tmp_path)[rows.name].metrics
    assert metrics["spearman_cosine_l000"].places.tolist() == [0, 1, 2]
    assert metrics["spearman_cosine_l299"].places.tolist() == [897, 898, 899]


def test_the_digest_is_of_texts_in_their_order():
    texts = [["a", "b"], ["c", None]]
    assert digest_texts(texts) == digest_texts([["a", "b"], ["c", None]])
    for other in ([["b", "a"], ["c", None]], [["a", "b"], ["c", "None"]], [["a", "b\nc"], [None]]):
        assert digest_texts(other) != digest_texts(texts)


def test_a_run_without_the_file_and_a_damaged_one(tmp_path):
    assert read_scores(tmp_path) == {}
    (tmp_path / SCORES_FILE).write_bytes(b"no")
    with pytest.raises(InputError, match="scores.safetensors: cannot be read: "):
        read_scores(tmp_path)
