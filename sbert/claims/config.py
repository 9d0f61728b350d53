"""The options of claims.py: experiments and claims. Numbers are x 100."""

import math
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import Literal

from jsonargparse.typing import PositiveInt

from sbert.errors import require
from sbert.evaluation.multi_bootstrap import RESAMPLES


@dataclass
class FigureConfig:
    """The mean of a metric over the seeds of one row of an experiment.

    Args:
        row: as results.jsonl and table.md name it, with the size of a recipe (gold,size=1000); null
            for the only one.
        experiment: null for that of the claim.
        dataset: of several the mean; null for that of the claim, or the only test set.
        metric: null for that of the claim, or the dataset's main metric.
        when: after training, or before it.
    """

    row: str | None = None
    experiment: str | None = None
    dataset: str | list[str] | None = None
    metric: str | None = None
    when: Literal["after", "before"] = "after"

    def __post_init__(self):
        require(self.dataset != [], "a figure's dataset is an empty list; name one")


@dataclass
class ContrastConfig:
    """What a claim says of figures: an order, or that they are about the same. A number in a list
    stands for a figure that is given.

    Args:
        order: names of figures, the highest first. Each must be above the next.
        equal: names of figures. All must be within a margin of each other.
        by: of an order: how much higher; negative: not lower by as much.
        within: of equal figures: the margin. Of an order: the smallest effect of interest; a
            smaller one is none.
    """

    order: list[float | str] = field(default_factory=list)
    equal: list[float | str] = field(default_factory=list)
    by: float = 0.0
    within: float | None = None

    def __post_init__(self):
        require(bool(self.order) != bool(self.equal), "a contrast has either order or equal")
        names = ", ".join(map(str, self.names))
        require(len(self.names) > 1, f"{names}: a contrast compares two figures or more")
        for first, second in self.pairs:
            given = not (isinstance(first, str) or isinstance(second, str))
            require(not given, f"{names}: compares the numbers {first} and {second}; name a figure")
            require(first != second, f"{names}: compares {first} with itself")
        numbers = [name for name in self.names if not isinstance(name, str)]
        for number in [*numbers, self.by, self.within or 0.0]:
            require(math.isfinite(number), f"{names}: {number} is no number to compare with")
        if self.equal:
            require(self.within and self.within > 0, f"equal {names}: give a margin, within > 0")
            require(not self.by, f"equal {names}: by is for an order")
        elif self.within is not None:
            require(self.within > self.by, f"order {names}: within must be above by, {self.by:g}")

    @property
    def names(self) -> list[float | str]:
        return self.order or self.equal

    @property
    def pairs(self) -> list[tuple[float | str, float | str]]:
        """What is compared: of an order, each with the next; of equal figures, all pairs."""
        return list(pairwise(self.order) if self.order else combinations(self.equal, 2))


@dataclass
class ClaimConfig:
    """A claim holds if all its contrasts hold.

    Args:
        claim: what is claimed, with its direction.
        paper: where.
        published: its figures there.
        figures: ours, by name.
        contrasts: what must hold of them.
        note: what a reader must know of our setting.
        experiment: of all figures that name none.
        dataset: of all figures that name none.
        metric: of all figures that name none.
    """

    claim: str
    paper: str
    published: str
    figures: dict[str, FigureConfig]
    contrasts: list[ContrastConfig]
    note: str = ""
    experiment: str | None = None
    dataset: str | list[str] | None = None
    metric: str | None = None

    def __post_init__(self):
        require(self.contrasts, f"claim '{self.claim}': contrasts is empty")
        require(self.dataset != [], f"claim '{self.claim}': dataset is an empty list; name one")
        for contrast in self.contrasts:
            for name in contrast.names:
                require(
                    not isinstance(name, str) or name in self.figures,
                    f"claim '{self.claim}': '{name}' is not one of its figures: "
                    f"{', '.join(self.figures)}",
                )

    def figure(self, name: str) -> FigureConfig:
        """A figure with what it has from its claim."""
        figure = self.figures[name]
        return FigureConfig(
            figure.row,
            figure.experiment or self.experiment,
            figure.dataset or self.dataset,
            figure.metric or self.metric,
            figure.when,
        )


@dataclass
class ClaimsConfig:
    """Claims, and the experiments that judge them.

    Args:
        experiments: the command of each by name: train.py, sweep.py, augment.py recipe, or
            evaluate.py with a JSON output.
        claims: the rows of the table.
        roots: folders in which the commands were run; a run is taken from the first that has it.
        records: a JSONL file of the figures, differences and intervals of every claim; null for
            none. A claim keeps the record that it has there where a figure of that is of more runs
            than are here.
        page: the Markdown page whose table is replaced; null to print it alone.
        resamples: of rows and seeds.
    """

    experiments: dict[str, str]
    claims: list[ClaimConfig]
    roots: list[str] = field(default_factory=lambda: ["."])
    records: str | None = None
    page: str | None = None
    resamples: PositiveInt = RESAMPLES

    def __post_init__(self):
        require(self.claims, "claims is empty: there is nothing to judge")
        require(self.roots, "roots is empty: name the folders in which the commands were run")
        for claim in self.claims:
            for name in claim.figures:
                experiment = claim.figure(name).experiment
                require(
                    experiment in self.experiments,
                    f"claim '{claim.claim}': figure '{name}': experiment '{experiment}' is not "
                    f"one of experiments: {', '.join(self.experiments)}",
                )
        texts = [claim.claim for claim in self.claims]
        for text in texts:
            require(texts.count(text) == 1, f"claim '{text}' is given twice")
