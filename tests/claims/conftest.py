"""Runs on disk, a file of claims about them, and the command that judges them."""

import shutil
from pathlib import Path

import pytest
import yaml
from claims_inputs import Runs, plan_runs
from support import ROOT


@pytest.fixture(scope="session")
def plan(tmp_path_factory, tiny_folder):
    """The folder of a sweep's configurations, and its runs."""
    folder = tmp_path_factory.mktemp("plan")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, plan_runs(folder, tiny_folder)


@pytest.fixture
def runs(plan, tmp_path, monkeypatch):
    folder, planned = plan
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Runs(tmp_path, planned)


@pytest.fixture
def claims(runs):
    """Writes a file of claims about the sweep: one that a is above b, if not others."""

    def write(*claims: dict, **options) -> Path:
        figures = {"a": {"row": "a"}, "b": {"row": "b"}}
        claim = {
            "claim": "a is better",
            "paper": "Mine, table 1",
            "published": "a 80, b 70",
            "experiment": "mine",
            "figures": figures,
            "contrasts": [{"order": ["a", "b"]}],
        }
        content = {
            "experiments": {"mine": runs.command},
            "claims": [claim | changes for changes in claims or [{}]],
            "records": str(runs.folder / "claims.jsonl"),
            "resamples": 500,
        }
        path = runs.folder / "claims.yaml"
        path.write_text(yaml.safe_dump(content | options, sort_keys=False))
        return path

    return write


@pytest.fixture
def claims_command(monkeypatch, capsys):
    """`claims.py` in this process -> what it printed."""
    monkeypatch.syspath_prepend(ROOT)
    import claims

    def run(path: Path, *argv: str) -> str:
        claims.main(["--config", str(path), *argv])
        return capsys.readouterr().out

    run.main = claims.main
    return run
