"""The task `mine.py embed`, and the embeddings that other tasks make or read from disk."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from sbert import distributed
from sbert.data.collection import Collection, load_embeddings
from sbert.device import precision_option
from sbert.errors import InputError, require
from sbert.mining.task import MiningTask
from sbert.models.folders.json_files import load_json
from sbert.quantised import QUANTISERS, check_finite
from sbert.quantised_files import QuantisedVectors
from sbert.vector_files import QuantisedFormat, write_vectors

UNIT_TEXTS = 16_384  # that are embedded between two states of an interrupted run
CALIBRATION_TEXTS = 8192


def mine_embeddings(task: MiningTask) -> None:
    """`mine.py embed`."""
    texts = task.read(task.config.texts)
    if task.config.store == "float32":
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
    else:
        _write_quantised(task, texts)
    task.finish()


def _write_quantised(task: MiningTask, texts: Collection) -> None:
    """Write int8 or binary embeddings: of texts as they are embedded, or of float ones."""
    config = task.config
    similarity = task.choose_similarity()
    width = task.width(texts)
    QUANTISERS[config.store].check(width, similarity)
    settings = _embedding_settings(task, texts) | {"store": config.store, "similarity": similarity}
    items, encode = texts.texts, None
    if texts.vectors is None and texts.embeddings is None:
        encode = _encoder(task, texts)
    else:
        vectors = task_embeddings(task, texts)
        items, encode = range(len(vectors)), lambda rows: np.asarray(vectors[np.array(rows, int)])

    def sample() -> np.ndarray:
        rows = np.linspace(0, len(items) - 1, min(len(items), CALIBRATION_TEXTS)).astype(int)
        found = distributed.compute_shared(task.accelerator, encode, [items[i] for i in rows])
        check_finite(found, rows, texts.name)
        return found

    file_format = QuantisedFormat(config.store, similarity, sample)
    write_vectors(
        task.accelerator,
        config.output,
        settings,
        encode,
        items,
        UNIT_TEXTS,
        task.overwrite,
        file_format,
    )
    size = width // QUANTISERS[config.store].numbers_per_byte
    task.print(
        f"{len(texts):,} {config.store} embeddings of {width} numbers, {size} bytes each; "
        "searches of them are approximate"
    )


def task_embeddings(task: MiningTask, collection: Collection) -> np.ndarray:
    """The embeddings (N, H) of a collection: given, kept in its file `embeddings`, or made now, by
    the model of the task.

    Raises:
        InputError: kept embeddings of other texts, by another model or in another precision; int8
            or binary ones.
    """
    vectors = kept_embeddings(task, collection)
    if isinstance(vectors, QuantisedVectors):
        raise InputError(
            f"{vectors.name}: has {vectors.quantiser.store} embeddings, which are for the corpus "
            "of neighbours alone; give float32 ones"
        )
    return vectors


def kept_embeddings(task: MiningTask, collection: Collection) -> np.ndarray | QuantisedVectors:
    """`task_embeddings`, also if they are int8 or binary ones."""
    if collection.vectors is not None:
        return collection.vectors
    if collection.embeddings is None:
        encode = partial(_encoder(task, collection), progress=None)
        return distributed.compute_shared(task.accelerator, encode, collection.texts)
    path = Path(collection.embeddings)
    if path.exists():
        _check_kept(task, collection, path)
    else:
        require(
            path.suffix != ".safetensors",
            f"{path}: no such file; mine.py embed --store int8 or binary writes it",
        )
        write_embeddings(task, collection, path)
    return load_embeddings(path)


def write_embeddings(
    task: MiningTask, collection: Collection, path: str | Path, overwrite: bool = False
) -> None:
    """Write the embeddings of N texts as a .npy file (N, H) of float32, in bounded memory.

    An interrupted file is resumed.
    """
    texts = collection.texts
    settings, encode = _embedding_settings(task, collection), _encoder(task, collection)
    write_vectors(task.accelerator, path, settings, encode, texts, UNIT_TEXTS, overwrite)


def _encoder(task: MiningTask, collection: Collection) -> Callable[..., np.ndarray]:
    """`encode` of the task's model for the texts of a collection."""
    return partial(task.model.encode, precision=task.config.precision, prompt=collection.prompt)


def _embedding_settings(task: MiningTask, collection: Collection) -> dict:
    """What kept embeddings must have in common with those that would be made now."""
    settings = {"texts": collection.digest, "prompt": collection.prompt, "model": None}
    if task.model:
        settings |= {"model": task.model.fingerprint, "dim": task.model.embedding_dim()}
        settings["precision"] = str(task.precision)
    return settings


def _check_kept(task: MiningTask, collection: Collection, path: Path) -> None:
    facts = Path(f"{path}.json")
    require(
        facts.exists(),
        f"{path}: its texts and model are unknown ({facts.name} is missing); name another file",
    )
    vectors = load_embeddings(path)
    # older files may not say them, and were made without prompts
    defaults = {"prompt": "", "dim": vectors.shape[1], "precision": "unknown"}
    found = load_json(facts)
    require(isinstance(found, dict), f"{facts}: not settings with names; name another file")
    recorded = defaults | found
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
    made, now = (precision_option(given["precision"]) for given in (recorded, expected))
    require(
        made == now,
        f"{path}: was made in precision {made}, which is now {now}; pass --precision {made}, or "
        "name another file",
    )
    require(
        len(vectors) == len(collection),
        f"{path}: holds {len(vectors):,} embeddings for {len(collection):,} texts; "
        "name another file",
    )
