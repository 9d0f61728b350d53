"""A teacher's embeddings as labels: made once, projected, learnt, resumed; what is refused."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support import (
    fails,
    metrics,
    same_state,
    saved_state,
    train_with_two_processes,
    write_config,
)
from tiny_models import write_classifier, write_tiny

from sbert import BiEncoder, distributed
from sbert.evaluation.report import NO_PROMPT
from sbert.pooling import Dense, Normalize
from sbert.training.config import DistillationConfig, LoopConfig
from sbert.training.objectives import distillation, embedding_files
from sbert.training.objectives.distillation import Targets, Teacher

OPTIM = {"lr": 1e-3, "batch_size": 7, "epochs": 2, "eps": 1e-3, "warmup": 0.0}


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory):
    """A teacher of 64 numbers."""
    plain = write_tiny(tmp_path_factory.mktemp("plain"), seed=3)
    folder = tmp_path_factory.mktemp("teacher")
    BiEncoder.from_pretrained(plain, ["mean", "max"]).save_pretrained(folder)
    return folder


@pytest.fixture
def parallel_file(tmp_path, sentences):
    """30 pairs of a sentence and its words in reverse; some sentences have two translations."""
    lines = ["source_sentence\ttarget_sentence"]
    for i in range(30):
        source = sentences[i % 24]
        lines.append(f"{source}\t{' '.join(source.split()[::-1])} {'and' * (i > 23)}")
    path = tmp_path / "parallel.tsv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def config_of(tmp_path, teacher_folder, parallel_file):
    """Writes the configuration of a distillation into a student, without dev sets."""

    def write(student, **changes):
        options = {
            "data": {"train": [{"path": str(parallel_file)}]},
            "loss": "EmbeddingMSELoss",
            "optim": OPTIM,
            "distillation": {"teacher": str(teacher_folder), "projection": "orthogonal"},
        }
        return write_config(tmp_path, student, parallel_file, **options | changes)

    return write


@pytest.fixture
def refused(tmp_path, train_command, capsys):
    """Trains, which is refused before anything is written -> the line that says why."""

    def run(config, *options) -> str:
        line = fails(train_command, capsys, config, *options)
        assert not (tmp_path / "runs").exists()
        return line

    return run


class OneProcess:
    is_main_process, num_processes = True, 1
    device = torch.device("cpu")

    def __init__(self):
        self.lines = []
        self.print = self.lines.append

    def wait_for_everyone(self):
        pass


@pytest.fixture
def teacher_of(tmp_path, teacher_folder, monkeypatch):
    for module in (distillation, embedding_files, distributed):
        monkeypatch.setattr(module, "broadcast", lambda accelerator, value: value)

    def make(student, teacher=teacher_folder, **options):
        options = {"projection": "orthogonal", "embeddings": str(tmp_path / "kept")} | options
        options = DistillationConfig(str(teacher), **options)
        loop = LoopConfig(precision="fp32")
        config = SimpleNamespace(distillation=options, loop=loop, runs=str(tmp_path))
        return Teacher(config, student, [("parallel", NO_PROMPT)], OneProcess())

    return make


def with_head(folder, *head) -> BiEncoder:
    model = BiEncoder.from_pretrained(folder)
    model.head.extend(head)
    return model.eval()


COLUMNS = [["a cat", "the dog runs", "a cat"], ["a big house", "a cat"]]


def test_targets_are_the_projected_embeddings_of_the_teacher(teacher_of, teacher_folder, tiny):
    teacher = teacher_of(tiny)
    teacher.fit(COLUMNS)
    first, second = teacher.targets(COLUMNS)
    assert (len(first), len(second)) == (3, 2)
    projection = first.projection
    np.testing.assert_allclose(projection.matrix.T @ projection.matrix, np.eye(32), atol=1e-6)
    for targets, texts in zip((first, second), COLUMNS, strict=True):
        expected = projection(BiEncoder.from_pretrained(teacher_folder).encode(texts, "fp32"))
        np.testing.assert_allclose(targets[np.arange(len(texts))], expected, atol=1e-5)
    np.testing.assert_array_equal(first[np.array([2, 0])], first[np.array([0, 2])])
    # three texts span three dimensions, so nothing is lost
    line = teacher.accelerator.lines[2]
    assert "orthogonal projection: 64 -> 32 numbers, keeps 100.00 % of the squared length" in line


def test_a_similarity_brings_the_targets_to_the_students_own_embeddings(teacher_of, tiny):
    columns = [[f"a {size} {animal}" for size in ("big", "small") for animal in ("cat", "dog")]]
    distances = {}
    for kind in ("orthogonal", "similarity"):
        teacher = teacher_of(tiny, projection=kind)
        teacher.fit(columns)
        (targets,) = teacher.targets(columns)
        learnt, own = targets[np.arange(4)], tiny.encode(columns[0], "fp32")
        distances[kind] = np.linalg.norm(learnt - own)
    np.testing.assert_allclose(learnt.mean(0), own.mean(0), atol=1e-4)
    assert distances["similarity"] < distances["orthogonal"]
    # four texts differ in three dimensions
    assert "keeps 100.00 % of the variance" in teacher.accelerator.lines[2]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75])
def test_a_share_of_the_targets_is_the_students_own_embedding(
    teacher_of, tiny_folder, teacher_folder, share
):
    student = with_head(tiny_folder, Normalize())
    teacher = teacher_of(student, projection="similarity", own_share=share)
    teacher.fit(COLUMNS)
    _, targets = teacher.targets(COLUMNS)
    others = BiEncoder.from_pretrained(teacher_folder).encode(COLUMNS[1], "fp32")
    own = student.encode(COLUMNS[1], "fp32")
    mixed = (1 - share) * teacher.projection(others) + share * own
    expected = mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    np.testing.assert_allclose(targets[np.arange(2)], expected, atol=1e-5)


def test_a_teacher_of_the_same_size_needs_no_projection(teacher_of, tiny, tiny_folder):
    (targets,) = teacher_of(tiny, tiny_folder, projection=None).targets(COLUMNS[:1])
    expected = tiny.encode(COLUMNS[0], "fp32")
    np.testing.assert_allclose(targets[np.arange(3)], expected, atol=1e-6)


def test_a_projection_to_the_same_size_is_a_rotation(teacher_of, tiny, tiny_folder):
    """From the student itself to the student: nothing is rotated where there are texts."""
    teacher = teacher_of(tiny, tiny_folder, projection="orthogonal")
    teacher.fit(COLUMNS[:1])
    (targets,) = teacher.targets(COLUMNS[:1])
    expected = tiny.encode(COLUMNS[0], "fp32")
    np.testing.assert_allclose(targets[np.arange(3)], expected, atol=1e-4)


def test_a_student_with_a_dense_of_the_teachers_size_needs_no_projection(
    teacher_of, tiny_folder, teacher_folder
):
    student = with_head(tiny_folder, Dense(32, 64, activation="Identity"))
    (targets,) = teacher_of(student, projection=None).targets(COLUMNS[:1])
    expected = BiEncoder.from_pretrained(teacher_folder).encode(COLUMNS[0], "fp32")
    np.testing.assert_allclose(targets[np.arange(3)], expected, atol=1e-6)


def test_targets_of_a_student_that_normalises_have_length_1(teacher_of, tiny_folder):
    student = with_head(tiny_folder, Normalize())
    teacher = teacher_of(student)
    teacher.fit(COLUMNS)
    (targets,) = teacher.targets(COLUMNS[:1])
    np.testing.assert_allclose(np.linalg.norm(targets[np.arange(3)], axis=1), 1, atol=1e-6)
    zero = Targets(np.zeros((1, 4), np.float32), np.zeros(1, int), normalised=True)
    assert not zero[np.array([0])].any()


def test_the_teachers_own_prompt_is_put_before_its_texts(teacher_of, tiny, tiny_folder, tmp_path):
    prompts = {"query": "the small "}
    prompted = BiEncoder.from_pretrained(tiny_folder, prompts=prompts, default_prompt_name="query")
    prompted.save_pretrained(tmp_path / "prompted")
    (targets,) = teacher_of(tiny, tmp_path / "prompted", projection=None).targets([["cat"]])
    expected = tiny.encode(["the small cat"], "fp32")
    np.testing.assert_allclose(targets[np.arange(1)], expected, atol=1e-6)
    for prompt, text in [("the old ", "the old cat"), ("", "cat")]:  # another one, and none
        teacher = teacher_of(tiny, tmp_path / "prompted", projection=None, prompt=prompt)
        (targets,) = teacher.targets([["cat"]])
        np.testing.assert_allclose(targets[np.arange(1)], tiny.encode([text], "fp32"), atol=1e-6)


def test_training_learns_the_targets(tmp_path, steady_folder, config_of, train_command, capsys):
    optim = OPTIM | {"epochs": 15, "lr": 3e-3}
    train_command(config_of(steady_folder, optim=optim))
    losses = [row["loss"] for row in metrics(tmp_path / "runs" / "run")]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    output = capsys.readouterr().out
    assert "embeddings of 24 texts by teacher" in output
    assert "projection: 64 -> 32 numbers, keeps" in output


def test_a_second_run_reads_what_the_first_one_kept(
    tmp_path, steady_folder, config_of, train_command, monkeypatch
):
    config = config_of(steady_folder)
    train_command(config)
    kept = {path.name for path in (tmp_path / "runs" / "teacher_embeddings").glob("*.npy")}
    assert len(kept) == 2, "the teacher's, and the student's that the projection is fitted to"
    monkeypatch.setattr(BiEncoder, "encode", lambda *_, **__: pytest.fail("embedded again"))
    train_command(config, "--name", "again")
    assert same_state(tmp_path / "runs" / "run", tmp_path / "runs" / "again") == []


def test_other_texts_and_another_teacher_have_files_of_their_own(
    tmp_path, tiny, tiny_folder, teacher_of
):
    for texts, teacher in ((COLUMNS, tiny_folder), (COLUMNS[:1], tiny_folder)):
        teacher_of(tiny, teacher, projection=None).targets(texts)
    other = write_tiny(tmp_path / tiny_folder.name, seed=9)
    teacher_of(tiny, other, projection=None).targets(COLUMNS)
    assert len(list((tmp_path / "kept").glob("*.npy"))) == 3


def test_an_interrupted_file_of_embeddings_is_resumed(
    tmp_path, tiny, teacher_of, sentences, monkeypatch
):
    monkeypatch.setattr(embedding_files, "UNIT_TEXTS", 5)
    teacher, seen = teacher_of(tiny), []
    encode = teacher.model.encode

    def interrupted(texts, **options):
        if len(seen) == 10:
            raise KeyboardInterrupt
        seen.extend(texts)
        return encode(texts, **options)

    monkeypatch.setattr(teacher.model, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        teacher.targets([sentences])
    monkeypatch.setattr(
        teacher.model, "encode", lambda texts, **o: seen.extend(texts) or encode(texts, **o)
    )
    (targets,) = teacher.targets([sentences])
    assert seen == list(dict.fromkeys(sentences)), "each text once"
    expected = encode(sentences, "fp32")
    np.testing.assert_allclose(targets.vectors[targets.index], expected, atol=1e-5)


@pytest.mark.parametrize("after", [3, 6])
def test_a_resumed_run_equals_an_uninterrupted_one(
    tmp_path, tiny_folder, config_of, train_command, train_interrupted, after
):
    config = config_of(tiny_folder, loop={"precision": "fp32", "save_steps": 2})
    train_command(config)
    train_interrupted(config, after)
    assert same_state(tmp_path / "runs" / "run", tmp_path / "runs" / "cut") == []


def test_parts_and_processes_change_nothing(tmp_path, steady_folder, config_of, train_command):
    config = config_of(steady_folder)
    train_command(config)
    train_command(config, "--name", "parts", "--optim.accumulate", "3")
    shutil.rmtree(tmp_path / "runs" / "teacher_embeddings")
    train_with_two_processes(config)
    one = saved_state(tmp_path / "runs" / "run")
    for name in ("parts", "two"):
        other = saved_state(tmp_path / "runs" / name)
        for weight in one:
            if weight.startswith("objective."):
                torch.testing.assert_close(other[weight], one[weight], atol=1e-4, rtol=1e-3)


def test_teacher_and_loss_need_each_other(tmp_path, tiny_folder, config_of, train_command, capsys):
    def refused(**changes) -> str:
        return fails(train_command, capsys, config_of(tiny_folder, **changes))

    line = refused(distillation=None)
    assert line.endswith(
        "EmbeddingMSELoss learns the embeddings of a teacher: name it in distillation.teacher"
    )
    line = refused(loss="MSELoss")
    assert line.endswith(
        "distillation: MSELoss does not learn a teacher's embeddings; train with "
        "EmbeddingMSELoss, or leave distillation out"
    )
    assert not (tmp_path / "runs").exists()


def test_a_teacher_that_does_not_fit_is_refused_before_the_folder_is_touched(
    tmp_path, tiny_folder, teacher_folder, config_of, train_command, capsys
):
    sizes = (
        f"distillation: the embeddings of the teacher {teacher_folder} have 64 numbers, those of "
        "the student 32; set distillation.projection to similarity or orthogonal, or "
        "model.dense to 64"
    )
    config = config_of(tiny_folder, distillation={"teacher": str(teacher_folder)})
    assert fails(train_command, capsys, config).endswith(sizes)

    longer = {"teacher": str(tiny_folder), "projection": "orthogonal"}
    config = config_of(teacher_folder, distillation=longer)
    line = fails(train_command, capsys, config)
    assert (
        "have 32 numbers, those of the student 64, and a projection does not make them longer"
        in line
    )
    assert line.endswith("; set model.dense to 32")

    cross = write_classifier(tmp_path / "cross")
    line = fails(
        train_command, capsys, config_of(tiny_folder, distillation={"teacher": str(cross)})
    )
    assert line.endswith(
        f"distillation.teacher {cross}: is a cross-encoder; a bi-encoder is needed"
    )

    truncated = BiEncoder.from_pretrained(tiny_folder, truncate_dim=8)
    truncated.save_pretrained(tmp_path / "truncated")
    line = fails(train_command, capsys, config_of(tmp_path / "truncated"))
    assert line.endswith(
        "the student declares truncate_dim 8; embeddings are learnt at full size, 32"
    )

    line = fails(train_command, capsys, config_of(tiny_folder, distillation={"teacher": "./none"}))
    assert line.endswith("model ./none: no such folder")
    assert not (tmp_path / "runs").exists()


def test_a_projection_cannot_be_fitted_to_one_text(tmp_path, tiny_folder, config_of, refused):
    config = config_of(tiny_folder)
    path = tmp_path / "one.tsv"
    path.write_text("source_sentence\ttarget_sentence\na cat\tcat a\na cat\tthe cat\n", "utf-8")
    options = ["--data.train", json.dumps([{"path": str(path)}])]
    line = refused(config, *options)
    assert line.endswith(
        "distillation.projection is fitted to the first texts of train, and all are one text"
    )


def test_a_projection_cannot_be_fitted_to_one_embedding(
    tmp_path, tiny_folder, teacher_folder, config_of, train_command, capsys
):
    """The teacher's tokenizer knows no case."""
    path = tmp_path / "equal.tsv"
    path.write_text("source_sentence\ttarget_sentence\na cat\tcat a\nA CAT\tthe cat\n", "utf-8")
    options = ["--data.train", json.dumps([{"path": str(path)}])]
    line = fails(train_command, capsys, config_of(tiny_folder), *options)
    assert line.endswith(
        f"distillation.projection: the teacher {teacher_folder} gives all 2 first texts of train "
        "one embedding; a projection needs texts that it tells apart"
    )
    assert not (tmp_path / "runs/run").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("dense", "32"), ("reinitialize", "[encoder.layer.2]")]
)
def test_a_share_of_random_embeddings_is_refused(tiny_folder, config_of, refused, option, value):
    options = [f"--model.{option}", value, "--distillation.own_share", "0.5"]
    line = refused(config_of(tiny_folder), *options)
    assert line.endswith(
        f"distillation.own_share is 0.5, and model.{option} draws weights of the student anew, so "
        "that its own embeddings are random; leave own_share out"
    )


