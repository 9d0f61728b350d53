"""The options of sweep.py: the sweep, its folds, its search."""

from dataclasses import dataclass, field
from typing import Any, Literal

from jsonargparse.typing import NonNegativeInt

from sbert.atomic import check_run_name
from sbert.errors import require
from sbert.training.config import Seed


@dataclass
class FoldsConfig:
    """Cross-validation: each run tests on one fold of the base's training data and trains on the
    rest. The base's dev sets are used as they are; its test sets are not used.

    Args:
        number: number of folds, and so of runs.
        group: a column whose equal values stay in one fold, or row: every row may go to any fold.
    """

    number: int
    group: str | None = None


@dataclass
class SpaceConfig:
    """The search space of one option: a list of choices, or a range of numbers.

    Args:
        low: lower bound. If both bounds are integers, only integers are tried.
        high: upper bound.
        log: sample on a logarithmic scale.
        choices: the values to choose from, instead of a range.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: list[Any] | None = None


@dataclass
class SearchConfig:
    """Hyper-parameter search by Optuna's multivariate TPE. A trial's score is the mean over its
    seeds and folds of the mean main metric of the dev sets, or, with folds, of the held-out fold.
    No trial evaluates the base's test sets.

    Args:
        options: the search space: {option: {low, high, log} or {choices}}.
        set: options of the trials alone, such as {data.train.*.limit: 0.25} to search on a part of
            the rows.
        retrain: after the trials, train once more for each seed with the options of the best trial,
            on all rows of the base, without folds and without this set, and evaluate the base's
            test sets. The models are kept.
        trials: number of trials, including pruned ones.
        startup: random trials before TPE starts, and completed ones before pruning starts.
        prune: stop a trial whose mean so far is below the median of the means of the completed
            trials after the same number of runs.
        seed: seed of the search.
    """

    options: dict[str, SpaceConfig]
    set: dict[str, Any] = field(default_factory=dict)
    retrain: bool = False
    trials: int = 40
    startup: int = 10
    prune: bool = True
    seed: NonNegativeInt = 0


@dataclass
class SweepConfig:
    """Many runs of train.py, one table. Options of runs are dotted as on the command line of
    train.py; list entries are named by index, or * for all, as in data.train.0.limit. In a string,
    {seed}, {fold}, {size}, {variant} and {option} of the grid stand for the run's value.

    Args:
        name: name of the sweep and of its folder in runs.
        base: a configuration file of train.py.
        set: options of every run, applied to the base.
        variants: named sets of options; each is a row of the table.
        grid: {option: list of values}; all combinations are run.
        sizes: values for the limit of every training set. With one limit_seed, larger sets contain
            the smaller ones.
        seeds: values for loop.seed.
        folds: cross-validation.
        search: hyper-parameter search, instead of variants, grid and sizes.
        jobs: number of runs at a time; they share the cores.
        keep: what to keep of a finished run besides its results: best, the model; last, the state
            to resume from.
        metrics: metrics in the table, such as pearson_cosine; null: each dataset's main metric.
        baseline: the row that the others are compared with on the test sets; null: the first.
        figure: draw the table for each dataset: learning_curve over sizes, or bars.
        published: the paper's results x 100 by table row, as a column to compare with.
        runs: the folder of all sweeps.
    """

    name: str
    base: str
    set: dict[str, Any] = field(default_factory=dict)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    sizes: list[int | float] = field(default_factory=list)
    seeds: list[Seed] = field(default_factory=list)
    folds: FoldsConfig | None = None
    search: SearchConfig | None = None
    jobs: int = 1
    keep: list[Literal["best", "last"]] = field(default_factory=list)
    metrics: list[str] | None = None
    baseline: str | None = None
    figure: Literal["learning_curve", "bars"] | None = None
    published: dict[str, float] = field(default_factory=dict)
    runs: str = "runs/sweeps"

    def __post_init__(self):
        check_run_name(self.name)
        require(self.jobs >= 1, f"jobs is {self.jobs}; it must be 1 or more")
        require(
            not self.folds or self.folds.group is not None,
            "folds needs group: the column whose equal values stay in one fold, or row",
        )
        require(
            not (self.folds and self.sizes),
            "sizes and folds cannot be combined: a fold has fewer rows than a size asks for",
        )
        require(
            not (self.search and (self.variants or self.grid or self.sizes)),
            "search replaces variants, grid and sizes; remove them",
        )
        require(
            not (self.search and (self.figure or self.published)),
            "search has its own table; remove figure and published",
        )
        require(
            not (self.search and self.metrics and not self.search.retrain),
            "metrics are those of the test sets, which a search evaluates with search.retrain "
            "alone; set it, or remove metrics",
        )
        require(
            self.sizes or self.figure != "learning_curve",
            "figure learning_curve needs sizes; set sizes, or use figure: bars",
        )
