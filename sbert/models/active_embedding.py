"""Word embeddings of which only those are trained that occur in training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ActiveEmbedding(nn.Module):
    """An embedding of V rows, of which V' are trained, and the others left to the weight decay.

    A row that no batch looks up has the gradient 0 at every step, and so have AdamW's moments m and
    v. Of its update (Loshchilov and Hutter 2019, arXiv 1711.05101) with the decay d only a factor
    is left, the same for all such rows:

        w <- w - lr d w - lr m / (sqrt(v) + eps) = (1 - lr d) w

    So they need no gradient and no moments, but the product of these factors alone. It is `scale`,
    a trained weight with the gradient 0, to which the optimiser does what it would do to them.

    weight: (V', E), trained. idle: (V - V', E), as they were at the start. scale: (1, 1).

    Args:
        embedding: of V rows.
        occurs: (V,), which rows are trained. Others cannot be looked up.
    """

    def __init__(self, embedding: nn.Embedding, occurs: Tensor):
        super().__init__()
        table = embedding.weight.detach()
        self.weight = nn.Parameter(table[occurs])
        self.idle = nn.Parameter(table[~occurs], requires_grad=False)
        self.scale = nn.Parameter(table.new_ones(1, 1))  # a matrix, for these decay
        row = torch.where(occurs, occurs.cumsum(0) - 1, -1)  # (V,), of `weight`
        self.register_buffer("row", row.int(), persistent=False)
        self.padding_idx = embedding.padding_idx
        self.padding_row = None if self.padding_idx is None else int(row[self.padding_idx])

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) -> (B, L, E)."""
        embedded = F.embedding(self.row[ids], self.weight, self.padding_row)
        return embedded + 0 * self.scale  # without a gradient it would not decay

    @torch.no_grad()
    def whole(self) -> nn.Embedding:
        """A copy of all V rows as they are now."""
        trained = self.row >= 0
        table = self.weight.new_empty(len(trained), self.weight.shape[1])
        table[~trained] = self.idle
        table *= self.scale
        table[trained] = self.weight
        return nn.Embedding.from_pretrained(table, padding_idx=self.padding_idx)


@contextmanager
def whole_word_embeddings(transformer: nn.Module) -> Iterator[None]:
    """Ordinary word embeddings inside the block in place of an `ActiveEmbedding`, if there is one:
    for texts of any tokens, and to save."""
    active = transformer.get_input_embeddings()
    if not isinstance(active, ActiveEmbedding):
        yield
        return
    transformer.set_input_embeddings(active.whole())
    try:
        yield
    finally:
        transformer.set_input_embeddings(active)
