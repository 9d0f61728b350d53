"""train.py and evaluate.py from the command line: bad input ends with one line and exit status 2,
and nothing is lost."""

import json
import shutil

import pytest
from support import fails, write_config

from sbert import BiEncoder

GOOD = "sentence1\tsentence2\tscore\nthe cat sits\tthe dog sits\t3\na man runs\ta woman runs\t5\n"


@pytest.mark.parametrize(("content", "dataset", "message"), [
    (None, {}, "data.tsv: no such file"),
    (GOOD, {"task": "sts", "texts": ["sentence1", "text2"]},
     "no column 'text2'; available: sentence1, sentence2, score"),
    (GOOD + "only one\n", {}, "line 4: 1 fields, expected 3"),
    (GOOD.encode() + b"caf\xe9\tx\t1\n", {}, "line 4: byte 0xe9 is not UTF-8"),
    (GOOD + "a cat\t \t2\n", {}, "line 4: sentence2 is empty"),
    (GOOD + "a cat\ta dog\tfour\n", {}, "line 4: the score 'four' is not a finite number"),
    (GOOD + "a cat\ta dog\tnan\n", {}, "line 4: the score 'nan' is not a finite number"),
    (GOOD + "a cat\ta dog\t5.5\n", {}, "line 4: the score 5.5 is outside [0, 5]"),
    (GOOD, {"range": [0, 1]}, "line 2: the score 3 is outside [0, 1]"),
    (GOOD, {"task": "nli", "texts": ["sentence1", "sentence2"]},
     "line 2: range is for task sts or binary, not nli; leave it out"),
    (GOOD, {"task": "nli", "texts": ["sentence1", "sentence2"], "label": "score", "range": None},
     "line 2: unknown label '3'"),
    ("sentence1\tsentence2\tscore\n", {}, "no rows to use"),
    ("", {}, "no rows to use"),
    (GOOD, {"limit": 0.5, "where": {"score": "9"}}, "no rows to use (2 skipped: score is not 9)"),
])  # fmt: skip
def test_bad_data_stops_before_anything_is_written(
    tmp_path, tiny_folder, train_command, capsys, content, dataset, message
):
    file = tmp_path / "data.tsv"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    data = {"train": [{"path": str(file), "range": [0, 5], **dataset}]}
    assert message in fails(
        train_command, capsys, write_config(tmp_path, tiny_folder, file, data=data)
    )
    assert not (tmp_path / "runs").exists()


def test_split_that_is_not_there(tmp_path, tiny_folder, train_command, capsys, monkeypatch):
    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/train.tsv.gz").write_bytes(b"")
    data = {"train": [{"path": "mine", "split": "dev"}]}
    line = fails(train_command, capsys, write_config(tmp_path, tiny_folder, tmp_path, data=data))
    assert "dataset mine: no split 'dev'; available: train" in line


def test_model_folder_without_weights(tmp_path, tiny_folder, pairs_file, train_command, capsys):
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    (folder / "model.safetensors").unlink()
    line = fails(train_command, capsys, write_config(tmp_path, folder, pairs_file))
    assert "no weights: model.safetensors is missing" in line


