"""Runs of a language model: the loss of a batch, its mean over parts and processes, dev, best/."""

import gzip
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from accelerate import Accelerator
from boards import board
from families import FAMILIES, write_encoder
from support import (
    copied,
    fails,
    metrics,
    same_state,
    saved_state,
    train_with_two_processes,
    write_config,
)
from tiny_models import ids_of, mpnet_tokenizer, write_tiny
from transformers import MODEL_FOR_MASKED_LM_MAPPING

from sbert import BiEncoder
from sbert.data.rows import Rows
from sbert.losses import MaskedLanguageModelLoss
from sbert.losses.saved import load_losses
from sbert.training.config import ModelConfig
from sbert.training.objectives.language_model import make_token_losses
from sbert.training.objectives.make import make_objective, make_training_set

NAME = "MaskedLanguageModelLoss"
# a large eps, because the gradient of a key's bias is 0 but for rounding
OPTIM = {"lr": 1e-2, "batch_size": 7, "steps": 6, "warmup": 0, "eps": 1e-3}


def rows_of(texts: list[str], name: str = "some") -> Rows:
    return Rows(name, "text", [texts], None, lines=np.arange(len(texts)) + 1, files=["some.txt"])


@pytest.fixture
def made(steady_folder, sentences):
    """An objective, and the distinct sentences as its training set."""
    loss = MaskedLanguageModelLoss(mask_share=0.3)
    objective = make_objective(ModelConfig(str(steady_folder)), [loss], None, seed=1)
    return objective, make_training_set(loss, [rows_of(sentences)], objective.model)


@pytest.fixture
def dev_file(tmp_path, sentences):
    path = tmp_path / "dev.txt"
    path.write_text("".join(f"{text} house\n" for text in sentences[:15]), "utf-8")
    return path


@pytest.fixture
def config_of(tmp_path, pairs_file, dev_file):
    """Writes the configuration of a run on both columns of a table of pairs, with a dev text."""

    def write(encoder, **changes):
        train = {"path": str(pairs_file), "range": [0, 5], "name": "pairs"}
        data = {"train": [train], "dev": [{"path": str(dev_file), "name": "dev"}]}
        loop = {"precision": "fp32", "log_steps": 1, "evaluate_steps": 3}
        changes = {"data": data, "loss": NAME, "optim": OPTIM, "loop": loop} | changes
        return write_config(tmp_path, encoder, pairs_file, **changes)

    return write


def plain_losses(objective, data, rows, draw) -> list[float]:
    """The loss of every masked token, text by text, without padding."""
    model, loss = objective.model, objective.losses[0]
    losses = []
    for row in rows:
        text = data.texts[row, 0]
        chosen = data.masking.choose(data.table, np.array([text]), draw)
        ids = torch.tensor(ids_of(data.table, text))
        ids[chosen.position] = torch.from_numpy(chosen.shown).long()
        states = model.transformer(ids[None]).last_hidden_state[0]
        logits = loss.logits(states, model.transformer.get_input_embeddings().weight)
        for position, token in zip(chosen.position, chosen.token, strict=True):
            assert token == ids_of(data.table, text)[position]
            losses.append(-F.log_softmax(logits[position], dim=0)[token].item())
    return losses


def test_the_loss_is_the_mean_over_the_masked_tokens(made):
    objective, data = made
    rows = np.array([3, 11, 0, 30, 8])
    batch = data.batch(rows, (4, 2))
    expected = plain_losses(objective, data, rows, (4, 2))
    assert len(batch["labels"]) == len(expected) == data.count_targets(rows, (4, 2)).sum()
    assert objective(batch).item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_the_decoder_is_tied_to_the_word_embeddings(made):
    """The softmax gives every piece a gradient, also those that no text of the batch has."""
    objective, data = made
    batch = data.batch(np.arange(4))
    objective(batch).backward()
    gradient = objective.model.transformer.get_input_embeddings().weight.grad
    assert len(batch["input_ids"].unique()) < len(gradient)
    assert gradient.any(dim=1).all()


def test_every_distinct_text_of_all_columns_is_a_row(tiny, sentences):
    pairs = Rows("pairs", "pair", [sentences[:10], sentences[5:15]], None)
    more = Rows("more", "triplet", [sentences[12:18], ["the big cat"] * 6, [None] * 6], None)
    data = make_training_set(MaskedLanguageModelLoss(), [pairs, more], tiny)
    found = [tiny.tokenizer.decode(ids_of(data.table, row)[1:-1]) for row in data.texts[:, 0]]
    first = list(dict.fromkeys(text for row in zip(*pairs.texts, strict=True) for text in row))
    texts = list(dict.fromkeys([*sentences[12:18], "the big cat"]))
    second = [text for text in texts if text not in first]
    assert found[: len(first)] == first
    assert set(found[len(first) :]) == set(second)
    assert data.sizes == (len(first), len(second))


