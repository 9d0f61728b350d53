"""The runs of a sweep: from one YAML to the complete configuration of every run."""

import copy
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbert.atomic import file_name
from sbert.cli import InnerParser, check_yaml, make_parser
from sbert.config_keys import check_keys
from sbert.errors import InputError, require
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.overrides import axes_label, fill_placeholders, overrides, set_option
from sbert.training.config import TrainConfig

Changes = dict[str, Any]  # {"optim.lr": 2e-5}

AxisValue = tuple[Any, Changes]  # a value of an axis, and the options that it sets

TRIAL, BEST = "trial", "best"  # the axis of a search's trials, and of its retraining

REPEAT_AXES = ("seed", "fold")  # runs that differ in these alone share a row of the table

# options that sizes, seeds and folds set
LIMIT, SEED = "data.train.*.limit", "loop.seed"
FOLD_OPTIONS = [
    "data.train.*.folds",
    "data.train.*.fold",
    "data.train.*.part",
    "data.train.*.group",
    "data.test",
]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: a `Job` for `JobRunner`.

    label: its name in the sweep's folder.
    row: its row of the table, which it shares with the same run for other seeds and folds.
    axes: its value on each axis.
    """

    label: str
    row: str
    axes: dict[str, Any]
    config: TrainConfig
    config_yaml: str

    @property
    def folder(self) -> Path:
        return Path(self.config.runs) / self.config.name

    @property
    def done(self) -> bool:
        return (self.folder / "result.json").exists()

    @property
    def command(self) -> list[str]:
        script = Path(__file__).parents[2] / "train.py"
        return [str(script), "--config", str(self.folder / "config.yaml"), "--resume"]


class SweepPlan:
    """The runs of a sweep, in order. The constructor checks the axes; `runs` checks every
    configuration.

    Raises:
        InputError: the base cannot be read; two axes set the same option.
    """

    def __init__(self, config: SweepConfig):
        self.config = config
        self.parser = make_parser(TrainConfig, "train.py", "", InnerParser)
        check_yaml(Path(config.base))
        check_keys(Path(config.base), TrainConfig)
        self.base = self.parser.parse_args(["--config", config.base]).as_dict()
        del self.base["config"]
        self._check_overlaps()

    def _check_overlaps(self) -> None:
        config = self.config
        options_of = {
            "variants": list(itertools.chain(*config.variants.values())),
            "grid": config.grid,
            "search": config.search.options if config.search else [],
            "search.set": config.search.set if config.search else [],
            "sizes": [LIMIT] if config.sizes else [],
            "seeds": [SEED] if config.seeds else [],
            "folds": FOLD_OPTIONS if config.folds else [],
            "a sweep": ["name", "runs"],
        }
        pairs = []
        for setting, options in options_of.items():
            pairs += [(setting, option) for option in options]
        for (first, earlier), (second, later) in itertools.combinations(pairs, 2):
            require(
                first == second == "variants" or not overrides(later, earlier),
                f"{first} and {second} both set {earlier}; set it in one of them",
            )
        for option in ("name", "runs"):
            require(
                option not in config.set,
                f"set: the sweep sets {option} of every run; change its own {option}",
            )

    def axes(
        self, trial: AxisValue | None = None, trial_axis: str = TRIAL
    ) -> dict[str, list[AxisValue]]:
        """The values of each axis.

        Raises:
            InputError: an axis without values, or with two of the same name.
        """
        config = self.config
        axes = {
            trial_axis: [trial] if trial else [],
            "variant": list(config.variants.items()),
            **{option: _axis(option, values) for option, values in config.grid.items()},
            "size": _axis(LIMIT, config.sizes),
            "seed": _axis(SEED, config.seeds),
        }
        axes = {axis: values for axis, values in axes.items() if values or axis in config.grid}
        if config.folds and trial_axis != BEST:
            axes["fold"] = [(fold, {}) for fold in range(1, config.folds.number + 1)]
        for axis, values in axes.items():
            names = [file_name(value) for value, _ in values]
            require(
                names and all(names) and len(set(names)) == len(names),
                f"{axis}: {', '.join(names) or 'no values'}; "
                "an axis needs values with different names",
            )
        return axes

    def runs(self, trial: AxisValue | None = None, trial_axis: str = TRIAL) -> list[PlannedRun]:
        """All runs of the sweep; in a search, the runs of one trial.

        Args:
            trial: its number and its options.
            trial_axis: BEST for the runs that retrain with these options.
        """
        axes = self.axes(trial, trial_axis)
        return [
            self._run(dict(zip(axes, point, strict=True)))
            for point in itertools.product(*axes.values())
        ]

    def first_run(self, trial: AxisValue, trial_axis: str = TRIAL) -> PlannedRun:
        """The first of the `runs` of one trial."""
        axes = self.axes(trial, trial_axis)
        return self._run({axis: values[0] for axis, values in axes.items()})

    def best_yaml(self, changes: Changes) -> str:
        """The configuration with the options that a search found, on all data of the base and with
        its seed.

        Raises:
            InputError: `set` needs the trial or the fold of a run.
        """
        seed = self.config.set.get(SEED, self.base["loop"]["seed"])
        try:
            options = self._options({"seed": seed} | changes, [changes])
            options["name"] = f"{self.config.name}_best"
            parsed = self.parser.parse_object(options)
        except InputError as error:
            raise InputError(
                f"best.yaml: {error}; set what is of the trials alone in search.set"
            ) from None
        return self.parser.dump(parsed, skip_validation=True)

    def _run(self, point: dict[str, AxisValue]) -> PlannedRun:
        axes = {axis: value for axis, (value, _) in point.items()}
        label = axes_label(axes) or "run"
        size = len(label.encode())
        require(
            size <= 255,
            f"run {label}: a name of {size} bytes is longer than the 255 that a folder's name may "
            "have; give variants shorter names",
        )
        row = axes_label(row_axes(axes), str) or self.config.name
        for axis in {TRIAL, BEST} & set(point):
            axes |= point[axis][1]  # the options of the trial
        changes = [changes for _, changes in point.values()]
        if TRIAL in point:
            changes.insert(0, self.config.search.set)
        try:
            options = self._options(axes, changes)
            self._hold_out(options["data"], axes)
            options |= {"name": label, "runs": str(Path(self.config.runs) / self.config.name)}
            parsed = self.parser.parse_object(options)
            config = self.parser.instantiate(parsed)
        except InputError as error:
            raise InputError(f"run {label}: {error}") from None
        config_yaml = self.parser.dump(parsed, skip_validation=True)
        return PlannedRun(label, row, axes, config, config_yaml)

    def _options(self, axes: dict[str, Any], changes: list[Changes]) -> dict:
        """The base with `set` and then the changes applied, in order."""
        options = copy.deepcopy(self.base)
        for settings in [self.config.set, *changes]:
            for option, value in settings.items():
                value = fill_placeholders(value, axes, option)
                if option == LIMIT:
                    _check_limits(options["data"]["train"], value)
                try:
                    set_option(options, option, value)
                except InputError as error:
                    raise InputError(f"unknown option {option}: {error}") from None
        return options

    def _hold_out(self, data: dict, axes: dict[str, Any]) -> None:
        if "fold" in axes:
            folds = self.config.folds
            split = {"folds": folds.number, "fold": axes["fold"], "group": folds.group}
            data["train"] = [dataset | split | {"part": "rest"} for dataset in data["train"]]
            data["test"] = [dataset | {"part": "fold", "weight": None} for dataset in data["train"]]
        elif TRIAL in axes:
            data["test"] = []


def row_axes(axes: dict[str, Any]) -> dict[str, Any]:
    """The axes that tell the rows of the table apart."""
    return {axis: value for axis, value in axes.items() if axis not in REPEAT_AXES}


def _axis(option: str, values: list) -> list[AxisValue]:
    return [(value, {option: value}) for value in values]


def _check_limits(datasets: list[dict], size: Any) -> None:
    for dataset in datasets:
        limit = dataset.get("limit")
        require(
            limit is None or (isinstance(size, int) and 1 <= size <= limit),
            f"size {size} exceeds the limit of {limit} in data.train; use sizes of 1 to {limit}",
        )
