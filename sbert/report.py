"""One encoder, many datasets, one table: what `evaluate.py` calls."""

import json
import math
import sys
from functools import partial
from pathlib import Path

import torch

from sbert import folder
from sbert.batching import tabulate
from sbert.bi_encoder import BiEncoder
from sbert.checkpoint import load_loss
from sbert.config import EvaluateConfig
from sbert.cross_encoder import CrossEncoder
from sbert.data import DatasetConfig, Rows, read
from sbert.encoder import Encoder, resolve_precision
from sbert.errors import InputError
from sbert.evaluation import Judge, Report, cross_judge, encoder_judge, evaluate
from sbert.tracking import table

# header of a task's table, and the metrics in its columns; {} is the kind of score, and columns without any value go
COLUMNS = {
    "sts": {
        "Spearman": "spearman_{}", "Pearson": "pearson_{}", "dot": "spearman_dot",
        "Euclidean": "spearman_euclidean", "Manhattan": "spearman_manhattan",
        "mean of sources": "mean_of_sources", "weighted": "weighted_mean_of_sources",
    },
    "binary": {
        "AP": "ap_{}", "F1": "f1_{}", "F1 at {}": "f1_threshold_{}",
        "accuracy": "accuracy_{}", "accuracy at {}": "accuracy_threshold_{}",
    },
    "nli": {"accuracy": "accuracy", "macro F1": "macro_f1"},
    "rerank": {"nDCG@10": "ndcg@10_{}", "MRR@10": "mrr@10_{}", "MAP": "map_{}"},
    "triplet": {
        "accuracy, {}": "accuracy_{}", "dot": "accuracy_dot",
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
    for task in COLUMNS:
        chosen = [report for report in reports if report.task == task]
        if not chosen:
            continue
        kind = chosen[0].kind
        columns = {header.format(kind): key.format(kind) for header, key in COLUMNS[task].items()}
        columns = {h: key for h, key in columns.items() if any(key in report.metrics for report in chosen)}
        rows = [
            [report.name, report.rows, *(100 * report.metrics.get(key, math.nan) for key in columns.values())]
            for report in chosen
        ]
        if task == "sts" and len(rows) > 1:
            means = [sum(values) / len(values) for values in zip(*(row[2:] for row in rows), strict=True)]
            rows.append(["average", sum(report.rows for report in chosen), *means])
        parts.append(table([task, "rows", *columns], rows))
    return "\n\n".join(parts)


def load(config: EvaluateConfig, device: torch.device) -> Encoder:
    """The model of a folder: a sequence classifier is a cross-encoder, everything else a bi-encoder."""
    root = folder.locate(config.model)
    if not folder.is_classifier(root):
        if config.symmetric:
            raise InputError(f"symmetric is for a cross-encoder; {config.model} is a bi-encoder, whose scores are")
        return BiEncoder.from_pretrained(root, config.pooling, config.max_length, config.layer).to(device)
    if config.pooling is not None or config.layer != -1:
        raise InputError(f"pooling and layer are for a bi-encoder; {config.model} is a cross-encoder")
    return CrossEncoder.from_pretrained(root, max_length=config.max_length).to(device)


def judge(config: EvaluateConfig, model: Encoder, datasets: list[Rows]) -> Judge:
    if isinstance(model, CrossEncoder):
        options = {"logits": True, "symmetric": config.symmetric, "precision": config.precision, "progress": None}
        return cross_judge(partial(model.predict, **options), model.dim, model.classes)
    head = classes = None
    if any(rows.task == "nli" for rows in datasets):  # the trained classifier beside the model
        head, classes = load_loss(Path(config.model), model.dim)
        head.to(model.device)
    return encoder_judge(partial(model.encode, precision=config.precision, progress=None), head, classes)


def evaluate_encoder(config: EvaluateConfig) -> list[Report]:
    """Evaluate, print the table, write it where `output` says."""
    output = Path(config.output) if config.output else None
    if output and output.suffix not in (".json", ".md"):
        raise InputError(f"output {output}: ends in .json or .md")
    datasets = [read(dataset) for dataset in configs(config)]
    if not datasets:
        raise InputError("data: names no dataset")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load(config, device)
    judged_by = judge(config, model, datasets)
    dtype = str(resolve_precision(config.precision, device)).removeprefix("torch.")
    kind = "cross-encoder" if isinstance(model, CrossEncoder) else f"{'+'.join(model.pooling)} pooling"
    print(f"{config.model}: {kind}, max_length {model.max_length}, {dtype} on {device}")
    reports = []
    for rows in datasets:
        cut = model.texts.describe_cut(*tabulate(model.texts, rows.texts))
        print(rows.describe() + (f"; {cut}" if cut else ""), file=sys.stderr)
        reports.append(evaluate(rows, judged_by))
    text = "\n".join([f"\n{tables(reports)}\n", *(f"note: {note}" for r in reports for note in r.notes)])
    print(text)
    if output:
        _write(output, config, reports, text.strip())
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
