"""The models of one call of `evaluate.py`: loaded, checked against the data, described."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import InputError, require
from sbert.evaluation.config import RETRIEVAL_DEPTH, EvaluateConfig
from sbert.evaluation.prompts import column_prompts, format_prompts
from sbert.evaluation.scorers import (
    KeptEmbeddings,
    Scorer,
    bi_encoder_scorer,
    cross_encoder_scorer,
)
from sbert.evaluation.supported import check_supported
from sbert.losses.saved import load_losses, loss_files
from sbert.losses.softmax import SoftmaxLoss
from sbert.models.bi_encoder import BiEncoder
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.encoder import Encoder
from sbert.models.folders.backbone import is_classifier, locate_folder
from sbert.models.loading import load_scorer

Datasets = Sequence[Rows | Retrieval]

# what applies to a bi-encoder alone, with the values of a model as it was saved
BI_ENCODER_OPTIONS = {
    "pooling": None,
    "layer": -1,
    "prompts": None,
    "default_prompt_name": None,
    "truncate_dim": [],
}


@dataclass
class EvaluatedModel:
    """A model, where it was loaded from, and its scorer. `role`: model, baseline, teacher
    or reranker.

    by_size: the scorer at each size of truncate_dim, where there are several; `scorer` is the
    first of them.
    """

    role: str
    path: str
    model: Encoder
    scorer: Scorer
    by_size: dict[int, Scorer] = field(default_factory=dict)

    @property
    def pooling(self) -> str | None:
        """None for a cross-encoder."""
        return "+".join(self.model.pooling) if isinstance(self.model, BiEncoder) else None

    def describe(self) -> str:
        settings = [
            f"{self.pooling} pooling" if self.pooling else "cross-encoder",
            f"max_length {self.model.max_length}",
        ]
        facts = self.bi_encoder_facts()
        if facts.get("prompts"):
            facts["prompts"] = format_prompts(facts["prompts"])
        settings += [f"{name} {value}" for name, value in facts.items() if value is not None]
        return ", ".join(settings)

    def bi_encoder_facts(self) -> dict[str, object]:
        """What a bi-encoder declares of its use; None for what it does not."""
        model = self.model
        if not isinstance(model, BiEncoder):
            return {}
        return {
            "similarity": model.similarity_fn_name,
            "truncate_dim": model.truncate_dim,
            "prompts": {name: text for name, text in model.prompts.items() if text} or None,
            "default_prompt_name": model.default_prompt_name,
        }

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
            **self.bi_encoder_facts(),
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
    load = _load_cross_encoder if is_classifier(root) else _load_bi_encoder
    model = load(role, root, config, datasets, device)
    for rows in datasets:
        check_supported(rows, model.scorer)
        column_prompts(rows, model.model)
    return model


def _load_bi_encoder(
    role: str, root: Path, config: EvaluateConfig, datasets: Datasets, device: torch.device
) -> EvaluatedModel:
    require(
        not config.symmetric,
        f"symmetric is for a cross-encoder; {config.model} is a bi-encoder, whose scores are "
        "symmetric",
    )
    sizes = config.truncate_dim
    model = BiEncoder.from_pretrained(
        root,
        config.pooling,
        config.max_length,
        config.layer,
        prompts=config.prompts,
        default_prompt_name=config.default_prompt_name,
        truncate_dim=sizes[0] if sizes else None,
    ).to(device)
    options = {
        "device": device,
        "depth": max(RETRIEVAL_DEPTH, config.depth),
        "similarity": model.similarity_fn_name,
    }
    if needs_heads(Path(config.model), datasets):
        options["losses"] = load_losses(Path(config.model), model.dim)
        for trained in options["losses"]:
            trained.loss.to(device)
        if any(isinstance(trained.loss, SoftmaxLoss) for trained in options["losses"]):
            check_whole_embeddings(model, sizes)
    encode = partial(model.encode, precision=config.precision, progress=None)
    if len(sizes) < 2:
        return EvaluatedModel(role, config.model, model, bi_encoder_scorer(encode, **options))
    by_size = _scorers_by_size(model, sizes, encode, options)
    return EvaluatedModel(role, config.model, model, by_size[sizes[0]], by_size)


def needs_heads(folder: Path, datasets: Datasets) -> bool:
    """Whether datasets are classified by trained heads: NLI always, single texts if there are."""
    tasks = {rows.task for rows in datasets}
    return "nli" in tasks or ("class" in tasks and bool(loss_files(folder)))


def _scorers_by_size(
    model: BiEncoder, sizes: Sequence[int], encode: Callable[..., np.ndarray], options: dict
) -> dict[int, Scorer]:
    """A scorer for each size of the embeddings, which are computed once for all."""
    largest = max(model.embedding_dim(size) for size in sizes)
    kept = KeptEmbeddings(partial(encode, truncate_dim=largest))
    return {size: bi_encoder_scorer(partial(kept, size=size), **options) for size in sizes}


def check_whole_embeddings(model: BiEncoder, sizes: Sequence[int] = ()) -> None:
    """Refuse a trained classifier on embeddings that are truncated.

    sizes: those that are evaluated beside the model's own.
    """
    require(
        {model.embedding_dim(), *sizes} == {model.dim},
        f"truncate_dim: the head of SoftmaxLoss reads all {model.dim} numbers of an embedding",
    )


def _load_cross_encoder(
    role: str, root: Path, config: EvaluateConfig, datasets: Datasets, device: torch.device
) -> EvaluatedModel:
    given = [name for name, saved in BI_ENCODER_OPTIONS.items() if getattr(config, name) != saved]
    require(
        not given,
        f"{', '.join(given)}: only for a bi-encoder; {config.model} is a cross-encoder",
    )
    model = CrossEncoder.from_pretrained(root, max_length=config.max_length).to(device)
    return EvaluatedModel(role, config.model, model, _logit_scorer(model, config, config.symmetric))


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
    own_config = replace(config, model=config.baseline, max_length=None, **BI_ENCODER_OPTIONS)
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
