"""Rows: the published formats, skipped rows, candidates to rank, triplets, both orders."""

import json
from collections import Counter

import numpy as np
import pytest
from data_inputs import PAIRS, RERANK, as_json, query, refusal

from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, both_orders, distinct_rows, read_dataset, with_classes
from sbert.errors import InputError


def test_source_is_known_by_name_or_declared(put):
    lines = [["sentence1", "sentence2", "score", "source", "topic"], ["a", "b", "1", "s", "t"]]
    assert read_dataset(DatasetConfig(put(lines))).sources == ["s"]
    assert read_dataset(DatasetConfig(put(lines), source="topic")).sources == ["t"]
    assert read_dataset(DatasetConfig(put(PAIRS))).sources is None


def test_a_source_that_is_null_is_none(put):
    line = {"sentence1": "a", "sentence2": "b", "score": 1}
    rows = [line | {"source": value} for value in (None, "s", 5)]
    assert read_dataset(DatasetConfig(as_json(put, *rows))).sources == ["", "s", "5"]
    assert read_dataset(DatasetConfig(as_json(put, rows[0]))).sources is None
    assert read_dataset(DatasetConfig(as_json(put, rows[0]), source="source")).sources is None


def test_where_takes_null_for_no_text(put):
    line = {"sentence1": "a", "sentence2": "b", "score": 1}
    path = as_json(put, line | {"part": None}, line | {"part": "None"})
    assert read_dataset(DatasetConfig(path, where={"part": "None"})).lines.tolist() == [2]


def test_weight_passes_through(put):
    assert read_dataset(DatasetConfig(put(PAIRS), weight=0.5)).weight == 0.5
    assert read_dataset(DatasetConfig(put(PAIRS))).weight is None


# the published formats


def test_snli_as_published(put):
    lines = [
        {
            "annotator_labels": ["x"],
            "gold_label": "neutral",
            "sentence1": "A man.",
            "sentence2": "A tall man.",
            "pairID": "1",
        },
        {
            "annotator_labels": ["x"],
            "gold_label": "-",
            "sentence1": "B.",
            "sentence2": "C.",
            "pairID": "2",
        },
        {
            "annotator_labels": ["x"],
            "gold_label": "entailment",
            "sentence1": "D.",
            "sentence2": "E.",
            "pairID": "3",
        },
        # an empty text of a row that is left out for its label stops nothing
        {
            "annotator_labels": ["x"],
            "gold_label": "-",
            "sentence1": "",
            "sentence2": "C.",
            "pairID": "4",
        },
    ]
    rows = read_dataset(
        DatasetConfig(put("\n".join(map(json.dumps, lines)) + "\n", "snli_1.0_dev.jsonl"))
    )
    assert rows.texts == [["A man.", "D."], ["A tall man.", "E."]]
    assert rows.labels.tolist() == [2, 1]
    assert rows.skipped == {"no gold label (-)": 2}


def test_sick_as_published(put):
    lines = [
        [
            "pair_ID",
            "sentence_A",
            "sentence_B",
            "entailment_label",
            "relatedness_score",
            "SemEval_set",
        ],
        ["1", "A group", "Groups", "NEUTRAL", "4.5", "TRAIN"],
        ["2", "B", "C", "ENTAILMENT", "3", "TEST"],
        ["3", "D", "E", "CONTRADICTION", "1.0", "TRIAL"],
        ["4", "F", "G", "NEUTRAL", "4.6", "TEST"],
    ]
    path = put(lines, "SICK.txt")
    columns = {
        "format": "tsv",
        "texts": ["sentence_A", "sentence_B"],
        "where": {"SemEval_set": "TEST"},
    }
    rows = read_dataset(
        DatasetConfig(path, task="sts", label="relatedness_score", range=(1, 5), **columns)
    )
    assert rows.texts == [["B", "F"], ["C", "G"]]
    np.testing.assert_allclose(rows.labels, [0.5, 0.9], rtol=1e-6)
    assert rows.skipped == {"SemEval_set is not TEST": 2}
    assert rows.describe() == "SICK: 2 rows, sts; 2 skipped: SemEval_set is not TEST"
    classes = ["CONTRADICTION", "ENTAILMENT", "NEUTRAL"]
    rows = read_dataset(
        DatasetConfig(path, task="nli", label="entailment_label", classes=classes, **columns)
    )
    assert rows.labels.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (2012, ["2012", 2012, 2012.0]),
        (0.5, ["0.5", 0.5]),
        (True, [True, "true", "TRUE"]),
        (False, ["False", False]),
        ("2012", ["2012", 2012]),
    ],
)
def test_where_compares_numbers_and_texts(put, value, fields):
    pair = {"sentence1": "a", "sentence2": "b", "score": 1}
    others = ["", "2013", "x", None]
    path = as_json(put, *[pair | {"part": part} for part in [*fields, *others]])
    rows = read_dataset(DatasetConfig(path, where={"part": value}))
    assert rows.lines.tolist() == list(range(1, len(fields) + 1))
    assert rows.skipped == {f"part is not {value}": len(others)}


