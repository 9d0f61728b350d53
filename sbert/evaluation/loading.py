"""The models of one call of `evaluate.py`: loaded, checked against the data, described."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import InputError, require
from sbert.evaluation.config import RETRIEVAL_DEPTH, EvaluateConfig
from sbert.evaluation.scorers import (
    Scorer,
    bi_encoder_scorer,
    check_supported,
    cross_encoder_scorer,
)
from sbert.losses.saved import load_loss
from sbert.models.bi_encoder import BiEncoder
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.encoder import Encoder
from sbert.models.hf_folder import is_classifier, locate_folder
from sbert.models.loading import load_scorer

Datasets = Sequence[Rows | Retrieval]


@dataclass
class EvaluatedModel:
    """A model, where it was loaded from, and its scorer. `role`: model, baseline or reranker."""

    role: str
    path: str
    model: Encoder
    scorer: Scorer

    @property
    def pooling(self) -> str | None:
        """None for a cross-encoder."""
        return "+".join(self.model.pooling) if isinstance(self.model, BiEncoder) else None

    def describe(self) -> str:
        name = f"{self.pooling} pooling" if self.pooling else "cross-encoder"
        return f"{name}, max_length {self.model.max_length}"

    def facts(self) -> dict[str, object]:
        """What identifies the model, for reports; None for what it does not have."""
        return {
            "role": self.role,
            "path": self.path,
            "kind": "bi-encoder" if self.pooling else "cross-encoder",
            "weights": sum(weight.numel() for weight in self.model.parameters()),
            "pooling": self.pooling,
            "layers": self.model.transformer.config.num_hidden_layers,
            "max_length": self.model.max_length,
            "fingerprint": self.model.fingerprint,
        }


def load_models(
    config: EvaluateConfig, datasets: Datasets, device: torch.device
) -> dict[str, EvaluatedModel]:
    """The model, and the baseline and the reranker where they are given, by role.

    Raises:
        InputError: an option that a model does not have, a dataset that it cannot be evaluated on.
    """
    models = {"model": _load_model(config, datasets, device)}
    if config.baseline:
        models["baseline"] = _load_baseline(config, datasets, device)
    if config.reranker:
        models["reranker"] = _load_reranker(config, datasets, device)
    return models


def _load_model(
    config: EvaluateConfig, datasets: Datasets, device: torch.device, role: str = "model"
) -> EvaluatedModel:
    root = locate_folder(config.model)
    load = _cross_encoder_and_scorer if is_classifier(root) else _bi_encoder_and_scorer
    model, scorer = load(root, config, datasets, device)
    for rows in datasets:
        check_supported(rows, scorer)
    return EvaluatedModel(role, config.model, model, scorer)


def _bi_encoder_and_scorer(
    root: Path, config: EvaluateConfig, datasets: Datasets, device: torch.device
) -> tuple[BiEncoder, Scorer]:
    require(
        not config.symmetric,
        f"symmetric is for a cross-encoder; {config.model} is a bi-encoder, whose scores are "
        "symmetric",
    )
    model = BiEncoder.from_pretrained(root, config.pooling, config.max_length, config.layer)
    model.to(device)
    head = classes = None
    if any(rows.task == "nli" for rows in datasets):
        head, classes = load_loss(Path(config.model), model.dim)  # the trained classifier of pairs
        head.to(device)
    encode = partial(model.encode, precision=config.precision, progress=None)
    return model, bi_encoder_scorer(
        encode, head, classes, device, depth=max(RETRIEVAL_DEPTH, config.depth)
    )


def _cross_encoder_and_scorer(
    root: Path, config: EvaluateConfig, datasets: Datasets, device: torch.device
) -> tuple[CrossEncoder, Scorer]:
    require(
        config.pooling is None and config.layer == -1,
        f"pooling and layer are for a bi-encoder; {config.model} is a cross-encoder",
    )
    model = CrossEncoder.from_pretrained(root, max_length=config.max_length).to(device)
    return model, _logit_scorer(model, config, config.symmetric)


def _logit_scorer(model: CrossEncoder, config: EvaluateConfig, symmetric: bool) -> Scorer:
    predict = partial(
        model.predict,
        logits=True,
        symmetric=symmetric,
        precision=config.precision,
        progress=None,
    )
    return cross_encoder_scorer(predict, model.dim, model.classes)


def _load_baseline(
    config: EvaluateConfig, datasets: Datasets, device: torch.device
) -> EvaluatedModel:
    """The model to compare with: as saved, in the precision, depth and symmetry of the other."""
    own_config = replace(config, model=config.baseline, pooling=None, layer=-1, max_length=None)
    try:
        if not is_classifier(locate_folder(config.baseline)):
            own_config.symmetric = False
        return _load_model(own_config, datasets, device, role="baseline")
    except InputError as error:
        raise InputError(f"baseline {config.baseline}: {error}") from None


def _load_reranker(
    config: EvaluateConfig, datasets: Datasets, device: torch.device
) -> EvaluatedModel:
    tasks = ", ".join(f"{rows.name} ({rows.task})" for rows in datasets)
    require(
        any(rows.task == "retrieval" for rows in datasets),
        f"reranker is for retrieval datasets, and data has none: {tasks}",
    )
    model = load_scorer(config.reranker, "reranker").to(device)
    return EvaluatedModel("reranker", config.reranker, model, _logit_scorer(model, config, False))
