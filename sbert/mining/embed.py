"""The task `mine.py embed`: texts to a .npy file of embeddings."""

from sbert.errors import InputError
from sbert.mining.embeddings import write_embeddings
from sbert.mining.task import MiningTask


def mine_embeddings(task: MiningTask) -> None:
    """`mine.py embed`."""
    config = task.config
    texts = task.read(config.texts)
    if task.model is None or texts.vectors is not None:
        raise InputError(f"{config.texts.path}: embed takes texts, and a model that embeds them")
    if texts.embeddings is not None:
        raise InputError("texts.embeddings: embed writes to output; leave texts.embeddings out")
    settings = {"texts": texts.digest, "model": task.model.fingerprint}
    write_embeddings(
        texts.texts,
        task.model,
        config.output,
        settings,
        task.accelerator,
        config.precision,
        task.overwrite,
    )
    task.output = None
    task.say(f"{len(texts):,} embeddings of {task.model.dim} numbers")
    task.say(f"written to {config.output}")
    task.accelerator.end_training()
