"""Queries with known positives, and the candidates for their negatives: the nearest other texts."""

from dataclasses import dataclass, field
from functools import partial
from itertools import compress, islice

import numpy as np
import torch

from sbert import distributed
from sbert.data.collection import Collection
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import InputError, require
from sbert.mining.embed import task_embeddings
from sbert.mining.search.distances import DISTANCES
from sbert.mining.search.exact import VectorSet, blocks_of, exact_pair_scores
from sbert.mining.search.sizes import CPU
from sbert.mining.task import MiningTask
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.similarity import SIMILARITIES
from sbert.texts import unique


@dataclass
class LabelledQueries:
    """Q distinct queries, N distinct texts to search, and the positives of each query among them.

    positives: for each query the indices of its positives in `corpus`. own: for each query that has
    them, the indices of the documents with its id.
    """

    queries: list[str]
    corpus: list[str]
    positives: list[list[int]]
    own: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def from_data(cls, data: Rows | Retrieval, corpus: Collection | None) -> "LabelledQueries":
        """`corpus`: the texts to search, for rows; None: all their positives.

        Raises:
            InputError: data without positives, a positive that is not in the corpus.
        """
        # of P positives the queries (P,), N texts, and the index (P,) of each positive in them
        if isinstance(data, Retrieval):
            queries, texts, relevant = _relevant_documents(data)
        else:
            queries, texts, relevant = _positive_rows(data, corpus)
        distinct, index = unique(queries)
        positives: list[list[int]] = [[] for _ in distinct]
        for query, positive in unique(zip(index.tolist(), relevant, strict=True))[0]:
            positives[query].append(positive)
        own = _own_documents(data, texts) if isinstance(data, Retrieval) else {}
        return cls(distinct, texts, positives, own)

    def excluded(self) -> list[list[int]]:
        """For each query the indices of what is no negative: its positives, the query itself, the
        documents with its id, and empty texts."""
        index = {text: i for i, text in enumerate(self.corpus)}
        empty = [i for i, text in enumerate(self.corpus) if not text.strip()]
        excluded = []
        for query, positives in zip(self.queries, self.positives, strict=True):
            hidden = {*positives, *self.own.get(query, ()), *empty}
            if query in index:
                hidden.add(index[query])
            excluded.append(sorted(hidden))
        return excluded


def _relevant_documents(data: Retrieval) -> tuple[list[str], list[str], list[int]]:
    texts, index = unique(data.corpus)
    present = np.array([bool(text.strip()) for text in data.corpus])
    qrels = data.qrels
    relevant = (qrels.relevance > 0) & (qrels.document >= 0) & present[qrels.document]
    require(
        relevant.any(),
        f"{data.name}: every relevant document is empty or not there, so no query has a positive",
    )
    queries = [data.queries[i] for i in qrels.query[relevant]]
    return queries, texts, index[qrels.document[relevant]].tolist()


def _own_documents(data: Retrieval, texts: list[str]) -> dict[str, list[int]]:
    """By query, the indices in `texts` of the documents with its id."""
    index = {text: i for i, text in enumerate(texts)}
    own: dict[str, list[int]] = {}
    if data.own_documents is None:
        return own
    for query, document in zip(data.queries, data.own_documents, strict=True):
        if document >= 0:
            own.setdefault(query, []).append(index[data.corpus[document]])
    return own


def _positive_rows(rows: Rows, corpus: Collection | None) -> tuple[list[str], list[str], list[int]]:
    require(
        rows.task in ("pair", "triplet", "binary"),
        f"{rows.name}: task {rows.task}; negatives are mined for pair, triplet, binary or "
        "retrieval data",
    )
    queries, positives = rows.texts[:2]
    if rows.task == "binary":
        queries, positives = (list(compress(texts, rows.labels == 1)) for texts in rows.texts[:2])
    require(positives, f"{rows.name}: no row has label 1, so none has a positive")
    texts, _ = unique(corpus.texts if corpus else positives)
    index = {text: i for i, text in enumerate(texts)}
    for row, positive in enumerate(positives):
        if positive not in index:
            raise InputError(
                f"{rows.name}: the positive of row {row} is not in {corpus.name}: "
                f"{positive[:80]!r}; add it"
            )
    return queries, texts, [index[positive] for positive in positives]


