"""Encoders and rows for arithmetic by hand: a text is its vector, or its logits, written out."""

import numpy as np

from sbert.data.rows import Rows
from sbert.evaluation.bootstrap import Mean, Pearson, Spearman
from sbert.evaluation.report import Report
from sbert.evaluation.results import Difference, bootstrap_reports, compare
from sbert.evaluation.scorers import cross_encoder_scorer


class Lookup:
    """Text to vector; every text is its vector written out. Keeps what it was called with."""

    def __init__(self, dtype=np.float32):
        self.calls = []
        self.dtype = dtype

    def __call__(self, texts, prompt=""):
        self.calls.append(texts)
        return np.array([[float(x) for x in text.split()] for text in texts], self.dtype)


def sts(gold, first, second, sources=None):
    return Rows("pairs", "sts", [first, second], np.array(gold, np.float32), sources)


def by_angle(gold, seconds, sources=None):
    """Pairs of the first axis and `seconds`."""
    return sts(gold, ["1 0"] * len(gold), seconds, sources)


# cosines 1, 0.6, 0, -1; dots 1, 3, 0, -1; distances 0, sqrt 20, sqrt 5, 2; manhattan 0, 6, 3, 2
FOUR = ["1 0", "3 4", "0 2", "-1 0"]


class Predict:
    """Pairs to logits: the second text is its logits, written out. Keeps its calls."""

    def __init__(self, dim=1):
        self.calls = []
        self.dim = dim

    def __call__(self, pairs):
        self.calls.append(pairs)
        logits = np.array([[float(x) for x in right.split()] for _, right in pairs], np.float32)
        assert logits.shape == (len(pairs), self.dim)
        return logits[:, 0] if self.dim == 1 else logits

    def scorer(self, classes=None):
        return cross_encoder_scorer(self, self.dim, classes)


def scored(task, labels, logits, first=None, **options):
    """Pairs for a scorer of one score."""
    texts = [first or [f"text {i}" for i in range(len(labels))], [f"{x:g}" for x in logits]]
    return Rows("pairs", task, texts, np.array(labels, np.float32), **options)


def classified(labels, logits, **options):
    """Pairs for a scorer of classes."""
    texts = [["text"] * len(labels), [" ".join(map(str, row)) for row in logits]]
    return Rows("pairs", "nli", texts, np.array(labels), **options)


GOLD = np.random.default_rng(0).random(200)


def noisy_report(noise: float, name="pairs", gold=GOLD, seed=1) -> Report:
    """STS scores that are the gold labels with normal noise."""
    scores = gold + noise * np.random.default_rng(seed).normal(size=len(gold))
    bootstrap_metrics = {
        "spearman_cosine": Spearman(scores, gold),
        "pearson_cosine": Pearson(scores, gold),
    }
    every = np.ones(len(gold), bool)
    metrics = {key: metric.of_subset(every) for key, metric in bootstrap_metrics.items()}
    return Report(
        name, "sts", len(gold), metrics, scores, gold, bootstrap_metrics=bootstrap_metrics
    )


def accuracy_report(values, task="triplet", name="rows"):
    metric = {"triplet": "accuracy_cosine", "rerank": "ndcg@10_cosine"}[task]
    return Report(
        name,
        task,
        len(values),
        {metric: float(np.mean(values))},
        bootstrap_metrics={metric: Mean(values)},
    )


def cells(text):
    """The cells of a Markdown table."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def compared(first, second, resamples=500) -> Difference:
    """The difference of a report to that of the baseline, on the same resamples."""
    results = bootstrap_reports([first, second], resamples, 0, first.name)
    return compare(*results, "the baseline")


def undefined_difference() -> Difference:
    """The first report has no Spearman: its scores are all equal."""
    reports = []
    for scores in ([0.1, 0.1, 0.1], [0.1, 0.2, 0.3]):
        metric = {"spearman_cosine": Spearman(scores, [0, 1, 2])}
        values = {"spearman_cosine": float("nan")}
        reports.append(Report("p", "sts", 3, values, gold=GOLD[:3], bootstrap_metrics=metric))
    return compared(*reports, resamples=100)
