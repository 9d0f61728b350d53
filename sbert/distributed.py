"""Work shared between the W processes of `accelerate launch`; with one process, the plain call."""

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
    rows: np.ndarray, rank: int, processes: int, accumulate: int, targets: np.ndarray | None = None
) -> list[tuple[np.ndarray, float]]:
    """The rows of a global batch (B,) that one process computes, in `accumulate` parts, each with
    the weight of its loss.

    Rows are dealt in turn, so that rows sorted by length give every process similar lengths. With
    loss_p the mean over part p of process r, the mean over processes of sum_p weight_p loss_p is
    the mean over the whole batch, for any number of processes and parts, also where they do not
    divide it. A part that would be empty repeats a row with weight 0, so that every process takes
    part in every exchange of gradients.

    targets: (B,), how many values of each row a loss is the mean over; None: one.
    """
    targets = np.ones(len(rows), int) if targets is None else targets
    parts = []
    for i in range(accumulate):
        part = rows[rank::processes][i::accumulate]
        if len(part):
            own = int(targets[rank::processes][i::accumulate].sum())
            parts.append((part, own * processes / int(targets.sum())))
        else:
            parts.append((rows[:1], 0.0))
    return parts


def _gather_padded(accelerator: Accelerator, own: Tensor, size: int) -> Tensor:
    """The rows (R, ...) of every process, padded with zeros to `size` rows -> (W, size, ...)."""
    padded = own.new_zeros(size, *own.shape[1:])
    padded[: len(own)] = own
    gathered = accelerator.gather(padded.to(accelerator.device))
    return gathered.view(accelerator.num_processes, size, *own.shape[1:])


def compute_shared(
    accelerator: Accelerator, compute: Callable[[list], np.ndarray], items: list
) -> np.ndarray:
    """`compute(items)`: one row of float32 per item. Every process computes its share of the
    distinct items, and all receive the whole result (N, ...)."""
    processes = accelerator.num_processes
    if processes == 1:
        return compute(items)
    distinct, index = unique(items)
    own = torch.from_numpy(compute(distinct[accelerator.process_index :: processes]))
    size = -(-len(distinct) // processes)
    shares = _gather_padded(accelerator, own, size).cpu()  # (W, size, ...)
    # item i was computed by process i % W, as its row i // W
    in_order = shares.transpose(0, 1).reshape(-1, *own.shape[1:])
    return in_order.numpy()[index]


def compute_row_slices(
    accelerator: Accelerator, compute: Callable[[slice], tuple[Tensor, ...]], count: int
) -> tuple[Tensor, ...]:
    """`compute(slice(0, count))`: tensors with one row for each of `count` rows. Every process
    computes one slice, and all receive the whole result, on the CPU."""
    processes = accelerator.num_processes
    if processes == 1:
        return compute(slice(0, count))
    size = -(-count // processes)
    first = min(count, accelerator.process_index * size)
    own = compute(slice(first, min(count, first + size)))
    gathered = [_gather_padded(accelerator, part, size).cpu().flatten(0, 1) for part in own]
    return tuple(part[:count] for part in gathered)


def gather_rows(accelerator: Accelerator, rows: Tensor) -> Tensor:
    """The rows of all processes, which may have different numbers of them, on the CPU."""
    if accelerator.num_processes == 1:
        return rows
    count = torch.tensor([len(rows)], device=accelerator.device)
    counts = accelerator.gather(count).tolist()
    parts = _gather_padded(accelerator, rows, max(counts)).cpu()  # (W, size, ...)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def gather_in_order(accelerator: Accelerator, own: Tensor, positions: list[np.ndarray]) -> Tensor:
    """The rows that all processes computed, in the order of the batch, without a gradient.

    Row j of process r is row `positions[r][j]` of the result.
    """
    if accelerator.num_processes == 1:
        parts = [own]
    else:
        parts = _gather_padded(accelerator, own, max(map(len, positions)))
    counts = map(len, positions)
    rows = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
    index = torch.from_numpy(np.concatenate(positions)).to(own.device)
    return torch.empty_like(rows).index_copy(0, index, rows)


def broadcast(accelerator: Accelerator, value: T) -> T:
    """The main process's value, in every process. For what a file says that one process writes,
    and the others might read too early or too late."""
    return broadcast_object_list([value if accelerator.is_main_process else None])[0]


def mean_over_processes(accelerator: Accelerator, values: Tensor) -> Tensor:
    """The mean of a tensor over all processes, on the CPU."""
    return accelerator.reduce(values, reduction="mean").cpu()


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of this process's random generators, which dropout draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_state(device: torch.device, state: dict[str, Tensor]) -> None:
    """Restore what `random_state` returned."""
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
    """Restore this process's part of what `random_states` returned."""
    rank = accelerator.process_index
    # a copy: torch reads a view of a row from the start of its storage
    own = {name: state[rank].clone() for name, state in states.items()}
    set_random_state(accelerator.device, own)
