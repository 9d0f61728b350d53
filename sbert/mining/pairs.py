"""The task `mine.py pairs`: the most similar pairs of a collection."""

import numpy as np
import torch

from sbert import distributed
from sbert.atomic import encode_lines
from sbert.data.collection import Collection
from sbert.errors import InputError
from sbert.markdown import markdown_table
from sbert.mining.similar_pairs import SimilarPairs
from sbert.mining.task import MiningTask

ROWS = 16_384  # vectors of a unit that are compared with all that follow

MOST_PAIRS = 20_000_000  # of which communities are made: a few GB

RECORD = np.dtype([("first", "<i8"), ("second", "<i8"), ("score", "<f4")])


def check_pair_options(threshold: float | None, limit: int) -> None:
    """Before the texts are embedded, which may take hours."""
    SimilarPairs(np.empty((0, 1), np.float32), threshold, limit)


def find_pairs(
    task: MiningTask,
    texts: Collection,
    threshold: float | None,
    limit: int,
    vectors: np.ndarray,
    done: int,
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


def pair_row(texts: Collection, score: float, i: int, j: int) -> dict:
    """One pair, in columns that a training configuration can read."""
    both = {"sentence1": texts.texts[i], "sentence2": texts.texts[j]} if texts.texts else {}
    return both | {"score": round(score, 6), "id1": texts.ids[i], "id2": texts.ids[j]}


def mine_pairs(task: MiningTask) -> None:
    """`mine.py pairs`."""
    config = task.config
    texts = task.read(config.texts)
    if len(texts) < 2:
        raise InputError(f"{texts.name}: has {len(texts)} text; pairs need two")
    check_pair_options(config.threshold, config.limit)
    done = task.begin(task.settings(texts=texts))
    found = find_pairs(task, texts, config.threshold, config.limit, task.vectors(texts), done)
    scores, places = (part.tolist() for part in found.best())
    rows = [pair_row(texts, score, i, j) for score, (i, j) in zip(scores, places, strict=True)]
    show_pairs(task, rows)
    least = "" if config.threshold is None else f" of cosine {config.threshold} or more"
    cut = f"; limit is reached, so there may be more{least}" if len(rows) == config.limit else ""
    task.say(f"{len(rows):,} pairs of {len(texts):,} texts{least}{cut}")
    task.finish(encode_lines(rows, config.output, header=True))


def show_pairs(task: MiningTask, rows: list[dict]) -> None:
    if rows:
        shown = [
            [
                f"{row['score']:.4f}",
                *(str(row.get(f"sentence{i}", row[f"id{i}"]))[:60] for i in (1, 2)),
            ]
            for row in rows[:5]
        ]
        task.say("\n" + markdown_table(["cosine", "the most similar", "pairs"], shown) + "\n")
