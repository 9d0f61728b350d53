"""What a run prints and leaves: result.json, which sweeps read, and TensorBoard."""

import json
import sys

import numpy as np
import pytest
import yaml
from boards import board
from support import copied, fails, metrics, write_config

from sbert import BiEncoder, atomic
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.evaluation.metrics import spearman
from sbert.evaluation.scorers import pair_scores
from sbert.evaluation.scores import read_scores
from sbert.training import run as run_module


@pytest.fixture
def config(tmp_path, tiny_folder, pairs_file):
    """A run with a dev set and two test sets; all labels of one are equal: no correlation."""
    dataset = {"path": str(pairs_file), "range": [0, 5], "name": "pairs", "limit": 24}
    lines = copied(pairs_file).read_text("utf-8").splitlines()
    flat = tmp_path / "flat.tsv"
    flat.write_text(
        "\n".join([lines[0], *(line.rpartition("\t")[0] + "\t2.5" for line in lines[1:6])]), "utf-8"
    )
    held_out = dict(dataset, path=str(copied(pairs_file)), limit=None)
    tests = [dict(held_out, name="test", limit=20), dict(held_out, path=str(flat), name="flat")]
    data = {"train": [dataset], "dev": [dict(held_out, name="dev")], "test": tests}
    return write_config(tmp_path, tiny_folder, pairs_file, data=data)


