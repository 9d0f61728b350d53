"""The task `mine.py embed`, and the embeddings that other tasks make or read from disk."""

import io
import json
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from tqdm.auto import tqdm

from sbert import distributed
from sbert.data.collection import Collection, load_vectors
from sbert.device import Precision, resolve_precision
from sbert.errors import InputError, require
from sbert.mining.task import MiningTask, open_resumable
from sbert.models.bi_encoder import BiEncoder

UNIT_TEXTS = 16_384  # that are embedded between two states of an interrupted run

UNIT_TEXTS = 16_384  # texts that are embedded between two states of an interrupted run


def mine_embeddings(task: MiningTask) -> None:
    """`mine.py embed`."""
    config, model = task.config, task.model
    texts = task.read(config.texts)
    if model is None or texts.vectors is not None:
        raise InputError(f"{config.texts.path}: embed takes texts, and a model that embeds them")
    require(
        texts.embeddings is None,
        "texts.embeddings: embed writes to output; leave texts.embeddings out",
    )
    write_embeddings(
        texts, model, config.output, task.accelerator, config.precision, task.overwrite
    )
    task.print(f"{len(texts):,} embeddings of {model.dim} numbers")
    task.finish()


def task_embeddings(task: MiningTask, collection: Collection) -> np.ndarray:
    """The embeddings (N, H) of a collection, by the model of a task."""
    return load_or_embed(collection, task.model, task.accelerator, task.config.precision)


def load_or_embed(
    collection: Collection, model: BiEncoder | None, accelerator: Accelerator, precision: Precision
) -> np.ndarray:
    """The embeddings (N, H) of a collection: given, kept in its file `embeddings`, or made now.

    Raises:
        InputError: texts and no model, kept embeddings of other texts or by another model.
    """
    if collection.vectors is not None:
        return collection.vectors
    require(
        model is not None,
        f"{collection.name}: has texts and no embeddings; name the model that makes them",
    )
    if collection.embeddings is None:
        encode = partial(model.encode, precision=precision, progress=None)
        return distributed.compute_shared(accelerator, encode, collection.texts)
    path = Path(collection.embeddings)
    if path.exists():
        _check_kept(path, collection, model)
    else:
        write_embeddings(collection, model, path, accelerator, precision)
    return load_vectors(path)


def write_embeddings(
    collection: Collection,
    model: BiEncoder,
    path: str | Path,
    accelerator: Accelerator,
    precision: Precision,
    overwrite: bool = False,
) -> None:
    """Write the embeddings of N texts as a .npy file (N, H) of float32, in bounded memory.

    An interrupted file is resumed.
    """
    texts = collection.texts
    settings = _origin(collection, model)
    settings["precision"] = str(resolve_precision(precision, model.device))
    output, done = open_resumable(accelerator, path, settings, overwrite)
    encode = partial(model.encode, precision=precision)
    bar = tqdm(
        total=len(texts),
        initial=done * UNIT_TEXTS,
        unit="text",
        desc="embed",
        disable=None if output else True,
    )
    with bar:
        for start in range(done * UNIT_TEXTS, len(texts), UNIT_TEXTS):
            vectors = distributed.compute_shared(
                accelerator, encode, texts[start : start + UNIT_TEXTS]
            )
            if output:
                header = b"" if start else _npy_header(len(texts), model.dim)
                output.append(header + vectors.astype("<f4").tobytes())
            bar.update(len(vectors))
    if output:
        output.finish()
    accelerator.wait_for_everyone()


def _origin(collection: Collection, model: BiEncoder) -> dict[str, str]:
    """What embeddings are made of: recorded beside a file of them, and compared before its use."""
    return {"texts": collection.digest, "model": model.fingerprint}


def _npy_header(rows: int, width: int) -> bytes:
    """The first bytes of a .npy file of float32 (rows, width)."""
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def _check_kept(path: Path, collection: Collection, model: BiEncoder) -> None:
    """Refuse embeddings of other texts or by another model."""
    facts = Path(f"{path}.json")
    require(
        facts.exists(),
        f"{path}: its texts and model are unknown ({facts.name} is missing); name another file",
    )
    recorded = json.loads(facts.read_text("utf-8"))
    expected = _origin(collection, model)
    require(
        recorded.get("texts") == expected["texts"],
        f"{path}: was made of other texts; name another file",
    )
    require(
        recorded.get("model") == expected["model"],
        f"{path}: was made by another model; name another file",
    )
    count = len(load_vectors(path))
    if count != len(collection):
        raise InputError(
            f"{path}: holds {count:,} embeddings for {len(collection):,} texts; name another file"
        )
