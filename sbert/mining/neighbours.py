"""The task `mine.py neighbours`: semantic search."""

import numpy as np

from sbert.atomic import encode_lines
from sbert.data.collection import Collection
from sbert.errors import require
from sbert.mining.embed import kept_embeddings, task_embeddings
from sbert.mining.quantised.of_task import quantised_corpus
from sbert.mining.task import MiningTask

UNIT_QUERIES = 4096


def mine_neighbours(task: MiningTask) -> None:
    """`mine.py neighbours`."""
    config = task.config
    similarity = task.choose_similarity()
    corpus = task.read(config.corpus, role="document" if config.queries else "default")
    queries = task.read(config.queries, role="query") if config.queries else corpus
    widths = task.width(queries), task.width(corpus)
    require(
        widths[0] == widths[1],
        f"{queries.name}: has embeddings of {widths[0]} numbers, and {corpus.name} of {widths[1]}; "
        "name embeddings of one model",
    )
    quantised = quantised_corpus(task, corpus, similarity)
    settings = task.settings(corpus=corpus, queries=queries) | {"similarity": similarity}
    if quantised:
        settings["search"] = quantised.method
    done = task.open_output(settings)
    corpus_vectors = kept_embeddings(task, corpus)
    index = quantised or task.make_corpus(corpus_vectors, similarity)
    if config.queries:
        query_vectors, exclude = task_embeddings(task, queries), None
    else:
        query_vectors = quantised.queries if quantised else corpus_vectors
        exclude = np.arange(len(corpus))[:, None]  # itself
    for unit in task.remaining_units(len(queries), UNIT_QUERIES, done, "search"):
        scores, indices = task.search(index, query_vectors, unit, config.k, exclude)
        rows = []
        for i, best in enumerate(zip(scores.tolist(), indices.tolist(), strict=True), unit.start):
            rows += _neighbour_rows(queries.cells(i, "_query"), corpus, *best, config.output)
        if task.output:
            task.output.append(encode_lines(rows, config.output, header=not task.output.size))
    task.print(f"{len(queries):,} queries, {config.k} neighbours each of {len(corpus):,}")
    if quantised:
        task.print(f"search: {quantised.method}")
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
