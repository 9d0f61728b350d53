"""The table of a recipe: the scores of each row over its seeds, and what silver gains over gold."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sbert.augment.config import GOLD, TEACHER, UNTUNED, RecipeConfig, SilverConfig
from sbert.augment.divergence import MAX_KL, kl_divergence
from sbert.augment.stages import Stage
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.errors import InputError
from sbert.evaluation.significance import ALPHA, p_of_means
from sbert.markdown import markdown_table
from sbert.sweeps.summary import FinishedRun, deviation, group_by_row


class SilverSummary(NamedTuple):
    """The number of pairs of a silver file, and KL(gold || silver) of their scores in nats."""

    pairs: int
    divergence: float

    @classmethod
    def from_stage(cls, stage: Stage) -> "SilverSummary":
        config: SilverConfig = stage.config
        gold = np.concatenate([read_dataset(dataset).labels for dataset in config.gold])
        silver = read_dataset(DatasetConfig(config.output)).labels
        return cls(len(silver), kl_divergence(gold, silver))

    def describe(self) -> str:
        skewed = f": skewed, above {MAX_KL}" if self.divergence > MAX_KL else ""
        return f"{self.pairs:,} pairs, KL(gold || silver) {self.divergence:.3f}{skewed}"


class DatasetColumn(NamedTuple):
    """A dataset in the table. chooses: it is a dev set of the last bi-encoder."""

    name: str
    chooses: bool


def metric_name(main: str, metric: str | None) -> str:
    """A metric of the score that a dataset's main metric is of.

    None is the main metric; pearson beside spearman_cosine is pearson_cosine; accuracy beside
    another metric without a score stays accuracy.
    """
    if metric is None:
        return main
    _, underscore, score_name = main.partition("_")
    return metric + underscore + score_name


def run_score(run: FinishedRun, dataset: str, metric: str | None, when: str = "after") -> float:
    """A metric of a dataset before or after training; NaN if undefined or not evaluated.

    Raises:
        InputError: the dataset has no such metric.
    """
    for result in run.result["results"]:
        if result["dataset"] == dataset:
            name = metric_name(result["main"], metric)
            scores = result[when]
            if name not in scores:
                raise InputError(
                    f"metric: {dataset} has no '{name}'; there are: {', '.join(scores)}"
                )
            return math.nan if scores[name] is None else scores[name]
    return math.nan


class SizeResults:
    """The results of one size of gold, as far as its stages are done.

    runs: the trainings of each row. silver: the silver files of each row.
    """

    def __init__(
        self, config: RecipeConfig, stages: Sequence[Stage], summaries: dict[str, SilverSummary]
    ):
        self.config = config
        trainings = [stage for stage in stages if stage.kind != "silver" and stage.done]
        self.runs = group_by_row([FinishedRun.read(stage) for stage in trainings])
        self.silver: dict[str, list[SilverSummary]] = {}
        for stage in stages:
            if stage.kind == "silver" and stage.label in summaries:
                self.silver.setdefault(stage.row, []).append(summaries[stage.label])
        self.first = self.runs[GOLD][0]
        self.columns = self._dataset_columns()

    def _dataset_columns(self) -> list[DatasetColumn]:
        """In the order of the first run; with a target, only the target's datasets and `test`."""
        target = self.config.target
        if target is None:
            results = self.first.result["results"]
            return [DatasetColumn(result["dataset"], result["part"] == "dev") for result in results]
        # the first run tests on target.dev, target.test and test
        names = [result["dataset"] for result in self.first.evaluations("test")]
        return [DatasetColumn(name, i < len(target.dev)) for i, name in enumerate(names)]

    def rows(self) -> list[str]:
        """The rows with results, in the order of the table."""
        known = [GOLD, TEACHER, *self.config.silver.strategies]
        return [UNTUNED, *(row for row in known if row in self.runs)]

    def title(self, row: str) -> str:
        if row in (UNTUNED, TEACHER):
            return row
        if self.config.target:
            return "source" if row == GOLD else f"silver: {row}"
        return "gold" if row == GOLD else f"gold + {row}"

    def scores(self, row: str, dataset: str, metric: str | None) -> dict[int, float]:
        """{seed: score}. Untuned is the encoder before the first training: it has no seed."""
        if row == UNTUNED:
            return {0: run_score(self.first, dataset, metric, "before")}
        return {run.run.axes["seed"]: run_score(run, dataset, metric) for run in self.runs[row]}

    def table(self) -> str:
        """Means over seeds, their deviation, and the gain over gold, x 100."""
        main = {result["dataset"]: result["main"] for result in self.first.result["results"]}
        header = ["trained on", "runs", "steps"]
        for column in self.columns:
            metric, _, _ = metric_name(main[column.name], self.config.metric).partition("_")
            header += [f"{column.name} {metric}", "deviation", "gain"]
        header += ["silver", "KL"]
        cells = [self._row_cells(row) for row in self.rows()]
        # published scores are those of all gold
        if self.config.published and "size" not in self.first.run.axes:
            header.append("published")
            for row, line in zip(self.rows(), cells, strict=True):
                line.append(float(self.config.published.get(row, math.nan)))
        return markdown_table(header, cells)

    def _row_cells(self, row: str) -> list[object]:
        runs = self.runs.get(row, [])
        cells = [self.title(row), 1, math.nan]
        if runs:
            cells[1:] = [len(runs), runs[0].result["steps"]]
        for column in self.columns:
            scores = list(self.scores(row, column.name, self.config.metric).values())
            gold = list(self.scores(GOLD, column.name, self.config.metric).values())
            mean, gold_mean = 100 * float(np.mean(scores)), 100 * float(np.mean(gold))
            gain = math.nan if row == GOLD else mean - gold_mean
            cells += [mean, 100 * deviation(scores), gain]
        silver = self.silver.get(row)
        if not silver:
            return [*cells, math.nan, math.nan]
        pairs = round(np.mean([summary.pairs for summary in silver]))
        return [*cells, pairs, float(np.mean([summary.divergence for summary in silver]))]

    def dev_scores(self, row: str) -> dict[int, float]:
        """{seed: the mean of the main metrics of the dev sets}."""
        names = [column.name for column in self.columns if column.chooses]
        scores = [self.scores(row, name, None) for name in names]
        return {seed: float(np.mean([s[seed] for s in scores])) for seed in scores[0]}

    def conclusion(self) -> str:
        """The row that is best on dev, its lead over gold, its model. Test sets do not count."""
        if not any(column.chooses for column in self.columns):
            return "no labelled dev set of the target: nothing is chosen among the rows"
        means = {}
        for row in self.rows():
            mean = float(np.mean(list(self.dev_scores(row).values())))
            if row != TEACHER and not math.isnan(mean):
                means[row] = mean
        if not means:
            return "no row has a defined score on dev: none is chosen"
        best = max(means, key=means.get)
        model = self.best_model(best)
        if best == UNTUNED:
            return f"**{UNTUNED}** is best on dev, no training helps: {model}"
        if best == GOLD:
            note = "no silver helps" if len(means) > 2 else "the first"
            return f"**{self.title(GOLD)}** is best on dev ({note}): {model}"
        return f"**{self.title(best)}** is best on dev, {self._lead(best)}; its best run: {model}"

    def _lead(self, best: str) -> str:
        """How far a row is above gold, and whether that is more than the noise between runs."""
        difference, p, test = p_of_means(self.dev_scores(best), self.dev_scores(GOLD))
        lead = f"{100 * difference:.2f} above {self.title(GOLD)}"
        if math.isnan(p):
            return f"{lead}: with one run of each the noise is unknown"
        tried = len(set(self.rows()) & set(self.config.silver.strategies))
        test += f", p = {p:.3f}"
        if tried > 1:
            test += f", not corrected for the choice among {tried} strategies"
        return f"{lead}: {'inside' if p >= ALPHA else 'outside'} the noise ({test})"

    def best_model(self, row: str) -> str:
        """The folder of the model of a row's run that is best on dev."""
        if row == UNTUNED:
            return self.config.bi_encoder.model.path
        scores = self.dev_scores(row)

        def dev_score(run: FinishedRun) -> float:
            return np.nan_to_num(scores[run.run.axes["seed"]], nan=-math.inf)

        return str(max(self.runs[row], key=dev_score).run.result)


