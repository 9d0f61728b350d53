"""Retrieval: folders of two layouts, queries that are used, refusals of files and options."""

import json

import numpy as np
import pytest
from data_inputs import PAIRS
from retrieval_inputs import (
    CORPUS,
    KEPT,
    QRELS,
    QUERIES,
    jsonl,
    tsv,
    write_beir_layout,
    write_file,
    write_project_layout,
)

from sbert.data.config import DatasetConfig
from sbert.data.origin import has_splits
from sbert.data.rows import read_dataset
from sbert.errors import InputError


@pytest.mark.parametrize("task", [None, "retrieval"])
@pytest.mark.parametrize(
    ("layout", "end"),
    [
        (write_project_layout, ".tsv"),
        (write_project_layout, ".tsv.gz"),
        (write_beir_layout, ".jsonl"),
        (write_beir_layout, ".jsonl.gz"),
    ],
)
def test_both_layouts_are_read_alike(data_folder, layout, end, task):
    layout(data_folder / "small", end=end)
    rows = read_dataset(DatasetConfig("small", split="test", task=task))
    assert (rows.name, rows.task, len(rows)) == ("small-test", "retrieval", 3)
    assert (rows.corpus_ids, rows.corpus) == (list(CORPUS), list(CORPUS.values()))
    assert (rows.query_ids, rows.queries) == (KEPT, [QUERIES[name] for name in KEPT])
    judged = [
        (rows.query_ids[q], rows.corpus_ids[d], r) for q, d, r in zip(*rows.qrels, strict=True)
    ]
    assert judged == [row for row in QRELS if row[0] in KEPT]
    assert [part.dtype for part in rows.qrels] == [np.int64, np.int64, np.float64]
    assert rows.texts == [rows.queries, rows.corpus]
    file = "qrels_test" + end if layout is write_project_layout else "test.tsv"
    assert rows.describe() == (
        "small-test: 3 queries, 5 documents (1 of them empty), 5 judgements, retrieval; "
        f"1 queries skipped: not in {file}; 1 queries skipped: no relevant document"
    )


def test_a_folder_of_json_arrays(data_folder):
    folder = write_beir_layout(data_folder / "small", end=".json")
    rows = read_dataset(DatasetConfig("small", split="test"))
    assert rows.corpus == list(CORPUS.values())
    (folder / "qrels/test.tsv").unlink()
    judged = [{"query-id": q, "corpus-id": d, "score": r} for q, d, r in QRELS]
    write_file(folder / "qrels/test.json", json.dumps(judged))
    assert read_dataset(DatasetConfig("small", split="test")).query_ids == rows.query_ids


def test_a_path_of_a_folder_and_a_name(tmp_path, monkeypatch):
    folder = write_project_layout(tmp_path / "v1.0")
    assert read_dataset(DatasetConfig(str(folder), split="test")).name == "v1.0-test"
    assert read_dataset(DatasetConfig(str(folder), split="test", name="mine")).name == "mine"
    monkeypatch.chdir(folder)
    assert read_dataset(DatasetConfig(".", split="test")).name == "v1.0-test"


def test_a_folder_without_splits(data_folder):
    write_project_layout(data_folder / "whole", split=None)
    assert read_dataset(DatasetConfig("whole")).name == "whole"
    assert not has_splits(DatasetConfig("whole"))
    write_project_layout(data_folder / "split")
    assert has_splits(DatasetConfig("split"))
    assert has_splits(DatasetConfig("elsewhere"))
    assert not has_splits(DatasetConfig("pairs.tsv.gz"))


def test_ids_of_json_may_be_numbers(data_folder):
    folder = write_beir_layout(data_folder / "numbers")
    write_file(
        folder / "corpus.jsonl",
        jsonl([{"_id": 7, "text": "a cat"}, {"_id": "8", "text": "a dog", "title": None}]),
    )
    write_file(
        folder / "qrels/test.tsv", tsv("query-id corpus-id score", [("q1", 7, 1), ("q1", 8, 0.5)])
    )
    rows = read_dataset(DatasetConfig("numbers", split="test"))
    assert (rows.corpus_ids, rows.corpus) == (["7", "8"], ["a cat", "a dog"])
    assert rows.qrels.relevance.tolist() == [1, 0.5]


def test_the_splits_own_queries_come_before_those_of_all_splits(data_folder):
    folder = write_project_layout(data_folder / "both")
    write_file(folder / "queries.tsv", tsv("id text", [("q1", "another text")]))
    assert read_dataset(DatasetConfig("both", split="test")).queries[0] == "a cat"


