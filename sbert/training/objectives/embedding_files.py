"""Embeddings of texts that are made once, by all processes together, and kept on disk."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from sbert.atomic import locked
from sbert.data.collection import load_vectors
from sbert.device import resolve_precision
from sbert.distributed import broadcast
from sbert.errors import InputError
from sbert.models.bi_encoder import BiEncoder
from sbert.texts import digest
from sbert.vector_files import write_vectors

UNIT_TEXTS = 2048  # embedded between two states that an interrupted run resumes from


class EmbeddingFiles:
    """The files of a folder, each named after all that its embeddings depend on.

    Args:
        folder: made where it is missing.
        precision: of the products, as for `BiEncoder.encode`.
    """

    def __init__(self, folder: Path, precision: str, accelerator: Accelerator):
        self.folder, self.precision, self.accelerator = folder, precision, accelerator

    def embed(self, model: BiEncoder, name: str, prompt: str, texts: list[str]) -> np.ndarray:
        """The embeddings of U texts, (U, H) float32, mapped from the disk.

        An interrupted file is continued; of several runs that want it at once, one makes it.
        name: what the file's name begins with.
        """
        accelerator = self.accelerator
        model = model.to(accelerator.device)
        settings = {
            "texts": digest(texts),
            "model": model.fingerprint,
            "prompt": prompt,
            "dim": model.embedding_dim(),
            "precision": str(resolve_precision(self.precision, model.device)),
        }
        key = digest([json.dumps(settings, sort_keys=True)])[:16]
        path = self.folder / f"{name}-{key}.npy"
        encode = partial(model.encode, precision=self.precision, prompt=prompt)
        if not broadcast(accelerator, path.exists()):  # a folder that has it may be read-only
            with self._locked(path) if accelerator.is_main_process else nullcontext():
                if not broadcast(accelerator, path.exists()):
                    write_vectors(accelerator, path, settings, encode, texts, UNIT_TEXTS)
        accelerator.print(f"embeddings of {len(texts):,} texts by {name} in {path}")
        return load_vectors(path)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """In a folder that is made where it is missing, keep other runs from making a file."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(path):
                yield
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written: {error.strerror}; distillation.embeddings names the "
                "folder of the teacher's embeddings"
            ) from None
