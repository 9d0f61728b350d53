"""The task `mine.py embed`, and the embeddings that other tasks make or read from disk."""

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from sbert import distributed
from sbert.data.collection import Collection, load_vectors
from sbert.device import resolve_precision
from sbert.errors import require
from sbert.mining.exact import blocks_of
from sbert.mining.task import MiningTask, open_resumable

UNIT_TEXTS = 16_384  # that are embedded between two states of an interrupted run


def mine_embeddings(task: MiningTask) -> None:
    """`mine.py embed`."""
    texts = task.read(task.config.texts)
    require(
        texts.vectors is None,
        f"{task.config.texts.path}: embed takes texts, and a model that embeds them",
    )
    require(
        texts.embeddings is None,
        "texts.embeddings: embed writes to output; leave texts.embeddings out",
    )
    write_embeddings(task, texts, task.config.output, task.overwrite)
    task.print(f"{len(texts):,} embeddings of {task.model.embedding_dim()} numbers")
    task.finish()


def task_embeddings(task: MiningTask, collection: Collection) -> np.ndarray:
    """The embeddings (N, H) of a collection: given, kept in its file `embeddings`, or made now, by
    the model of the task.

    Raises:
        InputError: kept embeddings of other texts or by another model.
    """
    if collection.vectors is not None:
        return collection.vectors
    if collection.embeddings is None:
        encode = partial(_encoder(task, collection), progress=None)
        return distributed.compute_shared(task.accelerator, encode, collection.texts)
    path = Path(collection.embeddings)
    if path.exists():
        _check_kept(task, collection, path)
    else:
        write_embeddings(task, collection, path)
    return load_vectors(path)


def write_embeddings(
    task: MiningTask, collection: Collection, path: str | Path, overwrite: bool = False
) -> None:
    """Write the embeddings of N texts as a .npy file (N, H) of float32, in bounded memory.

    An interrupted file is resumed.
    """
    texts, model = collection.texts, task.model
    precision = resolve_precision(task.config.precision, model.device)
    settings = _embedding_settings(task, collection) | {"precision": str(precision)}
    output, done = open_resumable(task.accelerator, path, settings, overwrite)
    encode = _encoder(task, collection)
    with tqdm(
        total=len(texts),
        initial=done * UNIT_TEXTS,
        unit="text",
        desc="embed",
        disable=None if output else True,
    ) as bar:
        for unit in blocks_of(len(texts), UNIT_TEXTS, start=done * UNIT_TEXTS):
            vectors = distributed.compute_shared(task.accelerator, encode, texts[unit])
            if output:
                header = b"" if unit.start else _npy_header(len(texts), model.embedding_dim())
                output.append(header + vectors.astype("<f4").tobytes())
            bar.update(len(vectors))
    if output:
        output.finish()
    task.accelerator.wait_for_everyone()


def _encoder(task: MiningTask, collection: Collection) -> Callable[..., np.ndarray]:
    """`encode` of the task's model for the texts of a collection."""
    return partial(task.model.encode, precision=task.config.precision, prompt=collection.prompt)


def _embedding_settings(task: MiningTask, collection: Collection) -> dict:
    """What kept embeddings must have in common with those that would be made now."""
    return {
        "texts": collection.digest,
        "model": task.model.fingerprint,
        "prompt": collection.prompt,
        "dim": task.model.embedding_dim(),
    }


def _npy_header(rows: int, width: int) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue()


def _check_kept(task: MiningTask, collection: Collection, path: Path) -> None:
    facts = Path(f"{path}.json")
    require(
        facts.exists(),
        f"{path}: its texts and model are unknown ({facts.name} is missing); name another file",
    )
    vectors = load_vectors(path)
    # older files say neither, and were made without prompts
    recorded = {"prompt": "", "dim": vectors.shape[1]} | json.loads(facts.read_text("utf-8"))
    expected = _embedding_settings(task, collection)
    problems = {
        "texts": "was made of other texts",
        "prompt": f"was made with the prompt {recorded['prompt']!r}, which is now "
        f"{collection.prompt!r}",
        "dim": f"has embeddings of {recorded['dim']} numbers, which are now {expected['dim']}",
        "model": "was made by another model, or one of other settings",
    }
    for setting, problem in problems.items():
        require(recorded.get(setting) == expected[setting], f"{path}: {problem}; name another file")
    require(
        len(vectors) == len(collection),
        f"{path}: holds {len(vectors):,} embeddings for {len(collection):,} texts; "
        "name another file",
    )
