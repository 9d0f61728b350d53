"""One model, many datasets, one report: what `evaluate.py` calls."""

import sys
import time
from pathlib import Path

import torch

from sbert.data.config import DatasetConfig
from sbert.data.leakage import check_contamination, read_seen
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows, dataset_by_name, describe_origin, has_splits, read_dataset
from sbert.device import resolve_precision
from sbert.errors import InputError
from sbert.evaluation.config import DEPTH, EvaluateConfig
from sbert.evaluation.evaluators import Report, evaluate_rows, rerank
from sbert.evaluation.page import check_output, write_report
from sbert.evaluation.report import BASELINE, FIRST, Evaluation
from sbert.evaluation.results import bootstrap_reports, compare
from sbert.evaluation.scorers import (
    Datasets,
    EvaluatedModel,
    load_baseline,
    load_model,
    load_reranker,
    logits_of,
)
from sbert.models.loading import teacher_fingerprint
from sbert.models.tokens import tokenize_columns


def dataset_configs(data: list[str | DatasetConfig], split: str) -> list[DatasetConfig]:
    """Datasets of a command: a bare name gets the split, a file or a folder without splits needs none."""
    datasets = [dataset_by_name(d, split) if isinstance(d, str) else d for d in data]
    for dataset in datasets:
        if dataset.split is None and has_splits(dataset):
            dataset.split = split
    return datasets


def check_evaluate_options(config: EvaluateConfig) -> None:
    """Refuse options that are wrong whatever the data and the models are."""
    if config.output and Path(config.output).suffix not in (".json", ".md"):
        raise InputError(f"output {config.output}: ends in .json or .md")
    if config.reranker is None and config.depth != DEPTH:
        raise InputError(
            "depth is how many documents a reranker reads; name one, or leave depth out"
        )
    if config.resamples < 0 or config.resamples == 1:
        raise InputError(
            f"resamples is {config.resamples}; it must be 2 or more (10,000 is usual), or 0 for no intervals"
        )
    if config.seed < 0:
        raise InputError(f"seed is {config.seed}; it must be 0 or more")
    if not config.data:
        raise InputError("data: names no dataset")


def evaluate_models(config: EvaluateConfig, command: str = "") -> Evaluation:
    """Evaluate, print the tables, write the report where `output` says."""
    started = time.perf_counter()
    check_evaluate_options(config)
    given = dataset_configs(config.data, config.split)
    datasets = [read_dataset(dataset, fingerprint_of=teacher_fingerprint) for dataset in given]
    seen = read_seen(dataset_configs(config.seen, "train")) if config.seen else None
    if config.output:
        check_output(Path(config.output))
    contestants, computed = load_models(config, datasets)
    places = [describe_origin(dataset) for dataset in given]
    found = Evaluation(
        config,
        contestants,
        computed,
        list(zip(datasets, places, strict=True)),
        seen=seen,
        command=command,
    )
    for rows in datasets:
        evaluate_dataset(found, rows)
    for title, text in found.sections().items():
        print("" if title == "results" else f"\n{title}\n", text, sep="\n")
    print("", *(f"note: {note}" for note in found.notes()), sep="\n")
    found.seconds = time.perf_counter() - started
    if config.output:
        write_report(Path(config.output), found)
        print(f"written to {config.output}")
    return found


def load_models(config: EvaluateConfig, datasets: Datasets) -> tuple[list[EvaluatedModel], str]:
    """The models of the command, described in a line each, and by what they compute."""
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    computed = (
        f"{str(resolve_precision(config.precision, device)).removeprefix('torch.')} on {device}"
    )
    contestants = [load_model(config, datasets, device)]
    if config.baseline:
        contestants.append(load_baseline(config, datasets, device))
    if config.reranker:
        contestants.append(load_reranker(config, datasets, device))
    for one in contestants:
        first = {
            "baseline": "baseline: ",
            "reranker": f"re-ranked: the first {config.depth:,} by ",
        }.get(one.role, "")
        print(f"{first}{one.path}: {one.describe()}, {computed}")
    return contestants, computed


def evaluate_dataset(found: Evaluation, rows: Rows | Retrieval) -> None:
    """Add all that is to be said of one dataset."""
    config, by_role = found.config, {one.role: one for one in found.contestants}
    print(rows.describe(), file=sys.stderr)
    sides = [
        _reports(found, rows, by_role[role]) for role in ("model", "baseline") if role in by_role
    ]
    results = bootstrap_reports(
        [report for side in sides for report in side], config.resamples, config.seed, rows.name
    )
    mine, others = results[: len(sides[0])], results[len(sides[0]) :]
    found.results += mine
    found.baseline += others
    pairs = [(first, second, BASELINE) for first, second in zip(mine, others, strict=False)]
    pairs += [(mine[1], mine[0], FIRST)] if len(mine) > 1 else []
    found.differences += [compare(*pair) for pair in pairs]
    if found.seen:
        found.checked.append(check_contamination(rows, found.seen))
        found.reports += [(result.report, found.checked[-1]) for result in mine]


def _reports(found: Evaluation, rows: Rows | Retrieval, by: EvaluatedModel) -> list[Report]:
    """The report on one dataset and, of retrieval with a re-ranker, the one on the re-ranked order."""
    if cut := by.model.texts.describe_cut(*tokenize_columns(by.model.texts, rows.texts)):
        print(f"{by.role}: {cut}", file=sys.stderr)
    first = evaluate_rows(rows, by.judge)
    rerankers = [one for one in found.contestants if one.role == "reranker"]
    if not rerankers or rows.task != "retrieval":
        return [first]
    return [
        first,
        rerank(rows, first, logits_of(rerankers[0].model, found.config), found.config.depth),
    ]
