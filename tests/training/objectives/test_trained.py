"""Runs that train a part of the weights: LoRA, frozen parts; and gradient checkpointing."""

import shutil

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file, save_file
from support import fails, same_state, saved_state, write_config

from sbert import BiEncoder, InputError
from sbert.data.rows import Rows
from sbert.losses.base import Loss
from sbert.losses.cross_encoder import BinaryCrossEntropyLoss
from sbert.losses.similarity import CoSENTLoss, CosineSimilarityLoss
from sbert.models import adapters
from sbert.models.config import LoraConfig
from sbert.training.config import ModelConfig
from sbert.training.objectives.grad_cache import GradientCache
from sbert.training.objectives.make import make_objective
from sbert.training.objectives.objective import Objective, TrainingSet, prepare_for_device
from sbert.training.objectives.trained import enable_gradient_checkpointing

LORA = {"rank": 4, "target_modules": "all-linear"}
BCE = "BinaryCrossEntropyLoss"


def objective_of(folder, loss: Loss | None = None, **options) -> Objective:
    """What a run with `model: {path: folder, **options}` trains."""
    model = ModelConfig(str(folder), **options)
    return make_objective(model, [loss or CosineSimilarityLoss()], None, seed=1)


def trained_names(state) -> set[str]:
    """The weights of the transformer in a checkpoint."""
    start = "objective.model.transformer."
    return {name.removeprefix(start) for name in state if name.startswith(start)}


def test_lora_run_of_a_cross_encoder(
    tmp_path, tiny_folder, pairs_file, train_command, train_interrupted
):
    """Interrupted and resumed it equals an uninterrupted one, bit for bit; last/ holds what is
    trained, and best/ is a whole model."""
    pytest.importorskip("peft")
    config = write_config(
        tmp_path,
        tiny_folder,
        pairs_file,
        model={"path": str(tiny_folder), "lora": LORA},
        loss=BCE,
        optim={"lr": 1e-3, "batch_size": 8, "epochs": 1},
        loop={"precision": "fp32", "log_steps": 2, "save_steps": 2},
    )
    train_command(config)
    train_interrupted(config, after=3)
    run, cut = tmp_path / "runs/run", tmp_path / "runs/cut"
    assert same_state(run, cut) == []
    best = [(folder / "best/model.safetensors").read_bytes() for folder in (run, cut)]
    assert best[0] == best[1]
    state = saved_state(run)
    head = {name for name in trained_names(state) if ".lora_" not in name}
    assert {name.rpartition(".")[0] for name in head} == {"classifier", "bert.pooler.dense"}
    assert len(trained_names(state) - head) == 2 * 3 * 6  # A and B, layers, linear layers of each
    moments = {name for name in state if name.endswith("exp_avg")}
    assert len(moments) == len(trained_names(state))
    weights, base = (load_file(path / "model.safetensors") for path in (run / "best", tiny_folder))
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(weights[f"bert.{name}"], base[name])
    name = "encoder.layer.0.attention.self.key.weight"
    assert not torch.equal(weights[f"bert.{name}"], base[name])


def test_lora_run_that_saves_the_adapter(tmp_path, tiny_folder, pairs_file, train_command, capsys):
    """best/ is the adapter; it is not resumed with another base, and no base of an adapter."""
    pytest.importorskip("peft")
    base = tmp_path / "base"
    shutil.copytree(tiny_folder, base)
    lora = LORA | {"save": "adapter"}
    optim = {"lr": 1e-3, "batch_size": 8, "steps": 2}
    model = {"path": str(base), "lora": lora}
    config = write_config(tmp_path, base, pairs_file, model=model, optim=optim)
    train_command(config)
    run = tmp_path / "runs/run"
    assert all(".lora_" in name for name in trained_names(saved_state(run)))
    assert not (run / "best/model.safetensors").exists()
    texts = ["the cat sits", "red"]
    best = BiEncoder.from_pretrained(run / "best").encode(texts, precision="fp32")
    assert np.abs(best - BiEncoder.from_pretrained(base).encode(texts, precision="fp32")).max() > 0
    with pytest.raises(InputError, match=r"best is an adapter itself; use merged"):
        objective_of(run / "best", lora=LoraConfig(save="adapter"))
    assert objective_of(run / "best", lora=LoraConfig())

    weights = load_file(base / "model.safetensors")
    weights["embeddings.LayerNorm.bias"] += 1
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    message = fails(train_command, capsys, config, "--resume")
    assert "last was written with other frozen weights: it fits another base model" in message


def test_frozen_parts_do_not_change(tmp_path, tiny_folder, pairs_file, train_command):
    """They have no state, not even weight decay; best/ is whole."""
    model = {"path": str(tiny_folder), "freeze": ["embeddings", "encoder.layer.1"]}
    optim = {"lr": 1e-3, "batch_size": 8, "steps": 2}
    train_command(write_config(tmp_path, tiny_folder, pairs_file, model=model, optim=optim))
    state = saved_state(tmp_path / "runs/run")
    trained = trained_names(state)
    assert {name[: len("encoder.layer.0")] for name in trained} == {
        "encoder.layer.0",
        "encoder.layer.2",
    }
    assert sum(name.endswith("exp_avg") for name in state) == len(trained)
    best = BiEncoder.from_pretrained(tmp_path / "runs/run/best").transformer.state_dict()
    before = BiEncoder.from_pretrained(tiny_folder).transformer.state_dict()
    assert best.keys() == before.keys()
    changed = {name for name in best if not torch.equal(best[name], before[name])}
    assert changed == trained


