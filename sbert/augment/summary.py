"""The table of a recipe: its rows beside gold, and the row that is best on dev."""

import math
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from sbert.augment.recipe_config import RecipeConfig
from sbert.augment.size_results import SizeResults, metric_name
from sbert.augment.stages import GOLD, TEACHER, UNTUNED
from sbert.evaluation.report import factor_of
from sbert.evaluation.significance import ALPHA, p_of_means
from sbert.markdown import markdown_table
from sbert.sweeps.intervals import Comparison, compare_rows, comparison_table
from sbert.sweeps.summary import FinishedRun, deviation


def score_table(results: SizeResults) -> str:
    """Means over seeds, their deviation, the gain over gold, and the published score, x 100, of
    losses in nats x 1."""
    header = ["trained on", "runs", "rows", "steps"]
    for dataset, metric in results.columns:
        name = (metric or results.main_metrics[dataset]).partition("_")[0]
        header += [f"{dataset} {name}", "deviation", "gain"]
        if results.published_scores(dataset, metric):
            header.append("published")
    header += ["silver", "KL"]
    return markdown_table(header, [_row_cells(results, row) for row in results.rows])


def _row_cells(results: SizeResults, row: str) -> list[object]:
    cells = [results.title(row), 1, math.nan, math.nan]
    if row in results.runs:
        first = results.runs[row][0].result
        cells[1:] = [len(results.runs[row]), first["train_rows"], first["steps"]]
    for dataset, metric in results.columns:
        cells += _score_cells(results, row, dataset, metric)
    if row not in results.silver:
        return [*cells, math.nan, math.nan]
    pairs, divergence = np.mean(results.silver[row], axis=0).tolist()
    return [*cells, round(pairs), divergence]


def _score_cells(results: SizeResults, row: str, dataset: str, metric: str | None) -> list[float]:
    scores = list(results.scores(row, dataset, metric).values())
    gold = list(results.scores(GOLD, dataset, metric).values())
    factor = factor_of(metric or results.main_metrics[dataset])
    mean = factor * float(np.mean(scores))
    gain = math.nan if row == GOLD else mean - factor * float(np.mean(gold))
    cells = [mean, factor * deviation(scores), gain]
    published = results.published_scores(dataset, metric)
    if published:
        cells.append(float(published.get(row, math.nan)))
    return cells


def compare_with_gold(results: SizeResults) -> list[Comparison]:
    """The intervals of the trained rows on the test sets, and their differences to gold."""
    rows = {results.title(row): results.runs[row] for row in results.rows if row in results.runs}
    columns = []
    for dataset, metric in results.columns:
        if dataset not in results.dev_sets:
            name = metric or results.main_metrics[dataset].partition("_")[0]
            columns.append((dataset, name))
    return compare_rows(rows, columns, results.title(GOLD), metric_name)


def conclusion(results: SizeResults) -> str:
    """The row that is best on dev, its lead over gold, its model. Test sets do not count."""
    if not results.dev_sets:
        return "no labelled dev set of the target: nothing is chosen among the rows"
    means = _dev_means(results)
    if not means:
        return "no row has a defined score on dev: none is chosen"
    best = max(means, key=means.get)
    model = results.best_model(best)
    if best == UNTUNED:
        return f"**{UNTUNED}** is best on dev, no training helps: {model}"
    title = results.title(best)
    if best == GOLD:
        silver = set(means) & set(results.config.silver.strategies)
        note = "no silver helps" if silver else "the first"
        return f"**{title}** is best on dev ({note}): {model}"
    return f"**{title}** is best on dev, {_lead(results, best)}; its best run: {model}"


def _dev_means(results: SizeResults) -> dict[str, float]:
    """{row: its mean on dev}, of the rows that may be chosen: students with a defined score."""
    means = {}
    for row in results.rows:
        mean = float(np.mean(list(results.dev_scores(row).values())))
        if row != TEACHER and not math.isnan(mean):
            means[row] = mean
    return means


def _lead(results: SizeResults, best: str) -> str:
    """How far a row is above gold, and whether that is more than the noise between runs."""
    difference, p, test = p_of_means(results.dev_scores(best), results.dev_scores(GOLD))
    factor = results.runs[GOLD][0].main_factor("dev")
    lead = f"{factor * difference:.2f} above {results.title(GOLD)}"
    if math.isnan(p):
        return f"{lead}: with one run of each the noise is unknown"
    tried = len(set(results.rows) & set(results.config.silver.strategies))
    test += f", p = {p:.3f}"
    if tried > 1:
        test += f", not corrected for the choice among {tried} strategies"
    return f"{lead}: {'inside' if p >= ALPHA else 'outside'} the noise ({test})"


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
        parts += [score_table(of_size), intervals, warning, conclusion(of_size)]
    return "\n\n".join(filter(None, parts))
