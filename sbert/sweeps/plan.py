"""The runs of a sweep: from one YAML to the complete configuration of every run."""

import copy
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbert.atomic import file_name
from sbert.cli import InnerParser, check_yaml, make_parser
from sbert.data.config import DatasetConfig
from sbert.data.leakage import check_held_out, check_names
from sbert.data.rows import Rows, read_dataset
from sbert.errors import InputError
from sbert.models.hf_folder import is_local, locate_folder
from sbert.models.loading import teacher_fingerprint
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.overrides import axes_label, fill_placeholders, overrides, set_option
from sbert.training.config import TrainConfig

Changes = dict[str, Any]  # {"optim.lr": 2e-5}

AxisValue = tuple[Any, Changes]  # a value of an axis, and the options that it sets

REPEAT_AXES = ("seed", "fold")  # runs that differ in these alone share a row of the table

MAX_NAME_BYTES = 255  # of a folder's name

TRAIN = Path(__file__).parents[2] / "train.py"

# options that sizes, seeds and folds set
LIMIT, SEED = "data.train.*.limit", "loop.seed"
FOLD_OPTIONS = [
    *(f"data.train.*.{name}" for name in ("folds", "fold", "part", "group")),
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
        """The arguments of the Python interpreter."""
        return [str(TRAIN), "--config", str(self.folder / "config.yaml"), "--resume"]


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
        base = self.parser.parse_args(["--config", config.base])
        base.pop("config")
        self.base = base.as_dict()
        self._check_overlaps()

    def _check_overlaps(self) -> None:
        options = self._options_by_setting()
        for (first, earlier), (second, later) in itertools.combinations(options, 2):
            both_variants = first == second == "variants"
            if overrides(later, earlier) and not both_variants:
                raise InputError(f"{first} and {second} both set {earlier}; set it in one of them")
        for option in sorted(self.config.set.keys() & {"name", "runs"}):
            raise InputError(f"set: the sweep sets {option} of every run; change its own {option}")

    def _options_by_setting(self) -> list[tuple[str, str]]:
        """Each setting of the sweep that changes options, with every option that it changes."""
        config = self.config
        options = []
        for changes in config.variants.values():
            options += [("variants", option) for option in changes]
        options += [("grid", option) for option in config.grid]
        if config.search:
            options += [("search", option) for option in config.search.options]
        if config.sizes:
            options.append(("sizes", LIMIT))
        if config.seeds:
            options.append(("seeds", SEED))
        if config.folds:
            options += [("folds", option) for option in FOLD_OPTIONS]
        return [*options, ("a sweep", "name"), ("a sweep", "runs")]

    def axes(self, trial: AxisValue | None = None) -> dict[str, list[AxisValue]]:
        """The values of each axis.

        Raises:
            InputError: an axis without values, or with two of the same name.
        """
        config = self.config
        axes: dict[str, list[AxisValue]] = {}
        if trial:
            axes["trial"] = [trial]
        if config.variants:
            axes["variant"] = list(config.variants.items())
        for option, values in config.grid.items():
            axes[option] = _axis(option, values)
        if config.sizes:
            axes["size"] = _axis(LIMIT, config.sizes)
        if config.seeds:
            axes["seed"] = _axis(SEED, config.seeds)
        if config.folds:
            axes["fold"] = [(fold, {}) for fold in range(1, config.folds.number + 1)]
        for axis, values in axes.items():
            names = [file_name(value) for value, _ in values]
            if not names or len(set(names)) < len(names) or not all(names):
                raise InputError(
                    f"{axis}: {', '.join(names) or 'no values'}; "
                    "an axis needs values with different names"
                )
        return axes

    def runs(self, trial: AxisValue | None = None) -> list[PlannedRun]:
        """All runs of the sweep; in a search, the runs of one trial.

        Args:
            trial: its number and its options.
        """
        axes = self.axes(trial)
        runs = []
        for point in itertools.product(*axes.values()):
            values = [value for value, _ in point]
            changes = [options for _, options in point]
            searched = trial[1] if trial else {}
            runs.append(self._run(dict(zip(axes, values, strict=True)), changes, searched))
        return runs

    def best_yaml(self, changes: Changes) -> str:
        """The configuration with the options that a search found, on all data of the base."""
        options = self._options({}, [changes])
        options["name"] = f"{self.config.name}_best"
        return self.parser.dump(self.parser.parse_object(options), skip_validation=True)

    def _run(self, axes: dict[str, Any], changes: list[Changes], searched: Changes) -> PlannedRun:
        label = axes_label(axes) or "run"
        size = len(label.encode())
        if size > MAX_NAME_BYTES:
            raise InputError(
                f"run {label}: a name of {size} bytes is longer than the {MAX_NAME_BYTES} that a "
                "folder's name may have; give variants shorter names"
            )
        row_axes = {axis: value for axis, value in axes.items() if axis not in REPEAT_AXES}
        row = axes_label(row_axes, str) or self.config.name
        axes = axes | searched
        try:
            options = self._options(axes, changes)
            self._hold_out(options["data"], axes.get("fold"))
            options["name"] = label
            options["runs"] = str(Path(self.config.runs) / self.config.name)
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

    def _hold_out(self, data: dict, fold: int | None) -> None:
        """With folds, split the training data; in a search without folds, remove the test sets."""
        if fold is not None:
            folds = self.config.folds
            split = {"folds": folds.number, "fold": fold, "group": folds.group}
            data["train"] = [dataset | split | {"part": "rest"} for dataset in data["train"]]
            data["test"] = [dataset | {"part": "fold", "weight": None} for dataset in data["train"]]
        elif self.config.search:
            data["test"] = []


def _axis(option: str, values: list) -> list[AxisValue]:
    return [(value, {option: value}) for value in values]


def _check_limits(datasets: list[dict], size: Any) -> None:
    """Refuse to raise the limit that the base sets on a training set."""
    for dataset in datasets:
        limit = dataset["limit"]
        if limit is not None and not (isinstance(size, int) and 1 <= size <= limit):
            raise InputError(
                f"size {size} exceeds the limit of {limit} in data.train; use sizes of 1 to {limit}"
            )


def check_inputs(runs: list[PlannedRun]) -> None:
    """Read the datasets of all runs, each once, and check that their local model folders exist,
    before the first run starts.

    Raises:
        InputError: names the run, and the data or model that is missing or wrong.
    """
    read: dict[str, Rows] = {}
    for run in runs:
        try:
            _check_run_inputs(run, read)
        except InputError as error:
            raise InputError(f"run {run.label}: {error}") from None


def _check_run_inputs(run: PlannedRun, read: dict[str, Rows]) -> None:
    data, model = run.config.data, run.config.model
    train = _read_once(data.train, read)
    evaluated = _read_once([*data.dev, *data.test], read)
    check_names(evaluated)
    check_held_out(train, evaluated)
    size = run.axes.get("size", 0)
    for rows in train:
        if len(rows) < size:
            raise InputError(f"size {size:,} is more than the {len(rows):,} rows of {rows.name}")
    if is_local(model.path):
        locate_folder(model.path)


def _read_once(datasets: list[DatasetConfig], read: dict[str, Rows]) -> list[Rows]:
    """The rows of some datasets. `read`: those read before, by the repr of their configuration."""
    for dataset in datasets:
        if repr(dataset) not in read:
            read[repr(dataset)] = read_dataset(dataset, fingerprint_of=teacher_fingerprint)
    return [read[repr(dataset)] for dataset in datasets]
