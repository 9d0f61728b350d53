"""Learning without labels (SimCSE): every text is its own positive, told apart by dropout.

The data are pairs of a column and itself, the loss is that of in-batch negatives.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from support import metrics, same_state

from sbert import BiEncoder, InputError
from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, read_dataset
from sbert.losses.ranking import MultipleNegativesRankingLoss
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.training.objectives.copies import check_copies
from sbert.training.objectives.grad_cache import GradientCache
from sbert.training.objectives.objective import Objective, TrainingSet

TEXTS = ["the cat sits", "a dog eats", "the cat sits", "a man on the mat", "small red house"]


def copies(texts: list[str] = TEXTS) -> Rows:
    return Rows("own", "pair", [texts, texts], None)


def simcse(model: BiEncoder, texts: list[str] = TEXTS) -> tuple[Objective, TrainingSet]:
    data = TrainingSet.from_datasets([copies(texts)], model)
    return Objective(model, MultipleNegativesRankingLoss(scale=20)), data


def info_nce(u: torch.Tensor, v: torch.Tensor, texts: list[str]) -> float:
    """mean_i -log(e^(20 cos(u_i, v_i)) / sum_j e^(20 cos(u_i, v_j))), as a plain loop.

    j runs over the texts other than text i, and i itself.
    """
    u = (u / u.norm(dim=1, keepdim=True)).tolist()
    v = (v / v.norm(dim=1, keepdim=True)).tolist()
    total = 0.0
    for i in range(len(texts)):
        logits = {}
        for j in range(len(texts)):
            if j == i or texts[j] != texts[i]:
                logits[j] = 20 * sum(x * y for x, y in zip(u[i], v[j], strict=True))
        total += math.log(sum(math.exp(logit) for logit in logits.values())) - logits[i]
    return total / len(texts)


def test_the_loss_is_infonce_of_two_passes_with_dropout(tiny):
    objective, data = simcse(tiny)
    objective.train()
    batch = data.batch(np.arange(len(TEXTS)))
    torch.manual_seed(3)
    loss = objective(batch)
    tokens = tiny.tokenizer([*TEXTS, *TEXTS], padding=True, return_tensors="pt")
    torch.manual_seed(3)
    u, v = tiny(tokens["input_ids"], tokens["attention_mask"]).chunk(2)
    assert loss.item() == pytest.approx(info_nce(u, v, TEXTS), rel=1e-5)
    assert not torch.isclose(u, v).all(dim=1).any()  # every text was computed twice
    assert not torch.equal(u[0], u[2])  # and so was a text that stands in two rows


def test_without_dropout_the_copies_are_equal(tiny):
    objective, data = simcse(tiny)
    objective.eval()
    batch = data.batch(np.arange(len(TEXTS)))
    u, v = objective(batch, embed_only=True).unbind(1)
    assert torch.equal(u, v)
    expected = torch.from_numpy(tiny.encode(TEXTS, precision="fp32"))
    assert objective(batch).item() == pytest.approx(info_nce(expected, expected, TEXTS), rel=1e-5)


def test_a_batch_of_one_text_alone_has_nothing_to_learn(tiny):
    objective, data = simcse(tiny, ["the cat sits"] * 4)
    objective.train()
    assert objective(data.batch(np.arange(4))).item() == 0


def test_both_passes_of_gradient_caching_draw_the_same_dropout(tiny):
    objective, data = simcse(tiny)
    objective.train()
    rows = np.arange(len(TEXTS))
    parts = [rows[::2], rows[1::2]]
    torch.manual_seed(3)
    embeddings = torch.cat([objective(data.batch(part), embed_only=True) for part in parts])
    u, v = embeddings[np.argsort(np.concatenate(parts))].unbind(1)
    torch.manual_seed(3)
    texts, labels = data.texts_and_labels(rows)
    cache = GradientCache(objective.losses[0], texts, labels, Accelerator(cpu=True), 2)
    loss = cache.backward(objective, [data.batch(part) for part in parts])
    assert loss.item() == pytest.approx(info_nce(u, v, TEXTS), rel=1e-5)
    objective.zero_grad()


def test_an_encoder_without_dropout_is_refused(tiny, steady_folder):
    steady = BiEncoder.from_pretrained(steady_folder)
    with pytest.raises(InputError, match="^data.train: every row is a text and the same text"):
        check_copies(simcse(steady)[0], 0, simcse(steady)[1])
    state = torch.get_rng_state()
    check_copies(simcse(tiny)[0], 0, simcse(tiny)[1])
    assert not tiny.training
    assert torch.equal(torch.get_rng_state(), state)
    # other rows, and losses that learn from other things than the difference of the copies
    pairs = TrainingSet.from_datasets([Rows("own", "pair", [TEXTS, TEXTS[::-1]], None)], steady)
    check_copies(Objective(steady, MultipleNegativesRankingLoss()), 0, pairs)
    scored = TrainingSet.from_datasets([copies()], steady)
    check_copies(Objective(steady, CosineSimilarityLoss()), 0, scored)


@pytest.mark.parametrize("texts", [["the cat sits"], ["the cat sits"] * 3])
def test_one_text_has_no_other_to_be_compared_with(tiny, texts):
    with pytest.raises(InputError, match="^data.train: every row is the same text"):
        check_copies(simcse(tiny, texts)[0], 0, simcse(tiny, texts)[1])


# whole runs


@pytest.fixture
def text_file(tmp_path, sentences) -> Path:
    path = tmp_path / "own.txt"
    path.write_text("\n".join(sentences) + "\n", "utf-8")
    return path


def write_simcse(folder: Path, encoder: Path, texts: Path, pairs: Path, **optim) -> Path:
    options = {
        "name": "run",
        "runs": str(folder / "runs"),
        "model": {"path": str(encoder)},
        "data": {
            "train": [{"path": str(texts), "task": "pair", "texts": ["text", "text"]}],
            "dev": [{"path": str(pairs), "range": [0, 5], "name": "pairs"}],
            "distinct": True,
        },
        "loss": "MultipleNegativesRankingLoss",
        "optim": {"lr": 1e-3, "batch_size": 9, "epochs": 2} | optim,
        "loop": {"precision": "fp32", "log_steps": 1, "save_steps": 3},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(options), "utf-8")
    return path


def test_a_text_file_is_read_as_pairs_of_each_text_and_itself(text_file, sentences):
    rows = read_dataset(DatasetConfig(str(text_file), task="pair", texts=["text", "text"]))
    assert rows.texts == [sentences, sentences]
    assert rows.labels is None


def test_resumed_equals_uninterrupted(
    tmp_path, tiny_folder, text_file, pairs_file, train_command, train_interrupted, capsys
):
    config = write_simcse(tmp_path, tiny_folder, text_file, pairs_file, accumulate=2)
    train_command(config)
    assert "36 rows, pair; 4 skipped: the texts of an earlier row" in capsys.readouterr().out
    train_interrupted(config, after=5)
    full, cut = tmp_path / "runs/run", tmp_path / "runs/cut"
    assert same_state(full, cut) == []
    losses = [row["loss"] for row in metrics(full)]
    assert len(losses) == 8
    assert np.mean(losses[4:]) < np.mean(losses[:4])


def test_a_run_without_dropout_leaves_no_folder(
    tmp_path, steady_folder, text_file, pairs_file, train_command
):
    config = write_simcse(tmp_path, steady_folder, text_file, pairs_file)
    with pytest.raises(SystemExit) as error:
        train_command(config)
    assert error.value.code == 2
    assert not (tmp_path / "runs").exists()
