"""Evaluators: rows and an encoder to named metrics, the best-known protocol of each task.

Every metric is a fraction, larger is better; `PRIMARY` names the one that a task is judged by. STS follows Sentence-BERT
(section 4): one correlation over all rows ("all"), not the mean over parts; that mean is given beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sbert import metrics
from sbert.data import Rows
from sbert.errors import InputError
from sbert.losses import SoftmaxLoss

Encode = Callable[[list[str]], np.ndarray]

PRIMARY = {"sts": "spearman_cosine", "binary": "ap_cosine", "nli": "accuracy", "triplet": "accuracy_cosine"}


@dataclass
class Report:
    """The result on one dataset. `cosines` (N,) and `gold` (N,) are there for sts, for pictures."""

    name: str
    task: str
    rows: int
    metrics: dict[str, float]
    cosines: np.ndarray | None = None
    gold: np.ndarray | None = None

    @property
    def primary(self) -> float:
        return self.metrics[PRIMARY[self.task]]


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


def _by_source(scores: np.ndarray, gold: np.ndarray, sources: list[str]) -> dict[str, float]:
    """Mean and size-weighted mean of the Spearman of each source. NaN if it is undefined in one of them."""
    names, index = np.unique(sources, return_inverse=True)
    rhos = [metrics.spearman(scores[index == k], gold[index == k]) for k in range(len(names))]
    counts = np.bincount(index)
    return {
        "mean_of_sources": float(np.mean(rhos)),
        "weighted_mean_of_sources": float(np.average(rhos, weights=counts)),
    }


def _sts(rows: Rows, columns: list[np.ndarray], head: SoftmaxLoss | None) -> dict[str, float]:
    result = {}
    for kind, scores in pair_scores(*columns).items():
        result[f"spearman_{kind}"] = metrics.spearman(scores, rows.labels)
        result[f"pearson_{kind}"] = metrics.pearson(scores, rows.labels)
    if rows.sources and len(set(rows.sources)) > 1:
        result |= _by_source(pair_scores(*columns)["cosine"], rows.labels, rows.sources)
    return result


def _binary(rows: Rows, columns: list[np.ndarray], head: SoftmaxLoss | None) -> dict[str, float]:
    result = {}
    for kind, scores in pair_scores(*columns).items():
        result[f"ap_{kind}"] = metrics.average_precision(scores, rows.labels)
        result[f"f1_{kind}"], result[f"f1_threshold_{kind}"] = metrics.best_f1(scores, rows.labels)
        result[f"accuracy_{kind}"], result[f"accuracy_threshold_{kind}"] = metrics.best_accuracy(scores, rows.labels)
    return result


def _triplet(rows: Rows, columns: list[np.ndarray], head: SoftmaxLoss | None) -> dict[str, float]:
    """Share of rows whose anchor is closer to the positive than to the negative; a tie counts as wrong."""
    anchor, positive, negative = columns
    near, far = pair_scores(anchor, positive), pair_scores(anchor, negative)
    return {f"accuracy_{kind}": float(np.mean(near[kind] > far[kind])) for kind in near}


@torch.inference_mode()
def _nli(rows: Rows, columns: list[np.ndarray], head: SoftmaxLoss | None) -> dict[str, float]:
    if head is None:
        raise InputError(f"{rows.name}: an NLI accuracy needs the classifier of SoftmaxLoss, and there is none")
    weights = next(head.parameters())
    u, v = (torch.from_numpy(c).to(weights.device, weights.dtype) for c in columns)
    return {"accuracy": metrics.accuracy(head.logits(u, v).argmax(dim=-1).cpu().numpy(), rows.labels)}


TASKS = {"sts": _sts, "binary": _binary, "nli": _nli, "triplet": _triplet}


def evaluate(rows: Rows, encode: Encode, head: SoftmaxLoss | None = None) -> Report:
    """Encode every column of `rows` in one call and score them by their task. `head` is needed for nli."""
    embeddings = encode([text for column in rows.texts for text in column])
    columns = np.split(embeddings, len(rows.texts))
    report = Report(rows.name, rows.task, len(rows), TASKS[rows.task](rows, columns, head))
    if rows.task == "sts":
        report.cosines, report.gold = pair_scores(*columns)["cosine"], rows.labels
    return report


def mean_primary(reports: list[Report]) -> float:
    """What a run is judged by: the mean over its dev sets of each one's primary metric."""
    return float(np.mean([report.primary for report in reports]))
