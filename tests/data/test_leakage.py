"""Leakage: rows both trained on and evaluated are refused; what was seen, counted by hand."""

import dataclasses
import itertools

import numpy as np
import pytest
from support import REAL_DATA, copied, fails, needs_data, write_config

from sbert.data.config import DatasetConfig
from sbert.data.leakage import (
    check_contamination,
    check_held_out,
    leave_out,
    normalised_pairs,
    read_held_out,
    read_seen_texts,
)
from sbert.data.origin import dataset_by_name
from sbert.data.retrieval import Qrels, Retrieval
from sbert.data.rows import Rows, both_orders, read_dataset
from sbert.errors import InputError
from sbert.texts import bare, normalise

# rows that are both trained on and evaluated


@pytest.fixture
def numbered_file(tmp_path):
    """A function that writes 30 pairs on 3 topics, with an empty line and an empty text."""

    def write_file(language: str = "en", **options) -> DatasetConfig:
        lines = ["sentence1\tsentence2\tscore\ttopic", ""]
        for i in range(30):
            lines.append(f"{'' if i == 7 else f'{language} {i}'}\tsecond\t{i % 6}\ttopic {i % 3}")
        (tmp_path / f"{language}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
        return DatasetConfig(
            str(tmp_path / f"{language}.tsv"), range=(0, 5), skip_empty=True, **options
        )

    return write_file


def test_rows_know_their_lines(numbered_file):
    rows = read_dataset(numbered_file(limit=12, limit_seed=3))
    assert [int(text.split()[1]) + 3 for text in rows.texts[0]] == rows.lines.tolist()
    twice = both_orders(rows)
    assert len(twice) == len(twice.lines)
    assert (twice.lines == np.concatenate([rows.lines, rows.lines])).all()
    assert twice.files == rows.files


PARTS = [
    {},
    {"limit": 10},
    {"beyond": 10},
    {"limit": 10, "beyond": 10},
    {"limit": 10, "limit_seed": 1},
    {"where": {"topic": "topic 0"}},
    {"where": {"topic": "topic 1"}},
]


@pytest.mark.parametrize(
    ("first", "second"), list(itertools.combinations_with_replacement(PARTS, 2))
)
def test_a_row_that_is_trained_on_and_evaluated_is_refused(numbered_file, first, second):
    """Against a plain comparison of the texts, each of which is one row's alone."""
    train, other = (
        read_dataset(numbered_file(**first, name="mine")),
        read_dataset(numbered_file(**second, name="other")),
    )
    shared = set(train.texts[0]) & set(other.texts[0])
    if not shared:
        return check_held_out([train], [other])
    with pytest.raises(InputError) as error:
        check_held_out([train], [other])
    line = min(int(text.split()[1]) for text in shared) + 3
    assert (
        f"data: other is evaluated on {len(shared)} rows that mine trains on, from line {line} of "
        in str(error.value)
    )
    assert "limit of the one and beyond of the other, with the same limit_seed" in str(error.value)


def test_a_file_is_the_same_by_any_path(numbered_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = numbered_file()
    (tmp_path / "link.tsv").symlink_to(tmp_path / "en.tsv")
    for path in ("en.tsv", "./en.tsv", "link.tsv"):
        with pytest.raises(InputError, match="29 rows that en trains on, from line 3 of .*en.tsv"):
            check_held_out(
                [read_dataset(config)],
                [read_dataset(dataclasses.replace(config, path=path, name="x"))],
            )


def test_other_files_and_collections_share_no_rows(numbered_file, tmp_path):
    config = numbered_file()
    train, copy = (
        read_dataset(config),
        read_dataset(dataclasses.replace(config, path=str(copied(tmp_path / "en.tsv")))),
    )
    found = Retrieval("r", ["a"], ["a"], ["b"], ["b"], Qrels(*np.zeros((3, 1), int)))
    check_held_out([train], [copy, found])
    cut = {"folds": 3, "fold": 1, "group": "topic"}
    check_held_out(
        [read_dataset(numbered_file(**cut))],
        [read_dataset(numbered_file(**cut, part="fold")), found],
    )


def test_a_group_that_is_trained_on_and_evaluated_is_refused(numbered_file):
    cut = {"folds": 4, "fold": 1, "group": "row"}
    train, other = (
        read_dataset(numbered_file(**cut)),
        read_dataset(numbered_file("fr", **cut, limit_seed=1, part="fold")),
    )
    with pytest.raises(
        InputError,
        match=r"fr is evaluated on rows of group \d+, which en trains on; .* limit_seed",
    ):
        check_held_out([train], [other])
    check_held_out([train], [read_dataset(numbered_file("fr", **cut, part="fold"))])


@pytest.mark.parametrize(
    ("train", "held_out", "message"),
    [
        ({}, {"beyond": 20}, "held is evaluated on 9 rows that en trains on"),
        ({"limit": 20}, {"beyond": 20, "limit_seed": 1}, "that en trains on"),
        (
            {"folds": 4, "fold": 1, "group": "row"},
            {"folds": 4, "fold": 2, "group": "row", "part": "fold"},
            "rows that en trains on",
        ),
    ],
)
@pytest.mark.parametrize("part", ["dev", "test"])
def test_train_refuses_it_before_it_starts(
    tmp_path, tiny_folder, numbered_file, train_command, capsys, train, held_out, message, part
):
    dataset = {k: v for k, v in vars(numbered_file()).items() if v is not None} | {
        "skip_empty": True
    }
    data = {"train": [dataset | train], part: [dataset | held_out | {"name": "held"}]}
    line = fails(train_command, capsys, write_config(tmp_path, tiny_folder, tmp_path, data=data))
    assert message in line
    assert not (tmp_path / "runs").exists()


# texts seen in training


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
    seen = read_seen_texts(
        [
            write(
                tmp_path / "train.tsv",
                "sentence1\tsentence2\tscore",
                "The cat\ta dog\t9",
                "a man\tA MAN\thigh",
                "a house\t \t",
            )
        ]
    )
    assert (seen.names, seen.sentences) == ({"train": 2}, {"the cat", "a dog", "a man"})
    assert seen.pairs == {("a dog", "the cat"), ("a man", "a man")}
    assert "train (2 rows): 2 distinct pairs, 3 distinct sentences" in seen.describe()
    first = ["A dog", "the  cat", "a man", "a man", "a park", "the cat"]
    second = ["the cat", "a dog", "a man", "a park", "a mat", "a dog."]
    found = check_contamination(Rows("test", "sts", [first, second], None), seen)
    assert found.pair.tolist() == [True, True, True, False, False, False]
    assert found.sentence.tolist() == [True, True, True, True, False, True]
    assert (found.pairs, found.pairs_seen, found.sentences, found.sentences_seen) == (5, 2, 6, 3)


def test_seen_files_of_one_name_are_counted_together(tmp_path):
    rows = {"a": ["a cat\ta dog"], "b": ["a man\ta woman", "a house\ta mat"]}
    configs = []
    for folder, lines in rows.items():
        (tmp_path / folder).mkdir()
        configs.append(write(tmp_path / folder / "train.tsv", "sentence1\tsentence2", *lines))
    seen = read_seen_texts(configs)
    assert seen.names == {"train": 3}
    assert "train (3 rows): 3 distinct pairs, 6 distinct sentences" in seen.describe()


def test_of_single_texts_sentences_are_seen_and_no_pairs(tmp_path):
    seen = read_seen_texts([write(tmp_path / "train.tsv", "text\tlabel", "The cat\tx", "a dog\ty")])
    assert (seen.pairs, seen.sentences) == (set(), {"the cat", "a dog"})
    rows = Rows("test", "class", [["the  cat", "a man", "a man"]], None)
    found = check_contamination(rows, seen)
    assert (found.sentence.tolist(), found.pair.any()) == ([True, False, False], False)
    assert (found.pairs, found.sentences, found.sentences_seen) == (0, 2, 1)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("scored.csv", ["sentence1,sentence2,score", "a cat,a dog,4"]),
        ("unlabelled.tsv", ["sentence1\tsentence2", "a cat\ta dog"]),
        ("nli.tsv", ["premise\thypothesis\tlabel", "a cat\ta dog\tunknown", "a man\ta woman\t-"]),
        ("nli2.tsv", ["premise\thypothesis", "a cat\ta dog"]),
        ("rerank.tsv", ["query\tdocument", "a cat\ta dog"]),
        ("pairs.jsonl", ['{"anchor": "a cat", "positive": "a dog"}']),
    ],
)
def test_pairs_of_any_task_with_labels_or_without(tmp_path, name, lines):
    assert read_seen_texts([write(tmp_path / name, *lines)]).pairs == {("a cat", "a dog")}


