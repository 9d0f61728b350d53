"""Retrieval: folders of two layouts, trec_eval's metrics, a search on vectors typed by hand, re-ranking, the commands."""

import gzip
import json
import math

import numpy as np
import pytest
import pytrec_eval
from support import (
    REAL_DATA,
    WEIGHTS,
    copied,
    fails,
    metrics,
    needs_weights,
    train_with_two_processes,
    write_config,
)

from sbert import BiEncoder, CrossEncoder
from sbert.data.config import DatasetConfig
from sbert.data.retrieval import Qrels, Retrieval
from sbert.data.rows import has_splits, read_dataset
from sbert.errors import InputError
from sbert.evaluation.evaluators import Report, evaluate_rows, rerank, undefined_metric
from sbert.evaluation.metrics import retrieval
from sbert.evaluation.scorers import bi_encoder_scorer, cross_encoder_scorer

CORPUS = {
    "d1": "a cat sits",
    "d2": "the dog runs",
    "d3": "a red house",
    "d4": "",
    "d5": "a man eats",
}
QUERIES = {"q1": "a cat", "q2": "the dog", "q3": "a woman", "q4": "a house", "q5": "the park"}
QRELS = [
    ("q1", "d1", 2),
    ("q1", "d5", 0),
    ("q2", "d3", 1),
    ("q2", "d2", 3),
    ("q3", "d1", 0),
    ("q4", "d3", 1),
]
KEPT = ["q1", "q2", "q4"]  # q3 has no relevant document, q5 no judgement


def tsv(header, rows):
    return "\n".join("\t".join(map(str, row)) for row in [header.split(), *rows]) + "\n"


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def ours(folder, split="test", end=".tsv.gz"):
    """The layout of this project."""
    tail = f"_{split}" if split else ""
    write(folder / f"corpus{end}", tsv("id text", CORPUS.items()))
    write(folder / f"queries{tail}{end}", tsv("id text", QUERIES.items()))
    write(folder / f"qrels{tail}{end}", tsv("query_id doc_id relevance", QRELS))
    return folder


def beir(folder, split="test", end=".jsonl"):
    """The layout of BEIR; "d1" is split into a title and a text, "d3" is a title alone."""
    parts = {"d1": ("a", "cat sits"), "d3": ("a red house", "")}
    documents = [(name, *parts.get(name, ("", text))) for name, text in CORPUS.items()]
    write(
        folder / f"corpus{end}",
        jsonl({"_id": n, "title": title, "text": text} for n, title, text in documents),
    )
    write(
        folder / f"queries{end}",
        jsonl({"_id": n, "text": text, "metadata": {}} for n, text in QUERIES.items()),
    )
    write(folder / f"qrels/{split}.tsv", tsv("query-id corpus-id score", QRELS))
    return folder


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


# folders


@pytest.mark.parametrize("task", [None, "retrieval"])
@pytest.mark.parametrize(
    ("layout", "end"), [(ours, ".tsv"), (ours, ".tsv.gz"), (beir, ".jsonl"), (beir, ".jsonl.gz")]
)  # fmt: skip
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
    assert rows.texts == [rows.queries + rows.corpus]
    assert undefined_metric(rows) is None
    file = "qrels_test" + end if layout is ours else "test.tsv"
    assert rows.describe() == (
        "small-test: 3 queries, 5 documents (1 of them empty), 5 judgements, retrieval; "
        f"1 queries skipped: not in {file}; 1 queries skipped: no relevant document"
    )


def test_a_path_of_a_folder_and_a_name(tmp_path, monkeypatch):
    folder = ours(tmp_path / "v1.0")
    assert read_dataset(DatasetConfig(str(folder), split="test")).name == "v1.0-test"
    assert read_dataset(DatasetConfig(str(folder), split="test", name="mine")).name == "mine"
    monkeypatch.chdir(folder)
    assert read_dataset(DatasetConfig(".", split="test")).name == "v1.0-test"