def test_stsb_multi_mt_as_published(put):
    path = put('"Ein Mann, alt","Ein ""Mann""",5.0\nA,B,1.0\n', "stsb-de-test.csv")
    rows = read_dataset(DatasetConfig(path, format="stsb-multi-mt", range=(0, 5)))
    assert rows.texts == [["Ein Mann, alt", "A"], ['Ein "Mann"', "B"]]
    np.testing.assert_allclose(rows.labels, [1, 0.2], rtol=1e-6)


def test_stsbenchmark_as_published(put):
    lines = [["main-captions", "MSRvid", "2012test", "1", "2.5", "A.", "B."]]
    lines += [["main-news", "headlines", "2013", "2", "5", '"C', "D", "licence", "licence"]]
    rows = read_dataset(
        DatasetConfig(
            put(lines, "sts-test.csv"), format="stsbenchmark", range=(0, 5), source="genre"
        )
    )
    assert rows.texts == [["A.", '"C'], ["B.", "D"]]
    assert rows.labels.tolist() == [0.5, 1]
    assert rows.sources == ["main-captions", "main-news"]


def test_skipped_rows_are_counted_by_reason(put):
    lines = [
        ["sentence1", "sentence2", "gold_label", "part"],
        *[["", "b", "neutral", "x"], [" ", "", "neutral", "x"], ["a", "", "neutral", "x"]],
        *[["a", "b", "-", "x"], ["", "b", "-", "x"], ["", "b", "-", "y"]],
        *[["a", "b", "neutral", "x"], ["c", "d", "neutral", "x"], ["e", "f", "neutral", "x"]],
    ]
    rows = read_dataset(DatasetConfig(put(lines), skip_empty=True, where={"part": "x"}, limit=2))
    reasons = {
        "empty sentence1": 2,
        "empty sentence2": 1,
        "no gold label (-)": 2,
        "part is not x": 1,
        "beyond limit 2": 1,
    }
    assert rows.skipped == reasons
    assert len(rows) == 2
    described = rows.describe()
    assert described.startswith("rows: 2 rows, nli; ")
    assert sorted(described.split("; ")[1:]) == sorted(
        f"{n} skipped: {reason}" for reason, n in reasons.items()
    )


def test_counts_are_written_with_commas(put):
    path = put([PAIRS[0], *[["a", "b", "1"]] * 1234, *[["", "b", "1"]] * 1001])
    assert (
        read_dataset(DatasetConfig(path, skip_empty=True)).describe()
        == "rows: 1,234 rows, sts; 1,001 skipped: empty sentence1"
    )


@pytest.mark.parametrize(
    ("lines", "options", "said"),
    [
        ([], {}, "the file has none"),
        ([PAIRS[0]], {}, "the file has none"),
        (PAIRS, {"where": {"score": "3"}}, "2 skipped: score is not 3"),
        ([PAIRS[0], ["", "b", "1"]], {"skip_empty": True}, "1 skipped: empty sentence1"),
    ],
    ids=["empty file", "header alone", "where", "skip_empty"],
)
def test_no_rows(put, lines, options, said):
    path = put(lines)
    assert refusal(path, **options) == f"{path}: no rows to use ({said})"


def test_an_empty_document_stops_the_reading_or_is_counted(put):
    path = put([*RERANK, ["r", "", "1"]])
    said = "document is empty; fill it, or set skip_empty to skip such rows"
    assert refusal(path) == f"{path}, line 5: {said}"
    rows = read_dataset(DatasetConfig(path, skip_empty=True))
    assert (len(rows), rows.skipped) == (3, {"empty document": 1})


NEGATIVES = ["query", "positive", "n1", "n2", "n3"]
SEVERAL = {"task": "triplet", "texts": NEGATIVES}


def test_later_negatives_of_columns_may_be_empty(put):
    lines = [
        NEGATIVES,
        ["q", "p", "a", "b", "c"],
        ["r", "p", "a", "", ""],
        ["s", "p", "a", "", "c"],
    ]
    rows = read_dataset(DatasetConfig(put(lines), **SEVERAL))
    assert rows.texts == [list("qrs"), ["p"] * 3, ["a"] * 3, ["b", None, None], ["c", None, "c"]]
    assert (rows.task, rows.labels, rows.classes) == ("triplet", None, None)
    assert not rows.skipped