def test_triplets_texts_alone_and_declared_columns(tmp_path):
    triplets = write(
        tmp_path / "t.jsonl", '{"query": "q", "positive": "p", "negatives": ["m", "n"]}'
    )
    assert read_seen_texts([triplets]).pairs == {("p", "q"), ("m", "q"), ("n", "q")}
    text, pool = (
        write(tmp_path / "t.txt", "One ", "", " two"),
        write(tmp_path / "p.tsv", "id\ttext", "7\tthree"),
    )
    seen = read_seen_texts([text, pool])
    assert (seen.sentences, seen.pairs, seen.names) == (
        {"one", "two", "three"},
        set(),
        {"t": 2, "p": 1},
    )
    declared = write(tmp_path / "d.tsv", "left\tright\tmark", "a\tb\t1")
    declared.texts = ["left", "right"]
    assert read_seen_texts([declared]).pairs == {("a", "b")}


@pytest.mark.parametrize(("task", "texts"), [("pair", ["q", "ps"]), ("triplet", ["q", "ps", "n"])])
def test_declared_columns_are_read_as_in_training(tmp_path, task, texts):
    """A column that is called label is none of a task without labels."""
    line = '{"q": "x", "ps": ["a", "b"], "n": "c", "label": "train"}'
    config = dataclasses.replace(write(tmp_path / "d.jsonl", line), task=task, texts=texts)
    trained = read_dataset(config)
    assert len(trained) == 2
    assert read_seen_texts([config]).names == {"d": 2}
    assert set(read_held_out([config])) == {text for column in trained.texts for text in column}


