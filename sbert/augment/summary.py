"""The table of a recipe: the scores of each row over its seeds, and what silver gains over gold."""

import math
from collections.abc import Sequence
from itertools import product, zip_longest
from typing import NamedTuple

import numpy as np

from sbert.augment.divergence import MAX_KL, kl_divergence
from sbert.augment.recipe_config import RecipeConfig
from sbert.augment.stages import CONTROL, GOLD, TEACHER, UNTUNED, Stage
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.errors import require
from sbert.evaluation.significance import ALPHA, p_of_means
from sbert.markdown import markdown_table
from sbert.sweeps.intervals import Comparison, compare_rows, comparison_table
from sbert.sweeps.summary import FinishedRun, deviation, group_by_row


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
        results, self.dev_sets = self.first.result["results"], self.first.dev_sets
        if config.target:  # the first run tests on target.dev, target.test and test
            results = self.first.evaluations("test")
            self.dev_sets = [result["dataset"] for result in results[: len(config.target.dev)]]
        self.main_metrics = {result["dataset"]: result["main"] for result in results}
        self.metrics = config.metrics or [None]
        self.columns = list(product(self.main_metrics, self.metrics))
        # published scores are those of all gold
        self.published = {} if "size" in self.first.run.axes else config.published

    def title(self, row: str) -> str:
        gold, prefix = ("source", "silver: ") if self.config.target else ("gold", "gold + ")
        language = self.config.teacher.language
        teacher = f"{TEACHER}, {language}" if language else TEACHER
        titles = {UNTUNED: row, TEACHER: teacher, GOLD: gold, CONTROL: f"{gold}, control"}
        return titles.get(row, prefix + row)

    def scores(self, row: str, dataset: str, metric: str | None) -> dict[int, float]:
        """{seed: score}. Untuned is the encoder before the first training: it has no seed."""
        if row == UNTUNED:
            return {0: run_score(self.first, dataset, metric, "before")}
        return {run.run.axes["seed"]: run_score(run, dataset, metric) for run in self.runs[row]}

    def published_scores(self, dataset: str, metric: str | None) -> dict[str, float] | None:
        """{row: the paper's score} beside a column; None if it has none."""
        return self.published.get(dataset) if metric == self.metrics[0] else None

    def table(self) -> str:
        """Means over seeds, their deviation, the gain over gold, and the published score, x 100."""
        header = ["trained on", "runs", "rows", "steps"]
        for dataset, metric in self.columns:
            name = (metric or self.main_metrics[dataset]).partition("_")[0]
            header += [f"{dataset} {name}", "deviation", "gain"]
            if self.published_scores(dataset, metric):
                header.append("published")
        header += ["silver", "KL"]
        return markdown_table(header, [self._row_cells(row) for row in self.rows])

    def _row_cells(self, row: str) -> list[object]:
        cells = [self.title(row), 1, math.nan, math.nan]
        if row in self.runs:
            result = self.runs[row][0].result
            cells[1:] = [len(self.runs[row]), result["train_rows"], result["steps"]]
        for dataset, metric in self.columns:
            scores = list(self.scores(row, dataset, metric).values())
            gold = list(self.scores(GOLD, dataset, metric).values())
            mean = 100 * float(np.mean(scores))
            gain = math.nan if row == GOLD else mean - 100 * float(np.mean(gold))
            cells += [mean, 100 * deviation(scores), gain]
            published = self.published_scores(dataset, metric)
            if published:
                cells.append(float(published.get(row, math.nan)))
        if row not in self.silver:
            return [*cells, math.nan, math.nan]
        pairs, divergence = np.mean(self.silver[row], axis=0).tolist()
        return [*cells, round(pairs), divergence]

    def comparisons(self) -> list[Comparison]:
        """The intervals of the trained rows on the test sets, and their differences to gold."""
        rows = {self.title(row): self.runs[row] for row in self.rows if row in self.runs}
        columns = []
        for dataset, metric in self.columns:
            if dataset not in self.dev_sets:
                name = metric or self.main_metrics[dataset].partition("_")[0]
                columns.append((dataset, name))
        return compare_rows(rows, columns, self.title(GOLD), metric_name)

    def dev_scores(self, row: str) -> dict[int, float]:
        """{seed: the mean of the main metrics of the dev sets}, in the order of the runs."""
        scores = [self.scores(row, dataset, None) for dataset in self.dev_sets]
        return {seed: float(np.mean([s[seed] for s in scores])) for seed in scores[0]}

    def conclusion(self) -> str:
        """The row that is best on dev, its lead over gold, its model. Test sets do not count."""
        if not self.dev_sets:
            return "no labelled dev set of the target: nothing is chosen among the rows"
        means = {row: np.mean(list(self.dev_scores(row).values())) for row in self.rows}
        means = {row: means[row] for row in means if row != TEACHER and not np.isnan(means[row])}
        if not means:
            return "no row has a defined score on dev: none is chosen"
        best = max(means, key=means.get)
        model = self.best_model(best)
        if best == UNTUNED:
            return f"**{UNTUNED}** is best on dev, no training helps: {model}"
        if best == GOLD:
            silver = set(means) & set(self.config.silver.strategies)
            note = "no silver helps" if silver else "the first"
            return f"**{self.title(GOLD)}** is best on dev ({note}): {model}"
        return f"**{self.title(best)}** is best on dev, {self._lead(best)}; its best run: {model}"

    def _lead(self, best: str) -> str:
        """How far a row is above gold, and whether that is more than the noise between runs."""
        difference, p, test = p_of_means(self.dev_scores(best), self.dev_scores(GOLD))
        lead = f"{100 * difference:.2f} above {self.title(GOLD)}"
        if math.isnan(p):
            return f"{lead}: with one run of each the noise is unknown"
        tried = len(set(self.rows) & set(self.config.silver.strategies))
        test += f", p = {p:.3f}"
        if tried > 1:
            test += f", not corrected for the choice among {tried} strategies"
        return f"{lead}: {'inside' if p >= ALPHA else 'outside'} the noise ({test})"

    def best_model(self, row: str) -> str:
        """The folder of the model of a row's run that is best on dev."""
        if row == UNTUNED:
            return self.config.bi_encoder.model.path
        scores = np.nan_to_num(list(self.dev_scores(row).values()), nan=-math.inf)
        return str(self.runs[row][int(scores.argmax())].run.result)


def teacher_warning(
    config: RecipeConfig, gold: Sequence[FinishedRun], teacher: Sequence[FinishedRun]
) -> str:
    """A warning if the teacher is worse on dev than the student, else "".

    Its labels are then further from gold than the student's own scores. With a target there is no
    warning: dev of the source does not tell which of the two is better on the target.
    """
    if config.target or not teacher:
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


def recipe_table(
    config: RecipeConfig,
    results: Sequence[SizeResults],
    comparisons: Sequence[Sequence[Comparison]] = (),
) -> str:
    """A table with its conclusion for each size of gold; with comparisons, also their table."""
    parts = []
    for of_size, compared in zip_longest(results, comparisons, fillvalue=()):
        if config.sizes:
            parts.append(f"{of_size.first.result['train_rows']:,} gold pairs")
        warning = teacher_warning(config, of_size.runs[GOLD], of_size.runs.get(TEACHER, []))
        intervals = comparison_table(compared, "trained on")
        parts += [of_size.table(), intervals, warning, of_size.conclusion()]
    return "\n\n".join(filter(None, parts))
