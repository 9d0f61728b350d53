"""`evaluate.py --teacher`: the error of a student's embeddings to a teacher's."""

import numpy as np
import pytest
from support import fails
from tiny_models import write_classifier, write_tiny

from sbert import BiEncoder
from sbert.pooling import Normalize

SOURCE = ["a cat", "the dog runs", "a big house", "a cat"]
TARGET = ["cat", "dog runs", "big house", "the cat"]


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "parallel.tsv"
    lines = ["source_sentence\ttarget_sentence", *map("\t".join, zip(SOURCE, TARGET, strict=True))]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def teacher(tmp_path):
    write_tiny(tmp_path / "plain", seed=3)
    prompts = {"query": "the small "}
    model = BiEncoder.from_pretrained(
        tmp_path / "plain", prompts=prompts, default_prompt_name="query"
    )
    model.save_pretrained(tmp_path / "teacher")
    return tmp_path / "teacher"


def embeddings(folder, texts, prompt=""):
    return BiEncoder.from_pretrained(folder).encode(texts, "fp32", prompt=prompt)


@pytest.mark.parametrize(
    ("options", "prompt"),
    [((), "the small "), (("--teacher_prompt", "the old "), "the old ")],
    ids=["its default prompt", "another"],
)
def test_the_error_of_the_second_texts(run, tiny_folder, teacher, pairs, options, prompt):
    found, out = run(tiny_folder, f"[{pairs}]", "--teacher", teacher, *options)
    error = embeddings(tiny_folder, TARGET) - embeddings(teacher, SOURCE, prompt)
    metrics = found["results"][0]["metrics"]
    assert metrics["negative_mse"] == pytest.approx(-np.square(error).mean(), rel=1e-5)
    assert "negative MSE" in out
    assert f"\nteacher: {teacher}: " in out
    assert [model["role"] for model in found["models"]] == ["model", "teacher"]
    assert found["settings"].get("teacher_prompt") == (prompt if options else None)


def test_each_student_has_targets_of_its_own_length(run, tmp_path, tiny_folder, teacher, pairs):
    """The baseline ends in Normalize; rows of another task are evaluated as ever."""
    baseline = BiEncoder.from_pretrained(tiny_folder)
    baseline.head.append(Normalize())
    baseline.save_pretrained(tmp_path / "unit")
    lines = "sentence1\tsentence2\tscore\na cat\tthe cat\t1\na dog\ta cat\t0\n"
    (tmp_path / "sts.tsv").write_text(lines, "utf-8")
    data = f"[{pairs}, {tmp_path / 'sts.tsv'}]"
    found, _ = run(tiny_folder, data, "--teacher", teacher, "--baseline", tmp_path / "unit")
    targets = embeddings(teacher, SOURCE, "the small ")
    errors = [
        one[0]["metrics"]["negative_mse"] for one in (found["results"], found["baseline_results"])
    ]
    unit = targets / np.linalg.norm(targets, axis=1, keepdims=True)
    expected = [
        -np.square(embeddings(folder, TARGET) - own).mean()
        for folder, own in ((tiny_folder, targets), (tmp_path / "unit", unit))
    ]
    assert errors == pytest.approx(expected, rel=1e-5)
    assert "negative_mse" not in found["results"][1]["metrics"]


def test_the_error_is_that_of_the_first_of_several_sizes(run, tmp_path, teacher, pairs):
    wide = BiEncoder.from_pretrained(teacher, ["mean", "max"])
    wide.save_pretrained(tmp_path / "wide")
    data = f"[{pairs}]"
    found, _ = run(tmp_path / "wide", data, "--teacher", teacher, "--truncate_dim", 32, 16)
    error = embeddings(tmp_path / "wide", TARGET, "the small ")[:, :32]
    error -= embeddings(teacher, SOURCE, "the small ")
    first, *sizes = found["results"] + found["by_size"]
    assert first["metrics"]["negative_mse"] == pytest.approx(-np.square(error).mean(), rel=1e-5)
    assert [size["truncate_dim"] for size in sizes] == [32, 16]


def test_what_is_refused(tmp_path, tiny_folder, teacher, pairs, evaluate_command, capsys):
    def refused(model, data, *options) -> str:
        return fails(evaluate_command, capsys, "--model", model, "--data", data, *options)

    wide = tmp_path / "wide"
    BiEncoder.from_pretrained(teacher, ["mean", "max"]).save_pretrained(wide)
    line = refused(tiny_folder, pairs, "--teacher", wide)
    assert line.endswith(
        f"teacher: the embeddings of {wide} have 64 numbers, those of the model {tiny_folder} 32; "
        "their error needs one size, and a projection is fitted to the texts of a run, whose dev "
        "and test sets have it"
    )
    line = refused(tiny_folder, pairs, "--teacher", teacher, "--baseline", wide)
    assert f"those of the baseline {wide} 64; their error needs" in line
    cross = write_classifier(tmp_path / "cross")
    assert f"teacher {cross}: is a cross-encoder" in refused(tiny_folder, pairs, "--teacher", cross)
    (tmp_path / "sts.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\na\tc\t0\n", "utf-8")
    line = refused(tiny_folder, tmp_path / "sts.tsv", "--teacher", teacher)
    assert line.endswith("teacher is for datasets of task pair, and data has none: sts (sts)")
    assert "but there is no teacher" in refused(tiny_folder, pairs, "--teacher_prompt", "x")