def test_loss_that_does_not_fit_the_columns(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    line = fails(
        train_command, capsys, write_config(tmp_path, tiny_folder, pairs_file, loss="TripletLoss")
    )
    assert (
        "TripletLoss reads 3 texts and no labels (task triplet); pairs has 2 texts, task sts"
        in line
    )


def test_run_folder_that_holds_a_run_is_not_touched(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    config = write_config(tmp_path, tiny_folder, pairs_file)
    train_command(config)
    run = tmp_path / "runs/run"
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    line = fails(train_command, capsys, config)
    assert "already holds a run; continue it with --resume, replace it with " in line
    line = fails(train_command, capsys, config, "--resume", "--optim.lr", "5e-4")
    assert "cannot resume with another configuration: optim.lr was 0.001, now 0.0005" in line
    # bad data is found before the old run is deleted
    line = fails(
        train_command, capsys, config, "--overwrite", "--data.train", '[{"path": "nowhere.tsv"}]'
    )
    assert "nowhere.tsv: no such file" in line
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    train_command(config, "--overwrite")
    train_command(config, "--resume")  # a finished run: nothing to do but the table
    assert "of 8: " in capsys.readouterr().out


def test_two_evaluated_datasets_of_one_name(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    dataset = {"path": str(pairs_file), "range": [0, 5], "name": "same"}
    data = {"train": [dataset], "dev": [dataset, dataset]}
    assert "named same" in fails(
        train_command, capsys, write_config(tmp_path, tiny_folder, pairs_file, data=data)
    )


def test_evaluate_prints_a_table_and_writes_files(
    tmp_path, tiny_folder, pairs_file, evaluate_command, capsys
):
    yaml = tmp_path / "data.yaml"
    yaml.write_text(
        f"model: {tiny_folder}\ndata: [{{path: {pairs_file}, range: [0, 5], name: mine}}]\n"
    )
    evaluate_command("--config", yaml, "--output", tmp_path / "result.json")
    table = capsys.readouterr().out
    assert "| mine |   32 |" in table
    result = json.loads((tmp_path / "result.json").read_text())["results"][0]
    shown = float(table.split("| mine |   32 |")[1].split("|")[0])
    assert result["metrics"]["spearman_cosine"] == pytest.approx(shown / 100, abs=5e-5)
    evaluate_command("--config", yaml, "--output", tmp_path / "result.md")
    assert "| mine |" in (tmp_path / "result.md").read_text()


def test_evaluate_takes_several_names(tmp_path, tiny_folder, evaluate_command, capsys, monkeypatch):
    from tools import demo_corpus

    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    demo_corpus.write_corpus(tmp_path / "one")
    demo_corpus.write_corpus(tmp_path / "two")
    evaluate_command("--model", tiny_folder, "--data", "one", "two", "--split", "dev")
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows] == [
        "sts",
        "-------",
        "one-dev",
        "two-dev",
        "average",
    ]


@pytest.mark.parametrize(("argv", "message"), [
    (["--data", "nothing"], "dataset nothing: no such file, and no <split>.tsv.gz in"),
    (["--model", "no/such/folder", "--data", "nothing.tsv"], "nothing.tsv: no such file"),
    (["--data", "x.tsv", "--output", "table.xls"],
     "output table.xls: unknown file extension; use .json or .md"),
    (["--data", "x.tsv", "--data", "y.tsv"], "--data is given 2 times"),
    (["--data", "x.tsv", "--layer", "-9"], "no such file"),
])  # fmt: skip
def test_bad_options_of_evaluate(tiny_folder, evaluate_command, capsys, argv, message):
    argv = argv if "--model" in argv else ["--model", tiny_folder, *argv]
    assert message in fails(evaluate_command, capsys, *argv)


def test_nli_accuracy_needs_the_trained_head(
    tmp_path, tiny_folder, train_command, evaluate_command, capsys
):
    file = tmp_path / "nli.tsv"
    lines = [
        "premise\thypothesis\tlabel",
        *(f"a {x}\tthe {x}\t{y}" for x, y in (("cat", "neutral"), ("dog", "entailment"))),
    ]
    file.write_text("\n".join(lines), "utf-8")
    assert "no trained loss head" in fails(
        evaluate_command, capsys, "--model", tiny_folder, "--data", file
    )
    train_command(
        write_config(
            tmp_path, tiny_folder, file, data={"train": [{"path": str(file)}]}, loss="SoftmaxLoss"
        )
    )
    evaluate_command("--model", tmp_path / "runs/run/best", "--data", file)
    assert "| nli " in capsys.readouterr().out
    other = tmp_path / "other.yaml"
    other.write_text(
        f"model: {tmp_path}/runs/run/best\n"
        f"data: [{{path: {file}, classes: [neutral, entailment, x]}}]\n"
    )
    assert "was trained on ['contradiction'" in fails(evaluate_command, capsys, "--config", other)


@pytest.mark.parametrize("task", ["binary", "triplet"])
def test_evaluates_other_tasks(tmp_path, tiny_folder, evaluate_command, capsys, task):
    file = tmp_path / "rows.tsv"
    header = {"binary": "sentence1\tsentence2\tscore", "triplet": "anchor\tpositive\tnegative"}[
        task
    ]
    last = {"binary": ["1", "0"], "triplet": ["a big dog", "a red house"]}[task]
    file.write_text(f"{header}\nthe cat\ta cat\t{last[0]}\nthe man\ta park\t{last[1]}\n", "utf-8")
    config = tmp_path / "e.yaml"
    config.write_text(f"model: {tiny_folder}\ndata: [{{path: {file}, task: {task}}}]\n")
    evaluate_command("--config", config)
    assert f"| {task}" in capsys.readouterr().out


def test_model_saved_by_a_run_is_evaluated_alike(
    tmp_path, tiny_folder, pairs_file, train_command, evaluate_command, capsys
):
    train_command(write_config(tmp_path, tiny_folder, pairs_file))
    after = (
        capsys.readouterr()
        .out.split("| pairs      |   32 | spearman_cosine |")[1]
        .split("|")[1]
        .strip()
    )
    config = tmp_path / "e.yaml"
    config.write_text(
        f"model: {tmp_path}/runs/run/best\n"
        f"data: [{{path: {pairs_file}, range: [0, 5], name: pairs}}]\n"
    )
    evaluate_command("--config", config, "--precision", "fp32")
    assert f"| pairs |   32 |    {after} |" in capsys.readouterr().out
    assert BiEncoder.from_pretrained(tmp_path / "runs/run/best").pooling == ["mean"]
