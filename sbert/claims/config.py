"""The options of claims.py: experiments and claims. Numbers are x 100."""

from dataclasses import dataclass, field
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
        if self.equal:
            require(self.within and self.within > 0, f"equal {names}: give a margin, within > 0")
            require(not self.by, f"equal {names}: by is for an order")
        elif self.within is not None:
            require(self.within > self.by, f"order {names}: within must be above by, {self.by:g}")

    @property
    def names(self) -> list[float | str]:
        return self.order or self.equal


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
        records: figures, differences and intervals of every claim, as JSONL. A claim whose runs are
            not here keeps the record that it has.
        page: the Markdown page whose table is replaced; null to print it alone.
        resamples: of rows and seeds.
    """

    experiments: dict[str, str]
    claims: list[ClaimConfig]
    roots: list[str] = field(default_factory=lambda: ["."])
    records: str = "docs/claims.jsonl"
    page: str | None = None
    resamples: PositiveInt = RESAMPLES

    def __post_init__(self):
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
