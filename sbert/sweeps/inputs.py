"""The inputs of the runs of a sweep: checked and counted before the first run starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sbert.data.leakage import check_held_out, check_names, read_held_out
from sbert.data.rows import Rows, read_dataset
from sbert.errors import InputError, require
from sbert.models.folders.backbone import is_local, locate_folder
from sbert.models.loading import teacher_fingerprint
from sbert.sweeps.plan import PlannedRun


class RowCounts(NamedTuple):
    """The rows that a run trains on, and those of its dev and test sets."""

    train: int
    evaluated: int


def check_inputs(runs: Sequence[PlannedRun], chained: bool = False) -> list[RowCounts]:
    """Read the datasets of all runs, each once, and check that their local model folders exist.

    Returns the number of rows of each run.

    Args:
        chained: whether a run may start from the model that an earlier one will leave.

    Raises:
        InputError: names the run, and the data or model that is missing or wrong.
    """
    made: set[Path] = set()  # the models of earlier runs
    read: dict[str, Rows] = {}
    held_out: dict[str, dict[str, str]] = {}
    counts = []
    for run in runs:
        data, size = run.config.data, run.axes.get("size", 0)
        try:
            for dataset in [*data.train, *data.dev, *data.test]:
                if repr(dataset) not in read:
                    read[repr(dataset)] = read_dataset(dataset, fingerprint_of=teacher_fingerprint)
            if repr(data.held_out) not in held_out:
                held_out[repr(data.held_out)] = read_held_out(data.held_out)
            train = [read[repr(dataset)] for dataset in data.train]
            evaluated = [read[repr(dataset)] for dataset in [*data.dev, *data.test]]
            check_names(evaluated)
            check_held_out(train, evaluated)
            for rows in train:
                require(
                    len(rows) >= size,
                    f"size {size:,} is more than the {len(rows):,} rows of {rows.name}",
                )
            _check_start(run.config.model.path, made, chained)
        except InputError as error:
            raise InputError(f"run {run.label}: {error}") from None
        made.add(run.folder / "best")
        counts.append(RowCounts(sum(map(len, train)), sum(map(len, evaluated))))
    return counts


def _check_start(model: str, made: set[Path], chained: bool) -> None:
    """Refuse a model folder that does not exist and will not."""
    if Path(model) in made:
        require(
            chained,
            f"model.path {model} is the model of an earlier run of this sweep; set keep: [best], "
            "and jobs to 1",
        )
    elif is_local(model):
        locate_folder(model)


def describe_counts(counts: Sequence[RowCounts]) -> str:
    """For example: 3 runs that train on 5,749 to 22,996 rows and evaluate 11,516."""
    runs = "1 run that trains" if len(counts) == 1 else f"{len(counts)} runs that train"
    trained = _range([run.train for run in counts])
    evaluated = _range([run.evaluated for run in counts])
    verb = "evaluates" if len(counts) == 1 else "evaluate"
    return f"{runs} on {trained} rows and {verb} {evaluated}"


def _range(numbers: Sequence[int]) -> str:
    return " to ".join(dict.fromkeys([f"{min(numbers):,}", f"{max(numbers):,}"]))