def test_a_column_of_negatives_that_no_row_fills_is_none_throughout(put):
    rows = read_dataset(DatasetConfig(put([NEGATIVES, ["q", "p", "a", "", ""]]), **SEVERAL))
    assert rows.texts == [["q"], ["p"], ["a"], [None], [None]]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_query_positive_and_first_negative_may_not_be_empty(put, at):
    line = ["q", "p", "a", "b", "c"]
    line[at] = ""
    path = put([NEGATIVES, ["q", "p", "a", "b", "c"], line])
    said = f"{NEGATIVES[at]} is empty; fill it, or set skip_empty to skip such rows"
    assert refusal(path, **SEVERAL) == f"{path}, line 3: {said}"
    rows = read_dataset(DatasetConfig(path, skip_empty=True, **SEVERAL))
    assert (len(rows), rows.skipped) == (1, {f"empty {NEGATIVES[at]}": 1})


def test_a_list_of_negatives_is_so_many_columns(put):
    path = as_json(put, query(["a", "b", "c"]), query(["d"]), query(["e", "f"]))
    rows = read_dataset(DatasetConfig(path))
    assert rows.texts == [
        ["q"] * 3,
        ["p"] * 3,
        ["a", "d", "e"],
        ["b", None, "f"],
        ["c", None, None],
    ]
    assert (rows.task, rows.labels, len(rows)) == ("triplet", None, 3)


def test_missing_texts_inside_a_list_leave_a_gap(put):
    rows = read_dataset(
        DatasetConfig(as_json(put, query(["a", "", "b"]), query(["a", None]), query(["a", "b"])))
    )
    assert rows.texts[2:] == [["a"] * 3, [None, None, "b"], ["b", None, None]]


def test_lists_and_columns_of_negatives_go_together(put):
    row = query(["a", "b"]) | {"more": ["c"]}
    path = as_json(put, row, row | {"negatives": ["a"], "more": []}, row | {"more": None})
    rows = read_dataset(
        DatasetConfig(path, task="triplet", texts=["query", "positive", "negatives", "more"])
    )
    assert rows.texts[2:] == [["a"] * 3, ["b", None, "b"], ["c", None, None]]


def test_rows_with_an_empty_list_are_counted(put):
    path = as_json(put, query(["a"]), query([]), query(["", "b"]), query(["a", ""]))
    rows = read_dataset(DatasetConfig(path, skip_empty=True))
    assert rows.texts == [["q", "q"], ["p", "p"], ["a", "a"], [None, None]]
    assert rows.describe() == "rows: 2 rows, triplet; 2 skipped: empty negatives"


# both orders


def test_both_orders_by_hand():
    labels = np.array([0.25, 1], np.float32)
    rows = Rows(
        "pairs",
        "sts",
        [["a", "b"], ["c", "d"]],
        labels,
        ["s", "t"],
        weight=0.5,
        skipped=Counter(x=3),
    )
    both = both_orders(rows)
    assert both.texts == [["a", "b", "c", "d"], ["c", "d", "a", "b"]]
    assert both.labels.tolist() == [0.25, 1, 0.25, 1]
    assert both.labels.dtype == np.float32
    assert both.sources == ["s", "t", "s", "t"]
    assert (both.name, both.task, both.weight, both.skipped, len(both)) == (
        "pairs",
        "sts",
        0.5,
        {"x": 3},
        4,
    )
    assert (rows.texts, rows.labels.tolist(), rows.sources) == (
        [["a", "b"], ["c", "d"]],
        [0.25, 1],
        ["s", "t"],
    )


def test_both_orders_of_binary_pairs_without_sources():
    both = both_orders(Rows("pairs", "binary", [["a"], ["b"]], np.array([1], np.float32)))
    assert (both.task, both.texts, both.labels.tolist()) == (
        "binary",
        [["a", "b"], ["b", "a"]],
        [1, 1],
    )
    assert both.sources is None


@pytest.mark.parametrize("task", ["nli", "class", "text", "triplet", "rerank"])
def test_both_orders_are_for_pairs_without_one(task):
    rows = Rows(
        "mine",
        task,
        [["a"]] * (3 if task == "triplet" else 2),
        None if task == "triplet" else np.array([1]),
    )
    with pytest.raises(InputError) as error:
        both_orders(rows)
    said = f"mine: both_orders is for pairs without an order (sts, binary), not {task}"
    assert str(error.value) == said