def test_parts_and_processes_change_nothing(tmp_path, steady_folder, config_of, train_command):
    """Though they have different numbers of masked tokens; the losses are those of a plain mean."""
    whole = config_of(steady_folder)
    train_command(whole)
    train_with_two_processes(config_of(steady_folder, optim=OPTIM | {"accumulate": 2}))
    train_command(config_of(steady_folder, optim=OPTIM | {"accumulate": 4}), "--name", "parts")
    one = tmp_path / "runs/run"
    for name in ("two", "parts"):
        other = tmp_path / "runs" / name
        for kind in ("train", "dev", "before"):
            assert len(metrics(other, kind)) == len(metrics(one, kind))
            for a, b in zip(metrics(one, kind), metrics(other, kind), strict=True):
                for key in {"loss", "grad_norm", "dev/negative_loss"} & a.keys():
                    assert b[key] == pytest.approx(a[key], rel=1e-4), (name, key)
        for key, weight in saved_state(one).items():
            if key.startswith("objective."):
                other_weight = saved_state(other)[key]
                torch.testing.assert_close(other_weight, weight, atol=1e-4, rtol=1e-3, msg=key)


def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path, tiny_folder, config_of, train_command, train_interrupted
):
    """Bit for bit, with dropout and the head; the masks depend on the step alone."""
    config = config_of(tiny_folder)
    train_command(config)
    train_interrupted(config, after=4)
    full, cut = tmp_path / "runs/run", tmp_path / "runs/cut"
    assert same_state(full, cut) == []
    assert {"objective.losses.0.bias", "objective.losses.0.dense.weight"} < saved_state(cut).keys()
    losses = [[row["loss"] for row in metrics(run)] for run in (full, cut)]
    assert losses[0] == losses[1]
    assert metrics(cut, "dev") == metrics(full, "dev")


def test_the_best_model_is_an_encoder_without_the_head(
    tmp_path, steady_folder, config_of, train_command, capsys
):
    model = {
        "path": str(steady_folder),
        "pooling": "cls",
        "prompts": {"query": "the "},
        "default_prompt_name": "query",
    }
    train_command(config_of(steady_folder, model=model))
    run = tmp_path / "runs/run"
    best = BiEncoder.from_pretrained(run / "best")
    assert (best.pooling, best.prompts, best.find_prompt()) == (["cls"], {"query": "the "}, "the ")
    state = {
        name.removeprefix("objective.model."): weight
        for name, weight in saved_state(run).items()
        if name.startswith("objective.model.")
    }
    trained = BiEncoder.from_pretrained(steady_folder, pooling="cls", prompts=model["prompts"])
    trained.load_state_dict(state, strict=False)
    texts = ["the cat sits", "a dog"]
    assert (best.encode(texts, "fp32") == trained.encode(texts, "fp32", prompt="the ")).all()
    [head] = load_losses(run / "best", best.dim)
    assert torch.equal(head.loss.bias, saved_state(run)["objective.losses.0.bias"])
    after, before = metrics(run, "dev")[-1], metrics(run, "before")[0]
    assert after["dev/negative_loss"] > before["dev/negative_loss"]
    events = board(run)
    for tag, name in (
        ("dev/dev", "negative_loss"),
        ("values/dev/dev/loss", "loss"),
        ("values/dev/dev/perplexity", "perplexity"),
    ):
        assert events.Scalars(tag)[-1].value == pytest.approx(after[f"dev/{name}"], rel=1e-5)
    card = (run / "best/README.md").read_text("utf-8")
    assert NAME in card
    assert "negative_loss (x 1)" in card
    assert "trained by masked-language modelling" in card
    said = capsys.readouterr().out
    assert f"| {after['dev/perplexity']:.2f} |" in said
    assert f"{NAME} reads 34 distinct texts" in said
    assert f"step 6: dev {after['dev/negative_loss']:.2f} (best)" in said


def test_dev_has_the_same_masks_in_every_run(made, sentences):
    """Perplexity is exp of the mean loss of all masked tokens."""
    objective, data = made
    accelerator = Accelerator(cpu=True)
    losses = make_token_losses(objective.model, objective.losses[0], "fp32", accelerator)
    texts = list(dict.fromkeys(sentences))
    total, number = losses([texts], [""]).T
    expected = plain_losses(objective, data, np.arange(len(texts)), (0, 0))
    assert number.sum() == len(expected)
    assert total.sum() / number.sum() == pytest.approx(np.mean(expected), rel=1e-5)
    assert (losses([texts], [""]).T[0] == total).all()


