"""Evaluators: a dataset and a scorer to named metrics, one function for each task.

Every metric is a fraction, larger is better; those of a language model are in nats. `EVALUATORS`
names the function of each task; the columns of tables, and the primary metric of each task, are in
`report.py`. `rerank` evaluates a second order of retrieved documents, by a cross-encoder.
"""

from collections.abc import Sequence

import numpy as np

from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation import metrics
from sbert.evaluation.bootstrap import AveragePrecision, Pearson, Ratio, Spearman, language_parts
from sbert.evaluation.classification import (
    evaluate_class,
    evaluate_nli,
    undefined_by_nearest,
)
from sbert.evaluation.report import NO_PROMPT, Prompt, Report
from sbert.evaluation.scorers import Scorer
from sbert.evaluation.supported import check_supported, find_text_classifier
from sbert.texts import unique


def evaluate_sts(rows: Rows, scorer: Scorer, report: Report) -> None:
    """Semantic textual similarity: Spearman's rho of scores and labels (Sentence-BERT, section 4).

    One correlation over all rows, the setting "all" of SimCSE (arXiv 2104.08821, appendix B). The
    means over the sources of the rows, "mean" and "wmean" there, are given beside it.
    """
    scores = _pair_scores(rows, scorer, report)
    for name, values in scores.items():
        report.metrics[f"spearman_{name}"] = metrics.spearman(values, rows.labels)
        report.metrics[f"pearson_{name}"] = metrics.pearson(values, rows.labels)
        report.bootstrap_metrics[f"spearman_{name}"] = Spearman(values, rows.labels)
        report.bootstrap_metrics[f"pearson_{name}"] = Pearson(values, rows.labels)
    report.scores, report.gold = scores[scorer.score_name], rows.labels
    if rows.sources and len(set(rows.sources)) > 1:
        report.metrics.update(_source_means(report.scores, rows.labels, rows.sources))


def _source_means(scores: np.ndarray, gold: np.ndarray, sources: list[str]) -> dict[str, float]:
    """The mean, and the mean weighted by size, of the Spearman's rho of each source.

    NaN where it is undefined for one of them.
    """
    _, source, sizes = np.unique(sources, return_inverse=True, return_counts=True)
    masks = np.arange(len(sizes))[:, None] == source  # (sources, N)
    rhos = [metrics.spearman(scores[mask], gold[mask]) for mask in masks]
    return {
        "mean_of_sources": float(np.mean(rhos)),
        "weighted_mean_of_sources": float(np.average(rhos, weights=sizes)),
    }


def evaluate_binary(rows: Rows, scorer: Scorer, report: Report) -> None:
    """Pair classification: average precision, and the best F1 and accuracy over all thresholds.

    As MTEB (arXiv 2210.07316, section 3.2). The thresholds are chosen on the data itself.
    """
    for name, scores in _pair_scores(rows, scorer, report).items():
        f1, f1_threshold = metrics.best_f1(scores, rows.labels)
        accuracy, accuracy_threshold = metrics.best_accuracy(scores, rows.labels)
        report.metrics |= {
            f"ap_{name}": metrics.average_precision(scores, rows.labels),
            f"f1_{name}": f1,
            f"f1_threshold_{name}": f1_threshold,
            f"accuracy_{name}": accuracy,
            f"accuracy_threshold_{name}": accuracy_threshold,
        }
        report.bootstrap_metrics[f"ap_{name}"] = AveragePrecision(scores, rows.labels)


def evaluate_text(rows: Rows, scorer: Scorer, report: Report) -> None:
    """Masked-language modelling: minus the mean loss of all masked tokens, in nats; the loss itself
    and perplexity, its exp, of which less is better."""
    total, number = scorer.token_losses(rows.texts, report.prompt_texts).T  # (N,) each
    negative_loss = Ratio(-total, number)
    loss = -negative_loss.of_all()
    report.metrics |= {"negative_loss": -loss, "loss": loss, "perplexity": float(np.exp(loss))}
    report.bootstrap_metrics["negative_loss"] = negative_loss


