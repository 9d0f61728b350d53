"""Model folders as judges of pairs, for `evaluate.py`: loaded, checked against the data, described."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation.config import DEPTH, EvaluateConfig
from sbert.losses.saved import load_loss
from sbert.losses.softmax import SoftmaxLoss
from sbert.mining.search import top_k
from sbert.models.bi_encoder import BiEncoder
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.encoder import Encoder
from sbert.models.hf_folder import is_classifier, locate_folder
from sbert.models.loading import load_scorer
from sbert.texts import unique


@dataclass
class Scorer:
    """What a model says of pairs, two lists of N texts.

    score: {kind: (N,)}, the larger the more alike. classify: (N, K) logits; its `classes` by name, where they are known.
    search: Q queries, N documents and k to the scores and the places of the k best documents, (Q, k) each, best first; -1
    where there are no more. `depth` is the k that is asked for.
    Each is None where the model cannot do it. `kind` is the score that counts.
    """

    kind: str
    score: Callable[[list[str], list[str]], dict[str, np.ndarray]] | None
    classify: Callable[[list[str], list[str]], np.ndarray] | None = None
    classes: list[str] | None = None
    search: Callable[[list[str], list[str], int], tuple[np.ndarray, np.ndarray]] | None = None
    depth: int = DEPTH


def bi_encoder_scorer(encode: Callable[[list[str]], np.ndarray], head: SoftmaxLoss | None = None,
                  classes: list[str] | None = None, device: torch.device | str = "cpu") -> Scorer:  # fmt: skip
    """The judge that a bi-encoder is; `encode` is called once for all texts. `head`: its trained classifier of pairs.
    `device`: where it searches."""

    def columns(left: list[str], right: list[str]) -> list[np.ndarray]:
        distinct, index = unique(left + right)
        return np.split(encode(distinct)[index], 2)

    def score(left: list[str], right: list[str]) -> dict[str, np.ndarray]:
        return pair_scores(*columns(left, right))

    @torch.inference_mode()
    def classify(left: list[str], right: list[str]) -> np.ndarray:
        weights = next(head.parameters())
        u, v = (torch.from_numpy(c).to(weights.device, weights.dtype) for c in columns(left, right))
        return head.logits(u, v).cpu().numpy()

    def search(queries: list[str], corpus: list[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        distinct, index = unique(queries + corpus)
        asked, vectors = np.split(encode(distinct)[index], [len(queries)])
        scores, found = top_k(asked, vectors, k, device=device)
        return scores.numpy(), found.numpy()

    return Scorer("cosine", score, classify if head else None, classes, search)


def cross_encoder_scorer(
    predict: Callable[[list[tuple[str, str]]], np.ndarray], dim: int, classes: list[str] | None
) -> Scorer:
    """The judge that a cross-encoder is; `predict` gives logits, of one score or of `dim` classes."""

    def classify(left: list[str], right: list[str]) -> np.ndarray:
        return predict(list(zip(left, right, strict=True)))

    if dim > 1:
        return Scorer("logit", None, classify, classes)
    return Scorer("logit", lambda left, right: {"logit": classify(left, right)})


def pair_scores(u: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    """Row by row, (N, H) and (N, H) -> (N,): cosine, dot, and the negative Euclidean and Manhattan distances."""
    dot = np.einsum("nh,nh->n", u, v)
    norms = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    return {
        "cosine": np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0),
        "dot": dot,
        "euclidean": -np.linalg.norm(u - v, axis=1),
        "manhattan": -np.abs(u - v).sum(axis=1),
    }


def check_supported(rows: Rows | Retrieval, judge: Scorer) -> None:
    """Refuse a task that the model cannot do: one that needs its scores, its classes, or a search by it."""
    if rows.task == "retrieval" and judge.search is None:
        raise InputError(
            f"{rows.name}: a cross-encoder alone cannot search a corpus; evaluate.py takes it as the reranker of a bi-encoder"
        )
    if rows.task == "nli" and judge.classify is None:
        raise InputError(
            f"{rows.name}: NLI needs a classifier: the head of SoftmaxLoss, or a cross-encoder's classes"
        )
    if rows.task != "nli" and judge.score is None:
        raise InputError(
            f"{rows.name}: task {rows.task} needs a model that scores pairs, and this one tells classes"
        )


Datasets = Sequence[Rows | Retrieval]


@dataclass
class EvaluatedModel:
    """A model, where it came from, and its judgement. `role`: model, baseline or reranker."""

    role: str
    path: str
    model: Encoder
    judge: Scorer | None = None

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


def load_model(config: EvaluateConfig, datasets: Datasets, device: torch.device) -> EvaluatedModel:
    """The model that is evaluated.

    Raises:
        InputError: options of the other kind of model, a dataset that it cannot judge.
    """
    model = _load(config, device)
    found = EvaluatedModel("model", config.model, model, _judge(config, model, datasets))
    for rows in datasets:
        check_supported(rows, found.judge)
    return found


def load_baseline(
    config: EvaluateConfig, datasets: Datasets, device: torch.device
) -> EvaluatedModel:
    """The model that it is compared with: as saved, under the precision, depth and, if a cross-encoder, symmetry of the other.

    Raises:
        InputError: it cannot judge one of the datasets.
    """
    symmetric = config.symmetric and is_classifier(locate_folder(config.baseline))
    saved = replace(
        config, model=config.baseline, pooling=None, layer=-1, max_length=None, symmetric=symmetric
    )
    try:
        return replace(load_model(saved, datasets, device), role="baseline")
    except InputError as error:
        raise InputError(f"baseline {config.baseline}: {error}") from None


def load_reranker(
    config: EvaluateConfig, datasets: Datasets, device: torch.device
) -> EvaluatedModel:
    """The cross-encoder of one score that re-ranks.

    Raises:
        InputError: a depth below 1, data without a retrieval dataset, a bi-encoder, a cross-encoder of classes.
    """
    if config.depth < 1:
        raise InputError(f"depth is {config.depth}; it must be 1 or more")
    if not any(rows.task == "retrieval" for rows in datasets):
        given = ", ".join(f"{rows.name} ({rows.task})" for rows in datasets)
        raise InputError(f"reranker is for retrieval datasets, and data has none: {given}")
    model = load_scorer(config.reranker, "reranker")
    return EvaluatedModel("reranker", config.reranker, model.to(device))


def logits_of(
    model: CrossEncoder, config: EvaluateConfig
) -> Callable[[list[tuple[str, str]]], np.ndarray]:
    return partial(model.predict, logits=True, precision=config.precision, progress=None)


def _load(config: EvaluateConfig, device: torch.device) -> Encoder:
    """The model of a folder: a sequence classifier is a cross-encoder, everything else a bi-encoder."""
    root = locate_folder(config.model)
    if not is_classifier(root):
        if config.symmetric:
            raise InputError(
                f"symmetric is for a cross-encoder; {config.model} is a bi-encoder, whose scores are"
            )
        return BiEncoder.from_pretrained(root, config.pooling, config.max_length, config.layer).to(
            device
        )
    if config.pooling is not None or config.layer != -1:
        raise InputError(
            f"pooling and layer are for a bi-encoder; {config.model} is a cross-encoder"
        )
    return CrossEncoder.from_pretrained(root, max_length=config.max_length).to(device)


def _judge(config: EvaluateConfig, model: Encoder, datasets: Datasets) -> Scorer:
    if isinstance(model, CrossEncoder):
        return cross_encoder_scorer(
            partial(logits_of(model, config), symmetric=config.symmetric), model.dim, model.classes
        )
    head = classes = None
    if any(rows.task == "nli" for rows in datasets):  # the trained classifier beside the model
        head, classes = load_loss(Path(config.model), model.dim)
        head.to(model.device)
    encode = partial(model.encode, precision=config.precision, progress=None)
    return replace(
        bi_encoder_scorer(encode, head, classes, model.device), depth=max(DEPTH, config.depth)
    )