def test_a_folder_without_splits(data_folder):
    ours(data_folder / "whole", split=None)
    assert read_dataset(DatasetConfig("whole")).name == "whole"
    assert not has_splits(DatasetConfig("whole"))
    ours(data_folder / "split")
    assert has_splits(DatasetConfig("split"))
    assert has_splits(DatasetConfig("elsewhere"))
    assert not has_splits(DatasetConfig("pairs.tsv.gz"))


def test_ids_of_json_may_be_numbers(data_folder):
    folder = beir(data_folder / "numbers")
    write(
        folder / "corpus.jsonl",
        jsonl([{"_id": 7, "text": "a cat"}, {"_id": "8", "text": "a dog", "title": None}]),
    )
    write(
        folder / "qrels/test.tsv", tsv("query-id corpus-id score", [("q1", 7, 1), ("q1", 8, 0.5)])
    )
    rows = read_dataset(DatasetConfig("numbers", split="test"))
    assert (rows.corpus_ids, rows.corpus) == (["7", "8"], ["a cat", "a dog"])
    assert rows.qrels.relevance.tolist() == [1, 0.5]


def test_the_splits_own_queries_come_before_those_of_all_splits(data_folder):
    folder = ours(data_folder / "both")
    write(folder / "queries.tsv", tsv("id text", [("q1", "another text")]))
    assert read_dataset(DatasetConfig("both", split="test")).queries[0] == "a cat"


def test_limit_is_of_queries_and_the_corpus_stays_whole(data_folder):
    ours(data_folder / "small")
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


# file: its new content, None to delete it; and the message, {} the file
BAD = {
    "query that is unknown": ("qrels_test.tsv", tsv("query_id doc_id relevance", [("q1", "d1", 1), ("q9", "d1", 1)]),
                              "{}, line 3: the query 'q9' is not in queries_test.tsv"),
    "document that is unknown": ("qrels_test.tsv", tsv("query_id doc_id relevance", [("q1", "d9", 1)]),
                                 "{}, line 2: the document 'd9' is not in corpus.tsv"),
    "pair judged twice": ("qrels_test.tsv", tsv("query_id doc_id relevance", [("q1", "d1", 1), ("q1", "d1", 2)]),
                          "{}, line 3: query 'q1' and document 'd1' are judged twice; keep one judgement"),
    "relevance of letters": ("qrels_test.tsv", tsv("query_id doc_id relevance", [("q1", "d1", "high")]),
                             "{}, line 2: the relevance 'high' is not a number"),
    "negative relevance": ("qrels_test.tsv", tsv("query_id doc_id relevance", [("q1", "d1", -1)]),
                           "{}, line 2: the relevance -1 is not a number from 0 (not relevant) upwards"),
    "NaN relevance": ("qrels_test.tsv", tsv("query_id doc_id relevance", [("q1", "d1", "nan")]),
                      "{}, line 2: the relevance nan is not a number from 0 (not relevant) upwards"),
    "nothing relevant": ("qrels_test.tsv", tsv("query_id doc_id relevance", [("q1", "d1", 0)]),
                         "{}: no query has a relevant document, whose relevance is above 0"),
    "no judgement": ("qrels_test.tsv", tsv("query_id doc_id relevance", []), "{}: holds no judgement"),
    "other columns of qrels": ("qrels_test.tsv", tsv("query doc_id relevance", [("q1", "d1", 1)]),
                               "{}, line 2: no column 'query_id' or 'query-id'; there are: query, doc_id, relevance"),
    "document twice": ("corpus.tsv", tsv("id text", [("d1", "a"), ("d2", "b"), ("d1", "c")]),
                       "{}, line 4: the id 'd1' stands on line 2 too; every document needs its own"),
    "query twice": ("queries_test.tsv", tsv("id text", [("q1", "a"), ("q1", "b")]),
                    "{}, line 3: the id 'q1' stands on line 2 too; every query needs its own"),
    "empty corpus": ("corpus.tsv", tsv("id text", []), "{}: holds no document"),
    "no queries": ("queries_test.tsv", tsv("id text", []), "{}: holds no query"),
    "empty query": ("queries_test.tsv", tsv("id text", [("q1", "a cat"), ("q2", " ")]),
                    "{}, line 3: the text of query 'q2' is empty; fill it, or leave the query out"),
    "empty id": ("corpus.tsv", tsv("id text", [("", "a cat")]), "{}, line 2: the id '' is neither a text nor a whole number"),
    "other columns of a corpus": ("corpus.tsv", tsv("id body", [("d1", "a cat")]),
                                  "{}, line 2: no column 'text'; there are: id, body"),
    "tab in a text": ("corpus.tsv", "id\ttext\nd1\ta\tcat\n", "{}, line 2: 3 fields where 2 are needed (id, text)"),
    "no file of queries": ("queries_test.tsv", None,
                           "{.parent}: no queries, which are in queries_test.tsv or queries.jsonl, plain or .gz"),
    "no file of qrels": ("qrels_test.tsv", None,
                         "{.parent}: no judgements, which are in qrels.tsv, qrels_<split>.tsv or qrels/<split>.tsv"),
    "two corpora": ("corpus.jsonl", "", "{.parent}: holds both corpus.tsv and corpus.jsonl; keep one of them"),
    "two qrels": ("qrels/test.tsv", "", "{.parent.parent}: holds both qrels/test.tsv and qrels_test.tsv; keep one of them"),
}  # fmt: skip


