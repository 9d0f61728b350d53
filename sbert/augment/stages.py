"""One stage of a recipe: a process of train.py or augment.py, and whether its result is valid.

A stage's folder holds stage.json, written before the process starts: the settings, and a digest of
every file that the stage reads. A result is valid as long as both are unchanged. So a stage whose
result changes invalidates what was made from it, and nothing else.
"""

import hashlib
import json
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sbert.atomic import replace_folder, write_whole
from sbert.augment.config import SilverConfig
from sbert.augment.sentences import in_language
from sbert.config_keys import first_difference
from sbert.data.collection import collection_file
from sbert.data.config import DatasetConfig
from sbert.data.origin import (
    corpus_folder,
    dataset_file,
    find_table,
    language_configs,
    qrels_file,
    queries_file,
)
from sbert.models.folders.backbone import is_local
from sbert.training.config import TrainConfig

SILVER_FILE = "silver.jsonl"

# rows of a recipe's table, besides those of the strategies
UNTUNED = "untuned"
GOLD = "gold"
CONTROL = "control"
TEACHER = "cross-encoder"

ROOT = Path(__file__).parents[2]

MODEL_FILES = (".safetensors", ".json", ".txt", ".model")  # weights, settings and vocabularies


@dataclass(frozen=True)
class StageState:
    """reason: why a stage is stale. upstream: whether an earlier stage is the cause."""

    name: Literal["done", "cut", "to do", "stale"]
    reason: str = ""
    upstream: bool = False


@dataclass(frozen=True)
class Stage:
    """A stage: of kind silver a process of augment.py, else one of train.py. A `Job`.

    row: its row of the table, the same for all seeds. axes: its size and seed. after: the stages
    whose results it reads.
    """

    label: str
    kind: Literal["gold", "control", "teacher", "silver", "augmented"]
    row: str
    axes: dict[str, Any]
    folder: Path
    config: TrainConfig | SilverConfig
    config_yaml: str
    after: tuple["Stage", ...] = ()

    @property
    def result(self) -> Path:
        """What later stages read: a silver file, or a model folder."""
        return self.folder / (SILVER_FILE if self.kind == "silver" else "best")

    @property
    def done(self) -> bool:
        finished = self.kind == "silver" or (self.folder / "result.json").exists()
        return finished and self.result.exists()

    @property
    def command(self) -> list[str]:
        """The arguments of the Python interpreter."""
        config = str(self.folder / "config.yaml")
        if self.kind == "silver":
            return [str(ROOT / "augment.py"), "silver", "--config", config]
        return [str(ROOT / "train.py"), "--config", config, "--resume"]

    def inputs(self) -> dict[str, Path]:
        """{name: file or model folder} that it reads, without those of the hub."""
        config = self.config
        paths: dict[str, Path | None] = {}
        if self.kind == "silver":
            models = [config.teacher, config.model]
            datasets = _silver_datasets(config)
            if config.texts:
                paths[config.texts.path] = collection_file(config.texts)
        else:
            data = config.data
            models = [config.model.path]
            datasets = [*data.train, *data.dev, *data.test, *data.held_out]
        for dataset in datasets:
            paths |= _dataset_files(dataset)
        for model in models:
            if model and is_local(model):
                paths[model] = Path(model)
        return {name: path for name, path in paths.items() if path}

    def state(self, unfinished: Collection[str] = ()) -> StageState:
        """The state, given the labels of earlier stages that are not done."""
        path = self.folder / "stage.json"
        if not path.exists():
            if self.result.exists() or (self.folder / "config.yaml").exists():
                return StageState("stale", "its folder was not made by a recipe")
            return StageState("to do")
        saved = json.loads(path.read_text("utf-8"))
        difference = first_difference(saved["settings"], self.config_yaml)
        if difference:
            return StageState("stale", difference)
        for stage in self.after:
            if stage.label in unfinished:
                return StageState("stale", f"{stage.label} will be redone", upstream=True)
        inputs = self.inputs()
        current = digest_paths(inputs)
        for name in sorted({*current, *saved["reads"]}):
            if current.get(name) != saved["reads"].get(name):
                upstream = inputs.get(name) in [stage.result for stage in self.after]
                return StageState("stale", f"its input {name} has changed", upstream)
        if self.done:
            return StageState("done")
        # of a finished training whose model was deleted, no state is left to resume from
        return StageState("to do" if (self.folder / "result.json").exists() else "cut")

    def prepare(self) -> None:
        """Delete a stale result and write stage.json. A stage that was cut keeps what it has."""
        facts = {"settings": self.config_yaml, "reads": digest_paths(self.inputs())}

        def write_facts(folder: Path) -> None:
            folder.mkdir(parents=True)
            write_whole(folder / "stage.json", (json.dumps(facts, indent=2) + "\n").encode())

        if self.state().name in ("stale", "to do"):
            replace_folder(self.folder, write_facts)

    def clean(self) -> None:
        """Delete the training state of a finished stage; its model stays."""
        if self.done:
            shutil.rmtree(self.folder / "last", ignore_errors=True)


def _silver_datasets(config: SilverConfig) -> list[DatasetConfig]:
    """The datasets that silver is made of, with their translations for the teacher."""
    datasets = list(config.gold)
    if config.unlabelled:
        datasets.append(config.unlabelled)
    if config.teacher_language:
        datasets += [in_language(dataset, config.teacher_language) for dataset in datasets]
    return [*datasets, *config.held_out]


def _dataset_files(config: DatasetConfig) -> dict[str, Path | None]:
    """{name: file} of a dataset; None for a dataset of the hub."""
    folder = corpus_folder(config)
    if folder:
        files = [find_table(folder, "corpus"), queries_file(config, folder)]
        return {str(file): file for file in [*files, qrels_file(config, folder)]}
    files = {}
    for one in language_configs(config):
        files["/".join(filter(None, [one.path, one.split]))] = dataset_file(one)
    return files


def digest_paths(paths: dict[str, Path]) -> dict[str, str | None]:
    """The digest of each file or model folder; None if there is none."""
    return {name: _digest_path(path) for name, path in paths.items()}


def _digest_path(path: Path) -> str | None:
    """Of a file the digest of its bytes; of a folder that of its `MODEL_FILES` and their names."""
    if path.is_file():
        stat = path.stat()
        return _digest_file(path, stat.st_size, stat.st_mtime_ns)
    files = [file for file in sorted(path.rglob("*")) if file.suffix in MODEL_FILES]
    lines = [f"{file.relative_to(path)} {_digest_path(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else None


@cache
def _digest_file(path: Path, size: int, mtime: int) -> str:
    # size and mtime are part of the cache's key, so that a changed file is read again
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            hashed.update(chunk)
    return hashed.hexdigest()
