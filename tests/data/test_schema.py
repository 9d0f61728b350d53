"""Schemas: known headers and declared columns, texts and lists of negatives, refusals."""

import json

import numpy as np
import pytest
from data_inputs import PAIRS, RERANK, as_json, query, refusal

from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.data.schema import prompt_names
from sbert.errors import InputError

RECOGNISED = {
    "sts": (PAIRS, {}, "sts", [["a b", "d"], ["c", "e f"]], [0.25, 1]),
    "sts in another order": (
        [["score", "x", "sentence2", "sentence1"], ["0.5", "?", "b", "a"]],
        {},
        "sts",
        [["a"], ["b"]],
        [0.5],
    ),
    "nli": (
        [
            ["premise", "hypothesis", "label"],
            ["p", "h", "neutral"],
            ["q", "i", "contradiction"],
            ["r", "j", "entailment"],
        ],
        {},
        "nli",
        [["p", "q", "r"], ["h", "i", "j"]],
        [2, 0, 1],
    ),
    "nli as SNLI names it": (
        [["gold_label", "sentence1", "sentence2"], ["entailment", "p", "h"]],
        {},
        "nli",
        [["p"], ["h"]],
        [1],
    ),
    "text": ([["text"], ["a"], ["b c"]], {}, "text", [["a", "b c"]], None),
    "class": ([["text", "label"], ["a", "x"], ["b", "w"]], {}, "class", [["a", "b"]], [1, 0]),
    "class by another label": (
        [["text", "label", "topic"], ["a", "?", "x"], ["b", "?", "w"]],
        {"label": "topic"},
        "class",
        [["a", "b"]],
        [1, 0],
    ),
    "declared class": (
        [["sentence", "topic"], ["a", "x"], ["b", "y"]],
        {"task": "class", "texts": ["sentence"], "label": "topic", "classes": ["y", "x"]},
        "class",
        [["a", "b"]],
        [1, 0],
    ),
    "text although there are labels": (
        [["text", "label"], ["a", "x"]],
        {"task": "text"},
        "text",
        [["a"]],
        None,
    ),
    "triplet": (
        [["anchor", "positive", "negative"], ["a", "p", "n"]],
        {},
        "triplet",
        [["a"], ["p"], ["n"]],
        None,
    ),
    "binary with the header of sts": (
        [["sentence1", "sentence2", "score"], ["a", "b", "1"], ["c", "d", "0.0"]],
        {"task": "binary"},
        "binary",
        [["a", "c"], ["b", "d"]],
        [1, 0],
    ),
    "another label of the usual texts": (
        [["sentence1", "sentence2", "score", "mark"], ["a", "b", "1", "0.5"]],
        {"label": "mark"},
        "sts",
        [["a"], ["b"]],
        [0.5],
    ),
    "the task chooses among headers": (
        [["sentence1", "sentence2", "score", "gold_label"], ["a", "b", "1", "neutral"]],
        {"task": "nli"},
        "nli",
        [["a"], ["b"]],
        [2],
    ),
    "declared": (
        [["left", "right", "mark"], ["a", "b", "3"]],
        {"task": "sts", "texts": ["right", "left"], "label": "mark", "range": (1, 5)},
        "sts",
        [["b"], ["a"]],
        [0.5],
    ),
    "declared, label by its usual name": (
        [["left", "right", "score"], ["a", "b", "0.5"]],
        {"task": "sts", "texts": ["left", "right"]},
        "sts",
        [["a"], ["b"]],
        [0.5],
    ),
    "declared triplet": (
        [["x", "y", "z", "score"], ["a", "b", "c", "?"]],
        {"task": "triplet", "texts": ["z", "y", "x"]},
        "triplet",
        [["c"], ["b"], ["a"]],
        None,
    ),
    "declared classes": (
        [["premise", "hypothesis", "label"], ["p", "h", "yes"], ["q", "i", "no"]],
        {"classes": ["no", "maybe", "yes"]},
        "nli",
        [["p", "q"], ["h", "i"]],
        [2, 0],
    ),
}


DEFAULT_CLASSES = {"nli": ["contradiction", "entailment", "neutral"], "class": ["w", "x"]}


@pytest.mark.parametrize(
    ("lines", "options", "task", "texts", "labels"), RECOGNISED.values(), ids=RECOGNISED
)
def test_columns(put, lines, options, task, texts, labels):
    rows = read_dataset(DatasetConfig(put(lines), **options))
    assert (rows.task, rows.texts, len(rows)) == (task, texts, len(lines) - 1)
    if labels is None:
        assert rows.labels is None
    else:
        assert rows.labels.tolist() == labels
        assert rows.labels.dtype == (np.int64 if task in DEFAULT_CLASSES else np.float32)
    assert rows.classes == options.get("classes", DEFAULT_CLASSES.get(task))
    assert not rows.skipped


