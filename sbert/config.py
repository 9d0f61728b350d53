"""Typed configuration: dataclasses whose fields are the options, read from YAML and the command line by jsonargparse."""

import argparse
import sys
from collections import Counter
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import jsonargparse
import yaml

from sbert.cross_losses import PairLoss  # noqa: F401 - the classes that `loss` can name
from sbert.data import DatasetConfig
from sbert.encoder import Precision
from sbert.errors import InputError
from sbert.evaluation import DEPTH
from sbert.losses import Loss
from sbert.optimization import OptimConfig
from sbert.ranking_losses import JointLoss  # noqa: F401
from sbert.seeds import SeedsConfig
from sbert.training import LoopConfig


@dataclass
class ModelConfig:
    """The encoder to start from.

    Args:
        path: a folder (also another run's best/), or a name on the model hub.
        pooling: cls, mean, max, mean_sqrt_len, weighted_mean, last_token, or a list of them; null: as saved, else mean.
        layer: the hidden layer that is pooled: -1 the last, -2 the second to last.
        max_length: tokens that a text (of a cross-encoder: a pair) keeps; null: as saved.
        new_head: of a cross-encoder: start its last layer afresh, though the folder has one.
    """

    path: str
    pooling: str | list[str] | None = None
    layer: int = -1
    max_length: int | None = None
    new_head: bool = False


@dataclass
class DataConfig:
    """The datasets.

    Args:
        train: trained on, mixed, or in proportion to their weights.
        dev: evaluated while training; the mean of their main metrics chooses the best model.
        test: evaluated with the model of the start and the best one, and used for nothing else.
        both_orders: train on every pair in both orders; for scores that do not depend on the order.
    """

    train: list[DatasetConfig]
    dev: list[DatasetConfig] = field(default_factory=list)
    test: list[DatasetConfig] = field(default_factory=list)
    both_orders: bool = False


@dataclass
class TrainConfig:
    """One training run of a bi-encoder or a cross-encoder; the loss says of which.

    Args:
        name: the run's folder below runs.
        model: the encoder to start from.
        data: the datasets.
        loss: a class by name, with its options: of sbert.losses or sbert.ranking_losses for a bi-encoder, of
            sbert.cross_losses for a cross-encoder.
        optim: optimisation.
        loop: the training loop.
        seed_optimisation: begin with several seeds, and go on with the best.
        runs: the folder of all runs.
    """

    name: str
    model: ModelConfig
    data: DataConfig
    loss: Loss
    optim: OptimConfig = field(default_factory=OptimConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    seed_optimisation: SeedsConfig = field(default_factory=SeedsConfig)
    runs: str = "runs"


@dataclass
class EvaluateConfig:
    """Evaluate one bi-encoder or cross-encoder on many datasets.

    Args:
        model: a run's best/, any folder with an encoder, or a name on the model hub.
        data: datasets, by name alone or with all their options.
        split: of the datasets given by name alone.
        pooling: as for training.
        layer: as for training.
        max_length: as for training.
        symmetric: score every pair in both orders and take the mean; a cross-encoder's option.
        reranker: a cross-encoder that re-ranks what the model retrieves; for retrieval datasets.
        depth: how many retrieved documents of each query it re-ranks.
        precision: of products: auto is bf16 where the hardware multiplies it natively.
        baseline: a second model, to be compared on the same rows; as saved: pooling, layer and max_length are of the model alone.
        seen: training data of the model, as data, names as of their split train: how much of each dataset stands in it?
        resamples: of the bootstrap, for intervals and comparisons; 0 for none.
        seed: of the resamples.
        output: write a report here as well: .md a page to paste, with figures beside it, .json the same facts.
    """

    model: str
    data: list[str | DatasetConfig]
    split: str = "test"
    pooling: str | list[str] | None = None
    layer: int = -1
    max_length: int | None = None
    symmetric: bool = False
    reranker: str | None = None
    depth: int = DEPTH
    precision: Precision = "auto"
    baseline: str | None = None
    seen: list[str | DatasetConfig] = field(default_factory=list)
    resamples: int = 10_000
    seed: int = 0
    output: str | None = None


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, and 2e-5 is a number."""


def _mapping(loader: _UniqueKeys, node: yaml.MappingNode) -> dict:
    counts = Counter(key.value for key, _ in node.value)
    for key, _ in node.value:
        if counts[key.value] > 1:
            raise InputError(f"{key.start_mark.name}, line {key.start_mark.line + 1}: '{key.value}' stands twice")
    return loader.construct_mapping(node, deep=True)


_UniqueKeys.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class _Help(argparse.RawDescriptionHelpFormatter, jsonargparse.DefaultHelpFormatter):
    """Keeps the lines of a script's docstring, which show its commands."""


class Parser(jsonargparse.ArgumentParser):
    """jsonargparse's parser with every error on one line."""

    def error(self, message: str, ex: Exception | None = None):
        print(f"{self.prog}: error: {_line(message)} (options: {self.prog} --help)", file=sys.stderr, flush=True)
        raise SystemExit(2)


class InnerParser(Parser):
    """For what a command makes itself: its errors do not end the process."""

    def error(self, message: str, ex: Exception | None = None):
        raise InputError(_line(message))


def _line(message: str) -> str:
    return "; ".join(part.strip().rstrip(":") for part in str(message).splitlines() if part.strip())


def parser(schema: type, program: str, usage: str, kind: type = Parser, **several: tuple[object, str]) -> Parser:
    """The parser of a command whose options are the fields of a dataclass.

    several: name=(type, help) of fields that take several words on the command line, as in `--data stsb sts12`.
    """
    made = kind(prog=program, description=usage, formatter_class=_Help)
    made.add_argument("--config", action="config", help="A YAML file; options that follow override it.")
    made.add_class_arguments(schema, as_group=False, skip=set(several))
    optional = {option.name for option in fields(schema) if option.default_factory is not MISSING}
    for name, (kind, text) in several.items():
        presence = {"default": []} if name in optional else {"required": True}
        made.add_argument(f"--{name}", nargs="+", type=kind, help=text, **presence)
    return made


def check_unique(argv: list[str]) -> None:
    """Refuse an option or a YAML key that is given twice, and an option before --config, which the file would override: one
    of the two would be lost without a word."""
    options = [word.partition("=")[0] for word in argv if word.startswith("--")]
    for option, count in Counter(options).items():
        if count > 1 and not option.endswith("+"):
            raise InputError(f"{option} is given {count} times")
    before = options[: options.index("--config")] if "--config" in options else []
    for option in before:
        if option not in ("--resume", "--overwrite"):
            raise InputError(f"{option} stands before --config, whose file would override it; put --config first")
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        path = Path(word.partition("=")[2] or following) if word.partition("=")[0] == "--config" else None
        if path and path.is_file():
            with path.open(encoding="utf-8") as file:
                try:
                    yaml.load(file, _UniqueKeys)
                except yaml.YAMLError as error:
                    raise InputError(f"{path}: not YAML: {error}") from None


def flat(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as {"optim.lr": ...}."""
    result: dict[str, Any] = {}
    for key, value in options.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return result
