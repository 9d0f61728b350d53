"""The gradient of a loss that compares all rows of a batch, computed part by part.

Gradient caching (Gao et al. 2021, arXiv 2101.06983, section 3.2). The loss L of a batch needs all
its embeddings E at once, but the gradient with respect to the model's weights w,

    dL/dw = sum_i <dL/dE_i, dE_i/dw>,

needs the graph of one row at a time. So a batch that does not fit into memory is computed in three
steps:

1. embed all parts of the batch without a graph, keeping the random state before each part;
2. compute the loss of the whole batch, and its gradient G with respect to every embedding;
3. embed each part again, with a graph and the same dropout, and backpropagate <G, E> of the part.

Memory is that of one part, and the gradient that of the whole batch in one part. Several processes
share a batch in the same way: each embeds its own rows, step 2 gathers the embeddings of all, and
each process backpropagates its own rows.

Shapes: B rows of a batch, R of them in this process or part, C columns, H embedding.
"""

import contextlib

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sbert import distributed
from sbert.losses.base import Loss


def sync_gradients(
    accelerator: Accelerator, module: nn.Module, enabled: bool
) -> contextlib.AbstractContextManager:
    """Whether processes exchange their gradients in a backward pass: in that of the last part."""
    return contextlib.nullcontext() if enabled else accelerator.no_sync(module)


class GradientCache:
    """The three steps for one batch, whose rows `distributed.share_rows` divides into parts.

    texts: (B, C). labels: (B,), (B, K) or None. accumulate: the number of parts in each process.
    which: the number of the loss in its objective.
    """

    def __init__(
        self,
        loss: Loss,
        texts: Tensor,
        labels: Tensor | None,
        accelerator: Accelerator,
        accumulate: int,
        which: int = 0,
    ):
        self.loss = loss
        self.which = which
        self.texts = texts.to(accelerator.device)
        self.labels = None if labels is None else labels.to(accelerator.device)
        self.accelerator = accelerator
        # rows[process][part]: positions in the batch; a part of weight 0 repeats a row and has none
        self.rows: list[list[np.ndarray]] = []
        for rank in range(accelerator.num_processes):
            shares = distributed.share_rows(
                np.arange(len(texts)), rank, accelerator.num_processes, accumulate
            )
            self.rows.append([part if weight else part[:0] for part, weight in shares])
        self.own_rows = self.rows[accelerator.process_index]
        self.random_states: list[dict[str, Tensor]] = []

    def backward(self, objective: nn.Module, batches: list[dict[str, Tensor]]) -> Tensor:
        """Add the gradient of the batch's loss to the weights, and return the loss.

        batches: the parts of this process.
        """
        if len(batches) == 1:  # one graph fits into memory: one forward pass does steps 1 and 3
            embeddings = objective(batches[0], self.which, embed_only=True)
            self.compute_gradient(embeddings.detach()[: len(self.own_rows[0])])
            self.accelerator.backward(self.surrogate(0, embeddings))
            return self.loss_value
        self.compute_gradient(self.embed_parts(objective, batches))
        for part, batch in enumerate(batches):
            with sync_gradients(self.accelerator, objective, enabled=part == len(batches) - 1):
                # the dropout of step 1 again
                distributed.set_random_state(self.accelerator.device, self.random_states[part])
                embeddings = objective(batch, self.which, embed_only=True)
                self.accelerator.backward(self.surrogate(part, embeddings))
        return self.loss_value

    @torch.no_grad()
    def embed_parts(self, objective: nn.Module, batches: list[dict[str, Tensor]]) -> Tensor:
        """Step 1: the embeddings (R, C, H) of this process's rows, part after part, no graph."""
        embeddings = []
        for batch, rows in zip(batches, self.own_rows, strict=True):
            self.random_states.append(distributed.random_state(self.accelerator.device))
            embeddings.append(objective(batch, self.which, embed_only=True)[: len(rows)])
        return torch.cat(embeddings)

    def compute_gradient(self, embeddings: Tensor) -> None:
        """Step 2: from the embeddings (R, C, H) of this process, the loss of all B rows.

        Keeps its value, its gradient at all embeddings, (B, C, H), and at the weights of the loss
        itself. All processes compute the same.
        """
        rows_by_process = [np.concatenate(parts) for parts in self.rows]
        embeddings = distributed.gather_in_order(self.accelerator, embeddings, rows_by_process)
        self.loss_weights = [p for p in self.loss.parameters() if p.requires_grad]
        embeddings.requires_grad_()  # (B, C, H)
        loss = self.loss(embeddings.unbind(1), self.labels, self.texts)
        self.loss_value = loss.detach()
        self.gradient, *self.loss_gradients = torch.autograd.grad(
            loss, [embeddings, *self.loss_weights], materialize_grads=True
        )

    def surrogate(self, part: int, embeddings: Tensor) -> Tensor:
        """Step 3: <G, E> of one part, (R, C, H), whose gradient is its share of dL/dw.

        The last part also has the gradient with respect to the weights of the loss itself.
        """
        rows = torch.from_numpy(self.own_rows[part]).to(embeddings.device)
        # processes average their gradients, but no two share a row: here their sum is needed
        gradient = self.accelerator.num_processes * self.gradient[rows]
        surrogate = (gradient * embeddings[: len(rows)]).sum()
        if part == len(self.own_rows) - 1:
            # every process has this gradient in full, and so has their average
            for weight, loss_gradient in zip(self.loss_weights, self.loss_gradients, strict=True):
                surrogate = surrogate + (loss_gradient * weight).sum()
        return surrogate
