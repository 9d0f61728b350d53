"""A joint loss over rows whose embeddings several processes, or several parts of one process, compute.

The loss L of a batch needs all its embeddings E at once; the model's gradient is sum_i (dL/dE_i) (dE_i/dw), and each term needs
one row alone. So every process computes its embeddings, receives those of all, computes L and dL/dE (the same everywhere), and
then sends back through the model the surrogate sum_i <dL/dE_i, E_i> of its own rows. Where it computes them in parts, the
embeddings of the first pass are not kept for the second: memory is that of one part, whatever the batch (gradient caching, Gao et
al. 2021, section 3.2). The gradient is that of one process with the whole batch in one part.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from sbert import distributed
from sbert.losses.base import Loss


class GradientCache:
    """One batch: `count` rows, dealt to processes and parts by `distributed.share`."""

    def __init__(
        self,
        loss: Loss,
        texts: Tensor,
        labels: Tensor | None,
        accelerator: Accelerator,
        accumulate: int,
    ):
        self.loss, self.texts, self.labels, self.accelerator = loss, texts, labels, accelerator
        self.processes = accelerator.num_processes
        rows = np.arange(len(texts))
        shares = [
            distributed.share_rows(rows, rank, self.processes, accumulate)
            for rank in range(self.processes)
        ]
        # the rows of the batch of each part of each process; a part of weight 0 has none
        self.places = [[part if weight else part[:0] for part, weight in share] for share in shares]
        self.own = self.places[accelerator.process_index]
        self.states: list[dict[str, Tensor]] = []
        self.gradient: Tensor | None = None

    def surrogate(self, part: int) -> Callable[[Tensor], Tensor]:
        """The function of the embeddings (R, C, H) of one part whose gradient is their share of the loss's; the values of all
        parts sum to the loss. With several parts, `look` comes first."""
        return partial(self._surrogate, part)

    def look(
        self, embed: Callable[[dict, Callable], Tensor], batches: list[dict[str, Tensor]]
    ) -> None:
        """The first pass of several: the embeddings of every part without its graph, then the gradient at them."""
        parts = []
        with torch.no_grad():
            for batch in batches:
                self.states.append(distributed.random_state(self.accelerator.device))
                parts.append(embed(batch, lambda embeddings: embeddings))
        self._pull(parts)

    def rewind(self, part: int) -> None:
        """Have the second pass draw the dropout of the first."""
        if self.states:
            distributed.set_random_state(self.accelerator.device, self.states[part])

    def _pull(self, parts: list[Tensor]) -> None:
        """The loss, and its gradient at all embeddings (B, C, H) and at its own weights."""
        own = torch.cat([part[: len(place)] for part, place in zip(parts, self.own, strict=True)])
        joined = distributed.gather_in_order(
            self.accelerator, own, [np.concatenate(places) for places in self.places]
        )
        self.weights = [p for p in self.loss.parameters() if p.requires_grad]
        with torch.enable_grad():
            joined.requires_grad_()
            self.value = self.loss(joined.unbind(1), self.labels, self.texts)
            self.gradient, *self.pulls = torch.autograd.grad(
                self.value, [joined, *self.weights], materialize_grads=True
            )

    def _surrogate(self, part: int, embeddings: Tensor) -> Tensor:
        if self.gradient is None:
            self._pull([embeddings.detach()])
        place = self.own[part]
        # processes exchange the mean of their gradients; here it is the sum that is wanted, as no two share a row
        pulled = self.processes * self.gradient[torch.from_numpy(place).to(embeddings.device)]
        total = (embeddings[: len(place)] * pulled).sum()
        last = part == len(self.own) - 1
        if last:  # the loss's own gradient is whole in every process
            total = total + sum(
                (w * pull).sum() for w, pull in zip(self.weights, self.pulls, strict=True)
            )
        return total - total.detach() + (self.value.detach() if last else 0)