@pytest.mark.parametrize(("file", "content", "message"), BAD.values(), ids=BAD)
def test_bad_files_are_refused_in_one_line(data_folder, file, content, message):
    path = ours(data_folder / "bad", end=".tsv") / file
    path.unlink() if content is None else write(path, content)
    with pytest.raises(InputError) as error:
        read_dataset(DatasetConfig("bad", split="test"))
    assert str(error.value) == message.format(path)


@pytest.mark.parametrize(("row", "message"), [
    ({"_id": "d1", "text": None}, "text is None, not a text"),
    ({"_id": "d1", "text": "a", "title": ["b"]}, "title is ['b'], not a text"),
    ({"_id": None, "text": "a"}, "the id None is neither a text nor a whole number"),
    ({"_id": 1.5, "text": "a"}, "the id 1.5 is neither a text nor a whole number"),
    ({"text": "a"}, "no column 'id' or '_id'; there are: text"),
    ({"_id": "d1", "text": "\ud800"}, "text holds half of a surrogate pair, which is no text"),
])  # fmt: skip
def test_bad_lines_of_json(data_folder, row, message):
    file = beir(data_folder / "bad") / "corpus.jsonl"
    write(file, jsonl([row]))
    with pytest.raises(InputError) as error:
        read_dataset(DatasetConfig("bad", split="test"))
    assert str(error.value) == f"{file}, line 1: {message}"


@pytest.mark.parametrize(("options", "message"), [
    ({"split": "dev"}, "dataset small: no split 'dev'; there are: test"),
    ({}, "dataset small: no split is named; there are: test"),
    ({"path": "whole", "split": "dev"}, "dataset whole: no split 'dev'; qrels.tsv.gz is of all queries: leave split out"),
    ({"split": "test", "task": "sts"}, "dataset small: {}/small holds a corpus, so its task is retrieval, not sts"),
    ({"split": "test", "limit": 0}, "limit 0: needs a whole number of rows, or a share of them between 0 and 1"),
    *(({"split": "test", name: value}, f"dataset small: {name} has no use for task retrieval; its options are "
       "path, split, task, limit, limit_seed, beyond, name") for name, value in {
        "texts": ["id"], "label": "x", "range": (0, 4), "classes": ["a"], "source": "x", "where": {"a": "b"},
        "weight": 1.0, "skip_empty": True, "format": "tsv",
    }.items()),
    ({"path": "none", "task": "retrieval"}, "dataset none: task retrieval needs a folder with corpus.tsv or corpus.jsonl, "
     "plain or .gz; there is none in {}/none or none"),
])  # fmt: skip
def test_bad_options_are_refused_in_one_line(data_folder, options, message):
    ours(data_folder / "small")
    ours(data_folder / "whole", split=None)
    with pytest.raises(InputError) as error:
        read_dataset(DatasetConfig(**{"path": "small"} | options))
    assert str(error.value) == message.format(data_folder)


# metrics


