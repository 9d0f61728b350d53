"""Which rows of a dataset are used: those that are not skipped, its `limit`, `limit_seed` and
`beyond`, and its folds.
"""

import math
from collections import Counter

import numpy as np

from sbert.data.config import DatasetConfig
from sbert.data.schema import ROW, Schema, TextField, check_text
from sbert.errors import InputError, require


def skip_reason(
    line: dict, texts: list[TextField], schema: Schema, config: DatasetConfig, location: str
) -> str | None:
    """Why a line is skipped on purpose; None if its row is used.

    Raises:
        InputError: a field that is not a text, or is empty where `skip_empty` is off.
    """
    for column, value in (config.where or {}).items():
        if not _is_value(line[column], value):
            return f"{column} is not {value}"
    if schema.task == "nli" and schema.label and str(line[schema.label]) in ("-", "-1"):
        return f"no gold label ({line[schema.label]})"
    for index, (column, text) in enumerate(texts):
        optional = index > 2  # a row may lack negatives after the first
        if optional and text is None:
            continue
        check_text(column, text, location)
        if not optional and not text.strip():
            if config.skip_empty:
                return f"empty {column}"
            raise InputError(
                f"{location}: {column} is empty; fill it, or set skip_empty to skip such rows"
            )
    return None


def _is_value(field: object, value: str | bool | int | float) -> bool:
    """Whether a field has a value of `where`: the same number, or the same text.

    The text of true may be True or TRUE.
    """
    if isinstance(value, bool):
        return str(field).lower() == str(value).lower()
    return field == value or (field is not None and str(field) == str(value))


def limited_rows(
    n: int, limit: int | float | None, seed: int, beyond: int | float | None = None
) -> np.ndarray:
    """Sorted indices, among n rows, of those that `limit` keeps: (min(limit, n),) int64.

    They are a prefix of one permutation, so a larger limit contains a smaller one. `beyond` first
    removes the prefix that it names.

    Raises:
        InputError: a limit that is neither a count nor a share of rows, or no row left.
    """
    if limit is None and beyond is None:
        return np.arange(n)
    order = np.random.default_rng(seed).permutation(n)
    if beyond is not None:
        order = order[_row_count(n, beyond, "beyond") :]
        require(len(order), f"beyond {beyond}: leaves none of the {n:,} rows")
    if limit is not None:
        order = order[: _row_count(n, limit, "limit")]
    return np.sort(order)


def _row_count(n: int, value: int | float, option: str) -> int:
    """A number of rows, or a share of n below 1, as a number of rows."""
    require(
        not (isinstance(value, float) and value == 1),
        f"{option} 1.0: write 1 for one row; for all rows leave {option} out",
    )
    is_share = 0 < value < 1
    count = round(n * value) if is_share else value
    require(
        count or not is_share,
        f"{option} {value}: is less than one of the {n:,} rows; give a larger share, or a whole "
        "number of rows",
    )
    require(
        math.isfinite(count) and count >= 1 and count == int(count),
        f"{option} {value}: must be a whole number of rows, or a share of them between 0 and 1",
    )
    return int(count)


def select_rows(
    config: DatasetConfig, n: int, skipped: Counter, in_part: np.ndarray | None = None
) -> np.ndarray:
    """Sorted indices of the rows that a dataset uses; the others are counted in `skipped`.

    in_part: (n,) bool, of a dataset with folds: whether a row is in its part.
    """
    try:
        keep = limited_rows(n, config.limit, config.limit_seed, config.beyond)
    except InputError as error:
        raise InputError(f"dataset {config.path}: {error}") from None
    if len(keep) < n:
        reasons = {
            f"the {config.beyond} before beyond": config.beyond,
            f"beyond limit {config.limit}": config.limit,
        }
        given = [reason for reason, option in reasons.items() if option is not None]
        skipped[" and ".join(given)] = n - len(keep)
    if in_part is None:
        return keep
    fold = f"fold {config.fold} of {config.folds}"
    used = keep[in_part[keep]]
    require(
        len(used),
        f"dataset {config.path}: part {config.part} of {fold} has none of the {len(keep):,} rows",
    )
    side = "in" if config.part == "rest" else "outside"
    skipped[f"{side} {fold}"] = len(keep) - len(used)
    return used


def check_folds(config: DatasetConfig) -> None:
    """Raise `InputError` where the options of folds do not go together."""
    dataset = f"dataset {config.path}"
    if config.folds is None:
        for option, unset in (("fold", None), ("group", None), ("part", "rest")):
            value = getattr(config, option)
            require(value == unset, f"{dataset}: {option} {value} needs folds, the number of folds")
        return
    require(config.folds >= 2, f"{dataset}: folds is {config.folds}; it must be 2 or more")
    require(
        config.group is not None,
        f"{dataset}: folds needs group: a column whose equal values stay in one fold, or {ROW}",
    )
    require(
        config.fold is not None and 1 <= config.fold <= config.folds,
        f"{dataset}: fold is {config.fold}; it must be 1 to {config.folds}",
    )


def rows_in_part(config: DatasetConfig, groups: list[str | int], location: str) -> np.ndarray:
    """Which lines of a file belong to the dataset's part of its folds: (N,) bool.

    groups: (N,), of every line. Skipped lines count too, so that files that differ only in what is
    skipped have the same folds.

    Raises:
        InputError: more folds than groups.
    """
    distinct = len(set(groups))
    unit = "rows" if config.group == ROW else f"distinct values in column {config.group}"
    require(
        distinct >= config.folds,
        f"{location}: folds is {config.folds}, but there are {distinct} {unit}; "
        f"set folds to {distinct} or fewer",
    )
    if config.group == ROW:
        numbers = folds_by_row(len(groups), config.folds, config.limit_seed)
    else:
        numbers = folds_by_group(groups, config.folds, config.limit_seed)
    return (numbers == config.fold) == (config.part == "fold")


def folds_by_group(groups: list[str], folds: int, seed: int) -> np.ndarray:
    """The fold, 1 to `folds`, of each line (N,) by its group.

    The groups are shuffled, sorted by falling size, and each goes to the fold with the fewest lines
    so far. Fold sizes differ by at most the size of the largest group.
    """
    counts = Counter(groups)
    names = sorted(counts)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    sizes = np.zeros(folds, int)
    fold_of = {}
    for name in sorted(shuffled, key=counts.get, reverse=True):
        fold_of[name] = sizes.argmin()
        sizes[fold_of[name]] += counts[name]
    return np.array([fold_of[name] for name in groups]) + 1


def folds_by_row(n: int, folds: int, seed: int) -> np.ndarray:
    """The fold, 1 to `folds`, of each of n lines by its number: (n,).

    Each run of `folds` consecutive lines has one line in every fold. The fold of a line does not
    depend on n: files of any length have the same folds.
    """
    generator = np.random.default_rng(seed)
    rounds = [generator.permutation(folds) for _ in range(math.ceil(n / folds))]
    return np.concatenate(rounds)[:n] + 1
