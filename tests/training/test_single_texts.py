"""Runs on single texts with a class: a head, triplets of the batch, resumed, two processes."""

import json

import pytest
import torch
from support import (
    copied,
    fails,
    metrics,
    same_state,
    saved_state,
    train_with_two_processes,
    write_config,
)
from torch.testing import assert_close

from sbert import BiEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.losses.saved import load_losses

SUBJECTS = {"animals": ["cat", "dog", "bird"], "people": ["man", "woman"], "places": ["park"]}
HEAD = {"class_path": "SoftmaxLoss", "init_args": {"num_labels": 3, "concatenation": ["u"]}}
HARD = {"class_path": "BatchHardTripletLoss", "init_args": {"margin": 1.0}}


@pytest.fixture
def topics(tmp_path):
    """23 texts of three classes."""
    lines = []
    for i in range(23):
        label = list(SUBJECTS)[i % 3]
        subject = SUBJECTS[label][i % len(SUBJECTS[label])]
        lines.append(f"the {['small', 'old', 'green'][i % 5 % 3]} {subject} {i % 7}\t{label}")
    path = tmp_path / "topics.tsv"
    path.write_text("\n".join(["text\tlabel", *lines]), "utf-8")
    return path


@pytest.fixture
def config_of(tmp_path, topics):
    """Writes the configuration of a run on them, evaluated on a copy."""

    def write(encoder, loss, **changes):
        dev = {"path": str(copied(topics)), "name": "people"}
        if loss is HEAD:
            dev["where"] = {"label": "people"}
        data = {
            "train": [{"path": str(topics)}],
            "dev": [dev],
            "test": [{"path": str(copied(topics)), "name": "topics-test"}],
        }
        return write_config(tmp_path, encoder, topics, data=data, loss=loss, **changes)

    return write


def test_a_head_on_single_texts(
    tmp_path, steady_folder, topics, config_of, train_command, evaluate_command, capsys
):
    train_command(config_of(steady_folder, HEAD))
    best = tmp_path / "runs/run/best"
    [head] = load_losses(best, 32)
    assert (head.classes, head.loss.columns) == (["animals", "people", "places"], 1)
    result = json.loads((tmp_path / "runs/run/result.json").read_text("utf-8"))
    by_name = {one["dataset"]: one["after"] for one in result["results"]}
    assert set(by_name["people"]) == {"accuracy_head", "macro_f1_head"}
    rows = read_dataset(DatasetConfig(str(topics)))
    vectors = torch.from_numpy(BiEncoder.from_pretrained(best).encode(rows.texts[0]))
    predicted = head.loss.logits(vectors).argmax(dim=1).numpy()
    accuracy = pytest.approx((predicted == rows.labels).mean())
    assert by_name["topics-test"]["accuracy_head"] == accuracy
    output = tmp_path / "table.json"
    argv = ("--model", best, "--data", topics, "--output", output, "--precision", "fp32")
    capsys.readouterr()
    evaluate_command(*argv, "--resamples", "50", "--baseline", steady_folder)
    [found] = json.loads(output.read_text("utf-8"))["results"]
    assert found["metrics"]["accuracy_head"] == accuracy
    shown = capsys.readouterr().out
    assert "accuracy, head" in shown
    assert "topics: no head of single texts was trained" in shown  # of the baseline
    assert fails(evaluate_command, capsys, *argv, "--truncate_dim", "16").startswith(
        "evaluate.py: error: truncate_dim: the head of SoftmaxLoss reads all 32 numbers"
    )


def test_a_class_that_is_not_trained_on_is_refused(
    tmp_path, steady_folder, topics, config_of, train_command, capsys
):
    config = config_of(steady_folder, HEAD)
    copied(topics).write_text("text\tlabel\nthe man\tpeople\nthe car\tthings\n", "utf-8")
    assert fails(train_command, capsys, config) == (
        f"train.py: error: {tmp_path}/copy-of-topics.tsv, line 3: unknown label 'things'; the "
        "classes are animals, people, places"
    )
    assert not (tmp_path / "runs").exists()


