"""The results of a sweep's runs: one JSONL row a run, one table row for what differs in seed and fold alone."""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from sbert.cli import versions
from sbert.errors import InputError
from sbert.evaluation.significance import NOISE, p_of_means
from sbert.markdown import markdown_table
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.plan import PlannedRun

Column = tuple[str, str]  # a dataset and a metric


@dataclass(frozen=True)
class Finished:
    """A run and its result.json."""

    run: PlannedRun
    result: dict

    @classmethod
    def read(cls, run: PlannedRun) -> "Finished":
        return cls(run, json.loads((run.folder / "result.json").read_text("utf-8")))

    def value(self, column: Column) -> float:
        """A metric of a dataset after training; NaN where the run has none."""
        found = [
            r["after"].get(column[1]) for r in self.result["results"] if r["dataset"] == column[0]
        ]
        return math.nan if not found or found[0] is None else found[0]

    @property
    def key(self) -> tuple:
        """What tells it from the other runs of its row."""
        return self.run.axes.get("seed"), self.run.axes.get("fold")

    def datasets(self, part: str) -> tuple[str, ...]:
        return tuple(r["dataset"] for r in self.result["results"] if r["part"] == part)

    def main(self, part: str) -> float:
        """The mean of the main metrics of the dev or of the test sets; NaN without any."""
        values = [
            self.value((r["dataset"], r["main"]))
            for r in self.result["results"]
            if r["part"] == part
        ]
        return float(np.mean(values)) if values else math.nan

    def row(self) -> dict:
        """The row of results.jsonl."""
        facts = {name: value for name, value in self.result.items() if name != "results"}
        datasets = {r.pop("dataset"): r for r in map(dict, self.result["results"])}
        return {"run": self.run.label, "axes": self.run.axes, **facts, "results": datasets}

    def line(self) -> str:
        scores = [
            f"{r['dataset']} {100 * self.value((r['dataset'], r['main'])):.2f}"
            for r in self.result["results"]
        ]
        return f"{self.run.label}: {', '.join(scores) or 'trained'}; {self.result['seconds']:.0f} s"


def metric_columns(finished: list[Finished], metrics: list[str] | None) -> list[Column]:
    """Of every dataset its main metric, or those of the metrics that it has."""
    found: dict[Column, None] = {}
    for result in (r for one in finished for r in one.result["results"]):
        names = (
            [result["main"]]
            if metrics is None
            else [name for name in metrics if name in result["after"]]
        )
        found |= dict.fromkeys((result["dataset"], name) for name in names)
    for name in metrics or []:
        if finished and name not in {metric for _, metric in found}:
            known = sorted(
                {name for one in finished for r in one.result["results"] for name in r["after"]}
            )
            raise InputError(f"metrics: no dataset has '{name}'; there are: {', '.join(known)}")
    return list(found)


def deviation(values: Iterable[float]) -> float:
    """Sample standard deviation, of n - 1; NaN for fewer than two."""
    values = list(values)
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def group_by_row(finished: list[Finished]) -> dict[str, list[Finished]]:
    rows: dict[str, list[Finished]] = {}
    for one in finished:
        rows.setdefault(one.run.row, []).append(one)
    return rows


def best_row(rows: dict[str, list[Finished]]) -> tuple[str | None, str]:
    """The row that is best on dev, and what its lead is worth. Test sets choose nothing."""
    scores = {row: {one.key: one.main("dev") for one in some} for row, some in rows.items()}
    means = {row: float(np.mean(list(values.values()))) for row, values in scores.items()}
    ranked = sorted(
        (row for row in means if not math.isnan(means[row])), key=lambda row: -means[row]
    )
    if len(rows) < 2:
        return None, ""
    if len(ranked) < 2:
        return None, "no dev set: no row is chosen"
    judged = {row: frozenset((one.key, one.datasets("dev")) for one in rows[row]) for row in ranked}
    if len(set(judged.values())) > 1:
        return None, "rows differ in their seeds, folds or dev sets: none is chosen"
    best, second = ranked[:2]
    difference, p, how = p_of_means(scores[best], scores[second])
    lead = f"`{best}` is best on dev, {100 * difference:.2f} above `{second}`"
    if math.isnan(p):
        return best, f"warning: {lead}, and with one run of a row the noise between runs is unknown"
    test = f"{how}, p {f'= {p:.3f}' if p >= 0.0005 else '< 0.001'}"
    test += f", not corrected for the choice among {len(ranked)}" if len(ranked) > 2 else ""
    test += (
        "; folds share training rows, so p is too small"
        if any(one.run.axes.get("fold") for one in rows[best])
        else ""
    )
    if p >= NOISE:
        return (
            best,
            f"warning: {lead}, which is inside the noise between runs ({test}): the order may be chance",
        )
    return best, f"{lead}, which is outside the noise between runs ({test})"


