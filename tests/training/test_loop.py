"""The loop: what a step computes, when it evaluates and saves, how it stops, resumes and fails."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from support import (
    ROOT,
    copied,
    metrics,
    same_state,
    saved_state,
    with_two_processes,
    write_config,
)

from sbert import BiEncoder
from sbert.evaluation.scores import BEFORE_FILE, read_scores
from sbert.training.loop import Training


def test_training_learns_and_leaves_a_run_folder(
    tmp_path, steady_folder, pairs_file, train_command, capsys
):
    config = write_config(
        tmp_path, steady_folder, pairs_file, optim={"lr": 1e-3, "batch_size": 8, "epochs": 20}
    )
    train_command(config)
    run = tmp_path / "runs" / "run"
    assert {p.name for p in run.iterdir() if "tfevents" not in p.name} == {
        "config.yaml",
        "metrics.jsonl",
        "last",
        "best",
        "scores.safetensors",
        "scores_before.safetensors",
        "result.json",
    }
    before = read_scores(run, BEFORE_FILE)["pairs"].metrics["spearman_cosine"]
    assert before.of_all() == pytest.approx(metrics(run, "before")[0]["pairs"])
    losses = [row["loss"] for row in metrics(run)]
    assert len(losses) == 80
    assert sum(losses[-8:]) < 0.5 * sum(losses[:8])
    dev = [row["pairs/spearman_cosine"] for row in metrics(run, "dev")]
    assert len(dev) == 20
    assert max(dev) > metrics(run, "before")[0]["pairs"] + 0.05
    output = capsys.readouterr().out
    assert (
        f"| pairs      |   32 | spearman_cosine | {100 * metrics(run, 'before')[0]['pairs']:6.2f} "
        in output
    )
    assert output.rstrip().endswith(f"curves: tensorboard --logdir {tmp_path}/runs")
    # best/ is the model of the best evaluation, loadable by itself
    best = BiEncoder.from_pretrained(run / "best")
    assert best.encode(["the cat sits"]).shape == (1, 32)


def test_saved_configuration_reruns_to_the_same_weights(
    tmp_path, tiny_folder, pairs_file, train_command
):
    train_command(write_config(tmp_path, tiny_folder, pairs_file))
    train_command(tmp_path / "runs/run/config.yaml", "--name", "again")
    assert same_state(tmp_path / "runs/run", tmp_path / "runs/again") == []


def test_steps_stand_in_place_of_epochs(tmp_path, tiny_folder, pairs_file, train_command):
    """Six steps of four an epoch: what one and a half epochs are."""
    config = write_config(tmp_path, tiny_folder, pairs_file)
    train_command(config, "--optim.epochs", "1.5")
    train_command(config, "--optim.steps", "6", "--name", "other")
    assert [len(metrics(tmp_path / "runs" / name)) for name in ("run", "other")] == [6, 6]
    assert same_state(tmp_path / "runs/run", tmp_path / "runs/other") == []


def test_seed_changes_the_run(tmp_path, tiny_folder, pairs_file, train_command):
    config = write_config(tmp_path, tiny_folder, pairs_file)
    train_command(config)
    train_command(config, "--name", "other", "--loop.seed", "1")
    assert same_state(tmp_path / "runs/run", tmp_path / "runs/other")


def test_one_step_is_adamw_on_the_gradient_of_the_batch(
    tmp_path, steady_folder, pairs_file, train_command
):
    """The first update, computed independently: tokenizer, model, loss, clipping and AdamW."""
    optim = {"lr": 1e-3, "batch_size": 32, "epochs": 1, "warmup": 0, "max_grad_norm": 0.01}
    train_command(write_config(tmp_path, steady_folder, pairs_file, optim=optim))
    model = BiEncoder.from_pretrained(steady_folder)
    lines = [line.split("\t") for line in pairs_file.read_text("utf-8").splitlines()[1:]]
    u, v = (
        model(
            *(
                model.tokenizer([line[c] for line in lines], padding=True, return_tensors="pt")[k]
                for k in ("input_ids", "attention_mask")
            )
        )
        for c in (0, 1)
    )
    gold = torch.tensor([float(line[2]) / 5 for line in lines])
    torch.mean((torch.nn.functional.cosine_similarity(u, v) - gold) ** 2).backward()
    named = {n: p for n, p in model.named_parameters() if p.requires_grad and p.grad is not None}
    norm = math.sqrt(sum(p.grad.double().square().sum().item() for p in named.values()))
    trained = BiEncoder.from_pretrained(tmp_path / "runs/run/best").state_dict()
    assert metrics(tmp_path / "runs/run")[0]["grad_norm"] == pytest.approx(norm, rel=1e-4)
    for name, p in named.items():
        gradient = p.grad * min(1, 0.01 / norm)
        decayed = p.detach() * (1 - 1e-3 * 0.01 * (p.ndim >= 2))
        expected = decayed - 1e-3 * gradient / (
            gradient.abs() + 1e-8
        )  # the first step's m / sqrt(v) after correction
        torch.testing.assert_close(trained[name], expected, atol=2e-5, rtol=0, msg=name)


def test_accumulation_does_not_change_the_result(
    tmp_path, steady_folder, pairs_file, train_command
):
    # 32 rows in batches of 12: the last batch is short, and 5 divides neither
    config = write_config(
        tmp_path, steady_folder, pairs_file, optim={"lr": 1e-3, "batch_size": 12, "epochs": 2}
    )
    train_command(config)
    train_command(config, "--name", "parts", "--optim.accumulate", "5")
    a, b = metrics(tmp_path / "runs/run"), metrics(tmp_path / "runs/parts")
    assert [row["loss"] for row in a] == pytest.approx([row["loss"] for row in b], rel=1e-4)
    assert [row["grad_norm"] for row in a] == pytest.approx(
        [row["grad_norm"] for row in b], rel=1e-3
    )


def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path, tiny_folder, pairs_file, train_command, train_interrupted
):
    """Bit for bit, with dropout and a loss with weights, interrupted between two steps."""
    loss = {"class_path": "CosineSimilarityLoss", "init_args": {"learnable_scale": True}}
    loop = {"precision": "fp32", "log_steps": 2, "save_steps": 3, "evaluate_epochs": 0.5}
    config = write_config(tmp_path, tiny_folder, pairs_file, loss=loss, loop=loop)
    train_command(config)
    train_interrupted(config, after=5)
    full, cut = tmp_path / "runs/run", tmp_path / "runs/cut"
    assert same_state(full, cut) == []
    assert (
        [row["step"] for row in metrics(cut, "dev")]
        == [row["step"] for row in metrics(full, "dev")]
        == [2, 4, 6, 8]
    )
    assert metrics(cut, "dev") == metrics(full, "dev")
    assert metrics(cut, "before") == metrics(full, "before")
    for file in ("best/model.safetensors", "scores.safetensors", "scores_before.safetensors"):
        assert (cut / file).read_bytes() == (full / file).read_bytes()


def test_killed_and_resumed_equals_uninterrupted(tmp_path, tiny_folder, pairs_file):
    """The same with a real process and SIGKILL at moments of the clock."""
    optim = {"lr": 1e-3, "batch_size": 4, "epochs": 12}
    config = write_config(
        tmp_path, tiny_folder, pairs_file, optim=optim, loop={"precision": "fp32", "save_steps": 1}
    )
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    command = [sys.executable, str(ROOT / "train.py"), "--config", str(config)]
    subprocess.run([*command, "--name", "full"], check=True, env=environment, capture_output=True)
    steps, killed = 0, 0
    while steps < 96:
        process = subprocess.Popen(
            [*command, "--name", "cut", "--resume"],
            env=environment,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        state = tmp_path / "runs/cut/last/state.safetensors"
        seen = state.stat().st_mtime if state.exists() else 0
        while process.poll() is None and (not state.exists() or state.stat().st_mtime == seen):
            time.sleep(0.01)
        time.sleep(0.15 + 0.1 * killed)
        if killed < 3:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        steps = 96 if process.returncode == 0 else 0
    assert killed == 3
    assert same_state(tmp_path / "runs/full", tmp_path / "runs/cut") == []


WITH_FILES = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from sbert.training.objectives import token_files
import train
token_files.MANY_TEXTS = 1
train.main(sys.argv[1:])
"""


