"""The page of a sweep, table.md: all that a reader of its table asks for, to be pasted into an appendix or a pull request."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import yaml

from sbert.summary import Finished
from sbert.sweep_config import SweepConfig
from sbert.versions import versions


def page(config: SweepConfig, finished: list[Finished], summary: str, pictures: Sequence[Path]) -> str:
    """The command, the settings, the data, the table with its notes, figures, time and versions."""
    folder = Path(config.runs) / config.name
    parts = [
        f"# {config.name}",
        f"    python sweep.py --config {folder / 'sweep.yaml'}",
        f"```yaml\n{settings(config)}```",
        data(finished),
        summary,
        *(f"![{path.stem}]({path.name})" for path in pictures),
        f"{total(finished)}; {', '.join(f'{name} {number}' for name, number in versions().items())}.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def settings(config: SweepConfig) -> str:
    """What a sweep sets, as YAML."""
    given = {
        field.name: value
        for field, value in zip(dataclasses.fields(config), dataclasses.asdict(config).values(), strict=True)
        if field.name in ("name", "base") or value not in (None, {}, [], field.default)
    }
    return yaml.safe_dump(given, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def data(finished: list[Finished]) -> str:
    """How many rows were trained and evaluated on."""
    if not finished:
        return ""
    trained = sorted({one.result["train_rows"] for one in finished})
    counts = f"{trained[0]:,}" + (f" to {trained[-1]:,}" if len(trained) > 1 else "")
    rows: dict[str, set[int]] = {}
    for result in (r for one in finished for r in one.result["results"]):
        rows.setdefault(f"{result['dataset']} ({result['part']})", set()).add(result["rows"])
    evaluated = (f"{name}, {' or '.join(f'{n:,}' for n in sorted(found))} rows" for name, found in rows.items())
    return f"Trained on {counts} rows. Evaluated on {'; '.join(evaluated) or 'nothing'}."


def total(finished: list[Finished]) -> str:
    """The time of all runs together."""
    seconds = round(sum(one.result["seconds"] for one in finished))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    time = f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
    return f"{len(finished)} {'run' if len(finished) == 1 else 'runs'} took {time} in all"
