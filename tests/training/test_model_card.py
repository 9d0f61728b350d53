"""The card that a run writes beside its model."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard as HubCard
from support import copied, write_config

from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows
from sbert.evaluation import figures
from sbert.losses import CosineSimilarityLoss, MultipleNegativesRankingLoss
from sbert.training.config import DataConfig, ModelConfig, TrainConfig
from sbert.training.datasets import RunData, TrainingPart
from sbert.training.loop import Training
from sbert.training.model_card import RunCard


def card_of(run: Path) -> str:
    return (run / "best/README.md").read_text("utf-8")


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, with its header."""
    _, _, section = text.partition(f"\n## {heading}\n")
    lines = re.search(r"(?:^\|.*\n)+", section, re.M)[0].splitlines()
    del lines[1]
    return [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in lines]


def columns(text: str, heading: str) -> dict[str, list[str]]:
    header, *rows = table(text, heading)
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


@pytest.fixture
def config(tmp_path, tiny_folder, pairs_file, monkeypatch):
    """A run on two files; the second has empty texts and a language."""
    monkeypatch.setattr(figures, "matplotlib_available", lambda: False)  # they take most of it
    lines = pairs_file.read_text("utf-8").splitlines()
    second = tmp_path / "second.tsv"
    second.write_text("\n".join([*lines[:9], "\tan empty side\t1", "\tand another\t2"]), "utf-8")
    rows = {"range": [0, 5]}
    train = [
        {"path": str(pairs_file), "name": "a: |b|", "limit": 24} | rows,
        {"path": str(second), "languages": ["de"], "skip_empty": True, "name": "`c`"} | rows,
    ]
    held_out = {"path": str(copied(pairs_file))} | rows
    tests = [dict(held_out, name="test", limit=9)]
    data = {"train": train, "dev": [dict(held_out, name="dev")], "test": tests}
    loss = {"class_path": "CosineSimilarityLoss", "init_args": {"learnable_scale": True}}
    optim = {"lr": 1e-3, "batch_size": 8, "epochs": 2}
    data["both_orders"] = True
    return write_config(tmp_path, tiny_folder, pairs_file, data=data, loss=loss, optim=optim)


def test_card_of_a_run(config, tmp_path, tiny_folder, train_command):
    train_command(config)
    text = card_of(tmp_path / "runs/run")
    data = HubCard(text).data
    assert (data.language, data.pipeline_tag) == (["de"], "sentence-similarity")
    assert f"| base model   | `{tiny_folder}` " in text
    assert table(text, "Training data") == [
        ["dataset", "read from", "rows", "task", "languages", "notes", "loss", "options"],
        [
            *("`a: \\|b\\|`", f"`{tmp_path}/pairs.tsv`", "48", "sts", ""),
            "`8 skipped: beyond limit 24`",
            *("CosineSimilarityLoss", "`range: (0.0, 5.0); limit: 24`"),
        ],
        [
            *("`` `c` ``", f"`{tmp_path}/second.tsv`", "16", "sts", "`de`"),
            "`2 skipped: empty sentence1`",
            *("CosineSimilarityLoss", "`range: (0.0, 5.0); skip_empty: True`"),
        ],
    ]
    result = json.loads((tmp_path / "runs/run/result.json").read_text("utf-8"))
    settings = dict(table(text, "Training"))
    assert settings["optim.lr"] == "`0.001`"
    assert settings["optim.warmup"] == "`0.1`"  # a default
    assert settings["loss"] == "`CosineSimilarityLoss`"
    assert settings["loss.learnable_scale"] == settings["data.both_orders"] == "`True`"
    assert (settings["seed"], settings["precision"]) == ("42", "fp32")
    assert settings["steps"] == "16 of 16"
    assert settings["step of the saved model"] == str(result["step"])
    assert not settings.keys() & {"optim.steps", "name", "runs", "model.path", "loop.log_steps"}
    assert "Made with Python 3." in text


