"""Scorers: what a model says of the texts of a dataset, as arrays. Evaluators need no model, only
a scorer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from sbert.evaluation.config import RETRIEVAL_DEPTH
from sbert.losses.saved import TrainedLoss
from sbert.losses.softmax import SoftmaxLoss
from sbert.mining.search.top_k import top_k
from sbert.texts import unique

Array = np.ndarray


# C lists of texts, of pairs N each; None for a text that a row lacks
Columns = Sequence[list[str | None]]


class Classifier(NamedTuple):
    """What classifies pairs of texts, or single texts.

    logits: the columns and their prompts to logits (N, K) of K classes.
    num_labels: K. classes: their names. dataset: the training data, of one in a run with several
    losses. None where they are not known. columns: the number of texts in a row.
    """

    logits: Callable[[Columns, Sequence[str]], Array]
    num_labels: int
    classes: list[str] | None = None
    dataset: str | None = None
    columns: int = 2


@dataclass
class Scorer:
    """What a model says of C columns of texts, given with the C prompts that are put before them;
    None for what it cannot say.

    score_name: of the score that counts: "logit", or the similarity that the model declares.
    score: {score name: (C - 1, N)} of the first text of each row with each other one, larger is
        more similar; of no meaning where a row lacks the text.
    classifiers: `find_classifier` knows which one is for a dataset.
    embed: the embeddings of each column, (N, H) each; zeros where a row lacks the text.
    search: embeddings of queries (Q, H) and of documents (N, H), k, and the documents (Q, E) that a
        query does not find, -1 for none, or None; to the indices (Q, k) of the k best documents,
        best first; -1 where there are no more.
    token_losses: of single texts that a language model reads, the sum of the losses of its masked
        tokens in nats, and their number: (N, 2).
    depth: the k of a search of a corpus.
    """

    score_name: str
    score: Callable[[Columns, Sequence[str]], dict[str, Array]] | None
    classifiers: Sequence[Classifier] = ()
    embed: Callable[[Columns, Sequence[str]], list[Array]] | None = None
    search: Callable[[Array, Array, int, Array | None], Array] | None = None
    token_losses: Callable[[Columns, Sequence[str]], Array] | None = None
    depth: int = RETRIEVAL_DEPTH


def bi_encoder_scorer(
    encode: Callable[..., Array],
    losses: Sequence[TrainedLoss] = (),
    device: torch.device | str = "cpu",
    depth: int = RETRIEVAL_DEPTH,
    similarity: str = "cosine",
) -> Scorer:
    """The scorer of a bi-encoder.

    encode: `encode(texts, prompt=prompt)` gives the embeddings (N, H) of N texts.
    losses: the trained losses; the heads among them classify.
    device: where a corpus is searched.
    similarity: that of `pair_scores` which counts, and by which a corpus is searched.
    """

    def score(columns: Columns, prompts: Sequence[str]) -> dict[str, Array]:
        first, *others = embed_columns(encode, columns, prompts)
        by_column = [pair_scores(first, other) for other in others]
        return {name: np.stack([scores[name] for scores in by_column]) for name in by_column[0]}

    @torch.inference_mode()
    def classify(head: SoftmaxLoss, columns: Columns, prompts: Sequence[str]) -> Array:
        weight = next(head.parameters())
        embeddings = [
            torch.from_numpy(one).to(weight.device, weight.dtype)
            for one in embed_columns(encode, columns, prompts)
        ]
        return head.logits(*embeddings).cpu().numpy()

    def search(queries: Array, corpus: Array, k: int, exclude: Array | None = None) -> Array:
        _, indices = top_k(
            queries, corpus, k, exclude=exclude, similarity=similarity, device=device
        )
        return indices.numpy()

    classifiers = [
        Classifier(
            partial(classify, one.loss),
            one.loss.num_labels,
            one.classes,
            one.dataset,
            one.loss.columns,
        )
        for one in losses
        if isinstance(one.loss, SoftmaxLoss)
    ]
    embed = partial(embed_columns, encode)
    return Scorer(similarity, score, classifiers, embed, search, depth=depth)


class KeptEmbeddings:
    """An `encode` that keeps the embeddings of the last texts of each prompt, for several sizes."""

    def __init__(self, encode: Callable[..., Array]):
        self.encode = encode
        self.kept: dict[str, tuple[list[str], Array]] = {}  # by prompt

    def __call__(self, texts: list[str], prompt: str, size: int) -> Array:
        """The first `size` numbers of the embeddings, (N, size)."""
        if prompt not in self.kept or self.kept[prompt][0] != texts:
            self.kept[prompt] = texts, self.encode(texts, prompt=prompt)
        return self.kept[prompt][1][:, :size]


def embed_columns(
    encode: Callable[..., Array], columns: Columns, prompts: Sequence[str]
) -> list[Array]:
    """The embeddings of the texts of each column, (N, H) each; zeros where a row lacks the text.

    `encode` is called once for each prompt, with all distinct texts that it is put before.
    """
    items = [
        (prompt, text) for prompt, column in zip(prompts, columns, strict=True) for text in column
    ]
    distinct, index = unique(items)
    embeddings = None  # (U, H)
    for prompt in dict.fromkeys(prompts):
        rows = [i for i, (own, text) in enumerate(distinct) if own == prompt and text is not None]
        part = encode([distinct[i][1] for i in rows], prompt=prompt)
        if embeddings is None:
            embeddings = np.zeros((len(distinct), part.shape[1]), part.dtype)
        embeddings[rows] = part
    ends = np.cumsum([len(column) for column in columns])
    return np.split(embeddings[index], ends[:-1])


def cross_encoder_scorer(
    predict: Callable[[list[tuple[str, str]]], Array], dim: int, classes: list[str] | None
) -> Scorer:
    """The scorer of a cross-encoder; `predict` gives the logits of N pairs, (N,) or (N, dim)."""

    def classify(columns: Columns, prompts: Sequence[str]) -> Array:
        return predict(list(zip(*columns, strict=True)))

    def score(columns: Columns, prompts: Sequence[str]) -> dict[str, Array]:
        first, *others = columns
        present = np.array([[text is not None for text in column] for column in others])
        pairs = [
            pair
            for column in others
            for pair in zip(first, column, strict=True)
            if pair[1] is not None
        ]
        logits = predict(pairs)
        scores = np.zeros(present.shape, logits.dtype)
        scores[present] = logits
        return {"logit": scores}

    if dim > 1:
        return Scorer("logit", None, [Classifier(classify, dim, classes)])
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