def test_two_processes_equal_one(tmp_path, steady_folder, pairs_file, train_command):
    """The same losses, gradient norms and weights, batches of odd sizes included; the two map the
    tokens from files."""
    # a large eps: otherwise AdamW turns the rounding of a gradient near zero into a whole step
    optim = {"lr": 1e-3, "batch_size": 11, "epochs": 2, "max_grad_norm": 0.05, "eps": 1e-3}
    config = write_config(tmp_path, steady_folder, pairs_file, optim=optim)
    train_command(config)
    (tmp_path / "train.py").write_text(WITH_FILES)
    with_two_processes(tmp_path / "train.py", "--config", config, "--name", "two")
    assert list((tmp_path / "runs").glob("token_tables/*/ids.npy"))
    one, two = tmp_path / "runs/run", tmp_path / "runs/two"
    for a, b in zip(metrics(one), metrics(two), strict=True):
        assert (b["loss"], b["grad_norm"]) == pytest.approx((a["loss"], a["grad_norm"]), rel=1e-4)
    a, b = saved_state(one), saved_state(two)
    for name in a:
        if name.startswith("objective."):
            torch.testing.assert_close(b[name], a[name], atol=1e-5, rtol=1e-4, msg=name)
    for a, b in zip(metrics(one, "dev"), metrics(two, "dev"), strict=True):
        assert b["pairs/pearson_cosine"] == pytest.approx(a["pairs/pearson_cosine"], abs=1e-4)
    with pytest.raises(SystemExit):  # as many processes are needed to resume
        train_command(tmp_path / "runs/two/config.yaml", "--resume")


