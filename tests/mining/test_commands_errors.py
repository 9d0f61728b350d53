"""mine.py: bad input ends with one line and exit status 2; an existing output is not touched."""

import numpy as np
import pytest
from mine_inputs import QUERIES, TEXTS, write_texts
from support import fails
from tiny_models import write_classifier

GOOD = ["neighbours", "--corpus.path", "c.npy", "--output", "x.jsonl"]
RAW = ["pairs", "--texts.path", "c.txt", "--output", "x.tsv"]
MODEL = ["--model", "tiny"]
ROWS = ["negatives", "--data.path", "rows.tsv", "--output", "x.jsonl"]


@pytest.fixture
def place(tmp_path, tiny_folder, monkeypatch):
    """A folder to stand in, with some good and bad files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").symlink_to(tiny_folder)
    generator = np.random.default_rng(0)
    np.save("c.npy", generator.normal(size=(9, 4)))
    np.save("wide.npy", generator.normal(size=(9, 5)))
    np.save("nan.npy", np.array([[1.0, 0], [0, 1], [np.nan, 0]]))
    write_texts(tmp_path / "c.txt", TEXTS)
    write_texts(tmp_path / "tab.txt", [*TEXTS, "a\tcat"])
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "rows.tsv").write_text(
        f"query\tpositive\n{QUERIES[0]}\t{TEXTS[0]}\n{QUERIES[1]}\tnot there\n"
    )
    (tmp_path / "sts.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\n")
    (tmp_path / "fact").mkdir()
    (tmp_path / "fact/corpus.tsv").write_text("id\ttext\n1\ta cat\n2\ta dog\n")
    (tmp_path / "fact/queries.tsv").write_text("id\ttext\n1\tthe cat\n")
    (tmp_path / "fact/qrels.tsv").write_text("query_id\tdoc_id\trelevance\n1\t1\t1\n")
    return tmp_path


def changed(argv, **options):
    argv = list(argv)
    for name, value in options.items():
        place = argv.index("--" + name.replace("__", "."))
        argv[place + 1] = value
    return argv


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["neighbors"],
            "unknown task 'neighbors'; the tasks are embed, neighbours, pairs, clusters, negatives",
        ),
        ([*GOOD, "--depth", "3"], "mine.py neighbours: error: "),
        ([*GOOD, "--k", "x"], "mine.py neighbours: error: "),
        (["pairs", "--output", "x.tsv"], "mine.py pairs: error: "),
        ([*GOOD, "--k", "3", "--k", "4"], "--k is given 2 times"),
        (changed(GOOD, output="x.csv"), "output x.csv: ends in .jsonl or .tsv"),
        (
            ["embed", "--texts.path", "c.txt", *MODEL, "--output", "x.tsv"],
            "output x.tsv: ends in .npy",
        ),
        (
            ["embed", "--texts.path", "c.npy", *MODEL, "--output", "x.npy"],
            "c.npy: embed takes texts",
        ),
        (changed(GOOD, output="c.txt/x.jsonl"), "c.txt/x.jsonl: cannot be written: "),
        (
            [*GOOD, "--k", "0"],
            "k is 0; it must be > 0",
        ),
        (RAW, "c.txt: has texts and no embeddings; name the model that makes them"),
        ([*RAW, "--model", "no/such/folder"], "model no/such/folder: no such folder"),
        (
            [*RAW, "--model", "cross"],
            "cross: is a cross-encoder; texts are embedded by a bi-encoder",
        ),
        ([*RAW, *MODEL, "--threshold", "1.5"], "threshold is 1.5; a cosine lies from -1 to 1"),
        ([*RAW, *MODEL, "--limit", "0"], "limit is 0; it must be > 0"),
        ([*RAW, *MODEL, "--texts.limit", "1"], "c.txt: has 1 text; pairs need two"),
        (
            changed([*RAW, *MODEL], texts__path="tab.txt"),
            "x.tsv: TSV cannot hold a text with a tab or a line break: 'a\\tcat'",
        ),
        (changed([*RAW, *MODEL], texts__path="empty.txt"), "empty.txt: contains no texts"),
        (
            ["clusters", *RAW[1:], *MODEL, "--min_community_size", "0"],
            "min_community_size is 0; it must be > 0",
        ),
        (["clusters", *RAW[1:], *MODEL, "--threshold", "-3"], "threshold is -3.0; a cosine lies"),
        (changed(GOOD, corpus__path="nan.npy"), "nan.npy: row 2 (from 0) contains NaN or infinity"),
        ([*GOOD, "--queries.path", "nan.npy"], "nan.npy: row 2 (from 0) contains NaN or infinity"),
        (
            [*GOOD, "--queries.path", "wide.npy"],
            "wide.npy: has embeddings of 5 numbers, and c.npy of 4; name",
        ),
        (ROWS, "model: name the bi-encoder that finds the candidates"),
        (
            [*ROWS, *MODEL, "--corpus.path", "c.txt"],
            "the positive of row 1 is not in c.txt: 'not there'; add it",
        ),
        (
            [*ROWS, *MODEL, "--corpus.path", "c.npy"],
            "c.npy: has embeddings and no texts; negatives are texts",
        ),
        (
            [*ROWS, *MODEL, "--corpus.path", "c.txt", "--corpus.embeddings", "k.npy"],
            "corpus.embeddings: the embeddings of distinct",
        ),
        (
            [
                "embed",
                "--texts.path",
                "c.txt",
                "--texts.embeddings",
                "k.npy",
                *MODEL,
                "--output",
                "x.npy",
            ],
            "texts.embeddings: embed",
        ),
        (
            [*ROWS, *MODEL, "--cross_encoder", "tiny"],
            "cross_encoder tiny: is a bi-encoder; a cross-encoder is needed",
        ),
        (
            [*ROWS, *MODEL, "--cross_encoder", "nli"],
            "cross_encoder nli: has 3 classes; a cross-encoder with one label",
        ),
        (
            [*ROWS, "--negatives.num_negatives", "0"],
            "negatives.num_negatives is 0; it must be > 0",
        ),
        (
            [*ROWS, "--negatives.range_min", "-1"],
            "negatives.range_min is -1; it must be >= 0",
        ),
        (
            [*ROWS, "--negatives.seed", "-1"],
            "negatives.seed is -1; it must be >= 0",
        ),
        (
            [*ROWS, *MODEL, "--negatives.range_max", "1"],
            "range_max is 1: ranks 0 to 1 hold no 3 negatives",
        ),
        (
            changed([*ROWS, *MODEL], data__path="sts.tsv"),
            "sts: task sts; negatives are mined for pair, triplet, binary or retrieval",
        ),
        (
            [*changed(ROWS, data__path="fact"), *MODEL, "--corpus.path", "c.txt"],
            "corpus: fact has its own; leave corpus out",
        ),
    ],
    ids=lambda value: None if isinstance(value, list) else value[:30],
)
def test_bad_input(place, mine_command, capsys, argv, message):
    if {"cross", "nli"} & {*argv}:
        write_classifier(place / "cross")
        write_classifier(place / "nli", labels=3)
    assert message in fails(mine_command, capsys, *argv)
    assert not list(place.glob("x.*json"))
    assert not [path for path in place.glob("x.*") if path.stat().st_size]


def test_one_line_and_nothing_else(place, mine_command, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit) as error:
        mine_command(*RAW)
    assert error.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_result_is_not_touched_unless_asked(place, mine_command, capsys):
    mine_command(*GOOD)
    before = (place / "x.jsonl").read_bytes()
    assert "x.jsonl: already exists; pass --overwrite" in fails(mine_command, capsys, *GOOD)
    assert (place / "x.jsonl").read_bytes() == before
    mine_command(*GOOD, "--k", "2", "--overwrite")
    assert (place / "x.jsonl").read_bytes() != before
    assert sorted(path.name for path in place.glob("x.*")) == ["x.jsonl", "x.jsonl.json"]


def test_help_names_the_tasks(mine_command, capsys):
    for argv in ([], ["--help"], ["-h"]):
        with pytest.raises(SystemExit) as error:
            mine_command(*argv)
        assert error.value.code == 0
        assert "mine.py negatives  --config" in capsys.readouterr().out
    with pytest.raises(SystemExit) as error:
        mine_command("clusters", "--help")
    assert error.value.code == 0
    said = capsys.readouterr().out
    assert "--min_community_size" in said
    assert "--overwrite" in said
