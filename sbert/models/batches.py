"""Padded batches of token ids, cut out of a `TokenTable`."""

import numpy as np
import torch
from torch import Tensor

from sbert.models.token_table import TokenTable


def pad_rows(table: TokenTable, texts: np.ndarray, pad_id: int) -> tuple[Tensor, Tensor]:
    """Texts (B,) of a table as a padded batch: ids (B, L) and attention mask (B, L), both int64.

    The padding comes last, whatever the tokenizer's padding_side says: so the positions of every
    text start at 0, and its results do not depend on the others of its batch.
    """
    starts, lengths = table.starts[texts], table.lengths_of(texts)
    width = lengths.max(initial=1)  # at least one column: a model cannot read a row of none
    position = np.arange(width)  # (L,)
    mask = position < lengths[:, None]  # (B, L)
    ids = np.full(mask.shape, pad_id, np.int64)
    ids[mask] = table.ids[(starts[:, None] + position)[mask]]
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def without_prompts(mask: Tensor, prompt_lengths: np.ndarray) -> Tensor:
    """The mask (B, L) without the first `prompt_lengths` (B,) real tokens of each text."""
    position = mask.cumsum(dim=1)  # (B, L), 1 at the first real token
    return mask * (position > torch.from_numpy(prompt_lengths)[:, None])


def token_batches(lengths: np.ndarray, budget: int, equal: bool = False) -> list[np.ndarray]:
    """Indices in batches, longest first: rows x longest row <= `budget` tokens, at least one row.

    Longest first: memory peaks in the first batch and not an hour into the work.

    equal: only rows of the same length share a batch.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = []
    while len(order):
        longest = max(1, int(lengths[order[0]]))
        size = max(1, budget // longest)
        if equal:
            size = min(size, np.count_nonzero(lengths[order] == lengths[order[0]]))
        batches.append(order[:size])
        order = order[size:]
    return batches