def test_a_projection_to_several_random_students_is_refused(tiny_folder, config_of, refused):
    options = ["--model.dense", "32", "--seed_optimisation.seeds", "2"]
    line = refused(config_of(tiny_folder), *options)
    assert line.endswith(
        "distillation.projection is fitted to one student, and model.dense draws weights of the "
        "student anew for each of the 2 seeds of seed_optimisation; leave one of them out"
    )


def test_the_students_own_embeddings_have_one_prompt(
    tmp_path, tiny_folder, config_of, parallel_file, refused
):
    prompts = {"query": "the small ", "passage": "a big "}
    prompted = BiEncoder.from_pretrained(tiny_folder, prompts=prompts, default_prompt_name="query")
    prompted.save_pretrained(tmp_path / "prompted")
    train = [{"path": str(parallel_file), "limit": 20, "name": "one"}]
    train.append({"path": str(parallel_file), "beyond": 20, "name": "two", "prompts": "passage"})
    config = config_of(tmp_path / "prompted")
    line = refused(config, "--data.train", json.dumps(train))
    assert line.endswith(
        "distillation.projection needs one prompt for the student's first texts, and that of one "
        "is query, that of two passage"
    )


def test_a_place_where_embeddings_cannot_be_kept(
    tmp_path, tiny_folder, config_of, train_command, capsys
):
    (tmp_path / "file").touch()
    options = ["--distillation.embeddings", str(tmp_path / "file")]
    line = fails(train_command, capsys, config_of(tiny_folder), *options)
    assert line.endswith(
        "cannot be written: File exists; distillation.embeddings names the folder of the "
        "teacher's embeddings"
    )
    assert not (tmp_path / "runs").exists()


