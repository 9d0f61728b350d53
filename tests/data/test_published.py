"""Training files of FlagEmbedding and Tevatron: their rows, scores and prompts, and refusals."""

import numpy as np
import pytest
from data_inputs import as_json, refusal

from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset

FLAG = {"query": "q", "pos": ["p", "r"], "neg": ["n", "m"]}
SCORED = FLAG | {"pos_scores": [9, 8], "neg_scores": [1, 2.5]}
TEVATRON = {
    "query_id": "7",
    "query": "q",
    "positive_passages": [{"docid": "1", "title": "a", "text": "p"}],
    "negative_passages": [
        {"docid": "2", "title": "", "text": "n"},
        {"docid": "3", "title": "b", "text": "m"},
    ],
}


def read(put, *lines, **options):
    return read_dataset(DatasetConfig(as_json(put, *lines), **options))


def test_flag_embedding_has_a_row_for_each_positive(put):
    rows = read(put, FLAG | {"id": 3, "type": "normal"}, FLAG | {"query": "s", "neg": ["k"]})
    assert (rows.task, rows.labels) == ("triplet", None)
    assert rows.texts == [
        ["q", "q", "s", "s"],
        ["p", "r", "p", "r"],
        ["n", "n", "k", "k"],
        ["m", "m", None, None],
    ]


def test_scores_of_a_teacher_are_margins(put):
    rows = read(put, SCORED, SCORED | {"neg": ["k"], "neg_scores": [0]})
    expected = [[8, 6.5], [7, 5.5], [9, np.nan], [8, np.nan]]
    np.testing.assert_array_equal(rows.labels, np.array(expected, np.float32))


def test_scores_that_are_null_are_none(put):
    assert read(put, FLAG | {"pos_scores": None, "neg_scores": None}).labels is None


def test_queries_and_positives_alone_are_pairs(put):
    rows = read(put, {"query": "q", "pos": ["p", "r"]})
    assert (rows.task, rows.texts) == ("pair", [["q", "q"], ["p", "r"]])
    assert read(put, SCORED, task="pair").texts == [["q", "q"], ["p", "r"]]


def test_the_prompt_of_the_file_is_put_before_the_query(put):
    lines = [FLAG | {"prompt": "Find: "}, FLAG | {"query": "s", "prompt": "Find: "}]
    rows = read(put, *lines)
    assert rows.texts[0] == ["Find: q", "Find: q", "Find: s", "Find: s"]
    assert rows.texts[1] == ["p", "r", "p", "r"]
    assert rows.prompts == [""] * 4, "and none of the model's"
    assert rows.describe() == (
        "rows: 4 rows, triplet; the prompt of the file is put before each query: 'Find: '"
    )


def test_prompts_of_the_model_replace_that_of_the_file(put):
    rows = read(put, FLAG | {"prompt": "Find: "}, prompts=["query", "document"])
    assert rows.texts[0] == ["q", "q"]
    assert rows.prompts == ["query", "document", "document", "document"]
    assert rows.notes == []


def test_tevatron_joins_title_and_text(put):
    rows = read(put, TEVATRON)
    assert (rows.task, rows.labels) == ("triplet", None)
    assert rows.texts == [["q"], ["a p"], ["n"], ["b m"]]


def test_scores_of_passages(put):
    def scored(passages, *scores):
        return [one | {"score": score} for one, score in zip(passages, scores, strict=True)]

    positives = scored(TEVATRON["positive_passages"], 5)
    negatives = scored(TEVATRON["negative_passages"], 1, 2)
    line = TEVATRON | {"positive_passages": positives, "negative_passages": negatives}
    assert read(put, line).labels.tolist() == [[4, 3]]


def test_columns_that_the_dataset_names_are_known(put):
    lines = [FLAG | {"part": "a", "source": "x"}, FLAG | {"part": "b", "source": "y"}]
    rows = read(put, *lines, where={"part": "b"})
    assert (len(rows), rows.sources) == (2, ["y", "y"])


def test_declared_columns_are_read_as_they_are(put):
    rows = read(put, FLAG | {"prompt": "x", "other": 1}, task="pair", texts=["query", "pos"])
    assert rows.texts == [["q", "q"], ["p", "r"]]


PASSAGE = "positive_passages"
BAD = {
    "unknown key": (
        FLAG | {"instruction": "x"},
        "unknown key 'instruction'; known: query, pos, neg, pos_scores, neg_scores, prompt; to "
        "read the file all the same, set task and texts",
    ),
    "another prompt": (
        FLAG | {"prompt": "Other"},
        "the prompt is 'Other', that of the first line ''; split the file by prompts",
    ),
    "no query": ({"pos": ["p"], "neg": ["n"]}, "no column 'query'; available: pos, neg"),
    "query that is no text": (FLAG | {"query": 3}, "query is 3, not a text"),
    "positive that is no text": (FLAG | {"pos": [3]}, "pos is 3, not a text"),
    "no positive": (
        FLAG | {"pos": []},
        "pos is empty; fill it, or set skip_empty to skip such rows",
    ),
    "too few scores": (
        SCORED | {"pos_scores": [1]},
        "pos_scores is [1], and pos has 2 texts; a list with a score for each is needed",
    ),
    "scores of one side": (
        FLAG | {"pos_scores": [1, 2]},
        "neg_scores is None, and neg has 2 texts; a list with a score for each is needed",
    ),
}


@pytest.mark.parametrize(("line", "said"), BAD.values(), ids=BAD)
def test_bad_lines_of_flag_embedding(put, line, said):
    path = as_json(put, FLAG, line)
    assert refusal(path) == f"{path}, line 2: {said}"


@pytest.mark.parametrize(
    ("lines", "has"), [((SCORED, FLAG), "has no scores"), ((FLAG, SCORED), "has scores")]
)
def test_scores_of_some_lines_alone(put, lines, has):
    path = as_json(put, *lines)
    assert refusal(path) == (
        f"{path}, line 2: {has} of a teacher, unlike the first line; split the file"
    )


@pytest.mark.parametrize(
    ("passages", "said"),
    [
        ("p", f"{PASSAGE} is not a list of objects with docid, title and text"),
        (["p"], f"{PASSAGE} is not a list of objects with docid, title and text"),
        ([{"text": "p", "url": "x"}], f"unknown key 'url' in {PASSAGE}; known: docid, title, text"),
        ([{"title": "p"}], f"{PASSAGE}: no column 'text'; available: title"),
        ([{"text": 3}], f"{PASSAGE}: text is 3, not a text"),
    ],
)
def test_bad_passages(put, passages, said):
    path = as_json(put, TEVATRON, TEVATRON | {PASSAGE: passages})
    message = refusal(path)
    assert message.startswith(f"{path}, line 2")
    assert said in message