def loop(found, query, document, relevance):
    """The definitions, query by query; the mean over those with a relevant document."""
    judged = {}
    for q, d, r in zip(query, document, relevance, strict=True):
        judged.setdefault(int(q), {})[int(d)] = float(r)
    values = []
    for q, of_query in judged.items():
        total = sum(r > 0 for r in of_query.values())
        if not total:
            continue
        gains = [of_query.get(int(d), 0.0) for d in found[q] if d >= 0]
        ideal = sorted(of_query.values(), reverse=True)
        dcg, best = (
            sum(g / math.log2(i + 2) for i, g in enumerate(order[:10])) for order in (gains, ideal)
        )
        hits = [i + 1 for i, g in enumerate(gains) if g > 0]
        one = {"ndcg@10": dcg / best}
        one["mrr@10"] = 1 / hits[0] if hits and hits[0] <= 10 else 0.0
        one["map@100"] = sum((k + 1) / rank for k, rank in enumerate(hits) if rank <= 100) / total
        one |= {f"recall@{k}": sum(rank <= k for rank in hits) / total for k in (1, 10, 100)}
        one |= {f"precision@{k}": sum(rank <= k for rank in hits) / k for k in (1, 10)}
        values.append(one)
    return {name: float(np.mean([one[name] for one in values])) for name in values[0]}


def trec(found, query, document, relevance):
    """What trec_eval says. Its reciprocal rank has no cut, so that it sees the first 10 alone."""
    qrels, run, short = {}, {}, {}
    for q, d, r in zip(query, document, relevance, strict=True):
        qrels.setdefault(f"q{q}", {})[f"d{d}"] = int(r)
    for q, row in enumerate(found):
        scores = {f"d{d}": float(-rank) for rank, d in enumerate(row) if d >= 0}
        run[f"q{q}"], short[f"q{q}"] = scores, dict(list(scores.items())[:10])
    wanted = {"ndcg_cut_10", "map_cut_100", "recall_1,10,100", "P_1,10"}
    names = {"ndcg@10": "ndcg_cut_10", "map@100": "map_cut_100", "recall@1": "recall_1", "recall@10": "recall_10",
             "recall@100": "recall_100", "precision@1": "P_1", "precision@10": "P_10"}  # fmt: skip
    able = {q for q, judged in qrels.items() if any(r > 0 for r in judged.values())}
    full = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    first = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(short)
    result = {
        ours: float(np.mean([full[q][theirs] for q in able])) for ours, theirs in names.items()
    }
    return result | {"mrr@10": float(np.mean([first[q]["recip_rank"] for q in able]))}


def random_search(seed, queries=12, documents=300, kept=150):
    """Graded judgements, some of no relevance, in any order; rankings of which some are short."""
    generator = np.random.default_rng(seed)
    pairs = [
        (q, d)
        for q in range(queries)
        for d in generator.permutation(documents)[: generator.integers(1, 60)]
    ]
    query, document = np.array(pairs)[generator.permutation(len(pairs))].T
    relevance = generator.integers(0, 4, len(query))
    relevance[query == 3] = 0
    found = np.stack([generator.permutation(documents)[:kept] for _ in range(queries)])
    found[5, 4:], found[6, 120:] = -1, -1
    return found, query, document, relevance


@pytest.mark.parametrize("kept", [1, 7, 10, 99, 150])
def test_metrics_are_those_of_trec_eval(kept):
    for seed in range(5):
        case = random_search(seed, kept=kept)
        assert retrieval(*case) == pytest.approx(trec(*case), abs=1e-12)
        assert retrieval(*case) == pytest.approx(loop(*case), abs=1e-12)


def test_metrics_by_hand():
    # q0 finds relevance 1, none, 3 at ranks 1 to 3, and misses one of 2; q1 finds its document at rank 11
    found = np.array([[4, 9, 2, *range(20, 29)], [*range(20, 30), 7, 8]])
    query, document, relevance = (
        np.array([0, 0, 0, 0, 1]),
        np.array([2, 4, 5, 9, 7]),
        np.array([3, 1, 2, 0, 5]),
    )
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    assert retrieval(found, query, document, relevance) == pytest.approx({
        "ndcg@10": (1 + 3 / 2) / ideal / 2,
        "mrr@10": 1 / 2,
        "map@100": ((1 + 2 / 3) / 3 + 1 / 11) / 2,
        "recall@1": (1 / 3) / 2, "recall@10": (2 / 3) / 2, "recall@100": (2 / 3 + 1) / 2,
        "precision@1": 1 / 2, "precision@10": (2 / 10) / 2,
    })  # fmt: skip


