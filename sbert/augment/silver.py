"""`augment.py silver`: pairs that a cross-encoder labels, to train a bi-encoder on (Augmented SBERT, arXiv 2010.08240).

While it grows, the result holds the candidates and then their scores, unit by unit: an interrupted command neither samples nor
labels a pair again. What is kept of them is written at the end.
"""

import time
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from sbert import distributed
from sbert.atomic import check_texts, encode_lines
from sbert.augment.config import SilverConfig
from sbert.augment.divergence import describe_divergence, draw_divergence
from sbert.augment.strategies import (
    Pool,
    SampledPairs,
    accept_by_density,
    keep_number,
    sample_pairs,
    score_density,
)
from sbert.data.collection import Collection
from sbert.data.rows import Rows, read_dataset
from sbert.device import Precision
from sbert.errors import InputError
from sbert.mining.task import MiningTask
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.loading import load_teacher
from sbert.models.tokens import TokenTable
from sbert.texts import digest

UNIT = 2048  # pairs that are labelled between two states of an interrupted run

RECORD = np.dtype([("pair", "<i8", 2), ("found", "u1")])


def mine_silver(task: MiningTask) -> None:
    """`augment.py silver`."""
    config = task.config
    _check_options(config)
    gold = _gold(task)
    pool = _pool(task, gold)
    check_texts(pool.sentences, config.output)
    if config.strategy == "kde":
        score_density(gold.labels, "gold")
    teacher = load_teacher(config.teacher).to(task.accelerator.device)
    done = task.begin(_settings(task, gold, pool, teacher))
    candidates = _shared(task, _restore(task) if done else _sample(task, pool))
    if task.output and not done:
        records = np.rec.fromarrays(candidates, dtype=RECORD)
        task.output.append(records.tobytes(), {"pairs": len(records)})
    _label(task, teacher, pool, candidates.pairs, max(0, done - 1) * UNIT)
    if task.output:
        scores = np.frombuffer(task.output.read()[len(candidates.pairs) * RECORD.itemsize :], "<f4")
        which = _kept(config, gold, scores)
        silver = _rows(config, pool, candidates.take(which), scores[which])
        _look(task, gold, silver)
        data = encode_lines(_lines(silver, teacher.fingerprint), config.output, header=True)
    task.finish(data if task.output else None)


def _check_options(config: SilverConfig) -> None:
    """Refuse options that do not go together."""
    for name in ("k", "number", "pool"):
        value = getattr(config, name)
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}; it must be 1 or more")
    if config.seed < 0:
        raise InputError(f"seed is {config.seed}; it must be 0 or more")
    if config.searches and config.model is None:
        raise InputError(
            f"model: strategy {config.strategy} needs the bi-encoder that finds the neighbours"
        )
    if config.unlabelled and config.texts:
        raise InputError("unlabelled and texts are both given; the sentences are those of one")
    if not (config.gold or config.unlabelled or config.texts):
        raise InputError("gold: name the data whose sentences are paired, or unlabelled, or texts")
    if config.strategy == "kde" and not config.gold:
        raise InputError("strategy kde needs gold, whose scores are matched")
    if config.strategy == "given" and not config.unlabelled:
        raise InputError("strategy given needs unlabelled, whose pairs are labelled")
    if config.pool and config.strategy != "kde":
        raise InputError(
            f"pool goes with strategy kde; of {config.strategy} pairs, number is how many are kept"
        )


def _gold(task: MiningTask) -> Rows | None:
    """All gold pairs."""
    sets = [read_dataset(data) for data in task.config.gold]
    for rows in sets:
        task.say(rows.describe())
        if rows.task not in ("sts", "binary"):
            raise InputError(f"gold {rows.name}: task {rows.task}; gold is of task sts or binary")
    if not sets:
        return None
    texts = [[text for rows in sets for text in rows.texts[side]] for side in (0, 1)]
    return Rows("gold", "sts", texts, np.concatenate([rows.labels for rows in sets]))


def _pool(task: MiningTask, gold: Rows | None) -> Pool:
    config, given = task.config, []
    source = gold
    if config.unlabelled:
        source = read_dataset(config.unlabelled, labels=False)
        task.say(source.describe())
        if source.task == "retrieval":
            raise InputError(f"unlabelled {source.name}: task retrieval; name its corpus as texts")
        if len(source.texts) < 2:
            raise InputError(
                f"unlabelled {source.name}: one column of texts; pairs need two, and single texts go as texts"
            )
        given = list(zip(*source.texts[:2], strict=True))
    if config.texts:
        if config.texts.embeddings or config.texts.path.endswith(".npy"):
            raise InputError(
                "texts: silver takes texts, and embeds the distinct ones itself; leave embeddings out"
            )
        source = task.read(config.texts, embed=False)
        sentences = source.texts
    else:
        sides = {"both": (0, 1), "first": (0,), "second": (1,)}[config.sides]
        sentences = [
            text
            for row in zip(*(source.texts[side] for side in sides), strict=True)
            for text in row
        ]
    known = zip(*gold.texts, strict=True) if gold else ()
    pool = Pool.of(sentences, known, given, source.name)
    task.say(f"{len(pool):,} distinct sentences")
    return pool


def _settings(task: MiningTask, gold: Rows | None, pool: Pool, teacher: CrossEncoder) -> dict:
    facts = [
        str(part.tolist())
        for part in (pool.known, pool.given, gold.labels if gold else np.empty(0))
    ]
    sentences = Collection("sentences", [], pool.sentences)
    return task.settings(sentences_hash=sentences) | {
        "teacher": teacher.fingerprint,
        "pairs_hash": digest(facts),
    }


