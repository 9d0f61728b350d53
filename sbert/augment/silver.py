"""`augment.py silver`: pairs that a cross-encoder labels (Augmented SBERT, arXiv 2010.08240).

The unfinished output holds the sampled pairs and then their scores, unit by unit, so an interrupted
command neither samples nor labels a pair again. The finished one has the rows that are kept.
"""

import time
from itertools import repeat
from pathlib import Path

import numpy as np

from sbert import distributed
from sbert.atomic import check_texts, encode_lines
from sbert.augment.divergence import describe_divergence, draw_divergence
from sbert.augment.pool import SentencePool
from sbert.augment.sentences import matched_scores, read_gold, read_pool
from sbert.augment.strategies import (
    SAMPLED_PAIR,
    STRATEGIES,
    SamplingOptions,
    accept_by_density,
    draw_indices,
    sample_pairs,
    sampler_names,
    score_density,
)
from sbert.data.collection import Collection
from sbert.data.rows import Rows
from sbert.device import InferencePrecision
from sbert.errors import require
from sbert.mining.embed import task_embeddings
from sbert.mining.task import MiningTask
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.loading import load_teacher
from sbert.models.token_table import TokenTable
from sbert.texts import digest

UNIT = 2048  # pairs that are labelled between two states that a run can resume from


def mine_silver(task: MiningTask) -> None:
    """Sample, label, and write the silver pairs."""
    config = task.config
    gold = read_gold(task)
    pool = read_pool(task, gold)
    check_texts(pool.sentences, config.output)
    gold_scores = None
    if config.strategy == "kde":
        gold_scores = matched_scores(task, gold)
        score_density(gold_scores, "gold")  # an error now, not after the labelling
    teacher = load_teacher(config.teacher).to(task.accelerator.device)
    sentences = _embedded_sentences(task, pool)
    done = task.open_output(_settings(task, gold, pool, sentences, teacher))
    sampled = sample_or_resume(task, pool, sentences, done)
    label_units(task, teacher, pool, sampled.pairs, max(0, done - 1))
    data = None
    if task.output:
        silver = silver_rows(task, gold_scores, pool, sampled)
        report_silver(task, gold, silver)
        data = _encode(silver, teacher.fingerprint, config.output)
    task.finish(data)


def _embedded_sentences(task: MiningTask, pool: SentencePool) -> Collection:
    """The sentences, with the prompt with which a semantic search embeds them."""
    config = task.config
    sentences = Collection("sentences", [], pool.sentences)
    name = config.texts.prompt if config.texts else None
    semantic = "semantic" in STRATEGIES[config.strategy]
    require(semantic or not name, f"texts.prompt: strategy {config.strategy} embeds no texts")
    if semantic:
        task.choose_prompt(sentences, "default", name)
    return sentences


def _settings(
    task: MiningTask,
    gold: Rows | None,
    pool: SentencePool,
    sentences: Collection,
    teacher: CrossEncoder,
) -> dict:
    """What an interrupted command must have in common with the one that resumes it."""
    labels = gold.labels.tolist() if gold else []
    numbers = [str(pool.known.tolist()), str(pool.given.tolist()), str(labels)]
    settings = task.settings(sentences_hash=sentences)
    if task.config.teacher_language:
        settings["translations_hash"] = digest(pool.teacher_texts)
    return settings | {"teacher": teacher.fingerprint, "pairs_hash": digest(numbers)}


def sample_or_resume(
    task: MiningTask, pool: SentencePool, sentences: Collection, done: int
) -> np.recarray:
    """The pairs to label (P,) of `SAMPLED_PAIR`: those that an interrupted run wrote, or new ones.

    The main process samples; all embed the sentences.
    """
    config, kde = task.config, task.config.strategy == "kde"
    sampled, vectors, search = None, None, {}
    if not done and "semantic" in STRATEGIES[config.strategy]:
        vectors = task_embeddings(task, sentences)
        search["similarity"] = task.choose_similarity()
    if task.output and done:
        records = np.frombuffer(task.output.read(), SAMPLED_PAIR, task.output.facts["pairs"])
        sampled = records.view(np.recarray)
    elif task.output:
        search |= {"precision": config.search_precision, "device": task.accelerator.device}
        count = config.pool if kde else config.number
        options = SamplingOptions(config.k, count, config.seed, vectors, search)
        sampled = sample_pairs(config.strategy, pool, options)
        if not kde:  # whose number is that of the pairs accepted by density
            sampled = sampled[draw_indices(len(sampled), config.number, config.seed)]
        task.output.append(sampled.tobytes(), {"pairs": len(sampled)})
    return distributed.broadcast(task.accelerator, sampled)


def label_units(
    task: MiningTask, teacher: CrossEncoder, pool: SentencePool, pairs: np.ndarray, done: int
) -> None:
    """Label the pairs (P, 2) after the first `done` units. Batches do not depend on `done`."""
    config = task.config
    table = teacher.text_tokenizer.tokenize(pool.teacher_texts)
    cut = teacher.text_tokenizer.describe_cut(table, pairs)
    if cut:
        task.print(f"teacher, max_length {teacher.max_length}: {cut}")

    def score(items: list[tuple[int, int]]) -> np.ndarray:
        share = np.array(items, np.int64).reshape(-1, 2)
        return label_pairs(teacher, table, share, config.symmetric, config.precision)

    start = time.perf_counter()
    for unit in task.remaining_units(len(pairs), UNIT, done, "label"):
        items = list(map(tuple, pairs[unit].tolist()))
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
    precision: InferencePrecision,
) -> np.ndarray:
    """Scores (P,) in [0, 1], float32, of pairs (P, 2) of a table's texts.

    symmetric: from the mean of the logits of both orders.

    Raises:
        InputError: a score is not finite.
    """
    return teacher.predict_tokenized(table, pairs, symmetric=symmetric, precision=precision)


def silver_rows(
    task: MiningTask, gold_scores: np.ndarray | None, pool: SentencePool, sampled: np.recarray
) -> Rows:
    """The labelled pairs: all, or of kde those whose scores follow gold's, (N,)."""
    config, source = task.config, ""
    # (P,), in the output after the sampled pairs
    scores = np.frombuffer(task.output.read(), "<f4", offset=sampled.nbytes)
    if config.strategy == "kde":
        source = "kde:"
        accepted = np.flatnonzero(accept_by_density(gold_scores, scores, config.seed))
        require(
            len(accepted), f"strategy kde: accepts none of {len(scores):,} pairs; increase pool"
        )
        kept = accepted[draw_indices(len(accepted), config.number, config.seed)]
        sampled, scores = sampled[kept], scores[kept]
    texts = [[pool.sentences[i] for i in column] for column in sampled.pairs.T.tolist()]
    sources = [source + name for name in sampler_names(sampled.samplers)]
    return Rows("silver", "sts", texts, scores, sources)


def _encode(silver: Rows, fingerprint: str, path: str) -> bytes:
    columns = {
        "sentence1": silver.texts[0],
        "sentence2": silver.texts[1],
        "score": [round(score, 6) for score in silver.labels.tolist()],
        "strategy": silver.sources,
        "teacher": repeat(fingerprint, len(silver)),
    }
    lines = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return encode_lines(lines, path, header=True)


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
