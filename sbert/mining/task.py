"""What the tasks of `mine.py` have in common: options, the model, the output that is written unit by unit."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from tqdm.auto import tqdm

from sbert import distributed
from sbert.atomic import ResumableFile, check_texts
from sbert.data.collection import Collection, read_collection
from sbert.data.config import Source
from sbert.device import keep_freed_memory, make_accelerator
from sbert.errors import InputError
from sbert.mining.config import MineConfig
from sbert.mining.embeddings import load_or_embed
from sbert.models.bi_encoder import BiEncoder
from sbert.models.hf_folder import is_classifier, locate_folder
from sbert.texts import digest


class MiningTask:
    """A running task: processes, the model, the output."""

    def __init__(self, config: MineConfig, accelerator: Accelerator, overwrite: bool):
        self.config, self.accelerator, self.overwrite = config, accelerator, overwrite
        self.say = accelerator.print
        if Path(config.output).suffix not in config.endings:
            raise InputError(f"output {config.output}: ends in {' or '.join(config.endings)}")
        self.model = None
        if config.model is not None:
            root = locate_folder(config.model)
            if is_classifier(root):
                raise InputError(
                    f"{config.model}: is a cross-encoder; texts are embedded by a bi-encoder"
                )
            model = BiEncoder.from_pretrained(root, config.pooling, config.max_length, config.layer)
            self.model = model.to(accelerator.device)

    def read(self, source: Source, embed: bool = True) -> Collection:
        """Texts or embeddings; `embed`: texts will be embedded."""
        found = read_collection(source)
        self.say(found.describe())
        if embed and found.vectors is None and self.model is None:
            raise InputError(
                f"{source.path}: has texts and no embeddings; name the model that makes them"
            )
        check_texts(found.texts, self.config.output)
        check_texts(found.ids, self.config.output)
        return found

    def vectors(self, collection: Collection) -> np.ndarray:
        return load_or_embed(collection, self.model, self.accelerator, self.config.precision)

    def settings(self, **collections: Collection) -> dict:
        """All that a result depends on."""
        options = dataclasses.asdict(self.config) | {
            name: found.digest for name, found in collections.items()
        }
        options |= {f"{name}_ids": digest(found.ids) for name, found in collections.items()}
        del options["output"]
        return options | {"model": self.model.fingerprint if self.model else None}

    def begin(self, settings: dict) -> int:
        """Open the output -> the units that are done already, in every process."""
        main = self.accelerator.is_main_process
        self.output = ResumableFile(self.config.output, settings, self.overwrite) if main else None
        done = distributed.broadcast(self.accelerator, self.output.units if main else 0)
        if done:
            self.say(f"going on after {done} units")
        return done

    def units(self, count: int, size: int, done: int, what: str) -> list[slice]:
        """The units of `count` rows that are left, under a progress bar."""
        left = [slice(start, min(count, start + size)) for start in range(done * size, count, size)]
        hidden = None if self.accelerator.is_main_process else True
        return tqdm(
            left, desc=what, unit="unit", initial=done, total=-(-count // size), disable=hidden
        )

    def finish(self, data: bytes | None = None) -> None:
        if self.output:
            self.output.finish(data)
        self.accelerator.wait_for_everyone()
        self.say(f"written to {self.config.output}")
        self.accelerator.end_training()


def run_task(run: Callable[[MiningTask], None], config: MineConfig, overwrite: bool) -> None:
    """Run one task of `mine.py` or `augment.py`."""
    keep_freed_memory()
    run(MiningTask(config, make_accelerator(config.precision), overwrite))
