"""Evaluators of classes: of pairs (NLI) and of single texts."""

import math

import numpy as np

from sbert.data.rows import Rows
from sbert.evaluation import metrics
from sbert.evaluation.bootstrap import Mean
from sbert.evaluation.report import Report
from sbert.evaluation.scorers import Scorer
from sbert.evaluation.supported import find_classifier, find_text_classifier, with_text_classes

HEAD = "head"  # as score_name: single texts are classified by a trained head


def evaluate_nli(rows: Rows, scorer: Scorer, report: Report) -> None:
    """Natural language inference: accuracy of the class with the largest logit (SNLI, arXiv
    1508.05326).

    Macro F1 is given beside it.
    """
    classifier = find_classifier(rows, scorer)
    logits = classifier.logits(rows.texts, report.prompt_texts)  # (N, K)
    _add_metrics(report, logits.argmax(axis=1), rows.labels)


def evaluate_class(rows: Rows, scorer: Scorer, report: Report) -> None:
    """Single texts: accuracy and macro F1 of the class with the largest logit of a trained head.

    Without a head, of the class of the nearest other text of the dataset: the leave-one-out nearest
    neighbour, whose accuracy metric learning calls precision@1 (arXiv 2003.08505).
    """
    classifier = find_text_classifier(rows, scorer)
    if classifier:
        report.score_name = HEAD
        labels = with_text_classes(rows, classifier).labels  # (N,)
        predicted = classifier.logits(rows.texts, report.prompt_texts).argmax(axis=1)
        _add_metrics(report, predicted, labels, f"_{HEAD}")
        return
    report.notes.append(
        f"{rows.name}: no head of single texts was trained: a text gets the class of the nearest "
        "other text"
    )
    [embeddings] = scorer.embed(rows.texts, report.prompt_texts)  # (N, H)
    itself = np.arange(len(rows))[:, None]  # (N, 1)
    nearest = scorer.search(embeddings, embeddings, 1, itself)[:, 0]  # (N,)
    predicted = rows.labels[nearest]
    _add_metrics(report, predicted, rows.labels, f"_{scorer.score_name}")
    if undefined_by_nearest(rows):
        report.metrics = dict.fromkeys(report.metrics, math.nan)
        undefined = Mean(np.full(len(rows), math.nan))
        report.bootstrap_metrics = dict.fromkeys(report.bootstrap_metrics, undefined)


def undefined_by_nearest(rows: Rows) -> str | None:
    """Why the class of the nearest other text says nothing of any model, or None."""
    classes, counts = np.unique(rows.labels, return_counts=True)
    if counts.max() < 2:
        reason = "no two texts are of one class"
    elif len(classes) < 2:
        reason = f"all {len(rows):,} texts are of class {rows.classes[classes[0]]}"
    else:
        return None
    return f"{rows.name}: {reason}: the accuracy of the nearest other text is undefined"


def _add_metrics(
    report: Report, predicted: np.ndarray, labels: np.ndarray, suffix: str = ""
) -> None:
    """Accuracy and macro F1 of predicted classes (N,)."""
    report.metrics[f"accuracy{suffix}"] = metrics.accuracy(predicted, labels)
    report.metrics[f"macro_f1{suffix}"] = metrics.macro_f1(predicted, labels)
    report.bootstrap_metrics[f"accuracy{suffix}"] = Mean(predicted == labels)