@pytest.mark.parametrize("name", ["mrpc", "quora_pairs"])
def test_known_binary_names(put, name):
    put([PAIRS[0], ["a", "b", "1"], ["a", "b", "0"]], f"data/{name}/test.tsv.gz")
    rows = read_dataset(DatasetConfig(name, "test"))
    assert (rows.task, rows.labels.tolist(), rows.labels.dtype) == ("binary", [1, 0], np.float32)


def test_rerank_is_known_by_its_header(put):
    rows = read_dataset(DatasetConfig(put(RERANK)))
    assert (rows.task, rows.texts) == ("rerank", [["q", "q", "r"], ["d1", "d2", "d1"]])
    assert rows.labels.tolist() == [0, 1, 2.5], "grades as they are, not scaled to [0, 1]"
    assert rows.labels.dtype == np.float64
    assert (rows.classes, rows.sources) == (None, None)
    assert rows.describe() == "rows: 3 rows, rerank"


def test_rerank_of_declared_columns(put):
    path = put([["x", "y", "grade"], ["a", "b", "3"]])
    rows = read_dataset(DatasetConfig(path, task="rerank", texts=["y", "x"], label="grade"))
    assert (rows.task, rows.texts, rows.labels.tolist()) == ("rerank", [["b"], ["a"]], [3])
    path = put([["x", "y", "score"], ["a", "b", "3"]])
    assert read_dataset(DatasetConfig(path, task="rerank", texts=["x", "y"])).labels.tolist() == [
        3
    ], "score, if none is named"


def test_rerank_with_another_label_of_the_usual_texts(put):
    path = put([["query", "document", "score", "grade"], ["a", "b", "0.7", "3"]])
    rows = read_dataset(DatasetConfig(path, label="grade"))
    assert (rows.task, rows.labels.tolist()) == ("rerank", [3])


@pytest.mark.parametrize(
    "header", [["anchor", "negative"], ["query", "negative"], ["query", "negatives"]]
)
def test_headers_of_triplets(put, header):
    path = as_json(
        put,
        {header[0]: "q", "positive": "p", header[1]: ["a", "b"]},
        {header[0]: "r", "positive": "p", header[1]: "a"},
    )
    assert read_dataset(DatasetConfig(path)).texts == [
        ["q", "r"],
        ["p", "p"],
        ["a", "a"],
        ["b", None],
    ]


BAD_TEXTS = {
    "empty": ('""', "sentence2 is empty"),
    "blank": ('" \\t\\u00a0"', "sentence2 is empty"),
    "null": ("null", "sentence2 is None, not a text"),
    "number": ("7", "sentence2 is 7, not a text"),
}


