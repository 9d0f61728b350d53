"""The task `mine.py pairs`: the most similar pairs of a collection."""

import numpy as np
import torch
from torch import Tensor

from sbert import distributed
from sbert.atomic import encode_lines
from sbert.data.collection import Collection
from sbert.errors import require
from sbert.markdown import markdown_table
from sbert.mining.embed import task_embeddings
from sbert.mining.similar_pairs import SimilarPairs
from sbert.mining.task import MiningTask

UNIT_ROWS = 16_384  # vectors of a unit, which are compared with all that follow them

PAIR_RECORD = np.dtype([("pair", "<i8", 2), ("score", "<f4")])


def find_pairs(
    task: MiningTask, texts: Collection, threshold: float | None, limit: int
) -> SimilarPairs:
    """Search all pairs of a collection, unit by unit; resume an interrupted search."""
    done = task.open_output(task.settings(texts=texts))
    vectors = task_embeddings(task, texts)
    options = {"precision": task.config.precision, "device": task.accelerator.device}
    search = SimilarPairs(vectors, threshold, limit, **options)
    if done and task.output:  # the pairs of former units are known to the main process alone
        records = np.frombuffer(task.output.read(), PAIR_RECORD)
        scores, pairs = records["score"].copy(), records["pair"].copy()
        search.add(torch.from_numpy(scores), torch.from_numpy(pairs))
    for unit in task.remaining_units(len(texts), UNIT_ROWS, done, "compare"):
        unit_search = SimilarPairs(vectors, threshold, limit, **options)
        unit_search.floor = search.floor
        unit_search.search(_process_share(task, unit))
        scores, pairs = unit_search.best()
        scores = distributed.gather_rows(task.accelerator, scores)
        pairs = distributed.gather_rows(task.accelerator, pairs)
        search.add(scores, pairs)
        if task.output:
            records = np.rec.fromarrays([pairs.numpy(), scores.numpy()], dtype=PAIR_RECORD)
            task.output.append(records.tobytes())
    return search


def _process_share(task: MiningTask, unit: slice) -> slice:
    """The rows of a unit that this process compares."""
    size = -(-(unit.stop - unit.start) // task.accelerator.num_processes)
    start = min(unit.stop, unit.start + task.accelerator.process_index * size)
    return slice(start, min(unit.stop, start + size))


def mine_pairs(task: MiningTask) -> None:
    """`mine.py pairs`."""
    config = task.config
    texts = task.read(config.texts)
    require(len(texts) >= 2, f"{texts.name}: has {len(texts)} text; pairs need two")
    scores, pairs = find_pairs(task, texts, config.threshold, config.limit).best()
    print_best_pairs(task, texts, scores[:5], pairs[:5])
    summary = f"{len(pairs):,} pairs of {len(texts):,} texts"
    at_least = "" if config.threshold is None else f" of cosine {config.threshold} or more"
    summary += at_least
    if len(pairs) == config.limit:
        summary += f"; limit is reached, so there may be more{at_least}"
    task.print(summary)
    task.finish(encode_lines(_pair_rows(texts, scores, pairs), config.output, header=True))


def _pair_rows(texts: Collection, scores: Tensor, pairs: Tensor) -> list[dict]:
    """One row a pair, with columns that a training configuration can read."""
    rows = []
    for score, (i, j) in zip(scores.tolist(), pairs.tolist(), strict=True):
        row = {}
        if texts.texts:
            row = {"sentence1": texts.texts[i], "sentence2": texts.texts[j]}
        row |= {"score": round(score, 6), "id1": texts.ids[i], "id2": texts.ids[j]}
        rows.append(row)
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
