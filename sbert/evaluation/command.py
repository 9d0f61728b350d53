"""One call of `evaluate.py`: one model, many datasets, one report."""

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sbert.data.config import DatasetConfig
from sbert.data.leakage import check_contamination, check_names, read_seen_texts
from sbert.data.origin import dataset_by_name, describe_origin, has_splits
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows, read_dataset
from sbert.device import default_device, describe_precision
from sbert.errors import require
from sbert.evaluation.config import RETRIEVAL_DEPTH, EvaluateConfig
from sbert.evaluation.evaluators import evaluate_rows, rerank
from sbert.evaluation.loading import EvaluatedModel, load_models
from sbert.evaluation.page import check_output, write_report
from sbert.evaluation.prompts import column_prompts, describe_cut
from sbert.evaluation.report import Report
from sbert.evaluation.results import DatasetResults, Evaluation, bootstrap_reports
from sbert.evaluation.scorers import Columns
from sbert.evaluation.tables import evaluation_tables
from sbert.evaluation.teacher import load_teacher, with_targets
from sbert.models.loading import teacher_fingerprint
from sbert.models.tokens import tokenize_columns


def check_evaluate_options(config: EvaluateConfig) -> None:
    """Refuse options that are wrong whatever the data and the models are.

    Raises:
        InputError: no dataset, an unknown kind of report, a depth without a reranker, a prompt
            without a teacher.
    """
    require(
        not config.output or Path(config.output).suffix in (".json", ".md"),
        f"output {config.output}: unknown file extension; use .json or .md",
    )
    require(config.data, "data: no dataset is named")
    require(
        config.reranker is not None or config.depth == RETRIEVAL_DEPTH,
        f"depth is {config.depth}, but there is no reranker; give one, or leave depth out",
    )
    require(
        config.teacher is not None or config.teacher_prompt is None,
        "teacher_prompt is given, but there is no teacher; give one, or leave teacher_prompt out",
    )


def dataset_configs(data: list[str | DatasetConfig], split: str) -> list[DatasetConfig]:
    """The datasets of a command; one that has splits, and names none, gets the given split."""
    configs = [dataset_by_name(one, split) if isinstance(one, str) else one for one in data]
    for config in configs:
        if config.split is None and has_splits(config):
            config.split = split
    return configs


def evaluate_models(config: EvaluateConfig, command: str = "") -> Evaluation:
    """Evaluate, print the tables, and write the report to `config.output`.

    Raises:
        InputError: an option, a dataset or a model that cannot be used.
    """
    started = time.perf_counter()
    check_evaluate_options(config)
    configs = dataset_configs(config.data, config.split)
    datasets = [read_dataset(dataset, fingerprint_of=teacher_fingerprint) for dataset in configs]
    check_names(datasets)
    seen = read_seen_texts(dataset_configs(config.seen, "train")) if config.seen else None
    if config.output:
        check_output(Path(config.output))
    device = default_device()
    dtype = describe_precision(config.precision, device)
    models = load_models(config, datasets, device)
    if config.teacher:
        models["teacher"] = load_teacher(config, datasets, models, device)
    evaluation = Evaluation(config, models, f"{dtype} on {device}", seen, command)
    prefixes = {
        "model": "",
        "baseline": "baseline: ",
        "teacher": "teacher: ",
        "reranker": f"re-ranked: the first {config.depth:,} by ",
    }
    for role, model in models.items():
        print(f"{prefixes[role]}{model.path}: {model.describe()}, {evaluation.computed}")
    for dataset, rows in zip(configs, datasets, strict=True):
        evaluation.datasets.append(evaluate_dataset(evaluation, rows, describe_origin(dataset)))
    for title, table in evaluation_tables(evaluation).items():
        print("" if title == "results" else f"\n{title}\n", table, sep="\n")
    print("", *(f"note: {note}" for note in evaluation.notes()), sep="\n")
    evaluation.seconds = time.perf_counter() - started
    if config.output:
        write_report(Path(config.output), evaluation)
        print(f"written to {config.output}")
    return evaluation


def evaluate_dataset(evaluation: Evaluation, rows: Rows | Retrieval, origin: str) -> DatasetResults:
    """Evaluate the model, and the baseline on the same rows and the same resamples."""
    print(rows.describe(), file=sys.stderr)
    config, models = evaluation.config, evaluation.models
    reports = _dataset_reports(evaluation, rows, models["model"])
    count = len(reports)
    if config.baseline:
        reports += _dataset_reports(evaluation, rows, models["baseline"])
    results = bootstrap_reports(reports, config.resamples, config.seed, rows.name)
    contamination = check_contamination(rows, evaluation.seen) if evaluation.seen else None
    by_size = {}
    for size, scorer in models["model"].by_size.items():
        by_size[size] = evaluate_rows(rows, scorer, reports[0].prompts)
    return DatasetResults(rows, origin, results[:count], results[count:], contamination, by_size)


def _dataset_reports(
    evaluation: Evaluation, rows: Rows | Retrieval, model: EvaluatedModel
) -> list[Report]:
    """The report of a model; for retrieval with a reranker also that of the re-ranked order."""
    reranker = evaluation.models.get("reranker")
    prompts = column_prompts(rows, model.model)
    print_cut(model, describe_cut(rows, model.model, prompts))
    teacher = evaluation.models.get("teacher")
    with warnings.catch_warnings():
        # the encoders warn of the texts they cut: `print_cut` has said it
        warnings.filterwarnings("ignore", ".* are cut at max_length", UserWarning)
        if teacher:
            rows = with_targets(rows, model.model, teacher, evaluation.config.teacher_prompt)
        report = evaluate_rows(rows, model.scorer, prompts)
        if reranker is None or rows.task != "retrieval":
            return [report]

        def score(columns: Columns, prompts: Sequence[str]) -> dict[str, np.ndarray]:
            tokenizer = reranker.model.text_tokenizer
            print_cut(reranker, tokenizer.describe_cut(*tokenize_columns(tokenizer, columns)))
            return reranker.scorer.score(columns, prompts)

        scorer = replace(reranker.scorer, score=score)
        return [report, rerank(rows, report, scorer, evaluation.config.depth)]


def print_cut(model: EvaluatedModel, cut: str | None) -> None:
    """Say how much of the texts the model's max_length cuts, if anything."""
    if cut:
        print(f"{model.role}: {cut}", file=sys.stderr)
