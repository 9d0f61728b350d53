"""The task `mine.py pairs`: the most similar pairs of a collection."""

import numpy as np
from torch import Tensor, from_numpy

from sbert import distributed
from sbert.atomic import encode_lines
from sbert.data.collection import Collection
from sbert.errors import require
from sbert.markdown import markdown_table
from sbert.mining.embed import task_embeddings
from sbert.mining.search.duplicates import Duplicates, find_duplicates
from sbert.mining.search.similar_pairs import SimilarPairs
from sbert.mining.task import MiningTask

UNIT_ROWS = 16_384  # vectors of a unit, which are compared with all that follow them

PAIR_RECORD = np.dtype([("pair", "<i8", 2), ("score", "<f4")])


def find_pairs(
    task: MiningTask, texts: Collection, threshold: float | None, limit: int
) -> tuple[Duplicates, Tensor, Tensor]:
    """The exact duplicates of a collection, and the best pairs of distinct vectors with their
    scores, by `SimilarPairs`, unit by unit; an interrupted search is resumed."""
    if task.model and task.model.similarity_fn_name != "cosine":
        task.print(
            f"note: the model declares the similarity {task.model.similarity_fn_name}; pairs are "
            "found by the cosine"
        )
    done = task.open_output(task.settings(texts=texts))
    vectors = task_embeddings(task, texts)
    duplicates = find_duplicates(task.make_corpus(vectors).vectors, texts.texts)
    if duplicates.exist:
        task.print(duplicates.describe(texts.texts or texts.ids))
    corpus = task.make_corpus(duplicates.select_distinct(vectors))
    search = SimilarPairs(corpus, threshold, limit)
    if done and task.output:  # the pairs of former units are known to the main process alone
        records = np.frombuffer(task.output.read(), PAIR_RECORD)
        search.add(from_numpy(records["score"].copy()), from_numpy(records["pair"].copy()))
    for unit in task.remaining_units(len(duplicates), UNIT_ROWS, done, "compare"):
        unit_search = SimilarPairs(corpus, threshold, limit)
        unit_search.floor = search.floor
        unit_search.search(_process_share(task, unit))
        scores, pairs = (distributed.gather_rows(task.accelerator, x) for x in unit_search.best())
        search.add(scores, pairs)
        if task.output:
            records = np.rec.fromarrays([pairs.numpy(), scores.numpy()], dtype=PAIR_RECORD)
            task.output.append(records.tobytes())
    return duplicates, *search.best()


def _process_share(task: MiningTask, unit: slice) -> slice:
    size = -(-(unit.stop - unit.start) // task.accelerator.num_processes)
    start = min(unit.stop, unit.start + task.accelerator.process_index * size)
    return slice(start, min(unit.stop, start + size))


def mine_pairs(task: MiningTask) -> None:
    """`mine.py pairs`."""
    config = task.config
    texts = task.read(config.texts)
    require(len(texts) >= 2, f"{texts.name}: has {len(texts)} text; pairs need two")
    duplicates, scores, pairs = find_pairs(task, texts, config.threshold, config.limit)
    if config.distinct:
        pairs = from_numpy(duplicates.first[pairs.numpy()])
    else:
        scores, pairs = duplicates.expand_pairs(scores, pairs, config.limit)
    print_best_pairs(task, texts, scores[:5], pairs[:5])
    at_least = "" if config.threshold is None else f" of cosine {config.threshold} or more"
    summary = f"{len(pairs):,} pairs of {len(texts):,} texts{at_least}"
    if len(pairs) == config.limit:
        summary += f"; limit is reached, so there may be more{at_least}"
    task.print(summary)
    if duplicates.exist and not config.distinct:
        task.print(
            f"{duplicates.pair_count:,} pairs are of exact duplicates; --distinct true leaves "
            "them out"
        )
    task.finish(encode_lines(_pair_rows(texts, scores, pairs), config.output, header=True))


def _pair_rows(texts: Collection, scores: Tensor, pairs: Tensor) -> list[dict]:
    # with columns that a training configuration can read
    rows = []
    for score, (i, j) in zip(scores.tolist(), pairs.tolist(), strict=True):
        row = {"sentence1": texts.texts[i], "sentence2": texts.texts[j]} if texts.texts else {}
        rows.append({**row, "score": round(score, 6), "id1": texts.ids[i], "id2": texts.ids[j]})
    return rows


def print_best_pairs(task: MiningTask, texts: Collection, scores: Tensor, pairs: Tensor) -> None:
    """Print some pairs as a table."""
    names = texts.texts or texts.ids
    rows = [
        [f"{round(score, 6):.4f}", names[i][:60], names[j][:60]]
        for score, (i, j) in zip(scores.tolist(), pairs.tolist(), strict=True)
    ]
    if rows:
        task.print("\n" + markdown_table(["cosine", "the most similar", "pairs"], rows) + "\n")
