"""The stages of a recipe: from its YAML to the complete configuration of every process."""

import copy
import re
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from sbert.augment.config import SilverConfig
from sbert.augment.recipe_config import RecipeConfig
from sbert.augment.sentences import in_language
from sbert.augment.stages import CONTROL, GOLD, SILVER_FILE, TEACHER, Stage
from sbert.augment.strategies import STRATEGIES
from sbert.cli import InnerParser, make_parser
from sbert.data.config import DatasetConfig
from sbert.data.labels import TEACHER_COLUMN
from sbert.data.origin import dataset_name, language_configs, open_lines
from sbert.errors import InputError, require
from sbert.sweeps.overrides import axes_label, set_option
from sbert.training.config import TrainConfig

Options = dict[str, Any]  # nested, as in a YAML file


class RecipePlan:
    """The stages of a recipe, each after those whose results it reads.

    Args:
        config: the recipe.
        options: the same as nested dicts.

    Raises:
        InputError: `stages` found an unknown or wrong option, or a size above a limit of gold.
    """

    def __init__(self, config: RecipeConfig, options: Options):
        self.config = config
        self.options = options
        self.folder = Path(config.runs) / config.name
        self.parsers = {
            TrainConfig: make_parser(TrainConfig, "train.py", "", InnerParser),
            SilverConfig: make_parser(SilverConfig, "augment.py silver", "", InnerParser),
        }

    def stages(self) -> list[Stage]:
        stages = []
        for size in self.config.sizes or [None]:
            size_axes = {} if size is None else {"size": size}
            shared_silver: list[Stage] = []
            for seed in self.config.seeds:
                seed_stages = self._stages_of_seed(size_axes | {"seed": seed}, shared_silver)
                if self.config.one_teacher and not shared_silver:
                    shared_silver = [stage for stage in seed_stages if stage.kind == "silver"]
                stages += seed_stages
        return stages

    def _stages_of_seed(self, axes: dict[str, Any], shared_silver: list[Stage]) -> list[Stage]:
        """The stages of one size and seed. `shared_silver`: use it, without a teacher."""
        gold = [_with_limit(dataset, axes.get("size")) for dataset in self.options["gold"]]
        target = self.options["target"] or {"dev": [], "test": []}
        test = [*target["dev"], *target["test"], *self.options["test"]]
        data = {"train": gold, "dev": self.options["dev"], "test": test}
        data["held_out"] = self.options["held_out"]
        on_gold = self._training("gold", GOLD, axes, self.options["bi_encoder"], data)
        controls = []
        if self.config.control:
            options = self._bi_encoder_with("control", self.config.control)
            controls = [self._training("control", CONTROL, axes, options, data)]
        if shared_silver:
            augmented = [self._augmented(axes, gold, on_gold, silver) for silver in shared_silver]
            return [on_gold, *augmented, *controls]
        language = self.config.teacher.language
        teacher_data = {
            part: [_for_teacher(dataset, language) for dataset in sets]
            for part, sets in data.items()
        }
        teacher = self._training("teacher", TEACHER, axes, self.options["teacher"], teacher_data)
        stages = [on_gold, teacher]
        for strategy in self.config.silver.strategies:
            silver = self._silver(strategy, axes, gold, on_gold, teacher)
            stages += [silver, self._augmented(axes, gold, on_gold, silver)]
        return [*stages, *controls]

    def _bi_encoder_with(self, setting: str, changes: Options) -> Options:
        """The options of the bi-encoder with dotted changes, which `setting` names."""
        options = copy.deepcopy(self.options["bi_encoder"])
        for option, value in changes.items():
            try:
                set_option(options, option, value)
            except InputError as error:
                raise InputError(f"{setting}: unknown option {option}: {error}") from None
        return options

    def _silver(
        self, strategy: str, axes: dict, gold: list[Options], on_gold: Stage, teacher: Stage
    ) -> Stage:
        label = axes_label({"variant": f"silver-{strategy}"} | axes)
        folder = self.folder / label
        options = self.options["silver"] | {
            "strategy": strategy,
            "seed": axes["seed"],
            "gold": gold,
            "held_out": self.options["held_out"],
            "teacher": str(teacher.result),
            "teacher_language": self.config.teacher.language,
            "output": str(folder / SILVER_FILE),
        }
        del options["strategies"]
        if strategy != "kde":
            options["pool"] = None
        after = (teacher,)
        if "semantic" in STRATEGIES[strategy]:
            options["model"] = str(on_gold.result)
            after = (teacher, on_gold)
        config, config_yaml = self._complete(SilverConfig, options)
        return Stage(label, "silver", strategy, axes, folder, config, config_yaml, after)

    def _augmented(self, axes: dict, gold: list[Options], on_gold: Stage, silver: Stage) -> Stage:
        """The training of the last bi-encoder: on gold and silver, of a target on silver alone."""
        options = self._bi_encoder_with("augmented.set", self.config.augmented.set)
        after = (silver,)
        if self.config.augmented.start == "gold":
            options["model"]["path"] = str(on_gold.result)
            after = (on_gold, silver)
        dev, test, target = self.options["dev"], self.options["test"], self.options["target"]
        if target:
            gold, dev, test = [], target["dev"], [*target["test"], *test]
        dataset = {
            "path": str(silver.result),
            "name": f"silver-{silver.row}",
            "teacher": silver.config.teacher,
            "prompts": self.options["gold"][0]["prompts"],
        }
        train = _mix(gold, dataset, self.config.augmented.share)
        data = {"train": train, "dev": dev, "test": test, "held_out": self.options["held_out"]}
        return self._training("augmented", silver.row, axes, options, data, after)

    def _training(
        self,
        kind: str,
        row: str,
        axes: dict,
        learner: Options,
        data: Options,
        after: tuple[Stage, ...] = (),
    ) -> Stage:
        label = axes_label({"variant": row} | axes)
        options = copy.deepcopy(learner)
        options["loop"]["seed"] = axes["seed"]
        options["data"] = data | {"both_orders": options.pop("both_orders", False)}
        options.pop("language", None)  # of a teacher; its datasets have it
        options |= {"name": label, "runs": str(self.folder)}
        try:
            config, config_yaml = self._complete(TrainConfig, options)
        except InputError as error:
            raise InputError(f"{row}: {error}") from None
        return Stage(label, kind, row, axes, self.folder / label, config, config_yaml, after)

    def _complete(self, schema: type, options: Options) -> tuple[Any, str]:
        """The options with all defaults: an instance of the schema, and a YAML document."""
        parser = self.parsers[schema]
        parsed = parser.parse_object(copy.deepcopy(options))  # which it changes
        parsed.pop("config")
        config_yaml = parser.dump(parsed, skip_validation=True)
        return schema(**vars(parser.instantiate(parsed))), config_yaml


