"""The whole recipe. With tiny models its stages run in this process, as their commands would; where only their order matters they
are pretended: a model is a file that follows from what it was trained on."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from accelerate.state import AcceleratorState
from conftest import ROOT, WEIGHTS, fails, metrics, needs_weights, write_tiny

from sbert import recipe, silver_miner
from sbert.errors import InputError
from sbert.output import write_whole
from sbert.training import Training

STAGES = ["gold", "cross-encoder", "silver-random", "random", "silver-semantic", "semantic"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("small"))


@pytest.fixture
def options(tmp_path, encoder, pairs_file) -> dict:
    """A recipe of one seed and two strategies."""
    dataset = {"path": str(pairs_file), "range": [0, 5]}
    learner = {"optim": {"lr": 1e-3, "batch_size": 8}, "loop": {"precision": "fp32", "log_steps": 1, "save_steps": 1}}
    return {
        "name": "mine",
        "runs": str(tmp_path / "recipes"),
        "gold": [dataset | {"limit": 20, "name": "gold"}],
        "dev": [dataset | {"name": "dev"}],
        "test": [dataset | {"name": "test"}],
        "bi_encoder": learner | {"model": {"path": str(encoder)}, "loss": "CosineSimilarityLoss"},
        "teacher": learner | {"model": {"path": str(encoder)}, "loss": "BinaryCrossEntropyLoss"},
        "silver": {"strategies": ["random", "semantic"], "number": 24},
    }


def begin(stage) -> None:
    stage.folder.mkdir(parents=True, exist_ok=True)
    if not (stage.folder / "config.yaml").exists():
        write_whole(stage.folder / "config.yaml", stage.text.encode())


class InProcess:
    """In the place of Processes: the commands themselves, here."""

    def __init__(self, jobs, say):
        self.calls, self.stop = [], lambda: None

    def __call__(self, stage):
        import mine
        import train

        self.calls.append(stage.label)
        begin(stage)
        AcceleratorState._reset_state(reset_partial_state=True)
        script, *words = stage.command
        {"train.py": train, "mine.py": mine}[Path(script).name].main(words)


class Pretend(InProcess):
    """A model or a silver file is a text that follows from the settings and the files of its stage; `cut` names one that is
    interrupted when it has begun."""

    cut = None

    def __call__(self, stage):
        self.calls.append(stage.label)
        begin(stage)
        if stage.label == self.cut:
            raise KeyboardInterrupt
        made = hashlib.sha256((stage.folder / "stage.json").read_bytes()).hexdigest()
        if stage.kind == "silver":
            rows = [{"sentence1": "a cat", "sentence2": made[:k], "score": 0.1 * k} for k in range(1, 9)]
            write_whole(stage.result, "".join(json.dumps(row) + "\n" for row in rows).encode())
            return
        for part in ("best", "last"):
            (stage.folder / part).mkdir(exist_ok=True)
            (stage.folder / part / "model.safetensors").write_text(made)
        score = {"rho": len(stage.row) / 100 + stage.axes["seed"] / 1000}
        data = stage.config.data
        results = [
            {"dataset": d.name, "part": part, "main": "rho", "rows": 3, "before": {"rho": 0.02}, "after": score}
            for part in ("dev", "test")
            for d in getattr(data, part)
        ]
        facts = {"train_rows": 20, "seconds": 1.0, "results": results}
        write_whole(stage.folder / "result.json", json.dumps(facts).encode())


@pytest.fixture
def run(tmp_path, options, monkeypatch):
    """The command, with changes of the options -> the labels of the stages that it did."""
    monkeypatch.syspath_prepend(ROOT)

    def call(*words: str, processes=Pretend, cut=None, **changes) -> list[str]:
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(options | changes))
        made = processes(1, print)
        made.cut = cut
        recipe.main(["--config", str(path), *words], lambda jobs, say: made)
        return made.calls

    return call


def seeded(*seeds: int) -> list[str]:
    return [f"{stage},seed={seed}" for seed in seeds for stage in STAGES]


def results(folder: Path) -> list[dict]:
    """results.jsonl without what a clock says."""
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def listed(capsys) -> dict[str, str]:
    """What a dry run said: {stage: its state, and why}."""
    lines = capsys.readouterr().out.splitlines()[:-1]
    return {words[0]: line[:5].strip() + line[7:].removeprefix(words[0]) for line in lines for words in [line[7:].split(": ")]}


def test_from_pairs_to_a_table(run, tmp_path, capsys):
    """Real stages: the numbers of the table are those of the runs, silver is labelled by the teacher, and is trained on."""
    assert run(processes=InProcess) == seeded(1)
    folder, output = tmp_path / "recipes/mine", capsys.readouterr().out
    table = (folder / "table.md").read_text().split("\n\n", 1)[1].strip()
    assert output.rstrip().endswith(f"{table}\n\ntable: {folder}/table.md")
    gold, teacher = (json.loads((folder / f"{s},seed=1/result.json").read_text()) for s in ("gold", "cross-encoder"))
    assert (gold["train_rows"], teacher["train_rows"]) == (20, 40)  # the teacher reads both orders
    before, after = ([100 * r[when]["spearman_cosine"] for r in gold["results"]] for when in ("before", "after"))
    cells = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in table.splitlines()[2:7]}
    assert cells["untuned"][1] == f"{before[0]:.2f}"
    assert (cells["gold"][1], cells["gold"][4]) == (f"{after[0]:.2f}", f"{after[1]:.2f}")
    assert float(cells["untuned"][3]) == pytest.approx(before[0] - after[0], abs=0.006)
    rows = {row["row"]: row for row in results(folder) if row["kind"] == "silver"}
    for strategy in ("random", "semantic"):
        silver = [json.loads(line) for line in (folder / f"silver-{strategy},seed=1/silver.jsonl").read_text().splitlines()]
        assert {row["strategy"] for row in silver} == {strategy}
        assert rows[strategy]["pairs"] == len(silver) <= 24
        assert cells[f"gold + {strategy}"][-2:] == [str(len(silver)), f"{rows[strategy]['divergence']:.2f}"]
        trained = json.loads((folder / f"{strategy},seed=1/result.json").read_text())
        assert trained["train_rows"] == 20 + len(silver)
        assert not (folder / f"{strategy},seed=1/last").exists()
    assert run(processes=InProcess) == []


@pytest.mark.parametrize("place", range(6))
def test_killed_in_any_stage_and_given_again_it_ends_the_same(run, tmp_path, monkeypatch, place, whole):
    """Real stages, cut after their second unit of work: the same results, silver and weights, to the last bit."""
    stage, works = seeded(1)[place], 0
    monkeypatch.setattr(silver_miner, "UNIT", 6)

    class Cut(InProcess):
        def __call__(self, one):
            nonlocal works
            works = -10_000 if one.label != stage else 0
            super().__call__(one)

    def counted(real):
        def call(*args, **options):
            nonlocal works
            works += 1
            if works == 3:
                raise KeyboardInterrupt
            return real(*args, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(Training, "update", counted(Training.update))
        patch.setattr(silver_miner, "label", counted(silver_miner.label))
        with pytest.raises(KeyboardInterrupt):
            run(processes=Cut)
    assert run(processes=InProcess) == seeded(1)[place:]
    folder = tmp_path / "recipes/mine"
    assert results(folder) == results(whole)
    for name in ("cross-encoder,seed=1/best/model.safetensors", "semantic,seed=1/best/model.safetensors",
                 "silver-random,seed=1/silver.jsonl", "silver-semantic,seed=1/silver.jsonl"):  # fmt: skip
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert (folder / "table.md").read_text() == (whole / "table.md").read_text().replace(str(whole), str(folder))
