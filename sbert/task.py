"""What the tasks of `mine.py` have in common: options, the model, the output that is written unit by unit."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from tqdm.auto import tqdm

from sbert import distributed, folder
from sbert.bi_encoder import BiEncoder
from sbert.collection import Collection, Source, digest, read_collection, vectors_of
from sbert.encoder import Precision
from sbert.errors import InputError
from sbert.output import Output, check_texts


@dataclass(kw_only=True)
class MineConfig:
    """What all tasks have in common.

    Args:
        output: the file to write: .jsonl or .tsv.
        model: the bi-encoder that embeds texts: a folder or a name on the model hub; not needed for embeddings alone.
        pooling: as for training.
        layer: as for training.
        max_length: as for training.
        precision: of the transformer and of the fast pass of a search, whose results do not depend on it: auto is bf16 where the
            hardware multiplies it natively.
    """

    output: str
    model: str | None = None
    pooling: str | list[str] | None = None
    layer: int = -1
    max_length: int | None = None
    precision: Precision = "auto"

    endings = (".jsonl", ".tsv")


class Task:
    """A running task: processes, the model, the output."""

    def __init__(self, config: MineConfig, accelerator: Accelerator, overwrite: bool):
        self.config, self.accelerator, self.overwrite = config, accelerator, overwrite
        self.say = accelerator.print
        if Path(config.output).suffix not in config.endings:
            raise InputError(f"output {config.output}: ends in {' or '.join(config.endings)}")
        self.model = None
        if config.model is not None:
            root = folder.locate(config.model)
            if folder.is_classifier(root):
                raise InputError(f"{config.model}: is a cross-encoder; texts are embedded by a bi-encoder")
            model = BiEncoder.from_pretrained(root, config.pooling, config.max_length, config.layer)
            self.model = model.to(accelerator.device)

    def read(self, source: Source, embed: bool = True) -> Collection:
        """Texts or embeddings; `embed`: texts will be embedded."""
        found = read_collection(source)
        self.say(found.describe())
        if embed and found.vectors is None and self.model is None:
            raise InputError(f"{source.path}: has texts and no embeddings; name the model that makes them")
        check_texts(found.texts, self.config.output)
        check_texts(found.ids, self.config.output)
        return found

    def vectors(self, collection: Collection) -> np.ndarray:
        return vectors_of(collection, self.model, self.accelerator, self.config.precision)

    def settings(self, **collections: Collection) -> dict:
        """All that a result depends on."""
        options = dataclasses.asdict(self.config) | {name: found.digest for name, found in collections.items()}
        options |= {f"{name}_ids": digest(found.ids) for name, found in collections.items()}
        del options["output"]
        return options | {"model": self.model.fingerprint if self.model else None}

    def begin(self, settings: dict) -> int:
        """Open the output -> the units that are done already, in every process."""
        main = self.accelerator.is_main_process
        self.output = Output(self.config.output, settings, self.overwrite) if main else None
        done = distributed.broadcast(self.accelerator, self.output.units if main else 0)
        if done:
            self.say(f"going on after {done} units")
        return done

    def units(self, count: int, size: int, done: int, what: str) -> list[slice]:
        """The units of `count` rows that are left, under a progress bar."""
        left = [slice(start, min(count, start + size)) for start in range(done * size, count, size)]
        hidden = None if self.accelerator.is_main_process else True
        return tqdm(left, desc=what, unit="unit", initial=done, total=-(-count // size), disable=hidden)

    def finish(self, data: bytes | None = None) -> None:
        if self.output:
            self.output.finish(data)
        self.accelerator.wait_for_everyone()
        self.say(f"written to {self.config.output}")
        self.accelerator.end_training()
