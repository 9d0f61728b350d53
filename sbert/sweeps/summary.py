"""The results of a sweep: a JSONL record for each run, and the table of all runs."""

import dataclasses
import json
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from sbert.errors import InputError, require
from sbert.evaluation.report import factor_of, main_factor, mean_main
from sbert.evaluation.scores import DatasetScores, read_scores
from sbert.evaluation.significance import ALPHA, p_of_means
from sbert.markdown import markdown_table
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.plan import REPEAT_AXES, PlannedRun, row_axes

Column = tuple[str, str]  # a dataset and a metric

# what the last of a metric's three columns shows, with and without dev sets
TOP_NOTES = {
    "best": "best: the run that is best on dev",
    "highest": "highest: of all runs; nothing was chosen by it",
}


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A run and its result.json."""

    run: PlannedRun
    result: dict

    @classmethod
    def read(cls, run: PlannedRun) -> "FinishedRun":
        """
        Raises:
            InputError: the file is damaged.
        """
        path = run.folder / "result.json"
        result = read_result(path, {"seconds"}, {"dataset", "part", "main", "before", "after"})
        return cls(run, result)

    @property
    def repeat(self) -> tuple:
        """The seed and the fold, which tell the runs of a table row apart."""
        return tuple(self.run.axes.get(axis) for axis in REPEAT_AXES)

    @property
    def datasets(self) -> dict[str, dict]:
        """The results on each evaluated dataset."""
        datasets = {}
        for result in self.result["results"]:
            facts = dict(result)
            datasets[facts.pop("dataset")] = facts
        return datasets

    @cached_property
    def scores(self) -> dict[str, DatasetScores]:
        """The scores of every row of each dataset."""
        return read_scores(self.run.folder)

    def evaluations(self, part: str) -> list[dict]:
        """The results on the dev sets, or on the test sets."""
        return [result for result in self.result["results"] if result["part"] == part]

    @property
    def dev_sets(self) -> tuple[str, ...]:
        return tuple(result["dataset"] for result in self.evaluations("dev"))

    def score(self, column: Column) -> float:
        """A metric of a dataset after training; NaN if it is undefined or the run has none."""
        dataset, metric = column
        value = self.datasets.get(dataset, {"after": {}})["after"].get(metric)
        return math.nan if value is None else value

    def main_score(self, part: str) -> float:
        """What the run is judged by: the mean of the main metrics of the dev sets, or of the test
        sets, as of `mean_main`; NaN without any."""
        columns = [(result["dataset"], result["main"]) for result in self.evaluations(part)]
        scores = [(metric, self.score((dataset, metric))) for dataset, metric in columns]
        return mean_main(scores) if scores else math.nan

    def main_factor(self, part: str) -> float:
        """What is shown of `main_score` is multiplied by this."""
        return main_factor(result["main"] for result in self.evaluations(part))

    def record(self) -> dict:
        """The run's row of results.jsonl."""
        record = {"run": self.run.label, "axes": self.run.axes, **self.result}
        del record["results"]  # goes last
        return record | {"results": self.datasets}

    def progress_line(self) -> str:
        scores = [
            f"{name} {factor_of(result['main']) * self.score((name, result['main'])):.2f}"
            for name, result in self.datasets.items()
        ]
        return f"{self.run.label}: {', '.join(scores) or 'trained'}; {self.result['seconds']:.0f} s"


