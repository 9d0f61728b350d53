"""Where lines come from: files by extension, names in the data folder, the hub, command lines."""

import re
import sys
from types import ModuleType

import numpy as np
import pytest
from data_inputs import PAIRS, refusal

from sbert.data.config import DatasetConfig
from sbert.data.origin import dataset_by_name, has_splits
from sbert.data.rows import read_dataset


@pytest.mark.parametrize(
    "name", ["rows.tsv", "rows.tsv.gz", "rows.csv", "rows.csv.gz", "rows.jsonl", "rows.jsonl.gz"]
)
def test_the_ending_tells_the_reader(put, name):
    content = {
        "tsv": "sentence1\tsentence2\tscore\na\tb\t0.5\n",
        "csv": "sentence1,sentence2,score\na,b,0.5\n",
        "jsonl": '{"sentence1": "a", "sentence2": "b", "score": 0.5}\n',
    }[name.removesuffix(".gz").split(".")[1]]
    rows = read_dataset(DatasetConfig(put(content, name)))
    assert (rows.name, rows.texts, rows.labels.tolist()) == ("rows", [["a"], ["b"]], [0.5])


def test_a_name_is_a_folder_of_splits(put):
    put([PAIRS[0], ["a", "b", "4"]], "data/stsb/dev.tsv.gz")
    put([PAIRS[0], ["c", "d", "1"]], "data/stsb/test.tsv.gz")
    rows = read_dataset(DatasetConfig("stsb", "test"))
    assert (rows.name, rows.texts) == ("stsb-test", [["c"], ["d"]])
    np.testing.assert_allclose(rows.labels, [0.2], rtol=1e-6)
    assert read_dataset(DatasetConfig("stsb", "dev", name="mine")).name == "mine"


def test_folder_in_a_name_becomes_a_dash(put):
    put(PAIRS, "data/many/fr/test.tsv.gz")
    assert read_dataset(DatasetConfig("many/fr", "test")).name == "many-fr-test"


def test_missing_folder_names_the_setting(data_folder):
    assert refusal("none", split="test") == (
        f"dataset none: no such file, and no <split>.tsv.gz in {data_folder / 'none'} "
        "(SBERT_DATA sets the data folder)"
    )


@pytest.mark.parametrize(
    ("split", "said"), [(None, "split is not set"), ("tset", "no split 'tset'")]
)
def test_missing_split_lists_those_there(put, split, said):
    put(PAIRS, "data/many/train.tsv.gz")
    put(PAIRS, "data/many/dev.tsv.gz")
    assert refusal("many", split=split) == f"dataset many: {said}; available: dev, train"


def test_a_file_without_a_known_ending(put):
    path = put(PAIRS, "rows.data")
    assert refusal(path).startswith(
        f"{path}: unknown file extension; set format to one of tsv, csv, jsonl"
    )
    assert len(read_dataset(DatasetConfig(path, format="tsv"))) == 2


@pytest.mark.parametrize("name", ["rows.tsv", "rows"])
def test_a_split_of_a_file_is_refused(put, name):
    path = put(PAIRS, name)
    assert refusal(path, format="tsv", split="nosuch") == (
        f"{path}: is read as a file, which has no splits; leave out split nosuch"
    )


def test_a_file_whose_format_is_set_needs_no_split(put):
    config = DatasetConfig(put(PAIRS, "rows"), format="tsv")
    assert not has_splits(config)
    assert len(read_dataset(config)) == 2


@pytest.fixture
def hub(monkeypatch):
    """A fake package: `calls` are the arguments of load_dataset, `rows` what it returns."""
    fake = ModuleType("datasets")
    fake.calls, fake.rows = [], [{"sentence1": "a", "sentence2": "b", "score": 0.5}]

    def load_dataset(path, name=None, *, split=None):
        fake.calls.append((path, name, split))
        return fake.rows

    fake.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return fake


@pytest.mark.parametrize(
    ("path", "call", "name"),
    [
        ("hf:org/stsb", ("org/stsb", None, "validation"), "org-stsb-validation"),
        ("hf:glue:stsb", ("glue", "stsb", "validation"), "stsb-validation"),
        ("hf:org/all-nli.v1:pair", ("org/all-nli.v1", "pair", "validation"), None),
    ],
)
def test_hub_rows(hub, path, call, name):
    rows = read_dataset(DatasetConfig(path, "validation"))
    assert hub.calls == [call]
    assert (rows.texts, rows.labels.tolist()) == ([["a"], ["b"]], [0.5])
    assert name in (None, rows.name)


def test_hub_errors_name_dataset_split_and_row(hub):
    hub.rows = [
        {"sentence1": "a", "sentence2": "b", "score": 0.5},
        {"sentence1": "a", "sentence2": "b", "score": 5},
    ]
    assert refusal("hf:glue:stsb", split="test").startswith(
        "hf:glue:stsb, split test, line 2: the score 5 is outside"
    )


@pytest.mark.parametrize(
    ("raised", "reason"), [("no such\nset\n", "no such"), ("", "ConnectionError")]
)
def test_what_the_hub_says_is_one_line(hub, raised, reason):
    def load_dataset(path, name=None, *, split=None):
        raise ConnectionError(raised)

    hub.load_dataset = load_dataset
    assert refusal("hf:glue:stsb", split="test") == f"dataset hf:glue:stsb: {reason}"


def test_hub_needs_a_split(hub):
    assert refusal("hf:glue:stsb") == "dataset hf:glue:stsb: split is not set"


def test_hub_without_the_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # what makes `import datasets` fail
    assert re.search(r"pip install -e '\.\[datasets\]'", refusal("hf:glue:stsb", split="test"))


def test_names_with_a_split(tmp_path, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    assert [
        (c.path, c.split)
        for c in (
            dataset_by_name(s, "test") for s in ("stsb", "stsb:dev", "a/fr:dev", "x.tsv", "hf:a:b")
        )
    ] == [("stsb", "test"), ("stsb", "dev"), ("a/fr", "dev"), ("x.tsv", None), ("hf:a:b", "test")]
    (tmp_path / "odd:name.tsv").write_text("text\n")
    assert dataset_by_name(str(tmp_path / "odd:name.tsv"), "test").path == str(
        tmp_path / "odd:name.tsv"
    )
