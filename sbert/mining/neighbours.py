"""The task `mine.py neighbours`: semantic search."""

import numpy as np

from sbert import distributed
from sbert.atomic import encode_lines
from sbert.data.collection import Collection
from sbert.errors import InputError
from sbert.mining.search import Corpus
from sbert.mining.task import MiningTask

QUERIES = 4096  # queries of a unit


def mine_neighbours(task: MiningTask) -> None:
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

        scores, indices = distributed.compute_row_slices(
            task.accelerator, search, unit.stop - unit.start
        )
        rows = _neighbour_rows(
            queries, corpus, unit.start, scores.tolist(), indices.tolist(), config.output
        )
        if task.output:
            task.output.append(encode_lines(rows, config.output, header=not task.output.size))
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
        rows += (
            [query | {"neighbours": found}]
            if output.endswith(".jsonl")
            else [query | row for row in found]
        )
    return rows