def test_softmax_head_trains_and_is_saved(tmp_path, steady_folder, train_command):
    lines = ["premise\thypothesis\tlabel"]
    hypotheses = {"cat": "entailment", "dog": "contradiction", "small cat": "neutral"}
    for _ in range(8):
        lines += [f"the cat sits\tthe {b} sits\t{label}" for b, label in hypotheses.items()]
    file = tmp_path / "nli.tsv"
    file.write_text("\n".join(lines), "utf-8")
    data = {"train": [{"path": str(file)}], "dev": [{"path": str(copied(file)), "name": "nli"}]}
    optim = {"lr": 1e-3, "batch_size": 6, "epochs": 15}
    train_command(
        write_config(tmp_path, steady_folder, file, data=data, loss="SoftmaxLoss", optim=optim)
    )
    run = tmp_path / "runs/run"
    assert max(row["nli/accuracy"] for row in metrics(run, "dev")) == 1.0
    assert saved_state(run)["objective.losses.0.head.weight"].shape == (3, 96)
    assert (run / "best/loss.safetensors").exists()


def test_stages_chain(tmp_path, tiny_folder, pairs_file, train_command):
    train_command(write_config(tmp_path, tiny_folder, pairs_file))
    best = BiEncoder.from_pretrained(tmp_path / "runs/run/best").encode(
        ["the cat sits"], precision="fp32"
    )
    train_command(write_config(tmp_path, tmp_path / "runs/run/best", pairs_file, name="second"))
    first, second = (
        metrics(tmp_path / "runs/run", "dev"),
        metrics(tmp_path / "runs/second", "before"),
    )
    assert second[0]["pairs"] == pytest.approx(max(row["pairs/spearman_cosine"] for row in first))
    again = BiEncoder.from_pretrained(tmp_path / "runs/run/best").encode(
        ["the cat sits"], precision="fp32"
    )
    assert (again == best).all()


@pytest.mark.parametrize(
    ("loop", "steps"),
    [
        ({"evaluate_steps": 3}, [3, 6, 8]),
        ({"evaluate_epochs": 0.5}, [2, 4, 6, 8]),
        ({"evaluate_epochs": 0.3}, [2, 3, 4, 5, 6, 8]),
        ({"evaluate_epochs": 1.0}, [4, 8]),
        ({"evaluate_epochs": 5.0}, [8]),
    ],
)
def test_evaluates_at(tmp_path, tiny_folder, pairs_file, train_command, loop, steps):
    loop = {"precision": "fp32", "log_steps": 100, **loop}
    train_command(write_config(tmp_path, tiny_folder, pairs_file, loop=loop))
    assert [row["step"] for row in metrics(tmp_path / "runs/run", "dev")] == steps


