"""What the tasks of `mine.py` share: the model, the processes, the output written unit by unit.

A unit is the work between two states that an interrupted command can resume from.
"""

import dataclasses
import gc
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm

from sbert import distributed
from sbert.atomic import ResumableFile, check_texts
from sbert.data.collection import Collection, read_collection
from sbert.data.config import CollectionConfig
from sbert.device import keep_freed_memory, make_accelerator
from sbert.errors import require
from sbert.mining.config import MineConfig
from sbert.mining.search.distances import DistanceCorpus
from sbert.mining.search.exact import Vectors, blocks_of
from sbert.mining.search.queries import Exclude
from sbert.mining.search.top_k import Corpus, make_corpus
from sbert.models.bi_encoder import BiEncoder
from sbert.models.folders.backbone import is_classifier, locate_folder
from sbert.models.prompts import check_prompts
from sbert.texts import digest
from sbert.vector_files import open_resumable

PromptRole = Literal["query", "document", "default"]  # what texts are, which chooses their prompt


class MiningTask:
    """A running task: its options, its bi-encoder if there is one, its output.

    `precision` is the type of the bi-encoder's products.
    `output` is None in all processes but the main one.
    """

    def __init__(self, config: MineConfig, accelerator: Accelerator, overwrite: bool):
        require(
            Path(config.output).suffix in config.extensions,
            f"output {config.output}: ends in {' or '.join(config.extensions)}",
        )
        self.config = config
        self.accelerator = accelerator
        self.overwrite = overwrite
        self.print = accelerator.print
        self.model, self.precision = None, None
        if config.model is not None:
            self.model = _load_embedding_model(config, accelerator)
            # now, so that one that the model lacks is refused before anything is read or written
            self.precision = self.model.resolve_precision(config.precision)
        self.output: ResumableFile | None = None

    def read(
        self, source: CollectionConfig, embed: bool = True, role: PromptRole = "default"
    ) -> Collection:
        """Read texts or embeddings. `embed`: the texts will be embedded, with the prompt of `role`.

        Raises:
            InputError: texts to embed and no model; texts that the output cannot hold; a prompt
                that the model does not declare.
        """
        collection = read_collection(source)
        self.print(collection.describe())
        require(
            not embed or self.model is not None or collection.vectors is not None,
            f"{source.path}: has texts and no embeddings; name the model that makes them",
        )
        check_texts(chain(collection.texts, collection.ids), self.config.output)
        if embed:
            self.choose_prompt(collection, role, source.prompt)
        return collection

    def choose_prompt(
        self, collection: Collection, role: PromptRole, name: str | None = None
    ) -> None:
        """Set the prompt of the texts of a collection, and print it: the model's prompt `name`
        ("": none), else that of their role.

        Raises:
            InputError: a prompt that the model does not declare; a prompt or another size for
                embeddings.
        """
        if collection.vectors is not None:
            require(
                not name,
                f"{collection.name}: has embeddings; prompt '{name}' is for texts, leave it out",
            )
            self._check_size(collection)
            return
        model = self.model
        if name:
            declared = check_prompts(model.prompts, name, "prompt", f"{collection.name}: ")
            collection.prompt = declared[name]
        elif name is None:
            prompts = {"query": model.query_prompt, "document": model.document_prompt}
            collection.prompt = prompts.get(role, model.find_prompt())
        if collection.prompt:
            self.print(f"{collection.name}: prompt {collection.prompt!r}")
        elif model.declares_prompts and name is None:
            known = ", ".join(name for name, text in model.prompts.items() if text)
            self.print(
                f"note: {collection.name}: no prompt is used, and the model declares {known}; "
                "choose one by prompt of the collection, or by default_prompt_name"
            )

    def _check_size(self, collection: Collection) -> None:
        """Refuse embeddings of another size than the options ask for: they are not cut."""
        size, wanted = self.width(collection), self.config.truncate_dim
        require(
            wanted in (None, size),
            f"{collection.name}: has embeddings of {size} numbers; truncate_dim {wanted} is for "
            "texts that are embedded, leave it out",
        )

    def choose_similarity(self) -> str:
        """The similarity of the options, else the one that the model declares, else the cosine."""
        declared = self.model.similarity_fn_name if self.model else "cosine"
        similarity = self.config.similarity or declared
        self.print(f"similarity: {similarity}")
        return similarity

    def width(self, collection: Collection) -> int:
        """H of a collection's embeddings, given ones or those that the model makes."""
        if collection.vectors is None:
            return self.model.embedding_dim()
        return collection.vectors.shape[1]

    def settings(self, **collections: Collection) -> dict:
        """All that a result depends on: the options, the collections and the model."""
        settings = dataclasses.asdict(self.config)
        del settings["output"]
        settings |= {name: collection.digest for name, collection in collections.items()}
        settings |= {f"{name}_ids": digest(found.ids) for name, found in collections.items()}
        settings |= {f"{name}_prompt": found.prompt for name, found in collections.items()}
        settings |= {"model": None, "dim": None}
        if self.model:
            settings |= {"model": self.model.fingerprint, "dim": self.model.embedding_dim()}
        return settings

    def open_output(self, settings: dict) -> int:
        """Open the output; the number of units that it holds already, in every process."""
        self.output, done = open_resumable(
            self.accelerator, self.config.output, settings, self.overwrite
        )
        if done:
            self.print(f"resuming after {done} units")
        return done

    def remaining_units(
        self, count: int, size: int, done: int, description: str
    ) -> Iterable[slice]:
        """The units of `size` of `count` rows, without the first `done`, under a progress bar."""
        return tqdm(
            list(blocks_of(count, size, start=done * size)),
            desc=description,
            unit="unit",
            initial=done,
            total=-(-count // size),
            disable=None if self.accelerator.is_main_process else True,
        )

    def make_corpus(self, vectors: Vectors, similarity: str = "cosine") -> Corpus | DistanceCorpus:
        """What `search` searches: vectors (N, H), on this process's device."""
        precision = self.config.search_precision
        return make_corpus(vectors, similarity, precision, self.accelerator.device)

    def search(
        self,
        corpus: Corpus | DistanceCorpus,
        queries: Vectors,
        unit: slice,
        k: int,
        exclude: Exclude = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best of the corpus for a unit of the queries (Q, H): scores and indices (R, k).

        The processes share the work; `exclude` is that of all queries.
        """

        def top_k(rows: slice) -> tuple[Tensor, Tensor]:
            asked = slice(unit.start + rows.start, unit.start + rows.stop)
            return corpus.top_k(queries[asked], k, None if exclude is None else exclude[asked])

        scores, indices = distributed.compute_row_slices(
            self.accelerator, top_k, unit.stop - unit.start
        )
        return scores.numpy(), indices.numpy()

    def finish(self, data: bytes | None = None) -> None:
        """Put the output in its place: what was appended, or `data` instead."""
        if self.output:
            self.output.finish(data)
        self.accelerator.wait_for_everyone()
        self.print(f"written to {self.config.output}")
        self.accelerator.end_training()


def _load_embedding_model(config: MineConfig, accelerator: Accelerator) -> BiEncoder:
    folder = locate_folder(config.model)
    require(
        not is_classifier(folder),
        f"{config.model}: is a cross-encoder; texts are embedded by a bi-encoder",
    )
    model = BiEncoder.from_pretrained(
        folder,
        config.pooling,
        config.max_length,
        config.layer,
        prompts=config.prompts,
        default_prompt_name=config.default_prompt_name,
        truncate_dim=config.truncate_dim,
    )
    return model.to(accelerator.device)


def run_task(run: Callable[[MiningTask], None], config: MineConfig, overwrite: bool) -> None:
    """Run one task of `mine.py` or `augment.py`."""
    keep_freed_memory()
    # models and searches choose their precision themselves
    task = MiningTask(config, make_accelerator("fp32"), overwrite)
    gc.freeze()  # to look for garbage among the modules and the model takes a fifth of a second
    try:
        run(task)
    finally:
        gc.unfreeze()
