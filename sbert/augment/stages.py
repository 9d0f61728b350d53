"""One stage of a recipe: a process of train.py or mine.py, what it reads, and whether what it left is still what it would leave.

A stage's folder holds `stage.json`, written before it begins: its settings, and a digest of every file that it reads. A result is
valid as long as both are those of now; so a stage that comes out otherwise makes invalid what was made from it, and nothing else.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sbert.atomic import write_whole
from sbert.augment.config import SilverConfig
from sbert.cli import first_difference
from sbert.data.collection import find_file
from sbert.data.rows import file_of
from sbert.models.hf_folder import is_local
from sbert.training.config import TrainConfig

SILVER = "silver.jsonl"

ROOT = Path(__file__).parents[2]

CHUNK = 1 << 20


@dataclass(frozen=True)
class StageState:
    """Where a stage stands. why: what is not as it was when a stale one was made; follows: because of stages before it."""

    name: Literal["done", "cut", "to do", "stale"]
    why: str = ""
    follows: bool = False


@dataclass(frozen=True)
class Stage:
    """A stage: of kind silver a process of mine.py, else one of train.py.

    row: of the table, for all seeds. axes: its values of size and seed. text: its configuration. after: the stages that make
    some of what it reads.
    """

    label: str
    kind: Literal["gold", "teacher", "silver", "augmented"]
    row: str
    axes: dict[str, Any]
    folder: Path
    config: TrainConfig | SilverConfig
    text: str
    after: tuple["Stage", ...] = ()

    @property
    def result(self) -> Path:
        """What later stages read: a file of silver, or a model."""
        return self.folder / (SILVER if self.kind == "silver" else "best")

    @property
    def done(self) -> bool:
        return self.result.exists() and (
            self.kind == "silver" or (self.folder / "result.json").exists()
        )

    @property
    def command(self) -> list[str]:
        """What follows the name of the interpreter."""
        config = str(self.folder / "config.yaml")
        if self.kind == "silver":
            return [str(ROOT / "augment.py"), "silver", "--config", config]
        return [str(ROOT / "train.py"), "--config", config, "--resume"]

    def reads(self) -> dict[str, Path]:
        """{name: file or model folder}, without what is on the hub."""
        config = self.config
        if self.kind == "silver":
            models, data = [config.teacher, config.model], [*config.gold, config.unlabelled]
        else:
            models, data = (
                [config.model.path],
                [*config.data.train, *config.data.dev, *config.data.test],
            )
        files = {"/".join(filter(None, [d.path, d.split])): file_of(d) for d in data if d}
        files |= {model: Path(model) for model in models if model and is_local(model)}
        if self.kind == "silver" and config.texts:
            files[config.texts.path] = find_file(config.texts)
        return {name: path for name, path in files.items() if path}

    def state(self, again: Iterable[str] = ()) -> StageState:
        """Where it stands, if stages of these labels are to be made again."""
        path = self.folder / "stage.json"
        if not path.exists():
            left = self.result.exists() or (self.folder / "config.yaml").exists()
            return (
                StageState("stale", "its folder holds what no recipe made")
                if left
                else StageState("to do")
            )
        then = json.loads(path.read_text("utf-8"))
        if changed := first_difference(then["settings"], self.text):
            return StageState("stale", changed)
        for stage in self.after:
            if stage.label in again:
                return StageState("stale", f"{stage.label} is to be made again", follows=True)
        files, made = self.reads(), {stage.result for stage in self.after}
        now = digests(files)
        for name in sorted({*now, *then["reads"]}):
            if now.get(name) != then["reads"].get(name):
                return StageState(
                    "stale", f"it read another {name}", follows=files.get(name) in made
                )
        return StageState("done" if self.done else "cut")

    def begin(self) -> None:
        """Make room for a result of now: a stale one is deleted. A stage that was cut keeps what it has."""
        if self.state().name in ("stale", "to do"):
            old = self.folder.with_name(f"{self.folder.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            if self.folder.exists():
                os.rename(self.folder, old)  # at once, so that no half of it is left after a kill
            shutil.rmtree(old, ignore_errors=True)
            self.folder.mkdir(parents=True)
            facts = {"settings": self.text, "reads": digests(self.reads())}
            write_whole(self.folder / "stage.json", (json.dumps(facts, indent=2) + "\n").encode())

    def clean(self) -> None:
        """Delete the state of a finished training; its model stays."""
        if self.done:
            shutil.rmtree(self.folder / "last", ignore_errors=True)


def digests(files: dict[str, Path]) -> dict[str, str | None]:
    """A digest of each; None where there is nothing."""
    return {name: _digest(path) for name, path in files.items()}


def _digest(path: Path) -> str | None:
    """Of a file its bytes; of a model folder its weights, settings and vocabularies."""
    if path.is_file():
        stat = path.stat()
        return _digest_file(path, stat.st_size, stat.st_mtime_ns)
    parts = [
        p
        for p in sorted(path.rglob("*"))
        if p.suffix in (".safetensors", ".json", ".txt", ".model")
    ]
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(f"{part.relative_to(path)} {_digest(part)}\n".encode())
    return hashed.hexdigest() if parts else None


@cache
def _digest_file(path: Path, size: int, time: int) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()
