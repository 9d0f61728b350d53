"""One encoder, many datasets, one table: what `evaluate.py` calls."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from sbert import folder
from sbert.batching import tabulate
from sbert.bi_encoder import BiEncoder
from sbert.checkpoint import load_loss
from sbert.config import EvaluateConfig
from sbert.cross_encoder import CrossEncoder
from sbert.data import DatasetConfig, Rows, has_splits, read
from sbert.encoder import Encoder, resolve_precision
from sbert.errors import InputError
from sbert.evaluation import DEPTH, Judge, Report, check_able, cross_judge, encoder_judge, evaluate
from sbert.reranking import rerank
from sbert.retrieval import Retrieval
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
    "retrieval": {
        "nDCG@10": "ndcg@10_{}", "MRR@10": "mrr@10_{}", "MAP@100": "map@100_{}",
        "recall@10": "recall@10_{}", "recall@100": "recall@100_{}", "P@10": "precision@10_{}",
    },
    "triplet": {
        "accuracy, {}": "accuracy_{}", "dot": "accuracy_dot",
        "Euclidean": "accuracy_euclidean", "Manhattan": "accuracy_manhattan",
    },
}  # fmt: skip


def configs(config: EvaluateConfig) -> list[DatasetConfig]:
    """The datasets of the command: a bare name gets the split, a file or a folder without splits needs none."""
    datasets = [DatasetConfig(path=d) if isinstance(d, str) else d for d in config.data]
    for dataset in datasets:
        if dataset.split is None and has_splits(dataset):
            dataset.split = config.split
    return datasets


def tables(reports: list[Report]) -> str:
    """One aligned table a task; for several STS datasets also the average of their Spearman correlations."""
    parts = []
    for task in COLUMNS:
        chosen = [report for report in reports if report.task == task]
        if not chosen:
            continue
        # the kind of score is a report's own: a re-ranked one has another than the search before it
        columns = {
            header.format(chosen[0].kind): key
            for header, key in COLUMNS[task].items()
            if any(key.format(report.kind) in report.metrics for report in chosen)
        }
        rows = [
            [r.name, r.rows, *(100 * r.metrics.get(key.format(r.kind), math.nan) for key in columns.values())]
            for r in chosen
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


def load_reranker(config: EvaluateConfig, datasets: Sequence[Rows | Retrieval], device: torch.device) -> CrossEncoder:
    """The cross-encoder of one score that re-ranks.

    Raises:
        InputError: a depth below 1, data without a retrieval dataset, a bi-encoder, a cross-encoder of classes.
    """
    if config.depth < 1:
        raise InputError(f"depth is {config.depth}; it must be 1 or more")
    if not any(rows.task == "retrieval" for rows in datasets):
        given = ", ".join(f"{rows.name} ({rows.task})" for rows in datasets)
        raise InputError(f"reranker is for retrieval datasets, and data has none: {given}")
    root = folder.locate(config.reranker)
    if not folder.is_classifier(root):
        raise InputError(f"reranker {config.reranker}: is a bi-encoder; a cross-encoder is needed")
    model = CrossEncoder.from_pretrained(root)
    if model.dim > 1:
        raise InputError(
            f"reranker {config.reranker}: tells {model.dim} classes; a cross-encoder of one score is needed"
        )
    return model.to(device)


def judge(config: EvaluateConfig, model: Encoder, datasets: Sequence[Rows | Retrieval]) -> Judge:
    if isinstance(model, CrossEncoder):
        options = {"logits": True, "symmetric": config.symmetric, "precision": config.precision, "progress": None}
        return cross_judge(partial(model.predict, **options), model.dim, model.classes)
    head = classes = None
    if any(rows.task == "nli" for rows in datasets):  # the trained classifier beside the model
        head, classes = load_loss(Path(config.model), model.dim)
        head.to(model.device)
    encode = partial(model.encode, precision=config.precision, progress=None)
    return replace(encoder_judge(encode, head, classes, model.device), depth=max(DEPTH, config.depth))


def evaluate_encoder(config: EvaluateConfig) -> list[Report]:
    """Evaluate, print the table, write it where `output` says."""
    output = Path(config.output) if config.output else None
    if output and output.suffix not in (".json", ".md"):
        raise InputError(f"output {output}: ends in .json or .md")
    if config.reranker is None and config.depth != DEPTH:
        raise InputError("depth is how many documents a reranker reads; name one, or leave depth out")
    datasets = [read(dataset) for dataset in configs(config)]
    if not datasets:
        raise InputError("data: names no dataset")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load(config, device)
    judged_by = judge(config, model, datasets)
    for rows in datasets:
        check_able(rows, judged_by)
    reranker = load_reranker(config, datasets, device) if config.reranker else None
    dtype = str(resolve_precision(config.precision, device)).removeprefix("torch.")
    print(f"{config.model}: {_describe(model)}, {dtype} on {device}")
    if reranker:
        print(f"re-ranked: the first {config.depth:,} by {config.reranker}: {_describe(reranker)}")
    reports = [report for rows in datasets for report in _reports(config, rows, model, judged_by, reranker)]
    text = "\n".join([f"\n{tables(reports)}\n", *(f"note: {note}" for r in reports for note in r.notes)])
    print(text)
    if output:
        _write(output, config, reports, text.strip())
    return reports


def _reports(config: EvaluateConfig, rows: Rows | Retrieval, model: Encoder, judged_by: Judge,
             reranker: CrossEncoder | None) -> list[Report]:  # fmt: skip
    """The report on one dataset and, of retrieval with a re-ranker, the one on the re-ranked order."""
    cut = model.texts.describe_cut(*tabulate(model.texts, rows.texts))
    print(rows.describe() + (f"; {cut}" if cut else ""), file=sys.stderr)
    first = evaluate(rows, judged_by)
    if reranker is None or rows.task != "retrieval":
        return [first]
    predict = partial(reranker.predict, logits=True, precision=config.precision, progress=None)
    return [first, rerank(rows, first, predict, config.depth)]


def _describe(model: Encoder) -> str:
    kind = "cross-encoder" if isinstance(model, CrossEncoder) else f"{'+'.join(model.pooling)} pooling"
    return f"{kind}, max_length {model.max_length}"


def _write(output: Path, config: EvaluateConfig, reports: list[Report], text: str) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.suffix == ".md":
        reranker = f", re-ranked to depth {config.depth} by {config.reranker}" if config.reranker else ""
        output.write_text(f"{config.model}{reranker}, all numbers x 100\n\n{text}\n", "utf-8")
    else:
        results = [
            {"dataset": r.name, "task": r.task, "rows": r.rows,
             "metrics": {k: None if math.isnan(v) else v for k, v in r.metrics.items()}}
            for r in reports
        ]  # fmt: skip
        reranker = {"reranker": config.reranker, "depth": config.depth} if config.reranker else {}
        content = {"model": config.model, **reranker, "results": results}
        output.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    print(f"written to {output}")
