"""The files of a retrieval folder: what is judged and absent, and the judgements of TREC."""

import numpy as np
import pytest
from retrieval_inputs import CORPUS, QRELS, tsv, write_file, write_project_layout

from sbert.data.config import DatasetConfig
from sbert.data.leakage import SeenTexts, check_contamination
from sbert.data.rows import read_dataset


@pytest.fixture
def judged(data_folder):
    """A function that reads a folder with these judgements."""

    def read(judgements, name="qrels_test.tsv"):
        folder = write_project_layout(data_folder / "small", end=".tsv")
        (folder / "qrels_test.tsv").unlink()
        text = judgements
        if not isinstance(judgements, str):
            text = tsv("query_id doc_id relevance", judgements)
        write_file(folder / name, text)
        return read_dataset(DatasetConfig("small", split="test"))

    return read


def test_absent_documents_are_judged_and_named(judged):
    absent = [("q2", f"x{i}", 1) for i in range(5)] + [("q1", "x0", 2)]
    rows = judged([*QRELS, *absent])
    assert rows.notes == [
        "5 judged documents not in corpus.tsv (x0, x1, x2, ...): counted as not found"
    ]
    of_q2 = rows.qrels.query == 1
    assert rows.qrels.document[of_q2].tolist() == [2, 1, -1, -1, -1, -1, -1]
    assert rows.qrels.relevance[of_q2].tolist() == [1, 3, 1, 1, 1, 1, 1]


def test_a_query_with_absent_documents_alone_stays(judged):
    rows = judged([*QRELS, ("q5", "x0", 1)])
    assert rows.query_ids == ["q1", "q2", "q4", "q5"]
    seen = check_contamination(rows, SeenTexts({}, set(), {("a cat", "a cat sits")}))
    assert seen.pair.tolist() == [True, False, False, False]


def test_absent_queries_are_left_out_and_named(judged):
    rows = judged([*QRELS, ("q8", "d1", 1), ("q9", "x0", 1)])
    assert rows.notes == ["2 judged queries not in queries_test.tsv (q8, q9): left out"]
    assert rows.query_ids == ["q1", "q2", "q4"]


def test_a_negative_judgement_is_not_relevant(judged):
    rows = judged([*QRELS, ("q1", "d3", -1), ("q5", "d1", -2)])
    assert rows.query_ids == ["q1", "q2", "q4"]
    assert rows.qrels.relevance.tolist() == [2, 0, 1, 3, 1, 0]


@pytest.mark.parametrize("name", ["qrels_test.tsv", "qrels.test.txt", "qrels/test.tsv"])
@pytest.mark.parametrize("separator", [" ", "\t", "   "])
def test_judgements_of_trec(judged, name, separator):
    lines = [separator.join([query, "0", document, str(r)]) for query, document, r in QRELS]
    rows = judged("\n".join([*lines, separator.join(["q4", "Q0", "d1", "-2"]), ""]), name)
    assert rows.query_ids == ["q1", "q2", "q4"]
    documents = list(CORPUS)
    found = [(documents[d], r) for d, r in zip(*rows.qrels[1:], strict=True)]
    assert found == [("d1", 2), ("d5", 0), ("d3", 1), ("d2", 3), ("d3", 1), ("d1", 0)]


def test_a_table_of_four_columns_is_none_of_trec(judged):
    lines = [("q1", "0", "d1", 1), ("q2", "0", "d2", 1)]
    rows = judged(tsv("query_id part doc_id relevance", lines))
    np.testing.assert_array_equal(rows.qrels, [[0, 1], [0, 1], [1, 1]])