def test_a_document_of_relevance_0_is_not_relevant_and_helps_nobody():
    found, query, document, relevance = random_search(0)
    some = relevance > 0
    assert retrieval(found, query, document, relevance) == retrieval(
        found, query[some], document[some], relevance[some]
    )


def test_queries_without_a_relevant_document_do_not_count():
    found = np.array([[0, 1], [1, 0]])
    one = retrieval(found, np.array([0, 1]), np.array([0, 0]), np.array([1.0, 0.0]))
    assert one["ndcg@10"] == one["recall@1"] == 1
    none = retrieval(found, np.array([0]), np.array([0]), np.array([0.0]))
    assert all(math.isnan(value) for value in none.values())
    assert all(math.isnan(value) for value in retrieval(found, *np.zeros((3, 0), int)).values())


# searching and re-ranking, on vectors typed by hand


class Lookup:
    """Text to vector; every text is its vector written out. Keeps what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, texts):
        self.calls.append(texts)
        return np.array([[float(x) for x in text.split()] for text in texts], np.float32)


def by_hand():
    """Two queries and five documents; 0 finds 0 and 4 (equal, so by index), 3, 1, 2; 1 finds 2, 3, 1, then 0 and 4."""
    corpus = ["2 0", "3 4", "0 7", "4 3.1", "1 0"]
    qrels = Qrels(np.array([0, 0, 1, 1]), np.array([4, 1, 3, 2]), np.array([2.0, 1.0, 1.0, 0.0]))
    return Retrieval("vectors", list("abcde"), corpus, ["x", "y"], ["1 0", "0 1"], qrels)


def test_a_bi_encoder_searches_by_cosine_in_one_call():
    encode = Lookup()
    report = evaluate_rows(by_hand(), bi_encoder_scorer(encode))
    assert encode.calls == [["1 0", "0 1", "2 0", "3 4", "0 7", "4 3.1"]], (
        "distinct texts, queries first"
    )
    assert report.found[:, :5].tolist() == [[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]]
    assert (report.found[:, 5:] == -1).all()
    assert report.found.shape == (2, 100)
    assert (report.rows, report.main, report.kind) == (2, "ndcg@10_cosine", "cosine")
    dcg = 2 / math.log2(3) + 1 / math.log2(5)
    assert report.primary == pytest.approx((dcg / (2 + 1 / math.log2(3)) + 1 / 2) / 2)
    assert report.metrics["mrr@10_cosine"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert report.metrics["map@100_cosine"] == pytest.approx(((1 / 2 + 2 / 4) / 2 + 1 / 3) / 2)
    assert set(report.metrics) == {f"{name}_cosine" for name in retrieval(*random_search(0))}


@pytest.mark.parametrize("classes", [1, 3])
def test_a_cross_encoder_alone_cannot_search(classes):
    with pytest.raises(InputError) as error:
        evaluate_rows(by_hand(), cross_encoder_scorer(None, classes, None))
    told = "a cross-encoder alone cannot search a corpus; evaluate.py takes it as the reranker of a bi-encoder"
    assert str(error.value) == f"vectors: {told}"


class Predict:
    """Pairs to logits by the document; keeps what it was called with."""

    def __init__(self, **logits):
        self.calls, self.logits = [], logits

    def __call__(self, pairs):
        self.calls.append(pairs)
        return np.array([self.logits[document] for _, document in pairs], np.float32)


def lettered(found, corpus="abcde"):
    rows = by_hand()
    rows.corpus = list(corpus)
    return rows, Report("vectors", "retrieval", 2, {}, found=np.array(found))


def test_reranked_by_hand():
    rows, first = lettered([[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]])
    predict = Predict(a=-9, b=5, c=-1, d=-1, e=2)
    report = rerank(rows, first, predict, 3)
    assert predict.calls == [
        [("1 0", "a"), ("1 0", "e"), ("1 0", "d"), ("0 1", "c"), ("0 1", "b"), ("0 1", "d")]
    ]
    # the first three by logit, of equal logits (c, d) the one found earlier first, then the rest as found
    assert report.found.tolist() == [[4, 3, 0, 1, 2], [1, 2, 3, 0, 4]]
    assert first.found.tolist() == [[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]], "the first report stays"
    assert (report.name, report.rows, report.main) == ("vectors, re-ranked", 2, "ndcg@10_logit")
    dcg = 2 + 1 / math.log2(5)
    assert report.primary == pytest.approx((dcg / (2 + 1 / math.log2(3)) + 1 / 2) / 2)
    assert report.metrics["recall@1_logit"] == (1 / 2 + 0) / 2


def test_equal_logits_keep_the_order_found():
    rows, first = lettered([[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]])
    assert (
        rerank(rows, first, Predict(**dict.fromkeys("abcde", 7)), 4).found.tolist()
        == first.found.tolist()
    )


def test_a_depth_beyond_what_was_found_and_missing_documents():
    rows, first = lettered([[0, 4, -1], [2, -1, -1]])
    report = rerank(rows, first, Predict(a=1, c=0, e=2), 50)
    assert report.found.tolist() == [[4, 0, -1], [2, -1, -1]]


def test_an_empty_document_ranks_last_of_the_depth():
    rows, first = lettered([[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]], corpus=["", "b", "c", "d", "e"])
    predict = Predict(b=-5, c=-6, d=-7, e=-8)
    assert rerank(rows, first, predict, 4).found.tolist() == [[1, 3, 4, 0, 2], [1, 2, 3, 0, 4]]
    assert all(document for _, document in predict.calls[0])


def test_a_logit_that_is_nan_is_no_order():
    rows, first = lettered([[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]])
    with pytest.raises(
        InputError, match="^vectors: the reranker gives NaN to a document of query 'y'$"
    ):
        rerank(rows, first, Predict(a=0, b=0, c=math.nan, d=0, e=0), 2)


def test_as_many_documents_are_found_as_are_asked_for():
    judge = bi_encoder_scorer(Lookup())
    judge.depth = 3
    assert evaluate_rows(by_hand(), judge).found.tolist() == [[0, 4, 3], [2, 1, 3]]


# commands


@pytest.fixture
def cross_folder(tmp_path, tiny_folder):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "cross")
    return tmp_path / "cross"


def naive(folder, rows, cross=None, depth=None):
    """Every cosine sorted; the first `depth` sorted anew by the logits of one query at a time."""
    model = BiEncoder.from_pretrained(folder)
    queries, corpus = (
        model.encode(texts, precision="fp32", normalize=True)
        for texts in (rows.queries, rows.corpus)
    )
    orders = np.argsort(-queries @ corpus.T, axis=1, kind="stable")
    for query, order in zip(rows.queries, orders, strict=True):
        top = order[:depth].copy() if cross else []
        words = [d for d in top if rows.corpus[d]]
        if cross:
            ranked = [
                words[i]
                for i, _ in cross.rank(query, [rows.corpus[d] for d in words], precision="fp32")
            ]
            order[:depth] = ranked + [d for d in top if not rows.corpus[d]]
    return loop(orders, *rows.qrels)


def test_evaluate_searches_and_reranks(
    tmp_path, tiny_folder, cross_folder, evaluate_command, capsys
):
    folder = beir(tmp_path / "small")
    output = tmp_path / "result.json"
    argv = ["--model", tiny_folder, "--data", folder, "--precision", "fp32", "--output", output]
    rows = read_dataset(DatasetConfig(str(folder), split="test"))
    evaluate_command(*argv)
    text = capsys.readouterr()
    assert "small-test: 3 queries, 5 documents (1 of them empty)" in text.err
    result = json.loads(output.read_text())
    assert not result.keys() & {"reranker", "depth", "comparison", "baseline"}
    evaluate_command(*argv, "--reranker", cross_folder, "--depth", 3)
    table = [
        line.split("|")[1].strip()
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("|")
    ]
    assert [table[0], *table[2:5]] == [
        "retrieval",
        "small-test",
        "small-test, re-ranked",
        "compared",
    ]
    assert table[6:] == ["small-test, re-ranked"], "what the re-ranker adds to the search alone"
    both = json.loads(output.read_text())
    assert (both["reranker"], both["depth"]) == (str(cross_folder), 3)
    assert both["results"][0] == result["results"][0]
    [gain] = both["comparison"]
    assert (gain["dataset"], gain["with"], gain["metric"]) == (
        "small-test, re-ranked",
        "the search alone",
        "ndcg@10_logit",
    )
    primary = [entry["metrics"][entry["main"]] for entry in both["results"]]
    assert (gain["score"], gain["other"], gain["difference"]) == (
        primary[1],
        primary[0],
        primary[1] - primary[0],
    )
    found, again = (entry["metrics"] for entry in both["results"])
    assert found == pytest.approx({f"{k}_cosine": v for k, v in naive(tiny_folder, rows).items()})
    cross = CrossEncoder.from_pretrained(cross_folder)
    assert again == pytest.approx(
        {f"{k}_logit": v for k, v in naive(tiny_folder, rows, cross, 3).items()}
    )
    assert list(found.values()) != list(again.values()), "or the test shows nothing"


def test_a_table_of_several_tasks_and_folders_without_splits(
    tmp_path, data_folder, tiny_folder, cross_folder, pairs_file, evaluate_command, capsys
):
    ours(data_folder / "whole", split=None)
    ours(data_folder / "small")
    config = tmp_path / "e.yaml"
    config.write_text(
        f"model: {tiny_folder}\ndata: [whole, {{path: {pairs_file}, range: [0, 5], name: pairs}}, small]\n"
    )
    evaluate_command(
        "--config", config, "--reranker", cross_folder, "--output", tmp_path / "result.md"
    )
    out = capsys.readouterr().out
    rows = [line.split("|") for line in out.splitlines() if line.startswith("|")]
    names = [row[1].strip() for row in rows if row[1].strip(" -")]
    assert names[:7] == [
        "sts",
        "pairs",
        "retrieval",
        "whole",
        "whole, re-ranked",
        "small-test",
        "small-test, re-ranked",
    ]
    assert names[7:] == ["compared", "whole, re-ranked", "small-test, re-ranked"]
    assert [cell.strip() for cell in rows[3][2:-1]] == [
        "rows", "nDCG@10", "95 % interval", "MRR@10", "MAP@100", "recall@10", "recall@100", "P@10"]  # fmt: skip
    assert all("nan" not in line for line in out.splitlines())
    assert f"re-ranked to depth 100 by {cross_folder}" in (tmp_path / "result.md").read_text()


def test_a_depth_beyond_100_is_searched_for(
    tmp_path, tiny_folder, cross_folder, evaluate_command, monkeypatch
):
    from sbert.evaluation import scorers

    asked = []
    search = scorers.top_k
    monkeypatch.setattr(
        scorers, "top_k", lambda q, c, k, **options: asked.append(k) or search(q, c, k, **options)
    )
    folder = ours(tmp_path / "small")
    for depth in (2, 130):
        evaluate_command(
            "--model", tiny_folder, "--data", folder, "--reranker", cross_folder, "--depth", depth
        )
    assert asked == [100, 130]


@pytest.mark.parametrize(("argv", "message"), [
    (["--reranker", "{cross}", "--depth", 0], "depth is 0; it must be 1 or more"),
    (["--depth", 50], "depth is how many documents a reranker reads; name one, or leave depth out"),
    (["--reranker", "{tiny}"], "reranker {tiny}: is a bi-encoder; a cross-encoder is needed"),
    (["--reranker", "{classes}"], "reranker {classes}: has 3 classes; a cross-encoder with one label (score) is needed"),
    (["--reranker", "{cross}", "--data", "{pairs}"], "reranker is for retrieval datasets, and data has none: pairs (sts)"),
    (["--model", "{cross}"], "small-test: a cross-encoder alone cannot search a corpus; evaluate.py takes it as the reranker"),
    (["--split", "dev"], "no split 'dev'; there are: test"),
])  # fmt: skip
def test_bad_options_of_evaluate(
    tmp_path, tiny_folder, cross_folder, evaluate_command, capsys, argv, message
):  # fmt: skip
    CrossEncoder.from_pretrained(tiny_folder, num_labels=3).save_pretrained(tmp_path / "classes")
    (tmp_path / "pairs.tsv").write_text(
        "sentence1\tsentence2\tscore\na cat\ta dog\t1\na man\ta cat\t0\n"
    )
    places = {
        "tiny": tiny_folder,
        "cross": cross_folder,
        "classes": tmp_path / "classes",
        "pairs": tmp_path / "pairs.tsv",
    }
    argv = [str(word).format(**places) for word in argv]
    for option, value in {"--model": tiny_folder, "--data": ours(tmp_path / "small")}.items():
        argv += [] if option in argv else [option, value]
    assert message.format(**places) in fails(evaluate_command, capsys, *argv)


def test_a_run_is_judged_by_retrieval(
    tmp_path, data_folder, tiny_folder, pairs_file, train_command, capsys
):
    ours(data_folder / "small")
    pairs = {"path": str(pairs_file), "range": [0, 5]}
    data = {"train": [pairs], "dev": [{"path": "small", "split": "test"}]}
    data["test"] = [dict(pairs, path=str(copied(pairs_file)), name="pairs-test")]
    config = write_config(tmp_path, tiny_folder, pairs_file, data=data)
    train_command(config)
    out = capsys.readouterr().out
    assert (
        "dev   small-test: 3 queries, 5 documents (1 of them empty), 5 judgements, retrieval" in out
    )
    assert "| small-test |    3 | ndcg@10_cosine  |" in out
    before = metrics(tmp_path / "runs/run", "before")[0]["small-test"]
    assert before == pytest.approx(
        naive(tiny_folder, read_dataset(DatasetConfig("small", split="test")))["ndcg@10"]
    )
    train_with_two_processes(config)
    assert metrics(tmp_path / "runs/two", "before")[0]["small-test"] == pytest.approx(before)


def test_a_cross_encoders_run_is_not_judged_by_retrieval(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    folder = ours(tmp_path / "small")
    data = {
        "train": [{"path": str(pairs_file), "range": [0, 5]}],
        "dev": [{"path": str(folder), "split": "test"}],
    }
    config = write_config(
        tmp_path, tiny_folder, pairs_file, data=data, loss="BinaryCrossEntropyLoss"
    )
    assert "small-test: a cross-encoder alone cannot search a corpus" in fails(
        train_command, capsys, config
    )
    assert not (tmp_path / "runs").exists(), "refused before anything is written"


def test_training_on_a_retrieval_dataset_is_refused(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    data = {"train": [{"path": str(ours(tmp_path / "small")), "split": "test"}]}
    for loss in ("MultipleNegativesRankingLoss", "CosineSimilarityLoss"):
        config = write_config(tmp_path, tiny_folder, pairs_file, data=data, loss=loss)
        assert "small-test" in (line := fails(train_command, capsys, config))
        assert "task retrieval" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.real
@needs_weights
@pytest.mark.skipif(
    not (REAL_DATA / "cranfield").exists(), reason=f"no cranfield in {REAL_DATA}: set SBERT_DATA"
)
def test_minilm_on_cranfield():
    rows = read_dataset(DatasetConfig(str(REAL_DATA / "cranfield")))
    assert (len(rows), len(rows.corpus), len(rows.qrels.query)) == (225, 1398, 1611)
    with pytest.warns(UserWarning, match="are cut"):
        found = evaluate_rows(rows, bi_encoder_scorer(BiEncoder.from_pretrained(WEIGHTS).encode))
    assert found.primary == pytest.approx(0.3736, abs=0.003)
    assert found.metrics == pytest.approx(
        {f"{name}_cosine": value for name, value in trec(found.found, *rows.qrels).items()},
        abs=1e-12,
    )
