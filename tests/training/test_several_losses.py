"""A loss for each dataset of a run: what each step computes, heads saved, resumed, evaluated."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from support import (
    copied,
    fails,
    metrics,
    same_state,
    saved_state,
    train_with_two_processes,
    write_config,
)
from torch.nn.utils import clip_grad_norm_

from sbert import BiEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows, read_dataset
from sbert.errors import InputError
from sbert.evaluation.scorers import bi_encoder_scorer
from sbert.evaluation.supported import find_classifier
from sbert.losses.cross_encoder import BinaryCrossEntropyLoss, CrossEntropyLoss, MSELoss
from sbert.losses.ranking import MultipleNegativesRankingLoss
from sbert.losses.saved import TrainedLoss, load_losses
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss
from sbert.training.batches import check_weights
from sbert.training.config import ModelConfig
from sbert.training.datasets import TrainingPart, check_together, training_parts
from sbert.training.loop import Training
from sbert.training.objectives.make import make_objective
from sbert.training.objectives.objective import Objective, TrainingSet
from sbert.training.sampler import Sampler

WORDS = ["cat", "dog", "small cat", "man", "red house", "park"]
CLASSES = ["contradiction", "entailment", "neutral"]
LOSSES = {
    "nli": "SoftmaxLoss",
    "sts": {"class_path": "CosineSimilarityLoss", "init_args": {"learnable_scale": True}},
    "search": "MultipleNegativesRankingLoss",
}
OPTIM = {"lr": 1e-3, "batch_size": 5, "epochs": 1, "max_grad_norm": 0.1, "eps": 1e-3}


@pytest.fixture
def datasets(tmp_path, pairs_file) -> dict[str, dict]:
    """Classes of 13 pairs, scores of 32 pairs, 11 queries with one or two negatives."""
    nli, search = tmp_path / "nli.tsv", tmp_path / "search.jsonl"
    lines = [f"the {WORDS[i % 6]} sits\ta {WORDS[i % 5]}\t{CLASSES[i % 3]}" for i in range(13)]
    nli.write_text("\n".join(["premise\thypothesis\tlabel", *lines]), "utf-8")
    rows = []
    for i in range(11):
        negatives = [f"the {WORDS[(i + 1 + c) % 6]} runs" for c in range(1 + i % 2)]
        rows.append({"query": f"a {WORDS[i % 6]}", "positive": "on it", "negatives": negatives})
    search.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return {
        "nli": {"path": str(nli), "name": "nli"},
        "sts": {"path": str(pairs_file), "range": [0, 5], "name": "sts"},
        "search": {"path": str(search), "name": "search"},
    }


@pytest.fixture
def config_of(tmp_path, pairs_file, datasets):
    """Writes the configuration of a run on all three, evaluated on copies of the first two."""

    def write(encoder, mix="proportional", **changes):
        nli = dict(datasets["nli"], path=str(copied(tmp_path / "nli.tsv")), name="nli-dev")
        sts = dict(datasets["sts"], path=str(copied(pairs_file)), name="sts-dev")
        data = {"train": list(datasets.values()), "dev": [nli, sts], "mix": mix}
        changes = {"data": data, "loss": LOSSES, "optim": OPTIM} | changes
        return write_config(tmp_path, encoder, pairs_file, **changes)

    return write


@pytest.mark.parametrize("mix", ["proportional", "round_robin"])
def test_steps_are_those_of_objectives_with_one_loss_each(
    tmp_path, steady_folder, config_of, datasets, train_command, mix
):
    """A plain loop: one AdamW, and in each step the loss of the batch's own dataset alone."""
    train_command(config_of(steady_folder, mix), "--optim.word_embeddings", "all")
    run = tmp_path / "runs/run"
    rows = [read_dataset(DatasetConfig(**options)) for options in datasets.values()]
    losses = [
        SoftmaxLoss(),
        CosineSimilarityLoss(learnable_scale=True),
        MultipleNegativesRankingLoss(),
    ]
    whole = make_objective(ModelConfig(str(steady_folder)), losses, None, seed=42)
    objectives = [Objective(whole.model, loss) for loss in whole.losses]
    data = [TrainingSet.from_datasets([one], whole.model) for one in rows]
    sizes = tuple(len(one) for one in rows)
    lengths = np.concatenate([one.lengths for one in data])
    in_turn = mix == "round_robin"
    sampler = Sampler(lengths, 5, 42, sizes=sizes, separate=True, in_turn=in_turn)
    batches = sampler.epoch(0)
    trained = [weight for weight in whole.parameters() if weight.requires_grad]
    groups = [
        {"params": [w for w in trained if w.ndim > 1], "weight_decay": 0.01},
        {"params": [w for w in trained if w.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, eps=1e-3)
    values, total = [], len(batches)
    for step, batch in enumerate(batches):
        dataset = int((batch[0] >= np.cumsum(sizes)).sum())
        warmup = round(0.1 * total)
        factor = step / warmup if step < warmup else 1 - (step - warmup) / (total - warmup)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * factor
        own = batch - sum(sizes[:dataset])
        loss = objectives[dataset](data[dataset].batch(own))
        loss.backward()
        clip_grad_norm_(trained, 0.1)
        optimizer.step()
        optimizer.zero_grad()
        values.append((dataset, loss.item()))
    assert {dataset for dataset, _ in values} == {0, 1, 2}
    assert [row["loss"] for row in metrics(run)] == pytest.approx(
        [value for _, value in values], rel=1e-4
    )
    for row, (dataset, _) in zip(metrics(run), values, strict=True):
        curves = {name: value for name, value in row.items() if name.startswith("loss/")}
        assert curves == {f"loss/{[*LOSSES][dataset]}": row["loss"]}
    state, expected = saved_state(run), whole.state_dict()
    names = [name for name in state if name.startswith("objective.")]
    assert {"objective.losses.0.head.bias", "objective.losses.1.scale"} < set(names)
    for name in names:
        weight = expected[name.removeprefix("objective.")]
        torch.testing.assert_close(state[name], weight, atol=1e-5, rtol=1e-4, msg=name)


def test_a_loss_that_has_no_part_in_a_step_is_not_moved(
    tmp_path, steady_folder, config_of, train_command, monkeypatch
):
    """Neither by weight decay nor by its momentum."""
    update, seen = Training.update, set()

    def watched(self):
        which, _ = self.next_batch()
        before = [weight.clone() for weight in self.objective.other_weights(which)]
        update(self)
        assert all(map(torch.equal, before, self.objective.other_weights(which)))
        seen.add((which, len(before)))

    monkeypatch.setattr(Training, "update", watched)
    train_command(config_of(steady_folder, "round_robin"), "--optim.steps", "6")
    # of the head two, of the scale of the cosine two, of the ranking loss none
    assert seen == {(0, 2), (1, 2), (2, 4)}


def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path, tiny_folder, config_of, train_command, train_interrupted
):
    """Bit for bit, with dropout and two losses with weights."""
    loop = {"precision": "fp32", "save_steps": 3}
    config = config_of(tiny_folder, "round_robin", loop=loop)
    train_command(config)
    train_interrupted(config, after=8)
    full, cut = tmp_path / "runs/run", tmp_path / "runs/cut"
    assert same_state(full, cut) == []
    assert metrics(cut, "dev") == metrics(full, "dev")
    for file in ("loss.nli.safetensors", "loss.sts.safetensors"):
        a, b = (load_file(run / "best" / file) for run in (full, cut))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_two_processes_and_parts_equal_one(tmp_path, steady_folder, config_of, train_command):
    train_command(config_of(steady_folder))
    train_with_two_processes(config_of(steady_folder, optim=OPTIM | {"accumulate": 2}))
    one, two = tmp_path / "runs/run", tmp_path / "runs/two"
    for a, b in zip(metrics(one), metrics(two), strict=True):
        assert (b["loss"], b["grad_norm"]) == pytest.approx((a["loss"], a["grad_norm"]), rel=1e-4)
    a, b = saved_state(one), saved_state(two)
    for name in a:
        if name.startswith("objective."):
            torch.testing.assert_close(b[name], a[name], atol=1e-5, rtol=1e-4, msg=name)


def test_heads_are_saved_and_evaluate_the_dataset_of_their_classes(
    tmp_path, steady_folder, config_of, train_command, evaluate_command, capsys
):
    train_command(config_of(steady_folder), "--optim.steps", "4")
    assert (
        "a batch is of one dataset, proportional: SoftmaxLoss of nli, CosineSimilarityLoss of sts, "
        "MultipleNegativesRankingLoss of search\n"
    ) in capsys.readouterr().out
    best = tmp_path / "runs/run/best"
    files = {path.name for path in best.glob("loss*")}
    assert files == {"loss.nli.safetensors", "loss.sts.safetensors"}
    losses = {one.dataset: one for one in load_losses(best, 32)}
    assert losses["nli"].classes == CLASSES
    assert type(losses["nli"].loss) is SoftmaxLoss
    assert type(losses["sts"].loss) is CosineSimilarityLoss
    test = copied(tmp_path / "nli.tsv")
    output = tmp_path / "table.json"
    argv = ("--model", best, "--data", test, "--output", output, "--precision", "fp32")
    evaluate_command(*argv, "--resamples", "0")
    [found] = json.loads(output.read_text("utf-8"))["results"]
    rows = read_dataset(DatasetConfig(str(test)))
    model = BiEncoder.from_pretrained(best)
    u, v = (torch.from_numpy(model.encode(column, precision="fp32")) for column in rows.texts)
    predicted = losses["nli"].loss.logits(u, v).argmax(dim=1).numpy()
    assert found["metrics"]["accuracy"] == pytest.approx((predicted == rows.labels).mean())


def head(dataset, classes) -> TrainedLoss:
    return TrainedLoss(SoftmaxLoss(len(classes)).bind(3), list(classes), dataset)


def test_which_head_classifies_a_dataset():
    heads = [head("a", "xy"), head("b", "xyz"), head("c", "xyz")]
    scorer = bi_encoder_scorer(None, [TrainedLoss(CosineSimilarityLoss(), None, "d"), *heads])

    def found(name: str, classes: str) -> str:
        rows = Rows(name, "nli", [["s"], ["t"]], np.zeros(1, int), classes=list(classes))
        return find_classifier(rows, scorer).dataset

    assert found("dev", "xy") == "a"  # the one with these classes
    assert found("c", "xyz") == "c"  # the one of this name
    for classes, count in (("xyz", 2), ("yx", 0)):
        with pytest.raises(InputError) as error:
            found("dev", classes)
        assert str(error.value) == (
            f"dev: {count} of the heads for a, b, c have its classes, {', '.join(classes)}; give "
            "it the name of the dataset whose head is to classify it"
        )


def rows_named(name: str, **options) -> Rows:
    return Rows(name, "sts", [["s"], ["t"]], np.zeros(1, np.float32), **options)


@pytest.mark.parametrize(
    ("names", "losses", "message"),
    [
        ("ab", "a", "loss: dataset b has none; give one for each of a, b"),
        ("a", "ac", "loss.c: no training dataset has this name; they are a"),
        (
            "aa",
            "a",
            "data.train: two datasets are named a, and loss tells them apart by their names; set "
            "another name for one of them",
        ),
    ],
)
def test_losses_and_datasets_that_do_not_match(names, losses, message):
    losses = {name: CosineSimilarityLoss() for name in losses}
    with pytest.raises(InputError) as error:
        training_parts(losses, [rows_named(name) for name in names])
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (
            [CosineSimilarityLoss(), BinaryCrossEntropyLoss()],
            "loss: CosineSimilarityLoss (0), BinaryCrossEntropyLoss (1): one is for a bi-encoder, "
            "the other for a cross-encoder",
        ),
        (
            [BinaryCrossEntropyLoss(), CrossEntropyLoss(3)],
            "loss: BinaryCrossEntropyLoss (0), CrossEntropyLoss (1): the outputs of the "
            "cross-encoder must be the same for both, and are 1 with sigmoid, and 3 with softmax",
        ),
        (
            [BinaryCrossEntropyLoss(), MSELoss()],
            "loss: BinaryCrossEntropyLoss (0), MSELoss (1): the outputs of the cross-encoder must "
            "be the same for both, and are 1 with sigmoid, and 1 with identity",
        ),
    ],
)
def test_losses_that_cannot_train_one_encoder(losses, message):
    parts = [TrainingPart(loss, [rows_named("x")], str(i)) for i, loss in enumerate(losses)]
    with pytest.raises(InputError) as error:
        check_together(parts)
    assert str(error.value) == message
    check_together([TrainingPart(MSELoss("sigmoid"), [], "x"), parts[0]][:1])


def test_weights_in_round_robin_are_refused():
    with pytest.raises(InputError) as error:
        check_weights([rows_named("a", weight=2.0)], "round_robin")
    assert str(error.value) == (
        "data.mix: round_robin takes as many batches of each dataset, but a has a weight; leave "
        "one of the two out"
    )


def test_a_loss_that_cannot_read_its_dataset_is_named(
    steady_folder, config_of, train_command, capsys
):
    line = fails(
        train_command, capsys, config_of(steady_folder, loss=LOSSES | {"nli": "CoSENTLoss"})
    )
    assert "CoSENTLoss reads 2 texts and score labels (task sts or binary); nli has 2" in line


def test_one_loss_may_take_its_datasets_in_turn(tmp_path, steady_folder, pairs_file, train_command):
    train = [
        {"path": str(pairs_file), "range": [0, 5], "name": "all"},
        {"path": str(copied(pairs_file)), "range": [0, 5], "name": "few", "limit": 8},
    ]
    data = {"train": train, "mix": "round_robin"}
    train_command(write_config(tmp_path, steady_folder, pairs_file, data=data, optim=OPTIM))
    # 40 rows, 20 from each, in 4 batches each
    assert len(metrics(tmp_path / "runs/run")) == 8
