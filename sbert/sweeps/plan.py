"""What a sweep consists of: from one YAML, its axes, to the complete configuration of every run."""

import copy
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sbert.atomic import file_name
from sbert.cli import InnerParser, check_arguments, make_parser
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

LONGEST = 255  # bytes of a folder's name

TRAIN = Path(__file__).parents[2] / "train.py"

LIMIT, SEED = "data.train.*.limit", "loop.seed"  # what sizes and seeds set


@dataclass(frozen=True)
class PlannedRun:
    """One run. `row`: what it has in common with the runs that the table puts into one row. `axes`: its value on each axis."""

    label: str
    row: str
    axes: dict[str, Any]
    config: TrainConfig
    text: str

    @property
    def folder(self) -> Path:
        return Path(self.config.runs) / self.config.name

    @property
    def done(self) -> bool:
        return (self.folder / "result.json").exists()

    @property
    def command(self) -> list[str]:
        """What follows the name of the interpreter."""
        return [str(TRAIN), "--config", str(self.folder / "config.yaml"), "--resume"]


class SweepPlan:
    """The runs of a sweep, in order. The constructor checks the axes; `runs` every configuration.

    Raises:
        InputError: the base cannot be read; two axes over one option; an axis that names one twice.
    """

    def __init__(self, config: SweepConfig):
        self.config = config
        self.parser = make_parser(TrainConfig, "train.py", "", InnerParser)
        check_arguments(["--config", config.base])
        given = self.parser.parse_args(["--config", config.base])
        given.pop("config")
        self.base = given.as_dict()
        self._check_axes()

    def _check_axes(self) -> None:
        config, searched = self.config, self.config.search.options if self.config.search else {}
        axes = [("variants", option) for options in config.variants.values() for option in options]
        axes += [("grid", option) for option in config.grid] + [
            ("search", option) for option in searched
        ]
        axes += [("sizes", LIMIT)] if config.sizes else []
        axes += [("seeds", SEED)] if config.seeds else []
        axes += [
            ("folds", f"data.train.*.{name}")
            for name in ("folds", "fold", "part", "group")
            if config.folds
        ]
        axes += [("folds", "data.test")] if config.folds else []
        axes += [("a sweep", "name"), ("a sweep", "runs")]
        for (first, earlier), (second, later) in itertools.combinations(axes, 2):
            if overrides(later, earlier) and not first == second == "variants":
                raise InputError(f"{first} and {second} both set {earlier}; name it in one of them")
        for option in config.set.keys() & {"name", "runs"}:
            raise InputError(
                f"set: {option} is the sweep's to choose; give the sweep another {option}"
            )

    def axes(
        self, trial: tuple[int, Changes] | None = None
    ) -> dict[str, list[tuple[Any, Changes]]]:
        """Of each axis the values, and what options each sets."""
        config = self.config
        axes: dict[str, list[tuple[Any, Changes]]] = {"trial": [trial]} if trial else {}
        axes |= {"variant": list(config.variants.items())} if config.variants else {}
        axes |= {
            option: [(value, {option: value}) for value in values]
            for option, values in config.grid.items()
        }
        axes |= {"size": [(size, {LIMIT: size}) for size in config.sizes]} if config.sizes else {}
        axes |= {"seed": [(seed, {SEED: seed}) for seed in config.seeds]} if config.seeds else {}
        axes |= (
            {"fold": [(fold, {}) for fold in range(1, config.folds.number + 1)]}
            if config.folds
            else {}
        )
        for name, values in axes.items():
            shown = [file_name(value) for value, _ in values]
            if not values or len(set(shown)) < len(shown) or not all(shown):
                raise InputError(
                    f"{name}: {', '.join(shown) or 'no values'}; an axis has values, each with its own name"
                )
        return axes

    def runs(self, trial: tuple[int, Changes] | None = None) -> list[PlannedRun]:
        """All runs; of a search, those of one trial: its number and its options."""
        axes = self.axes(trial)
        points = itertools.product(*axes.values())
        return [
            self._run({n: v for n, (v, _) in zip(axes, p, strict=True)}, [c for _, c in p])
            for p in points
        ]

    def best(self, changes: Changes) -> str:
        """A configuration with the options that a search found: all of the base's data, its test sets among them."""
        options = self._options({}, [changes]) | {"name": f"{self.config.name}_best"}
        return self.parser.dump(self.parser.parse_object(options), skip_validation=True)

    def _run(self, axes: dict[str, Any], changes: list[Changes]) -> PlannedRun:
        name, searched = axes_label(axes) or "run", changes[0] if "trial" in axes else {}
        if (size := len(name.encode())) > LONGEST:
            raise InputError(
                f"run {name}: a name of {size} bytes is longer than a folder's may be, {LONGEST}; name variants shortly"
            )
        row = axes_label(
            {axis: value for axis, value in axes.items() if axis not in ("seed", "fold")}, str
        )
        axes = axes | searched
        try:
            options = self._options(axes, changes)
            self._hold_out(options["data"], axes.get("fold"))
            options |= {"name": name, "runs": str(Path(self.config.runs) / self.config.name)}
            given = self.parser.parse_object(options)
            config = self.parser.instantiate(given)
        except InputError as error:
            raise InputError(f"run {name}: {error}") from None
        return PlannedRun(
            name,
            row or self.config.name,
            axes,
            config,
            self.parser.dump(given, skip_validation=True),
        )

    def _options(self, axes: dict[str, Any], changes: list[Changes]) -> dict:
        """The base with `set` and some changes over it."""
        options = copy.deepcopy(self.base)
        for option, value in [
            item for some in [self.config.set, *changes] for item in some.items()
        ]:
            self._set(options, option, fill_placeholders(value, axes, option))
        return options

    def _set(self, options: dict, option: str, value: Any) -> None:
        for dataset in options["data"]["train"] if option == LIMIT else []:
            limit = dataset["limit"]
            if limit is not None and not (isinstance(value, int) and 1 <= value <= limit):
                raise InputError(
                    f"size {value} goes beyond the limit of {limit} in data.train; so many rows are there"
                )
        try:
            set_option(options, option, value)
        except InputError as error:
            raise InputError(f"unknown option {option}: {error}") from None

    def _hold_out(self, data: dict, fold: int | None) -> None:
        """Cut the training data; of a search, take away the test sets."""
        if fold is not None:
            cut = {
                "folds": self.config.folds.number,
                "fold": fold,
                "group": self.config.folds.group,
            }
            data["train"] = [dataset | cut | {"part": "rest"} for dataset in data["train"]]
            data["test"] = [dataset | {"part": "fold", "weight": None} for dataset in data["train"]]
        elif self.config.search:
            data["test"] = []


def check_inputs(runs: list[PlannedRun]) -> None:
    """Read every dataset of some runs once, and see that the folders of their models are there: before the first of them starts,
    and not after hours."""
    known: dict[str, Rows] = {}

    def found(dataset: DatasetConfig) -> Rows:
        if repr(dataset) not in known:
            known[repr(dataset)] = read_dataset(dataset, fingerprint_of=teacher_fingerprint)
        return known[repr(dataset)]

    for run in runs:
        data, size = run.config.data, run.axes.get("size", 0)
        try:
            train, dev, test = (
                [found(dataset) for dataset in part] for part in (data.train, data.dev, data.test)
            )
            check_names([*dev, *test])
            check_held_out(train, [*dev, *test])
            for rows in train:
                if len(rows) < size:
                    raise InputError(
                        f"{rows.name} has {len(rows):,} rows; the size {size:,} needs as many"
                    )
            if is_local(run.config.model.path):
                locate_folder(run.config.model.path)
        except InputError as error:
            raise InputError(f"run {run.label}: {error}") from None
