"""A cross-encoder through train.py and evaluate.py: the bi-encoder's loop and evaluators."""

import json

import numpy as np
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
from transformers import AutoModelForSequenceClassification

from sbert import CrossEncoder
from sbert.data.rows import Rows
from sbert.losses.cross_encoder import BinaryCrossEntropyLoss, LocalizedContrastiveLoss
from sbert.training.objectives.objective import Objective, TrainingSet

BCE = "BinaryCrossEntropyLoss"


@pytest.fixture
def candidates_file(tmp_path, sentences):
    """Ragged rows that can be learnt: a positive about a cat, 1 to 3 negatives about a dog."""
    rows = []
    for i in range(18):
        negatives = [f"dog {sentence}" for sentence in sentences[i : i + 1 + i % 3]]
        rows.append(
            {"query": sentences[i], "positive": f"cat {sentences[i + 1]}", "negatives": negatives}
        )
    path = tmp_path / "candidates.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def ranked(file) -> dict:
    return {
        "train": [{"path": str(file)}],
        "dev": [{"path": str(copied(file)), "name": "candidates"}],
    }


# what a step computes


def test_loss_of_a_batch_is_that_of_transformers_own_model(steady_folder, sentences):
    model = CrossEncoder.from_pretrained(steady_folder)
    labels = np.linspace(0, 1, 12, dtype=np.float32)
    data = Rows("pairs", "sts", [sentences[:12], sentences[12:24]], labels)
    which = np.array([7, 0, 3, 11])
    found = Objective(model, BinaryCrossEntropyLoss())(
        TrainingSet.from_datasets([data], model).batch(which)
    )
    first, second = ([column[i] for i in which] for column in data.texts)
    theirs = model.transformer(
        **model.tokenizer(first, second, padding=True, return_tensors="pt")
    ).logits[:, 0]
    p, y = theirs.sigmoid(), torch.from_numpy(labels[which])
    torch.testing.assert_close(
        found, -(y * p.log() + (1 - y) * (1 - p).log()).mean(), atol=1e-5, rtol=1e-5
    )


def test_loss_of_ragged_candidates_is_that_of_each_query_alone(steady_folder, sentences):
    model = CrossEncoder.from_pretrained(steady_folder)
    candidates = [
        [sentences[1], sentences[2]],
        [sentences[3], sentences[4], sentences[5]],
        [sentences[6], sentences[8]],
    ]
    columns = [
        sentences[9:12],
        *([row[c] if c < len(row) else None for row in candidates] for c in range(3)),
    ]
    data = Rows("ragged", "triplet", columns, None)
    found = Objective(model, LocalizedContrastiveLoss())(
        TrainingSet.from_datasets([data], model).batch(np.array([2, 0, 1]))
    )
    losses = []
    for query, texts in zip(sentences[9:12], candidates, strict=True):
        scores = torch.from_numpy(
            model.predict([(query, text) for text in texts], logits=True, precision="fp32")
        )
        losses.append(-scores.log_softmax(0)[0])
    torch.testing.assert_close(found.detach(), torch.stack(losses).mean(), atol=1e-5, rtol=1e-5)


def test_both_orders_double_the_training_rows_alone(
    tmp_path, steady_folder, pairs_file, train_command, capsys
):
    config = write_config(tmp_path, steady_folder, pairs_file, loss=BCE)
    train_command(config, "--data.both_orders", "true")
    described = [
        line
        for line in capsys.readouterr().out.splitlines()
        if line.startswith(("train", "dev", "test"))
    ]
    assert [int(line.split(": ")[1].split()[0]) for line in described] == [64, 32, 32]
    assert metrics(tmp_path / "runs/run")[-1]["step"] == 2 * 64 // 8


# the loop


