"""`model.dense`: a student that ends in a linear layer of its own, and learns a larger teacher."""

import json

import numpy as np
import pytest
import torch
from support import fails, same_state, saved_state, train_with_two_processes, write_config
from torch import nn

from sbert import BiEncoder
from sbert.errors import InputError
from sbert.losses import CosineSimilarityLoss
from sbert.pooling import Dense, LayerNorm, Normalize
from sbert.training.config import ModelConfig
from sbert.training.objectives.make import end_in_dense, make_objective


@pytest.fixture(scope="session")
def teacher_folder(tiny_folder, tmp_path_factory):
    """A teacher of 64 numbers."""
    folder = tmp_path_factory.mktemp("teacher")
    BiEncoder.from_pretrained(tiny_folder, ["mean", "max"]).save_pretrained(folder)
    return folder


def made(folder, seed: int = 1, **options) -> BiEncoder:
    config = ModelConfig(str(folder), **options)
    return make_objective(config, [CosineSimilarityLoss()], None, seed).model


def saved(folder, model: BiEncoder, *head: nn.Module):
    model.head.extend(head)
    model.save_pretrained(folder)
    return folder


def test_the_embedding_is_a_linear_function_of_the_pooled_one(tiny, tiny_folder):
    model = made(tiny_folder, dense=48)
    (dense,) = model.head
    pooled = tiny.encode(["a cat", "the dog runs"], "fp32")  # (2, 32)
    weight, bias = dense.linear.weight.detach().numpy(), dense.linear.bias.detach().numpy()
    found = model.encode(["a cat", "the dog runs"], "fp32")
    np.testing.assert_allclose(found, pooled @ weight.T + bias, atol=1e-5)
    assert weight.shape == (model.dim, 32) == (48, 32)
    assert np.abs(bias).max() > 0


def test_it_is_drawn_from_the_seed(tiny_folder):
    first, again, other = (made(tiny_folder, seed, dense=8).head[0] for seed in (1, 1, 2))
    assert torch.equal(first.linear.weight, again.linear.weight)
    assert not torch.equal(first.linear.weight, other.linear.weight)
    torch.manual_seed(5)  # what was drawn before has no part in it
    assert torch.equal(first.linear.weight, made(tiny_folder, dense=8).head[0].linear.weight)


@pytest.mark.parametrize(
    ("head", "kinds"),
    [
        ([Normalize], [Dense, Normalize]),
        ([lambda: LayerNorm(32)], [LayerNorm, Dense]),
        ([lambda: LayerNorm(32), Normalize], [LayerNorm, Dense, Normalize]),
        ([Normalize, lambda: LayerNorm(32)], [Normalize, LayerNorm, Dense]),
    ],
)
def test_it_stands_before_a_last_normalize(tiny, tmp_path, head, kinds):
    saved(tmp_path / "headed", tiny, *(module() for module in head))
    model = made(tmp_path / "headed", dense=8)
    assert [type(module) for module in model.head] == kinds
    model.save_pretrained(tmp_path / "again")
    assert BiEncoder.from_pretrained(tmp_path / "again").fingerprint == model.fingerprint


@pytest.mark.parametrize("head", [[], [Normalize()]])
def test_a_dense_of_that_size_is_kept(tiny, tmp_path, head):
    saved(tmp_path / "dense", tiny, Dense(32, 8, activation="Identity"), *head)
    model = made(tmp_path / "dense", dense=8)
    assert model.fingerprint == BiEncoder.from_pretrained(tmp_path / "dense").fingerprint


def test_another_dense_is_refused_unless_it_is_replaced(tiny, tmp_path):
    folder = saved(tmp_path / "dense", tiny, Dense(32, 8, activation="Tanh"), Normalize())
    for size in (8, 9):
        with pytest.raises(InputError) as error:
            made(folder, dense=size)
        assert str(error.value) == (
            f"model.dense {size}: the model ends in a Dense of 8 numbers with Tanh; leave "
            "model.dense out to keep it, or set model.pooling, which replaces what the folder has "
            "after its transformer"
        )
    (dense,) = made(folder, dense=9, pooling="mean").head
    assert (dense.linear.out_features, type(dense.activation)) == (9, nn.Identity)


def test_a_declared_truncate_dim_must_fit(tiny_folder):
    model = BiEncoder.from_pretrained(tiny_folder, truncate_dim=16)
    with pytest.raises(InputError, match="truncate_dim 16: .* have 1 to 8 numbers"):
        end_in_dense(model, 8)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            "BinaryCrossEntropyLoss",
            "model.pooling, model.layer and model.dense are for a bi-encoder; "
            "BinaryCrossEntropyLoss trains a cross-encoder",
        ),
        (
            "MaskedLanguageModelLoss",
            "model.dense: MaskedLanguageModelLoss trains nothing after the pooling",
        ),
    ],
)
def test_losses_that_have_no_use_for_it(
    tmp_path, tiny_folder, pairs_file, train_command, capsys, loss, message
):
    config = write_config(tmp_path, tiny_folder, pairs_file, loss=loss)
    assert fails(train_command, capsys, config, "--model.dense", "8").endswith(message)
    assert "model.dense is 0" in fails(train_command, capsys, config, "--model.dense", "0")
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def distillation(tmp_path, teacher_folder, sentences):
    """Writes the configuration of a student of 32 numbers that learns a teacher of 64."""
    rows = [f"{text}\t{' '.join(text.split()[::-1])}" for text in sentences[:24]]
    path = tmp_path / "parallel.tsv"
    path.write_text("\n".join(["source_sentence\ttarget_sentence", *rows]) + "\n", "utf-8")

    def write(student):
        pairs = {"path": str(path), "task": "pair"}
        return write_config(
            tmp_path,
            student,
            path,
            model={"path": str(student), "dense": 64},
            data={
                "train": [dict(pairs, limit=18)],
                "dev": [dict(pairs, beyond=18, name="dev")],
            },
            loss="EmbeddingMSELoss",
            optim={"lr": 3e-3, "batch_size": 7, "epochs": 3, "eps": 1e-3, "warmup": 0.0},
            loop={"precision": "fp32", "save_steps": 2, "log_steps": 1},
            distillation={"teacher": str(teacher_folder)},
        )

    return write


def test_a_smaller_student_learns_the_teachers_own_embeddings(
    tmp_path, tiny_folder, distillation, train_command, train_interrupted
):
    """Without a projection; a resumed run equals an uninterrupted one."""
    config = distillation(tiny_folder)
    train_command(config)
    run = tmp_path / "runs" / "run"
    (dev,) = json.loads((run / "result.json").read_text("utf-8"))["results"]
    assert dev["before"]["negative_mse"] < dev["after"]["negative_mse"] < 0
    student = BiEncoder.from_pretrained(run / "best")
    assert (student.dim, len(student.head)) == (64, 1)
    train_interrupted(config, 5)
    assert same_state(run, tmp_path / "runs" / "cut") == []


def test_two_processes_train_like_one(tmp_path, steady_folder, distillation, train_command):
    config = distillation(steady_folder)
    train_command(config)
    train_with_two_processes(config)
    one, two = (saved_state(tmp_path / "runs" / name) for name in ("run", "two"))
    assert "objective.model.head.0.linear.weight" in one
    for weight in one:
        if weight.startswith("objective."):
            torch.testing.assert_close(two[weight], one[weight], atol=1e-4, rtol=1e-3)
