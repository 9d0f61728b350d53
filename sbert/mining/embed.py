"""The task `mine.py embed`, and the embeddings that other tasks make or read from disk."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from sbert import distributed
from sbert.data.collection import Collection, load_vectors
from sbert.device import resolve_precision
from sbert.errors import require
from sbert.mining.task import MiningTask
from sbert.vector_files import write_vectors

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
    encode = _encoder(task, collection)
    write_vectors(task.accelerator, path, settings, encode, texts, UNIT_TEXTS, overwrite)


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
