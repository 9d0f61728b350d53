"""`augment.py silver`: pairs that a cross-encoder labels (Augmented SBERT, arXiv 2010.08240).

The unfinished output holds the sampled pairs and then their scores, unit by unit, so an interrupted
command neither samples nor labels a pair again. The finished one has the rows that are kept.
"""

import time
from itertools import chain
from pathlib import Path

import numpy as np

from sbert import distributed
from sbert.atomic import check_texts, encode_lines
from sbert.augment.config import SilverConfig
from sbert.augment.density import accept_by_density, score_density
from sbert.augment.divergence import describe_divergence, draw_divergence
from sbert.augment.pool import SentencePool
from sbert.augment.strategies import SampledPairs, SamplingOptions, draw_indices, sample_pairs
from sbert.data.collection import Collection
from sbert.data.rows import Rows, read_dataset
from sbert.device import Precision
from sbert.errors import InputError
from sbert.mining.embed import task_embeddings
from sbert.mining.task import MiningTask
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.loading import load_teacher
from sbert.models.tokens import TokenTable
from sbert.texts import digest

UNIT = 2048  # pairs that are labelled between two states that a run can resume from

RECORD = np.dtype([("pair", "<i8", 2), ("samplers", "u1")])  # a sampled pair in the output


def mine_silver(task: MiningTask) -> None:
    """Sample, label, and write the silver pairs."""
    config = task.config
    gold = read_gold(task)
    pool = read_pool(task, gold)
    check_texts(pool.sentences, config.output)
    if config.strategy == "kde":
        score_density(gold.labels, "gold")  # an error now, not after the labelling
    teacher = load_teacher(config.teacher).to(task.accelerator.device)
    done = task.open_output(_settings(task, gold, pool, teacher))
    candidates = _read_candidates(task) if done else _sample_candidates(task, pool)
    candidates = distributed.broadcast(task.accelerator, candidates)
    label_units(task, teacher, pool, candidates.pairs, max(0, done - 1))
    data = None
    if task.output:
        scores = _read_scores(task, len(candidates.pairs))
        kept = _select(config, gold, scores)
        silver = silver_rows(config, pool, candidates.take(kept), scores[kept])
        report_silver(task, gold, silver)
        lines = _output_lines(silver, teacher.fingerprint)
        data = encode_lines(lines, config.output, header=True)
    task.finish(data)


def read_gold(task: MiningTask) -> Rows | None:
    """The rows of all gold datasets as one."""
    datasets = [read_dataset(dataset) for dataset in task.config.gold]
    for rows in datasets:
        task.print(rows.describe())
        if rows.task not in ("sts", "binary"):
            raise InputError(f"gold {rows.name}: task {rows.task}; gold is of task sts or binary")
    if not datasets:
        return None
    texts = [list(chain.from_iterable(rows.texts[side] for rows in datasets)) for side in (0, 1)]
    return Rows("gold", "sts", texts, np.concatenate([rows.labels for rows in datasets]))


def read_pool(task: MiningTask, gold: Rows | None) -> SentencePool:
    """The sentences of `texts`, of `unlabelled` or of gold. Gold pairs are known."""
    config = task.config
    known = zip(*gold.texts, strict=True) if gold else ()
    if config.texts:
        texts = _read_texts(task)
        pool = SentencePool.from_texts(texts.texts, known, name=texts.name)
    else:
        rows = _read_unlabelled(task) if config.unlabelled else gold
        columns = {"both": rows.texts[:2], "first": rows.texts[:1], "second": rows.texts[1:2]}
        sentences = chain.from_iterable(zip(*columns[config.sides], strict=True))
        given = zip(*rows.texts[:2], strict=True) if config.unlabelled else ()
        pool = SentencePool.from_texts(sentences, known, given, rows.name)
    task.print(f"{len(pool):,} distinct sentences")
    return pool


def _read_texts(task: MiningTask) -> Collection:
    source = task.config.texts
    if source.embeddings or source.path.endswith(".npy"):
        raise InputError(
            "texts: silver needs texts and embeds the distinct ones itself; remove embeddings"
        )
    return task.read(source, embed=False)


def _read_unlabelled(task: MiningTask) -> Rows:
    rows = read_dataset(task.config.unlabelled, labels=False)
    task.print(rows.describe())
    if rows.task == "retrieval":
        raise InputError(f"unlabelled {rows.name}: task retrieval; give its corpus as texts")
    if len(rows.texts) < 2:
        raise InputError(
            f"unlabelled {rows.name}: one column of texts; pairs need two, and single texts are "
            "given as texts"
        )
    return rows


def _settings(
    task: MiningTask, gold: Rows | None, pool: SentencePool, teacher: CrossEncoder
) -> dict:
    """What an interrupted command must have in common with the one that resumes it."""
    gold_labels = gold.labels if gold else np.empty(0)
    numbers = [str(array.tolist()) for array in (pool.known, pool.given, gold_labels)]
    settings = task.settings(sentences_hash=Collection("sentences", [], pool.sentences))
    return settings | {"teacher": teacher.fingerprint, "pairs_hash": digest(numbers)}


