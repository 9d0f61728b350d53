"""Gradient caching: parts and processes give the gradient of the whole batch.

This includes dropout, and the weights of the loss itself.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from support import copied, metrics, saved_state, train_with_two_processes, write_config
from torch import nn

from sbert import BiEncoder
from sbert.data.rows import Rows
from sbert.losses.base import JointLoss, Loss
from sbert.losses.batch_triplet import BatchHardTripletLoss, BatchSemiHardTripletLoss
from sbert.losses.matryoshka import MatryoshkaLoss
from sbert.losses.ranking import MultipleNegativesRankingLoss
from sbert.losses.similarity import CoSENTLoss
from sbert.training.objectives.grad_cache import GradientCache
from sbert.training.objectives.objective import Objective, TrainingSet

WORDS = ["cat", "dog", "small cat", "old man", "green bird", "boat"]


class ScaledLoss(JointLoss):
    """A joint loss with a weight of its own."""

    target = None

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(3.0))

    def compute(self, columns, labels=None, texts=None):
        return (
            (self.scale * F.normalize(columns[0], dim=1) @ F.normalize(columns[1], dim=1).T)
            .logsumexp(1)
            .mean()
        )


def triplets() -> Rows:
    """Seven rows with anchor, positive and two, one or no negatives; texts repeat."""
    texts = [
        [f"the {WORDS[i % 6]} sits" for i in range(7)],
        [f"a {WORDS[i % 5]} on the table" for i in range(7)],
    ]
    negatives = [
        [f"the {WORDS[(i + 2 + c) % 6]} runs" if i % 3 > c else None for i in range(7)]
        for c in range(2)
    ]
    return Rows("some", "triplet", texts + negatives, None)


def parts_of(count: int, accumulate: int) -> list[np.ndarray]:
    """The rows of each part; what a part of no rows computes is a row without weight."""
    return [
        np.arange(count)[i::accumulate] if i < count else np.arange(1) for i in range(accumulate)
    ]


def by_parts(objective: Objective, data: TrainingSet, count: int, accumulate: int) -> torch.Tensor:
    """The three steps as in the training loop -> the loss; gradients stay in the weights."""
    batches = [data.batch(part) for part in parts_of(count, accumulate)]
    texts, labels = data.texts_and_labels(np.arange(count))
    cache = GradientCache(objective.losses[0], texts, labels, Accelerator(cpu=True), accumulate)
    return cache.backward(objective, batches)


def gradients(objective: Objective) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}


def topics() -> Rows:
    """Seven single texts of three classes."""
    texts = [f"the {WORDS[i % 6]} sits on {WORDS[i % 5]}" for i in range(7)]
    return Rows("some", "class", [texts], np.arange(7) % 3)


JOINT = {
    "ranking": (MultipleNegativesRankingLoss(symmetric=True), triplets()),
    "weights": (ScaledLoss(), replace(triplets(), texts=triplets().texts[:2])),
    "hard": (BatchHardTripletLoss(1.0), topics()),
    "semi-hard": (BatchSemiHardTripletLoss(1.0), topics()),
}


@pytest.mark.parametrize("accumulate", [1, 2, 3, 9])
@pytest.mark.parametrize(("loss", "rows"), JOINT.values(), ids=JOINT)
def test_parts_give_the_gradient_of_the_whole(tiny, accumulate, loss, rows):
    data, objective = TrainingSet.from_datasets([rows], tiny), Objective(tiny, loss)
    objective.zero_grad()
    expected = objective(data.batch(np.arange(7)))
    expected.backward()
    whole = gradients(objective)
    objective.zero_grad()
    found = by_parts(objective, data, 7, accumulate)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert gradients(objective).keys() == whole.keys()
    for name, gradient in gradients(objective).items():
        torch.testing.assert_close(
            gradient, whole[name], atol=1e-5, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
        )
    objective.zero_grad()


@pytest.fixture
def bf16():
    """An Accelerator in bf16; its precision is forgotten afterwards."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(cpu=True, mixed_precision="bf16")
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_loss_is_differentiated_in_fp32(tiny, bf16, accumulate):
    """Also where the encoder computes in bf16, in one part or several."""
    data = TrainingSet.from_datasets([triplets()], tiny)
    objective = bf16.prepare(Objective(tiny, MultipleNegativesRankingLoss()))
    batches = [data.batch(part) for part in parts_of(7, accumulate)]
    texts, labels = data.texts_and_labels(np.arange(7))
    cache = GradientCache(objective.losses[0], texts, labels, bf16, accumulate)
    embeddings = cache.embed_parts(objective, batches)  # of the parts, one after the other
    order = np.argsort(np.concatenate(cache.own_rows))
    embeddings = embeddings[order].requires_grad_()
    [expected] = torch.autograd.grad(
        objective.losses[0](embeddings.unbind(1), None, texts), embeddings
    )
    cache.random_states.clear()
    cache.backward(objective, batches)
    assert cache.gradient.dtype == torch.float32
    assert torch.equal(cache.gradient, expected)


