"""Data: declared and recognised columns, the published formats, scores to [0, 1], what is skipped, limits, refusals."""

import gzip
import json
import re
import sys
from collections import Counter
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, both_orders, read_dataset
from sbert.data.subset import limited_rows
from sbert.errors import InputError


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def put(tmp_path):
    """A function that writes a file and gives its path: lists of fields as TSV, strings as they are."""

    def write(content: str | list[list[str]], name: str = "rows.tsv") -> str:
        text = (
            content
            if isinstance(content, str)
            else "".join("\t".join(line) + "\n" for line in content)
        )
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return str(path)

    return write


RANGE_HINT = " (range: the file's lowest and highest possible score)"


def refusal(path: str, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_dataset(DatasetConfig(path, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


PAIRS = [["sentence1", "sentence2", "score"], ["a b", "c", "0.25"], ["d", "e f", "1"]]


# recognised and declared columns

RECOGNISED = {
    "sts": (PAIRS, {}, "sts", [["a b", "d"], ["c", "e f"]], [0.25, 1]),
    "sts in another order": (
        [["score", "x", "sentence2", "sentence1"], ["0.5", "?", "b", "a"]],
        {},
        "sts",
        [["a"], ["b"]],
        [0.5],
    ),
    "nli": (
        [
            ["premise", "hypothesis", "label"],
            ["p", "h", "neutral"],
            ["q", "i", "contradiction"],
            ["r", "j", "entailment"],
        ],
        {},
        "nli",
        [["p", "q", "r"], ["h", "i", "j"]],
        [2, 0, 1],
    ),
    "nli as SNLI names it": (
        [["gold_label", "sentence1", "sentence2"], ["entailment", "p", "h"]],
        {},
        "nli",
        [["p"], ["h"]],
        [1],
    ),
    "triplet": (
        [["anchor", "positive", "negative"], ["a", "p", "n"]],
        {},
        "triplet",
        [["a"], ["p"], ["n"]],
        None,
    ),
    "binary with the header of sts": (
        [["sentence1", "sentence2", "score"], ["a", "b", "1"], ["c", "d", "0.0"]],
        {"task": "binary"},
        "binary",
        [["a", "c"], ["b", "d"]],
        [1, 0],
    ),
    "another label of the usual texts": (
        [["sentence1", "sentence2", "score", "mark"], ["a", "b", "1", "0.5"]],
        {"label": "mark"},
        "sts",
        [["a"], ["b"]],
        [0.5],
    ),
    "the task chooses among headers": (
        [["sentence1", "sentence2", "score", "gold_label"], ["a", "b", "1", "neutral"]],
        {"task": "nli"},
        "nli",
        [["a"], ["b"]],
        [2],
    ),
    "declared": (
        [["left", "right", "mark"], ["a", "b", "3"]],
        {"task": "sts", "texts": ["right", "left"], "label": "mark", "range": (1, 5)},
        "sts",
        [["b"], ["a"]],
        [0.5],
    ),
    "declared, label by its usual name": (
        [["left", "right", "score"], ["a", "b", "0.5"]],
        {"task": "sts", "texts": ["left", "right"]},
        "sts",
        [["a"], ["b"]],
        [0.5],
    ),
    "declared triplet": (
        [["x", "y", "z", "score"], ["a", "b", "c", "?"]],
        {"task": "triplet", "texts": ["z", "y", "x"]},
        "triplet",
        [["c"], ["b"], ["a"]],
        None,
    ),
    "declared classes": (
        [["premise", "hypothesis", "label"], ["p", "h", "yes"], ["q", "i", "no"]],
        {"classes": ["no", "maybe", "yes"]},
        "nli",
        [["p", "q"], ["h", "i"]],
        [2, 0],
    ),
}


@pytest.mark.parametrize(
    ("lines", "options", "task", "texts", "labels"), RECOGNISED.values(), ids=RECOGNISED
)
def test_columns(put, lines, options, task, texts, labels):
    rows = read_dataset(DatasetConfig(put(lines), **options))
    assert (rows.task, rows.texts, len(rows)) == (task, texts, len(lines) - 1)
    if labels is None:
        assert rows.labels is None
    else:
        assert rows.labels.tolist() == labels
        assert rows.labels.dtype == (np.int64 if task == "nli" else np.float32)
    assert rows.classes == (
        options.get("classes", ["contradiction", "entailment", "neutral"])
        if task == "nli"
        else None
    )
    assert not rows.skipped


def test_classes_of_numbers_in_json(put):
    lines = [{"premise": "p", "hypothesis": "h", "label": k} for k in (2, 0, 1)]
    path = put("\n".join(map(json.dumps, lines)), "rows.jsonl")
    assert read_dataset(DatasetConfig(path, classes=["0", "1", "2"])).labels.tolist() == [2, 0, 1]


def test_source_is_known_by_name_or_declared(put):
    lines = [["sentence1", "sentence2", "score", "source", "topic"], ["a", "b", "1", "s", "t"]]
    assert read_dataset(DatasetConfig(put(lines))).sources == ["s"]
    assert read_dataset(DatasetConfig(put(lines), source="topic")).sources == ["t"]
    assert read_dataset(DatasetConfig(put(PAIRS))).sources is None


def test_weight_passes_through(put):
    assert read_dataset(DatasetConfig(put(PAIRS), weight=0.5)).weight == 0.5
    assert read_dataset(DatasetConfig(put(PAIRS))).weight is None


# the published formats


def test_snli_as_published(put):
    lines = [
        {
            "annotator_labels": ["x"],
            "gold_label": "neutral",
            "sentence1": "A man.",
            "sentence2": "A tall man.",
            "pairID": "1",
        },
        {
            "annotator_labels": ["x"],
            "gold_label": "-",
            "sentence1": "B.",
            "sentence2": "C.",
            "pairID": "2",
        },
        {
            "annotator_labels": ["x"],
            "gold_label": "entailment",
            "sentence1": "D.",
            "sentence2": "E.",
            "pairID": "3",
        },
        # an empty text of a row that is left out for its label stops nothing
        {
            "annotator_labels": ["x"],
            "gold_label": "-",
            "sentence1": "",
            "sentence2": "C.",
            "pairID": "4",
        },
    ]
    rows = read_dataset(
        DatasetConfig(put("\n".join(map(json.dumps, lines)) + "\n", "snli_1.0_dev.jsonl"))
    )
    assert rows.texts == [["A man.", "D."], ["A tall man.", "E."]]
    assert rows.labels.tolist() == [2, 1]
    assert rows.skipped == {"no gold label (-)": 2}


def test_sick_as_published(put):
    lines = [
        [
            "pair_ID",
            "sentence_A",
            "sentence_B",
            "entailment_label",
            "relatedness_score",
            "SemEval_set",
        ],
        ["1", "A group", "Groups", "NEUTRAL", "4.5", "TRAIN"],
        ["2", "B", "C", "ENTAILMENT", "3", "TEST"],
        ["3", "D", "E", "CONTRADICTION", "1.0", "TRIAL"],
        ["4", "F", "G", "NEUTRAL", "4.6", "TEST"],
    ]
    path = put(lines, "SICK.txt")
    columns = {
        "format": "tsv",
        "texts": ["sentence_A", "sentence_B"],
        "where": {"SemEval_set": "TEST"},
    }
    rows = read_dataset(
        DatasetConfig(path, task="sts", label="relatedness_score", range=(1, 5), **columns)
    )
    assert rows.texts == [["B", "F"], ["C", "G"]]
    np.testing.assert_allclose(rows.labels, [0.5, 0.9], rtol=1e-6)
    assert rows.skipped == {"SemEval_set is not TEST": 2}
    assert rows.describe() == "SICK: 2 rows, sts; 2 skipped: SemEval_set is not TEST"
    classes = ["CONTRADICTION", "ENTAILMENT", "NEUTRAL"]
    rows = read_dataset(
        DatasetConfig(path, task="nli", label="entailment_label", classes=classes, **columns)
    )
    assert rows.labels.tolist() == [1, 2]


def test_stsb_multi_mt_as_published(put):
    path = put('"Ein Mann, alt","Ein ""Mann""",5.0\nA,B,1.0\n', "stsb-de-test.csv")
    rows = read_dataset(DatasetConfig(path, format="stsb-multi-mt", range=(0, 5)))
    assert rows.texts == [["Ein Mann, alt", "A"], ['Ein "Mann"', "B"]]
    np.testing.assert_allclose(rows.labels, [1, 0.2], rtol=1e-6)


def test_stsbenchmark_as_published(put):
    lines = [["main-captions", "MSRvid", "2012test", "1", "2.5", "A.", "B."]]
    lines += [["main-news", "headlines", "2013", "2", "5", '"C', "D", "licence", "licence"]]
    rows = read_dataset(
        DatasetConfig(
            put(lines, "sts-test.csv"), format="stsbenchmark", range=(0, 5), source="genre"
        )
    )
    assert rows.texts == [["A.", '"C'], ["B.", "D"]]
    assert rows.labels.tolist() == [0.5, 1]
    assert rows.sources == ["main-captions", "main-news"]


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


# names and splits


def test_a_name_is_a_folder_of_splits(put):
    put([PAIRS[0], ["a", "b", "4"]], "data/stsb/dev.tsv.gz")
    put([PAIRS[0], ["c", "d", "1"]], "data/stsb/test.tsv.gz")
    rows = read_dataset(DatasetConfig("stsb", "test"))
    assert (rows.name, rows.texts) == ("stsb-test", [["c"], ["d"]])
    np.testing.assert_allclose(rows.labels, [0.2], rtol=1e-6)
    assert read_dataset(DatasetConfig("stsb", "dev", name="mine")).name == "mine"


@pytest.mark.parametrize("name", ["stsb", "stsb_multi_mt/fr", "afs", "sts12", "sts16"])
def test_known_names_have_their_range(put, name):
    put([PAIRS[0], ["a", "b", "5"], ["a", "b", "0.5"]], f"data/{name}/test.tsv.gz")
    np.testing.assert_allclose(
        read_dataset(DatasetConfig(name, "test")).labels, [1, 0.1], rtol=1e-6
    )


def test_a_declared_range_goes_before_the_known_one(put):
    put([PAIRS[0], ["a", "b", "5"]], "data/stsb/test.tsv.gz")
    assert read_dataset(DatasetConfig("stsb", "test", range=(0, 10))).labels.tolist() == [0.5]


@pytest.mark.parametrize("name", ["mrpc", "quora_pairs"])
def test_known_binary_names(put, name):
    put([PAIRS[0], ["a", "b", "1"], ["a", "b", "0"]], f"data/{name}/test.tsv.gz")
    rows = read_dataset(DatasetConfig(name, "test"))
    assert (rows.task, rows.labels.tolist(), rows.labels.dtype) == ("binary", [1, 0], np.float32)


def test_folder_in_a_name_becomes_a_dash(put):
    put(PAIRS, "data/many/fr/test.tsv.gz")
    assert read_dataset(DatasetConfig("many/fr", "test")).name == "many-fr-test"


def test_missing_folder_names_the_setting(data_folder):
    assert refusal("none", split="test") == (
        f"dataset none: no such file, and no folder {data_folder / 'none'} (SBERT_DATA sets the data folder)"
    )


@pytest.mark.parametrize(
    ("split", "said"), [(None, "no split is named"), ("tset", "no split 'tset'")]
)
def test_missing_split_lists_those_there(put, split, said):
    put(PAIRS, "data/many/train.tsv.gz")
    put(PAIRS, "data/many/dev.tsv.gz")
    assert refusal("many", split=split) == f"dataset many: {said}; there are: dev, train"


def test_a_file_without_a_known_ending(put):
    path = put(PAIRS, "rows.txt")
    assert refusal(path).startswith(
        f"{path}: its ending tells no format; set format to one of tsv, csv, jsonl"
    )
    assert len(read_dataset(DatasetConfig(path, format="tsv"))) == 2


# scores and labels

limits = st.integers(-10, 10)


@given(limits, limits, st.floats(0, 1))
def test_scores_are_scaled_by_the_range(tmp_path_factory, low, high, share):
    if low >= high:
        low, high = high - 1, low
    value = low + share * (high - low)
    path = tmp_path_factory.getbasetemp() / "given.jsonl"
    path.write_text(
        "".join(
            json.dumps({"sentence1": "a", "sentence2": "b", "score": s}) + "\n"
            for s in (low, value, high)
        )
    )
    labels = read_dataset(DatasetConfig(str(path), range=(low, high))).labels
    np.testing.assert_allclose(labels, [0, share, 1], atol=1e-6)
    assert labels.min() >= 0
    assert labels.max() <= 1


BAD_VALUES = {
    "no number": ("high", {}, "the score 'high' is not a number"),
    "empty": ("", {}, "the score '' is not a number"),
    "nan": ("nan", {}, "the score nan is outside the declared range [0, 1]" + RANGE_HINT),
    "inf": ("inf", {}, "the score inf is outside the declared range [0, 1]" + RANGE_HINT),
    "above": ("1.01", {}, "the score 1.01 is outside the declared range [0, 1]" + RANGE_HINT),
    "below": ("-0.01", {}, "the score -0.01 is outside the declared range [0, 1]" + RANGE_HINT),
    "above a declared range": (
        "5.5",
        {"range": (1, 5)},
        "the score 5.5 is outside the declared range [1, 5]" + RANGE_HINT,
    ),
    "below a declared range": (
        "0.5",
        {"range": (1, 5)},
        "the score 0.5 is outside the declared range [1, 5]" + RANGE_HINT,
    ),
    "not binary": ("0.5", {"task": "binary"}, "the label 0.5 of a binary task is neither 0 nor 1"),
    "unknown label": (
        "Neutral",
        {"task": "nli", "label": "score"},
        "unknown label 'Neutral'; the classes are contradiction, entailment, neutral",
    ),
    "unknown to declared classes": (
        "neutral",
        {"task": "nli", "label": "score", "classes": ["no", "yes"]},
        "unknown label 'neutral'; the classes are no, yes",
    ),
}


@pytest.mark.parametrize(("value", "options", "said"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_bad_value_is_named_with_its_line(put, value, options, said):
    good = {"nli": (options.get("classes") or ["entailment"])[0], "binary": "1"}.get(
        options.get("task"), "1"
    )
    path = put([PAIRS[0], ["a", "b", good], ["c", "d", value]])
    assert refusal(path, **options) == f"{path}, line 3: {said}"


def test_a_label_that_is_no_value(put):
    path = put('{"sentence1": "a", "sentence2": "b", "score": null}', "rows.jsonl")
    assert refusal(path) == f"{path}, line 1: the score 'None' is not a number"


@pytest.mark.parametrize("bounds", [(1, 1), (5, 0), (float("nan"), 1)])
def test_bad_range(put, bounds):
    assert "the lower end comes first" in refusal(put(PAIRS), range=bounds)


# texts

BAD_TEXTS = {
    "empty": ('""', "sentence2 is empty"),
    "blank": ('" \\t\\u00a0"', "sentence2 is empty"),
    "null": ("null", "sentence2 is None, not a text"),
    "number": ("7", "sentence2 is 7, not a text"),
}


@pytest.mark.parametrize(("text", "said"), BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_text_is_named_with_its_line(put, text, said):
    good = '{"sentence1": "a", "sentence2": "b", "score": 1}'
    path = put(f'{good}\n\n{{"sentence1": "a", "sentence2": {text}, "score": 1}}\n', "rows.jsonl")
    assert refusal(path).startswith(f"{path}, line 3: {said}")


def test_skipped_rows_are_counted_by_reason(put):
    lines = [
        ["sentence1", "sentence2", "gold_label", "part"],
        *[["", "b", "neutral", "x"], [" ", "", "neutral", "x"], ["a", "", "neutral", "x"]],
        *[["a", "b", "-", "x"], ["", "b", "-", "x"], ["", "b", "-", "y"]],
        *[["a", "b", "neutral", "x"], ["c", "d", "neutral", "x"], ["e", "f", "neutral", "x"]],
    ]
    rows = read_dataset(DatasetConfig(put(lines), skip_empty=True, where={"part": "x"}, limit=2))
    reasons = {
        "empty sentence1": 2,
        "empty sentence2": 1,
        "no gold label (-)": 2,
        "part is not x": 1,
        "beyond limit 2": 1,
    }
    assert rows.skipped == reasons
    assert len(rows) == 2
    described = rows.describe()
    assert described.startswith("rows: 2 rows, nli; ")
    assert sorted(described.split("; ")[1:]) == sorted(
        f"{n} skipped: {reason}" for reason, n in reasons.items()
    )


def test_counts_are_written_with_commas(put):
    path = put([PAIRS[0], *[["a", "b", "1"]] * 1234, *[["", "b", "1"]] * 1001])
    assert (
        read_dataset(DatasetConfig(path, skip_empty=True)).describe()
        == "rows: 1,234 rows, sts; 1,001 skipped: empty sentence1"
    )


# columns

BAD_COLUMNS = {
    "unknown header": (
        [["x", "y"], ["a", "b"]],
        {},
        "no columns that a task is known for; there are: x, y",
    ),
    "another task's header": (
        PAIRS,
        {"task": "triplet"},
        "no columns for task triplet; there are: sentence1, sentence2, score",
    ),
    "no label": (
        [["sentence1", "sentence2"], ["a", "b"]],
        {"task": "sts"},
        "no columns for task sts",
    ),
    "text": (
        PAIRS,
        {"task": "sts", "texts": ["sentence1", "sentence"]},
        "no column 'sentence'; there are: sentence1, sentence2",
    ),
    "label": (
        PAIRS,
        {"task": "sts", "texts": ["sentence1", "sentence2"], "label": "mark"},
        "no column 'mark'",
    ),
    "source": (PAIRS, {"source": "topic"}, "no column 'topic'"),
    "where": (PAIRS, {"where": {"part": "x"}}, "no column 'part'"),
    "texts without a task": (
        PAIRS,
        {"texts": ["sentence1", "sentence2"]},
        "texts is declared, so declare task too",
    ),
    "one text too many": (
        PAIRS,
        {"task": "sts", "texts": PAIRS[0]},
        "task sts reads 2 text columns",
    ),
    "one text too few": (
        PAIRS,
        {"task": "triplet", "texts": ["sentence1", "sentence2"]},
        "task triplet reads 3 text columns",
    ),
}


@pytest.mark.parametrize(("lines", "options", "said"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
def test_bad_columns(put, lines, options, said):
    path = put(lines)
    assert refusal(path, **options).startswith(f"{path}, line 2: {said}")


def test_a_later_line_that_lacks_a_column(put):
    path = put(
        '{"sentence1": "a", "sentence2": "b", "score": 1}\n{"sentence1": "a", "score": 1}\n',
        "rows.jsonl",
    )
    assert refusal(path).startswith(
        f"{path}, line 2: no column 'sentence2'; there are: sentence1, score"
    )


def test_a_later_line_of_another_task_stops_the_reading(put):
    first = {"sentence1": "a", "sentence2": "b", "score": 1}
    other = {"premise": "p", "hypothesis": "h", "label": "neutral"}
    path = put(json.dumps(first) + "\n" + json.dumps(other), "rows.jsonl")
    assert refusal(path).startswith(f"{path}, line 2: ")


@pytest.mark.parametrize(
    ("lines", "options", "said"),
    [
        ([], {}, "the file has none"),
        ([PAIRS[0]], {}, "the file has none"),
        (PAIRS, {"where": {"score": "3"}}, "2 skipped: score is not 3"),
        ([PAIRS[0], ["", "b", "1"]], {"skip_empty": True}, "1 skipped: empty sentence1"),
    ],
    ids=["empty file", "header alone", "where", "skip_empty"],
)
def test_no_rows(put, lines, options, said):
    path = put(lines)
    assert refusal(path, **options) == f"{path}: no rows to use ({said})"


# limits


@given(st.integers(1, 200), st.integers(0, 3), st.data())
def test_limits_nest(n, seed, data):
    small = data.draw(st.integers(1, n))
    large = data.draw(st.integers(small, n))
    kept = limited_rows(n, small, seed)
    assert set(kept) <= set(limited_rows(n, large, seed))
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert len(kept) == small
    assert kept.min() >= 0
    assert kept.max() < n
    np.testing.assert_array_equal(kept, limited_rows(n, small, seed))


@given(st.integers(20, 200), st.floats(0.05, 0.95), st.integers(0, 3))
def test_a_share_is_that_many_rows(n, share, seed):
    np.testing.assert_array_equal(
        limited_rows(n, share, seed), limited_rows(n, round(n * share), seed)
    )


def test_limit_by_hand():
    assert limited_rows(5, None, 0).tolist() == [0, 1, 2, 3, 4]
    assert limited_rows(5, 9, 0).tolist() == limited_rows(5, 5, 0).tolist() == [0, 1, 2, 3, 4]
    assert len(limited_rows(5, 1, 0)) == 1
    assert len(limited_rows(5, 1.0, 0)) == 1, "1 is one row and not all of them: a share is below 1"
    assert len(limited_rows(10, 0.5, 0)) == 5


def test_the_seed_chooses_the_rows():
    chosen = {tuple(limited_rows(100, 10, seed)) for seed in range(5)}
    assert len(chosen) == 5


@pytest.mark.parametrize("limit", [0, -1, 1.5, 0.001, float("nan"), float("inf")])
def test_bad_limit(put, limit):
    assert f"limit {limit}: needs a whole number of rows, or a share" in refusal(
        put(PAIRS), limit=limit
    )


def test_a_limit_keeps_rows_together(put):
    lines = [["sentence1", "sentence2", "score", "source"]]
    lines += [[f"a{i}", f"b{i}", str(i / 50), f"s{i}"] for i in range(50)]
    rows = read_dataset(DatasetConfig(put(lines), limit=0.2, limit_seed=3))
    numbers = [int(text[1:]) for text in rows.texts[0]]
    assert numbers == limited_rows(50, 10, 3).tolist()
    assert rows.texts[1] == [f"b{i}" for i in numbers]
    assert rows.sources == [f"s{i}" for i in numbers]
    np.testing.assert_allclose(rows.labels, np.array(numbers) / 50, rtol=1e-6)
    assert rows.skipped == {"beyond limit 0.2": 40}


def test_a_limit_counts_usable_rows(put):
    path = put([PAIRS[0], *[["", "b", "1"]] * 5, *[["a", "b", "1"]] * 4])
    assert len(read_dataset(DatasetConfig(path, limit=4, skip_empty=True))) == 4


# the hub, through the package datasets


@pytest.fixture
def hub(monkeypatch):
    """A stand-in for the package: `calls` are the arguments that load_dataset was given, `rows` what it gives."""
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


def test_hub_needs_a_split(hub):
    assert refusal("hf:glue:stsb") == "dataset hf:glue:stsb: no split is named"


def test_hub_without_the_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)  # what makes `import datasets` fail
    assert re.search(r"pip install 'sbert\[datasets\]'", refusal("hf:glue:stsb", split="test"))


# candidates to rank

RERANK = [["query", "document", "score"], ["q", "d1", "0"], ["q", "d2", "1"], ["r", "d1", "2.5"]]


def test_rerank_is_known_by_its_header(put):
    rows = read_dataset(DatasetConfig(put(RERANK)))
    assert (rows.task, rows.texts) == ("rerank", [["q", "q", "r"], ["d1", "d2", "d1"]])
    assert rows.labels.tolist() == [0, 1, 2.5], "grades as they are, not scaled to [0, 1]"
    assert rows.labels.dtype == np.float64
    assert (rows.classes, rows.sources) == (None, None)
    assert rows.describe() == "rows: 3 rows, rerank"


def test_rerank_of_declared_columns(put):
    path = put([["x", "y", "grade"], ["a", "b", "3"]])
    rows = read_dataset(DatasetConfig(path, task="rerank", texts=["y", "x"], label="grade"))
    assert (rows.task, rows.texts, rows.labels.tolist()) == ("rerank", [["b"], ["a"]], [3])
    path = put([["x", "y", "score"], ["a", "b", "3"]])
    assert read_dataset(DatasetConfig(path, task="rerank", texts=["x", "y"])).labels.tolist() == [
        3
    ], "score, if none is named"


def test_rerank_with_another_label_of_the_usual_texts(put):
    path = put([["query", "document", "score", "grade"], ["a", "b", "0.7", "3"]])
    rows = read_dataset(DatasetConfig(path, label="grade"))
    assert (rows.task, rows.labels.tolist()) == ("rerank", [3])


def test_rerank_reads_json_numbers(put):
    lines = [
        {"query": "q", "document": f"d{i}", "score": score} for i, score in enumerate([0, 1, 0.5])
    ]
    rows = read_dataset(DatasetConfig(put("\n".join(map(json.dumps, lines)), "rows.jsonl")))
    assert rows.labels.tolist() == [0, 1, 0.5]


BAD_RELEVANCE = {
    "below 0": ("-1", "the relevance -1 is not a number from 0 (not relevant) upwards"),
    "little below 0": (
        "-0.001",
        "the relevance -0.001 is not a number from 0 (not relevant) upwards",
    ),
    "no number": ("high", "the relevance 'high' is not a number"),
    "empty": ("", "the relevance '' is not a number"),
}


@pytest.mark.parametrize(("value", "said"), BAD_RELEVANCE.values(), ids=BAD_RELEVANCE)
def test_bad_relevance_is_named_with_its_line(put, value, said):
    path = put([*RERANK, ["r", "d3", value]])
    assert refusal(path) == f"{path}, line 5: {said}"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_relevance_that_is_not_finite_is_refused(put, value):
    path = put([*RERANK, ["r", "d3", value]])
    assert refusal(path).startswith(f"{path}, line 5: the relevance {value} ")


def test_null_relevance_is_refused(put):
    path = put('{"query": "q", "document": "d", "score": null}', "rows.jsonl")
    assert refusal(path) == f"{path}, line 1: the relevance 'None' is not a number"


@pytest.mark.parametrize("texts", [["query"], ["query", "document", "score"]])
def test_rerank_reads_two_texts(put, texts):
    path = put(RERANK)
    said = f"task rerank reads 2 text columns; texts names {', '.join(texts)}"
    assert refusal(path, task="rerank", texts=texts) == f"{path}, line 2: {said}"


def test_an_empty_document_stops_the_reading_or_is_counted(put):
    path = put([*RERANK, ["r", "", "1"]])
    said = "document is empty; fill it, or set skip_empty to skip and count such rows"
    assert refusal(path) == f"{path}, line 5: {said}"
    rows = read_dataset(DatasetConfig(path, skip_empty=True))
    assert (len(rows), rows.skipped) == (3, {"empty document": 1})


# triplets of several negatives

NEGATIVES = ["query", "positive", "n1", "n2", "n3"]
SEVERAL = {"task": "triplet", "texts": NEGATIVES}


def test_later_negatives_of_columns_may_be_empty(put):
    lines = [
        NEGATIVES,
        ["q", "p", "a", "b", "c"],
        ["r", "p", "a", "", ""],
        ["s", "p", "a", "", "c"],
    ]
    rows = read_dataset(DatasetConfig(put(lines), **SEVERAL))
    assert rows.texts == [list("qrs"), ["p"] * 3, ["a"] * 3, ["b", None, None], ["c", None, "c"]]
    assert (rows.task, rows.labels, rows.classes) == ("triplet", None, None)
    assert not rows.skipped


def test_a_column_of_negatives_that_no_row_fills_is_none_throughout(put):
    rows = read_dataset(DatasetConfig(put([NEGATIVES, ["q", "p", "a", "", ""]]), **SEVERAL))
    assert rows.texts == [["q"], ["p"], ["a"], [None], [None]]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_query_positive_and_first_negative_may_not_be_empty(put, at):
    line = ["q", "p", "a", "b", "c"]
    line[at] = ""
    path = put([NEGATIVES, ["q", "p", "a", "b", "c"], line])
    said = f"{NEGATIVES[at]} is empty; fill it, or set skip_empty to skip and count such rows"
    assert refusal(path, **SEVERAL) == f"{path}, line 3: {said}"
    rows = read_dataset(DatasetConfig(path, skip_empty=True, **SEVERAL))
    assert (len(rows), rows.skipped) == (1, {f"empty {NEGATIVES[at]}": 1})


def as_json(put, *rows):
    return put("".join(json.dumps(row) + "\n" for row in rows), "rows.jsonl")


def query(negatives, positive="p"):
    return {"query": "q", "positive": positive, "negatives": negatives}


def test_a_list_of_negatives_is_so_many_columns(put):
    path = as_json(put, query(["a", "b", "c"]), query(["d"]), query(["e", "f"]))
    rows = read_dataset(DatasetConfig(path))
    assert rows.texts == [
        ["q"] * 3,
        ["p"] * 3,
        ["a", "d", "e"],
        ["b", None, "f"],
        ["c", None, None],
    ]
    assert (rows.task, rows.labels, len(rows)) == ("triplet", None, 3)


@pytest.mark.parametrize(
    "header", [["anchor", "negative"], ["query", "negative"], ["query", "negatives"]]
)
def test_headers_of_triplets(put, header):
    path = as_json(put, {header[0]: "q", "positive": "p", header[1]: ["a", "b"]}, {header[0]: "r", "positive": "p",
                   header[1]: "a"})  # fmt: skip
    assert read_dataset(DatasetConfig(path)).texts == [
        ["q", "r"],
        ["p", "p"],
        ["a", "a"],
        ["b", None],
    ]


def test_missing_texts_inside_a_list_leave_a_gap(put):
    rows = read_dataset(
        DatasetConfig(as_json(put, query(["a", "", "b"]), query(["a", None]), query(["a", "b"])))
    )
    assert rows.texts[2:] == [["a"] * 3, [None, None, "b"], ["b", None, None]]


def test_lists_and_columns_of_negatives_go_together(put):
    row = query(["a", "b"]) | {"more": ["c"]}
    path = as_json(put, row, row | {"negatives": ["a"], "more": []}, row | {"more": None})
    rows = read_dataset(
        DatasetConfig(path, task="triplet", texts=["query", "positive", "negatives", "more"])
    )
    assert rows.texts[2:] == [["a"] * 3, ["b", None, "b"], ["c", None, None]]


def test_a_limit_keeps_the_negatives_of_a_row_together(put):
    # the longest list is not among the rows that are kept: then there is no column for it
    path = as_json(put, *(query([f"{i} {k}" for k in range(1 + i % 3)]) for i in range(30)))
    rows = read_dataset(DatasetConfig(path, limit=5))
    kept = limited_rows(30, 5, 0)
    assert len(rows.texts) == 2 + max(1 + i % 3 for i in kept)
    for row, i in enumerate(kept):
        negatives = [column[row] for column in rows.texts[2:]]
        assert [x for x in negatives if x is not None] == [f"{i} {k}" for k in range(1 + i % 3)]


EMPTY = "is empty; fill it, or set skip_empty to skip and count such rows"
BAD_LISTS = {
    "no entries": (query([]), f"negatives {EMPTY}"),
    "empty first": (query(["", "b"]), f"negatives {EMPTY}"),
    "blank first": (query([" \t", "b"]), f"negatives {EMPTY}"),
    "null first": (query([None, "b"]), "negatives is None, not a text"),
    "number": (query(["a", 7]), "negatives is 7, not a text"),
    "zero": (query(["a", 0]), "negatives is 0, not a text"),
    "false": (query(["a", False]), "negatives is False, not a text"),
    "list of lists": (query([["a"]]), "negatives is ['a'], not a text"),
    "list of lists, later": (query(["a", ["b"]]), "negatives is ['b'], not a text"),
    "half a character, later": (
        query(["a", "\ud800"]),
        "negatives holds half of a surrogate pair, which is no text",
    ),
    "null": (query(None), "negatives is None, not a text"),
    "object": (query({"a": 1}), "negatives is {'a': 1}, not a text"),
}


@pytest.mark.parametrize(("row", "said"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_a_bad_list_is_named_with_its_line(put, row, said):
    path = as_json(put, query(["a"]), row)
    assert refusal(path) == f"{path}, line 2: {said}"


def test_rows_with_an_empty_list_are_counted(put):
    path = as_json(put, query(["a"]), query([]), query(["", "b"]), query(["a", ""]))
    rows = read_dataset(DatasetConfig(path, skip_empty=True))
    assert rows.texts == [["q", "q"], ["p", "p"], ["a", "a"], [None, None]]
    assert rows.describe() == "rows: 2 rows, triplet; 2 skipped: empty negatives"


@pytest.mark.parametrize("texts", [["sentence1", "sentence2"], ["sentence2", "sentence1"]])
def test_other_tasks_read_no_lists(put, texts):
    path = as_json(put, {"sentence1": "a", "sentence2": ["b"], "score": 1})
    assert (
        refusal(path, task="sts", texts=texts) == f"{path}, line 1: sentence2 is ['b'], not a text"
    )


@pytest.mark.parametrize("column", ["query", "positive"])
def test_a_list_of_queries_or_positives_moves_no_text_into_another_column(put, column):
    path = as_json(put, query(["n"]) | {column: ["one", "two"]})
    try:
        rows = read_dataset(DatasetConfig(path))
    except InputError:
        return  # a refusal is as good
    assert rows.texts[2:] == [["n"]]


# beyond


@given(st.integers(2, 200), st.integers(0, 3), st.data())
def test_beyond_is_what_the_limit_leaves(n, seed, data):
    size = data.draw(st.integers(1, n - 1))
    train, rest = limited_rows(n, size, seed), limited_rows(n, None, seed, size)
    assert sorted([*train, *rest]) == list(range(n))
    assert rest.tolist() == sorted(rest)


@given(st.integers(3, 200), st.integers(0, 3), st.data())
def test_limits_beyond_nest_and_never_touch_the_rows_before(n, seed, data):
    size = data.draw(st.integers(1, n - 2))
    small = data.draw(st.integers(1, n - size))
    large = data.draw(st.integers(small, n))
    dev = limited_rows(n, small, seed, size)
    assert len(dev) == small
    assert len(limited_rows(n, large, seed, size)) == min(large, n - size)
    assert set(dev) <= set(limited_rows(n, large, seed, size))
    assert not set(dev) & set(limited_rows(n, size, seed))
    assert dev.tolist() == sorted(dev)


def test_shares_beyond_are_shares_of_the_whole_file():
    train, dev = limited_rows(50, 0.8, 1), limited_rows(50, None, 1, 0.8)
    assert (len(train), len(dev)) == (40, 10)
    np.testing.assert_array_equal(dev, limited_rows(50, None, 1, 40))
    assert len(limited_rows(50, 0.1, 1, 0.8)) == 5, "a tenth of 50, and not of the 10 that are left"
    assert sorted([*train, *limited_rows(50, 0.5, 1, 0.8)]) == list(range(50)), (
        "no more than are left"
    )
    assert len(limited_rows(50, None, 1, 1.0)) == 49, "1 is one row"


def test_the_seed_chooses_what_is_beyond():
    assert len({tuple(limited_rows(100, None, seed, 90)) for seed in range(5)}) == 5


def test_beyond_cuts_a_dev_set_from_a_training_file(put):
    path = put([PAIRS[0], *[[f"a{i}", f"b{i}", str(i / 50)] for i in range(50)]])
    train = read_dataset(DatasetConfig(path, limit=40, limit_seed=3))
    dev = read_dataset(DatasetConfig(path, beyond=40, limit=8, limit_seed=3))
    assert not set(train.texts[0]) & set(dev.texts[0])
    numbers = limited_rows(50, 8, 3, 40)
    assert dev.texts == [[f"{side}{i}" for i in numbers] for side in "ab"]
    np.testing.assert_allclose(dev.labels, numbers / 50, rtol=1e-6)
    assert (
        dev.describe() == "rows: 8 rows, sts; 42 skipped: the 40 before beyond and beyond limit 8"
    )
    rest = read_dataset(DatasetConfig(path, beyond=40, limit_seed=3))
    assert sorted(train.texts[0] + rest.texts[0]) == sorted(f"a{i}" for i in range(50))
    assert sum(rest.skipped.values()) == 40


@pytest.mark.parametrize("beyond", [0, -1, 1.5, 0.001, float("nan"), float("inf")])
def test_bad_beyond(put, beyond):
    said = f"beyond {beyond}: needs a whole number of rows, or a share of them between 0 and 1"
    assert refusal(put(PAIRS), beyond=beyond) == said


@pytest.mark.parametrize("limit", [0, -1, 1.5])
def test_bad_limit_beside_a_good_beyond(put, limit):
    said = f"limit {limit}: needs a whole number of rows, or a share of them between 0 and 1"
    assert refusal(put(PAIRS), limit=limit, beyond=1) == said


@pytest.mark.parametrize("beyond", [2, 3, 0.9])
def test_beyond_that_leaves_nothing(put, beyond):
    assert refusal(put(PAIRS), beyond=beyond) == f"beyond {beyond}: leaves none of the 2 rows"


# both orders


def test_both_orders_by_hand():
    labels = np.array([0.25, 1], np.float32)
    rows = Rows(
        "pairs",
        "sts",
        [["a", "b"], ["c", "d"]],
        labels,
        ["s", "t"],
        weight=0.5,
        skipped=Counter(x=3),
    )
    both = both_orders(rows)
    assert both.texts == [["a", "b", "c", "d"], ["c", "d", "a", "b"]]
    assert both.labels.tolist() == [0.25, 1, 0.25, 1]
    assert both.labels.dtype == np.float32
    assert both.sources == ["s", "t", "s", "t"]
    assert (both.name, both.task, both.weight, both.skipped, len(both)) == (
        "pairs",
        "sts",
        0.5,
        {"x": 3},
        4,
    )
    assert (rows.texts, rows.labels.tolist(), rows.sources) == (
        [["a", "b"], ["c", "d"]],
        [0.25, 1],
        ["s", "t"],
    )


def test_both_orders_of_binary_pairs_without_sources():
    both = both_orders(Rows("pairs", "binary", [["a"], ["b"]], np.array([1], np.float32)))
    assert (both.task, both.texts, both.labels.tolist()) == (
        "binary",
        [["a", "b"], ["b", "a"]],
        [1, 1],
    )
    assert both.sources is None


@pytest.mark.parametrize("task", ["nli", "triplet", "rerank"])
def test_both_orders_are_for_pairs_without_one(task):
    rows = Rows(
        "mine",
        task,
        [["a"]] * (3 if task == "triplet" else 2),
        None if task == "triplet" else np.array([1]),
    )
    with pytest.raises(InputError) as error:
        both_orders(rows)
    said = f"mine: both_orders is for pairs whose order means nothing (sts, binary), not {task}"
    assert str(error.value) == said
