"""What of a test set stands in training data, counted by hand; the known overlaps of the real data."""

import math

import numpy as np
import pytest
from support import REAL_DATA, needs_data

from sbert.data.config import DatasetConfig
from sbert.data.leakage import check_contamination, normalised_pairs, read_seen
from sbert.data.retrieval import Qrels, Retrieval
from sbert.data.rows import Rows, dataset_by_name, read_dataset
from sbert.errors import InputError
from sbert.evaluation import metrics
from sbert.evaluation.bootstrap import Spearman
from sbert.evaluation.evaluators import Report
from sbert.evaluation.results import scores_by_overlap
from sbert.texts import normalise


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return DatasetConfig(str(path))


def test_texts_that_are_the_same():
    assert normalise("  A\tcat \n SITS. ") == "a cat sits."
    assert normalise("ﬁne １２\u00a0cm") == "fine 12 cm", "ligature, full width, no-break space"
    assert normalise("Cafe\u0301") == normalise("café")
    assert normalise("1.5") != normalise("15")
    assert normalise("a cat") != normalise("a cat.")


def test_counts_by_hand(tmp_path):
    seen = read_seen([write(tmp_path / "train.tsv", "sentence1\tsentence2\tscore",
                            "The cat\ta dog\t9", "a man\tA MAN\thigh", "a house\t \t")])  # fmt: skip
    assert (seen.names, seen.sentences) == ({"train": 2}, {"the cat", "a dog", "a man"})
    assert seen.pairs == {("a dog", "the cat"), ("a man", "a man")}
    assert "train (2 rows): 2 distinct pairs, 3 distinct sentences" in seen.describe()
    first = ["A dog", "the  cat", "a man", "a man", "a park", "the cat"]
    second = ["the cat", "a dog", "a man", "a park", "a mat", "a dog."]
    found = check_contamination(Rows("test", "sts", [first, second], None), seen)
    assert found.pair.tolist() == [True, True, True, False, False, False]
    assert found.sentence.tolist() == [True, True, True, True, False, True]
    assert (found.pairs, found.pairs_seen, found.sentences, found.sentences_seen) == (5, 2, 6, 3)


@pytest.mark.parametrize(("name", "lines"), [
    ("scored.csv", ["sentence1,sentence2,score", "a cat,a dog,4"]),
    ("unlabelled.tsv", ["sentence1\tsentence2", "a cat\ta dog"]),
    ("nli.tsv", ["premise\thypothesis\tlabel", "a cat\ta dog\tunknown", "a man\ta woman\t-"]),
    ("nli2.tsv", ["premise\thypothesis", "a cat\ta dog"]),
    ("rerank.tsv", ["query\tdocument", "a cat\ta dog"]),
    ("pairs.jsonl", ['{"anchor": "a cat", "positive": "a dog"}']),
])  # fmt: skip
def test_pairs_of_any_task_with_labels_or_without(tmp_path, name, lines):
    assert read_seen([write(tmp_path / name, *lines)]).pairs == {("a cat", "a dog")}


def test_triplets_texts_alone_and_declared_columns(tmp_path):
    triplets = write(
        tmp_path / "t.jsonl", '{"query": "q", "positive": "p", "negatives": ["m", "n"]}'
    )
    assert read_seen([triplets]).pairs == {("p", "q"), ("m", "q"), ("n", "q")}
    text, pool = (
        write(tmp_path / "t.txt", "One ", "", " two"),
        write(tmp_path / "p.tsv", "id\ttext", "7\tthree"),
    )
    seen = read_seen([text, pool])
    assert (seen.sentences, seen.pairs, seen.names) == (
        {"one", "two", "three"},
        set(),
        {"t": 2, "p": 1},
    )
    declared = write(tmp_path / "d.tsv", "left\tright\tmark", "a\tb\t1")
    declared.texts = ["left", "right"]
    assert read_seen([declared]).pairs == {("a", "b")}


def test_options_of_the_data_hold_for_what_is_seen(tmp_path):
    """A model that was trained on a part has seen that part, the same as the training read."""
    lines = [f"text {i}\tother {i}\t{'-' if i % 3 == 0 else 'neutral'}" for i in range(30)]
    config = write(tmp_path / "nli.tsv", "premise\thypothesis\tlabel", *lines)
    config.limit, config.limit_seed = 7, 3
    trained = read_dataset(config)
    assert read_seen([config]).pairs == {
        tuple(sorted(row)) for row in zip(*trained.texts, strict=True)
    }
    assert len(trained) == 7


def retrieval():
    judged = Qrels(np.array([0, 0, 1]), np.array([2, 1, 0]), np.array([1.0, 0, 2]))
    return Retrieval(
        "docs",
        ["x", "y", "z"],
        ["D one", "D two", "D three"],
        ["a", "b"],
        ["first", "second"],
        judged,
    )


def test_of_retrieval_the_pairs_are_of_queries_and_relevant_documents():
    assert list(normalised_pairs(retrieval())) == [
        (0, ("d three", "first")),
        (1, ("d one", "second")),
    ]