def test_the_second_pass_draws_the_dropout_of_the_first(tiny):
    data, objective = (
        TrainingSet.from_datasets([triplets()], tiny),
        Objective(tiny, MultipleNegativesRankingLoss()),
    )
    objective.train()
    torch.manual_seed(3)
    parts = parts_of(7, 2)
    embeddings = torch.cat([objective(data.batch(part), embed_only=True) for part in parts])
    order = torch.from_numpy(np.argsort(np.concatenate(parts)))
    expected = objective.losses[0](
        embeddings[order].unbind(1), None, data.texts_and_labels(np.arange(7))[0]
    )
    expected.backward()
    whole = gradients(objective)
    objective.zero_grad()
    torch.manual_seed(3)
    found = by_parts(objective, data, 7, 2)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, gradient in gradients(objective).items():
        torch.testing.assert_close(
            gradient, whole[name], atol=1e-5, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
        )
    objective.zero_grad()
    objective.eval()


def config_of(tmp_path, encoder, loss, **optim):
    file = tmp_path / "rows.jsonl"
    lines = [
        {
            "query": f"the {WORDS[i % 6]} sits {'on ' * (i % 4)}",
            "positive": f"a {WORDS[i % 5]}",
            "negatives": [f"the {WORDS[(i + 2 + c) % 6]} runs" for c in range(1 + i % 3)],
        }
        for i in range(30)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    data = {
        "train": [
            {"path": str(file), "task": "triplet", "texts": ["query", "positive", "negatives"]}
        ]
    }
    optim = {"lr": 1e-3, "batch_size": 11, "epochs": 2, "eps": 1e-3} | optim
    return write_config(tmp_path, encoder, file, data=data, loss=loss, optim=optim)


SYMMETRIC = {"class_path": "MultipleNegativesRankingLoss", "init_args": {"symmetric": True}}
RANKING = {"class_path": "MatryoshkaLoss", "init_args": {"loss": SYMMETRIC, "dims": [32, 8]}}


def test_two_processes_equal_one(tmp_path, steady_folder, train_command):
    """Losses, gradient norms under clipping, and weights: a process sees all candidates.

    With prompts that are not pooled, in training and on dev.
    """
    model = BiEncoder.from_pretrained(steady_folder, prompts={"query": "the ", "document": "a "})
    model.include_prompt = False
    model.save_pretrained(tmp_path / "prompted")
    config = config_of(tmp_path, tmp_path / "prompted", RANKING, max_grad_norm=0.05)
    options = yaml.safe_load(config.read_text())
    dataset = options["data"]["train"][0] | {"prompts": ["query", "document"]}
    dev = dataset | {"path": str(copied(Path(dataset["path"])))}
    config.write_text(yaml.safe_dump(options | {"data": {"train": [dataset], "dev": [dev]}}))
    train_command(config)
    train_with_two_processes(config)
    [before] = metrics(tmp_path / "runs/run", "before")
    [same] = metrics(tmp_path / "runs/two", "before")
    assert same["copy-of-rows"] == before["copy-of-rows"]
    one, two = tmp_path / "runs/run", tmp_path / "runs/two"
    assert len(metrics(one)) == 6
    for a, b in zip(metrics(one), metrics(two), strict=True):
        assert (b["loss"], b["grad_norm"]) == pytest.approx((a["loss"], a["grad_norm"]), rel=1e-4)
    a, b = saved_state(one), saved_state(two)
    for name in a:
        if name.startswith("objective."):
            torch.testing.assert_close(
                b[name], a[name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
            )


def test_parts_do_not_show_in_a_run(tmp_path, steady_folder, train_command):
    """As a cached loss of a large batch: memory of a part, gradient of the whole."""
    for accumulate in (1, 4):
        config = config_of(tmp_path, steady_folder, RANKING, accumulate=accumulate)
        train_command(config, "--name", f"parts{accumulate}")
    for a, b in zip(
        metrics(tmp_path / "runs/parts1"), metrics(tmp_path / "runs/parts4"), strict=True
    ):
        assert (b["loss"], b["grad_norm"]) == pytest.approx((a["loss"], a["grad_norm"]), rel=1e-4)


def test_cosent_by_parts_compares_all_pairs(tmp_path, steady_folder, pairs_file, train_command):
    for accumulate in (1, 3):
        optim = {"lr": 1e-3, "batch_size": 8, "epochs": 1, "accumulate": accumulate}
        config = write_config(
            tmp_path,
            steady_folder,
            pairs_file,
            loss="CoSENTLoss",
            optim=optim,
            name=f"n{accumulate}",
        )
        train_command(config)
    one, three = (metrics(tmp_path / "runs" / name) for name in ("n1", "n3"))
    assert [row["loss"] for row in three] == pytest.approx([row["loss"] for row in one], rel=1e-4)


def test_which_losses_are_joint():
    assert [loss.joint for loss in (CoSENTLoss(), MatryoshkaLoss(CoSENTLoss(), [4]))] == [
        True,
        True,
    ]
    assert not Loss.joint
