"""Work shared between the processes of `accelerate launch`. With one process every function is the plain call."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor

from sbert.texts import unique

T = TypeVar("T")


def share_rows(
    rows: np.ndarray, rank: int, processes: int, accumulate: int
) -> list[tuple[np.ndarray, float]]:
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


def compute_shared(
    accelerator: Accelerator, compute: Callable[[list], np.ndarray], items: list
) -> np.ndarray:
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


def compute_row_slices(
    accelerator: Accelerator, compute: Callable[[slice], tuple[Tensor, ...]], count: int
) -> tuple[Tensor, ...]:
    """`compute(rows)`, tensors with one row for each of `count` rows: every process computes a slice of them, and all receive
    the result, on the CPU."""
    processes = accelerator.num_processes
    if processes == 1:
        return compute(slice(0, count))
    size = -(-count // processes)
    first = min(count, accelerator.process_index * size)
    own = compute(slice(first, min(count, first + size)))
    gathered = []
    for part in own:
        padded = part.new_zeros(size, *part.shape[1:])
        padded[: len(part)] = part
        gathered.append(accelerator.gather(padded.to(accelerator.device)).cpu()[:count])
    return tuple(gathered)


def gather_rows(accelerator: Accelerator, rows: Tensor) -> Tensor:
    """The rows of all processes, which may have different numbers of them, on the CPU."""
    if accelerator.num_processes == 1:
        return rows
    counts = accelerator.gather(torch.tensor([len(rows)], device=accelerator.device)).tolist()
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = accelerator.gather(padded.to(accelerator.device)).cpu().split(max(1, max(counts)))
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=False)] or [rows])


def broadcast(accelerator: Accelerator, value: T) -> T:
    """The main process's value, in every process: what a file says may be another thing to each, since one of them writes it."""
    return broadcast_object_list([value if accelerator.is_main_process else None])[0]


def mean_over_processes(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The mean of a tensor over all processes, on the CPU."""
    return accelerator.reduce(values, reduction="mean").cpu()


def gather_in_order(accelerator: Accelerator, own: Tensor, places: list[np.ndarray]) -> Tensor:
    """The rows that all processes computed, in order: row j of process r is row places[r][j] of the result, without a
    gradient."""
    if accelerator.num_processes == 1:
        parts = [own]
    else:
        padded = own.new_zeros(max(map(len, places)), *own.shape[1:])
        padded[: len(own)] = own
        parts = accelerator.gather(padded).split(len(padded))
    index = torch.from_numpy(np.concatenate(places)).to(own.device)
    rows = torch.cat([part[: len(place)] for part, place in zip(parts, places, strict=True)])
    return torch.empty_like(rows).index_copy(0, index, rows)


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of the generators that dropout draws from, of this process."""
    cuda = {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"cpu": torch.get_rng_state()} | cuda


def set_random_state(device: torch.device, state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


def random_states(accelerator: Accelerator) -> dict[str, Tensor]:
    """The states of all processes: name -> (W, bytes)."""
    states = random_state(accelerator.device)
    return {
        name: accelerator.gather(state[None].to(accelerator.device)).cpu()
        for name, state in states.items()
    }


def set_random_states(accelerator: Accelerator, states: dict[str, Tensor]) -> None:
    rank = accelerator.process_index
    # a copy: torch reads a view of a row from the beginning of its storage
    set_random_state(
        accelerator.device, {name: state[rank].clone() for name, state in states.items()}
    )
