"""Retrieve, then re-rank: a cross-encoder orders anew what a bi-encoder found (Nogueira and Cho, 2019)."""

from collections.abc import Callable

import numpy as np

from sbert import metrics
from sbert.errors import InputError
from sbert.evaluation import Report
from sbert.retrieval import Retrieval


def rerank(
    rows: Retrieval, first: Report, predict: Callable[[list[tuple[str, str]]], np.ndarray], depth: int
) -> Report:
    """The report on the re-ranked order: the first `depth` documents of each query by their logit, of equal ones the one
    found earlier first, and behind them the others as they were found.

    `predict` gives the logits (P,) of all pairs of a query and a document, in one call. An empty document, of which a
    cross-encoder has nothing to say, ranks last of its `depth`.
    """
    top = first.found[:, :depth]
    words = np.array([bool(text.strip()) for text in rows.corpus])
    query, place = np.nonzero((top >= 0) & words[top])
    pairs = [(rows.queries[q], rows.corpus[d]) for q, d in zip(query, top[query, place], strict=True)]
    logits = np.full(top.shape, -np.inf)
    logits[query, place] = predict(pairs)
    if np.isnan(logits).any():
        bad = rows.query_ids[np.isnan(logits).any(axis=1).argmax()]
        raise InputError(f"{rows.name}: the reranker gives NaN to a document of query '{bad}'")
    order = np.argsort(-logits, axis=1, kind="stable")
    found = np.concatenate([np.take_along_axis(top, order, axis=1), first.found[:, depth:]], axis=1)
    report = Report(f"{rows.name}, re-ranked", rows.task, len(rows), {}, found=found, kind="logit")
    report.rank(metrics.retrieval_by_query(found, *rows.qrels), "logit")
    return report
