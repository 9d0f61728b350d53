"""Labels: scores scaled to [0, 1], classes, relevance; the message for each invalid one."""

import json

import numpy as np
import pytest
from data_inputs import PAIRS, RERANK, as_json, query, refusal
from hypothesis import given
from hypothesis import strategies as st

from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset


@pytest.mark.parametrize("name", ["stsb", "stsb_multi_mt/fr", "afs", "sts12", "sts16"])
def test_known_names_have_their_range(put, name):
    put([PAIRS[0], ["a", "b", "5"], ["a", "b", "0.5"]], f"data/{name}/test.tsv.gz")
    np.testing.assert_allclose(
        read_dataset(DatasetConfig(name, "test")).labels, [1, 0.1], rtol=1e-6
    )


def test_a_declared_range_goes_before_the_known_one(put):
    put([PAIRS[0], ["a", "b", "5"]], "data/stsb/test.tsv.gz")
    assert read_dataset(DatasetConfig("stsb", "test", range=(0, 10))).labels.tolist() == [0.5]


def test_classes_of_numbers_in_json(put):
    lines = [{"premise": "p", "hypothesis": "h", "label": k} for k in (2, 0, 1)]
    path = put("\n".join(map(json.dumps, lines)), "rows.jsonl")
    assert read_dataset(DatasetConfig(path, classes=["0", "1", "2"])).labels.tolist() == [2, 0, 1]


limits = st.integers(-10, 10)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([10, 9, 10], ["9", "10"]),
        (["10", "9", "a"], ["10", "9", "a"]),
        ([3, "3", 2], ["2", "3"]),
    ],
)
def test_classes_are_the_sorted_labels(put, labels, classes):
    path = as_json(put, *({"text": "t", "label": label} for label in labels))
    rows = read_dataset(DatasetConfig(path))
    assert rows.classes == classes
    assert [classes[number] for number in rows.labels] == list(map(str, labels))


@pytest.mark.parametrize("label", [None, 0.5, "", " ", ["a"]])
def test_a_label_that_is_no_class(put, label):
    path = as_json(put, {"text": "t", "label": "a"}, {"text": "t", "label": label})
    assert refusal(path) == (
        f"{path}, line 2: the label {label!r} is no class; give a name or a whole number"
    )


@pytest.mark.parametrize("label", ["0.5", "-1.", ".25", " 3.0 "])
def test_a_fraction_is_no_class(put, label):
    path = put([["text", "label"], ["t", "1"], ["u", label]])
    assert refusal(path, task="class") == (
        f"{path}, line 3: the label {label!r} is no class; give a name or a whole number"
    )
    path = put([["text", "label"], ["t", "1"], ["u", "v0.5"], ["w", "."]])
    assert read_dataset(DatasetConfig(path, task="class")).classes == [".", "1", "v0.5"]


def test_a_class_that_is_declared_twice(put):
    path = put([["text", "label"], ["t", "a"]])
    assert refusal(path, classes=["a", "b", "a"]) == (
        f"dataset {path}: classes is ['a', 'b', 'a']; name each class once"
    )


@given(limits, limits, st.floats(0, 1))
def test_scores_are_scaled_by_the_range(tmp_path_factory, low, high, share):
    if low >= high:
        low, high = high - 1, low
    value = low + share * (high - low)
    path = tmp_path_factory.getbasetemp() / "given.jsonl"
    path.write_text(
        "".join(
            json.dumps({"sentence1": "a", "sentence2": "b", "score": s}) + "\n"
            for s in (low, value, high)
        )
    )
    labels = read_dataset(DatasetConfig(str(path), range=(low, high))).labels
    np.testing.assert_allclose(labels, [0, share, 1], atol=1e-6)
    assert labels.min() >= 0
    assert labels.max() <= 1


RANGE_HINT = "; set range to the file's lowest and highest possible score"
BAD_VALUES = {
    "no number": ("high", {}, "the score 'high' is not a finite number"),
    "empty": ("", {}, "the score '' is not a finite number"),
    "nan": ("nan", {}, "the score 'nan' is not a finite number"),
    "inf": ("inf", {}, "the score 'inf' is not a finite number"),
    "above": ("1.01", {}, "the score 1.01 is outside [0, 1]" + RANGE_HINT),
    "below": ("-0.01", {}, "the score -0.01 is outside [0, 1]" + RANGE_HINT),
    "above a declared range": (
        "5.5",
        {"range": (1, 5)},
        "the score 5.5 is outside [1, 5]" + RANGE_HINT,
    ),
    "below a declared range": (
        "0.5",
        {"range": (1, 5)},
        "the score 0.5 is outside [1, 5]" + RANGE_HINT,
    ),
    "not binary": ("0.5", {"task": "binary"}, "the label 0.5 of a binary task is neither 0 nor 1"),
    "unknown label": (
        "Neutral",
        {"task": "nli", "label": "score"},
        "unknown label 'Neutral'; the classes are contradiction, entailment, neutral",
    ),
    "unknown to declared classes": (
        "neutral",
        {"task": "nli", "label": "score", "classes": ["no", "yes"]},
        "unknown label 'neutral'; the classes are no, yes",
    ),
}