@dataclass
class Candidates:
    """The K nearest texts of R queries, without their positives.

    scores: (R, K), best first, -inf where there is none. indices: (R, K) in the corpus, -1 where
    there is none. positive_scores: for each query the scores of its positives.
    """

    scores: np.ndarray
    indices: np.ndarray
    positive_scores: list[list[float]]


class CandidateSearch:
    """Finds the candidates of each query, with their similarities."""

    def __init__(
        self,
        task: MiningTask,
        labelled: LabelledQueries,
        queries: Collection,
        corpus: Collection,
        similarity: str,
    ):
        self.task = task
        self.labelled = labelled
        self.excluded = labelled.excluded()
        self.query_vectors = task_embeddings(task, queries)  # (Q, H)
        self.corpus_vectors = task_embeddings(task, corpus)  # (N, H)
        self.similarity = similarity
        self.corpus = task.make_corpus(self.corpus_vectors, similarity)

    def __call__(self, unit: slice) -> Candidates:
        """The candidates of a unit of queries; the processes share the work."""
        scores, indices = self.task.search(
            self.corpus,
            self.query_vectors,
            unit,
            self.task.config.negatives.depth,
            self.excluded,
        )
        positive_scores = []
        for rows in blocks_of(unit.stop, CPU.queries, unit.start):
            queries, positives = self.query_vectors[rows], self.labelled.positives[rows]
            positive_scores += scores_with(queries, self.corpus_vectors, positives, self.similarity)
        return Candidates(scores, indices, positive_scores)


def scores_with(
    queries: np.ndarray, vectors: np.ndarray, chosen: list[list[int]], similarity: str
) -> list[list[float]]:
    """The similarities of each query (R, H) with some of the vectors (N, H), whose numbers are
    `chosen`, by the definition of the search."""
    counts = [len(numbers) for numbers in chosen]
    row = np.repeat(np.arange(len(queries)), counts)
    distinct, column = np.unique(np.concatenate(chosen).astype(int), return_inverse=True)
    if similarity in DISTANCES:
        one, other = (torch.tensor(x, dtype=torch.float64) for x in (queries, vectors[distinct]))
        scores = SIMILARITIES[similarity](one, other)[row, column].float()
    else:
        cpu = torch.device("cpu")
        one = VectorSet(queries, similarity, cpu, "query").load(slice(0, len(queries)))
        other = VectorSet(vectors, similarity, cpu, "corpus vector").load(distinct)
        row, column = torch.from_numpy(row), torch.from_numpy(column)
        scores = exact_pair_scores(one, row, other, column, CPU)
    left = iter(scores.tolist())  # all at once: thousands of small tensors take long
    return [list(islice(left, count)) for count in counts]


def rescore_candidates(
    task: MiningTask,
    scorer: CrossEncoder,
    labelled: LabelledQueries,
    unit: slice,
    candidates: Candidates,
) -> Candidates:
    """The same candidates with the scores of a cross-encoder, and so their positives: one call."""
    queries, corpus = labelled.queries[unit], labelled.corpus
    present = candidates.indices >= 0  # (R, K)
    row, rank = np.nonzero(present)
    pairs = [
        (queries[r], corpus[i]) for r, i in zip(row, candidates.indices[row, rank], strict=True)
    ]
    for query, positives in zip(queries, labelled.positives[unit], strict=True):
        pairs += [(query, corpus[i]) for i in positives]
    predict = partial(scorer.predict, precision=task.config.precision)
    predicted = distributed.compute_shared(task.accelerator, predict, pairs)
    scores = np.full(present.shape, -np.inf, np.float32)
    scores[row, rank] = predicted[: len(row)]
    ends = np.cumsum([len(positives) for positives in labelled.positives[unit]])
    positive_scores = [part.tolist() for part in np.split(predicted[len(row) :], ends[:-1])]
    return Candidates(scores, candidates.indices, positive_scores)