def test_what_the_teacher_refuses_leaves_the_finished_run(
    tmp_path, tiny_folder, config_of, train_command, capsys
):
    config, run = config_of(tiny_folder), tmp_path / "runs/run"
    train_command(config)
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (tmp_path / "file").touch()
    options = ["--overwrite", "--distillation.embeddings", str(tmp_path / "file")]
    assert "cannot be written" in fails(train_command, capsys, config, *options)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == files


def test_a_run_that_exists_is_refused_before_the_teacher_embeds(
    tmp_path, tiny_folder, config_of, train_command, capsys
):
    config = config_of(tiny_folder)
    train_command(config)
    shutil.rmtree(tmp_path / "runs/teacher_embeddings")
    assert "already holds a run" in fails(train_command, capsys, config)
    assert not (tmp_path / "runs/teacher_embeddings").exists()


@pytest.mark.parametrize(("side", "cells"), [("source", " \ta cat"), ("target", "a cat\t")])
def test_a_pair_with_an_empty_side_is_named(
    tiny_folder, config_of, parallel_file, refused, side, cells
):
    lines = parallel_file.read_text("utf-8").splitlines()
    lines[4] = cells
    parallel_file.write_text("\n".join(lines) + "\n", "utf-8")
    line = refused(config_of(tiny_folder))
    assert line.endswith(
        f"parallel.tsv, line 5: {side}_sentence is empty; fill it, or set skip_empty to skip such "
        "rows"
    )