def test_what_is_drawn_anew_depends_on_the_seed_alone(tiny_folder):
    """Also where it is frozen: random features, which a resumed run has again."""
    model = ModelConfig(str(tiny_folder), reinitialize=["embeddings"], freeze=["embeddings"])
    first, again, other = (
        make_objective(model, [CosineSimilarityLoss()], None, seed).model.fingerprint
        for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora": LoraConfig(target_modules=["wq"])}, "has no linear layer wq; known: dense, key"),
        ({"lora": LoraConfig(), "freeze": ["embeddings"]}, "model.lora freezes the whole encoder"),
        ({"lora": LoraConfig(save="adapter"), "layer": -2}, "a base with all its layers"),
        (
            {"freeze": ["encoder.layer.7"]},
            "model.freeze: no weights are called encoder.layer.7; known: embeddings, "
            "encoder.layer.0, encoder.layer.1, encoder.layer.2, pooler",
        ),
        ({"freeze": ["encoder.lay"]}, "model.freeze: no weights are called encoder.lay; known"),
        ({"freeze": ["embeddings", "encoder"]}, "model.freeze: nothing is left to train"),
        (
            {"lora": LoraConfig(save="adapter"), "reinitialize": ["all"]},
            "names a base with its own weights, not those of model.reinitialize; use merged",
        ),
    ],
)
def test_options_that_do_not_fit(tiny_folder, options, message):
    pytest.importorskip("peft")
    with pytest.raises(InputError) as caught:
        objective_of(tiny_folder, **options)
    assert message in str(caught.value)


def test_lora_without_peft(tmp_path, tiny_folder, pairs_file, train_command, capsys, monkeypatch):
    monkeypatch.setattr(adapters, "is_peft_available", lambda: False)
    model = {"path": str(tiny_folder), "lora": LORA}
    config = write_config(tmp_path, tiny_folder, pairs_file, model=model)
    assert "model.lora needs peft: pip install -e '.[peft]'" in fails(train_command, capsys, config)
    assert not (tmp_path / "runs").exists()


def gradients(objective: Objective, sentences: list[str], parts: int, precision: str = "no"):
    """Of every trained weight, for a batch of 12 pairs in some parts; dropout from one seed."""
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True, mixed_precision=precision)
    prepare_for_device(objective, accelerator.device, compiled=False)
    wrapped = accelerator.prepare_model(objective).train()
    labels = np.linspace(0, 1, 12, dtype=np.float32)
    data = TrainingSet.from_datasets(
        [Rows("pairs", "sts", [sentences[:12], sentences[12:24]], labels)], objective.model
    )
    batches = [data.batch(np.arange(12)[i::parts]) for i in range(parts)]
    torch.manual_seed(3)
    if objective.losses[0].joint:
        texts, labels = data.texts_and_labels(np.arange(12))
        cache = GradientCache(objective.losses[0], texts, labels, accelerator, parts)
        cache.backward(wrapped, batches)
    else:
        for batch in batches:
            (wrapped(batch) / parts).backward()
    return {name: p.grad.clone() for name, p in objective.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("loss", [CosineSimilarityLoss(), BinaryCrossEntropyLoss(), CoSENTLoss()])
@pytest.mark.parametrize("lora", [None, LoraConfig(**LORA)])
def test_gradient_checkpointing_changes_nothing(tiny_folder, sentences, loss, lora):
    """Bit for bit, with dropout, in parts, with the hook of a cross-encoder's last layer."""
    if lora:
        pytest.importorskip("peft")
    plain, less = (objective_of(tiny_folder, loss, lora=lora) for _ in range(2))
    enable_gradient_checkpointing(less.model.transformer)
    expected, found = (gradients(objective, sentences, parts=2) for objective in (plain, less))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())


def test_gradient_checkpointing_computes_layers_again(tiny, sentences):
    calls = []
    tiny.transformer.encoder.layer[1].attention.register_forward_hook(lambda *_: calls.append(1))
    enable_gradient_checkpointing(tiny.transformer)
    inputs = tiny.tokenizer(sentences[:2], padding=True, return_tensors="pt")
    tiny.train()(inputs["input_ids"], inputs["attention_mask"]).sum().backward()
    assert len(calls) == 2
    tiny.encode(sentences[:1])
    assert len(calls) == 3


def test_gradient_checkpointing_where_it_is_not_supported(tiny, monkeypatch):
    monkeypatch.setattr(type(tiny.transformer), "supports_gradient_checkpointing", False)
    with pytest.raises(InputError) as caught:
        enable_gradient_checkpointing(tiny.transformer)
    assert str(caught.value) == "loop.gradient_checkpointing: BertModel does not support it"


@pytest.mark.parametrize("loss", [BinaryCrossEntropyLoss(), CoSENTLoss()])
def test_lora_in_parts_and_in_bf16(steady_folder, sentences, loss):
    """The gradient cache and autocast, as without LoRA."""
    pytest.importorskip("peft")
    lora = LoraConfig(**LORA, dropout=0)
    whole, parts, low = (objective_of(steady_folder, loss, lora=lora) for _ in range(3))
    expected = gradients(whole, sentences, parts=1)
    for name, gradient in gradients(parts, sentences, parts=3).items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-3)
    flat = torch.cat([gradient.flatten() for gradient in expected.values()])
    found = torch.cat([g.flatten() for g in gradients(low, sentences, 1, "bf16").values()])
    assert torch.cosine_similarity(found, flat, dim=0) > 0.999
    assert not torch.equal(found, flat)
