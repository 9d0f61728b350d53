"""What a run says before its first step: its datasets, its model, its steps."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from accelerate import Accelerator

from sbert.evaluation import figures
from sbert.evaluation.prompts import (
    column_prompts,
    describe_cut,
    describe_prompts,
    unused_prompts_note,
)
from sbert.models.active_embedding import ActiveEmbedding
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.encoder import Encoder
from sbert.training.config import OptimConfig, TrainConfig
from sbert.training.datasets import RunData, TrainingPart
from sbert.training.loop import Training
from sbert.training.objectives.objective import TrainingSet


def describe_datasets(data: RunData, model: Encoder, training_sets: Sequence[TrainingSet]) -> str:
    """The size and the prompts of every dataset, and how much of it max_length cuts."""
    lines, without_prompt = [], []
    cuts = chain.from_iterable(one.cuts for one in training_sets)
    for part, datasets in (("train", data.train), ("dev", data.dev), ("test", data.test)):
        for rows in datasets:
            facts = [rows.describe()]
            prompts = column_prompts(rows, model)
            if any(prompt.text for prompt in prompts):
                facts.append(f"prompt {describe_prompts(prompts)}")
            else:
                without_prompt.append(rows.name)
            cut = next(cuts) if part == "train" else describe_cut(rows, model, prompts)
            if cut:
                facts.append(f"max_length {model.max_length}: {cut}")
            lines.append(f"{part:5} {'; '.join(facts)}")
    lines += [f"warning: {text}" for text in map(classes_of_one_row, data.parts) if text]
    note = unused_prompts_note(without_prompt, model)
    if note:
        lines.append(f"note: {note}")
    if not data.dev:
        lines.append("dev   none: the last model will be taken for the best")
    if "sts" in [rows.task for rows in data.dev] and not figures.matplotlib_available():
        lines.append(
            "no figures in TensorBoard because matplotlib is not installed: "
            "pip install -e '.[plots]'"
        )
    return "\n".join(lines)


def classes_of_one_row(part: TrainingPart) -> str | None:
    """How many classes a loss has one training row of, with the name of the first; or None."""
    if part.loss.target != "class" or not part.classes:
        return None
    labels = np.concatenate([rows.labels for rows in part.train])
    counts = np.bincount(labels, minlength=len(part.classes))
    alone = np.flatnonzero(counts == 1)
    if not len(alone):
        return None
    names = ", ".join(rows.name for rows in part.train)
    number = f"{len(alone):,} of {len(counts):,} classes"
    return f"{names}: {number} have 1 training row, the first {part.classes[alone[0]]}"


def describe_training(config: TrainConfig, data: RunData, training: Training) -> str:
    """The number of steps and of weights, precision and device, the loss of each dataset."""
    objective, accelerator = training.objective, training.accelerator
    model = objective.model
    kind = "cross-encoder" if isinstance(model, CrossEncoder) else "bi-encoder"
    total, trained = 0, 0
    for weight in objective.parameters():
        total += weight.numel()
        trained += weight.numel() * weight.requires_grad
    lines = [
        f"{training.total:,} steps of {_describe_batch(config.optim)}, "
        f"{kind} of {total / 1e6:.1f} M weights, {trained / 1e6:.2f} M trained, "
        f"{used_precision(model, accelerator)} on {accelerator.num_processes} x "
        f"{accelerator.device.type}"
    ]
    embeddings = objective.model.transformer.get_input_embeddings()
    if isinstance(embeddings, ActiveEmbedding):
        lines.append(
            f"word embeddings: {len(embeddings.weight):,} of {len(embeddings.row):,} are trained, "
            "those of the tokens in the training data; the others only decay"
        )
    for part, rows in zip(data.parts, training.data, strict=True):
        if part.loss.reads_tokens:
            lines.append(f"{type(part.loss).__name__} reads {len(rows):,} distinct texts")
    named = [f"{type(one.loss).__name__} of {one.name}" for one in data.parts if one.name]
    if named:
        lines.append(f"a batch is of one dataset, {config.data.mix}: {', '.join(named)}")
    return "\n".join(lines)


def _describe_batch(optim: OptimConfig) -> str:
    if optim.batch_tokens is None:
        return f"{optim.batch_size} rows"
    return f"up to {optim.batch_tokens:,} tokens"


def used_precision(model: Encoder, accelerator: Accelerator) -> str:
    """What auto stands for, and fp32 for a model that computes in nothing else."""
    return "fp32" if model.fp32_only else accelerator.mixed_precision.replace("no", "fp32")
