"""The page of a sweep: the command, the settings, the data and the table, to paste as it is."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from sbert.cli import versions
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.summary import FinishedRun
from sbert.yaml_text import dump_yaml


def sweep_page(
    config: SweepConfig, finished: list[FinishedRun], table: str, figures: Sequence[Path]
) -> str:
    """The command, the settings, the data, the table with its notes, figures, time and versions."""
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    parts = [
        f"# {config.name}",
        f"    python sweep.py --config {Path(config.runs) / config.name / 'sweep.yaml'}",
        f"```yaml\n{sweep_settings(config)}```",
        sweep_data(finished),
        table,
        *(f"![{path.stem}]({path.name})" for path in figures),
        f"{total_time(finished)}; {used}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def sweep_settings(config: SweepConfig) -> str:
    """The settings that differ from the defaults, as YAML."""
    defaults = dataclasses.asdict(SweepConfig(config.name, config.base))
    settings = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name in ("name", "base") or value != defaults[name]
    }
    return dump_yaml(settings, default_flow_style=None, width=100)


def sweep_data(finished: list[FinishedRun]) -> str:
    """The numbers of rows that the runs were trained and evaluated on, and the prompts."""
    if not finished:
        return ""
    trained = [run.result["train_rows"] for run in finished]
    counts = " to ".join(dict.fromkeys([f"{min(trained):,}", f"{max(trained):,}"]))
    rows: dict[str, set[int]] = {}
    for run in finished:
        for result in run.result["results"]:
            name = f"{result['dataset']} ({result['part']})"
            prompts = list(dict.fromkeys(result.get("prompts", [])))
            if prompts:
                name += f" with {' and '.join(map(repr, prompts))}"
            rows.setdefault(name, set()).add(result["rows"])
    evaluated = []
    for name, numbers in rows.items():
        alternatives = [f"{number:,}" for number in sorted(numbers)]
        evaluated.append(f"{name}, {' or '.join(alternatives)} rows")
    return f"Trained on {counts} rows. Evaluated on {'; '.join(evaluated) or 'nothing'}."


def total_time(finished: list[FinishedRun]) -> str:
    """The time of all runs together."""
    seconds = sum(run.result["seconds"] for run in finished)
    runs = "1 run" if len(finished) == 1 else f"{len(finished)} runs"
    return f"{runs} took {format_time(seconds)} in all"


def format_time(seconds: float) -> str:
    """For example 2 h 5 min, 3 min 20 s, 12 s."""
    seconds = round(seconds)
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    if seconds >= 60:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds} s"