def test_texts_judge_a_language_model_where_there_are_some(
    tmp_path, steady_folder, config_of, pairs_file, dev_file, train_command
):
    """Scored pairs in dev are curves beside; in test they are evaluated as ever."""
    held_out = {"path": str(copied(pairs_file)), "range": [0, 5], "name": "sts"}
    data = {
        "train": [{"path": str(pairs_file), "range": [0, 5], "name": "pairs"}],
        "dev": [held_out, {"path": str(dev_file), "name": "dev"}],
        "test": [held_out | {"name": "sts-test"}],
    }
    train_command(config_of(steady_folder, data=data))
    run = tmp_path / "runs/run"
    dev = [row for row in metrics(run, "dev") if "dev/negative_loss" in row]
    best = max(row["dev/negative_loss"] for row in dev)
    facts = yaml.safe_load((run / "result.json").read_text("utf-8"))
    by_name = {result["dataset"]: result for result in facts["results"]}
    assert by_name["dev"]["after"]["negative_loss"] == pytest.approx(best, rel=1e-5)
    perplexity = by_name["dev"]["after"]["perplexity"]
    assert perplexity == pytest.approx(math.exp(-best), rel=1e-4)
    assert {"spearman_cosine", "pearson_cosine"} < by_name["sts-test"]["after"].keys()
    assert facts["train_rows"] == len(
        {text for line in pairs_file.read_text().splitlines()[1:] for text in line.split("\t")[:2]}
    )


TRAINED = [
    family
    for family in FAMILIES
    if family.why_absent is None
    and family.encodes
    and any(one.__name__ == f"{family.classes}Config" for one in MODEL_FOR_MASKED_LM_MAPPING)
]


@pytest.mark.parametrize("family", TRAINED, ids=lambda family: family.name)
def test_a_step_of_every_family(tmp_path, family, sentences):
    """Also where embeddings have another size than states; the same step lowers its own loss."""
    loss = MaskedLanguageModelLoss(whole_words=True)
    folder = write_encoder(family, tmp_path)
    objective = make_objective(ModelConfig(str(folder)), [loss], None, seed=1)
    data = make_training_set(loss, [rows_of(sentences)], objective.model)
    objective.eval()
    batch = data.batch(np.arange(12))
    optimizer = torch.optim.SGD([p for p in objective.parameters() if p.requires_grad], lr=1e-3)
    before = objective(batch)
    before.backward()
    embeddings = objective.word_embeddings
    assert embeddings.grad.any(dim=1).all()
    torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
    optimizer.step()
    assert objective(batch).item() < before.item()


def test_seeds_are_compared_by_their_losses_in_nats(
    tmp_path, steady_folder, config_of, train_command, capsys
):
    train_command(config_of(steady_folder, seed_optimisation={"seeds": 2, "share": 0.5}))
    [row] = metrics(tmp_path / "runs/run", "seeds")
    assert f"seed 1042: dev {row['dev/1042']:.2f} after 3 steps" in capsys.readouterr().out


def write_texts(path, texts):
    raw = "".join(f"{text}\n" for text in texts).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return {"path": str(path)}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["the cat", "☃", "[SEP]"],
            "text.txt.gz: the text '☃' has no token that could be masked, as have 2 of 3 texts; "
            "leave them out",
        ),
        ([], "text.txt.gz: no rows to use (the file has none)"),
    ],
)
def test_texts_that_cannot_be_masked(
    tmp_path, tiny_folder, config_of, train_command, capsys, texts, message
):
    written = write_texts(tmp_path / "text.txt.gz", texts)
    good = write_texts(tmp_path / "good.txt", ["a big dog"])
    for data in ({"train": [written]}, {"train": [good], "dev": [written]}):
        line = fails(train_command, capsys, config_of(tiny_folder, data=data))
        assert message in line
        assert ("line 2 of" in line) == bool(texts)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"train": []}}, "data.train: is empty; name one training dataset or more"),
        (
            {"seed_optimisation": {"seeds": 2}, "loop": {"seed": 2**32 - 1}},
            "seed_optimisation: its last seed is 4294968295; seeds must be below 4294967296",
        ),
        (
            {"loss": {"pairs": NAME, "other": "CoSENTLoss"}},
            f"loss: {NAME} reads tokens and the others embeddings; train with one after the other",
        ),
        (
            {"distillation": {"teacher": "x"}},
            f"distillation: {NAME} does not learn a teacher's embeddings",
        ),
        (
            {"loss": {"class_path": NAME, "init_args": {"mask_share": 1.5}}},
            f"{NAME}.mask_share is 1.5; it must lie between 0 and 1",
        ),
        (
            {"loss": "CosineSimilarityLoss"},
            "dev: task text has no labels to evaluate by; texts are evaluated by train.py with "
            f"{NAME}, or with their classes, as task class",
        ),
    ],
)
def test_options_that_do_not_fit(
    tmp_path, tiny_folder, config_of, train_command, capsys, changes, message
):
    assert message in fails(train_command, capsys, config_of(tiny_folder, **changes))
    assert not (tmp_path / "runs").exists()


