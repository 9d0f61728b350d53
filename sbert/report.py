"""One encoder, many datasets, one table: what `evaluate.py` calls."""

import json
import math
import sys
from pathlib import Path

import torch

from sbert.batching import describe_cut, tabulate
from sbert.bi_encoder import BiEncoder, resolve_precision
from sbert.checkpoint import load_loss
from sbert.config import EvaluateConfig
from sbert.data import DatasetConfig, Rows, read
from sbert.errors import InputError
from sbert.evaluation import Report, evaluate
from sbert.losses import SoftmaxLoss
from sbert.tracking import table

# header of a task's table, and the metrics in its columns
COLUMNS = {
    "sts": {
        "Spearman": "spearman_cosine", "Pearson": "pearson_cosine", "dot": "spearman_dot",
        "Euclidean": "spearman_euclidean", "Manhattan": "spearman_manhattan",
        "mean of sources": "mean_of_sources", "weighted": "weighted_mean_of_sources",
    },
    "binary": {
        "AP": "ap_cosine", "F1": "f1_cosine", "F1 at cosine": "f1_threshold_cosine",
        "accuracy": "accuracy_cosine", "accuracy at cosine": "accuracy_threshold_cosine",
    },
    "nli": {"accuracy": "accuracy"},
    "triplet": {
        "accuracy, cosine": "accuracy_cosine", "dot": "accuracy_dot",
        "Euclidean": "accuracy_euclidean", "Manhattan": "accuracy_manhattan",
    },
}  # fmt: skip


def configs(config: EvaluateConfig) -> list[DatasetConfig]:
    """The datasets of the command: a bare name gets the split, a file needs none."""
    datasets = [DatasetConfig(path=d) if isinstance(d, str) else d for d in config.data]
    for dataset in datasets:
        if dataset.split is None and not Path(dataset.path.removesuffix(".gz")).suffix:
            dataset.split = config.split
    return datasets


def tables(reports: list[Report]) -> str:
    """One aligned table a task; for several STS datasets also the average of their Spearman correlations."""
    parts = []
    for task, columns in COLUMNS.items():
        chosen = [report for report in reports if report.task == task]
        rows = [
            [report.name, report.rows, *(100 * report.metrics.get(key, math.nan) for key in columns.values())]
            for report in chosen
        ]
        if task == "sts" and len(rows) > 1:
            means = [sum(values) / len(values) for values in zip(*(row[2:] for row in rows), strict=True)]
            rows.append(["average", sum(report.rows for report in chosen), *means])
        if rows:
            parts.append(table([task, "rows", *columns], rows))
    return "\n\n".join(parts)


def _head(config: EvaluateConfig, model: BiEncoder, datasets: list[Rows]) -> SoftmaxLoss | None:
    """The trained classifier beside the model, where a dataset needs it."""
    nli = [rows for rows in datasets if rows.task == "nli"]
    if not nli:
        return None
    head, classes = load_loss(Path(config.model), model.dim)
    for rows in nli:
        if rows.classes != classes:
            raise InputError(
                f"{rows.name}: classes {rows.classes}; the head of {config.model} was trained on {classes}"
            )
    return head.to(model.device)


def evaluate_encoder(config: EvaluateConfig) -> list[Report]:
    """Evaluate, print the table, write it where `output` says."""
    output = Path(config.output) if config.output else None
    if output and output.suffix not in (".json", ".md"):
        raise InputError(f"output {output}: ends in .json or .md")
    datasets = [read(dataset) for dataset in configs(config)]
    if not datasets:
        raise InputError("data: names no dataset")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = BiEncoder.from_pretrained(config.model, config.pooling, config.max_length, config.layer).to(device)
    head = _head(config, model, datasets)
    dtype = str(resolve_precision(config.precision, device)).removeprefix("torch.")
    print(f"{config.model}: {'+'.join(model.pooling)} pooling, max_length {model.max_length}, {dtype} on {device}")
    reports = []
    for rows in datasets:
        cut = describe_cut(*tabulate(model.texts, rows.texts))
        print(rows.describe() + (f"; {cut}" if cut else ""), file=sys.stderr)
        reports.append(evaluate(rows, lambda texts: model.encode(texts, config.precision, progress=None), head))
    text = tables(reports)
    print(f"\n{text}\n")
    if output:
        _write(output, config, reports, text)
    return reports


def _write(output: Path, config: EvaluateConfig, reports: list[Report], text: str) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".md":
        output.write_text(f"{config.model}, all numbers x 100\n\n{text}\n", "utf-8")
    else:
        results = [
            {"dataset": r.name, "task": r.task, "rows": r.rows,
             "metrics": {k: None if math.isnan(v) else v for k, v in r.metrics.items()}}
            for r in reports
        ]  # fmt: skip
        output.write_text(json.dumps({"model": config.model, "results": results}, indent=2) + "\n", "utf-8")
    print(f"written to {output}")
