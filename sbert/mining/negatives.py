"""`mine.py negatives`: hard negatives for queries with known positives."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from sbert import distributed
from sbert.atomic import check_texts, encode_lines
from sbert.data.collection import Collection
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows, read_dataset
from sbert.errors import InputError
from sbert.markdown import markdown_table
from sbert.mining.negative_filters import select_negatives
from sbert.mining.search import Corpus
from sbert.mining.task import MiningTask
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.loading import load_scorer
from sbert.texts import unique

QUERIES = 4096  # queries of a unit, and of one whose candidates a cross-encoder scores

SCORED = 256


@dataclass
class Questions:
    """Q distinct queries, N distinct texts to search, and for each query the places of its positives among them."""

    queries: list[str]
    corpus: list[str]
    positives: list[list[int]]

    @classmethod
    def of(cls, data: Rows | Retrieval, corpus: Collection | None) -> "Questions":
        """Texts that are equal are one. `corpus`: what is searched for rows."""
        if isinstance(data, Retrieval):
            texts, place = unique(data.corpus)
            there = np.array([bool(text.strip()) for text in data.corpus])
            relevant = (data.qrels.relevance > 0) & there[data.qrels.document]
            asked = [data.queries[i] for i in data.qrels.query[relevant]]
            fitting = place[data.qrels.document[relevant]].tolist()
            if not asked:
                raise InputError(
                    f"{data.name}: every relevant document is empty, so no query has a positive"
                )
        else:
            asked, answers = _pairs(data)
            texts, place = unique(corpus.texts if corpus else answers)
            where = {text: i for i, text in enumerate(texts)}
            for row, answer in enumerate(answers):
                if answer not in where:
                    raise InputError(
                        f"{data.name}: the positive of row {row} is not in {corpus.name}: {answer[:80]!r}; add it"
                    )
            fitting = [where[answer] for answer in answers]
        queries, index = unique(asked)
        positives: list[list[int]] = [[] for _ in queries]
        for query, answer in zip(index.tolist(), fitting, strict=True):
            if answer not in positives[query]:
                positives[query].append(answer)
        return cls(queries, texts, positives)

    def excluded(self) -> list[list[int]]:
        """For each query its positives, the query itself where it is a text of the corpus, and texts that are empty."""
        where = {text: i for i, text in enumerate(self.corpus)}
        empty = [i for i, text in enumerate(self.corpus) if not text.strip()]
        own = [[where[query]] if query in where else [] for query in self.queries]
        return [
            sorted({*positives, *itself, *empty})
            for positives, itself in zip(self.positives, own, strict=True)
        ]


def _pairs(rows: Rows) -> tuple[list[str], list[str]]:
    """The queries and their positives, row by row."""
    if rows.task not in ("pair", "triplet", "binary"):
        raise InputError(
            f"{rows.name}: task {rows.task}; negatives are mined for pair, triplet, binary or retrieval data"
        )
    there = rows.labels == 1 if rows.task == "binary" else np.ones(len(rows), bool)
    if not there.any():
        raise InputError(f"{rows.name}: no row has label 1, so none has a positive")
    queries, answers = ([column[i] for i in np.flatnonzero(there)] for column in rows.texts[:2])
    return queries, answers


def mine_negatives(task: MiningTask) -> None:
    """`mine.py negatives`."""
    config = task.config
    data = read_dataset(config.data)
    task.say(data.describe())
    if isinstance(data, Retrieval) and config.corpus:
        raise InputError(f"corpus: {data.name} has its own; leave corpus out")
    if task.model is None:
        raise InputError("model: name the bi-encoder that finds the candidates")
    questions = Questions.of(data, _corpus(task) if config.corpus else None)
    check_texts(questions.queries + questions.corpus, config.output)
    scorer = _scorer(task)
    queries = Collection("queries", [], questions.queries)
    corpus = Collection("corpus", [], questions.corpus, embeddings=config.embeddings)
    pairs = Collection("positives", [], [str(questions.positives)])
    settings = task.settings(queries_hash=queries, corpus_hash=corpus, positives_hash=pairs)
    done = task.begin(settings | {"cross_encoder": scorer.fingerprint if scorer else None})
    counts = Counter(task.output.facts if task.output else {})
    asked, vectors = task.vectors(queries), task.vectors(corpus)
    searched = Corpus(vectors, precision=config.precision, device=task.accelerator.device)
    excluded, size = questions.excluded(), SCORED if scorer else QUERIES
    for unit in task.units(len(questions.queries), size, done, "negatives"):

        def search(rows: slice, unit: slice = unit):
            some = slice(unit.start + rows.start, unit.start + rows.stop)
            return searched.top_k(asked[some], config.negatives.depth, excluded[some])

        scores, indices = (
            part.numpy()
            for part in distributed.compute_row_slices(
                task.accelerator, search, unit.stop - unit.start
            )
        )
        positives = questions.positives[unit]
        known = [
            _cosines(asked[i], vectors[places])
            for i, places in enumerate(positives, start=unit.start)
        ]
        if scorer:
            scores, known = _rescore(task, scorer, questions, unit, scores, indices)
        place, found = select_negatives(
            scores, np.array([min(row) for row in known]), config.negatives, unit.start // size
        )
        counts += found
        rows = _rows(questions, unit, place, scores, indices, known, config.output)
        if task.output:
            task.output.append(
                encode_lines(rows, config.output, header=not task.output.size), dict(counts)
            )
    task.say(
        "\n"
        + markdown_table(
            ["candidates", "number"], [[name, number] for name, number in counts.items()]
        )
        + "\n"
    )
    task.say(
        f"{counts['negatives']:,} negatives for {len(questions.queries):,} queries among {len(questions.corpus):,} texts"
    )
    task.finish()


def _corpus(task: MiningTask) -> Collection:
    found = task.read(task.config.corpus)
    if found.vectors is not None:
        raise InputError(f"{found.name}: has embeddings and no texts; negatives are texts")
    if found.embeddings is not None:
        raise InputError(
            "corpus.embeddings: the embeddings of distinct texts are kept; name their file as embeddings"
        )
    return found


def _scorer(task: MiningTask) -> CrossEncoder | None:
    path = task.config.cross_encoder
    if path is None:
        return None
    return load_scorer(path, "cross_encoder").to(task.accelerator.device)


def _cosines(query: np.ndarray, vectors: np.ndarray) -> list[float]:
    """The cosines of a vector (H,) with others (P, H)."""
    query, vectors = query.astype(np.float64), vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return np.divide(
        vectors @ query, lengths, out=np.zeros(len(vectors)), where=lengths > 0
    ).tolist()


def _rescore(task: MiningTask, scorer: CrossEncoder, questions: Questions, unit: slice, scores: np.ndarray,
             indices: np.ndarray) -> tuple[np.ndarray, list[list[float]]]:  # fmt: skip
    """The cross-encoder's scores (Q, R) of the candidates and those of each query's positives, from one call."""
    there = indices >= 0
    row, _ = np.nonzero(there)
    positives = questions.positives[unit]
    owner = np.repeat(np.arange(len(positives)), [len(places) for places in positives])
    queries = [questions.queries[unit.start + i] for i in (*row, *owner)]
    texts = [
        questions.corpus[i]
        for i in (*indices[there], *(place for places in positives for place in places))
    ]

    def predict(pairs: list[tuple[str, str]]) -> np.ndarray:
        return scorer.predict(pairs, precision=task.config.precision)

    found = distributed.compute_shared(
        task.accelerator, predict, list(zip(queries, texts, strict=True))
    )
    again = np.full(scores.shape, -np.inf, np.float32)
    again[there] = found[: len(row)]
    known = found[len(row) :]
    return again, [known[owner == i].tolist() for i in range(len(positives))]


def _rows(questions: Questions, unit: slice, place: np.ndarray, scores: np.ndarray, indices: np.ndarray,
          known: list[list[float]], output: str) -> list[dict]:  # fmt: skip
    """What is written of one unit. A query without negatives has no row."""
    rows = []
    for i, chosen in enumerate(place):
        chosen = chosen[chosen >= 0]
        negatives, values = (
            [questions.corpus[j] for j in indices[i, chosen]],
            [float(v) for v in scores[i, chosen]],
        )
        for positive, score in zip(questions.positives[unit][i], known[i], strict=True):
            pair = {
                "query": questions.queries[unit.start + i],
                "positive": questions.corpus[positive],
            }
            margins = [round(score - value, 6) for value in values]
            if output.endswith(".jsonl") and negatives:
                more = {
                    "score": round(score, 6),
                    "scores": [round(v, 6) for v in values],
                    "margins": margins,
                }
                rows.append(pair | {"negatives": negatives} | more)
            elif not output.endswith(".jsonl"):
                rows += [
                    pair | {"negative": n, "margin": m}
                    for n, m in zip(negatives, margins, strict=True)
                ]
    return rows
