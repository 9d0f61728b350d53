"""Which rows of a dataset are used: its `limit`, `limit_seed` and `beyond`."""

import math
from collections import Counter

import numpy as np

from sbert.columns import DatasetConfig
from sbert.errors import InputError


def subset(n: int, limit: int | float | None, seed: int, beyond: int | float | None = None) -> np.ndarray:
    """Sorted indices of the rows of n that `limit` keeps: a prefix of one permutation, so that limits nest; without the
    prefix that `beyond` names."""

    def count(value: int | float, name: str) -> int:
        whole = round(n * value) if 0 < value < 1 else value
        if not (math.isfinite(whole) and whole >= 1 and whole == int(whole)):
            raise InputError(f"{name} {value}: needs a whole number of rows, or a share of them between 0 and 1")
        return int(whole)

    order = np.arange(n) if limit is None and beyond is None else np.random.default_rng(seed).permutation(n)
    if beyond is not None:
        order = order[count(beyond, "beyond") :]
        if not len(order):
            raise InputError(f"beyond {beyond}: leaves none of the {n:,} rows")
    return np.sort(order if limit is None else order[: count(limit, "limit")])


def choose(config: DatasetConfig, n: int, skipped: Counter) -> np.ndarray:
    """Sorted indices of the rows of n that a dataset uses; those that it leaves out are counted in `skipped`."""
    keep = subset(n, config.limit, config.limit_seed, config.beyond)
    if len(keep) < n:
        first = "" if config.beyond is None else f"the {config.beyond} before beyond"
        second = "" if config.limit is None else f"beyond limit {config.limit}"
        skipped[" and ".join(filter(None, [first, second]))] = n - len(keep)
    return keep
