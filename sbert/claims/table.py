"""The table of claims, from their records alone, and its place in a page."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sbert.atomic import write_whole
from sbert.claims.config import ClaimsConfig
from sbert.claims.experiments import Experiment
from sbert.claims.verdicts import FAILS, HOLDS, NOT_RUN, UNCLEAR
from sbert.errors import require
from sbert.evaluation.tables import INTERVAL
from sbert.markdown import markdown_code, markdown_table
from sbert.sweeps.page import format_time

START, END = "<!-- claims -->", "<!-- /claims -->"

HEADER = ["claim", "published", f"ours, {INTERVAL}", "runs"]
HEADER += [f"difference, {INTERVAL}", "verdict", "experiments"]


def claims_table(records: Sequence[dict], config: ClaimsConfig) -> str:
    """A row for each claim, with notes; all numbers are x 100."""
    table = markdown_table(HEADER, [_cells(record, config) for record in records])
    notes = [
        f"- {describe(records)}",
        f"- {INTERVAL}: {config.resamples:,} resamples of the rows and, jointly, of the seeds, "
        "paired where both figures have them; rows alone: a figure is of one training, and the "
        "noise between seeds is not in the interval",
        f"- {HOLDS}: the interval is above what is claimed (of equal figures: inside the margin); "
        f"{FAILS}: it is below (outside); {UNCLEAR}: neither; detectable: the smallest effect, or "
        "margin, that 80 of 100 such experiments find",
    ]
    for (experiment, changed), runs in _changes(records).items():
        notes.append(
            f"- {experiment}: {len(runs)} of its runs had other settings than its command has now: "
            f"{changed}"
        )
    return "\n".join([table, "", *notes])


def _changes(records: Sequence[dict]) -> dict[tuple[str, str], set[str]]:
    """The runs of each experiment whose command has changed since, by what has."""
    changes: dict[tuple[str, str], set[str]] = {}
    for record in records:
        for name, figure in record["figures"].items():
            experiment = record["definition"]["figures"][name]["experiment"]
            for run, changed in figure["changed"].items():
                changes.setdefault((experiment, changed), set()).add(run)
    return changes


def _cells(record: dict, config: ClaimsConfig) -> list[object]:
    figures = record["figures"].items()
    claim = record["claim"]
    if record["note"]:
        claim += f" ({record['note']})"
    ours = [f"{name} {_figure_text(figure)}" for name, figure in figures if figure["runs"]]
    return [
        claim,
        f"{record['published']} ({record['paper']})",
        "; ".join(ours) or "-",
        _run_counts(record),
        "; ".join(_difference_text(one) for one in record["contrasts"]),
        _verdict_text(record),
        _experiments_text(record, config),
    ]


def _figure_text(figure: dict) -> str:
    """The mean, and its interval with one decimal."""
    if figure["mean"] is None:
        return "undefined"
    low, high = figure["interval"]
    interval = "" if low is None else f" ({low:.1f} to {high:.1f})"
    return f"{figure['mean']:.2f}{interval}"


def _run_counts(record: dict) -> str:
    """For example 3; 3 and 1, where figures differ; 2 of 3, where some are missing."""
    counts = []
    for figure in record["figures"].values():
        done = len(figure["runs"])
        planned = done + len(figure["missing"])
        counts.append(str(done) if done == planned else f"{done} of {planned}")
    return " and ".join(dict.fromkeys(counts))


def _difference_text(one: dict) -> str:
    names = f"{one['first']} - {one['second']}"
    if one["kind"] == "equal":
        names += f", margin {one['within']:g}"
    elif one["by"]:
        names += f", claimed above {one['by']:g}"
    if one["difference"] is None:
        return names
    low, high = one["interval"]
    interval = "no interval" if low is None else f"{low:.2f} to {high:.2f}"
    return f"{names}: {one['difference']:.2f} ({interval})"


def _verdict_text(record: dict) -> str:
    verdict = record["verdict"]
    if verdict == NOT_RUN:
        return verdict
    if any(figure["rows_alone"] for figure in record["figures"].values()):
        verdict += ", rows alone"
    if record["verdict"] != UNCLEAR:
        return verdict
    unclear = [one["detectable"] for one in record["contrasts"] if one["verdict"] == UNCLEAR]
    if None in unclear:
        means = [figure["mean"] for figure in record["figures"].values()]
        reason = "undefined" if None in means else "a run kept no scores of its rows"
        return f"{verdict} ({reason})"
    return f"{verdict} (detectable: {max(unclear):.2f})"


def _experiments_text(record: dict, config: ClaimsConfig) -> str:
    """The experiments, each a link to its configuration and the command's other options, or its
    command, and their time in all."""
    folder = Path(config.page or "").parent
    links = []
    for name, command in record["definition"]["experiments"].items():
        experiment = Experiment(name, command)
        if experiment.configuration is None:
            links.append(markdown_code(command))
            continue
        target = Path(os.path.relpath(experiment.configuration, folder)).as_posix()
        options = f" {markdown_code(experiment.options)}" if experiment.options else ""
        links.append(f"[{name}]({target}){options}")
    time = f": {format_time(record['seconds'])}" if record["seconds"] else ""
    return ", ".join(links) + time


def describe(records: Sequence[dict]) -> str:
    """For example: 19 claims: 12 hold, 3 do not hold, 2 cannot be told, 2 not run yet."""
    counts = Counter(record["verdict"] for record in records)
    plurals = {HOLDS: "hold", FAILS: "do not hold"}
    parts = []
    for verdict in (HOLDS, FAILS, UNCLEAR, NOT_RUN):
        if counts[verdict]:
            word = verdict if counts[verdict] == 1 else plurals.get(verdict, verdict)
            parts.append(f"{counts[verdict]} {word}")
    return f"{len(records)} claims: {', '.join(parts)}"


def write_page(path: Path, table: str) -> None:
    """Replace what a page has between its two marks.

    Raises:
        InputError: the page does not have each mark once.
    """
    text = check_page(path)
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    write_whole(path, f"{before}{START}\n\n{table}\n\n{END}{after}".encode())


def check_page(path: Path) -> str:
    """The text of a page that has the marks."""
    require(path.is_file(), f"page {path}: no such file")
    text = path.read_text("utf-8")
    places = [text.count(START), text.count(END)]
    require(
        places == [1, 1] and text.index(START) < text.index(END),
        f"page {path}: needs a line {START} and after it a line {END}, each once",
    )
    return text
