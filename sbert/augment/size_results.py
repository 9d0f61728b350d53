"""The results of a recipe, for each size of gold: the scores of each row over its seeds."""

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from sbert.augment.divergence import MAX_KL, kl_divergence
from sbert.augment.recipe_config import RecipeConfig
from sbert.augment.stages import CONTROL, GOLD, TEACHER, UNTUNED, Stage
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.errors import require
from sbert.sweeps.summary import FinishedRun, group_by_row


class SilverSummary(NamedTuple):
    """The number of pairs of a silver file, and KL(gold || silver) of their scores in nats."""

    pairs: int
    divergence: float

    @classmethod
    def from_stage(cls, stage: Stage) -> "SilverSummary":
        gold = np.concatenate([read_dataset(dataset).labels for dataset in stage.config.gold])
        silver = read_dataset(DatasetConfig(stage.config.output)).labels
        return cls(len(silver), kl_divergence(gold, silver))

    def describe(self) -> str:
        skewed = f": skewed, above {MAX_KL}" if self.divergence > MAX_KL else ""
        return f"{self.pairs:,} pairs, KL(gold || silver) {self.divergence:.3f}{skewed}"


def metric_name(run: FinishedRun, column: tuple[str, str | None]) -> str:
    """The metric of a dataset, of the score that its main metric is of: pearson beside
    spearman_cosine is pearson_cosine. None is the main metric."""
    dataset, metric = column
    main = run.datasets[dataset]["main"]
    _, underscore, score_name = main.partition("_")
    return metric + underscore + score_name if metric else main


def run_score(run: FinishedRun, dataset: str, metric: str | None, when: str = "after") -> float:
    """A metric of a dataset before or after training; NaN if undefined or not evaluated.

    metric: as of `metric_name`.

    Raises:
        InputError: the dataset has no such metric.
    """
    if dataset not in run.datasets:
        return math.nan
    scores, name = run.datasets[dataset][when], metric_name(run, (dataset, metric))
    require(name in scores, f"metrics: {dataset} has no '{name}'; there are: {', '.join(scores)}")
    return math.nan if scores[name] is None else scores[name]


class SizeResults:
    """The results of one size of gold, as far as its stages are done.

    runs: the trainings of each row. silver: the silver files of each row. rows: those with results,
    in the order of the table. main_metrics: of each dataset in the table. metrics: those shown of
    each; None is the main metric. columns: (dataset, metric). published: the paper's scores by
    dataset and row. dev_sets: the datasets that choose among the rows.
    """

    def __init__(
        self, config: RecipeConfig, stages: Sequence[Stage], summaries: dict[str, SilverSummary]
    ):
        self.config = config
        trainings = [stage for stage in stages if stage.kind != "silver" and stage.done]
        self.runs = group_by_row([FinishedRun.read(stage) for stage in trainings])
        self.silver: dict[str, list[SilverSummary]] = {}
        for stage in stages:
            if stage.label in summaries:
                self.silver.setdefault(stage.row, []).append(summaries[stage.label])
        known = [GOLD, CONTROL, TEACHER, *config.silver.strategies]
        self.rows = [UNTUNED, *(row for row in known if row in self.runs)]
        self.first = self.runs[GOLD][0]
        if config.target:  # the first run tests on target.dev, target.test and test
            results = self.first.evaluations("test")
            self.dev_sets = [result["dataset"] for result in results[: len(config.target.dev)]]
        else:
            results = self.first.result["results"]
            self.dev_sets = self.first.dev_sets
        self.main_metrics = {result["dataset"]: result["main"] for result in results}
        self.metrics = config.metrics or [None]
        self.columns = list(product(self.main_metrics, self.metrics))
        # published scores are those of all gold
        self.published = {} if "size" in self.first.run.axes else config.published

    def title(self, row: str) -> str:
        """The name of a row in the table."""
        adapted = self.config.target is not None
        language = self.config.teacher.language
        gold = "source" if adapted else "gold"
        titles = {
            UNTUNED: row,
            TEACHER: f"{TEACHER}, {language}" if language else TEACHER,
            GOLD: gold,
            CONTROL: f"{gold}, control",
        }
        of_strategy = f"silver: {row}" if adapted else f"gold + {row}"
        return titles.get(row, of_strategy)

    def scores(self, row: str, dataset: str, metric: str | None) -> dict[int, float]:
        """{seed: score}. Untuned is the encoder before the first training: it has no seed."""
        if row == UNTUNED:
            return {0: run_score(self.first, dataset, metric, "before")}
        return {run.run.axes["seed"]: run_score(run, dataset, metric) for run in self.runs[row]}

    def published_scores(self, dataset: str, metric: str | None) -> dict[str, float] | None:
        """{row: the paper's score} beside a column; None if it has none."""
        return self.published.get(dataset) if metric == self.metrics[0] else None

    def dev_scores(self, row: str) -> dict[int, float]:
        """{seed: the mean of the main metrics of the dev sets}, in the order of the runs."""
        scores = [self.scores(row, dataset, None) for dataset in self.dev_sets]
        return {seed: float(np.mean([s[seed] for s in scores])) for seed in scores[0]}

    def best_model(self, row: str) -> str:
        """The folder of the model of a row's run that is best on dev."""
        if row == UNTUNED:
            return self.config.bi_encoder.model.path
        scores = np.nan_to_num(list(self.dev_scores(row).values()), nan=-math.inf)
        return str(self.runs[row][int(scores.argmax())].run.result)


def size_results(
    config: RecipeConfig, stages: Sequence[Stage], summaries: dict[str, SilverSummary]
) -> list[SizeResults]:
    """The results of each size of gold whose first training is done."""
    results = []
    for size in config.sizes or [None]:
        size_stages = [stage for stage in stages if stage.axes.get("size") == size]
        if any(stage.kind == "gold" and stage.done for stage in size_stages):
            results.append(SizeResults(config, size_stages, summaries))
    return results
