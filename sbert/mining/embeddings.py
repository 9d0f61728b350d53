"""Embeddings of a text collection: computed in bounded memory, and kept on disk for the next time."""

import io
import json
from functools import partial
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from tqdm.auto import tqdm

from sbert import distributed
from sbert.atomic import ResumableFile
from sbert.data.collection import UNIT, Collection, load_vectors
from sbert.device import Precision, resolve_precision
from sbert.errors import InputError
from sbert.models.bi_encoder import BiEncoder


def write_embeddings(texts: list[str], model: BiEncoder, path: str | Path, settings: dict, accelerator: Accelerator, precision: Precision,
          overwrite: bool = False) -> None:  # fmt: skip
    """Write the embeddings of N texts as a .npy file (N, H) of float32, in bounded memory; go on with an interrupted one."""
    made = settings | {"precision": str(resolve_precision(precision, model.device))}
    output = ResumableFile(path, made, overwrite) if accelerator.is_main_process else None
    done = distributed.broadcast(accelerator, output.units if output else 0)
    encode = partial(model.encode, precision=precision)
    with tqdm(
        total=len(texts),
        initial=done * UNIT,
        unit="text",
        desc="embed",
        disable=None if output else True,
    ) as bar:
        for start in range(done * UNIT, len(texts), UNIT):
            vectors = distributed.compute_shared(accelerator, encode, texts[start : start + UNIT])
            if output:
                output.append(
                    (b"" if start else _header(len(texts), model.dim))
                    + vectors.astype("<f4").tobytes()
                )
            bar.update(len(vectors))
    if output:
        output.finish()
    accelerator.wait_for_everyone()


def _header(rows: int, width: int) -> bytes:
    """How a .npy file of float32 (rows, width) begins."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    )
    return buffer.getvalue()


def load_or_embed(
    collection: Collection, model: BiEncoder | None, accelerator: Accelerator, precision: Precision
) -> np.ndarray:
    """The embeddings (N, H) of a collection: given, kept from another time, or made now."""
    if collection.vectors is not None:
        return collection.vectors
    if model is None:
        raise InputError(
            f"{collection.name}: has texts and no embeddings; name the model that makes them"
        )
    if collection.embeddings is None:
        encode = partial(model.encode, precision=precision, progress=None)
        return distributed.compute_shared(accelerator, encode, collection.texts)
    path, settings = (
        Path(collection.embeddings),
        {"texts": collection.digest, "model": model.fingerprint},
    )
    if path.exists():
        _check_kept(path, settings, len(collection))
    else:
        write_embeddings(collection.texts, model, path, settings, accelerator, precision)
    return load_vectors(path)


def _check_kept(path: Path, settings: dict, count: int) -> None:
    """Refuse embeddings that were made of other texts or by another model."""
    facts = Path(f"{path}.json")
    if not facts.exists():
        raise InputError(
            f"{path}: nothing says which texts and model it is of ({facts.name} is missing); name another file"
        )
    made = json.loads(facts.read_text("utf-8"))
    for name, value in settings.items():
        if made.get(name) != value:
            raise InputError(
                f"{path}: was made {'of other texts' if name == 'texts' else 'by another model'}; name another file"
            )
    if len(load_vectors(path)) != count:
        raise InputError(
            f"{path}: holds {len(load_vectors(path)):,} embeddings for {count:,} texts; name another file"
        )
