"""Embeddings that are written to a file unit by unit, so that an interrupted command resumes where
it stopped: as .npy, or quantised."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from accelerate import Accelerator
from tqdm.auto import tqdm

from sbert import distributed
from sbert.atomic import ResumableFile
from sbert.quantised import QUANTISERS, check_finite
from sbert.quantised_files import quantised_header

T = TypeVar("T")


def open_resumable(
    accelerator: Accelerator, path: str | Path, settings: dict, overwrite: bool = False
) -> tuple[ResumableFile | None, int]:
    """A result file, which only the main process opens, and how many units of it are done."""
    output = ResumableFile(path, settings, overwrite) if accelerator.is_main_process else None
    return output, distributed.broadcast(accelerator, output.units if output else 0)


class VectorFormat(Protocol):
    """How vectors are written: a header, which N vectors follow."""

    def start(self, done: int, facts: dict) -> dict:
        """Prepare for a file of which `done` units and `facts` are on disk -> the facts to keep
        with it. The processes call it together, and only the main one has facts."""

    def header(self, count: int, width: int) -> bytes: ...

    def encode(self, vectors: np.ndarray) -> bytes: ...


class Float32Format:
    """A .npy file (N, H)."""

    def start(self, done: int, facts: dict) -> dict:
        return facts

    def header(self, count: int, width: int) -> bytes:
        buffer = io.BytesIO()
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
        np.lib.format.write_array_header_1_0(buffer, header)
        return buffer.getvalue()

    def encode(self, vectors: np.ndarray) -> bytes:
        return vectors.astype("<f4").tobytes()


class QuantisedFormat:
    """A .safetensors file of codes, which `load_quantised` reads.

    Args:
        store, similarity: see `sbert.quantised`.
        sample: makes the vectors (S, H) that calibrate it. An interrupted file keeps its
            calibration.
    """

    def __init__(self, store: str, similarity: str, sample: Callable[[], np.ndarray]):
        self.kind = QUANTISERS[store]
        self.similarity = similarity
        self.sample = sample

    def start(self, done: int, facts: dict) -> dict:
        if not done:
            quantiser = self.kind.fit(self.sample(), self.similarity)
            facts = {"calibration": quantiser.calibration.tolist()}
        if facts:
            calibration = np.array(facts["calibration"], np.float32)
            self.quantiser = self.kind(calibration, self.similarity)
        return facts

    def header(self, count: int, width: int) -> bytes:
        return quantised_header(self.quantiser, count)

    def encode(self, vectors: np.ndarray) -> bytes:
        return self.quantiser.encode(vectors).tobytes()


def write_vectors(
    accelerator: Accelerator,
    path: str | Path,
    settings: dict,
    encode: Callable[[Sequence[T]], np.ndarray],
    texts: Sequence[T],
    unit: int,
    overwrite: bool = False,
    file_format: VectorFormat | None = None,
) -> None:
    """Write the embeddings of N texts, in bounded memory.

    The processes share the work, and the main one writes.

    Args:
        settings: everything that the embeddings depend on, see `ResumableFile`.
        encode: texts (R,) to embeddings (R, H).
        unit: texts between two states that an interrupted run resumes from.
        file_format: None: a .npy file (N, H) of float32.

    Raises:
        InputError: NaN or infinity in an embedding.
    """
    file_format = file_format or Float32Format()
    output, done = open_resumable(accelerator, path, settings, overwrite)
    facts = file_format.start(done, output.facts if output else {})
    with tqdm(
        total=len(texts),
        initial=min(done * unit, len(texts)),
        unit="text",
        desc="embed",
        disable=None if output else True,
    ) as bar:
        for start in range(done * unit, len(texts), unit):
            vectors = distributed.compute_shared(accelerator, encode, texts[start : start + unit])
            check_finite(vectors, range(start, start + len(vectors)), str(path))
            if output:
                header = b"" if start else file_format.header(len(texts), vectors.shape[1])
                output.append(header + file_format.encode(vectors), facts)
            bar.update(len(vectors))
    if output:
        output.finish()
    accelerator.wait_for_everyone()