def test_limit_is_of_queries_and_the_corpus_stays_whole(data_folder):
    write_project_layout(data_folder / "small")
    whole = read_dataset(DatasetConfig("small", split="test"))
    some = read_dataset(DatasetConfig("small", split="test", limit=2, limit_seed=1))
    rest = read_dataset(DatasetConfig("small", split="test", beyond=2, limit_seed=1))
    assert some.corpus == rest.corpus == whole.corpus
    assert (len(some), len(rest)) == (2, 1)
    assert sorted(some.query_ids + rest.query_ids) == KEPT
    for part in (some, rest):
        judged = {
            (part.query_ids[q], part.corpus_ids[d], r) for q, d, r in zip(*part.qrels, strict=True)
        }
        assert judged == {row for row in QRELS if row[0] in part.query_ids}
    assert "; 1 queries skipped: beyond limit 2" in some.describe()


def test_the_document_with_the_id_of_a_query_is_left_out(data_folder):
    folder = write_project_layout(data_folder / "own", end=".tsv")
    write_file(folder / "corpus.tsv", tsv("id text", [*CORPUS.items(), ("q2", "e"), ("q5", "f")]))
    rows = read_dataset(DatasetConfig("own", split="test"))
    assert rows.own_documents.tolist() == [-1, 5, -1], "of q1, q2, q4; q5 is not judged"
    note = "1 queries have the id of a document, which is left out for them"
    assert rows.notes == [note]
    assert rows.describe().endswith(f"; {note}")
    kept = read_dataset(DatasetConfig("own", split="test", keep_identical_ids=True))
    assert (kept.own_documents, kept.notes) == (None, [])


def test_a_relevant_document_that_is_left_out_is_said(data_folder):
    folder = write_project_layout(data_folder / "own", end=".tsv")
    write_file(folder / "corpus.tsv", tsv("id text", [*CORPUS.items(), ("q2", "e")]))
    write_file(
        folder / "qrels_test.tsv", tsv("query_id doc_id relevance", [("q2", "q2", 1), *QRELS])
    )
    [note] = read_dataset(DatasetConfig("own", split="test")).notes
    assert note.endswith(
        "left out for them, 1 times though judged relevant (if their ids are equal by chance, "
        "set keep_identical_ids)"
    )


def test_identical_ids_are_a_matter_of_retrieval(put):
    with pytest.raises(InputError, match="keep_identical_ids is for retrieval folders"):
        read_dataset(DatasetConfig(put(PAIRS), keep_identical_ids=True))


# file: its new content, None to delete it; and the message, {} the file
BAD = {
    "other queries": (
        "qrels_test.tsv",
        tsv("query_id doc_id relevance", [("q8", "d1", 1), ("q9", "d1", 1)]),
        "{}: judges none of the queries in {.parent}/queries_test.tsv; their ids differ",
    ),
    "other documents": (
        "qrels_test.tsv",
        tsv("query_id doc_id relevance", [("q1", "d9", 1), ("q9", "d1", 1)]),
        "{}: judges none of the documents in {.parent}/corpus.tsv; their ids differ",
    ),
    "pair judged twice": (
        "qrels_test.tsv",
        tsv("query_id doc_id relevance", [("q1", "d1", 1), ("q1", "d1", 2)]),
        "{}, line 3: query 'q1' and document 'd1' are judged twice; keep one judgement",
    ),
    "relevance of letters": (
        "qrels_test.tsv",
        tsv("query_id doc_id relevance", [("q1", "d1", "high")]),
        "{}, line 2: the relevance 'high' is not a finite number",
    ),
    "nothing but negative judgements": (
        "qrels_test.tsv",
        tsv("query_id doc_id relevance", [("q1", "d1", -1)]),
        "{}: no query has a relevant document (relevance above 0)",
    ),
    "NaN relevance": (
        "qrels_test.tsv",
        tsv("query_id doc_id relevance", [("q1", "d1", "nan")]),
        "{}, line 2: the relevance 'nan' is not a finite number",
    ),
    "nothing relevant": (
        "qrels_test.tsv",
        tsv("query_id doc_id relevance", [("q1", "d1", 0)]),
        "{}: no query has a relevant document (relevance above 0)",
    ),
    "no judgement": (
        "qrels_test.tsv",
        tsv("query_id doc_id relevance", []),
        "{}: contains no judgement",
    ),
    "other columns of qrels": (
        "qrels_test.tsv",
        tsv("query doc_id relevance", [("q1", "d1", 1)]),
        "{}, line 2: no column 'query_id'; available: query, doc_id, relevance",
    ),
    "document twice": (
        "corpus.tsv",
        tsv("id text", [("d1", "a"), ("d2", "b"), ("d1", "c")]),
        "{}, line 4: duplicate id 'd1', also on line 2; every document needs its own",
    ),
    "query twice": (
        "queries_test.tsv",
        tsv("id text", [("q1", "a"), ("q1", "b")]),
        "{}, line 3: duplicate id 'q1', also on line 2; every query needs its own",
    ),
    "empty corpus": ("corpus.tsv", tsv("id text", []), "{}: contains no document"),
    "no queries": ("queries_test.tsv", tsv("id text", []), "{}: contains no query"),
    "empty query": (
        "queries_test.tsv",
        tsv("id text", [("q1", "a cat"), ("q2", " ")]),
        "{}, line 3: the text of query 'q2' is empty; fill it or remove it",
    ),
    "empty id": (
        "corpus.tsv",
        tsv("id text", [("", "a cat")]),
        "{}, line 2: id '' is neither a text nor a whole number",
    ),
    "other columns of a corpus": (
        "corpus.tsv",
        tsv("id body", [("d1", "a cat")]),
        "{}, line 2: no column 'text'; available: id, body",
    ),
    "tab in a text": (
        "corpus.tsv",
        "id\ttext\nd1\ta\tcat\n",
        "{}, line 2: 3 fields, expected 2 (id, text)",
    ),
    "no file of queries": (
        "queries_test.tsv",
        None,
        "{.parent}: no queries; expected queries_test.tsv or queries.jsonl, plain or .gz",
    ),
    "no file of qrels": (
        "qrels_test.tsv",
        None,
        "{.parent}: no judgements; expected qrels.tsv, qrels_<split>.tsv or qrels/<split>.tsv",
    ),
    "two corpora": (
        "corpus.jsonl",
        "",
        "{0.parent}/corpus.tsv and {0} both exist; keep one of them",
    ),
    "two qrels": (
        "qrels/test.tsv",
        "",
        "{0} and {0.parent.parent}/qrels_test.tsv both exist; keep one of them",
    ),
}