@pytest.mark.parametrize("loss", [BCE, "MSELoss"])
def test_training_learns_and_leaves_a_cross_encoder(
    tmp_path, steady_folder, pairs_file, train_command, evaluate_command, capsys, loss
):
    optim = {"lr": 1e-3, "batch_size": 8, "epochs": 30}
    train_command(write_config(tmp_path, steady_folder, pairs_file, loss=loss, optim=optim))
    output, run = capsys.readouterr().out, tmp_path / "runs/run"
    assert "cross-encoder of" in output
    losses = [row["loss"] for row in metrics(run)]
    assert sum(losses[-8:]) < 0.9 * sum(losses[:8])
    best = max(row["pairs/spearman_logit"] for row in metrics(run, "dev"))
    assert best > metrics(run, "before")[0]["pairs"] + 0.2
    model = CrossEncoder.from_pretrained(run / "best")
    assert model.activation == {BCE: "sigmoid", "MSELoss": "identity"}[loss]
    # evaluate.py takes the folder for what it is, and finds what the run found
    config = tmp_path / "e.yaml"
    config.write_text(
        f"model: {run}/best\ndata: [{{path: {pairs_file}, range: [0, 5], name: pairs}}]\n"
    )
    evaluate_command("--config", config, "--precision", "fp32")
    output = capsys.readouterr().out
    assert "cross-encoder, max_length 64" in output
    assert f"| pairs |   32 |    {100 * best:.2f} |" in output


def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path, tiny_folder, pairs_file, train_command, train_interrupted
):
    loop = {"precision": "fp32", "log_steps": 2, "save_steps": 3, "evaluate_epochs": 0.5}
    config = write_config(tmp_path, tiny_folder, pairs_file, loss=BCE, loop=loop)
    train_command(config)
    train_interrupted(config, after=5)
    assert same_state(tmp_path / "runs/run", tmp_path / "runs/cut") == []
    assert metrics(tmp_path / "runs/run", "dev") == metrics(tmp_path / "runs/cut", "dev")


def test_accumulation_does_not_change_the_result(
    tmp_path, steady_folder, candidates_file, train_command
):
    changes = {
        "data": ranked(candidates_file),
        "loss": "LocalizedContrastiveLoss",
        "optim": {"lr": 1e-3, "batch_size": 7, "epochs": 2},
    }
    config = write_config(tmp_path, steady_folder, candidates_file, **changes)
    train_command(config)
    train_command(config, "--name", "parts", "--optim.accumulate", "3")
    a, b = metrics(tmp_path / "runs/run"), metrics(tmp_path / "runs/parts")
    assert [row["loss"] for row in a] == pytest.approx([row["loss"] for row in b], rel=1e-4)
    assert [row["grad_norm"] for row in a] == pytest.approx(
        [row["grad_norm"] for row in b], rel=1e-3
    )


@pytest.mark.parametrize("task", ["pairs by LoRA", "candidates"])
def test_two_processes_equal_one(
    tmp_path, steady_folder, pairs_file, candidates_file, train_command, task
):
    """In the second case all weights are trained, in the first an adapter and the head."""
    # a large eps: otherwise AdamW turns the rounding of a gradient near zero into a whole step
    changes = {
        "optim": {"lr": 1e-3, "batch_size": 11, "epochs": 2, "max_grad_norm": 0.05, "eps": 1e-3},
        "loss": BCE,
    }
    if task == "candidates":
        changes |= {"data": ranked(candidates_file), "loss": "LocalizedContrastiveLoss"}
    else:
        pytest.importorskip("peft")
        lora = {"rank": 4, "dropout": 0, "target_modules": "all-linear"}
        changes |= {"model": {"path": str(steady_folder), "lora": lora}}
    config = write_config(tmp_path, steady_folder, pairs_file, **changes)
    train_command(config)
    train_with_two_processes(config)
    one, two = tmp_path / "runs/run", tmp_path / "runs/two"
    for a, b in zip(metrics(one), metrics(two), strict=True):
        assert (b["loss"], b["grad_norm"]) == pytest.approx((a["loss"], a["grad_norm"]), rel=1e-4)
    a, b = saved_state(one), saved_state(two)
    for name in a:
        if name.startswith("objective."):
            torch.testing.assert_close(b[name], a[name], atol=1e-5, rtol=1e-4, msg=name)
    for a, b in zip(metrics(one, "dev"), metrics(two, "dev"), strict=True):
        assert b == pytest.approx(a, abs=1e-4)


def test_ranking_learns(tmp_path, steady_folder, candidates_file, train_command):
    changes = {
        "data": ranked(candidates_file),
        "loss": "LocalizedContrastiveLoss",
        "optim": {"lr": 1e-3, "batch_size": 6, "epochs": 20},
    }
    train_command(write_config(tmp_path, steady_folder, candidates_file, **changes))
    losses = [row["loss"] for row in metrics(tmp_path / "runs/run")]
    assert sum(losses[-3:]) < 0.5 * sum(losses[:3])
    assert (
        max(row["candidates/accuracy_logit"] for row in metrics(tmp_path / "runs/run", "dev")) > 0.9
    )