def bert_that_decodes(folder):
    write_tiny(folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"is_decoder": True}), "utf-8")


def without_mask_token(folder):
    write_tiny(folder)
    mpnet_tokenizer(model_max_length=64).save_pretrained(folder)


def with_one_token_too_many(folder):
    path = write_tiny(folder) / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    content["model"]["vocab"]["extra"] = len(content["model"]["vocab"])
    path.write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (with_one_token_too_many, "and the model embeddings for"),
        (bert_that_decodes, "its config.json sets is_decoder, so that a token sees those before"),
        (without_mask_token, "the tokenizer has no mask token; declare mask_token in tokenizer_"),
    ],
)
def test_models_that_do_not_predict_masked_tokens(
    tmp_path, config_of, train_command, capsys, write, message
):
    write(tmp_path / "model")
    line = fails(train_command, capsys, config_of(tmp_path / "model"))
    assert message in line
    assert str(tmp_path / "model") in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("mix", ["round_robin", "proportional"])
def test_a_dataset_without_texts_of_its_own_has_no_share(
    tmp_path, tiny_folder, config_of, train_command, capsys, mix
):
    train = [write_texts(tmp_path / f"{name}.txt", ["the cat", "a dog"]) for name in "ab"]
    if mix == "proportional":
        train = [one | {"weight": 1} for one in train]
    config = config_of(tiny_folder, data={"train": train, "mix": mix})
    line = fails(train_command, capsys, config)
    assert "b: the datasets before it have all its texts, so it has none for its share" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "CosineSimilarityLoss"}, "is for MaskedLanguageModelLoss; CosineSimilarityLoss"),
        ({"loop": {"group_by_length": False}}, "it needs loop.group_by_length"),
        ({"data.mix": "round_robin"}, "leave out data.mix and the weights of the datasets"),
        ({"limit": 8}, "optim.batch_tokens is 8, and the longest text has 14 tokens"),
    ],
)
def test_batches_that_cannot_be_counted_in_tokens(
    tmp_path, tiny_folder, config_of, train_command, capsys, changes, message
):
    changes = dict(changes)
    optim = OPTIM | {"batch_tokens": changes.pop("limit", 64)}
    mix = changes.pop("data.mix", "proportional")
    data = {"dev": []} if "loss" in changes else {}
    config = config_of(tiny_folder, optim=optim, **changes)
    options = yaml.safe_load(config.read_text("utf-8"))
    options["data"] |= data | {"mix": mix}
    config.write_text(yaml.safe_dump(options), "utf-8")
    assert message in fails(train_command, capsys, config)


def test_batches_of_tokens(tmp_path, steady_folder, config_of, train_command, capsys):
    """The same steps for any number of parts."""
    optim = OPTIM | {"batch_tokens": 64, "steps": None, "epochs": 1}
    train_command(config_of(steady_folder, optim=optim))
    train_command(config_of(steady_folder, optim=optim | {"accumulate": 3}), "--name", "parts")
    assert "steps of up to 64 tokens" in capsys.readouterr().out
    a, b = ([row["loss"] for row in metrics(tmp_path / "runs" / run)] for run in ("run", "parts"))
    assert len(a) > 4
    assert b == pytest.approx(a, rel=1e-4)
    card = (tmp_path / "runs/run/best/README.md").read_text("utf-8")
    assert "optim.batch_tokens" in card
    assert "optim.batch_size" not in card


def test_pairs_in_both_orders(tmp_path, tiny_folder, config_of, train_command, capsys):
    config = config_of(tiny_folder)
    line = fails(lambda: train_command(config, "--data.both_orders", "true"), capsys)
    assert line.endswith(f"data.both_orders is for pairs; {NAME} reads every text by itself")


def test_rows_of_evaluated_texts_are_left_out(
    tmp_path, tiny_folder, config_of, dev_file, train_command, capsys
):
    """Single texts, whatever their case and punctuation; the counts are printed."""
    own = ["The cat sits.", "a small dog", "the mat"]
    texts = [*dev_file.read_text("utf-8").splitlines()[:4], *own]
    train = write_texts(tmp_path / "text.txt", texts) | {"name": "text"}
    test = tmp_path / "held_out.tsv"
    test.write_text("sentence1\tsentence2\tscore\nthe CAT sits\tno\t1\n", "utf-8")
    dev = {"path": str(dev_file), "name": "dev"}
    data = {"train": [train], "dev": [dev], "held_out": [dev, {"path": str(test), "name": "sts"}]}
    train_command(config_of(tiny_folder, data=data))
    said = capsys.readouterr().out
    assert "text: 2 rows, text; 4 skipped: a text of dev; 1 skipped: a text of sts" in said