def _sample(task: MiningTask, pool: Pool) -> SampledPairs | None:
    """The pairs to label; of processes the main one draws them."""
    config = task.config
    vectors = task.vectors(Collection("sentences", [], pool.sentences)) if config.searches else None
    if not task.output:
        return None
    count = config.pool if config.strategy == "kde" else config.number
    search = {"precision": config.precision, "device": task.accelerator.device}
    found = sample_pairs(config.strategy, pool, config.k, count, config.seed, vectors, **search)
    if config.strategy != "kde":  # whose number is of those that are accepted
        found = found.take(keep_number(len(found.pairs), config.number, config.seed))
    return found


def _restore(task: MiningTask) -> SampledPairs | None:
    """The pairs that an interrupted run drew."""
    if not task.output:
        return None
    records = np.frombuffer(task.output.read(), RECORD, task.output.facts["pairs"])
    return SampledPairs(records["pair"].astype(np.int64), records["found"])


def _shared(task: MiningTask, found: SampledPairs | None) -> SampledPairs:
    """What the main process has, in every process."""
    pairs, bits = found or (np.empty((0, 2), np.int64), np.empty(0, np.uint8))
    parts = (torch.from_numpy(np.ascontiguousarray(part)) for part in (pairs, bits))
    return SampledPairs(
        *(distributed.gather_rows(task.accelerator, part).numpy() for part in parts)
    )


def _label(
    task: MiningTask, teacher: CrossEncoder, pool: Pool, pairs: np.ndarray, start: int
) -> None:
    """Label the pairs (P, 2) from `start` on. The batches of a unit do not depend on where an earlier run was stopped."""
    config, table = task.config, teacher.texts.table(pool.sentences)
    if cut := teacher.texts.describe_cut(table, pairs):
        task.say(f"teacher, max_length {teacher.max_length}: {cut}")

    def score(some: list[tuple[int, int]]) -> np.ndarray:
        return label_pairs(
            teacher,
            table,
            np.array(some, np.int64).reshape(-1, 2),
            config.symmetric,
            config.precision,
        )

    began, hidden = time.perf_counter(), None if task.output else True
    with tqdm(
        total=len(pairs),
        initial=start,
        unit="pair",
        desc="label",
        disable=hidden,
        dynamic_ncols=True,
    ) as bar:
        for first in range(start, len(pairs), UNIT):
            scores = distributed.compute_shared(
                task.accelerator, score, [*map(tuple, pairs[first : first + UNIT].tolist())]
            )
            if task.output:
                task.output.append(scores.astype("<f4").tobytes())
            bar.update(len(scores))
    seconds = max(time.perf_counter() - began, 1e-9)
    task.say(
        f"{len(pairs) - start:,} pairs labelled, {(len(pairs) - start) / seconds:,.0f} pairs/s"
    )


def label_pairs(
    teacher: CrossEncoder,
    table: TokenTable,
    pairs: np.ndarray,
    symmetric: bool,
    precision: Precision,
) -> np.ndarray:
    """The scores (P,) in [0, 1], float32, of pairs (P, 2) of a table's texts; symmetric: by the mean of both orders' logits.

    Raises:
        InputError: a score is NaN.
    """
    scores = teacher.score(table, pairs, symmetric=symmetric, precision=precision)
    if np.isnan(scores).any():
        raise InputError("the teacher gives NaN to a pair; train it again, or use precision fp32")
    return scores


def _kept(config: SilverConfig, gold: Rows | None, scores: np.ndarray) -> np.ndarray:
    """The places of the pairs that are kept of all that are labelled."""
    if config.strategy != "kde":
        return np.arange(len(scores))
    there = np.flatnonzero(accept_by_density(gold.labels, scores, config.seed))
    if not len(there):
        raise InputError(
            f"strategy kde: accepts none of {len(scores):,} pairs; label more: set pool"
        )
    return there[keep_number(len(there), config.number, config.seed)]


def _rows(config: SilverConfig, pool: Pool, found: SampledPairs, scores: np.ndarray) -> Rows:
    texts = [[pool.sentences[i] for i in column] for column in found.pairs.T.tolist()]
    sources = [f"kde:{name}" if config.strategy == "kde" else name for name in found.names()]
    return Rows("silver", "sts", texts, scores, sources)


def _lines(silver: Rows, fingerprint: str) -> list[dict]:
    columns = (*silver.texts, [round(score, 6) for score in silver.labels.tolist()], silver.sources)
    names = ("sentence1", "sentence2", "score", "strategy")
    return [
        dict(zip(names, values, strict=True)) | {"teacher": fingerprint}
        for values in zip(*columns, strict=True)
    ]


def _look(task: MiningTask, gold: Rows | None, silver: Rows) -> None:
    output = Path(task.config.output)
    folder = output.with_name(f"{output.stem}-look")
    task.say("\n" + describe_divergence(gold, silver) + "\n")
    draw_divergence(folder, gold, silver)
    task.say(f"histograms: {folder} (tensorboard --logdir)")
    names, counts = np.unique(silver.sources, return_counts=True)
    each = ", ".join(
        f"{count:,} {name}" for name, count in zip(names.tolist(), counts.tolist(), strict=True)
    )
    task.say(f"{len(silver):,} silver pairs: {each}")