def evaluate_rerank(rows: Rows, scorer: Scorer, report: Report) -> None:
    """Given candidates of each query: nDCG@10, MRR@10 and MAP of their order by score.

    The candidates of a query are the rows with its text in the first column. Queries without a
    relevant candidate are left out, as in MTEB's reranking (arXiv 2210.07316, section 3.2).
    """
    queries, groups = unique(rows.texts[0])
    unanswered = len(queries) - len(np.unique(groups[rows.labels > 0]))
    if unanswered:
        report.notes.append(
            f"{unanswered:,} of {len(queries):,} queries have no relevant candidate and are left "
            "out"
        )
    for name, scores in _pair_scores(rows, scorer, report).items():
        report.add_row_metrics(metrics.ranking_metrics(scores, rows.labels, groups), name)


def evaluate_retrieval(rows: Retrieval, scorer: Scorer, report: Report) -> None:
    """Search of a whole corpus: nDCG@10 by trec_eval's formula, as BEIR (arXiv 2104.08663)."""
    own = rows.own_documents
    exclude = None if own is None else own[:, None]  # (Q, 1)
    queries, corpus = scorer.embed(rows.texts, report.prompt_texts)  # (Q, H), (N, H)
    report.retrieved = scorer.search(queries, corpus, scorer.depth, exclude)
    report.add_row_metrics(
        metrics.retrieval_metrics(report.retrieved, *rows.qrels), scorer.score_name
    )


def evaluate_pair(rows: Rows, scorer: Scorer, report: Report) -> None:
    """Translation accuracy: the share of first texts whose nearest second text, of all N, is their
    own, and the same from second to first (arXiv 2004.09813, section 4.2).

    A text equal to the own one is right, too. With labels, the embeddings (N, H) of a teacher, also
    the negative mean squared error of the second texts' embeddings.
    """
    embeddings = scorer.embed(rows.texts, report.prompt_texts)  # 2 x (N, H)
    right = []
    for start, aim in ((0, 1), (1, 0)):
        nearest = scorer.search(embeddings[start], embeddings[aim], 1)[:, 0]  # (N,)
        text = unique(rows.texts[aim])[1]  # (N,), equal for equal texts
        right.append(text[nearest] == text)
    src2trg, trg2src = right
    accuracies = {
        "mean_accuracy": (src2trg.astype(float) + trg2src) / 2,
        "src2trg_accuracy": src2trg,
        "trg2src_accuracy": trg2src,
    }
    report.add_row_metrics(accuracies, scorer.score_name)
    if rows.labels is not None:
        report.metrics["negative_mse"] = -float(np.square(embeddings[1] - rows.labels).mean())


def evaluate_triplet(rows: Rows, scorer: Scorer, report: Report) -> None:
    """The share of anchors closer to the positive than to every negative (Sentence-BERT, section
    4.4).

    A tie counts as wrong. A missing negative (None) is left out.
    """
    missing = np.array([[text is None for text in column] for column in rows.texts[1:]])
    for name, scores in scorer.score(rows.texts, report.prompt_texts).items():
        scores[missing] = -np.inf  # (C - 1, N), of the positives, then of the negatives
        correct = scores[0] > scores[1:].max(axis=0)  # (N,)
        report.add_row_metrics({"accuracy": correct}, name)


def _pair_scores(rows: Rows, scorer: Scorer, report: Report) -> dict[str, np.ndarray]:
    """The scores (N,) of N pairs, by name."""
    scores = scorer.score(rows.texts, report.prompt_texts)
    return {name: values for name, (values,) in scores.items()}


EVALUATORS = {
    "sts": evaluate_sts,
    "binary": evaluate_binary,
    "nli": evaluate_nli,
    "class": evaluate_class,
    "text": evaluate_text,
    "rerank": evaluate_rerank,
    "retrieval": evaluate_retrieval,
    "pair": evaluate_pair,
    "triplet": evaluate_triplet,
}


