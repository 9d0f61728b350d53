"""The claims of the project: their rows are planned, and their table is that of the records."""

import pytest
from support import ROOT

from sbert.claims.command import read_records
from sbert.claims.config import ClaimsConfig
from sbert.claims.experiments import Experiment
from sbert.claims.table import claims_table, describe
from sbert.cli import parse_command

CONFIG = "configs/claims.yaml"


@pytest.fixture
def config(monkeypatch) -> ClaimsConfig:
    monkeypatch.chdir(ROOT)
    return parse_command("claims.py", ClaimsConfig, "", ["--config", CONFIG]).config


def test_every_figure_is_of_a_row_that_its_command_plans(config):
    experiments = {}
    for name, command in config.experiments.items():
        # of one seed: the rows are the same
        seeds = "" if "evaluate.py" in command else " --seeds [1]"
        experiments[name] = Experiment(name, command + seeds)
    used = set()
    for claim in config.claims:
        for name in claim.figures:
            figure = claim.figure(name)
            used.add(figure.experiment)
            assert experiments[figure.experiment].row(figure.row)
    assert used == set(experiments), "an experiment that no claim uses"


def test_the_table_of_the_results_is_that_of_the_records(config):
    records = list(read_records(ROOT / config.records).values())
    assert [record["claim"] for record in records] == [claim.claim for claim in config.claims]
    assert claims_table(records, config) in (ROOT / config.page).read_text("utf-8")
    assert describe(records).startswith(f"{len(records)} claims: ")