def test_options_of_the_data_hold_for_what_is_seen(tmp_path):
    """A model that was trained on a part has seen that part, the same as the training read."""
    lines = [f"text {i}\tother {i}\t{'-' if i % 3 == 0 else 'neutral'}" for i in range(30)]
    config = write(tmp_path / "nli.tsv", "premise\thypothesis\tlabel", *lines)
    config.limit, config.limit_seed = 7, 3
    trained = read_dataset(config)
    assert read_seen_texts([config]).pairs == {
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
        "corpus": ["id\ttext", "x\tD one", "y\t", "z\tD three"],
        "queries": ["id\ttext", "a\tFirst"],
        "qrels": ["query_id\tdoc_id\trelevance", "a\tz\t1", "a\tx\t0"],
    }.items():
        write(folder / f"{name}.tsv", *lines)
    seen = read_seen_texts([DatasetConfig(str(folder))])
    assert seen.sentences == {"d one", "d three", "first"}
    assert seen.pairs == {("d three", "first")}


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("train.tsv", None, "train.tsv: no such file"),
        (
            "train.tsv",
            ["a\tb", "1\t2"],
            "train.tsv, line 2: no known text columns; available: a, b; set texts",
        ),
        ("train.tsv", ["text"], "train.tsv: no rows to use"),
        (
            "train.txt",
            ["a cat", "a dog\ta man"],
            "train.txt, line 2: contains a tab; if the file is a table, set format: tsv",
        ),
        ("train.xls", ["text"], "train.xls: unknown file extension"),
    ],
)
def test_seen_data_that_cannot_be_read(tmp_path, name, lines, message):
    config = write(tmp_path / name, *lines) if lines else DatasetConfig(str(tmp_path / name))
    with pytest.raises(InputError) as error:
        read_seen_texts([config])
    assert message in str(error.value)


# training rows with a text that is held out


def test_bare_texts():
    assert bare("  A\tcat, \n (SITS).") == "acatsits"
    assert bare("ﬁne １２\u00a0cm") == "fine12cm", "ligature, full width, no-break space"
    assert bare("Straße") == bare("STRASSE")
    assert bare("Cafe\u0301!") == bare("café")
    assert bare("café") != bare("cafe")
    assert bare("?!...") == ""
    assert bare("\u0915\u0940") != bare("\u0915\u093e"), "Devanagari: ki and kaa"
    assert bare("\u0e21\u0e35!") == bare("\u0e21\u0e35") != bare("\u0e21\u0e37"), "Thai: mi and mue"
    assert bare("so \u2764\ufe0f") == bare("so \u2764"), "a red heart and a black one"


@pytest.fixture
def held_out(tmp_path):
    """A cat of the first dataset in two columns, a dog of a second without labels."""
    first = write(tmp_path / "first.tsv", "sentence1\tsentence2\tscore", "A cat.\tthe  end\tx")
    second = write(tmp_path / "second.tsv", "text", "Ein Hund!", "a cat", "...", " ")
    return read_held_out([first, second])


