"""The scores of every row that a run was evaluated on, to resample its metrics later.

`scores.safetensors` in the folder of a run has, for each dataset, the columns of each metric that
can be resampled, as <dataset>/<metric>/<column>. So intervals over several runs need no model.
`scores_before.safetensors` has the same of the model before training.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sbert.atomic import write_whole
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.evaluation.bootstrap import METRICS, BootstrapMetric, language_parts
from sbert.evaluation.report import Report

SCORES_FILE = "scores.safetensors"
BEFORE_FILE = "scores_before.safetensors"


@dataclass
class DatasetScores:
    """The metrics of one dataset that can be resampled, of one run.

    metrics: also those of the rows of each language.
    digest: of the texts; equal digests say that two runs were evaluated on the same rows.
    clusters: as of `Report`.
    """

    digest: str
    metrics: dict[str, BootstrapMetric] = field(default_factory=dict)
    clusters: np.ndarray | None = None


def save_scores(
    folder: Path,
    datasets: Sequence[Rows | Retrieval],
    reports: Sequence[Report],
    file_name: str = SCORES_FILE,
) -> None:
    """Write the scores of the rows of each dataset, from its report, to a file of a folder."""
    columns, facts = {}, {}
    for rows, report in zip(datasets, reports, strict=True):
        metrics = {}
        for name, metric in report.bootstrap_metrics.items():
            metrics[name] = {"kind": type(metric).__name__, "columns": list(metric.columns)}
            for column, values in metric.columns.items():
                columns[f"{report.name}/{name}/{column}"] = np.ascontiguousarray(values)
        if report.clusters is not None:
            columns[f"{report.name}/clusters"] = report.clusters
        facts[report.name] = {"digest": digest_texts(rows.texts), "metrics": metrics}
        if report.languages:
            distinct, languages = np.unique(report.languages, return_inverse=True)
            columns[f"{report.name}/languages"] = languages.astype(np.uint32)
            facts[report.name]["languages"] = distinct.tolist()
    write_whole(folder / file_name, save(columns, {"datasets": json.dumps(facts)}))


def read_scores(folder: Path, file_name: str = SCORES_FILE) -> dict[str, DatasetScores]:
    """What `save_scores` wrote, by dataset; nothing of a run that has no such file.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / file_name
    if not path.exists():
        return {}
    scores = {}
    try:
        with safe_open(path, "numpy") as file:
            for dataset, facts in json.loads(file.metadata()["datasets"]).items():
                scores[dataset] = _read_dataset(file, dataset, facts)
    except SafetensorError as error:
        raise InputError(f"{path}: cannot be read: {error}; delete it, or run again") from None
    return scores


def _read_dataset(file: safe_open, dataset: str, facts: dict) -> DatasetScores:
    scores = DatasetScores(facts["digest"])
    if f"{dataset}/clusters" in file.keys():  # noqa: SIM118 - the file is no dict
        scores.clusters = file.get_tensor(f"{dataset}/clusters")
    for name, metric in facts["metrics"].items():
        columns = {key: file.get_tensor(f"{dataset}/{name}/{key}") for key in metric["columns"]}
        scores.metrics[name] = METRICS[metric["kind"]](**columns)
    if "languages" in facts:
        languages = np.array(facts["languages"])[file.get_tensor(f"{dataset}/languages")]
        scores.metrics |= language_parts(scores.metrics, languages.tolist())
    return scores


def scores_beside(report: Path) -> str:
    """The name of the file of scores beside a JSON report of evaluate.py."""
    return f"{report.stem}.scores.safetensors"


def digest_texts(columns: Iterable[Sequence[str | None]]) -> str:
    """A digest of columns of texts, in order."""
    digest = hashlib.sha256()
    for column in columns:
        for text in column:
            digest.update(f"{text!r}\n".encode())
    return digest.hexdigest()[:16]
