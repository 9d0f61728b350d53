"""What `--output` writes: a Markdown page to paste into a document, or the same facts as JSON."""

import json
import math
from pathlib import Path

from sbert.atomic import file_name, write_whole
from sbert.cli import versions
from sbert.errors import InputError, require
from sbert.evaluation import figures
from sbert.evaluation.prompts import format_prompts
from sbert.evaluation.report import Report
from sbert.evaluation.results import (
    DatasetResults,
    Difference,
    Evaluation,
    Result,
)
from sbert.evaluation.scores import save_scores, scores_beside
from sbert.evaluation.significance import CONFIDENCE
from sbert.evaluation.tables import (
    contamination_counts,
    evaluation_tables,
    scores_by_overlap,
)
from sbert.markdown import markdown_table


def check_output(output: Path) -> None:
    """Refuse a path that no report can be written to, before any work.

    Raises:
        InputError: a folder, or a file that cannot be written.
    """
    require(not output.is_dir(), f"output {output}: is a folder; name a file")
    probe = output.with_name(output.name + ".new")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"output {output}: cannot be written: {error.strerror}") from None


def write_report(output: Path, evaluation: Evaluation) -> None:
    """Write the page, or the JSON report with the scores of all rows beside it."""
    if output.suffix == ".md":
        text = markdown_page(evaluation, output)
    else:
        text = json.dumps(json_report(evaluation), indent=2) + "\n"
        rows = [dataset.rows for dataset in evaluation.datasets]
        # with a reranker the last is the order that it made
        reports = [dataset.results[-1].report for dataset in evaluation.datasets]
        save_scores(output.parent, rows, reports, scores_beside(output))
    write_whole(output, text.encode())


def json_report(evaluation: Evaluation) -> dict[str, object]:
    """All facts in JSON types; an undefined number is null."""
    config = evaluation.config
    facts = {
        "model": config.model,
        "reranker": config.reranker,
        "depth": config.depth if config.reranker else None,
        "results": [_result_facts(result) for result in evaluation.results],
        "baseline": config.baseline,
        "baseline_results": [_result_facts(result) for result in evaluation.baseline] or None,
        "comparison": [_difference_facts(one) for one in evaluation.differences] or None,
        "by_size": _sizes_facts(evaluation) or None,
        "contamination": _contamination_facts(evaluation) if evaluation.seen else None,
        "notes": evaluation.notes(),
        "models": [model.facts() for model in evaluation.models.values()],
        "data": [_data_facts(dataset) for dataset in evaluation.datasets],
        "settings": _report_settings(evaluation),
        "versions": versions(),
        "command": evaluation.command,
        "seconds": round(evaluation.seconds, 2),
    }
    return _json_value(facts)


def _json_value(value: object) -> object:
    """Without the entries of dicts that are None; NaN becomes None."""
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    is_nan = isinstance(value, float) and math.isnan(value)
    return None if is_nan else value


def _result_facts(result: Result) -> dict[str, object]:
    report = result.report
    return {
        "dataset": report.name,
        "task": report.task,
        "rows": report.rows,
        "main": report.primary_metric,
        "metrics": report.metrics,
        "intervals": result.intervals or None,
        "ceiling": result.ceiling,
        "prompts": report.prompt_texts if any(report.prompt_texts) else None,
    }


def _sizes_facts(evaluation: Evaluation) -> list[dict[str, object]]:
    facts = []
    for dataset in evaluation.datasets:
        for size, report in dataset.by_size.items():
            facts.append({"truncate_dim": size, **_result_facts(Result(report))})
    return facts


def _difference_facts(difference: Difference) -> dict[str, object]:
    return {
        "dataset": difference.name,
        "with": difference.other,
        "metric": difference.metric,
        "score": difference.first,
        "other": difference.second,
        "difference": difference.value,
        "p": difference.p,
        "interval": difference.interval,
    }


def _contamination_facts(evaluation: Evaluation) -> dict[str, object]:
    entries = []
    for dataset in evaluation.datasets:
        for result in dataset.results:
            facts = {
                "dataset": result.report.name,
                "metric": result.report.primary_metric,
                "scores": scores_by_overlap(result.report, dataset.contamination),
            }
            entries.append(contamination_counts(dataset.contamination) | facts)
    return {"seen": evaluation.seen.names, "datasets": entries}


def _data_facts(dataset: DatasetResults) -> dict[str, object]:
    rows = dataset.rows
    return {
        "dataset": rows.name,
        "task": rows.task,
        "rows": len(rows),
        "from": dataset.origin,
        "skipped": dict(rows.skipped),
    }


def _report_settings(evaluation: Evaluation) -> dict[str, object]:
    """The options that the numbers depend on, besides the models and the data."""
    config = evaluation.config
    return {
        "computed": evaluation.computed,
        "symmetric": config.symmetric,
        "depth": config.depth if config.reranker else None,
        "teacher_prompt": config.teacher_prompt,
        "resamples": config.resamples,
        "seed": config.seed,
        "level": CONFIDENCE,
    }


def markdown_page(evaluation: Evaluation, output: Path) -> str:
    """The page; its figures are written beside `output`."""
    config = evaluation.config
    subtitle = config.model
    if config.reranker:
        subtitle += f", re-ranked to depth {config.depth} by {config.reranker}"
    parts = [f"# Evaluation of {config.model}", f"{subtitle}, all numbers x 100"]
    sections = {
        **evaluation_tables(evaluation),
        "notes": "\n".join(f"- {note}" for note in evaluation.notes()),
        "figures": "\n\n".join(write_figures(evaluation, output)),
        "models": _models_table(evaluation),
        "data": _data_table(evaluation),
    }
    for title, text in sections.items():
        if text:
            parts += [f"## {title[0].upper()}{title[1:]}", text]
    parts.append("## Settings")
    if config.resamples:
        parts.append(
            f"Intervals of {100 * CONFIDENCE:.0f} %: percentiles of {config.resamples:,} bootstrap "
            "resamples of the rows (of rankings: the queries)."
        )
    parts += [
        f"- {_join(_report_settings(evaluation))}\n- {_join(versions())}",
        f"    {evaluation.command}",
        f"{evaluation.seconds:.1f} seconds\n",
    ]
    return "\n\n".join(parts)


def _join(values: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _models_table(evaluation: Evaluation) -> str:
    header = ["role", "path", "kind", "weights", "layers", "pooling", "max_length", "similarity"]
    header += ["truncate_dim", "prompts", "fingerprint"]
    rows = []
    for model in evaluation.models.values():
        facts = model.facts()
        facts["fingerprint"] = facts["fingerprint"][:12]
        facts["prompts"] = format_prompts(facts.get("prompts") or {})
        rows.append([facts.get(name) or "-" for name in header])
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
    reports = [one.report for one in evaluation.results if one.report.task in ("sts", "binary")]
    if reports and not figures.matplotlib_available():
        install = "`pip install -e '.[plots]'`"
        return [f"Not drawn: figures need matplotlib, the extra plots: {install}."]
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
    scores = {
        "positive": metric.scores[metric.gold == 1],
        "negative": metric.scores[metric.gold == 0],
    }
    present = {name: values for name, values in scores.items() if len(values)}
    return figures.histograms(present, report.name, report.score_name)