@pytest.mark.parametrize(("text", "said"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_text_is_named_with_its_line(put, text, said):
    good = '{"sentence1": "a", "sentence2": "b", "score": 1}'
    path = put(f'{good}\n\n{{"sentence1": "a", "sentence2": {text}, "score": 1}}\n', "rows.jsonl")
    assert refusal(path).startswith(f"{path}, line 3: {said}")


EMPTY = "is empty; fill it, or set skip_empty to skip such rows"
BAD_LISTS = {
    "no entries": (query([]), f"negatives {EMPTY}"),
    "empty first": (query(["", "b"]), f"negatives {EMPTY}"),
    "blank first": (query([" \t", "b"]), f"negatives {EMPTY}"),
    "null first": (query([None, "b"]), "negatives is None, not a text"),
    "number": (query(["a", 7]), "negatives is 7, not a text"),
    "zero": (query(["a", 0]), "negatives is 0, not a text"),
    "false": (query(["a", False]), "negatives is False, not a text"),
    "list of lists": (query([["a"]]), "negatives is ['a'], not a text"),
    "list of lists, later": (query(["a", ["b"]]), "negatives is ['b'], not a text"),
    "half a character, later": (
        query(["a", "\ud800"]),
        "negatives contains a lone surrogate: not valid text",
    ),
    "null": (query(None), "negatives is None, not a text"),
    "object": (query({"a": 1}), "negatives is {'a': 1}, not a text"),
}


@pytest.mark.parametrize(("row", "said"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_a_bad_list_is_named_with_its_line(put, row, said):
    path = as_json(put, query(["a"]), row)
    assert refusal(path) == f"{path}, line 2: {said}"


@pytest.mark.parametrize("texts", [["sentence1", "sentence2"], ["sentence2", "sentence1"]])
def test_other_tasks_read_no_lists(put, texts):
    path = as_json(put, {"sentence1": "a", "sentence2": ["b"], "score": 1})
    assert (
        refusal(path, task="sts", texts=texts) == f"{path}, line 1: sentence2 is ['b'], not a text"
    )


def test_a_list_of_queries_is_no_text(put):
    path = as_json(put, query(["n"]) | {"query": ["one", "two"]})
    assert refusal(path) == f"{path}, line 1: query is ['one', 'two'], not a text"


def test_each_positive_of_a_list_is_a_row(put):
    path = as_json(put, query(["n", "m"]) | {"positive": ["p", "r"]}, query(["k"]))
    rows = read_dataset(DatasetConfig(path))
    assert rows.texts == [["q"] * 3, ["p", "r", "p"], ["n", "n", "k"], ["m", "m", None]]
    assert rows.lines.tolist() == [1, 1, 2]
    pairs = read_dataset(DatasetConfig(path, task="pair"))
    assert (pairs.texts, pairs.labels) == ([["q"] * 3, ["p", "r", "p"]], None)


def test_an_empty_list_of_positives_is_an_empty_positive(put):
    path = as_json(put, query(["n"]) | {"positive": []}, query(["n"]))
    assert refusal(path).startswith(
        f"{path}, line 1: positive is empty; fill it, or set skip_empty"
    )
    assert read_dataset(DatasetConfig(path, skip_empty=True)).skipped == {"empty positive": 1}


def test_several_positives_need_a_label_each(put):
    row = query(["n"]) | {"positive": ["p", "r"]}
    path = as_json(put, row | {"y": [0.5, [9, 7]]})
    refused = "2 labels for 1 negatives"
    assert refused in refusal(path, label="y"), "margins, then scores"
    path = as_json(put, row | {"y": [[8, 7], [9, 7]]})
    assert read_dataset(DatasetConfig(path, label="y")).labels.tolist() == [[1], [2]]
    path = as_json(put, row | {"y": [1, 2, 3]})
    assert refusal(path, label="y") == (
        f"{path}, line 1: positive has 2 texts, so y needs a list of as many labels"
    )


def test_limit_and_folds_keep_the_positives_of_a_line_together(put):
    path = as_json(put, *[query([f"n{i}"]) | {"positive": ["p", "r"]} for i in range(6)])
    options = {"limit": 4}, {"beyond": 4}, {"folds": 3, "fold": 1, "group": "row"}
    for option, lines in zip(options, (4, 2, 4), strict=True):
        rows = read_dataset(DatasetConfig(path, **option))
        assert (len(rows), len(set(rows.lines))) == (2 * lines, lines)


@pytest.mark.parametrize(
    ("title", "body", "text"),
    [("a", "b c", "a b c"), ("", "b", "b"), ("a", " ", "a"), ("a", None, "a")],
)
def test_several_columns_are_one_text(put, title, body, text):
    path = as_json(put, {"query": "q", "title": title, "body": body, "score": 1})
    config = DatasetConfig(path, task="sts", texts=["query", ["title", "body"]])
    assert read_dataset(config).texts == [["q"], [text]]


def test_bad_columns_of_a_joined_text(put):
    options = {"task": "pair", "texts": ["query", ["title", "body"]]}
    row = {"query": "q", "title": "t", "body": "b"}
    path = as_json(put, row, row | {"body": 3})
    assert refusal(path, **options) == f"{path}, line 2: body is 3, not a text"
    path = as_json(put, row, {"query": "q", "title": "t"})
    assert refusal(path, **options) == (
        f"{path}, line 2: no column 'body'; available: query, title"
    )
    path = as_json(put, row | {"title": "", "body": " "})
    assert refusal(path, **options).startswith(f"{path}, line 1: title+body is empty;")
    path = as_json(put, row)
    assert refusal(path, task="triplet", texts=options["texts"]) == (
        f"{path}, line 1: task triplet reads 3 text columns; texts names query, title+body"
    )


BAD_COLUMNS = {
    "unknown header": (
        [["x", "y"], ["a", "b"]],
        {},
        "no columns of a known task; available: x, y",
    ),
    "another task's header": (
        PAIRS,
        {"task": "triplet"},
        "no columns for task triplet; available: sentence1, sentence2, score",
    ),
    "no label": (
        [["sentence1", "sentence2"], ["a", "b"]],
        {"task": "sts"},
        "no columns for task sts",
    ),
    "text": (
        PAIRS,
        {"task": "sts", "texts": ["sentence1", "sentence"]},
        "no column 'sentence'; available: sentence1, sentence2",
    ),
    "label": (
        PAIRS,
        {"task": "sts", "texts": ["sentence1", "sentence2"], "label": "mark"},
        "no column 'mark'",
    ),
    "source": (PAIRS, {"source": "topic"}, "no column 'topic'"),
    "where": (PAIRS, {"where": {"part": "x"}}, "no column 'part'"),
    "texts without a task": (
        PAIRS,
        {"texts": ["sentence1", "sentence2"]},
        "texts is set, so set task too",
    ),
    "one text too many": (
        PAIRS,
        {"task": "sts", "texts": PAIRS[0]},
        "task sts reads 2 text columns",
    ),
    "two texts with a class": (
        PAIRS,
        {"task": "class", "texts": ["sentence1", "sentence2"], "label": "score"},
        "task class reads 1 text column; texts names sentence1, sentence2",
    ),
    "a single text with a label": (
        [["text", "label"], ["a", "x"]],
        {"task": "text", "label": "label"},
        "task text has no label; remove label or set another task",
    ),
    "a range of classes": (
        [["premise", "hypothesis", "label"], ["p", "h", "neutral"]],
        {"range": (0, 2)},
        "range is for task sts or binary, not nli; leave it out",
    ),
    "a range of relevance": (
        RERANK,
        {"task": "rerank", "range": (0, 4)},
        "range is for task sts or binary, not rerank; leave it out",
    ),
    "classes of scores": (
        PAIRS,
        {"classes": ["no", "yes"]},
        "classes is for task nli or class, not sts; leave it out",
    ),
    "one text too few": (
        PAIRS,
        {"task": "triplet", "texts": ["sentence1", "sentence2"]},
        "task triplet reads 3 text columns",
    ),
}


@pytest.mark.parametrize(("lines", "options", "said"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
def test_bad_columns(put, lines, options, said):
    path = put(lines)
    assert refusal(path, **options).startswith(f"{path}, line 2: {said}")


def test_a_later_line_that_lacks_a_column(put):
    path = put(
        '{"sentence1": "a", "sentence2": "b", "score": 1}\n{"sentence1": "a", "score": 1}\n',
        "rows.jsonl",
    )
    assert refusal(path).startswith(
        f"{path}, line 2: no column 'sentence2'; available: sentence1, score"
    )


def test_a_later_line_of_another_task_stops_the_reading(put):
    first = {"sentence1": "a", "sentence2": "b", "score": 1}
    other = {"premise": "p", "hypothesis": "h", "label": "neutral"}
    path = put(json.dumps(first) + "\n" + json.dumps(other), "rows.jsonl")
    assert refusal(path).startswith(f"{path}, line 2: ")


@pytest.mark.parametrize("texts", [["query"], ["query", "document", "score"]])
def test_rerank_reads_two_texts(put, texts):
    path = put(RERANK)
    said = f"task rerank reads 2 text columns; texts names {', '.join(texts)}"
    assert refusal(path, task="rerank", texts=texts) == f"{path}, line 2: {said}"


# prompts


@pytest.mark.parametrize(
    ("task", "columns", "prompts", "expected"),
    [
        ("sts", 2, None, None),
        ("sts", 2, "query", ["query", "query"]),
        ("sts", 2, ["query", ""], ["query", ""]),
        ("triplet", 4, ["query", "document"], ["query", "document", "document", "document"]),
        ("triplet", 3, ["a", "b", "c"], ["a", "b", "c"]),
        ("retrieval", 2, ["query", "document"], ["query", "document"]),
    ],
)
def test_each_text_column_has_the_name_of_a_prompt(task, columns, prompts, expected):
    assert prompt_names(prompts, task, columns, "x") == expected


@pytest.mark.parametrize(
    ("task", "columns", "prompts"),
    [("sts", 2, ["a", "b", "c"]), ("sts", 2, []), ("triplet", 3, ["a"]), ("rerank", 2, ["a"])],
)
def test_another_number_of_prompts_is_refused(task, columns, prompts):
    with pytest.raises(InputError) as caught:
        prompt_names(prompts, task, columns, "x-test")
    assert str(caught.value) == (
        f"dataset x-test: prompts is {prompts}; give one name for all {columns} text columns, or a "
        "list with one for each"
    )


def test_rows_carry_the_names_of_prompts(put):
    assert read_dataset(DatasetConfig(put(PAIRS), prompts="query")).prompts == ["query", "query"]
    assert read_dataset(DatasetConfig(put(PAIRS))).prompts is None
    assert "all 2 text columns" in refusal(put(PAIRS), prompts=["a", "b", "c"])
