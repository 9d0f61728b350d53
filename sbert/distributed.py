"""Work shared between the processes of `accelerate launch`. With one process every function is the plain call."""

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from sbert.batching import unique


def share(rows: np.ndarray, rank: int, processes: int, accumulate: int) -> list[tuple[np.ndarray, float]]:
    """The rows of a global batch that one process computes, in `accumulate` parts, each with the weight of its loss.

    Rows are dealt in turn, so that rows sorted by length give every process the like. With loss_p the mean over part p
    of process r, the mean over processes of sum_p weight_p loss_p is the mean over the whole batch, whatever the number
    of processes and parts, also where they do not divide it. A part that would be empty repeats a row at weight 0, so
    that every process takes part in every exchange of gradients.
    """
    parts = []
    for i in range(accumulate):
        part = rows[rank::processes][i::accumulate]
        parts.append((part, len(part) * processes / len(rows)) if len(part) else (rows[:1], 0.0))
    return parts


def spread(accelerator: Accelerator, compute: Callable[[list], np.ndarray], items: list) -> np.ndarray:
    """`compute(items)`, one row of float32 an item: every process computes its share of the distinct items and all receive
    the result."""
    processes = accelerator.num_processes
    if processes == 1:
        return compute(items)
    distinct, index = unique(items)
    own = compute(distinct[accelerator.process_index :: processes])
    padded = np.zeros((-(-len(distinct) // processes), *own.shape[1:]), np.float32)
    padded[: len(own)] = own
    parts = accelerator.gather(torch.from_numpy(padded).to(accelerator.device)).cpu()
    dealt = parts.view(processes, *padded.shape).transpose(0, 1).reshape(-1, *own.shape[1:])
    return dealt.numpy()[index]


def mean_over_processes(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The mean of a tensor over all processes, on the CPU."""
    return accelerator.reduce(values, reduction="mean").cpu()


def random_states(accelerator: Accelerator) -> dict[str, Tensor]:
    """The states of the generators that dropout draws from, of every process: name -> (W, bytes)."""
    states = {"cpu": torch.get_rng_state()}
    if accelerator.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(accelerator.device)
    return {name: accelerator.gather(state[None].to(accelerator.device)).cpu() for name, state in states.items()}


def set_random_states(accelerator: Accelerator, states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"][accelerator.process_index])
    if "cuda" in states and accelerator.device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"][accelerator.process_index], accelerator.device)
