"""A sweep of two variants, whose finished runs are written by hand."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import yaml
from support import write_config

from sbert.cli import parse_command
from sbert.evaluation.bootstrap import Mean
from sbert.evaluation.report import Report
from sbert.evaluation.scores import BEFORE_FILE, SCORES_FILE, save_scores
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.plan import PlannedRun, SweepPlan

METRIC = "accuracy_cosine"
VALUES = {seed: np.random.default_rng(seed).random(40) for seed in (1, 2)}  # of 40 rows
SCALES = {"my-dev": 0.5, "my-test": 1.0}  # on dev, half of the value of each row


def plan_runs(folder: Path, encoder: Path, **changes) -> dict[str, PlannedRun]:
    """Write the configurations of a sweep, variants a and b with two seeds, into the folder, where
    this process must be -> its runs by label. `changes` replace top-level options."""
    write_config(Path(), encoder, Path("pairs.tsv"))
    options = {
        "name": "mine",
        "base": "config.yaml",
        "variants": {"a": {}, "b": {"optim.epochs": 3}},
        "seeds": [1, 2],
        "runs": "sweeps",
    } | changes
    (folder / "sweep.yaml").write_text(yaml.safe_dump(options))
    command = parse_command("sweep.py", SweepConfig, "", ["--config", "sweep.yaml"])
    return {run.label: run for run in SweepPlan(command.config).runs()}


class Runs:
    """The finished runs of a sweep in a folder."""

    command = "python sweep.py --config sweep.yaml"

    def __init__(self, folder: Path, planned: dict[str, PlannedRun]):
        self.folder, self.planned = folder, planned

    def finish(self, label: str, values, before=None) -> None:
        """Write the folder of a run: a value of each of 40 rows after training, and before it."""
        run = self.planned[label]
        run.folder.mkdir(parents=True)
        (run.folder / "config.yaml").write_text(run.config_yaml)
        save_values(run.folder, SCORES_FILE, values)
        if before is not None:
            save_values(run.folder, BEFORE_FILE, before)
        results = []
        for dataset, scale in SCALES.items():
            facts = {"dataset": dataset, "part": dataset[3:], "main": METRIC, "before": {}}
            facts["after"] = {METRIC: scale * float(np.mean(values))}
            if before is not None:
                facts["before"] = {METRIC: scale * float(np.mean(before))}
            results.append(facts)
        facts = {"train_rows": 9, "seconds": 30.0, "results": results}
        (run.folder / "result.json").write_text(json.dumps(facts))

    def evaluate(self, name: str, values) -> str:
        """Write a report of evaluate.py -> its command."""
        command = f"python evaluate.py --model m --data my-test --output {name}.json"
        save_values(self.folder, f"{name}.scores.safetensors", values)
        result = {"dataset": "my-test", "main": METRIC, "metrics": {METRIC: float(np.mean(values))}}
        facts = {"results": [result], "seconds": 2.5, "command": command}
        (self.folder / f"{name}.json").write_text(json.dumps(facts))
        return command


def save_values(folder: Path, file: str, values: np.ndarray, first: int = 0) -> None:
    """Write the scores of 40 rows of each dataset; other rows where `first` is another."""
    datasets, reports = [], []
    for place, (name, scale) in enumerate(SCALES.items()):
        texts = [f"text {first + 1000 * place + i}" for i in range(40)]
        datasets.append(SimpleNamespace(texts=[texts]))
        metrics = {METRIC: Mean(scale * np.asarray(values))}
        reports.append(Report(name, "triplet", 40, bootstrap_metrics=metrics))
    save_scores(folder, datasets, reports, file)


def finish_both(runs: Runs, seeds=(1, 2), gain=0.05):
    """a is above b by the same in every row."""
    for seed in seeds:
        runs.finish(f"a,seed={seed}", VALUES[seed] + gain, before=VALUES[1])
        runs.finish(f"b,seed={seed}", VALUES[seed], before=VALUES[1])


def records(runs: Runs) -> list[dict]:
    return [json.loads(line) for line in (runs.folder / "claims.jsonl").read_text().splitlines()]


def row(printed: str) -> list[str]:
    line = printed.splitlines()[2]
    return [cell.strip() for cell in line.strip("|").split("|")]
