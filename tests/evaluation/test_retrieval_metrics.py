"""Retrieval metrics: those of trec_eval, of a plain loop, and of numbers worked out by hand."""

import math

import numpy as np
import pytest
import pytrec_eval
from retrieval_inputs import (
    jsonl,
    metrics_by_loop,
    metrics_by_trec_eval,
    random_search,
    tsv,
    write_file,
)

from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
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


def test_absent_documents_and_negative_judgements_are_those_of_trec_eval(tmp_path):
    generator = np.random.default_rng(0)
    queries, documents = [f"q{i}" for i in range(8)], [f"d{i}" for i in range(40)]
    judged = [
        (query, f"d{d}", int(generator.integers(-2, 4)))
        for query in [*queries, "q99"]
        for d in generator.permutation(60)[:15]  # 20 of the 60 are not in the corpus
    ]
    write_file(tmp_path / "corpus.jsonl", jsonl({"_id": d, "text": d} for d in documents))
    write_file(tmp_path / "queries.jsonl", jsonl({"_id": q, "text": q} for q in queries))
    write_file(tmp_path / "qrels/test.tsv", tsv("query-id corpus-id score", judged))
    rows = read_dataset(DatasetConfig(str(tmp_path), split="test"))
    found = np.stack([generator.permutation(40)[:30] for _ in rows.queries])
    run, qrels = {}, {}
    for query, row in zip(rows.query_ids, found, strict=True):
        run[query] = {documents[d]: float(-rank) for rank, d in enumerate(row)}
    for query, document, relevance in judged:
        qrels.setdefault(query, {})[document] = relevance
    names = {"ndcg@10": "ndcg_cut_10", "map@100": "map_cut_100", "recall@10": "recall_10"}
    wanted = {"ndcg_cut_10", "map_cut_100", "recall_10"}
    expected = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    values = retrieval_metrics(found, *rows.qrels)
    for ours, theirs in names.items():
        assert values[ours] == pytest.approx([expected[q][theirs] for q in rows.query_ids])
