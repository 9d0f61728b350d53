"""evaluate.py: a baseline on the same rows, contamination, invalid input before any work."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from evaluation_inputs import cells
from support import fails

from sbert import BiEncoder, CrossEncoder
from sbert.evaluation.metrics import average_precision, spearman
from sbert.evaluation.scorers import pair_scores
from sbert.losses.saved import TrainedLoss, save_loss
from sbert.losses.softmax import SoftmaxLoss


def cosines(folder, lines):
    model = BiEncoder.from_pretrained(folder)
    return pair_scores(
        *(model.encode([line[i] for line in lines], precision="fp32") for i in (0, 1))
    )["cosine"]


def test_a_baseline_is_judged_on_the_same_rows_as_it_was_saved(
    run, tiny_folder, other_folder, sets
):
    data, lines = sets
    found, out = run(tiny_folder, data, "--baseline", other_folder, "--max_length", 5, "--seed", 3)
    gold = np.array([float(score) for *_, score in lines])
    [mine, binary] = found["comparison"]
    assert (mine["dataset"], mine["with"], mine["metric"]) == (
        "mine",
        "the baseline",
        "spearman_cosine",
    )
    assert mine["other"] == pytest.approx(spearman(cosines(other_folder, lines), gold), abs=1e-6)
    assert binary["other"] == pytest.approx(
        average_precision(cosines(other_folder, lines), gold > 1.5), abs=1e-6
    )
    assert [r["metrics"][r["main"]] for r in found["baseline_results"]] == [
        mine["other"],
        binary["other"],
    ]
    for one, result in zip((mine, binary), found["results"], strict=True):
        assert one["score"] == result["metrics"][result["main"]]
        assert one["difference"] == one["score"] - one["other"]
        assert one["interval"][0] < one["difference"] < one["interval"][1]
        assert (one["p"] < 0.05) == (f"{100 * max(one['score'], one['other']):.2f}**" in out)
        assert ("is inside the noise" in out) or (one["p"] < 0.05)
    models = {model["role"]: model for model in found["models"]}
    assert [(m["pooling"], m["max_length"]) for m in models.values()] == [("mean", 5), ("cls", 64)]
    assert models["model"]["fingerprint"] != models["baseline"]["fingerprint"]
    assert f"\nbaseline {other_folder}\n\n| sts " in out


def test_the_same_command_the_same_numbers(run, tiny_folder, other_folder, sets):
    argv = (tiny_folder, sets[0], "--baseline", other_folder)
    first, again, other = run(*argv), run(*argv), run(*argv, "--seed", 1)
    for report, _ in (first, again, other):
        del report["seconds"]
    assert first[0] == again[0]
    assert first[1] == again[1]
    assert first[0]["comparison"][0]["interval"] != other[0]["comparison"][0]["interval"]


def test_a_model_does_not_differ_from_itself(run, tiny_folder, sets):
    found, out = run(tiny_folder, sets[0], "--baseline", tiny_folder)
    assert [(one["difference"], one["p"]) for one in found["comparison"]] == [(0, 1), (0, 1)]
    assert (
        "note: mine: the difference of 0.00 to the baseline is inside the noise (p = 1.000)" in out
    )
    assert "not corrected for 2 comparisons" in out
    assert "**" not in out


def test_a_cross_encoder_can_be_the_baseline(run, tmp_path, tiny_folder, sets):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "cross")
    found, _ = run(tiny_folder, sets[0], "--baseline", tmp_path / "cross")
    assert [r["main"] for r in found["baseline_results"]] == ["spearman_logit", "ap_logit"]
    assert found["models"][1]["kind"] == "cross-encoder"


def test_several_sts_sets_are_compared_on_average_too(run, tiny_folder, other_folder, pairs_file):
    data = [
        f"{{path: {pairs_file}, range: [0, 5], name: {name}, limit: 20, limit_seed: {i}}}"
        for i, name in enumerate("ab")
    ]
    found, out = run(tiny_folder, f"[{', '.join(data)}]", "--baseline", other_folder)
    *each, average = found["comparison"]
    assert average["dataset"] == "average"
    assert average["difference"] == pytest.approx(np.mean([one["difference"] for one in each]))
    assert "20 rows: the interval is rough" in out


def test_what_was_seen_is_counted_and_left_out(run, tmp_path, tiny_folder, sets):
    data, lines = sets
    train = tmp_path / "train.tsv"
    some = lines[:9]
    train.write_text(
        "\n".join(["sentence1\tsentence2", *(f"{b.upper()}\t{a}" for a, b, _ in some)]), "utf-8"
    )
    found, out = run(tiny_folder, data, "--seen", train)
    seen = {tuple(sorted(line[:2])) for line in some}
    clean = [i for i, line in enumerate(lines) if tuple(sorted(line[:2])) not in seen]
    mine, binary = found["contamination"]["datasets"]
    assert (mine["rows"], mine["rows_pair_seen"], mine["pairs_seen"]) == (
        32,
        32 - len(clean),
        len(seen),
    )
    gold = np.array([float(score) for *_, score in lines])
    expected = spearman(cosines(tiny_folder, lines)[clean], gold[clean])
    assert mine["scores"]["pair unseen"] == pytest.approx(expected, abs=1e-6)
    assert mine["scores"]["all"] == pytest.approx(found["results"][0]["metrics"]["spearman_cosine"])
    assert binary["metric"] == "ap_cosine"
    assert found["contamination"]["seen"] == {"train": 9}
    assert f"mine: {32 - len(clean)} of 32 rows contain a pair that was seen in training" in out


@pytest.fixture
def never(monkeypatch):
    """No model may scorer anything."""
    monkeypatch.setattr(
        "sbert.evaluation.command.evaluate_rows", lambda *_: pytest.fail("the work was started")
    )


NOT_WRITABLE = pytest.mark.skipif(not Path("/proc").is_dir(), reason="no read-only folder")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--resamples", -1], "resamples is -1; it must be == 0 or >= 2"),
        (["--resamples", 1], "resamples is 1; it must be == 0 or >= 2"),
        (["--seed", -1], "seed is -1; it must be >= 0"),
        (["--output", "table.xls"], "output table.xls: unknown file extension; use .json or .md"),
        (["--output", "{file}/report.md"], "output {file}/report.md: cannot be written: "),
        pytest.param(
            ["--output", "/proc/report.md"],
            "output /proc/report.md: cannot be written: ",
            marks=NOT_WRITABLE,
        ),
        (["--output", "{folder}"], "output {folder}: is a folder; name a file"),
        (["--seen", "no/train.tsv"], "no/train.tsv: no such file"),
        (["--seen", "{numbers}"], "no known text columns; available: a, b; set texts"),
        (
            ["--baseline", "no/such/folder"],
            "baseline no/such/folder: model no/such/folder: no such folder",
        ),
        (
            ["--baseline", "{classes}"],
            "baseline {classes}: mine: task sts needs a model that scores pairs",
        ),
        (
            ["--baseline", "{cross}", "--data", "{corpus}"],
            "baseline {cross}: corpus-test: a cross-encoder alone cannot search",
        ),
        (
            ["--baseline", "{tiny}", "--data", "{nli}"],
            "baseline {tiny}: {tiny}: no trained loss head",
        ),
    ],
)
def test_bad_options(
    tmp_path, tiny_folder, pairs_file, evaluate_command, capsys, never, argv, message
):
    paths = make_inputs(tmp_path, tiny_folder, pairs_file)
    argv = [str(word).format(**paths) for word in argv]
    model = paths["named_classes"] if paths["nli"] in argv else tiny_folder
    config = tmp_path / "e.yaml"
    config.write_text(
        f"model: {model}\ndata: [{{path: {pairs_file}, range: [0, 5], name: mine}}]\n"
    )
    before = sorted(tmp_path.rglob("*"))
    assert message.format(**paths) in fails(evaluate_command, capsys, "--config", config, *argv)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is left behind"


@pytest.mark.parametrize(
    ("model", "classes", "message"),
    [
        (
            "named_classes",
            ["neutral", "entailment"],
            "other: classes ['neutral', 'entailment']; the model was trained on ['contradiction', "
            "'entailment', 'neutral']",
        ),
        ("classes", ["neutral", "entailment"], "other: 2 classes; the model has 3"),
    ],
)
def test_classes_are_checked_before_any_evaluation(
    tmp_path, tiny_folder, evaluate_command, capsys, never, model, classes, message
):
    paths = make_inputs(tmp_path, tiny_folder, tmp_path)
    config = tmp_path / "e.yaml"
    other = f"{{path: {paths['nli']}, name: other, classes: {classes}}}"
    config.write_text(f"model: {paths[model]}\ndata: [{paths['nli']}, {other}]\n")
    assert message in fails(evaluate_command, capsys, "--config", config)


def make_inputs(tmp_path, tiny_folder, pairs_file):
    """Models and data of several kinds, by name."""
    for name, labels in (("cross", 1), ("classes", 3)):
        CrossEncoder.from_pretrained(tiny_folder, num_labels=labels).save_pretrained(
            tmp_path / name
        )
    model = CrossEncoder.from_pretrained(tmp_path / "classes")
    model.classes = ["contradiction", "entailment", "neutral"]
    model.save_pretrained(tmp_path / "named_classes")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "corpus").mkdir()
    files = {
        "numbers.tsv": "a\tb\n1\t2\n",
        "nli.tsv": "premise\thypothesis\tlabel\na cat\ta dog\tneutral\n",
        "corpus/corpus.tsv": "id\ttext\nx\ta cat\n",
        "corpus/queries_test.tsv": "id\ttext\nq\ta dog\n",
        "corpus/qrels_test.tsv": "query_id\tdoc_id\trelevance\nq\tx\t1\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    names = {
        "cross": "cross",
        "classes": "classes",
        "named_classes": "named_classes",
        "folder": "folder.md",
        "corpus": "corpus",
        "numbers": "numbers.tsv",
        "nli": "nli.tsv",
    }
    paths = {name: str(tmp_path / file) for name, file in names.items()}
    return paths | {"tiny": str(tiny_folder), "file": str(pairs_file)}


def test_texts_that_are_cut_are_counted_once(tmp_path, tiny_folder, evaluate_command, capsys):
    """In a line of ours for each model, and in no warning of Python beside it."""
    paths = make_inputs(tmp_path, tiny_folder, tmp_path)
    long = tmp_path / "corpus" / "corpus.tsv"
    long.write_text(f"id\ttext\nx\t{'a cat sits ' * 30}\n")
    argv = ["--model", tiny_folder, "--data", paths["corpus"], "--reranker", paths["cross"]]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        evaluate_command(*argv, "--baseline", tiny_folder, "--max_length", 8)
    lines = [line for line in capsys.readouterr().err.splitlines() if " cut" in line]
    assert [line.partition(":")[0] for line in lines] == [
        "model",
        "reranker",
        "baseline",
        "reranker",
    ]
    assert lines[0].startswith("model: 1 of 2 rows (50.00%) cut, ")
    assert not [one for one in caught if "cut" in str(one.message)]


def test_two_datasets_of_one_name_are_refused(
    tmp_path, tiny_folder, evaluate_command, capsys, never
):
    """A report has the scores of their rows by the names of the datasets."""
    data = [tmp_path / folder / "test.tsv" for folder in "ab"]
    for path in data:
        path.parent.mkdir()
        path.write_text("sentence1\tsentence2\tscore\na\tb\t0.5\nc\td\t1\n")
    argv = ["--model", tiny_folder, "--data", *data]
    line = fails(evaluate_command, capsys, *argv, "--output", tmp_path / "out" / "r.json")
    assert "data: two evaluated datasets are named test; set another name for one of them" in line
    assert not (tmp_path / "out").exists()


# truncate_dim


def test_several_sizes_are_one_table_and_one_encoding(run, tiny_folder, sets, monkeypatch):
    encode, calls = BiEncoder.encode, []
    monkeypatch.setattr(
        BiEncoder, "encode", lambda *args, **options: calls.append(1) or encode(*args, **options)
    )
    found, out = run(tiny_folder, sets[0], "--truncate_dim", 24, 32, 8)
    assert len(calls) == 1, "once for all sizes, and the two datasets have the same texts"
    table = [cells(text) for text in out.split("\n\n") if "| truncate_dim " in text][0]
    assert table[0] == ["truncate_dim", "mine, Spearman", "binary, AP"]
    by_size = {(one["truncate_dim"], one["dataset"]): one for one in found["by_size"]}
    for line in table[2:]:
        for name, shown in zip(("mine", "binary"), line[1:], strict=True):
            one = by_size[int(line[0]), name]
            assert shown == f"{100 * one['metrics'][one['main']]:.2f}"
    for size in (24, 32, 8):
        alone, _ = run(tiny_folder, sets[0], "--truncate_dim", size)
        for result in alone["results"]:
            assert by_size[size, result["dataset"]]["metrics"] == pytest.approx(result["metrics"])
        assert alone["models"][0]["truncate_dim"] == size
        if size == 24:  # the usual table is of the first size
            assert found["results"] == alone["results"]


def test_sizes_that_are_refused(evaluate_command, capsys, tiny_folder, pairs_file):
    data = f"{{path: {pairs_file}, range: [0, 5]}}"
    argv = ["--model", tiny_folder, "--data", data, "--truncate_dim"]
    line = fails(evaluate_command, capsys, *argv, 16, 33)
    assert "truncate_dim 33: the model's embeddings have 1 to 32 numbers" in line
    assert "it must be > 0" in fails(evaluate_command, capsys, *argv, 0)


def test_a_classifier_reads_whole_embeddings(tmp_path, evaluate_command, capsys, tiny_folder):
    model = BiEncoder.from_pretrained(tiny_folder)
    model.save_pretrained(tmp_path / "model")
    save_loss(tmp_path / "model", TrainedLoss(SoftmaxLoss().bind(32), ["a", "b", "c"]))
    nli = tmp_path / "nli.tsv"
    nli.write_text("premise\thypothesis\tlabel\na\tb\tneutral\n")
    argv = ["--model", tmp_path / "model", "--data", nli, "--truncate_dim"]
    line = fails(evaluate_command, capsys, *argv, 8)
    assert "truncate_dim: the head of SoftmaxLoss reads all 32 numbers of an embedding" in line


# similarity


def test_a_table_names_the_declared_similarity(run, tiny_folder, sets, tmp_path):
    BiEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "model")
    settings = tmp_path / "model" / "config_sentence_transformers.json"
    declared = json.loads(settings.read_text()) | {"similarity_fn_name": "dot"}
    settings.write_text(json.dumps(declared))
    found, out = run(tmp_path / "model", sets[0])
    assert [result["main"] for result in found["results"]] == ["spearman_dot", "ap_dot"]
    sts, binary = (cells(text) for text in out[out.index("| sts") :].split("\n\n")[:2])
    assert "similarity dot" in out.splitlines()[0]
    columns = "Spearman, 95 % interval, Pearson, cosine, Euclidean, Manhattan".split(", ")
    assert sts[0] == ["sts by dot", "rows", *columns]
    assert (binary[0][0], binary[0][4]) == ("binary by dot", "F1")
    usual, _ = run(tiny_folder, sets[0])
    for one, other in zip(found["results"], usual["results"], strict=True):
        assert one["metrics"] == other["metrics"]