def test_classes_chain_into_scores(
    tmp_path, tiny_folder, pairs_file, train_command, evaluate_command, capsys
):
    """NLI, then STS from its weights with a new head; the classes are saved by name."""
    file = tmp_path / "nli.tsv"
    lines = ["premise\thypothesis\tlabel"]
    lines += 6 * [
        "the cat sits\tthe house sits\tentailment",
        "the dog sits\tthe man sits\tcontradiction",
        "the woman sits\tthe park sits\tneutral",
    ]
    file.write_text("\n".join(lines), "utf-8")
    data = {"train": [{"path": str(file)}], "dev": [{"path": str(copied(file)), "name": "nli"}]}
    optim = {"lr": 1e-3, "batch_size": 6, "epochs": 15}
    train_command(
        write_config(
            tmp_path, tiny_folder, file, data=data, loss="CrossEntropyLoss", optim=optim, name="nli"
        )
    )
    best = tmp_path / "runs/nli/best"
    assert max(row["nli/accuracy"] for row in metrics(tmp_path / "runs/nli", "dev")) == 1.0
    assert CrossEncoder.from_pretrained(best).classes == ["contradiction", "entailment", "neutral"]
    evaluate_command("--model", best, "--data", file)
    assert "| nli |   18 |   100.00 | 100.0 to 100.0 |   100.00 |" in capsys.readouterr().out
    other = tmp_path / "other.yaml"
    other.write_text(
        f"model: {best}\ndata: [{{path: {file}, classes: [entailment, contradiction, neutral]}}]\n"
    )
    assert "the model was trained on ['contradiction'" in fails(
        evaluate_command, capsys, "--config", other
    )
    assert "this one classifies them" in fails(
        evaluate_command, capsys, "--model", best, "--data", pairs_file_in_01(tmp_path)
    )
    config = write_config(tmp_path, best, pairs_file, loss=BCE)
    line = fails(train_command, capsys, config)
    assert (
        "its head has 3 labels, and num_labels is 1; leave num_labels out, or set new_head" in line
    )
    train_command(config, "--model.new_head", "true")
    model = CrossEncoder.from_pretrained(tmp_path / "runs/run/best")
    assert (model.dim, model.classes) == (1, None)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "runs/run/best")
    assert loaded.config.num_labels == 1


def pairs_file_in_01(folder):
    path = folder / "scores.tsv"
    path.write_text("sentence1\tsentence2\tscore\na cat\tthe cat\t1\na cat\ta dog\t0\n", "utf-8")
    return path


# evaluate.py

RERANK_ROWS = "a cat\tthe cat\t1\na cat\ta dog\t0\na man\ta park\t0"


@pytest.mark.parametrize(
    ("header", "rows", "task", "shown"),
    [
        ("query\tdocument\tscore", RERANK_ROWS, "rerank", "nDCG@10"),
        ("sentence1\tsentence2\tscore", "the cat\ta cat\t1\nthe man\ta park\t0", "binary", "AP"),
        ("anchor\tpositive\tnegative", "a cat\tthe cat\ta dog", "triplet", "accuracy, logit"),
    ],
)
def test_evaluates_every_task(
    tmp_path, tiny_folder, evaluate_command, capsys, header, rows, task, shown
):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "cross")
    (tmp_path / "rows.tsv").write_text(f"{header}\n{rows}\n", "utf-8")
    config = tmp_path / "e.yaml"
    config.write_text(
        f"model: {tmp_path}/cross\ndata: [{{path: {tmp_path}/rows.tsv, task: {task}}}]\n"
    )
    evaluate_command("--config", config)
    output = capsys.readouterr().out
    assert f"| {task}" in output
    assert shown in output
    assert ("1 of 2 queries have no relevant candidate" in output) == (task == "rerank")
    for absent in ("dot", "Euclidean", "cosine"):
        assert absent not in output


def test_symmetric_evaluation_does_not_depend_on_the_order(
    tmp_path, tiny_folder, pairs_file, evaluate_command, capsys
):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "cross")
    results = []
    for texts in ("[sentence1, sentence2]", "[sentence2, sentence1]"):
        for symmetric in ("true", "false"):
            config = tmp_path / "e.yaml"
            dataset = f"{{path: {pairs_file}, range: [0, 5], task: sts, texts: {texts}}}"
            config.write_text(
                f"model: {tmp_path}/cross\ndata: [{dataset}]\nsymmetric: {symmetric}\n"
            )
            evaluate_command(
                "--config", config, "--precision", "fp32", "--output", tmp_path / "out.json"
            )
            metrics = json.loads((tmp_path / "out.json").read_text())["results"][0]["metrics"]
            results.append(metrics["pearson_logit"])
    assert results[0] == pytest.approx(results[2], abs=1e-6)
    assert abs(results[1] - results[3]) > 1e-4


