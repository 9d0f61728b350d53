"""Single texts of datasets of pairs: each once, with the class of its rows."""

import pytest

from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from tools.single_texts import main

HEADER = "sentence1\tsentence2\tscore\tsource\n"


@pytest.fixture
def pairs(tmp_path):
    """Two files: "both" is a text of two classes."""
    first, second = tmp_path / "a.tsv", tmp_path / "b.tsv"
    first.write_text(HEADER + "a cat\ta dog\t1\tpets\na cat\tboth\t0\tpets\n", "utf-8")
    second.write_text(HEADER + "a shop\tboth\t1\ttrade\n", "utf-8")
    return str(first), str(second)


@pytest.mark.parametrize("name", ["topics.jsonl", "topics.tsv"])
def test_each_text_once_with_its_class(tmp_path, pairs, capsys, name):
    output = tmp_path / "new" / name
    main(["--data", *pairs, "--output", str(output)])
    rows = read_dataset(DatasetConfig(str(output)))
    assert (rows.task, rows.classes) == ("class", ["pets", "trade"])
    assert dict(zip(rows.texts[0], rows.labels.tolist(), strict=True)) == {
        "a cat": 0,
        "a dog": 0,
        "a shop": 1,
    }
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "1 texts of several classes left out",
        f"3 distinct texts (pets 2, trade 1): {output}",
    ]


def test_a_class_that_is_null_is_refused(tmp_path, capsys):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a cat", "source": null}\n{"text": "a dog", "source": "pets"}\n')
    with pytest.raises(SystemExit):
        main(["--data", str(path), "--output", str(tmp_path / "x.tsv")])
    assert "a row has no class; label is source, which must be" in capsys.readouterr().err
    assert not (tmp_path / "x.tsv").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "x.csv"], "output is x.csv; the name of the file must end with .jsonl"),
        (["--output", "x.tsv", "--label", "topic"], "no column 'topic'; available: sentence1"),
        (["--output", "x.tsv", "--label", "empty"], "label is empty, which must be a column"),
    ],
)
def test_bad_input(tmp_path, capsys, options, message):
    path = tmp_path / "a.tsv"
    path.write_text("sentence1\tsentence2\tscore\tempty\na cat\ta dog\t1\t\n", "utf-8")
    with pytest.raises(SystemExit) as error:
        main(["--data", str(path), *options])
    assert error.value.code == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("single_texts.py: error: ")
    assert message in line