def test_held_out_texts(held_out):
    assert held_out == {"acat": "first", "theend": "first", "einhund": "second"}


def test_rows_with_a_held_out_text_in_any_column_are_left_out(held_out):
    texts = [
        ["a  CAT", "a cat sits", "one", "two", "...", "a cat"],
        ["x", "y", "ein hund", "z", "!", "Ein Hund"],
        ["x", "y", "z", None, "The end", "x"],
    ]
    lines = np.arange(6) + 2
    options = {"sources": list("abcdef"), "groups": list(range(6)), "languages": ["de"] * 6}
    rows = Rows("mine", "triplet", texts, np.arange(6.0)[:, None], lines=lines, **options)
    rows.skipped["empty text"] = 1
    kept = leave_out(rows, held_out)
    assert kept.texts == [["a cat sits", "two"], ["y", "z"], ["y", None]]
    assert kept.labels.tolist() == [[1.0], [3.0]]
    assert (kept.lines.tolist(), kept.sources, kept.groups) == ([3, 5], ["b", "d"], [1, 3])
    assert kept.languages == ["de"] * 2
    reasons = {"empty text": 1, "a text of first": 3, "a text of second": 1}
    assert kept.skipped == reasons
    assert len(rows) == 6
    assert rows.skipped == {"empty text": 1}, "the rows that were given stay as they are"
    assert "mine: 2 rows, triplet; 1 skipped: empty text; 3 skipped: a text of first" in (
        kept.describe()
    )


def test_a_dataset_of_held_out_texts_alone_is_refused(held_out):
    with pytest.raises(InputError) as error:
        leave_out(Rows("mine", "pair", [["a cat"], ["x"]], None), held_out)
    expected = "mine: none of the 1 rows is left: each has a held-out text"
    assert str(error.value) == expected


def test_train_leaves_out_what_is_held_out(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    first = pairs_file.read_text("utf-8").splitlines()[1].split("\t")[0]
    write(tmp_path / "seen.tsv", "text", first.upper() + "!")
    dataset = {"path": str(pairs_file), "range": [0, 5], "name": "pairs"}
    data = {"train": [dataset], "held_out": [{"path": str(tmp_path / "seen.tsv")}]}
    train_command(write_config(tmp_path, tiny_folder, pairs_file, data=data))
    texts = read_dataset(DatasetConfig(str(pairs_file), range=(0, 5))).texts
    count = sum(first in row for row in zip(*texts, strict=True))
    assert count > 1
    output = capsys.readouterr().out
    assert f"train pairs: {32 - count} rows, sts; {count} skipped: a text of seen" in output

    data["held_out"] = [{"path": str(tmp_path / "absent.tsv")}]
    line = fails(train_command, capsys, write_config(tmp_path, tiny_folder, pairs_file, data=data))
    assert line.endswith("absent.tsv: no such file")


@pytest.mark.real
@needs_data
def test_the_known_captions_of_sts(monkeypatch):
    """Of 1,379 pairs 72 hold a caption of Multi30k."""
    monkeypatch.setenv("SBERT_DATA", str(REAL_DATA))
    captions = {"path": "multi30k", "task": "pair", "texts": ["en", "de"]}
    held_out = read_held_out([DatasetConfig(split=part, **captions) for part in ("train", "val")])
    kept = leave_out(read_dataset(dataset_by_name("stsb", "test")), held_out)
    assert len(kept) == 1379 - 72
    assert kept.skipped == {"a text of multi30k-train": 69, "a text of multi30k-val": 3}


# rows and distinct pairs of a test set that are in stsb/train too; the numbers of distinct pairs
# are those of the data's description
OVERLAPS = {
    "sts12": (1002, 996),
    "sts13": (597, 596),
    "sts14": (1861, 1822),
    "sts15": (1102, 1102),
    "sts16": (197, 197),
    "mrpc": (498, 498),
    "snli": (0, 0),
}


@pytest.mark.real
@needs_data
def test_the_known_overlaps(monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(REAL_DATA))
    seen = read_seen_texts([dataset_by_name("stsb", "train")])
    found = {
        name: check_contamination(read_dataset(dataset_by_name(name, "test")), seen)
        for name in OVERLAPS
    }
    assert {name: (int(one.pair.sum()), one.pairs_seen) for name, one in found.items()} == OVERLAPS
