"""Every text as its own positive (SimCSE): only dropout tells the two copies apart."""

import numpy as np
import torch

from sbert.errors import require
from sbert.training.objectives.objective import Objective, TrainingSet


def check_copies(objective: Objective, which: int, data: TrainingSet) -> None:
    """Refuse rows that are all a text and itself where the encoder has no dropout.

    An anchor and its positive would have the same embedding. Only losses that compare the rows of a
    batch can learn from such rows at all.

    Args:
        which: the number of the loss that reads the rows.

    Raises:
        InputError: all rows are one text; two passes of the first text in training give the same
            embedding.
    """
    if not objective.losses[which].joint or not _are_copies(data.texts):
        return
    require(
        len(np.unique(data.texts)) > 1,
        "data.train: every row is the same text, and the loss compares a text with others",
    )
    model = objective.model
    training = model.training
    model.train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        first, second = objective(data.batch(np.array([0])), which, embed_only=True)[0]  # (H,) each
    model.train(training)
    require(
        not torch.equal(first, second),
        "data.train: every row is a text and the same text again, and the encoder has no dropout "
        "that would tell them apart; use one with dropout, such as hidden_dropout_prob 0.1 in its "
        "config.json",
    )


def _are_copies(texts: np.ndarray) -> bool:
    """Whether every row of texts (N, C) is a text and itself."""
    return texts.shape[1] == 2 and bool((texts[:, 0] == texts[:, 1]).all())
