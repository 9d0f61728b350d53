"""The task `mine.py negatives`: hard negatives for queries with known positives.

For each unit of queries: find the nearest texts that are not positives, score them again if there
is a cross-encoder (candidates.py), select some of them, write a row for each positive.
"""

from collections import Counter

import numpy as np

from sbert.atomic import check_texts, encode_lines
from sbert.data.collection import Collection
from sbert.data.retrieval import Retrieval
from sbert.data.rows import read_dataset
from sbert.errors import require
from sbert.markdown import markdown_table
from sbert.mining.candidates import Candidates, CandidateSearch, LabelledQueries, rescore_candidates
from sbert.mining.config import NegativesConfig
from sbert.mining.task import MiningTask
from sbert.models.loading import load_scorer

UNIT_QUERIES = 4096

RESCORED_UNIT_QUERIES = 256  # where a cross-encoder scores the candidates


def mine_negatives(task: MiningTask) -> None:
    """`mine.py negatives`."""
    config = task.config
    similarity = task.choose_similarity()
    labelled, queries, corpus = _read_queries(task)
    scorer = None
    if config.cross_encoder is not None:
        scorer = load_scorer(config.cross_encoder, "cross_encoder").to(task.accelerator.device)
        scorer.resolve_precision(config.precision)  # refused before the search, not after it
    positives = Collection("positives", [], [str(labelled.positives)])
    settings = task.settings(queries_hash=queries, corpus_hash=corpus, positives_hash=positives)
    settings |= {"similarity": similarity, "cross_encoder": scorer and scorer.fingerprint}
    done = task.open_output(settings)
    search = CandidateSearch(task, labelled, queries, corpus, similarity)
    counts = Counter(task.output.facts if task.output else {})
    size = RESCORED_UNIT_QUERIES if scorer else UNIT_QUERIES
    for unit in task.remaining_units(len(queries), size, done, "negatives"):
        candidates = search(unit)
        if scorer:
            candidates = rescore_candidates(task, scorer, labelled, unit, candidates)
        lowest = np.array([min(scores) for scores in candidates.positive_scores])
        ranks, unit_counts = select_negatives(
            candidates.scores, lowest, config.negatives, unit.start // size
        )
        counts += unit_counts
        if task.output:
            rows = _negative_rows(labelled, unit, candidates, ranks, config.output)
            lines = encode_lines(rows, config.output, header=not task.output.size)
            task.output.append(lines, dict(counts))
    rows = [[name, number] for name, number in counts.items()]
    task.print("\n" + markdown_table(["candidates", "number"], rows) + "\n")
    task.print(
        f"{counts['negatives']:,} negatives for {len(labelled.queries):,} queries "
        f"among {len(labelled.corpus):,} texts"
    )
    task.finish()


def _read_queries(task: MiningTask) -> tuple[LabelledQueries, Collection, Collection]:
    """The labelled queries; and their texts and those that are searched, with their prompts."""
    config = task.config
    data = read_dataset(config.data)
    task.print(data.describe())
    own = isinstance(data, Retrieval) and config.corpus
    require(not own, f"corpus: {data.name} has its own; leave corpus out")
    require(task.model is not None, "model: name the bi-encoder that finds the candidates")
    corpus = None
    if config.corpus:
        corpus = task.read(config.corpus, embed=False)
        require(
            corpus.vectors is None,
            f"{corpus.name}: has embeddings and no texts; negatives are texts",
        )
        require(
            corpus.embeddings is None,
            "corpus.embeddings: the embeddings of distinct texts are kept; "
            "name their file as embeddings",
        )
    labelled = LabelledQueries.from_data(data, corpus)
    check_texts(labelled.queries + labelled.corpus, config.output)
    query_prompt, corpus_prompt = (data.prompts or [None, None])[:2]
    if config.corpus and config.corpus.prompt is not None:
        corpus_prompt = config.corpus.prompt
    queries = Collection("queries", [], labelled.queries)
    searched = Collection("corpus", [], labelled.corpus, embeddings=config.embeddings)
    task.choose_prompt(queries, "query", query_prompt)
    task.choose_prompt(searched, "document", corpus_prompt)
    return labelled, queries, searched


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
    limits = positive_scores[:, None]  # (Q, 1)
    filters = [
        ("rank before", "range_min", lambda least: np.arange(scores.shape[1]) < least),
        ("score above", "max_score", lambda limit: scores > limit),
        ("score below", "min_score", lambda limit: scores < limit),
        ("within", "absolute_margin", lambda margin: scores > limits - margin),
        ("within", "relative_margin", lambda margin: scores > limits - abs(limits) * margin),
    ]
    left = scores > -np.inf  # (Q, K)
    counts = Counter({"candidates": int(left.sum())})
    for condition, option, drops in filters:
        value = getattr(config, option)
        if value is not None:
            dropped = left & drops(value)
            counts[f"{condition} {option} {value}"] = int(dropped.sum())
            left &= ~dropped
    ranks = _draw_ranks(scores, left, config, unit)
    numbers = (ranks >= 0).sum(axis=1)  # (Q,)
    counts["beyond num_negatives"] = int(left.sum() - numbers.sum())
    counts["negatives"] = int(numbers.sum())
    fewer = int((numbers < config.num_negatives).sum())
    counts["queries with fewer negatives than asked for"] = fewer
    counts["of these, with none"] = int((numbers == 0).sum())
    return ranks, counts


def _draw_ranks(
    scores: np.ndarray, left: np.ndarray, config: NegativesConfig, unit: int
) -> np.ndarray:
    """The ranks (Q, num_negatives) of some of the candidates that are left (Q, K), best first."""
    priority = scores
    if config.sampling == "random":
        priority = np.random.default_rng([config.seed, unit]).random(scores.shape)
    priority = np.where(left, priority, -np.inf)
    order = np.argsort(-priority, axis=1, kind="stable")[:, : config.num_negatives]
    chosen = np.take_along_axis(left, order, axis=1)
    chosen_scores = np.where(chosen, np.take_along_axis(scores, order, axis=1), -np.inf)
    best_first = np.argsort(-chosen_scores, axis=1, kind="stable")
    ranks = np.full((len(scores), config.num_negatives), -1)
    ranks[:, : order.shape[1]] = np.take_along_axis(np.where(chosen, order, -1), best_first, axis=1)
    return ranks


def _negative_rows(
    labelled: LabelledQueries, unit: slice, candidates: Candidates, ranks: np.ndarray, output: str
) -> list[dict]:
    rows = []
    for i, query in enumerate(range(unit.start, unit.stop)):
        chosen = ranks[i][ranks[i] >= 0]  # of (R, num_negatives)
        negatives = [labelled.corpus[j] for j in candidates.indices[i, chosen]]
        scores = candidates.scores[i, chosen].tolist()
        positives = zip(labelled.positives[query], candidates.positive_scores[i], strict=True)
        for positive, score in positives if negatives else ():
            pair = {"query": labelled.queries[query], "positive": labelled.corpus[positive]}
            margins = [round(score - negative_score, 6) for negative_score in scores]
            if output.endswith(".jsonl"):
                row = {**pair, "negatives": negatives, "score": round(score, 6)}
                row["scores"] = [round(negative_score, 6) for negative_score in scores]
                rows.append({**row, "margins": margins})
            else:
                for negative, margin in zip(negatives, margins, strict=True):
                    rows.append({**pair, "negative": negative, "margin": margin})
    return rows
