"""The task `mine.py negatives`: hard negatives for queries with known positives.

For each unit of queries: find the nearest texts that are not positives, score them again if there
is a cross-encoder (candidates.py), select some of them, write a row for each positive.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from sbert.atomic import check_texts, encode_lines
from sbert.data.collection import Collection
from sbert.data.retrieval import Retrieval
from sbert.data.rows import read_dataset
from sbert.errors import InputError, require
from sbert.markdown import markdown_table
from sbert.mining.candidates import Candidates, CandidateSearch, LabelledQueries, rescore_candidates
from sbert.mining.config import NegativesConfig
from sbert.mining.task import MiningTask
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.loading import load_scorer

UNIT_QUERIES = 4096

RESCORED_UNIT_QUERIES = 256  # where a cross-encoder scores the candidates


def mine_negatives(task: MiningTask) -> None:
    """`mine.py negatives`."""
    config = task.config
    labelled = _read_queries(task)
    scorer = _load_rescorer(task)
    queries = Collection("queries", [], labelled.queries)
    corpus = Collection("corpus", [], labelled.corpus, embeddings=config.embeddings)
    positives = Collection("positives", [], [str(labelled.positives)])
    settings = task.settings(queries_hash=queries, corpus_hash=corpus, positives_hash=positives)
    settings["cross_encoder"] = scorer.fingerprint if scorer else None
    done = task.open_output(settings)
    search = CandidateSearch(task, labelled, queries, corpus)
    counts = Counter(task.output.facts if task.output else {})
    size = RESCORED_UNIT_QUERIES if scorer else UNIT_QUERIES
    for unit in task.remaining_units(len(queries), size, done, "negatives"):
        candidates = search(unit)
        if scorer:
            candidates = rescore_candidates(task, scorer, labelled, unit, candidates)
        lowest = np.array([min(scores) for scores in candidates.positive_scores])
        number = unit.start // size
        ranks, unit_counts = select_negatives(candidates.scores, lowest, config.negatives, number)
        counts += unit_counts
        rows = _negative_rows(labelled, unit, candidates, ranks, config.output)
        if task.output:
            data = encode_lines(rows, config.output, header=not task.output.size)
            task.output.append(data, dict(counts))
    _print_counts(task, counts, labelled)
    task.finish()


def _read_queries(task: MiningTask) -> LabelledQueries:
    config = task.config
    data = read_dataset(config.data)
    task.print(data.describe())
    if isinstance(data, Retrieval) and config.corpus:
        raise InputError(f"corpus: {data.name} has its own; leave corpus out")
    require(task.model is not None, "model: name the bi-encoder that finds the candidates")
    labelled = LabelledQueries.from_data(data, _read_corpus(task) if config.corpus else None)
    check_texts(labelled.queries + labelled.corpus, config.output)
    return labelled


def _read_corpus(task: MiningTask) -> Collection:
    corpus = task.read(task.config.corpus)
    require(
        corpus.vectors is None, f"{corpus.name}: has embeddings and no texts; negatives are texts"
    )
    require(
        corpus.embeddings is None,
        "corpus.embeddings: the embeddings of distinct texts are kept; "
        "name their file as embeddings",
    )
    return corpus


def _load_rescorer(task: MiningTask) -> CrossEncoder | None:
    path = task.config.cross_encoder
    if path is None:
        return None
    return load_scorer(path, "cross_encoder").to(task.accelerator.device)


def select_negatives(
    scores: np.ndarray, positive_scores: np.ndarray, config: NegativesConfig, unit: int = 0
) -> tuple[np.ndarray, Counter]:
    """The ranks (Q, num_negatives) of the negatives among the candidates of each query, best first,
    -1 where there are too few; and how many candidates each filter dropped.

    Args:
        scores: (Q, K) of the candidates, in the order of their ranks; -inf where there is none.
        positive_scores: (Q,), the lowest score of the positives of each query.
        unit: the number of this call; random sampling depends on it and on the seed.
    """
    left = scores > -np.inf  # (Q, K)
    counts = Counter({"candidates": int(left.sum())})
    for name, dropped in _negative_filters(scores, positive_scores[:, None], config):
        counts[name] = int((left & dropped).sum())
        left &= ~dropped
    ranks = _draw_ranks(scores, left, config, unit)
    chosen = ranks >= 0
    counts["beyond num_negatives"] = int(left.sum() - chosen.sum())
    counts["negatives"] = int(chosen.sum())
    fewer = chosen.sum(axis=1) < config.num_negatives
    counts["queries with fewer negatives than asked for"] = int(fewer.sum())
    counts["of these, with none"] = int((~chosen.any(axis=1)).sum())
    return ranks, counts


def _draw_ranks(
    scores: np.ndarray, left: np.ndarray, config: NegativesConfig, unit: int
) -> np.ndarray:
    """The ranks (Q, num_negatives) of some of the candidates that are left (Q, K), best first."""
    priority = scores
    if config.sampling == "random":
        priority = np.random.default_rng([config.seed, unit]).random(scores.shape)
    order = np.argsort(-np.where(left, priority, -np.inf), axis=1, kind="stable")
    order = order[:, : config.num_negatives]
    chosen = np.take_along_axis(left, order, axis=1)
    chosen_scores = np.where(chosen, np.take_along_axis(scores, order, axis=1), -np.inf)
    best_first = np.argsort(-chosen_scores, axis=1, kind="stable")
    ranks = np.full((len(scores), config.num_negatives), -1)
    ranks[:, : order.shape[1]] = np.take_along_axis(np.where(chosen, order, -1), best_first, axis=1)
    return ranks


def _negative_filters(
    scores: np.ndarray, positive_scores: np.ndarray, config: NegativesConfig
) -> Iterator[tuple[str, np.ndarray]]:
    """Each filter that is set: its name in the table, and which candidates (Q, K) it drops.

    positive_scores: (Q, 1).
    """
    if config.range_min:
        rank = np.arange(scores.shape[1])[None]
        yield f"rank before range_min {config.range_min}", rank < config.range_min
    if config.max_score is not None:
        yield f"score above max_score {config.max_score}", scores > config.max_score
    if config.min_score is not None:
        yield f"score below min_score {config.min_score}", scores < config.min_score
    if config.absolute_margin is not None:
        limit = positive_scores - config.absolute_margin
        yield f"within absolute_margin {config.absolute_margin}", scores > limit
    if config.relative_margin is not None:
        limit = positive_scores - abs(positive_scores) * config.relative_margin
        yield f"within relative_margin {config.relative_margin}", scores > limit


def _negative_rows(
    labelled: LabelledQueries, unit: slice, candidates: Candidates, ranks: np.ndarray, output: str
) -> list[dict]:
    """The rows of one unit; a query without negatives has none. ranks: (R, num_negatives)."""
    rows = []
    for i, row_ranks in enumerate(ranks):
        chosen = row_ranks[row_ranks >= 0]
        if not len(chosen):
            continue
        negatives = [labelled.corpus[j] for j in candidates.indices[i, chosen]]
        scores = candidates.scores[i, chosen].tolist()
        query = unit.start + i
        positives = labelled.positives[query]
        for positive, score in zip(positives, candidates.positive_scores[i], strict=True):
            pair = {"query": labelled.queries[query], "positive": labelled.corpus[positive]}
            margins = [round(score - negative_score, 6) for negative_score in scores]
            if output.endswith(".jsonl"):
                row = {**pair, "negatives": negatives, "score": round(score, 6)}
                row["scores"] = [round(negative_score, 6) for negative_score in scores]
                row["margins"] = margins
                rows.append(row)
            else:
                for negative, margin in zip(negatives, margins, strict=True):
                    rows.append({**pair, "negative": negative, "margin": margin})
    return rows


def _print_counts(task: MiningTask, counts: Counter, labelled: LabelledQueries) -> None:
    rows = [[name, number] for name, number in counts.items()]
    task.print("\n" + markdown_table(["candidates", "number"], rows) + "\n")
    task.print(
        f"{counts['negatives']:,} negatives for {len(labelled.queries):,} queries "
        f"among {len(labelled.corpus):,} texts"
    )