def test_a_class_of_one_row_is_refused(
    tmp_path, steady_folder, topics, config_of, train_command, capsys
):
    with topics.open("a", encoding="utf-8") as file:
        file.write("\nthe car\tthings\n")
    assert fails(train_command, capsys, config_of(steady_folder, HARD)) == (
        f"train.py: error: {topics}, line 25: class things has 1 row; BatchHardTripletLoss "
        "compares a text with others of its class, so give each class 2 rows or more, or leave "
        "this one out"
    )


def test_a_head_may_have_classes_of_one_row_and_says_so(
    steady_folder, topics, config_of, train_command, capsys
):
    with topics.open("a", encoding="utf-8") as file:
        file.write("\nthe car\tthings\nthe bus\ttraffic\n")
    head = {"class_path": "SoftmaxLoss", "init_args": {"num_labels": 5, "concatenation": ["u"]}}
    optim = {"steps": 1, "batch_size": 4}
    train_command(config_of(steady_folder, head, optim=optim))
    said = capsys.readouterr().out
    assert "warning: topics: 2 of 5 classes have 1 training row, the first things\n" in said


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (["the man\tpeople", "the woman\tpeople"], "all 2 texts are of class people"),
        (["the man\tpeople"], "no two texts are of one class"),
        (["the man\tpeople", "the cat\tanimals"], "no two texts are of one class"),
    ],
)
def test_a_dev_set_whose_accuracy_is_undefined(
    tmp_path, steady_folder, topics, config_of, train_command, capsys, texts, reason
):
    config = config_of(steady_folder, HARD)
    copied(topics).write_text("\n".join(["text\tlabel", *texts]), "utf-8")
    line = fails(train_command, capsys, config)
    assert f"people: {reason}: the accuracy of the nearest other text is undefined" in line
    assert not (tmp_path / "runs").exists()


def test_a_head_inside_a_loss_classifies_a_dev_set_of_one_row_a_class(
    tmp_path, steady_folder, topics, config_of, train_command
):
    nested = {"class_path": "MatryoshkaLoss", "init_args": {"loss": HEAD, "dims": [32, 8]}}
    config = config_of(steady_folder, nested, optim={"steps": 1})
    copied(topics).write_text("text\tlabel\nthe man\tpeople\nthe cat\tanimals\n", "utf-8")
    train_command(config)
    assert "people/accuracy_head" in metrics(tmp_path / "runs/run", "dev")[0]


def test_resumed_equals_uninterrupted(
    tmp_path, tiny_folder, config_of, train_command, train_interrupted
):
    """Bit for bit, with dropout, in batches of classmates."""
    config = config_of(tiny_folder, HARD, loop={"precision": "fp32", "save_steps": 2})
    train_command(config)
    train_interrupted(config, after=5)
    full, cut = tmp_path / "runs/run", tmp_path / "runs/cut"
    assert same_state(full, cut) == []
    assert metrics(cut, "dev") == metrics(full, "dev")
    assert "accuracy_cosine" in json.dumps(metrics(full, "dev")[0])


def test_two_processes_and_parts_equal_one(tmp_path, steady_folder, config_of, train_command):
    optim = {"lr": 1e-3, "batch_size": 8, "epochs": 1, "eps": 1e-3}
    train_command(config_of(steady_folder, HARD, optim=optim))
    train_with_two_processes(config_of(steady_folder, HARD, optim=optim | {"accumulate": 2}))
    one, two = tmp_path / "runs/run", tmp_path / "runs/two"
    for a, b in zip(metrics(one), metrics(two), strict=True):
        assert (b["loss"], b["grad_norm"]) == pytest.approx((a["loss"], a["grad_norm"]), rel=1e-4)
    a, b = saved_state(one), saved_state(two)
    for name in a:
        if name.startswith("objective."):
            assert_close(b[name], a[name], atol=1e-5, rtol=1e-4)