def test_dev_pairs_are_evaluated_with_the_teacher(
    tmp_path, tiny_folder, config_of, parallel_file, train_command, capsys
):
    """The error of dev and test falls; dev chooses the best model by its accuracy; the table has
    both."""
    held_out = parallel_file.with_name("dev.tsv")
    held_out.write_text(parallel_file.read_text("utf-8").upper().lower(), "utf-8")
    data = {
        "train": [{"path": str(parallel_file)}],
        "dev": [{"path": str(held_out), "task": "pair", "limit": 20}],
        "test": [{"path": str(held_out), "task": "pair", "beyond": 20, "name": "test"}],
    }
    train_command(config_of(tiny_folder, data=data, optim=OPTIM | {"lr": 3e-3, "epochs": 4}))
    results = json.loads((tmp_path / "runs" / "run" / "result.json").read_text())["results"]
    assert [(one["dataset"], one["main"]) for one in results] == [
        ("dev", "mean_accuracy_cosine"),
        ("test", "mean_accuracy_cosine"),
    ]
    table = capsys.readouterr().out
    for metric in ("src2trg_accuracy_cosine", "trg2src_accuracy_cosine", "negative_mse"):
        assert table.count(f" {metric} ") == 2, "of dev and of test"
    for one in results:
        assert one["before"]["negative_mse"] < one["after"]["negative_mse"] < 0
    kept = list((tmp_path / "runs" / "teacher_embeddings").glob("*.npy"))
    assert len(kept) == 3, "of training, of dev and test together, and the student's"
