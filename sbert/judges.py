"""Model folders as judges of pairs, for `evaluate.py`: loaded, checked against the data, described."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sbert import folder
from sbert.bi_encoder import BiEncoder
from sbert.checkpoint import load_loss
from sbert.config import EvaluateConfig
from sbert.cross_encoder import CrossEncoder
from sbert.data import Rows
from sbert.encoder import Encoder
from sbert.errors import InputError
from sbert.evaluation import DEPTH, Judge, check_able, cross_judge, encoder_judge
from sbert.retrieval import Retrieval

Datasets = Sequence[Rows | Retrieval]


@dataclass
class Contestant:
    """A model, where it came from, and its judgement. `role`: model, baseline or reranker."""

    role: str
    path: str
    model: Encoder
    judge: Judge | None = None

    @property
    def kind(self) -> str:
        return "cross-encoder" if isinstance(self.model, CrossEncoder) else "bi-encoder"

    def describe(self) -> str:
        kind = f"{'+'.join(self.model.pooling)} pooling" if self.kind == "bi-encoder" else self.kind
        return f"{kind}, max_length {self.model.max_length}"

    def facts(self) -> dict:
        """What a reader needs to know which model it was."""
        weights = sum(p.numel() for p in self.model.parameters())
        found = {"role": self.role, "path": self.path, "kind": self.kind, "weights": weights}
        if self.kind == "bi-encoder":
            found["pooling"] = "+".join(self.model.pooling)
        layers = self.model.transformer.config.num_hidden_layers
        return found | {
            "layers": layers, "max_length": self.model.max_length, "fingerprint": self.model.fingerprint
        }  # fmt: skip


def load_model(config: EvaluateConfig, datasets: Datasets, device: torch.device) -> Contestant:
    """The model that is evaluated.

    Raises:
        InputError: options of the other kind of model, a dataset that it cannot judge.
    """
    model = _load(config, device)
    found = Contestant("model", config.model, model, _judge(config, model, datasets))
    for rows in datasets:
        check_able(rows, found.judge)
    return found


def load_baseline(config: EvaluateConfig, datasets: Datasets, device: torch.device) -> Contestant:
    """The model that it is compared with: as saved, under the precision, depth and, if a cross-encoder, symmetry of the other.

    Raises:
        InputError: it cannot judge one of the datasets.
    """
    symmetric = config.symmetric and folder.is_classifier(folder.locate(config.baseline))
    saved = replace(config, model=config.baseline, pooling=None, layer=-1, max_length=None, symmetric=symmetric)
    try:
        return replace(load_model(saved, datasets, device), role="baseline")
    except InputError as error:
        raise InputError(f"baseline {config.baseline}: {error}") from None


def load_reranker(config: EvaluateConfig, datasets: Datasets, device: torch.device) -> Contestant:
    """The cross-encoder of one score that re-ranks.

    Raises:
        InputError: a depth below 1, data without a retrieval dataset, a bi-encoder, a cross-encoder of classes.
    """
    if config.depth < 1:
        raise InputError(f"depth is {config.depth}; it must be 1 or more")
    if not any(rows.task == "retrieval" for rows in datasets):
        given = ", ".join(f"{rows.name} ({rows.task})" for rows in datasets)
        raise InputError(f"reranker is for retrieval datasets, and data has none: {given}")
    root = folder.locate(config.reranker)
    if not folder.is_classifier(root):
        raise InputError(f"reranker {config.reranker}: is a bi-encoder; a cross-encoder is needed")
    model = CrossEncoder.from_pretrained(root)
    if model.dim > 1:
        raise InputError(
            f"reranker {config.reranker}: tells {model.dim} classes; a cross-encoder of one score is needed"
        )
    return Contestant("reranker", config.reranker, model.to(device))


def logits_of(model: CrossEncoder, config: EvaluateConfig) -> Callable[[list[tuple[str, str]]], np.ndarray]:
    return partial(model.predict, logits=True, precision=config.precision, progress=None)


def _load(config: EvaluateConfig, device: torch.device) -> Encoder:
    """The model of a folder: a sequence classifier is a cross-encoder, everything else a bi-encoder."""
    root = folder.locate(config.model)
    if not folder.is_classifier(root):
        if config.symmetric:
            raise InputError(f"symmetric is for a cross-encoder; {config.model} is a bi-encoder, whose scores are")
        return BiEncoder.from_pretrained(root, config.pooling, config.max_length, config.layer).to(device)
    if config.pooling is not None or config.layer != -1:
        raise InputError(f"pooling and layer are for a bi-encoder; {config.model} is a cross-encoder")
    return CrossEncoder.from_pretrained(root, max_length=config.max_length).to(device)


def _judge(config: EvaluateConfig, model: Encoder, datasets: Datasets) -> Judge:
    if isinstance(model, CrossEncoder):
        return cross_judge(partial(logits_of(model, config), symmetric=config.symmetric), model.dim, model.classes)
    head = classes = None
    if any(rows.task == "nli" for rows in datasets):  # the trained classifier beside the model
        head, classes = load_loss(Path(config.model), model.dim)
        head.to(model.device)
    encode = partial(model.encode, precision=config.precision, progress=None)
    return replace(encoder_judge(encode, head, classes, model.device), depth=max(DEPTH, config.depth))