def test_one_class_is_said_and_not_a_crash(tmp_path, tiny_folder, evaluate_command, capsys):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "cross")
    (tmp_path / "ones.tsv").write_text(
        "sentence1\tsentence2\tscore\na cat\tthe cat\t1\na dog\tthe dog\t1\n", "utf-8"
    )
    for folder in (tmp_path / "cross", tiny_folder):
        config = tmp_path / "e.yaml"
        config.write_text(f"model: {folder}\ndata: [{{path: {tmp_path}/ones.tsv, task: binary}}]\n")
        evaluate_command("--config", config)
        output = capsys.readouterr().out
        assert "note: ones: all 2 labels are 1: average precision is undefined" in output
        assert "|    2 |  - |" in output
        assert "nan" not in output.lower()


# bad input


@pytest.mark.parametrize("task", ["binary", "sts"])
def test_dev_set_that_cannot_choose_a_model(
    tmp_path, tiny_folder, pairs_file, train_command, capsys, task
):
    (tmp_path / "ones.tsv").write_text(
        "sentence1\tsentence2\tscore\na cat\tthe cat\t1\na dog\tthe dog\t1\n", "utf-8"
    )
    data = {
        "train": [{"path": str(pairs_file), "range": [0, 5]}],
        "dev": [{"path": f"{tmp_path}/ones.tsv", "task": task}],
    }
    line = fails(
        train_command, capsys, write_config(tmp_path, tiny_folder, pairs_file, data=data, loss=BCE)
    )
    assert "ones: all 2 labels are 1: " in line
    assert line.endswith(
        "is undefined, so it cannot choose the best model; give it rows with other labels"
    )
    assert not (tmp_path / "runs").exists()


def test_labels_out_of_range_stop_before_the_first_step(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    data = {"train": [{"path": str(pairs_file)}]}  # 0 to 5, and no range says so
    line = fails(
        train_command, capsys, write_config(tmp_path, tiny_folder, pairs_file, data=data, loss=BCE)
    )
    assert (
        "pairs.tsv, line 2: the score 5.00 is outside [0, 1]; set range to the file's lowest"
        in line
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--loss", BCE, "--model.pooling", "mean"],
            "model.pooling, model.layer and model.dense are for a bi-encoder; "
            f"{BCE} trains a cross",
        ),
        (
            ["--loss", BCE, "--model.layer", "-2"],
            "model.pooling, model.layer and model.dense are for a bi-encoder",
        ),
        (
            ["--model.new_head", "true"],
            "model.new_head is for a cross-encoder; CosineSimilarityLoss trains a bi-encoder",
        ),
        (
            ["--loss", "CrossEntropyLoss"],
            "CrossEntropyLoss reads 2 texts and class labels (task nli); pairs has 2 texts, task",
        ),
        (
            ["--loss", "LocalizedContrastiveLoss"],
            "reads 3 or more texts and no labels (task triplet); pairs has 2 texts",
        ),
        (["--loss", "MSELoss", "--loss.activation", "tanh"], "tanh"),
    ],
)
def test_options_that_do_not_fit(
    tmp_path, tiny_folder, pairs_file, train_command, capsys, options, message
):
    config = write_config(tmp_path, tiny_folder, pairs_file)
    assert message in fails(train_command, capsys, config, *options)
    assert not (tmp_path / "runs").exists()


def test_options_of_evaluate_that_do_not_fit(
    tmp_path, tiny_folder, pairs_file, evaluate_command, capsys
):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "cross")
    scores = pairs_file_in_01(tmp_path)
    line = fails(
        evaluate_command,
        capsys,
        "--model",
        tmp_path / "cross",
        "--data",
        scores,
        "--pooling",
        "mean",
    )
    assert "pooling: only for a bi-encoder; " in line
    line = fails(
        evaluate_command, capsys, "--model", tiny_folder, "--data", scores, "--symmetric", "true"
    )
    assert "symmetric is for a cross-encoder" in line
