"""What `--output` writes: a Markdown page to paste into a document, or the same facts as JSON."""

import json
import math
from pathlib import Path

from sbert.atomic import file_name, write_whole
from sbert.cli import versions
from sbert.errors import InputError
from sbert.evaluation import figures
from sbert.evaluation.report import Report, primary_metric
from sbert.evaluation.results import (
    DatasetResults,
    Difference,
    Evaluation,
    Result,
    scores_by_overlap,
)
from sbert.evaluation.significance import CONFIDENCE
from sbert.evaluation.tables import contamination_counts, evaluation_tables
from sbert.markdown import markdown_table


def check_output(output: Path) -> None:
    """Refuse a path that no report can be written to, before any work.

    Raises:
        InputError: a folder, or a file that cannot be written.
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


def write_report(output: Path, evaluation: Evaluation) -> None:
    if output.suffix == ".md":
        text = markdown_page(evaluation, output)
    else:
        text = json.dumps(json_report(evaluation), indent=2) + "\n"
    write_whole(output, text.encode())


def json_report(evaluation: Evaluation) -> dict[str, object]:
    """All facts in JSON types; an undefined number is null."""
    config = evaluation.config
    report: dict[str, object] = {"model": config.model}
    if config.reranker:
        report["reranker"] = config.reranker
        report["depth"] = config.depth
    report["results"] = [_result_facts(result) for result in evaluation.results]
    if evaluation.baseline:
        report["baseline"] = config.baseline
        report["baseline_results"] = [_result_facts(result) for result in evaluation.baseline]
    if evaluation.differences:
        report["comparison"] = [_difference_facts(one) for one in evaluation.differences]
    if evaluation.seen:
        datasets = [facts for one in evaluation.datasets for facts in _contamination_facts(one)]
        report["contamination"] = {"seen": evaluation.seen.names, "datasets": datasets}
    report["notes"] = evaluation.notes()
    report["models"] = [model.facts() for model in evaluation.models.values()]
    report["data"] = [_data_facts(dataset) for dataset in evaluation.datasets]
    report["settings"] = _settings(evaluation)
    report["versions"] = versions()
    report["command"] = evaluation.command
    report["seconds"] = round(evaluation.seconds, 2)
    return _nan_to_none(report)


def _nan_to_none(value: object) -> object:
    if isinstance(value, dict):
        return {key: _nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_nan_to_none(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def _result_facts(result: Result) -> dict[str, object]:
    report = result.report
    facts = {
        "dataset": report.name,
        "task": report.task,
        "rows": report.rows,
        "main": report.primary_metric,
        "metrics": report.metrics,
    }
    if result.replicates:
        facts["intervals"] = result.intervals
    if result.ceiling is not None:
        facts["ceiling"] = result.ceiling
    return facts


def _difference_facts(difference: Difference) -> dict[str, object]:
    return {
        "dataset": difference.name,
        "with": difference.other,
        "metric": primary_metric(difference.task, difference.score_name),
        "score": difference.first,
        "other": difference.second,
        "difference": difference.value,
        "p": difference.p,
        "interval": difference.interval,
    }


def _contamination_facts(dataset: DatasetResults) -> list[dict[str, object]]:
    """One entry for each report of the model."""
    entries = []
    for result in dataset.results:
        facts = contamination_counts(dataset.contamination)
        facts["dataset"] = result.report.name
        facts["metric"] = result.report.primary_metric
        facts["scores"] = scores_by_overlap(result.report, dataset.contamination)
        entries.append(facts)
    return entries


def _data_facts(dataset: DatasetResults) -> dict[str, object]:
    return {
        "dataset": dataset.rows.name,
        "task": dataset.rows.task,
        "rows": len(dataset.rows),
        "from": dataset.origin,
        "skipped": dict(dataset.rows.skipped),
    }


def _settings(evaluation: Evaluation) -> dict[str, object]:
    """The options that the numbers depend on, besides the models and the data."""
    config = evaluation.config
    settings = {"computed": evaluation.computed, "symmetric": config.symmetric}
    if config.reranker:
        settings["depth"] = config.depth
    settings["resamples"] = config.resamples
    settings["seed"] = config.seed
    settings["level"] = CONFIDENCE
    return settings


def markdown_page(evaluation: Evaluation, output: Path) -> str:
    """The page; its figures are written beside `output`."""
    config = evaluation.config
    subtitle = config.model
    if config.reranker:
        subtitle += f", re-ranked to depth {config.depth} by {config.reranker}"
    parts = [f"# Evaluation of {config.model}", f"{subtitle}, all numbers x 100"]
    for title, table in evaluation_tables(evaluation).items():
        parts += [f"## {title[0].upper()}{title[1:]}", table]
    notes = evaluation.notes()
    if notes:
        parts += ["## Notes", "\n".join(f"- {note}" for note in notes)]
    pictures = write_figures(evaluation, output)
    if pictures:
        parts += ["## Figures", *pictures]
    parts += ["## Models", _models_table(evaluation)]
    parts += ["## Data", _data_table(evaluation)]
    parts += ["## Settings"]
    if config.resamples:
        resamples = f"percentiles of {config.resamples:,} bootstrap resamples of the rows"
        parts.append(
            f"Intervals of {100 * CONFIDENCE:.0f} %: {resamples} (of rankings: the queries)."
        )
    parts.append(f"- {_name_values(_settings(evaluation))}\n- {_name_values(versions())}")
    parts += [f"    {evaluation.command}", f"{evaluation.seconds:.1f} seconds"]
    return "\n\n".join(parts) + "\n"


def _name_values(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _models_table(evaluation: Evaluation) -> str:
    header = ["role", "path", "kind", "weights", "layers", "pooling", "max_length", "fingerprint"]
    rows = []
    for model in evaluation.models.values():
        facts = model.facts()
        facts["fingerprint"] = facts["fingerprint"][:12]
        rows.append([facts.get(name, "-") for name in header])
    return markdown_table(header, rows)


def _data_table(evaluation: Evaluation) -> str:
    rows = []
    for dataset in evaluation.datasets:
        *facts, skipped = _data_facts(dataset).values()
        reasons = "; ".join(f"{count:,}: {reason}" for reason, count in skipped.items())
        rows.append([*facts, reasons or "-"])
    return markdown_table(["dataset", "task", "rows", "read from", "skipped"], rows)


def write_figures(evaluation: Evaluation, output: Path) -> list[str]:
    """Write the figures of the model's results; returns the Markdown lines that show them."""
    reports = [result.report for result in evaluation.results]
    reports = [report for report in reports if report.task in ("sts", "binary")]
    if reports and not figures.matplotlib_available():
        reason = "figures need matplotlib, the extra plots: `pip install 'sbert[plots]'`"
        return [f"Not drawn: {reason}."]
    names: dict[str, str] = {}  # by file
    for report in reports:
        file = f"{output.stem}-{file_name(report.name)}.png"
        if file in names:  # names that differ only in what a file name cannot hold
            file = f"{output.stem}-{len(names) + 1}-{file_name(report.name)}.png"
        figures.save_figure(_figure(report), output.with_name(file))
        names[file] = report.name
    return [f"![{name}]({file.replace(' ', '%20')})" for file, name in names.items()]


def _figure(report: Report) -> "figures.Figure":
    """Scores by gold label; of a binary task, the scores of each class."""
    if report.task == "sts":
        return figures.scatter_plot(report.gold, report.scores, report.name, report.score_name)
    metric = report.bootstrap_metrics[report.primary_metric]
    scores = {}
    for name, label in (("positive", 1), ("negative", 0)):
        of_class = metric.scores[metric.gold == label]
        if len(of_class):
            scores[name] = of_class
    return figures.histograms(scores, report.name, report.score_name)
