"""Typed configuration of a sweep: what sweep.py reads."""

from dataclasses import dataclass, field
from typing import Any, Literal

from sbert.errors import InputError


@dataclass
class FoldsConfig:
    """Cross-validation: the training data of the base is cut; of every run, one fold is the test set and the rest trains. Dev
    sets of the base stay, its test sets are not used.

    Args:
        number: of folds, and so of runs.
        group: rows of one value in this column stay in one fold; row: the row's number in its file.
    """

    number: int
    group: str | None = None


@dataclass
class SpaceConfig:
    """The values that a search may give an option: choices, or the numbers from low to high.

    Args:
        low: the least; whole numbers are searched where both ends are whole.
        high: the greatest.
        log: search the logarithm.
        choices: these values instead.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: list[Any] | None = None


@dataclass
class SearchConfig:
    """A search by Optuna's multivariate TPE. A trial is judged by the mean over its seeds and folds of the mean main metric of
    the dev sets; with folds, of the fold, which makes it cross-validation. No test set of the base is looked at.

    Args:
        options: what is searched: {option: {low, high, log} or {choices}}.
        trials: how many, pruned ones among them.
        startup: trials at random, before TPE and pruning begin.
        prune: end a trial whose mean so far is below the median of the trials before, after as many seeds and folds.
        seed: of the search.
    """

    options: dict[str, SpaceConfig]
    trials: int = 40
    startup: int = 10
    prune: bool = True
    seed: int = 0


@dataclass
class SweepConfig:
    """Many runs of train.py, one table. Options of runs are dotted as on the command line of train.py; datasets by number or *,
    as in data.train.0.limit. A text may hold {seed}, {fold}, {size}, {variant}, or {option} of the grid: the run's value.

    Args:
        name: the sweep's folder below runs.
        base: a configuration of train.py.
        set: options of every run, over the base.
        variants: named sets of options, each a row of the table.
        grid: {option: its values}; all combinations are run.
        sizes: the limit of every training set; a larger one contains a smaller one, as long as limit_seed is the same.
        seeds: of loop.seed.
        folds: cross-validation.
        search: a hyper-parameter search, instead of variants, grid and sizes.
        jobs: runs at a time; each gets its share of the cores.
        keep: what stays of a finished run besides its numbers: best, the model; last, to go on training from.
        metrics: columns of the table, by name, as pearson_cosine; null: each dataset's main metric.
        figure: a picture of the table beside it, for each dataset: learning_curve over sizes, or bars.
        published: figures of the paper by the row of the table, x 100, to stand beside ours.
        runs: the folder of all sweeps.
    """

    name: str
    base: str
    set: dict[str, Any] = field(default_factory=dict)
    variants: dict[str, dict[str, Any]] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    sizes: list[int | float] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    folds: FoldsConfig | None = None
    search: SearchConfig | None = None
    jobs: int = 1
    keep: list[Literal["best", "last"]] = field(default_factory=list)
    metrics: list[str] | None = None
    figure: Literal["learning_curve", "bars"] | None = None
    published: dict[str, float] = field(default_factory=dict)
    runs: str = "runs/sweeps"

    def __post_init__(self):
        if self.jobs < 1:
            raise InputError(f"jobs is {self.jobs}; it must be 1 or more")
        if self.folds and self.folds.group is None:
            raise InputError(
                "folds needs group: the column whose equal values stay in one fold, or row"
            )
        if self.folds and self.sizes:
            raise InputError(
                "sizes and folds exclude each other: a fold leaves less of the rows than a size names"
            )
        if self.search and (self.variants or self.grid or self.sizes):
            raise InputError("search takes the place of variants, grid and sizes; leave them out")
        if self.search and (self.figure or self.published or self.metrics):
            raise InputError(
                "search has a table of its own; leave figure, published and metrics out"
            )
        if self.figure == "learning_curve" and not self.sizes:
            raise InputError("figure learning_curve is over sizes; name some, or choose bars")