def test_stops_after_patience(tmp_path, tiny_folder, pairs_file, train_command):
    # at this rate nothing changes: the first evaluation stays the best
    optim = {"lr": 1e-12, "batch_size": 8, "epochs": 5}
    loop = {"precision": "fp32", "patience": 2, "evaluate_steps": 2}
    train_command(write_config(tmp_path, tiny_folder, pairs_file, optim=optim, loop=loop))
    assert [row["step"] for row in metrics(tmp_path / "runs/run", "dev")] == [2, 4, 6]


def test_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
    tmp_path, tiny_folder, pairs_file, train_command, monkeypatch, capsys
):
    update = Training.update

    def poison(self):
        if self.progress.step == 5:
            with torch.no_grad():
                self.objective.model.transformer.embeddings.word_embeddings.weight.fill_(
                    float("nan")
                )
        update(self)

    monkeypatch.setattr(Training, "update", poison)
    loop = {"precision": "fp32", "log_steps": 3, "evaluate_steps": 4}
    with pytest.raises(SystemExit) as error:
        train_command(write_config(tmp_path, tiny_folder, pairs_file, loop=loop))
    assert error.value.code == 2
    assert "the loss of step 6 is nan; last/ and best/ are as they were" in capsys.readouterr().err
    state = saved_state(tmp_path / "runs/run")
    assert all(t.isfinite().all() for name, t in state.items() if name.startswith("objective"))
    assert BiEncoder.from_pretrained(tmp_path / "runs/run/best").encode(["the cat"])[0][
        0
    ] == pytest.approx(0, abs=1e3)


def test_bf16_trains_fp32_weights_to_nearly_the_same(
    tmp_path, steady_folder, pairs_file, train_command
):
    config = write_config(tmp_path, steady_folder, pairs_file)
    train_command(config)
    train_command(config, "--loop.precision", "bf16", "--name", "low")
    state = saved_state(tmp_path / "runs/low")
    assert {t.dtype for name, t in state.items() if name.startswith("objective")} == {torch.float32}
    a, b = metrics(tmp_path / "runs/run"), metrics(tmp_path / "runs/low")
    assert [row["loss"] for row in b] == pytest.approx([row["loss"] for row in a], rel=0.05)
    assert [row["loss"] for row in b] != [row["loss"] for row in a]


def test_without_dev_the_last_model_is_best(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    data = {"train": [{"path": str(pairs_file), "range": [0, 5]}]}
    optim = {"lr": 1e-3, "batch_size": 8, "steps": 8, "word_embeddings": "all"}
    train_command(write_config(tmp_path, tiny_folder, pairs_file, data=data, optim=optim))
    best = BiEncoder.from_pretrained(tmp_path / "runs/run/best").state_dict()
    state = saved_state(tmp_path / "runs/run")
    trained = {name: t for name, t in best.items() if ".pooler." not in name}
    assert all(torch.equal(t, state[f"objective.model.{name}"]) for name, t in trained.items())
    assert "the last model will be taken for the best" in capsys.readouterr().out


def test_weighted_datasets_train_in_proportion(tmp_path, tiny_folder, pairs_file, train_command):
    a, b = (
        {"path": str(pairs_file), "range": [0, 5], "limit": n, "weight": w}
        for n, w in ((8, 3.0), (24, 1.0))
    )
    train_command(write_config(tmp_path, tiny_folder, pairs_file, data={"train": [a, b]}))
    assert (
        json.loads((tmp_path / "runs/run/metrics.jsonl").read_text().splitlines()[-1])["step"] == 8
    )


def test_max_length_reports_what_it_cut(tmp_path, tiny_folder, pairs_file, train_command, capsys):
    train_command(
        write_config(
            tmp_path, tiny_folder, pairs_file, model={"path": str(tiny_folder), "max_length": 8}
        )
    )
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("train"))
    assert "max_length 8: " in line
    assert "of 32 rows" in line
    assert (
        yaml.safe_load((tmp_path / "runs/run/config.yaml").read_text())["model"]["max_length"] == 8
    )
