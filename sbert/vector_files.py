"""Embeddings that are written to a .npy file unit by unit, so that an interrupted command resumes
where it stopped."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from tqdm.auto import tqdm

from sbert import distributed
from sbert.atomic import ResumableFile


def open_resumable(
    accelerator: Accelerator, path: str | Path, settings: dict, overwrite: bool = False
) -> tuple[ResumableFile | None, int]:
    """A result file, which only the main process opens, and how many units of it are done."""
    output = ResumableFile(path, settings, overwrite) if accelerator.is_main_process else None
    return output, distributed.broadcast(accelerator, output.units if output else 0)


def write_vectors(
    accelerator: Accelerator,
    path: str | Path,
    settings: dict,
    encode: Callable[[list[str]], np.ndarray],
    texts: list[str],
    unit: int,
    overwrite: bool = False,
) -> None:
    """Write the embeddings of N texts as a .npy file (N, H) of float32, in bounded memory.

    The processes share the work, and the main one writes.

    Args:
        settings: everything that the embeddings depend on, see `ResumableFile`.
        encode: texts (R,) to embeddings (R, H).
        unit: texts between two states that an interrupted run resumes from.
    """
    output, done = open_resumable(accelerator, path, settings, overwrite)
    with tqdm(
        total=len(texts),
        initial=min(done * unit, len(texts)),
        unit="text",
        desc="embed",
        disable=None if output else True,
    ) as bar:
        for start in range(done * unit, len(texts), unit):
            vectors = distributed.compute_shared(accelerator, encode, texts[start : start + unit])
            if output:
                header = b"" if start else _npy_header(len(texts), vectors.shape[1])
                output.append(header + vectors.astype("<f4").tobytes())
            bar.update(len(vectors))
    if output:
        output.finish()
    accelerator.wait_for_everyone()


def _npy_header(rows: int, width: int) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()
