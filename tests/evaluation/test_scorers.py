"""Scorers: similarities by hand, one call of the model for all texts, tasks that are refused."""

import math
from functools import partial

import numpy as np
import pytest
from evaluation_inputs import Lookup, Predict, classified, scored

from sbert import BiEncoder
from sbert.data.retrieval import Qrels, Retrieval
from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation.evaluators import evaluate_rows
from sbert.evaluation.scorers import bi_encoder_scorer, pair_scores
from sbert.losses.saved import TrainedLoss


def test_scores_by_hand():
    u, v = np.tile([[1.0, 0.0]], (4, 1)), np.array([[1.0, 0], [3, 4], [0, 2], [-1, 0]])
    scores = pair_scores(u, v)
    np.testing.assert_allclose(scores["cosine"], [1, 0.6, 0, -1])
    np.testing.assert_allclose(scores["dot"], [1, 3, 0, -1])
    np.testing.assert_allclose(scores["euclidean"], [0, -math.sqrt(20), -math.sqrt(5), -2])
    np.testing.assert_allclose(scores["manhattan"], [0, -6, -3, -2])


def test_larger_is_more_similar_for_every_score():
    u = np.array([[1.0, 2.0]])
    near, far = pair_scores(u, u), pair_scores(u, np.array([[-2.0, 1.0]]))
    assert all(near[kind] > far[kind] for kind in near)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_zero_vectors_have_cosine_0(dtype):
    zero, one = np.zeros((2, 3), dtype), np.ones((2, 3), dtype)
    with np.errstate(all="raise"):
        assert pair_scores(zero, one)["cosine"].tolist() == [0, 0]
        assert pair_scores(zero, zero)["cosine"].tolist() == [0, 0]


def test_nli_takes_embeddings_of_another_type_than_the_head(widest_difference):
    rows = Rows("pairs", "nli", [["0 0 0"], ["3 1 2"]], np.array([0]))
    for dtype in (np.float64, np.float16):
        assert (
            evaluate_rows(
                rows, bi_encoder_scorer(Lookup(dtype), [TrainedLoss(widest_difference)])
            ).primary
            == 1
        )
    assert (
        evaluate_rows(
            rows, bi_encoder_scorer(Lookup(), [TrainedLoss(widest_difference.double())])
        ).primary
        == 1
    )


def test_nli_without_a_head_is_refused():
    with pytest.raises(InputError, match=r"pairs.*SoftmaxLoss"):
        evaluate_rows(
            Rows("pairs", "nli", [["0 0 0"], ["3 1 2"]], np.array([0])), bi_encoder_scorer(Lookup())
        )


@pytest.mark.parametrize(
    ("task", "columns", "labels"),
    [
        ("sts", 2, [1.0, 0.5, 0.0]),
        ("binary", 2, [1, 0, 0]),
        ("nli", 2, [0, 1, 2]),
        ("triplet", 3, None),
    ],
)
def test_all_texts_are_encoded_in_one_call(task, columns, labels, widest_difference):
    texts = [[f"{c} {row} 1" for row in range(3)] for c in range(columns)]
    encode = Lookup()
    report = evaluate_rows(
        Rows("rows", task, texts, None if labels is None else np.array(labels)),
        bi_encoder_scorer(encode, [TrainedLoss(widest_difference)]),
    )
    assert encode.calls == [[text for column in texts for text in column]]
    assert report.rows == 3
    assert report.primary_metric in report.metrics


