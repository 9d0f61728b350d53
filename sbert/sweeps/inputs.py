"""The inputs of the runs of a sweep: checked and counted before the first run starts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sbert.data.leakage import read_held_out
from sbert.data.rows import read_dataset
from sbert.errors import InputError, require
from sbert.models.folders.backbone import is_local, locate_folder
from sbert.sweeps.plan import PlannedRun
from sbert.training.datasets import read_run_data, read_training_sets


class RowCounts(NamedTuple):
    """The rows that a run trains on, and those of its dev and test sets."""

    train: int
    evaluated: int


def check_inputs(runs: Sequence[PlannedRun], chained: bool = False) -> list[RowCounts]:
    """Check the data of all runs as train.py does, and that their local model folders exist. Each
    dataset is read once.

    Returns the number of rows of each run.

    Args:
        chained: whether a run may start from the model that an earlier one will leave.

    Raises:
        InputError: names the run, and the data or model that is missing or wrong.
    """
    made: set[Path] = set()  # the models of earlier runs
    read, read_texts = _once(read_dataset), _once(read_held_out)
    counts = []
    for run in runs:
        try:
            data = read_run_data(run.config, read, read_texts)
            if "size" in run.axes:
                _check_size(run, read)
            _check_start(run.config.model.path, made, chained)
        except InputError as error:
            raise InputError(f"run {run.label}: {error}") from None
        made.add(run.folder / "best")
        counts.append(RowCounts(sum(map(len, data.train)), sum(map(len, data.evaluated))))
    return counts


def _once(function: Callable) -> Callable:
    """The function, which is called once with the same arguments, by what they print as."""
    results: dict[str, Any] = {}

    def call(*arguments):
        key = repr(arguments)
        if key not in results:
            results[key] = function(*arguments)
        return results[key]

    return call


def _check_size(run: PlannedRun, read: Callable) -> None:
    """Refuse a size that is more than all rows of a training set."""
    size = run.axes["size"]
    for rows in read_training_sets(run.config, read):
        require(
            len(rows) >= size,
            f"size {size:,} is more than the {len(rows):,} rows of {rows.name}",
        )


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