def test_of_rankings_and_triplets_a_unit_is_seen_with_any_of_its_pairs():
    ranked = Rows(
        "r", "rerank", [["q", "p", "q", "p"], ["a", "b", "c", "d"]], np.array([1, 0, 0, 1.0])
    )
    assert [place for place, _ in normalised_pairs(ranked)] == [0, 1, 0, 1]
    triplets = Rows("t", "triplet", [["q", "r"], ["a", "b"], ["c", "d"], [None, "e"]], None)
    assert sorted(normalised_pairs(triplets)) == [
        (0, ("a", "q")),
        (0, ("c", "q")),
        (1, ("b", "r")),
        (1, ("d", "r")),
        (1, ("e", "r")),
    ]


def test_a_retrieval_folder_is_seen_whole(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, lines in {
        "corpus": ["id\ttext", "x\tD one", "y\t", "z\tD three"], "queries": ["id\ttext", "a\tFirst"],
        "qrels": ["query_id\tdoc_id\trelevance", "a\tz\t1", "a\tx\t0"],
    }.items():  # fmt: skip
        write(folder / f"{name}.tsv", *lines)
    seen = read_seen([DatasetConfig(str(folder))])
    assert seen.sentences == {"d one", "d three", "first"}
    assert seen.pairs == {("d three", "first")}


def test_scores_with_and_without(tmp_path):
    scores, gold = np.array([0.1, 0.2, 0.5, 0.4, 0.9, 0.3]), np.array([0, 0.2, 0.1, 0.4, 0.6, 1])
    texts = [["a", "b", "c", "d", "e", "f"], ["g", "h", "i", "j", "k", "l"]]
    seen = read_seen(
        [write(tmp_path / "train.tsv", "sentence1\tsentence2", "g\ta", "d\tj", "f\tz", "k\te")]
    )
    report = Report("test", "sts", 6, {}, samples={"spearman_cosine": Spearman(scores, gold)})
    found = scores_by_overlap(report, check_contamination(Rows("test", "sts", texts, gold), seen))
    parts = {
        "all": [0, 1, 2, 3, 4, 5],
        "pair unseen": [1, 2, 5],
        "pair seen": [0, 3, 4],
        "no sentence seen": [1, 2],
    }
    assert found == pytest.approx(
        {name: metrics.spearman(scores[rows], gold[rows]) for name, rows in parts.items()}
    )
    assert len({round(value, 3) for value in found.values()}) > 2, "or the test shows nothing"
    nothing = check_contamination(
        Rows("test", "sts", texts, gold), read_seen([write(tmp_path / "o.tsv", "text", "other")])
    )
    assert math.isnan(scores_by_overlap(report, nothing)["pair seen"])


@pytest.mark.parametrize(("name", "lines", "message"), [
    ("train.tsv", None, "train.tsv: no such file"),
    ("train.tsv", ["a\tb", "1\t2"], "train.tsv, line 2: no column is known to hold texts; there are: a, b; declare texts"),
    ("train.tsv", ["text"], "train.tsv: no rows to use"),
    ("train.txt", ["a cat", "a dog\ta man"], "train.txt, line 2: holds a tab; if it is a table, set format: tsv"),
    ("train.xls", ["text"], "train.xls: its ending tells no format"),
])  # fmt: skip
def test_seen_data_that_cannot_be_read(tmp_path, name, lines, message):
    config = write(tmp_path / name, *lines) if lines else DatasetConfig(str(tmp_path / name))
    with pytest.raises(InputError) as error:
        read_seen([config])
    assert message in str(error.value)


def test_names_with_a_split(tmp_path, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    assert [(c.path, c.split) for c in (dataset_by_name(s, "test") for s in ("stsb", "stsb:dev", "a/fr:dev", "x.tsv", "hf:a:b"))] == [
        ("stsb", "test"), ("stsb", "dev"), ("a/fr", "dev"), ("x.tsv", None), ("hf:a:b", "test")]  # fmt: skip
    (tmp_path / "odd:name.tsv").write_text("text\n")
    assert dataset_by_name(str(tmp_path / "odd:name.tsv"), "test").path == str(
        tmp_path / "odd:name.tsv"
    )


# rows and distinct pairs of a test set that stand in stsb/train; the distinct ones are those of the data's description
OVERLAPS = {"sts12": (1002, 996), "sts13": (597, 596), "sts14": (1861, 1822), "sts15": (1102, 1102), "sts16": (197, 197),
            "mrpc": (498, 498), "snli": (0, 0)}  # fmt: skip


@pytest.mark.real
@needs_data
def test_the_known_overlaps(monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(REAL_DATA))
    seen = read_seen([dataset_by_name("stsb", "train")])
    found = {
        name: check_contamination(read_dataset(dataset_by_name(name, "test")), seen)
        for name in OVERLAPS
    }
    assert {name: (int(one.pair.sum()), one.pairs_seen) for name, one in found.items()} == OVERLAPS
