"""Queries, corpus and positives of rows and retrieval data; cosines with the positives."""

import numpy as np
import pytest

from sbert import InputError
from sbert.data.collection import Collection
from sbert.data.retrieval import Qrels, Retrieval
from sbert.data.rows import Rows
from sbert.mining.candidates import LabelledQueries, scores_with
from sbert.mining.search.top_k import top_k


def rows_of(task, *columns, labels=None):
    return Rows("mine", task, [list(column) for column in columns], labels)


def corpus_of(*texts):
    return Collection("corpus.txt", [str(i) for i in range(len(texts))], list(texts))


def positives_of(labelled):
    """Each query with its positives, as texts."""
    pairs = zip(labelled.queries, labelled.positives, strict=True)
    return {query: [labelled.corpus[i] for i in positives] for query, positives in pairs}


def test_rows_whose_positives_are_the_corpus():
    queries, positives = ["q1", "q2", "q1", "q1", "q3"], ["a", "b", "c", "a", "b"]
    for data in (
        rows_of("pair", queries, positives),
        rows_of("triplet", queries, positives, ["x"] * 5, [None] * 5),
    ):
        labelled = LabelledQueries.from_data(data, None)
        assert labelled.corpus == ["a", "b", "c"]
        assert positives_of(labelled) == {"q1": ["a", "c"], "q2": ["b"], "q3": ["b"]}
        assert labelled.excluded() == [[0, 2], [1], [1]]


def test_binary_rows_count_where_the_label_is_1():
    data = rows_of(
        "binary", ["q1", "q1", "q2"], ["a", "b", "a"], labels=np.array([1, 0, 0], np.float32)
    )
    assert positives_of(LabelledQueries.from_data(data, corpus_of("b", "a"))) == {"q1": ["a"]}
    data.labels[:] = 0
    with pytest.raises(InputError, match="mine: no row has label 1, so none has a positive"):
        LabelledQueries.from_data(data, None)


def test_a_corpus_with_duplicates_and_the_query_itself():
    labelled = LabelledQueries.from_data(
        rows_of("pair", ["q", "b"], ["a", "c"]), corpus_of("x", "q", "a", "q", "a", "c", "b")
    )
    assert labelled.corpus == ["x", "q", "a", "c", "b"]
    assert positives_of(labelled) == {"q": ["a"], "b": ["c"]}
    assert labelled.excluded() == [[1, 2], [3, 4]]  # its positives and itself


def test_a_positive_that_is_not_in_the_corpus():
    with pytest.raises(
        InputError, match="mine: the positive of row 1 is not in corpus.txt: 'lost'; add it"
    ):
        LabelledQueries.from_data(rows_of("pair", ["q", "r"], ["a", "lost"]), corpus_of("a", "b"))


@pytest.mark.parametrize("task", ["sts", "nli", "rerank"])
def test_tasks_without_positives(task):
    with pytest.raises(
        InputError,
        match=f"mine: task {task}; negatives are mined for pair, triplet, binary or retrieval data",
    ):
        LabelledQueries.from_data(rows_of(task, ["q"], ["a"], labels=np.ones(1)), None)


def retrieval(corpus, queries, judged):
    query, document, relevance = (np.array(column) for column in zip(*judged, strict=True))
    ids = [[str(i) for i in range(len(texts))] for texts in (corpus, queries)]
    return Retrieval(
        "scifact", ids[0], corpus, ids[1], queries, Qrels(query, document, relevance.astype(float))
    )


def test_retrieval_data():
    judged = [(0, 4, 1), (0, 1, 0), (1, 0, 2), (0, 2, 1), (1, 3, 1), (2, 0, 1)]
    labelled = LabelledQueries.from_data(
        retrieval(["a", "b", "a", "", "c"], ["q", "r", "q"], judged), None
    )
    assert labelled.corpus == ["a", "b", "", "c"]
    # of two queries with the same text the positives are joined
    # an empty document is neither a positive nor a negative
    assert positives_of(labelled) == {"q": ["c", "a"], "r": ["a"]}
    assert labelled.excluded() == [[0, 2, 3], [0, 2]]
    with pytest.raises(InputError, match="scifact: every relevant document is empty"):
        LabelledQueries.from_data(retrieval(["a", ""], ["q"], [(0, 1, 1), (0, 0, 0)]), None)


def test_the_document_with_the_id_of_a_query_is_no_negative():
    data = retrieval(["title q", "r", "a", "b"], ["q", "r", "q"], [(0, 2, 1), (1, 3, 1)])
    data.own_documents = np.array([0, -1, 3])
    labelled = LabelledQueries.from_data(data, None)
    assert labelled.excluded() == [[0, 2, 3], [1, 3]]


def test_a_document_that_is_not_there_is_no_positive():
    data = retrieval(["a", "b"], ["q"], [(0, -1, 1), (0, 0, 1)])
    assert positives_of(LabelledQueries.from_data(data, None)) == {"q": ["a"]}


PLAIN = {
    "cosine": lambda q, v: q @ v / (np.linalg.norm(q) * np.linalg.norm(v)),
    "dot": lambda q, v: q @ v,
    "euclidean": lambda q, v: -np.sqrt(((q - v) ** 2).sum()),
    "manhattan": lambda q, v: -np.abs(q - v).sum(),
}


@pytest.mark.parametrize("similarity", PLAIN)
def test_scores_are_those_of_the_search(similarity):
    generator = np.random.default_rng(0)
    queries = generator.normal(size=(3, 6)).astype(np.float32)
    vectors = generator.normal(size=(40, 6)).astype(np.float32)
    chosen = [[7, 3, 3], [39], generator.permutation(40).tolist()]
    found = scores_with(queries, vectors, chosen, similarity)
    scores, indices = top_k(queries, vectors, 40, similarity=similarity)
    for query, numbers, own, order, ranked in zip(
        queries.astype(np.float64), chosen, found, indices.tolist(), scores.tolist(), strict=True
    ):
        plain = [PLAIN[similarity](query, vectors[i].astype(np.float64)) for i in numbers]
        np.testing.assert_allclose(own, plain, rtol=1e-6, atol=1e-6)
        searched = dict(zip(order, ranked, strict=True))
        assert own == [searched[i] for i in numbers]


def test_a_vector_of_zeros_has_cosine_zero():
    vectors = np.eye(3, 6, dtype=np.float32)
    chosen = [[0, 1, 2]]
    assert scores_with(np.zeros((1, 6), np.float32), vectors, chosen, "cosine") == [[0, 0, 0]]
