"""What `--output` writes: a page that can be pasted into an appendix or a pull request, or the same facts as JSON."""

import json
from pathlib import Path

from sbert.atomic import file_name, write_whole
from sbert.cli import versions
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation import figures
from sbert.evaluation.evaluators import Report
from sbert.evaluation.report import Evaluation, report_facts, report_settings
from sbert.evaluation.significance import LEVEL
from sbert.markdown import markdown_table


def check_output(output: Path) -> None:
    """Refuse a place where no report can be written, before the work.

    Raises:
        InputError: a folder, or one that cannot be written in.
    """
    if output.is_dir():
        raise InputError(f"output {output}: is a folder; name a file")
    probe = output.with_name(output.name + ".new")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"output {output}: cannot be written: {error.strerror}") from None


def write_report(output: Path, found: Evaluation) -> None:
    text = (
        markdown_page(found, output)
        if output.suffix == ".md"
        else json.dumps(report_facts(found), indent=2) + "\n"
    )
    write_whole(output, text.encode())


def markdown_page(found: Evaluation, output: Path) -> str:
    """The page; its figures are written beside `output`."""
    config = found.config
    reranker = (
        f", re-ranked to depth {config.depth} by {config.reranker}" if config.reranker else ""
    )
    parts = [f"# Evaluation of {config.model}", f"{config.model}{reranker}, all numbers x 100"]
    for title, text in found.sections().items():
        parts += [f"## {title[0].upper()}{title[1:]}", text]
    if notes := found.notes():
        parts += ["## Notes", "\n".join(f"- {note}" for note in notes)]
    if pictures := draw_reports(found, output):
        parts += ["## Figures", *pictures]
    names = ["role", "path", "kind", "weights", "layers", "pooling", "max_length", "fingerprint"]
    models = [contestant.facts() for contestant in found.contestants]
    rows = [[str(model.get(name, "-"))[:12] if name == "fingerprint" else model.get(name, "-") for name in names]
            for model in models]  # fmt: skip
    parts += ["## Models", markdown_table(names, rows)]
    data = [
        [rows.name, rows.task, len(rows), place, _skipped(rows)] for rows, place in found.datasets
    ]
    parts += ["## Data", markdown_table(["dataset", "task", "rows", "read from", "skipped"], data)]
    drawn = f"percentiles of {config.resamples:,} bootstrap resamples of the rows (of rankings: the queries)"
    intervals = f"Intervals of {100 * LEVEL:.0f} %: {drawn}."
    named = ", ".join(f"{name} {value}" for name, value in report_settings(found).items())
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    parts += ["## Settings", *([intervals] if config.resamples else []), f"- {named}\n- {used}"]
    return "\n\n".join([*parts, f"    {found.command}", f"{found.seconds:.1f} seconds"]) + "\n"


def _skipped(rows: Rows | Retrieval) -> str:
    return "; ".join(f"{n:,}: {reason}" for reason, n in rows.skipped.items()) or "-"


def draw_reports(found: Evaluation, output: Path) -> list[str]:
    """Write the figures of the model's results -> the lines that show them."""
    able = [result.report for result in found.results if result.report.task in ("sts", "binary")]
    if able and not figures.matplotlib_available():
        return [
            "Not drawn: figures need matplotlib, the extra plots: `pip install 'sbert[plots]'`."
        ]
    shown: dict[str, str] = {}
    for report in able:
        file = f"{output.stem}-{file_name(report.name)}.png"
        if file in shown:  # names that differ in what no file name can hold
            file = f"{output.stem}-{len(shown) + 1}-{file_name(report.name)}.png"
        figures.save_figure(_figure(report), output.with_name(file))
        shown[file] = report.name
    return [f"![{name}]({file.replace(' ', '%20')})" for file, name in shown.items()]


def _figure(report: Report) -> "figures.Figure":
    """Gold against score; of two classes the scores of each."""
    if report.task == "sts":
        return figures.scatter_plot(report.gold, report.scores, report.name, report.kind)
    sample = report.samples[report.main]
    parts = {
        "positive": sample.scores[sample.gold == 1],
        "negative": sample.scores[sample.gold == 0],
    }
    return figures.histograms(
        {name: part for name, part in parts.items() if len(part)}, report.name, report.kind
    )
