"""The task `mine.py neighbours`: semantic search."""

import numpy as np

from sbert.atomic import encode_lines
from sbert.data.collection import Collection
from sbert.mining.embed import task_embeddings
from sbert.mining.task import MiningTask

UNIT_QUERIES = 4096


def mine_neighbours(task: MiningTask) -> None:
    """`mine.py neighbours`."""
    config = task.config
    similarity = task.choose_similarity()
    corpus = task.read(config.corpus, role="document" if config.queries else "default")
    queries = task.read(config.queries, role="query") if config.queries else corpus
    settings = task.settings(corpus=corpus, queries=queries)
    done = task.open_output(settings | {"similarity": similarity})
    corpus_vectors = task_embeddings(task, corpus)
    query_vectors, exclude = corpus_vectors, np.arange(len(corpus))[:, None]  # excludes itself
    if config.queries:
        query_vectors, exclude = task_embeddings(task, queries), None
    index = task.make_corpus(corpus_vectors, similarity)
    for unit in task.remaining_units(len(queries), UNIT_QUERIES, done, "search"):
        scores, indices = task.search(index, query_vectors, unit, config.k, exclude)
        rows = []
        for i, best in enumerate(zip(scores.tolist(), indices.tolist(), strict=True), unit.start):
            rows += _neighbour_rows(queries.cells(i, "_query"), corpus, *best, config.output)
        if task.output:
            task.output.append(encode_lines(rows, config.output, header=not task.output.size))
    task.print(f"{len(queries):,} queries, {config.k} neighbours each of {len(corpus):,}")
    task.finish()


def _neighbour_rows(
    query: dict[str, str], corpus: Collection, scores: list[float], indices: list[int], output: str
) -> list[dict]:
    # of one query: one row with a list for .jsonl, one row for each neighbour for .tsv
    neighbours = [
        {"rank": rank, "score": round(score, 6), **corpus.cells(index)}
        for rank, (score, index) in enumerate(zip(scores, indices, strict=True), start=1)
        if index >= 0
    ]
    if output.endswith(".jsonl"):
        return [{**query, "neighbours": neighbours}]
    return [{**query, **neighbour} for neighbour in neighbours]