def test_results_of_a_run(config, tmp_path, train_command):
    train_command(config, "--optim.steps", "5")
    text = card_of(tmp_path / "runs/run")
    result = json.loads((tmp_path / "runs/run/result.json").read_text("utf-8"))
    header, *rows = table(text, "Results")
    assert header == ["dataset", "part", "rows", "metric x 100", "before", "after", "gain"]
    [index] = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---"))["model-index"]
    assert index["name"] == "run"
    for row, found, expected in zip(rows, index["results"], result["results"], strict=True):
        old, new = (expected[when]["spearman_cosine"] for when in ("before", "after"))
        figures = [f"{100 * value:.2f}" for value in (old, new, new - old)]
        name, part = expected["dataset"], expected["part"]
        assert row == [f"`{name}`", part, str(expected["rows"]), "spearman_cosine", *figures]
        assert found["task"] == {"type": "semantic-similarity"}
        assert found["dataset"] == {"type": "unknown", "name": name, "split": part}
        values = {metric["type"]: metric["value"] for metric in found["metrics"]}
        assert values == pytest.approx(expected["after"], abs=1e-6)
    settings = dict(table(text, "Training"))
    assert settings["optim.steps"] == "`5`"
    assert "optim.epochs" not in settings


def test_results_of_each_language(tmp_path, tiny_folder, sentences, train_command, monkeypatch):
    """As in the table that the run prints: all rows, each language, and what is crossed."""
    monkeypatch.setattr(figures, "matplotlib_available", lambda: False)
    for language in ("de", "en"):
        lines = ["sentence1\tsentence2\tscore"]
        for i in range(12):
            lines.append(f"{language} {sentences[i]}\t{sentences[i + 1]}\t{i % 4 / 3:.2f}")
        (tmp_path / f"{language}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    both = {"path": f"{tmp_path}/{{language}}.tsv", "languages": ["de", "en"], "crossing": "all"}
    data = {
        "train": [dict(both, limit=8)],
        "dev": [dict(both, beyond=8, name="dev", crossing="none")],
        "test": [dict(both, beyond=8, name="test")],
    }
    train_command(write_config(tmp_path, tiny_folder, tmp_path / "de.tsv", data=data))
    found = columns(card_of(tmp_path / "runs/run"), "Results")
    of_all, crossed = "spearman_cosine", "spearman_cosine_crossed"
    languages = [f"{of_all}_de", f"{of_all}_en"]
    assert found["metric x 100"] == [of_all, *languages, of_all, *languages, crossed]
    assert found["rows"] == ["8", "4", "4", "16", "4", "4", "8"]
    assert found["part"] == ["dev"] * 3 + ["test"] * 4
    result = json.loads((tmp_path / "runs/run/result.json").read_text("utf-8"))
    after = result["results"][1]["after"]
    assert found["after"][3:] == [f"{100 * after[name]:.2f}" for name in found["metric x 100"][3:]]


def test_card_of_a_resumed_run_is_that_of_an_uninterrupted_one(
    config, tmp_path, train_command, train_interrupted
):
    train_command(config, "--name", "other")
    train_interrupted(config, after=12)
    full, resumed = (card_of(tmp_path / "runs" / name) for name in ("other", "cut"))
    assert resumed.replace("`cut`", "`other`").replace("name: cut", "name: other") == full


def test_a_model_of_an_unfinished_run_has_a_card(config, tmp_path, train_command, monkeypatch):
    update = Training.update

    def die(self):
        if self.progress.step == 10:
            raise KeyboardInterrupt
        update(self)

    monkeypatch.setattr(Training, "update", die)
    with pytest.raises(KeyboardInterrupt):
        train_command(config)
    text = card_of(tmp_path / "runs/run")
    assert text.endswith("## Results\n\nThe run had not finished when this card was written.\n")
    assert HubCard(text).data.eval_results is None


def test_a_finished_run_keeps_a_card_that_was_edited(config, tmp_path, train_command):
    train_command(config, "--optim.steps", "5")
    path = tmp_path / "runs/run/best/README.md"
    path.write_text("mine", "utf-8")
    train_command(config, "--optim.steps", "5", "--resume")
    assert path.read_text("utf-8") == "mine"


def test_card_of_a_cross_encoder(tmp_path, tiny_folder, pairs_file, train_command):
    """Without a dev or test set."""
    data = {"train": [{"path": str(pairs_file), "range": [0, 5]}]}
    changes = {"data": data, "loss": "BinaryCrossEntropyLoss", "optim": {"steps": 2}}
    train_command(write_config(tmp_path, tiny_folder, pairs_file, **changes))
    text = card_of(tmp_path / "runs/run")
    assert HubCard(text).data.pipeline_tag == "text-ranking"
    assert columns(text, "Training data")["loss"] == ["BinaryCrossEntropyLoss"]
    assert text.endswith("## Results\n\nNone: the run has neither dev nor test sets.\n")


def rows_named(name: str, count: int, **options) -> Rows:
    texts = [["a"] * count, ["b"] * count]
    return Rows(name, "sts", texts, np.zeros(count, np.float32), **options)


def test_datasets_with_losses_of_their_own(tmp_path, tiny, tiny_folder):
    """And languages, silver labels, and names on the hub."""
    sts = DatasetConfig("x/{language}", "train", languages=["de", "en"], crossing="only")
    pairs = DatasetConfig("hf:me/pairs:small", "train", name="pairs")
    silver = DatasetConfig("silver.jsonl", teacher="runs/teacher/best")
    dev, test = DatasetConfig("hf:me/dev", "dev", name="dev"), DatasetConfig("y.tsv")
    blocks = ["de-en"] * 1000 + ["en-de"] * 2
    train = [
        rows_named("x", 1002, languages=blocks),
        rows_named("pairs", 3, notes=["a note"], skipped=Counter({"empty": 4})),
        rows_named("silver", 5, teacher="f" * 64),
    ]
    losses = [CosineSimilarityLoss(), MultipleNegativesRankingLoss(), CosineSimilarityLoss()]
    parts = [TrainingPart(loss, [rows]) for loss, rows in zip(losses, train, strict=True)]
    config = TrainConfig(
        "run",
        ModelConfig(str(tiny_folder)),
        DataConfig([sts, pairs, silver], [dev], [test]),
        losses[0],
    )
    results = [
        {"dataset": "dev", "part": "dev", "task": "nli", "rows": 7, "main": "accuracy"},
        {"dataset": "y", "part": "test", "task": "pair", "rows": 7, "main": "accuracy"},
    ]
    for result in results:
        result |= {"before": {"accuracy": None}, "after": {"accuracy": None, "f1": 0.5}}
        result["shown"] = {"accuracy": 7}
    results[1]["after"]["f1"] = None
    card = RunCard(config, {"data.train.0.crossing": "only"}, RunData(parts, [], []))
    card.write(tmp_path, tiny, {}, results)
    text = (tmp_path / "README.md").read_text("utf-8")
    data = HubCard(text).data
    assert (data.language, data.datasets) == (["de", "en"], ["me/pairs"])
    found = columns(text, "Training data")
    assert found["rows"] == ["1,002", "3", "5"]
    assert found["languages"] == ["`de-en 1,000; en-de 2`", "", ""]
    assert found["loss"][1:] == ["MultipleNegativesRankingLoss", "CosineSimilarityLoss"]
    assert found["options"] == ["`crossing: only`", "", ""]
    assert found["labelled by"] == ["", "", f"`cross-encoder {'f' * 64}`"]
    assert found["notes"] == ["", "`4 skipped: empty; a note`", ""]
    assert found["read from"][1] == "`hf:me/pairs:small, split train`"
    # a metric that is undefined has no place in the index, and is a dash in the table
    [index] = data.eval_results
    about = (index.dataset_type, index.dataset_name, index.task_type, index.metric_value)
    assert about == ("me/dev", "dev", "natural-language-inference", 0.5)
    assert columns(text, "Results")["before"] == ["-", "-"]
