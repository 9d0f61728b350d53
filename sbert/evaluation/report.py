"""The report on one dataset, and the metrics of each task."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sbert.evaluation.bootstrap import BootstrapMetric, Mean
from sbert.evaluation.metrics import mean_defined

# For each task its metrics by their column in tables. The first one is the primary metric, which a
# model is chosen by. {} is the name of the score that counts, in columns and in metrics; a metric
# that this makes equal to an earlier one has no second column.
COLUMNS = {
    "sts": {
        "Spearman": "spearman_{}",
        "Pearson": "pearson_{}",
        "cosine": "spearman_cosine",
        "dot": "spearman_dot",
        "Euclidean": "spearman_euclidean",
        "Manhattan": "spearman_manhattan",
        "mean of sources": "mean_of_sources",
        "weighted": "weighted_mean_of_sources",
    },
    "binary": {
        "AP": "ap_{}",
        "F1": "f1_{}",
        "F1 at {}": "f1_threshold_{}",
        "accuracy": "accuracy_{}",
        "accuracy at {}": "accuracy_threshold_{}",
    },
    "nli": {"accuracy": "accuracy", "macro F1": "macro_f1"},
    "class": {"accuracy, {}": "accuracy_{}", "macro F1, {}": "macro_f1_{}"},
    "text": {"negative loss": "negative_loss", "loss": "loss", "perplexity": "perplexity"},
    "rerank": {"nDCG@10": "ndcg@10_{}", "MRR@10": "mrr@10_{}", "MAP": "map_{}"},
    "retrieval": {
        "nDCG@10": "ndcg@10_{}",
        "MRR@10": "mrr@10_{}",
        "MAP@100": "map@100_{}",
        "recall@10": "recall@10_{}",
        "recall@100": "recall@100_{}",
        "P@10": "precision@10_{}",
    },
    "pair": {
        "accuracy": "mean_accuracy_{}",
        "source to target": "src2trg_accuracy_{}",
        "target to source": "trg2src_accuracy_{}",
        "negative MSE": "negative_mse",
    },
    "triplet": {
        "accuracy, {}": "accuracy_{}",
        "cosine": "accuracy_cosine",
        "dot": "accuracy_dot",
        "Euclidean": "accuracy_euclidean",
        "Manhattan": "accuracy_manhattan",
    },
}

IN_NATS = (
    "negative_loss",
    "loss",
    "perplexity",
)  # metrics, also of one language, that are no fractions


class Prompt(NamedTuple):
    """A prompt of a model: its name, and the text that is put before other texts."""

    name: str
    text: str


NO_PROMPT = Prompt("none", "")


@dataclass
class Report:
    """The result on one dataset.

    scores, gold: (N,) each, for sts; figures show them.
    retrieved: (Q, K) documents of each query, best first, for retrieval; a reranker reads them.
    bootstrap_metrics: the metrics that can be resampled, the primary one among them. Their rows are
        those of the dataset; for rerank and retrieval they are queries.
    clusters: (N,) which rows of the bootstrap metrics are drawn together: those of one line of the
        file, its translations among them. None where every row is its own.
    languages: N, that of each row, of a dataset that declares them.
    score_name: the score that the primary metric is of: "logit", or the similarity that a
        bi-encoder declares.
    notes: what a reader of the metrics must know.
    prompts: that of each column of texts, C of them.
    """

    name: str
    task: str
    rows: int
    metrics: dict[str, float] = field(default_factory=dict)
    scores: np.ndarray | None = None
    gold: np.ndarray | None = None
    retrieved: np.ndarray | None = None
    bootstrap_metrics: dict[str, BootstrapMetric] = field(default_factory=dict)
    clusters: np.ndarray | None = None
    languages: list[str] | None = None
    score_name: str = "cosine"
    notes: list[str] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)

    @property
    def primary_metric(self) -> str:
        """The name of the metric that a model is chosen by."""
        return main_metric(self.task).format(self.score_name)

    @property
    def primary_column(self) -> str:
        """What tables call it."""
        return next(iter(COLUMNS[self.task])).format(self.score_name)

    @property
    def primary(self) -> float:
        """Its value."""
        return self.metrics[self.primary_metric]

    @property
    def factor(self) -> float:
        """What tables multiply its primary metric by: 100 for a fraction."""
        return factor_of(self.primary_metric)

    @property
    def prompt_texts(self) -> list[str]:
        """What is put before the texts of each column, C texts, "" for nothing."""
        return [prompt.text for prompt in self.prompts]

    @property
    def language_metrics(self) -> dict[str, str]:
        """Of several languages: the primary metric's name for the rows of each language, and of all
        crossed rows, by "de", "en" and "crossed"."""
        parts = [
            language for language in dict.fromkeys(self.languages or []) if "-" not in language
        ]
        names = {part: f"{self.primary_metric}_{part}" for part in [*parts, "crossed"]}
        return {part: name for part, name in names.items() if name in self.metrics}

    @property
    def shown_metrics(self) -> dict[str, int]:
        """What tables of a run show, with the number of rows that each is of: the primary metric,
        that of each language and of all crossed rows, the perplexity of a language model, and of
        pairs the accuracy in each direction and the error to a teacher, if there is one."""
        counts = {self.primary_metric: self.rows}
        for part, metric in self.language_metrics.items():
            counts[metric] = self.count_rows(part)
        if self.task == "text":
            counts["perplexity"] = self.rows
        if self.task == "pair":
            metrics = [metric.format(self.score_name) for metric in COLUMNS["pair"].values()]
            counts |= {metric: self.rows for metric in metrics if metric in self.metrics}
        return counts

    def count_rows(self, part: str) -> int:
        """The number of rows of a language, or of all "crossed" ones."""
        if part == "crossed":
            return sum("-" in language for language in self.languages)
        return self.languages.count(part)

    def add_row_metrics(self, by_row: dict[str, np.ndarray], score_name: str) -> None:
        """Add metrics of N rows, or queries, (N,) each, as their means where they are defined."""
        for name, values in by_row.items():
            self.metrics[f"{name}_{score_name}"] = mean_defined(values)
            self.bootstrap_metrics[f"{name}_{score_name}"] = Mean(values)


def main_metric(task: str) -> str:
    """The primary metric of a task, with {} for the name of its score."""
    return next(iter(COLUMNS[task].values()))


def factor_of(metric: str) -> float:
    """What is shown of a metric is multiplied by this: 1 for a loss in nats, 100 for others."""
    return 1.0 if metric.startswith(IN_NATS) else 100.0


def describe_metric(metric: str) -> str:
    """A metric in a table whose metrics are multiplied by 100."""
    return metric if factor_of(metric) == 100 else f"{metric} (x 1)"


def mean_primary(reports: Sequence[Report]) -> float:
    """What a run is judged by: see `mean_main`."""
    return mean_main([(report.primary_metric, report.primary) for report in reports])


def mean_main(scores: Sequence[tuple[str, float]]) -> float:
    """What a run is judged by: the mean of the main metrics of its dev sets, each (name, value).

    A language model with dev sets of texts is judged by its losses on these alone.
    """
    factor = main_factor(metric for metric, _ in scores)
    return float(np.mean([value for metric, value in scores if factor_of(metric) == factor]))


def main_factor(metrics: Iterable[str]) -> float:
    """What is shown of `mean_main` is multiplied by this: 1 where one of the metrics is a loss."""
    return min(map(factor_of, metrics), default=100.0)