def teacher_warning(
    config: RecipeConfig, gold: Sequence[FinishedRun], teacher: Sequence[FinishedRun]
) -> str:
    """A warning if the teacher is worse on dev than the student, else "".

    Its labels are then further from gold than the student's own scores. With a target there is no
    warning: dev of the source does not tell which of the two is better on the target.
    """
    if config.target or not gold or not teacher:
        return ""
    student_score, teacher_score = (
        100 * float(np.mean([run.main_score("dev") for run in runs])) for runs in (gold, teacher)
    )
    if not teacher_score < student_score:  # NaN too: a score is undefined
        return ""
    return (
        f"the {TEACHER} has {teacher_score:.2f} on dev, less than the {student_score:.2f} of the "
        "bi-encoder that it is to teach: its silver may not help; start it from a stronger "
        "encoder, or train it longer"
    )


def recipe_table(
    config: RecipeConfig, stages: Sequence[Stage], summaries: dict[str, SilverSummary]
) -> str:
    """A table with its conclusion for each size of gold whose first training is done."""
    parts = []
    for size in config.sizes or [None]:
        size_stages = [stage for stage in stages if stage.axes.get("size") == size]
        if not any(stage.kind == "gold" and stage.done for stage in size_stages):
            continue
        results = SizeResults(config, size_stages, summaries)
        if config.sizes:
            parts.append(f"{results.first.result['train_rows']:,} gold pairs")
        parts.append(results.table())
        warning = teacher_warning(config, results.runs[GOLD], results.runs.get(TEACHER, []))
        if warning:
            parts.append(warning)
        parts.append(results.conclusion())
    return "\n\n".join(parts)
