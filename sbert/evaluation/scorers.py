"""Scorers: what a model says of pairs of texts, as arrays. Evaluators need no model, only a
scorer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import require
from sbert.evaluation.config import RETRIEVAL_DEPTH
from sbert.losses.softmax import SoftmaxLoss
from sbert.mining.search import top_k
from sbert.texts import unique

Array = np.ndarray


@dataclass
class Scorer:
    """What a model says of N pairs, given as two lists of texts; None for what it cannot say.

    score_name: of the score that counts, "cosine" or "logit".
    score: {score name: (N,)}, larger is more similar.
    classify: logits (N, K) of K classes. classes: their names, where they are known.
    search: Q queries, N documents, k, and the documents (Q, E) that a query does not find, -1 for
        none, or None; to the scores (Q, k) and the indices (Q, k) of the k best documents, best
        first; index -1 where there are no more.
    depth: the k of a search.
    """

    score_name: str
    score: Callable[[list[str], list[str]], dict[str, Array]] | None
    classify: Callable[[list[str], list[str]], Array] | None = None
    classes: list[str] | None = None
    search: Callable[[list[str], list[str], int, Array | None], tuple[Array, Array]] | None = None
    depth: int = RETRIEVAL_DEPTH


def bi_encoder_scorer(
    encode: Callable[[list[str]], Array],
    head: SoftmaxLoss | None = None,
    classes: list[str] | None = None,
    device: torch.device | str = "cpu",
    depth: int = RETRIEVAL_DEPTH,
) -> Scorer:
    """The scorer of a bi-encoder.

    encode: N texts to embeddings (N, H); called once, with all distinct texts.
    head: the trained classifier of pairs, and its classes.
    device: where a corpus is searched.
    """

    def encode_distinct(texts: list[str]) -> Array:
        distinct, index = unique(texts)
        return encode(distinct)[index]

    def score(left: list[str], right: list[str]) -> dict[str, Array]:
        return pair_scores(*np.split(encode_distinct(left + right), 2))  # (N, H) each

    @torch.inference_mode()
    def classify(left: list[str], right: list[str]) -> Array:
        weight = next(head.parameters())
        embeddings = torch.from_numpy(encode_distinct(left + right)).to(weight.device, weight.dtype)
        return head.logits(*embeddings.chunk(2)).cpu().numpy()  # of (N, H) each

    def search(
        queries: list[str], corpus: list[str], k: int, exclude: Array | None
    ) -> tuple[Array, Array]:
        embeddings = np.split(encode_distinct(queries + corpus), [len(queries)])  # (Q, H), (N, H)
        scores, indices = top_k(*embeddings, k, exclude=exclude, device=device)
        return scores.numpy(), indices.numpy()

    return Scorer("cosine", score, classify if head else None, classes, search, depth)


def cross_encoder_scorer(
    predict: Callable[[list[tuple[str, str]]], Array], dim: int, classes: list[str] | None
) -> Scorer:
    """The scorer of a cross-encoder; `predict` gives the logits of N pairs, (N,) or (N, dim)."""

    def classify(left: list[str], right: list[str]) -> Array:
        return predict(list(zip(left, right, strict=True)))

    def score(left: list[str], right: list[str]) -> dict[str, Array]:
        return {"logit": classify(left, right)}

    if dim > 1:
        return Scorer("logit", None, classify, classes)
    return Scorer("logit", score)


def pair_scores(u: Array, v: Array) -> dict[str, Array]:
    """The similarities of N pairs of embeddings (N, H), (N, H) -> (N,) each, larger is more
    similar.

    The cosine, 0 for a vector of zeros, the dot product, and the negative Euclidean and Manhattan
    distances.
    """
    dot = np.einsum("nh,nh->n", u, v)
    norms = np.linalg.norm(u, axis=1) * np.linalg.norm(v, axis=1)
    return {
        "cosine": np.divide(dot, norms, out=np.zeros_like(dot), where=norms > 0),
        "dot": dot,
        "euclidean": -np.linalg.norm(u - v, axis=1),
        "manhattan": -np.abs(u - v).sum(axis=1),
    }


def check_supported(rows: Rows | Retrieval, scorer: Scorer) -> None:
    """Refuse a dataset whose task the model cannot do.

    Raises:
        InputError: the task needs a search, classes, or scores that the scorer does not have.
    """
    require(
        rows.task != "retrieval" or scorer.search,
        f"{rows.name}: a cross-encoder alone cannot search a corpus; give it to evaluate.py as the "
        "reranker of a bi-encoder",
    )
    require(
        rows.task != "nli" or scorer.classify,
        f"{rows.name}: NLI needs a classifier: the head of SoftmaxLoss, or a cross-encoder of "
        "several classes",
    )
    require(
        rows.task == "nli" or scorer.score,
        f"{rows.name}: task {rows.task} needs a model that scores pairs, and this one classifies "
        "them",
    )
