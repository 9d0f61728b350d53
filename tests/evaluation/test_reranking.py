"""Retrieval: search and re-ranking of vectors typed by hand, and both through the commands."""

import json
import math

import numpy as np
import pytest
from retrieval_inputs import (
    metrics_by_loop,
    metrics_by_trec_eval,
    random_search,
    write_beir_layout,
    write_project_layout,
)
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
from sbert.data.rows import read_dataset
from sbert.errors import InputError
from sbert.evaluation.evaluators import evaluate_rows, rerank, undefined_metric
from sbert.evaluation.report import Report
from sbert.evaluation.scorers import bi_encoder_scorer, cross_encoder_scorer

# search and re-ranking, on vectors typed by hand


class Lookup:
    """Text to vector; every text is its vector written out. Keeps what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, texts, prompt=""):
        self.calls.append(texts)
        return np.array([[float(x) for x in text.split()] for text in texts], np.float32)


def by_hand():
    """Query 0 finds documents 0 and 4 (a tie, so by index), 3, 1, 2; 1 finds 2, 3, 1, 0, 4."""
    corpus = ["2 0", "3 4", "0 7", "4 3.1", "1 0"]
    qrels = Qrels(np.array([0, 0, 1, 1]), np.array([4, 1, 3, 2]), np.array([2.0, 1.0, 1.0, 0.0]))
    return Retrieval("vectors", list("abcde"), corpus, ["x", "y"], ["1 0", "0 1"], qrels)


def test_a_bi_encoder_searches_by_cosine_in_one_call():
    encode = Lookup()
    report = evaluate_rows(by_hand(), bi_encoder_scorer(encode))
    assert encode.calls == [["1 0", "0 1", "2 0", "3 4", "0 7", "4 3.1"]], (
        "distinct texts, queries first"
    )
    assert report.retrieved[:, :5].tolist() == [[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]]
    assert (report.retrieved[:, 5:] == -1).all()
    assert report.retrieved.shape == (2, 100)
    assert (report.rows, report.primary_metric, report.score_name) == (
        2,
        "ndcg@10_cosine",
        "cosine",
    )
    dcg = 2 / math.log2(3) + 1 / math.log2(5)
    assert report.primary == pytest.approx((dcg / (2 + 1 / math.log2(3)) + 1 / 2) / 2)
    assert report.metrics["mrr@10_cosine"] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert report.metrics["map@100_cosine"] == pytest.approx(((1 / 2 + 2 / 4) / 2 + 1 / 3) / 2)
    assert undefined_metric(by_hand()) is None
    assert set(report.metrics) == {f"{name}_cosine" for name in metrics_by_loop(*random_search(0))}


def test_a_query_does_not_find_the_document_with_its_id():
    rows = by_hand()
    rows.own_documents = np.array([0, -1])
    rows.notes = ["said"]
    report = evaluate_rows(rows, bi_encoder_scorer(Lookup()))
    assert report.retrieved[:, :5].tolist() == [[4, 3, 1, 2, -1], [2, 1, 3, 0, 4]]
    dcg = 2 + 1 / math.log2(4)
    assert report.primary == pytest.approx((dcg / (2 + 1 / math.log2(3)) + 1 / 2) / 2)
    assert report.notes == ["vectors: said"]
    scorer = Predict(**dict.fromkeys(rows.corpus, 0)).scorer()
    assert rerank(rows, report, scorer, 3).retrieved[0, :5].tolist() == [4, 3, 1, 2, -1]


@pytest.mark.parametrize("classes", [1, 3])
def test_a_cross_encoder_alone_cannot_search(classes):
    with pytest.raises(InputError) as error:
        evaluate_rows(by_hand(), cross_encoder_scorer(None, classes, None))
    assert str(error.value) == (
        "vectors: a cross-encoder alone cannot search a corpus; "
        "give it to evaluate.py as the reranker of a bi-encoder"
    )


class Predict:
    """Pairs to logits by the document; keeps what it was called with."""

    def __init__(self, **logits):
        self.calls, self.logits = [], logits

    def __call__(self, pairs):
        self.calls.append(pairs)
        return np.array([self.logits[document] for _, document in pairs], np.float32)

    def scorer(self):
        return cross_encoder_scorer(self, 1, None)


def lettered(found, corpus="abcde"):
    rows = by_hand()
    rows.corpus = list(corpus)
    return rows, Report("vectors", "retrieval", 2, {}, retrieved=np.array(found))


def test_reranked_by_hand():
    rows, first = lettered([[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]])
    predict = Predict(a=-9, b=5, c=-1, d=-1, e=2)
    report = rerank(rows, first, predict.scorer(), 3)
    assert predict.calls == [
        [("1 0", "a"), ("1 0", "e"), ("1 0", "d"), ("0 1", "c"), ("0 1", "b"), ("0 1", "d")]
    ]
    # the first three by logit, those with equal logits (c, d) as found, then the rest as found
    assert report.retrieved.tolist() == [[4, 3, 0, 1, 2], [1, 2, 3, 0, 4]]
    assert first.retrieved.tolist() == [[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]], "the first report stays"
    assert (report.name, report.rows, report.primary_metric) == (
        "vectors, re-ranked",
        2,
        "ndcg@10_logit",
    )
    dcg = 2 + 1 / math.log2(5)
    assert report.primary == pytest.approx((dcg / (2 + 1 / math.log2(3)) + 1 / 2) / 2)
    assert report.metrics["recall@1_logit"] == (1 / 2 + 0) / 2


def test_equal_logits_keep_the_order_found():
    rows, first = lettered([[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]])
    assert (
        rerank(rows, first, Predict(**dict.fromkeys("abcde", 7)).scorer(), 4).retrieved.tolist()
        == first.retrieved.tolist()
    )


def test_a_depth_beyond_what_was_found_and_missing_documents():
    rows, first = lettered([[0, 4, -1], [2, -1, -1]])
    report = rerank(rows, first, Predict(a=1, c=0, e=2).scorer(), 50)
    assert report.retrieved.tolist() == [[4, 0, -1], [2, -1, -1]]


def test_an_empty_document_ranks_last_of_the_depth():
    rows, first = lettered([[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]], corpus=["", "b", "c", "d", "e"])
    predict = Predict(b=-5, c=-6, d=-7, e=-8)
    assert rerank(rows, first, predict.scorer(), 4).retrieved.tolist() == [
        [1, 3, 4, 0, 2],
        [1, 2, 3, 0, 4],
    ]
    assert all(document for _, document in predict.calls[0])


def test_a_logit_that_is_nan_is_no_order():
    rows, first = lettered([[0, 4, 3, 1, 2], [2, 1, 3, 0, 4]])
    with pytest.raises(
        InputError, match="^vectors: the reranker gives NaN to a document of query 'y'$"
    ):
        rerank(rows, first, Predict(a=0, b=0, c=math.nan, d=0, e=0).scorer(), 2)


def test_as_many_documents_are_found_as_are_asked_for():
    scorer = bi_encoder_scorer(Lookup(), depth=3)
    assert evaluate_rows(by_hand(), scorer).retrieved.tolist() == [[0, 4, 3], [2, 1, 3]]


# commands


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


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
    return metrics_by_loop(orders, *rows.qrels)


def test_evaluate_searches_and_reranks(
    tmp_path, tiny_folder, cross_folder, evaluate_command, capsys
):
    folder = write_beir_layout(tmp_path / "small")
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
    write_project_layout(data_folder / "whole", split=None)
    write_project_layout(data_folder / "small")
    config = tmp_path / "e.yaml"
    config.write_text(
        f"model: {tiny_folder}\n"
        f"data: [whole, {{path: {pairs_file}, range: [0, 5], name: pairs}}, small]\n"
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
        "rows",
        "nDCG@10",
        "95 % interval",
        "MRR@10",
        "MAP@100",
        "recall@10",
        "recall@100",
        "P@10",
    ]
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
    folder = write_project_layout(tmp_path / "small")
    for depth in (2, 130):
        evaluate_command(
            "--model", tiny_folder, "--data", folder, "--reranker", cross_folder, "--depth", depth
        )
    assert asked == [100, 130]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--reranker", "{cross}", "--depth", 0], "depth is 0; it must be > 0"),
        (
            ["--depth", 50],
            "depth is 50, but there is no reranker; give one, or leave depth out",
        ),
        (["--reranker", "{tiny}"], "reranker {tiny}: is a bi-encoder; a cross-encoder is needed"),
        (
            ["--reranker", "{classes}"],
            "reranker {classes}: has 3 classes; a cross-encoder with one label is needed",
        ),
        (
            ["--reranker", "{cross}", "--data", "{pairs}"],
            "reranker is for retrieval datasets, and data has none: pairs (sts)",
        ),
        (
            ["--model", "{cross}"],
            "small-test: a cross-encoder alone cannot search a corpus; give it to evaluate.py",
        ),
        (["--split", "dev"], "no split 'dev'; available: test"),
    ],
)
def test_bad_options_of_evaluate(
    tmp_path, tiny_folder, cross_folder, evaluate_command, capsys, argv, message
):
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
    for option, value in {
        "--model": tiny_folder,
        "--data": write_project_layout(tmp_path / "small"),
    }.items():
        argv += [] if option in argv else [option, value]
    assert message.format(**places) in fails(evaluate_command, capsys, *argv)


def test_a_run_is_judged_by_retrieval(
    tmp_path, data_folder, tiny_folder, pairs_file, train_command, capsys
):
    write_project_layout(data_folder / "small")
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
    folder = write_project_layout(tmp_path / "small")
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
    data = {"train": [{"path": str(write_project_layout(tmp_path / "small")), "split": "test"}]}
    for loss in ("MultipleNegativesRankingLoss", "CosineSimilarityLoss"):
        config = write_config(tmp_path, tiny_folder, pairs_file, data=data, loss=loss)
        assert "small-test" in (line := fails(train_command, capsys, config))
        assert "a retrieval folder is for evaluation" in line
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
        report = evaluate_rows(rows, bi_encoder_scorer(BiEncoder.from_pretrained(WEIGHTS).encode))
    assert report.primary == pytest.approx(0.3736, abs=0.003)
    assert report.metrics == pytest.approx(
        {
            f"{name}_cosine": value
            for name, value in metrics_by_trec_eval(report.retrieved, *rows.qrels).items()
        },
        abs=1e-12,
    )
