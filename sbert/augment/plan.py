"""The stages of a recipe: from its YAML to the complete configuration of every process."""

import copy
import re
from pathlib import Path
from typing import Any

from sbert.augment.config import GOLD, TEACHER, RecipeConfig, SilverConfig
from sbert.augment.stages import SILVER, Stage
from sbert.augment.strategies import STRATEGIES
from sbert.cli import InnerParser, make_parser
from sbert.data.config import DatasetConfig
from sbert.data.rows import open_lines
from sbert.data.schema import TEACHER as TEACHER_COLUMN
from sbert.errors import InputError
from sbert.sweeps.overrides import axes_label, set_option
from sbert.training.config import TrainConfig


class RecipePlan:
    """The stages of a recipe, each after those that it reads from.

    Args:
        config: the recipe.
        options: the same, as nested dicts.

    Raises:
        InputError: an option that is not there.
    """

    def __init__(self, config: RecipeConfig, options: dict[str, Any]):
        self.config, self.options = config, options
        self.folder = Path(config.runs) / config.name
        self.train_parser = make_parser(TrainConfig, "train.py", "", InnerParser)
        self.silver_parser = make_parser(SilverConfig, "augment.py silver", "", InnerParser)

    def stages(self) -> list[Stage]:
        stages: list[Stage] = []
        for size in self.config.sizes or [None]:
            first: list[Stage] = []
            for seed in self.config.seeds:
                axes = {} if size is None else {"size": size}
                some = self._of_seed(axes | {"seed": seed}, first)
                first = first or some
                stages += some
        return stages

    def _of_seed(self, axes: dict[str, Any], first: list[Stage]) -> list[Stage]:
        """All stages of one size and seed; `first`: those of its first seed."""
        options, target = self.options, self.options["target"] or {"dev": [], "test": []}
        gold = [_limited(dataset, axes.get("size")) for dataset in options["gold"]]
        data = {
            "train": gold,
            "dev": options["dev"],
            "test": [*target["dev"], *target["test"], *options["test"]],
        }
        on_gold = self._training("gold", GOLD, axes, options["bi_encoder"], data)
        if self.config.one_teacher and first:
            return [
                on_gold,
                *self._augmented(axes, gold, on_gold, [s for s in first if s.kind == "silver"]),
            ]
        teacher = self._training("teacher", TEACHER, axes, options["teacher"], data)
        silver = [
            self._silver(name, axes, gold, on_gold, teacher)
            for name in self.config.silver.strategies
        ]
        last = self._augmented(axes, gold, on_gold, silver)
        return [
            on_gold,
            teacher,
            *(stage for pair in zip(silver, last, strict=True) for stage in pair),
        ]

    def _augmented(
        self, axes: dict, gold: list[dict], on_gold: Stage, silver: list[Stage]
    ) -> list[Stage]:
        """A training for each silver file."""
        options, target, stages = self._options_of_last(on_gold), self.options["target"], []
        data = {"dev": self.options["dev"], "test": self.options["test"]}
        if target:
            gold, data = (
                [],
                {"dev": target["dev"], "test": [*target["test"], *self.options["test"]]},
            )
        for one in silver:
            dataset = {
                "path": str(one.result),
                "name": f"silver-{one.row}",
                "teacher": str(_teacher(one).result),
            }
            data = data | {"train": _mixed(gold, dataset, self.config.augmented.share)}
            after = (on_gold, one) if self.config.augmented.start == "gold" else (one,)
            stages.append(self._training("augmented", one.row, axes, options, data, after))
        return stages

    def _options_of_last(self, on_gold: Stage) -> dict:
        """How the last bi-encoder is trained: as the one on gold, but for what differs."""
        options = copy.deepcopy(self.options["bi_encoder"])
        for option, value in self.config.augmented.set.items():
            try:
                set_option(options, option, value)
            except InputError as error:
                raise InputError(f"augmented.set: unknown option {option}: {error}") from None
        if self.config.augmented.start == "gold":
            options["model"]["path"] = str(on_gold.result)
        return options

    def _training(
        self,
        kind: str,
        row: str,
        axes: dict,
        options: dict,
        data: dict,
        after: tuple[Stage, ...] = (),
    ) -> Stage:
        options, name = copy.deepcopy(options), axes_label({"variant": row} | axes)
        data = data | {"both_orders": options.pop("both_orders", False)}
        options["loop"]["seed"] = axes["seed"]
        options |= {"name": name, "runs": str(self.folder), "data": data}
        try:
            given = self.train_parser.parse_object(copy.deepcopy(options))  # which it changes
            config = self.train_parser.instantiate(given)
        except InputError as error:
            raise InputError(f"{row}: {error}") from None
        text = self.train_parser.dump(given, skip_validation=True)
        return Stage(name, kind, row, axes, self.folder / name, config, text, after)

    def _silver(
        self, strategy: str, axes: dict, gold: list[dict], on_gold: Stage, teacher: Stage
    ) -> Stage:
        name = axes_label({"variant": f"silver-{strategy}"} | axes)
        searches = "semantic" in STRATEGIES[strategy]
        options = {
            key: value for key, value in self.options["silver"].items() if key != "strategies"
        }
        options |= {
            "strategy": strategy,
            "seed": axes["seed"],
            "gold": gold,
            "teacher": str(teacher.result),
        }
        options |= {
            "pool": options["pool"] if strategy == "kde" else None,
            "output": str(self.folder / name / SILVER),
        }
        options |= {"model": str(on_gold.result)} if searches else {}
        given = self.silver_parser.parse_object(copy.deepcopy(options))
        text = self.silver_parser.dump(given, skip_validation=True)
        given.pop("config")
        config = SilverConfig(**vars(self.silver_parser.instantiate(given)))
        after = (teacher, on_gold) if searches else (teacher,)
        return Stage(name, "silver", strategy, axes, self.folder / name, config, text, after)


def check_gold(datasets: list[DatasetConfig]) -> None:
    """Refuse silver in the place of gold."""
    for dataset in datasets:
        first = next(open_lines(dataset)[1], (0, {}))[1]
        if re.fullmatch("[0-9a-f]{64}", str(first.get(TEACHER_COLUMN))):
            raise InputError(
                f"gold {dataset.path}: is silver, labelled by a cross-encoder; gold is what people labelled"
            )


def _limited(dataset: dict, size: int | float | None) -> dict:
    limit = dataset.get("limit")
    if size is not None and limit is not None and not (isinstance(size, int) and size <= limit):
        raise InputError(
            f"sizes: size {size} goes beyond the limit of {limit} in gold; so many rows are there"
        )
    return dataset if size is None else dataset | {"limit": size}


def _teacher(silver: Stage) -> Stage:
    return next(stage for stage in silver.after if stage.kind == "teacher")


def _mixed(gold: list[dict], silver: dict, share: float | None) -> list[dict]:
    """Gold and silver; with a share, in proportion: gold's datasets have the rest of it by their own weights."""
    if not gold or share is None:
        return [*gold, silver]
    weights = [dataset.get("weight") or 1.0 for dataset in gold]
    parts = [
        dataset | {"weight": (1 - share) * w / sum(weights)}
        for dataset, w in zip(gold, weights, strict=True)
    ]
    return [*parts, silver | {"weight": share}]
