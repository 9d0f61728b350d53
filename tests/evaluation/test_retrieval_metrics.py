"""Retrieval metrics: those of trec_eval, of a plain loop, and of numbers worked out by hand."""

import math

import numpy as np
import pytest
from retrieval_inputs import metrics_by_loop, metrics_by_trec_eval, random_search

from sbert.evaluation.metrics import mean_defined, retrieval_metrics


def means(*case):
    by_query = retrieval_metrics(*case)  # (Q,) each
    return {name: mean_defined(values) for name, values in by_query.items()}


@pytest.mark.parametrize("kept", [1, 7, 10, 99, 150])
def test_metrics_are_those_of_trec_eval(kept):
    for seed in range(5):
        case = random_search(seed, kept=kept)
        assert means(*case) == pytest.approx(metrics_by_trec_eval(*case), abs=1e-12)
        assert means(*case) == pytest.approx(metrics_by_loop(*case), abs=1e-12)


def test_metrics_by_hand():
    # q0 finds relevance 1, none, 3 at ranks 1 to 3 and misses one of 2; q1 finds its at rank 11
    found = np.array([[4, 9, 2, *range(20, 29)], [*range(20, 30), 7, 8]])
    query, document, relevance = (
        np.array([0, 0, 0, 0, 1]),
        np.array([2, 4, 5, 9, 7]),
        np.array([3, 1, 2, 0, 5]),
    )
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    assert means(found, query, document, relevance) == pytest.approx(
        {
            "ndcg@10": (1 + 3 / 2) / ideal / 2,
            "mrr@10": 1 / 2,
            "map@100": ((1 + 2 / 3) / 3 + 1 / 11) / 2,
            "recall@1": (1 / 3) / 2,
            "recall@10": (2 / 3) / 2,
            "recall@100": (2 / 3 + 1) / 2,
            "precision@1": 1 / 2,
            "precision@10": (2 / 10) / 2,
        }
    )


def test_a_document_of_relevance_0_is_not_relevant_and_helps_nobody():
    found, query, document, relevance = random_search(0)
    some = relevance > 0
    assert means(found, query, document, relevance) == means(
        found, query[some], document[some], relevance[some]
    )


def test_queries_without_a_relevant_document_do_not_count():
    found = np.array([[0, 1], [1, 0]])
    one = means(found, np.array([0, 1]), np.array([0, 0]), np.array([1.0, 0.0]))
    assert one["ndcg@10"] == one["recall@1"] == 1
    none = means(found, np.array([0]), np.array([0]), np.array([0.0]))
    assert all(math.isnan(value) for value in none.values())
    assert all(math.isnan(value) for value in means(found, *np.zeros((3, 0), int)).values())
