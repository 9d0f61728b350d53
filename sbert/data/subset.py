"""Which rows of a dataset are used: its `limit`, `limit_seed` and `beyond`, and its part of a cut into folds."""

import math
from collections import Counter

import numpy as np

from sbert.data.config import DatasetConfig
from sbert.data.schema import ROW
from sbert.errors import InputError


def limited_rows(
    n: int, limit: int | float | None, seed: int, beyond: int | float | None = None
) -> np.ndarray:
    """Sorted indices of the rows of n that `limit` keeps: a prefix of one permutation, so that limits nest; without the
    prefix that `beyond` names."""

    def count(value: int | float, name: str) -> int:
        whole = round(n * value) if 0 < value < 1 else value
        if not (math.isfinite(whole) and whole >= 1 and whole == int(whole)):
            raise InputError(
                f"{name} {value}: needs a whole number of rows, or a share of them between 0 and 1"
            )
        return int(whole)

    order = (
        np.arange(n)
        if limit is None and beyond is None
        else np.random.default_rng(seed).permutation(n)
    )
    if beyond is not None:
        order = order[count(beyond, "beyond") :]
        if not len(order):
            raise InputError(f"beyond {beyond}: leaves none of the {n:,} rows")
    return np.sort(order if limit is None else order[: count(limit, "limit")])


def select_rows(
    config: DatasetConfig, n: int, skipped: Counter, inside: np.ndarray | None = None
) -> np.ndarray:
    """Sorted indices of the rows of n that a dataset uses; those that it leaves out are counted in `skipped`. `inside` (n,): of a
    dataset that is cut into folds, which are in its part."""
    keep = limited_rows(n, config.limit, config.limit_seed, config.beyond)
    if len(keep) < n:
        first = "" if config.beyond is None else f"the {config.beyond} before beyond"
        second = "" if config.limit is None else f"beyond limit {config.limit}"
        skipped[" and ".join(filter(None, [first, second]))] = n - len(keep)
    if inside is None:
        return keep
    fold, of_part = f"fold {config.fold} of {config.folds}", keep[inside[keep]]
    if not len(of_part):
        raise InputError(
            f"dataset {config.path}: part {config.part} of {fold} has none of the {len(keep):,} rows"
        )
    skipped[f"{'in' if config.part == 'rest' else 'outside'} {fold}"] = len(keep) - len(of_part)
    return of_part


def check_folds(config: DatasetConfig) -> None:
    """Refuse options of a cut into folds that do not go together."""
    place = f"dataset {config.path}"
    if config.folds is None:
        for name in ("fold", "group"):
            if getattr(config, name) is not None:
                raise InputError(
                    f"{place}: {name} {getattr(config, name)} goes with folds, their number"
                )
        return
    if config.folds < 2:
        raise InputError(f"{place}: folds is {config.folds}; a cut needs 2 or more")
    if config.group is None:
        raise InputError(
            f"{place}: folds needs group: the column whose equal values stay in one fold, or {ROW}"
        )
    if config.fold is None or not 1 <= config.fold <= config.folds:
        raise InputError(f"{place}: fold is {config.fold}; it must be 1 to {config.folds}")


def fold_numbers(groups: list[str], folds: int, seed: int) -> np.ndarray:
    """The fold, 1 to `folds`, of each line (N,) by its group: the shuffled groups, the large ones first, go one by one to the
    fold that has the fewest lines so far. Fold sizes differ by no more than the largest group."""
    counts = Counter(groups)
    names = sorted(counts)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    sizes, fold_of = np.zeros(folds, int), {}
    for name in sorted(shuffled, key=lambda name: -counts[name]):
        fold_of[name] = sizes.argmin()
        sizes[fold_of[name]] += counts[name]
    return np.array([fold_of[name] for name in groups]) + 1


def fold_numbers_of_rows(n: int, folds: int, seed: int) -> np.ndarray:
    """The fold, 1 to `folds`, of each of n lines by its number: every `folds` lines in a row are dealt to all folds. It does not
    depend on n, so that files of any length are cut alike."""
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.permutation(folds) for _ in range(-(-n // folds))])[:n] + 1


def rows_of_part(config: DatasetConfig, groups: list[str | int], place: str) -> np.ndarray:
    """Which lines (N,), of these groups, belong to a dataset's part of its cut into folds. Lines that are not used count too:
    files that differ in those alone are cut alike.

    Raises:
        InputError: more folds than groups.
    """
    different = len(set(groups))
    if different < config.folds:
        what = "rows" if config.group == ROW else f"different values in column {config.group}"
        raise InputError(
            f"{place}: folds is {config.folds}, and there are {different} {what}; set it to as many or fewer"
        )
    if config.group == ROW:
        numbers = fold_numbers_of_rows(len(groups), config.folds, config.limit_seed)
    else:
        numbers = fold_numbers(groups, config.folds, config.limit_seed)
    return (numbers == config.fold) == (config.part == "fold")
