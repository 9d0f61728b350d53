"""The tasks of `mine.py` on collections of texts: embeddings, neighbours, similar pairs, communities.

Every task reads and checks its input, goes through it unit by unit, each of them shared by the processes, and writes one file
that an interrupted run goes on with.
"""

from dataclasses import dataclass

import numpy as np
import torch

from sbert import distributed
from sbert.blocks import Metric
from sbert.collection import Collection, Source, embed
from sbert.errors import InputError
from sbert.mining import Corpus
from sbert.output import lines
from sbert.similar_pairs import SimilarPairs, communities
from sbert.task import MineConfig, Task
from sbert.tracking import table

QUERIES = 4096  # queries of a unit
ROWS = 16_384  # vectors of a unit that are compared with all that follow
MOST_PAIRS = 20_000_000  # of which communities are made: a few GB
RECORD = np.dtype([("first", "<i8"), ("second", "<i8"), ("score", "<f4")])


@dataclass(kw_only=True)
class EmbedConfig(MineConfig):
    """Texts to a .npy file of embeddings (N, H), float32, in bounded memory.

    Args:
        texts: what to embed.
    """

    texts: Source

    endings = (".npy",)


@dataclass(kw_only=True)
class NeighboursConfig(MineConfig):
    """The nearest texts of each query: semantic search.

    Args:
        corpus: what is searched.
        queries: what is searched for; null: the corpus itself, where no text is its own neighbour.
        k: neighbours of a query.
        metric: cosine or dot.
    """

    corpus: Source
    queries: Source | None = None
    k: int = 10
    metric: Metric = "cosine"


@dataclass(kw_only=True)
class PairsConfig(MineConfig):
    """The most similar pairs of a collection, best first: paraphrases and duplicates.

    Args:
        texts: the collection.
        threshold: the least cosine; null for any.
        limit: at most so many pairs, the best; bounds the memory too.
    """

    texts: Source
    threshold: float | None = None
    limit: int = 500_000


@dataclass(kw_only=True)
class ClustersConfig(MineConfig):
    """Communities: groups of texts around a centre that all of them resemble; largest first, no text in two.

    Args:
        texts: the collection.
        threshold: the least cosine to the centre.
        min_community_size: the least number of texts of a community.
    """

    texts: Source
    threshold: float = 0.75
    min_community_size: int = 10


def embed_texts(task: Task) -> None:
    """`mine.py embed`."""
    config = task.config
    texts = task.read(config.texts)
    if task.model is None or texts.vectors is not None:
        raise InputError(f"{config.texts.path}: embed takes texts, and a model that embeds them")
    if texts.embeddings is not None:
        raise InputError("texts.embeddings: embed writes to output; leave texts.embeddings out")
    settings = {"texts": texts.digest, "model": task.model.fingerprint}
    embed(texts.texts, task.model, config.output, settings, task.accelerator, config.precision, task.overwrite)
    task.output = None
    task.say(f"{len(texts):,} embeddings of {task.model.dim} numbers")
    task.say(f"written to {config.output}")
    task.accelerator.end_training()


def neighbours(task: Task) -> None:
    """`mine.py neighbours`."""
    config = task.config
    if config.k < 1:
        raise InputError(f"k is {config.k}; it must be 1 or more")
    corpus = task.read(config.corpus)
    queries = task.read(config.queries) if config.queries else corpus
    done = task.begin(task.settings(corpus=corpus, queries=queries))
    vectors = task.vectors(corpus)
    asked = task.vectors(queries) if config.queries else vectors
    searched = Corpus(vectors, config.metric, config.precision, task.accelerator.device)
    for unit in task.units(len(queries), QUERIES, done, "search"):

        def search(rows: slice, unit: slice = unit):
            some = slice(unit.start + rows.start, unit.start + rows.stop)
            exclude = None if config.queries else np.arange(some.start, some.stop)[:, None]
            return searched.top_k(asked[some], config.k, exclude)

        scores, indices = distributed.spread_rows(task.accelerator, search, unit.stop - unit.start)
        rows = _neighbour_rows(queries, corpus, unit.start, scores.tolist(), indices.tolist(), config.output)
        if task.output:
            task.output.append(lines(rows, config.output, header=not task.output.size))
    task.say(f"{len(queries):,} queries, {config.k} neighbours each of {len(corpus):,}")
    task.finish()


def _neighbour_rows(
    queries: Collection, corpus: Collection, start: int, scores: list, indices: list, output: str
) -> list[dict]:
    """A row for each neighbour, or of .jsonl for each query."""
    rows = []
    for i, (some, places) in enumerate(zip(scores, indices, strict=True), start=start):
        query = queries.cells(i, "_query")
        found = [
            {"rank": rank, "score": round(score, 6)} | corpus.cells(place)
            for rank, (score, place) in enumerate(zip(some, places, strict=True), start=1)
            if place >= 0
        ]
        rows += [query | {"neighbours": found}] if output.endswith(".jsonl") else [query | row for row in found]
    return rows