def evaluate_rows(
    rows: Rows | Retrieval, scorer: Scorer, prompts: Sequence[Prompt] | None = None
) -> Report:
    """Score all pairs of a dataset, or search for all its queries, in one call, and compute its
    metrics.

    prompts: that of each column, from `column_prompts`; None: no prompt.

    Raises:
        InputError: a task that the model cannot do, other classes than the model's.
    """
    check_supported(rows, scorer)
    report = Report(rows.name, rows.task, len(rows), score_name=scorer.score_name)
    report.prompts = [NO_PROMPT] * len(rows.texts) if prompts is None else list(prompts)
    report.notes += [f"{rows.name}: {note}" for note in rows.notes]
    has_head = rows.task == "class" and find_text_classifier(rows, scorer) is not None
    reason = undefined_metric(rows, has_head)
    if reason:
        report.notes.append(reason)
    EVALUATORS[rows.task](rows, scorer, report)
    if rows.task not in ("rerank", "retrieval"):  # whose metrics are of queries
        report.clusters, report.languages = clusters_of_lines(rows.lines), rows.languages
        parts = language_parts(report.bootstrap_metrics, rows.languages or [])
        report.metrics |= {name: part.of_all() for name, part in parts.items()}
    return report


def clusters_of_lines(lines: np.ndarray) -> np.ndarray | None:
    """The cluster of each row, (N,): that of its line; None where every line has one row."""
    distinct, clusters = np.unique(lines, return_inverse=True)
    return clusters if len(distinct) < len(lines) else None


def undefined_metric(rows: Rows | Retrieval, has_head: bool = False) -> str | None:
    """Why the primary metric of a dataset is undefined for every model, or None.

    has_head: single texts are classified by a trained head.
    """
    if rows.task in ("sts", "binary") and len(np.unique(rows.labels)) < 2:
        metric = "a correlation" if rows.task == "sts" else "average precision"
        labels = f"all {len(rows):,} labels are {rows.labels[0]:g}"
        return f"{rows.name}: {labels}: {metric} is undefined"
    if rows.task == "rerank" and not (rows.labels > 0).any():
        return f"{rows.name}: no query has a relevant candidate: nDCG is undefined"
    if rows.task == "class" and not has_head:
        return undefined_by_nearest(rows)
    return None


def rerank(rows: Retrieval, first: Report, scorer: Scorer, depth: int) -> Report:
    """Re-rank the first `depth` documents of each query by a cross-encoder (arXiv 1901.04085).

    Documents with equal logits keep their order, and the documents beyond `depth` follow as
    retrieved. An empty document, which a cross-encoder cannot read, ranks last of the `depth`.
    All pairs are scored in one call.

    Raises:
        InputError: a logit is NaN.
    """
    top = first.retrieved[:, :depth]  # (Q, D)
    has_text = np.array([bool(text.strip()) for text in rows.corpus])  # (N,)
    query, rank = np.nonzero((top >= 0) & has_text[top])  # (P,) each
    queries = [rows.queries[q] for q in query]
    documents = [rows.corpus[d] for d in top[query, rank]]
    logits = np.full(top.shape, -np.inf)
    [logits[query, rank]] = scorer.score([queries, documents], ["", ""])["logit"]
    undefined = np.isnan(logits).any(axis=1)  # (Q,)
    if undefined.any():
        query_id = rows.query_ids[undefined.argmax()]
        raise InputError(f"{rows.name}: the reranker gives NaN to a document of query '{query_id}'")
    reranked = np.take_along_axis(top, np.argsort(-logits, axis=1, kind="stable"), axis=1)
    retrieved = np.concatenate([reranked, first.retrieved[:, depth:]], axis=1)
    report = Report(
        f"{rows.name}, re-ranked", rows.task, len(rows), retrieved=retrieved, score_name="logit"
    )
    report.add_row_metrics(metrics.retrieval_metrics(retrieved, *rows.qrels), "logit")
    return report