def sweep_table(finished: list[Finished], config: SweepConfig) -> str:
    """The table, x 100: for each row and metric the mean over its runs, their deviation, and the best run, which dev chooses."""
    chosen, rows = metric_columns(finished, config.metrics), group_by_row(finished)
    best, note = best_row(rows)
    dev = any(r["part"] == "dev" for one in finished for r in one.result["results"])
    header, cells = [", ".join(_names(finished)) or "sweep", "runs"], []
    for dataset, metric in chosen:
        header += [f"{dataset} {metric}", "deviation", "best" if dev else "highest"]
    for row, some in rows.items():
        cells.append([f"**{row}**" if row == best else row, len(some)])
        for column in chosen:
            values = [one.value(column) for one in some]
            top = (
                max(some, key=lambda one: _ordered(one.main("dev"))).value(column)
                if dev
                else max(values, key=_ordered)
            )
            cells[-1] += [100 * float(np.mean(values)), 100 * deviation(values), 100 * top]
    if config.published:
        header.append("published")
        cells = [
            [*line, float(config.published.get(row, math.nan))]
            for line, row in zip(cells, rows, strict=True)
        ]
    notes = [note] if note else []
    notes += [
        "best: the run that is best on dev"
        if dev
        else "highest: of all runs; nothing was chosen by it"
    ]
    return "\n".join([markdown_table(header, cells), "", *(f"- {note}" for note in notes)])


def _ordered(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _names(finished: list[Finished]) -> list[str]:
    return [
        axis for axis in (finished[0].run.axes if finished else []) if axis not in ("seed", "fold")
    ]


def sweep_page(
    config: SweepConfig, finished: list[Finished], summary: str, pictures: Sequence[Path]
) -> str:
    """The command, the settings, the data, the table with its notes, figures, time and versions."""
    folder = Path(config.runs) / config.name
    parts = [
        f"# {config.name}",
        f"    python sweep.py --config {folder / 'sweep.yaml'}",
        f"```yaml\n{sweep_settings(config)}```",
        sweep_data(finished),
        summary,
        *(f"![{path.stem}]({path.name})" for path in pictures),
        f"{total_time(finished)}; {', '.join(f'{name} {number}' for name, number in versions().items())}.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def sweep_settings(config: SweepConfig) -> str:
    """What a sweep sets, as YAML."""
    given = {
        field.name: value
        for field, value in zip(
            dataclasses.fields(config), dataclasses.asdict(config).values(), strict=True
        )
        if field.name in ("name", "base") or value not in (None, {}, [], field.default)
    }
    return yaml.safe_dump(
        given, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )


def sweep_data(finished: list[Finished]) -> str:
    """How many rows were trained and evaluated on."""
    if not finished:
        return ""
    trained = sorted({one.result["train_rows"] for one in finished})
    counts = f"{trained[0]:,}" + (f" to {trained[-1]:,}" if len(trained) > 1 else "")
    rows: dict[str, set[int]] = {}
    for result in (r for one in finished for r in one.result["results"]):
        rows.setdefault(f"{result['dataset']} ({result['part']})", set()).add(result["rows"])
    evaluated = (
        f"{name}, {' or '.join(f'{n:,}' for n in sorted(found))} rows"
        for name, found in rows.items()
    )
    return f"Trained on {counts} rows. Evaluated on {'; '.join(evaluated) or 'nothing'}."


def total_time(finished: list[Finished]) -> str:
    """The time of all runs together."""
    seconds = round(sum(one.result["seconds"] for one in finished))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    time = (
        f"{hours} h {minutes} min"
        if hours
        else f"{minutes} min {seconds % 60} s"
        if minutes
        else f"{seconds} s"
    )
    return f"{len(finished)} {'run' if len(finished) == 1 else 'runs'} took {time} in all"