@pytest.mark.parametrize(("file", "content", "message"), BAD.values(), ids=BAD)
def test_bad_files_are_refused_in_one_line(data_folder, file, content, message):
    path = write_project_layout(data_folder / "bad", end=".tsv") / file
    path.unlink() if content is None else write_file(path, content)
    with pytest.raises(InputError) as error:
        read_dataset(DatasetConfig("bad", split="test"))
    assert str(error.value) == message.format(path, path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"_id": "d1", "text": None}, "text is None, not a text"),
        ({"_id": "d1", "text": "a", "title": ["b"]}, "title is ['b'], not a text"),
        ({"_id": None, "text": "a"}, "id None is neither a text nor a whole number"),
        ({"_id": 1.5, "text": "a"}, "id 1.5 is neither a text nor a whole number"),
        ({"text": "a"}, "no column 'id'; available: text"),
        ({"_id": "d1", "text": "\ud800"}, "text contains a lone surrogate: not valid text"),
    ],
)
def test_bad_lines_of_json(data_folder, row, message):
    file = write_beir_layout(data_folder / "bad") / "corpus.jsonl"
    write_file(file, jsonl([row]))
    with pytest.raises(InputError) as error:
        read_dataset(DatasetConfig("bad", split="test"))
    assert str(error.value) == f"{file}, line 1: {message}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, "dataset small: no split 'dev'; available: test"),
        ({}, "dataset small: split is not set; available: test"),
        (
            {"path": "whole", "split": "dev"},
            "dataset whole: no split 'dev'; available: qrels.tsv.gz without a split",
        ),
        (
            {"split": "test", "task": "sts"},
            "dataset small: {}/small contains a corpus, so its task is retrieval, not sts",
        ),
        (
            {"split": "test", "limit": 0},
            "dataset small: limit 0: must be a whole number of rows, or a share of them between 0 "
            "and 1",
        ),
        *(
            (
                {"split": "test", name: value},
                f"dataset small: {name} does not apply to task retrieval; its options are "
                "path, split, task, limit, limit_seed, beyond, prompts, keep_identical_ids, "
                "name",
            )
            for name, value in {
                "texts": ["id"],
                "label": "x",
                "range": (0, 4),
                "classes": ["a"],
                "source": "x",
                "where": {"a": "b"},
                "weight": 1.0,
                "skip_empty": True,
                "format": "tsv",
            }.items()
        ),
        (
            {"path": "none", "task": "retrieval"},
            "dataset none: task retrieval needs a folder with corpus.tsv or corpus.jsonl, "
            "plain or .gz; not found: {}/none, none",
        ),
    ],
)
def test_bad_options_are_refused_in_one_line(data_folder, options, message):
    write_project_layout(data_folder / "small")
    write_project_layout(data_folder / "whole", split=None)
    with pytest.raises(InputError) as error:
        read_dataset(DatasetConfig(**{"path": "small"} | options))
    assert str(error.value) == message.format(data_folder)