def test_the_result_of_a_run(config, tmp_path, train_command):
    train_command(config)
    run = tmp_path / "runs/run"
    # NaN and Infinity are not JSON, though Python would read them
    result = json.loads((run / "result.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert list(result) == ["train_rows", "step", "steps", "seconds", "results"]
    dev = {row["step"]: row for row in metrics(run, "dev")}
    best = max(dev, key=lambda step: dev[step]["dev/spearman_cosine"])
    assert (result["train_rows"], result["step"], result["steps"]) == (24, best, 6)
    assert result["seconds"] > 0
    facts = [(r["dataset"], r["part"], r["task"], r["rows"], r["main"]) for r in result["results"]]
    assert facts == [
        ("dev", "dev", "sts", 32, "spearman_cosine"),
        ("test", "test", "sts", 20, "spearman_cosine"),
        ("flat", "test", "sts", 5, "spearman_cosine"),
    ]
    kinds = ("cosine", "dot", "euclidean", "manhattan")
    names = {f"{metric}_{kind}" for metric in ("spearman", "pearson") for kind in kinds}
    [before] = metrics(run, "before")
    for r in result["results"]:
        assert set(r) == {"dataset", "part", "task", "rows", "main", "shown", "before", "after"}
        assert r["shown"] == {"spearman_cosine": r["rows"]}
        assert set(r["before"]) == set(r["after"]) == names
        assert r["before"] == {name: before[f"{r['dataset']}/{name}"] for name in names}
    first, second, undefined = result["results"]
    assert first["after"] == pytest.approx(
        {name: dev[best][f"dev/{name}"] for name in names}, abs=1e-6
    )
    assert first["after"] != first["before"] != second["before"]
    assert set(undefined["before"].values()) == set(undefined["after"].values()) == {None}
    scores = read_scores(run)  # of the same model as the result
    assert list(scores) == ["dev", "test", "flat"]
    for r in (first, second):
        for name, metric in scores[r["dataset"]].metrics.items():
            whole = metric.of_subset(np.ones(r["rows"], bool))
            assert whole == pytest.approx(r["after"][name], abs=1e-9)


def test_a_run_without_evaluation_has_a_result(tmp_path, tiny_folder, pairs_file, train_command):
    train_command(
        write_config(
            tmp_path,
            tiny_folder,
            pairs_file,
            data={"train": [{"path": str(pairs_file), "range": [0, 5]}]},
        )
    )
    result = json.loads((tmp_path / "runs/run/result.json").read_text("utf-8"))
    assert (result["results"], result["step"], result["steps"]) == ([], 8, 8)


def test_the_result_is_written_last(config, tmp_path, train_command, monkeypatch):
    """That it is there says that the run is done: nothing of the run changes after it."""
    written, run = [], tmp_path / "runs/run"

    def contents() -> dict:
        return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}

    def watched(path, data, real=atomic.write_whole):
        written.append(contents())
        real(path, data)

    monkeypatch.setattr(run_module, "write_whole", watched)
    train_command(config)
    [before] = written
    after = contents()
    assert after.pop(run / "result.json")
    assert after == before


def test_a_run_that_ends_early_has_no_result(config, tmp_path, train_command, monkeypatch):
    def fail(self, *args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run_module.RunEvaluator, "evaluate_saved", fail)
        with pytest.raises(KeyboardInterrupt):
            train_command(config)
    assert (tmp_path / "runs/run/best").exists()
    assert not (tmp_path / "runs/run/result.json").exists()
    train_command(config, "--resume")
    assert (tmp_path / "runs/run/result.json").exists()


def test_without_matplotlib_a_run_says_once_that_it_has_no_figures(
    config, train_command, capsys, monkeypatch
):
    train_command(config)
    assert "figures" not in capsys.readouterr().out
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    train_command(config, "--overwrite")
    said = (
        "no figures in TensorBoard because matplotlib is not installed: pip install -e '.[plots]'\n"
    )
    assert capsys.readouterr().out.count(said) == 1


def points(events, tag: str) -> dict[int, float]:
    found = events.Scalars(tag)
    values = {event.step: event.value for event in found}
    assert len(values) == len(found)  # one point a step
    return values


def test_curves_start_before_training(config, tmp_path, train_command):
    """Also after the finished run is resumed: no point is written twice."""
    run = tmp_path / "runs/run"
    train_command(config)
    for _ in range(2):
        events = board(run)
        [before], result = metrics(run, "before"), json.loads((run / "result.json").read_text())
        dev = {row["step"]: row["dev/spearman_cosine"] for row in metrics(run, "dev")}
        assert points(events, "dev/dev") == pytest.approx({0: before["dev"], **dev})
        pearson = {row["step"]: row["dev/pearson_dot"] for row in metrics(run, "dev")}
        assert points(events, "values/dev/dev/pearson_dot") == pytest.approx(
            {0: before["dev/pearson_dot"], **pearson}
        )
        after = result["results"][1]["after"]
        assert points(events, "test/test") == pytest.approx(
            {0: before["test"], result["step"]: after["spearman_cosine"]}
        )
        train_command(config, "--resume")


def test_first_screen_of_tensorboard(config, tmp_path, train_command):
    """The main metric of each dataset comes first, undefined metrics have no tag."""
    train_command(config)
    tags = board(tmp_path / "runs/run").Tags()
    scalars = sorted(tags["scalars"])
    assert scalars[:2] == ["dev/dev", "test/test"]
    assert all(tag.startswith(("train/", "values/")) for tag in scalars[2:])
    assert not any("flat" in tag or "before" in tag for tag in scalars)
    # four similarities, Spearman and Pearson, of two datasets, without the two main metrics
    assert sum(tag.startswith("values/") for tag in scalars) == 2 * (4 * 2 - 1)
    for kind in ("histograms", "images"):
        assert tags[kind]
        assert all(tag.startswith("values/dev/dev/cosine") for tag in tags[kind])


def test_configuration_in_tensorboard_lists_what_was_changed(config, tmp_path, train_command):
    train_command(config, "--loss.learnable_scale", "true")
    [event] = board(tmp_path / "runs/run").Tensors("configuration/text_summary")
    rows = event.tensor_proto.string_val[0].decode().splitlines()[2:]
    table = dict(row.strip("| ").split(" | ") for row in rows)
    assert table["optim.lr"] == "0.001"
    assert table["data.train.0.limit"] == "24"
    assert table["data.test.1.name"] == "flat"
    assert (table["loss"], table["loss.learnable_scale"]) == ("CosineSimilarityLoss", "True")
    assert "optim.epochs" in table
    assert not table.keys() & {"optim.warmup", "loop.seed", "data.train.0.split", "runs.name"}
    assert "None" not in table.values()


# prompts


def test_a_run_with_prompts(config, tmp_path, train_command, capsys, sentences):
    options = yaml.safe_load(config.read_text("utf-8"))
    options["model"]["prompts"] = {"query": "the cat ", "document": "a dog "}
    [dataset] = options["data"]["train"]
    dataset["prompts"] = ["query", "document"]
    options["data"]["dev"][0]["prompts"] = "query"
    config.write_text(yaml.safe_dump(options), "utf-8")
    train_command(config)
    out = capsys.readouterr().out
    assert "train pairs: 24 rows, sts; " in out
    assert [line for line in out.splitlines() if "prompt query, document" in line]
    assert "note: test, flat: no prompt is used, and the model declares document, query; " in out
    table = [line.split() for line in out.splitlines() if line.startswith("| ")]
    assert [line[-2] for line in table] == ["prompt", "------", "query", "none", "none"]
    best = BiEncoder.from_pretrained(tmp_path / "runs/run/best")
    assert (best.prompts, best.default_prompt_name) == (options["model"]["prompts"], None)
    dev, test, _ = json.loads((tmp_path / "runs/run/result.json").read_text("utf-8"))["results"]
    assert (dev["prompts"], "prompts" in test) == (["the cat ", "the cat "], False)
    rows = read_dataset(DatasetConfig(**options["data"]["dev"][0]))
    columns = [best.encode(t, prompt_name="query", precision="fp32") for t in rows.texts]
    expected = spearman(pair_scores(*columns)["cosine"], rows.labels)
    assert dev["after"]["spearman_cosine"] == pytest.approx(expected, abs=1e-6)


def test_a_run_is_judged_by_the_similarity_that_the_model_declares(config, tmp_path, train_command):
    options = yaml.safe_load(config.read_text("utf-8"))
    model = BiEncoder.from_pretrained(options["model"]["path"])
    model.similarity_fn_name, model.truncate_dim = "dot", 16
    model.save_pretrained(tmp_path / "dot")
    train_command(config, "--model.path", str(tmp_path / "dot"))
    dev, *_ = json.loads((tmp_path / "runs/run/result.json").read_text("utf-8"))["results"]
    assert dev["main"] == "spearman_dot"
    best = BiEncoder.from_pretrained(tmp_path / "runs/run/best")
    assert (best.similarity_fn_name, best.truncate_dim) == ("dot", 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.default_prompt_name", "no"], "default_prompt_name: no prompt 'no'"),
        (
            ["--data.train", "[{path: PAIRS, range: [0, 5], prompts: qury}]"],
            "no prompt 'qury'; known",
        ),
        (
            ["--model.prompts", "{query: q}", "--loss", "BinaryCrossEntropyLoss"],
            "model.prompts and model.default_prompt_name are for a bi-encoder",
        ),
    ],
)
def test_prompts_that_do_not_fit(
    config, tmp_path, pairs_file, train_command, capsys, options, message
):
    options = [option.replace("PAIRS", str(pairs_file)) for option in options]
    assert message in fails(train_command, capsys, config, *options)
    assert not (tmp_path / "runs").exists()