@pytest.mark.parametrize(
    ("rows", "dim", "expected"),
    [
        (scored("sts", [1, 0], [1, 2]), 1, [("text 0", "1"), ("text 1", "2")]),
        (scored("binary", [1, 0], [1, 2]), 1, [("text 0", "1"), ("text 1", "2")]),
        (scored("rerank", [1, 0], [1, 2], ["q", "q"]), 1, [("q", "1"), ("q", "2")]),
        (classified([1, 0], [[1, 2], [3, 4]]), 2, [("text", "1 2"), ("text", "3 4")]),
        (
            Rows("t", "triplet", [["a", "b"], ["1", "2"], ["3", "4"], [None, "5"]], None),
            1,
            [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4"), ("b", "5")],
        ),
    ],
    ids=["sts", "binary", "rerank", "nli", "triplet"],
)
def test_all_pairs_are_judged_in_one_call(rows, dim, expected):
    predict = Predict(dim)
    evaluate_rows(rows, predict.scorer())
    assert predict.calls == [expected]


@pytest.mark.parametrize(
    ("task", "columns", "labels"),
    [("sts", 2, [1, 0]), ("binary", 2, [1, 0]), ("triplet", 3, None), ("rerank", 2, [1, 0])],
)
def test_a_classifier_cannot_judge_scores(task, columns, labels):
    predict = Predict(3)
    rows = Rows(
        "pairs",
        task,
        [["0", "1"]] * columns,
        None if labels is None else np.array(labels, np.float32),
    )
    with pytest.raises(InputError) as error:
        evaluate_rows(rows, predict.scorer(["a", "b", "c"]))
    assert (
        str(error.value)
        == f"pairs: task {task} needs a model that scores pairs, and this one classifies them"
    )
    assert predict.calls == [], "refused before anything is computed"


def test_a_model_of_scores_cannot_judge_classes():
    predict = Predict()
    with pytest.raises(InputError) as error:
        evaluate_rows(scored("nli", [0, 1], [0, 1]), predict.scorer())
    told = "NLI needs a classifier: the head of SoftmaxLoss, or a cross-encoder of several classes"
    assert str(error.value) == f"pairs: {told}"
    assert predict.calls == []


# the similarity that a model declares


def test_the_main_metric_is_of_the_declared_similarity():
    texts = [["1 0", "1 0", "1 0", "0 2"], ["6 8", "0 1", "1 0", "0 1"]]
    rows = Rows("pairs", "rerank", texts, np.array([1, 0, 0, 0], np.float32))
    # the first row ranks second by cosine, first by dot, third by both distances
    reciprocal = {"cosine": 1 / 2, "dot": 1, "euclidean": 1 / 3, "manhattan": 1 / 3}
    for similarity, expected in reciprocal.items():
        report = evaluate_rows(rows, bi_encoder_scorer(Lookup(), similarity=similarity))
        assert report.primary_metric == f"ndcg@10_{similarity}"
        assert report.metrics[f"mrr@10_{similarity}"] == pytest.approx(expected)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean", "manhattan"])
def test_equal_to_the_evaluators_of_sentence_transformers(tiny_folder, sentences, similarity):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.evaluation import (
        EmbeddingSimilarityEvaluator,
        InformationRetrievalEvaluator,
        TripletEvaluator,
    )

    theirs = SentenceTransformer(str(tiny_folder), device="cpu", similarity_fn_name=similarity)
    encode = partial(BiEncoder.from_pretrained(tiny_folder).encode, precision="fp32")
    scorer = bi_encoder_scorer(encode, similarity=similarity)

    left, right, gold = sentences[:18], sentences[18:36], np.linspace(0, 1, 18)
    found = evaluate_rows(Rows("sts", "sts", [left, right], gold), scorer)
    expected = EmbeddingSimilarityEvaluator(left, right, gold.tolist(), write_csv=False)(theirs)
    assert found.primary == pytest.approx(expected[f"spearman_{similarity}"], abs=1e-6)

    others = sentences[7:25]
    found = evaluate_rows(Rows("t", "triplet", [left, right, others], None), scorer)
    expected = TripletEvaluator(left, right, others, write_csv=False)(theirs)
    assert found.primary == pytest.approx(expected[f"{similarity}_accuracy"])

    corpus, queries = list(dict.fromkeys(sentences)), left[:6]
    judged = {i: (3 * i, 5 * i + 1) for i in range(6)}
    qrels = Qrels(np.repeat(range(6), 2), np.array(sum(judged.values(), ())), np.ones(12))
    ids = [list(map(str, range(len(texts)))) for texts in (corpus, queries)]
    rows = Retrieval("r", ids[0], corpus, ids[1], queries, qrels)
    found = evaluate_rows(rows, scorer)
    evaluator = InformationRetrievalEvaluator(
        dict(enumerate(queries)), dict(enumerate(corpus)), {q: set(d) for q, d in judged.items()}
    )
    expected = evaluator(theirs)
    assert found.primary == pytest.approx(expected[f"{similarity}_ndcg@10"], abs=1e-6)