def _check_options(threshold: float | None, limit: int) -> None:
    """Before the texts are embedded, which may take hours."""
    SimilarPairs(np.empty((0, 1), np.float32), threshold, limit)


def _join(
    task: Task, texts: Collection, threshold: float | None, limit: int, vectors: np.ndarray, done: int
) -> SimilarPairs:
    """Search all pairs, going on with what is in the output's part."""
    options = {"precision": task.config.precision, "device": task.accelerator.device}
    found = SimilarPairs(vectors, threshold, limit, **options)
    if done:  # what was found before is known to the main process alone
        records = np.frombuffer(task.output.read() if task.output else b"", RECORD)
        pairs = np.stack([records["first"], records["second"]], 1)
        found.add(torch.from_numpy(records["score"].copy()), torch.from_numpy(pairs))
    processes, rank = task.accelerator.num_processes, task.accelerator.process_index
    for unit in task.units(len(texts), ROWS, done, "compare"):
        mine = SimilarPairs(vectors, threshold, limit, **options)
        mine.floor = found.floor
        size = -(-(unit.stop - unit.start) // processes)
        start = min(unit.stop, unit.start + rank * size)
        mine.search(slice(start, min(unit.stop, start + size)))
        scores, pairs = (distributed.gather_rows(task.accelerator, part) for part in mine.best())
        found.add(scores, pairs)
        if task.output:
            records = np.empty(len(scores), RECORD)
            records["first"], records["second"], records["score"] = pairs[:, 0], pairs[:, 1], scores
            task.output.append(records.tobytes())
    return found


def _pair_row(texts: Collection, score: float, i: int, j: int) -> dict:
    """One pair, in columns that a training configuration can read."""
    both = {"sentence1": texts.texts[i], "sentence2": texts.texts[j]} if texts.texts else {}
    return both | {"score": round(score, 6), "id1": texts.ids[i], "id2": texts.ids[j]}


def pairs(task: Task) -> None:
    """`mine.py pairs`."""
    config = task.config
    texts = task.read(config.texts)
    if len(texts) < 2:
        raise InputError(f"{texts.name}: has {len(texts)} text; pairs need two")
    _check_options(config.threshold, config.limit)
    done = task.begin(task.settings(texts=texts))
    found = _join(task, texts, config.threshold, config.limit, task.vectors(texts), done)
    scores, places = (part.tolist() for part in found.best())
    rows = [_pair_row(texts, score, i, j) for score, (i, j) in zip(scores, places, strict=True)]
    _show_pairs(task, rows)
    least = "" if config.threshold is None else f" of cosine {config.threshold} or more"
    cut = f"; limit is reached, so there may be more{least}" if len(rows) == config.limit else ""
    task.say(f"{len(rows):,} pairs of {len(texts):,} texts{least}{cut}")
    task.finish(lines(rows, config.output, header=True))


def _show_pairs(task: Task, rows: list[dict]) -> None:
    if rows:
        shown = [
            [f"{row['score']:.4f}", *(str(row.get(f"sentence{i}", row[f"id{i}"]))[:60] for i in (1, 2))]
            for row in rows[:5]
        ]
        task.say("\n" + table(["cosine", "the most similar", "pairs"], shown) + "\n")


def clusters(task: Task) -> None:
    """`mine.py clusters`."""
    config = task.config
    if config.min_community_size < 1:
        raise InputError(f"min_community_size is {config.min_community_size}; it must be 1 or more")
    _check_options(config.threshold, MOST_PAIRS)
    texts = task.read(config.texts)
    done = task.begin(task.settings(texts=texts))
    found = _join(task, texts, config.threshold, MOST_PAIRS, task.vectors(texts), done)
    scores, places = found.best()
    if len(scores) == MOST_PAIRS:
        raise InputError(f"threshold {config.threshold} is reached by {MOST_PAIRS:,} pairs and more; use a higher one")
    groups = communities(len(texts), scores, places, config.min_community_size)
    _show_pairs(task, [_pair_row(texts, scores[0].item(), *places[0].tolist())] if len(scores) else [])
    rows = []
    for number, group in enumerate(groups, start=1):
        if config.output.endswith(".jsonl"):
            members = {"ids": [texts.ids[i] for i in group]} | (
                {"texts": [texts.texts[i] for i in group]} if texts.texts else {}
            )
            rows.append({"cluster": number, "size": len(group)} | members)
        else:
            rows += [{"cluster": number, "place": place} | texts.cells(i) for place, i in enumerate(group, start=1)]
    shown = [[len(group), texts.cells(group[0]).get("text", texts.ids[group[0]])[:80]] for group in groups[:10]]
    if shown:
        task.say(table(["texts", "centre of the largest clusters"], shown) + "\n")
    task.say(f"{len(groups):,} clusters with {sum(map(len, groups)):,} of {len(texts):,} texts")
    task.finish(lines(rows, config.output, header=True))
