"""Runs that train only the word embeddings that occur, against runs that train all of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support import (
    fails,
    metrics,
    same_state,
    saved_state,
    write_config,
)
from torch import nn

from sbert import BiEncoder
from sbert.data.rows import Rows
from sbert.losses import CosineSimilarityLoss, MaskedLanguageModelLoss
from sbert.training.config import OptimConfig
from sbert.training.objectives.language_model import LanguageModelObjective, MaskedTexts
from sbert.training.objectives.objective import Objective
from sbert.training.objectives.trained import leave_out_idle_embeddings
from sbert.training.optimizer import lr_factor

TABLE = "embeddings.word_embeddings.weight"
# without a limit of the norm, which is rounded in another way, all is computed bit for bit alike
OPTIM = {"lr": 1e-2, "batch_size": 8, "steps": 6, "weight_decay": 0.5, "max_grad_norm": 0}


def write(folder: Path, encoder: Path, pairs: Path, loss: str = "CosineSimilarityLoss", **optim):
    loop = {"precision": "fp32", "log_steps": 1, "save_steps": 2, "evaluate_steps": 6}
    return write_config(folder, encoder, pairs, loss=loss, optim=OPTIM | optim, loop=loop)


def best(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "best/model.safetensors")


def require_equal(run: Path, other: Path, start: torch.Tensor) -> None:
    """The weights in best/, those of idle rows up to rounding; `start` is the table before."""
    weights, right = best(run), best(other)
    assert weights.keys() == right.keys()
    factor = 1.0
    for step in range(OPTIM["steps"]):
        factor *= 1 - OPTIM["lr"] * lr_factor(step, OPTIM["steps"], OptimConfig()) * 0.5
    for name, weight in weights.items():
        if not name.endswith(TABLE):
            assert torch.equal(weight, right[name]), name
            continue
        idle = torch.isclose(right[name], factor * start, rtol=1e-6).all(1)
        assert 0 < idle.sum() < len(idle)
        assert torch.equal(weight[~idle], right[name][~idle])
        torch.testing.assert_close(weight[idle], right[name][idle], rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("loss", "accumulate"),
    [("CosineSimilarityLoss", 1), ("BinaryCrossEntropyLoss", 2), ("CoSENTLoss", 3)],
)
def test_a_run_gives_what_it_gives_when_all_are_trained(
    tmp_path, tiny_folder, pairs_file, train_command, loss, accumulate, capsys
):
    """A bi-encoder, a cross-encoder in parts, a joint loss by gradient caching; with dropout."""
    config = write(tmp_path, tiny_folder, pairs_file, loss, accumulate=accumulate)
    train_command(config)
    assert "word embeddings: 27 of 82 are trained" in capsys.readouterr().out
    train_command(config, "--name", "all", "--optim.word_embeddings", "all")
    assert "word embeddings" not in capsys.readouterr().out
    run, other = tmp_path / "runs/run", tmp_path / "runs/all"
    start = load_file(tiny_folder / "model.safetensors")[TABLE]
    require_equal(run, other, start)
    for kind in ("before", "dev"):
        assert metrics(run, kind) == metrics(other, kind)
    for a, b in zip(metrics(run), metrics(other), strict=True):
        assert a["loss"] == b["loss"]
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-6)


def test_resumed_equals_uninterrupted(
    tmp_path, tiny_folder, pairs_file, train_command, train_interrupted, capsys
):
    """Bit for bit. last/ holds nothing of idle rows, and is refused to other training texts."""
    config = write(tmp_path, tiny_folder, pairs_file, max_grad_norm=0.1)
    train_command(config)
    train_interrupted(config, after=3)
    run, cut = tmp_path / "runs/run", tmp_path / "runs/cut"
    assert same_state(run, cut) == []
    assert best(run).keys() == best(cut).keys()
    assert all(torch.equal(best(run)[name], weight) for name, weight in best(cut).items())
    state = saved_state(run)
    assert state[f"objective.model.transformer.{TABLE}"].shape == (27, 32)
    assert not any(82 in tensor.shape or 55 in tensor.shape for tensor in state.values())
    text = pairs_file.read_text("utf-8")
    pairs_file.write_text(text.replace("cat", "q"), "utf-8")
    message = fails(train_command, capsys, config, "--resume")
    assert "last was written with other frozen weights: it fits another base model or other" in (
        message
    )


def trains_all(objective: Objective, count: int) -> bool:
    """Whether all rows are trained of a table where the first `count` occur."""
    leave_out_idle_embeddings(objective, [np.arange(count)])
    return type(objective.model.transformer.get_input_embeddings()) is nn.Embedding


def test_all_are_trained_where_most_occur(tiny_folder):
    for count, expected in ((42, True), (41, False)):  # of 82
        model = BiEncoder.from_pretrained(tiny_folder)
        assert trains_all(Objective(model, CosineSimilarityLoss()), count) == expected


def test_all_are_kept_where_they_are_frozen_or_tied(tiny):
    objective = Objective(tiny, CosineSimilarityLoss())
    objective.losses[0].decoder = nn.Linear(32, 82)
    objective.losses[0].decoder.weight = tiny.transformer.embeddings.word_embeddings.weight
    assert trains_all(objective, 5)
    del objective.losses[0].decoder
    tiny.transformer.embeddings.requires_grad_(False)
    assert trains_all(objective, 5)
    tiny.transformer.embeddings.requires_grad_(True)
    assert not trains_all(objective, 5)


def test_a_language_model_trains_all(tiny):
    """It reads random tokens, and has a logit of each."""
    loss = MaskedLanguageModelLoss()
    data = MaskedTexts.from_datasets([Rows("some", "text", [["the cat"]], None)], tiny, loss)
    objective = LanguageModelObjective(tiny, loss)
    leave_out_idle_embeddings(objective, [data.token_ids()])
    assert type(tiny.transformer.get_input_embeddings()) is nn.Embedding