@pytest.mark.parametrize(("value", "options", "said"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_bad_value_is_named_with_its_line(put, value, options, said):
    good = {"nli": (options.get("classes") or ["entailment"])[0], "binary": "1"}.get(
        options.get("task"), "1"
    )
    path = put([PAIRS[0], ["a", "b", good], ["c", "d", value]])
    assert refusal(path, **options) == f"{path}, line 3: {said}"


def test_a_label_that_is_no_value(put):
    path = put('{"sentence1": "a", "sentence2": "b", "score": null}', "rows.jsonl")
    assert refusal(path) == f"{path}, line 1: the score 'None' is not a finite number"


@pytest.mark.parametrize("bounds", [(1, 1), (5, 0), (float("nan"), 1)])
def test_bad_range(put, bounds):
    assert "must be two finite numbers, the lower first" in refusal(put(PAIRS), range=bounds)


def test_rerank_reads_json_numbers(put):
    lines = [
        {"query": "q", "document": f"d{i}", "score": score} for i, score in enumerate([0, 1, 0.5])
    ]
    rows = read_dataset(DatasetConfig(put("\n".join(map(json.dumps, lines)), "rows.jsonl")))
    assert rows.labels.tolist() == [0, 1, 0.5]


BAD_RELEVANCE = {
    "below 0": ("-1", "the relevance -1 is not a number from 0 (not relevant) upwards"),
    "little below 0": (
        "-0.001",
        "the relevance -0.001 is not a number from 0 (not relevant) upwards",
    ),
    "no number": ("high", "the relevance 'high' is not a finite number"),
    "empty": ("", "the relevance '' is not a finite number"),
}


@pytest.mark.parametrize(("value", "said"), BAD_RELEVANCE.values(), ids=BAD_RELEVANCE)
def test_bad_relevance_is_named_with_its_line(put, value, said):
    path = put([*RERANK, ["r", "d3", value]])
    assert refusal(path) == f"{path}, line 5: {said}"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_relevance_that_is_not_finite_is_refused(put, value):
    path = put([*RERANK, ["r", "d3", value]])
    assert refusal(path).startswith(
        f"{path}, line 5: the relevance '{value}' is not a finite number"
    )


def test_null_relevance_is_refused(put):
    path = put('{"query": "q", "document": "d", "score": null}', "rows.jsonl")
    assert refusal(path) == f"{path}, line 1: the relevance 'None' is not a finite number"


def test_margins_stand_at_their_negatives(put):
    rows = [query(["a", "", "c"]) | {"margin": [0.5, -1]}, query(["a"]) | {"margin": 2}]
    margins = read_dataset(DatasetConfig(as_json(put, *rows), label="margin")).labels
    assert margins.dtype == np.float32
    np.testing.assert_array_equal(margins, [[0.5, np.nan, -1], [2, np.nan, np.nan]])


def test_scores_of_the_positive_and_the_negatives_become_margins(put):
    rows = [query(["a", "", "c"]) | {"y": [9, 0.5, -1]}, query(["a"]) | {"y": [8, 2]}]
    margins = read_dataset(DatasetConfig(as_json(put, *rows), label="y")).labels
    np.testing.assert_array_equal(margins, [[8.5, np.nan, 10], [6, np.nan, np.nan]])


NEEDED = (
    "; in every row a margin for each negative, or else a score for the positive and for each "
    "negative, is needed"
)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0.5], f"1 labels for 2 negatives{NEEDED}"),
        ([1, 2, 3, 4], f"4 labels for 2 negatives{NEEDED}"),
        (["high", 1], "the margin 'high' is not a finite number"),
        ([1, None], "the margin 'None' is not a finite number"),
        ([1, None, 3], "the score 'None' is not a finite number"),
        ([float("nan"), 1], "the margin 'nan' is not a finite number"),
    ],
)
def test_bad_labels_of_a_teacher_are_named_with_their_line(put, labels, said):
    path = as_json(put, query(["a", "", "c"]) | {"margin": labels})
    assert refusal(path, label="margin") == f"{path}, line 1: {said}"


def test_margins_and_scores_in_one_file(put):
    path = as_json(put, query(["a"]) | {"y": [1, 2]}, query(["a", "b"]) | {"y": [1, 2]})
    assert refusal(path, label="y") == f"{path}, line 2: 2 labels for 2 negatives{NEEDED}"