def _sample_candidates(task: MiningTask, pool: SentencePool) -> SampledPairs | None:
    """Sample the pairs to label, and write them; in the main process. All embed the sentences."""
    config = task.config
    vectors = None
    if config.searches:
        sentences = Collection("sentences", [], pool.sentences)
        vectors = task_embeddings(task, sentences)
    if task.output is None:
        return None
    count = config.pool if config.strategy == "kde" else config.number
    search = {"precision": config.precision, "device": task.accelerator.device}
    options = SamplingOptions(config.k, count, config.seed, vectors, search)
    candidates = sample_pairs(config.strategy, pool, options)
    if config.strategy != "kde":  # whose number is that of the pairs accepted by density
        rows = draw_indices(len(candidates.pairs), config.number, config.seed)
        candidates = candidates.take(rows)
    records = np.rec.fromarrays(candidates, dtype=RECORD)
    task.output.append(records.tobytes(), {"pairs": len(records)})
    return candidates


def _read_candidates(task: MiningTask) -> SampledPairs | None:
    """The pairs that an interrupted run sampled."""
    if task.output is None:
        return None
    records = np.frombuffer(task.output.read(), RECORD, task.output.facts["pairs"])
    return SampledPairs(records["pair"].astype(np.int64), records["samplers"])


def label_units(
    task: MiningTask, teacher: CrossEncoder, pool: SentencePool, pairs: np.ndarray, done: int
) -> None:
    """Label the pairs (P, 2) after the first `done` units. Batches do not depend on `done`."""
    config = task.config
    table = teacher.text_tokenizer.tokenize(pool.sentences)
    cut = teacher.text_tokenizer.describe_cut(table, pairs)
    if cut:
        task.print(f"teacher, max_length {teacher.max_length}: {cut}")

    def score(items: list[tuple[int, int]]) -> np.ndarray:
        share = np.array(items, np.int64).reshape(-1, 2)
        return label_pairs(teacher, table, share, config.symmetric, config.precision)

    start = time.perf_counter()
    for unit in task.remaining_units(len(pairs), UNIT, done, "label"):
        items = [(i, j) for i, j in pairs[unit].tolist()]
        scores = distributed.compute_shared(task.accelerator, score, items)
        if task.output:
            task.output.append(scores.astype("<f4").tobytes())
    count = max(0, len(pairs) - done * UNIT)
    rate = count / max(time.perf_counter() - start, 1e-9)
    task.print(f"{count:,} pairs labelled, {rate:,.0f} pairs/s")


def label_pairs(
    teacher: CrossEncoder,
    table: TokenTable,
    pairs: np.ndarray,
    symmetric: bool,
    precision: Precision,
) -> np.ndarray:
    """Scores (P,) in [0, 1], float32, of pairs (P, 2) of a table's texts.

    symmetric: from the mean of the logits of both orders.

    Raises:
        InputError: a score is NaN.
    """
    scores = teacher.predict_tokenized(table, pairs, symmetric=symmetric, precision=precision)
    if np.isnan(scores).any():
        raise InputError(
            "the teacher gives NaN for a pair; train it again, or set precision to fp32"
        )
    return scores


def _read_scores(task: MiningTask, count: int) -> np.ndarray:
    """The scores (P,) of all labelled pairs, which come after `count` records in the output."""
    return np.frombuffer(task.output.read()[count * RECORD.itemsize :], "<f4")


def _select(config: SilverConfig, gold: Rows | None, scores: np.ndarray) -> np.ndarray:
    """The indices of the labelled pairs to keep: all, or of kde those that follow gold's scores."""
    if config.strategy != "kde":
        return np.arange(len(scores))
    accepted = np.flatnonzero(accept_by_density(gold.labels, scores, config.seed))
    if not len(accepted):
        raise InputError(f"strategy kde: accepts none of {len(scores):,} pairs; increase pool")
    return accepted[draw_indices(len(accepted), config.number, config.seed)]


def silver_rows(
    config: SilverConfig, pool: SentencePool, sampled: SampledPairs, scores: np.ndarray
) -> Rows:
    texts = [[pool.sentences[i] for i in column] for column in sampled.pairs.T.tolist()]
    sources = sampled.sampler_names()
    if config.strategy == "kde":
        sources = [f"kde:{name}" for name in sources]
    return Rows("silver", "sts", texts, scores, sources)


def _output_lines(silver: Rows, fingerprint: str) -> list[dict]:
    lines = []
    columns = zip(*silver.texts, silver.labels.tolist(), silver.sources, strict=True)
    for first, second, score, strategy in columns:
        line = {"sentence1": first, "sentence2": second, "score": round(score, 6)}
        lines.append(line | {"strategy": strategy, "teacher": fingerprint})
    return lines


def report_silver(task: MiningTask, gold: Rows | None, silver: Rows) -> None:
    """Print the comparison with gold, draw it beside the output, and print the number of pairs."""
    output = Path(task.config.output)
    folder = output.with_name(f"{output.stem}-look")
    task.print("\n" + describe_divergence(gold, silver) + "\n")
    draw_divergence(folder, gold, silver)
    task.print(f"histograms: {folder} (tensorboard --logdir)")
    names, counts = np.unique(silver.sources, return_counts=True)
    parts = [f"{count:,} {name}" for name, count in zip(names, counts.tolist(), strict=True)]
    task.print(f"{len(silver):,} silver pairs: {', '.join(parts)}")
