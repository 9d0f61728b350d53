"""Fixtures of evaluate.py: two models, two datasets, a call that returns the JSON report."""

import json

import pytest
import torch
from tiny_models import write_tiny

from sbert import BiEncoder
from sbert.losses.softmax import SoftmaxLoss


@pytest.fixture
def other_folder(tmp_path):
    """Another model: other weights, another pooling."""
    BiEncoder.from_pretrained(
        write_tiny(tmp_path / "plain", seed=7), pooling="cls"
    ).save_pretrained(tmp_path / "other")
    return tmp_path / "other"


@pytest.fixture
def sets(tmp_path, pairs_file):
    """A YAML list of an STS and a binary dataset, and what is in them."""
    lines = [line.split("\t") for line in pairs_file.read_text().splitlines()[1:]]
    binary = tmp_path / "binary.tsv"
    rows = [f"{a}\t{b}\t{int(float(score) > 1.5)}" for a, b, score in lines]
    binary.write_text("\n".join(["sentence1\tsentence2\tscore", *rows]) + "\n", "utf-8")
    yaml = f"[{{path: {pairs_file}, range: [0, 5], name: mine}}, {{path: {binary}, task: binary}}]"
    return yaml, lines


@pytest.fixture
def run(tmp_path, evaluate_command, capsys):
    """evaluate.py on a YAML list of datasets -> (the JSON report, stdout)."""

    def call(model, data, *argv):
        config, output = tmp_path / "e.yaml", tmp_path / "out" / "report.json"
        config.write_text(f"model: {model}\ndata: {data}\nprecision: fp32\n")
        evaluate_command("--config", config, "--output", output, "--resamples", 200, *argv)
        return json.loads(output.read_text()), capsys.readouterr().out

    return call


@pytest.fixture
def widest_difference():
    """A head whose class is the dimension in which u and v differ most."""
    head = SoftmaxLoss(3, ["|u-v|"]).bind(3)
    head.head.weight.data = torch.eye(3)
    head.head.bias.data.zero_()
    return head
