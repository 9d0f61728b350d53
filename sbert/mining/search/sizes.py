"""How much a device computes at a time."""

from dataclasses import dataclass

import torch

GIB = 2**30


@dataclass(frozen=True)
class Sizes:
    """How much is computed at a time. It bounds the memory, and changes no result.

    Attributes:
        queries: for which a block of the corpus is searched at a time.
        corpus: vectors of a block.
        vectors: that are read, scaled and rounded at a time.
        scores: of a tile of the fast pass.
        pairs: that are multiplied exactly at a time.
        queued: the device computes what is queued while Python goes on; to read a number or the
            size of a result waits for all of it, and a copy for the bus. False for a CPU.
    """

    queries: int
    corpus: int
    vectors: int
    scores: int
    pairs: int
    queued: bool


# what is computed stays in the cache
CPU = Sizes(queries=1024, corpus=2**17, vectors=256, scores=2**22, pairs=512, queued=False)


def device_sizes(free: int, width: int) -> Sizes:
    """Of a device with so many free bytes, for vectors of H = `width` numbers.

    The block and the queries take a quarter each at most: 4 bytes a number, and 4 rounded. An
    eighth is for a tile, a sixteenth for its largest scores in groups; pairs and vectors that are
    prepared take 24 bytes a number while they are.
    """
    vector = 8 * max(1, width)
    prepared = max(1, min(2**18, free // 16 // (3 * vector)))
    return Sizes(
        queries=4096,
        corpus=max(1, free // 4 // vector),
        vectors=prepared,
        scores=max(2**20, min(2**30, free // 8 // 4)),
        pairs=prepared,
        queued=True,
    )


def sizes_for(device: torch.device, width: int) -> Sizes:
    """The sizes that suit a device and its free memory."""
    if device.type == "cpu":
        return CPU
    return device_sizes(_free_bytes(device), width)


def _free_bytes(device: torch.device) -> int:
    if device.type != "cuda":
        return 4 * GIB  # torch cannot tell
    free = torch.cuda.mem_get_info(device)[0]
    # what torch keeps for later use
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept
