"""The quantised corpus of the task `neighbours`."""

from pathlib import Path

from sbert.data.collection import Collection, load_vectors
from sbert.errors import require
from sbert.mining.quantised.corpus import QuantisedCorpus
from sbert.mining.task import MiningTask
from sbert.quantised_files import QuantisedVectors, load_quantised


def quantised_corpus(
    task: MiningTask, collection: Collection, similarity: str
) -> QuantisedCorpus | None:
    """What serves the search, if the collection's embeddings are int8 or binary.

    Raises:
        InputError: another similarity than theirs, float embeddings that are not theirs or that
            nothing needs.
    """
    config = task.config
    vectors = _quantised_vectors(collection)
    require(
        vectors is not None or config.rescore_embeddings is None,
        "rescore_embeddings: is for a corpus of int8 or binary embeddings; those of "
        f"{collection.name} are float ones, leave it out",
    )
    if vectors is None:
        return None
    floats = None
    if config.rescore_embeddings is not None:
        floats = load_vectors(config.rescore_embeddings)
    return QuantisedCorpus(
        vectors,
        similarity,
        config.rescore,
        floats,
        config.rescore_embeddings or "",
        task.accelerator.device,
    )


def _quantised_vectors(collection: Collection) -> QuantisedVectors | None:
    if isinstance(collection.vectors, QuantisedVectors):
        return collection.vectors
    kept = Path(collection.embeddings or "")
    if kept.suffix == ".safetensors" and kept.exists():
        return load_quantised(kept)
    return None