# single texts


@pytest.mark.parametrize("name", ["texts.txt", "texts.txt.gz"])
def test_a_text_file_has_one_text_a_line(put, name):
    rows = read_dataset(DatasetConfig(put("a cat\n\n two  dogs \r\n", name)))
    assert (rows.task, rows.texts, rows.labels) == ("text", [["a cat", "two  dogs"]], None)
    assert rows.lines.tolist() == [1, 3]
    assert rows.describe() == "texts: 2 rows, text"
    assert rows.take(np.array([1])).texts == [["two  dogs"]]


@pytest.mark.parametrize("task", ["sts", "class"])
def test_a_text_file_has_no_labels(put, task):
    path = put("a cat\n", "texts.txt")
    assert refusal(path, task=task).startswith(
        f"{path}, line 1: no columns for task {task}; available: text"
    )


TOPICS = [["text", "label"], *([f"text {i}", "zyx"[i % 3]] for i in range(12))]


def test_classes_are_those_of_the_whole_file(put):
    rows = read_dataset(DatasetConfig(put(TOPICS), limit=1))
    assert (len(rows), rows.classes) == (1, ["x", "y", "z"])
    assert rows.labels.tolist() == [{"z": 2, "y": 1, "x": 0}["zyx"[(rows.lines[0] - 2) % 3]]]


def test_folds_of_classes(put):
    options = {"folds": 3, "group": "label", "path": put(TOPICS)}
    folds = [read_dataset(DatasetConfig(fold=i, part="fold", **options)) for i in (1, 2, 3)]
    assert [len(set(rows.labels)) for rows in folds] == [1, 1, 1]
    assert all(rows.classes == ["x", "y", "z"] for rows in folds)


def test_labels_become_numbers_of_the_classes_of_training(put):
    rows = read_dataset(DatasetConfig(put([["text", "label"], ["a", "y"], ["b", "w"]])))
    assert (rows.classes, rows.labels.tolist()) == (["w", "y"], [1, 0])
    numbered = with_classes(rows, ["y", "x", "w"])
    assert (numbered.classes, numbered.labels.tolist()) == (["y", "x", "w"], [0, 2])
    assert numbered.labels.dtype == np.int64


def test_a_class_without_training_is_named_with_its_line(put):
    path = put([["text", "label"], ["a", "x"], ["b", "y"]])
    with pytest.raises(InputError) as error:
        with_classes(read_dataset(DatasetConfig(path)), ["w", "x"])
    assert str(error.value) == f"{path}, line 3: unknown label 'y'; the classes are w, x"


def test_classes_in_several_languages(put):
    for language in ("de", "en"):
        put([["text", "label"], [f"a {language}", "x"], [f"b {language}", "w"]], f"{language}.tsv")
    path = put([], "any.tsv").replace("any", "{language}")
    rows = read_dataset(DatasetConfig(path, languages=["de", "en"]))
    assert rows.texts == [["a de", "a en", "b de", "b en"]]
    assert (rows.labels.tolist(), rows.languages) == ([1, 1, 0, 0], ["de", "en", "de", "en"])


# distinct rows


def test_the_first_row_of_the_same_texts_stays():
    first = Rows("first", "sts", [["a", "a", "b"], ["c", "c", "a"]], np.array([0, 1, 0.5]))
    first.lines, first.skipped = np.array([2, 3, 4]), Counter(x=3)
    second = Rows("second", "sts", [["b", "a", "b"], ["a", "b", "b"]], np.array([1, 1, 1]))
    second.lines = np.array([2, 3, 4])
    one, other = distinct_rows([first, second])
    assert (one.texts, one.labels.tolist(), one.lines.tolist()) == (
        [["a", "b"], ["c", "a"]],
        [0, 0.5],
        [2, 4],
    )
    assert (other.texts, other.lines.tolist()) == ([["a", "b"], ["b", "b"]], [3, 4])
    assert one.skipped == {"x": 3, "the texts of an earlier row": 1}
    assert other.skipped == {"the texts of an earlier row": 1}


def test_the_rows_of_a_dataset_without_repeats_are_counted_as_before():
    [kept] = distinct_rows([Rows("own", "pair", [["a"], ["a"]], None, lines=np.array([1]))])
    assert (kept.texts, dict(kept.skipped)) == ([["a"], ["a"]], {})


def test_a_dataset_of_repeats_alone_is_refused():
    rows = Rows("own", "pair", [["a"], ["a"]], None, lines=np.array([1]))
    with pytest.raises(InputError, match="^own: none of the 1 rows is left: .*data.distinct"):
        distinct_rows([rows, rows])
