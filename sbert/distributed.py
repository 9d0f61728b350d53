"""Work shared between the processes of `accelerate launch`. With one process every function is the plain call."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from sbert.batching import unique
from sbert.bi_encoder import BiEncoder, Precision


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


def encode(accelerator: Accelerator, model: BiEncoder, texts: list[str], precision: Precision) -> np.ndarray:
    """`model.encode(texts)`, every process computing its share of the distinct texts and all receiving the result."""
    processes = accelerator.num_processes
    if processes == 1:
        return model.encode(texts, precision)
    distinct, index = unique(texts)
    own = model.encode(distinct[accelerator.process_index :: processes], precision)
    padded = np.zeros((-(-len(distinct) // processes), model.dim), np.float32)
    padded[: len(own)] = own
    parts = accelerator.gather(torch.from_numpy(padded).to(accelerator.device)).cpu()
    dealt = parts.view(processes, -1, model.dim).transpose(0, 1).reshape(-1, model.dim)
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
