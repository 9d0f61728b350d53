"""What datasets of one run must not have in common."""

from sbert.data import Rows
from sbert.errors import InputError


def check_names(datasets: list[Rows]) -> None:
    """Refuse two evaluated datasets of one name: their metrics would be one curve."""
    names = [rows.name for rows in datasets]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"data: two evaluated datasets are called {name}; give one of them another name")


def check_folds(train: list[Rows], held_out: list[Rows]) -> None:
    """Refuse a group that is trained on and evaluated: datasets of other groups may be cut otherwise."""
    trained = {group: rows.name for rows in train for group in rows.groups or []}
    for rows in held_out:
        if shared := trained.keys() & set(getattr(rows, "groups", None) or []):  # of retrieval there are none
            group = min(shared, key=str)
            raise InputError(
                f"data: {rows.name} is evaluated on rows of group {group}, and {trained[group]} trained on such; datasets with "
                "common groups need the same groups in their files, and the same folds, fold and limit_seed"
            )
