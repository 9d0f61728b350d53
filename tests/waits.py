"""Counts what makes Python wait for a GPU, also where the device is the CPU."""

from collections import Counter

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# a number is read, or the size of the result depends on numbers
WAITING = {
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
    "unique_dim",
}
COPYING = {"cpu", "numpy", "to", "tolist"}


class CountWaits:
    """`operators`, `waits` and `copies` between devices while it is entered."""

    def __enter__(self) -> Counter:
        self.counts = Counter(operators=0, waits=0, copies=0)
        self.modes = [_Operators(self.counts), _Copies(self.counts)]
        for mode in self.modes:
            mode.__enter__()
        return self.counts

    def __exit__(self, *error):
        for mode in reversed(self.modes):
            mode.__exit__(*error)


class _Operators(TorchDispatchMode):
    def __init__(self, counts: Counter):
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indices = tree_leaves(args[1]) if name in ("index", "index_put_", "index_put") else []
        by_mask = any(i is not None and i.dtype == torch.bool for i in indices)
        self.counts["operators"] += 1
        self.counts["waits"] += name in WAITING or by_mask
        return func(*args, **(kwargs or {}))


class _Copies(TorchFunctionMode):
    def __init__(self, counts: Counter):
        super().__init__()
        self.counts = counts

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        to_type = name == "to" and args[1:] and isinstance(args[1], torch.dtype)
        self.counts["copies"] += name in COPYING and not to_type
        return func(*args, **(kwargs or {}))
