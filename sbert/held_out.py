"""What the datasets of a run may not share: the names of those evaluated; the rows of those trained on and those evaluated."""

import itertools

import numpy as np

from sbert.data import Rows
from sbert.errors import InputError
from sbert.retrieval import Retrieval


def check_names(datasets: list[Rows | Retrieval]) -> None:
    """Refuse two evaluated datasets of one name: their metrics would be one curve."""
    names = [rows.name for rows in datasets]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"data: two evaluated datasets are called {name}; give one of them another name")


def check_held_out(train: list[Rows], held_out: list[Rows | Retrieval]) -> None:
    """Refuse a line of a file, and a group of rows, that is trained on and evaluated."""
    for rows, trained in itertools.product(held_out, train):
        if rows.file == trained.file and len(shared := np.intersect1d(rows.lines, trained.lines)):
            raise InputError(
                f"data: {rows.name} is evaluated on {len(shared):,} rows that {trained.name} trains on, from line {shared[0]} of "
                f"{rows.file}; part them by limit of the one and beyond of the other, with the same limit_seed"
            )
        if shared := set(rows.groups or []) & set(trained.groups or []):
            raise InputError(
                f"data: {rows.name} is evaluated on rows of group {min(shared, key=str)}, and {trained.name} trained on such; "
                "datasets with common groups need the same groups in their files, and the same folds, fold and limit_seed"
            )