def read_result(path: Path, facts: set[str], result_facts: set[str]) -> dict:
    """A JSON file of results: `facts`, and of each of its `results`, the `result_facts`.

    Raises:
        InputError: it is damaged, or has less.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}; delete it, and run again") from None
    _check_facts(path, content, facts | {"results"})
    for place, result in enumerate(content["results"]):
        _check_facts(f"{path}, results[{place}]", result, result_facts)
    return content


def _check_facts(place: object, content: object, facts: set[str]) -> None:
    found = content.keys() if isinstance(content, dict) else set()
    missing = ", ".join(sorted(facts - found))
    require(not missing, f"{place}: has no {missing}; delete it, and run again")


def metric_columns(finished: list[FinishedRun], metrics: list[str] | None) -> list[Column]:
    """The main metric of every dataset, or those of the given metrics that it has.

    Raises:
        InputError: a metric that no dataset has.
    """
    columns: dict[Column, None] = {}  # as an ordered set
    known: set[str] = set()
    for run in finished:
        for result in run.result["results"]:
            known.update(result["after"])
            for name in [result["main"]] if metrics is None else metrics:
                if name in result["after"]:
                    columns[result["dataset"], name] = None
    for name in metrics or []:
        require(
            name in known or not finished,
            f"metrics: no dataset has '{name}'; there are: {', '.join(sorted(known))}",
        )
    return list(columns)


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation, with n - 1; NaN for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def mean_and_deviation(runs: list[FinishedRun], column: Column) -> tuple[float, float]:
    """Of a metric over some runs, x 100; of a loss in nats x 1."""
    values = [factor_of(column[1]) * run.score(column) for run in runs]
    return float(np.mean(values)), deviation(values)


def group_by_row(finished: list[FinishedRun]) -> dict[str, list[FinishedRun]]:
    rows: dict[str, list[FinishedRun]] = {}
    for run in finished:
        rows.setdefault(run.run.row, []).append(run)
    return rows


def best_row(rows: dict[str, list[FinishedRun]]) -> tuple[str | None, str]:
    """The row with the highest mean on dev, and a note on its lead; test sets are not used.

    None and the reason where there are no dev sets or the rows cannot be compared.
    """
    if len(rows) < 2:
        return None, ""
    scores, means, judged_by = {}, {}, set()  # of the rows that have a dev score
    for row, runs in rows.items():
        scores[row] = {run.repeat: run.main_score("dev") for run in runs}
        mean = float(np.mean(list(scores[row].values())))
        if not math.isnan(mean):
            means[row] = mean
            judged_by.add(frozenset((run.repeat, run.dev_sets) for run in runs))
    if len(means) < 2:
        return None, "no dev set: no row is chosen"
    if len(judged_by) > 1:
        return None, "rows differ in their seeds, folds or dev sets: none is chosen"
    ranked = sorted(means, key=means.get, reverse=True)
    return ranked[0], _lead_note(ranked, scores, rows[ranked[0]][0])


def _lead_note(ranked: list[str], scores: dict[str, dict], run: FinishedRun) -> str:
    """How far the best row, which has the run, leads, and whether that is more than the noise
    between runs."""
    best, second = ranked[:2]
    difference, p, test = p_of_means(scores[best], scores[second])
    lead = f"`{best}` is best on dev, {run.main_factor('dev') * difference:.2f} above `{second}`"
    if math.isnan(p):
        return f"warning: {lead}; with one run per row the noise between runs is unknown"
    test += f", p = {p:.3f}" if p >= 0.0005 else ", p < 0.001"
    if len(ranked) > 2:
        test += f", not corrected for the choice among {len(ranked)}"
    if "fold" in run.run.axes:
        test += "; folds share training rows, so p is too small"
    if p < ALPHA:
        return f"{lead}, which is outside the noise between runs ({test})"
    return (
        f"warning: {lead}, which is inside the noise between runs ({test}): "
        "the order may be due to chance"
    )


def sweep_table(finished: list[FinishedRun], config: SweepConfig) -> str:
    """The table, x 100, losses in nats x 1: for each row and metric the mean over its runs, their
    deviation, and the run that is best on dev (without dev sets: the highest value)."""
    columns = metric_columns(finished, config.metrics)
    rows = group_by_row(finished)
    best, note = best_row(rows)
    has_dev = any(run.dev_sets for run in finished)
    top_label = "best" if has_dev else "highest"
    axes = row_axes(finished[0].run.axes) if finished else {}
    header = [", ".join(axes) or "sweep", "runs"]
    for dataset, metric in columns:
        header += [f"{dataset} {metric}", "deviation", top_label]
    cells = []
    for row, runs in rows.items():
        cells.append([f"**{row}**" if row == best else row, len(runs)])
        for column in columns:
            ranked_by = [run.main_score("dev") if has_dev else run.score(column) for run in runs]
            top = runs[int(np.argmax(np.nan_to_num(ranked_by, nan=-math.inf)))]
            highest = factor_of(column[1]) * top.score(column)
            cells[-1] += [*mean_and_deviation(runs, column), highest]
    if config.published:
        header.append("published")
        for line, row in zip(cells, rows, strict=True):
            line.append(float(config.published.get(row, math.nan)))
    notes = [f"- {text}" for text in (note, TOP_NOTES[top_label]) if text]
    return "\n".join([markdown_table(header, cells), "", *notes])