def check_gold(datasets: list[DatasetConfig]) -> None:
    """Refuse silver data as gold.

    Raises:
        InputError: the first row of a dataset names the cross-encoder that labelled it.
    """
    for dataset in chain.from_iterable(map(language_configs, datasets)):
        _, lines = open_lines(dataset)
        _, first_row = next(lines, (0, {}))
        require(
            not re.fullmatch("[0-9a-f]{64}", str(first_row.get(TEACHER_COLUMN))),
            f"gold {dataset.path}: is silver, labelled by a cross-encoder; gold must be labelled "
            "by people",
        )


def _with_limit(dataset: Options, size: int | float | None) -> Options:
    if size is None:
        return dataset
    limit = dataset.get("limit")
    require(
        limit is None or (isinstance(size, int) and size <= limit),
        f"sizes: size {size} exceeds the limit of {limit} in gold; use sizes of 1 to {limit}",
    )
    return dataset | {"limit": size}


def _for_teacher(dataset: Options, language: str | None) -> Options:
    """The dataset for a cross-encoder, which has no prompts; in its own language, if it has one."""
    dataset = dataset | {"prompts": None}
    if not language:
        return dataset
    config = DatasetConfig(**dataset)
    # the name of the student's: a column of the table has both
    return asdict(in_language(config, language)) | {"name": dataset_name(config)}


def _mix(gold: list[Options], silver: Options, share: float | None) -> list[Options]:
    """Gold and silver. With a share of silver, gold has the rest, divided by its own weights."""
    if share is None:
        return [*gold, silver]
    weights = [dataset.get("weight") or 1.0 for dataset in gold]
    shares = [(1 - share) * weight / sum(weights) for weight in weights]
    datasets = [dataset | {"weight": part} for dataset, part in zip(gold, shares, strict=True)]
    # float: YAML knows no OpenUnitInterval
    return [*datasets, silver | {"weight": float(share)}]
