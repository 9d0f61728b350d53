"""Experiments by their commands: the runs that a command plans, and which of them are done."""

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sbert.augment.plan import RecipePlan
from sbert.augment.recipe_config import RecipeConfig
from sbert.cli import InnerParser, make_parser, parse_command
from sbert.config_keys import first_difference
from sbert.errors import InputError, require
from sbert.evaluation.scores import BEFORE_FILE, SCORES_FILE, scores_beside
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.overrides import axes_label
from sbert.sweeps.plan import SweepPlan, row_axes
from sbert.sweeps.summary import FinishedRun, read_result
from sbert.training.config import TrainConfig


@dataclass(frozen=True)
class ExperimentRun:
    """One run that a command plans.

    label: its name in its experiment. row, axes: as of a sweep's `PlannedRun`. report: the name of
    the JSON report, of evaluate.py. settings: the configuration of a run of train.py; the command
    of evaluate.py.
    """

    label: str
    row: str
    axes: dict[str, Any]
    folder: Path
    settings: str
    report: str = ""

    @property
    def result(self) -> Path:
        return self.folder / (self.report or "result.json")

    def scores(self, when: str) -> str:
        """The name of the file of row scores in its folder."""
        if self.report:
            return scores_beside(self.result)
        return {"before": BEFORE_FILE, "after": SCORES_FILE}[when]

    def found(self, roots: Sequence[str]) -> "ExperimentRun | None":
        """The run in the first root where it is done."""
        for root in roots:
            run = replace(self, folder=Path(root) / self.folder)
            if run.result.exists():
                return run
        return None

    def changed_setting(self) -> str | None:
        """The first setting that its command has changed since it ran, described."""
        if self.report:
            return first_difference(self._report_facts()["command"], self.settings)
        path = self.folder / "config.yaml"
        require(path.is_file(), f"{path}: no such file; it has the settings of the run, run again")
        made = path.read_text("utf-8")
        if made != self.settings:
            made = _with_defaults(path)
        return first_difference(made, self.settings)

    def read(self) -> FinishedRun:
        if not self.report:
            return FinishedRun.read(self)
        facts = self._report_facts()
        results = []
        for result in facts["results"]:
            results.append(result | {"part": "test", "before": {}, "after": result["metrics"]})
        return FinishedRun(self, {"seconds": facts["seconds"], "results": results})

    def _report_facts(self) -> dict:
        return read_result(self.result, {"command", "seconds"}, {"dataset", "main", "metrics"})


class Experiment:
    """The runs of a command, planned when they are first asked for; no data is read.

    Raises:
        InputError: a command that is none of the known ones.
    """

    def __init__(self, name: str, command: str):
        self.name = name
        self.command = command
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise InputError(f"experiments.{name}: {command}: {error}") from None
        script, *self.argv = words[1:] if words[:1] == ["python"] else words or [""]
        self.plan = PLANS.get(script)
        known = ", ".join(PLANS)
        require(self.plan, f"experiments.{name}: '{command}' is none of: python {known}")

    @cached_property
    def runs(self) -> list[ExperimentRun]:
        """
        Raises:
            InputError: an option that is wrong.
        """
        try:
            return self.plan(self.argv)
        except InputError as error:
            raise InputError(f"experiments.{self.name}: {error}") from None

    @property
    def configuration(self) -> str | None:
        """The configuration file that its command names."""
        return _option(self.argv, "config")[0]

    @property
    def options(self) -> str:
        """What its command says beside its task and its configuration."""
        task = self.argv[:1] == ["recipe"]
        return shlex.join(_option(self.argv[task:], "config")[1])

    def row(self, name: str | None) -> list[ExperimentRun]:
        """The runs of a row: of the only one for None.

        Raises:
            InputError: there is no such row.
        """
        rows = list(dict.fromkeys(run.row for run in self.runs))
        if name is None and len(rows) == 1:
            name = rows[0]
        require(
            name in rows,
            f"experiments.{self.name}: no row '{name}'; the rows are {'; '.join(rows)}",
        )
        return [run for run in self.runs if run.row == name]


def _with_defaults(path: Path) -> str:
    """The configuration of a run, with the defaults of options that are newer than it.

    Raises:
        InputError: an option that is no more.
    """
    parser = make_parser(TrainConfig, "train.py", "", InnerParser)
    try:
        parsed = parser.parse_args(["--config", str(path)])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    del parsed["config"]
    return parser.dump(parsed, skip_validation=True)


def _option(argv: Sequence[str], name: str) -> tuple[str | None, list[str]]:
    """The value of an option, and the other words."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(f"--{name}", dest="value")
    found, others = parser.parse_known_args(argv)
    return found.value, others


def _train_run(argv: list[str]) -> list[ExperimentRun]:
    command = parse_command("train.py", TrainConfig, "", argv, parser_class=InnerParser)
    config = command.config
    folder = Path(config.runs) / config.name
    axes = {"seed": config.loop.seed}
    return [ExperimentRun(config.name, config.name, axes, folder, command.config_yaml)]


def _sweep_runs(argv: list[str]) -> list[ExperimentRun]:
    config = parse_command("sweep.py", SweepConfig, "", argv, parser_class=InnerParser).config
    require(config.search is None, "a search has no rows before it has run; name its best.yaml")
    runs = []
    for run in SweepPlan(config).runs():
        runs.append(ExperimentRun(run.label, run.row, run.axes, run.folder, run.config_yaml))
    return runs


def _recipe_runs(argv: list[str]) -> list[ExperimentRun]:
    task, *rest = argv or [""]
    require(task == "recipe", f"'{task}' is no task of augment.py with a table; it must be recipe")
    parsed = parse_command("augment.py recipe", RecipeConfig, "", rest, parser_class=InnerParser)
    runs = []
    for stage in RecipePlan(parsed.config, parsed.options).stages():
        if stage.kind != "silver":
            row = axes_label({"variant": stage.row} | row_axes(stage.axes), str)
            settings = stage.config_yaml
            runs.append(ExperimentRun(stage.label, row, stage.axes, stage.folder, settings))
    return runs


def _evaluation_run(argv: list[str]) -> list[ExperimentRun]:
    output = Path(_option(argv, "output")[0] or "")
    require(output.suffix == ".json", "evaluate.py needs --output with a .json file")
    command = shlex.join(["python", "evaluate.py", *argv])
    return [ExperimentRun(output.stem, output.stem, {}, output.parent, command, output.name)]


PLANS = {
    "train.py": _train_run,
    "sweep.py": _sweep_runs,
    "augment.py": _recipe_runs,
    "evaluate.py": _evaluation_run,
}
