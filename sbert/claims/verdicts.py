"""Verdicts: what the interval of a difference says of a claim.

Of an order, A above B by more than d, the difference is D = A - B and its 95 % interval (l, h):

- holds: l > d. With many seeds the claim is tested one-sided at 2.5 %.
- does not hold: h < d; with a smallest effect of interest w, already h < w.
- cannot be told: anything else.

Figures are equal within a margin m by two one-sided tests (TOST: Schuirmann, Journal of
Pharmacokinetics and Biopharmaceutics 15, 1987), each at the same level:

- holds: -m < l and h < m.
- does not hold: l > m or h < -m.

What cannot be told has the smallest effect that the design could have seen, from the standard error
s of D, the deviation of its resamples. With 80 % probability (Bloom, Evaluation Review 19, 1995)

- an order is found where D - d is at least (z_.975 + z_.80) s = 2.80 s;
- equality is found where the figures are equal and m is at least (z_.975 + z_.90) s = 3.24 s.

With few seeds the level of a test is more than 2.5 %, and its power less than 80 %: an interval
over three seeds covers 90 times of 100 where seeds vary as much as rows, so that its tests are at
5 %, and 80 times where they alone vary (`docs/sweeps.md` has more). With one seed the noise between
seeds is in neither.

A claim of several contrasts holds if all hold, which needs no correction (the intersection-union
test: Berger, Technometrics 24, 1982). It does not hold if one does not; that is not corrected for
their number.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from sbert.claims.config import ContrastConfig
from sbert.claims.figures import Figure
from sbert.errors import require
from sbert.evaluation.significance import CONFIDENCE, Resampled

HOLDS = "holds"
FAILS = "does not hold"
UNCLEAR = "cannot be told"
NOT_RUN = "not run yet"

POWER = 0.8

_Z_INTERVAL = norm.ppf((1 + CONFIDENCE) / 2)  # 1.96
_Z_ORDER = _Z_INTERVAL + norm.ppf(POWER)  # 2.80
_Z_EQUAL = _Z_INTERVAL + norm.ppf((1 + POWER) / 2)  # 3.24


@dataclass
class Difference(Resampled):
    """The difference of two figures, x 100; of losses in nats x 1.

    first, second: what they are called. replicates: (R,); none where a figure has no scores of its
    rows.
    """

    first: str
    second: str
    value: float
    replicates: np.ndarray

    @property
    def standard_error(self) -> float:
        if math.isnan(self.interval[0]):  # too few of the replicates are defined
            return math.nan
        return float(np.nanstd(self.replicates, ddof=1))

    def verdict(self, contrast: ContrastConfig) -> str:
        """Of this difference alone."""
        if contrast.equal:
            return judge_equal(self.interval, contrast.within)
        return judge_order(self.interval, contrast.by, contrast.within)

    def detectable(self, contrast: ContrastConfig) -> float:
        """The smallest effect, or margin, that could have been found with a power of 80 %."""
        if contrast.equal:
            return _Z_EQUAL * self.standard_error
        return _Z_ORDER * self.standard_error


def judge_order(interval: tuple[float, float], by: float, within: float | None) -> str:
    low, high = interval
    if low > by:
        return HOLDS
    if high < (by if within is None else within):
        return FAILS
    return UNCLEAR  # NaN too


def judge_equal(interval: tuple[float, float], within: float) -> str:
    low, high = interval
    if -within < low and high < within:
        return HOLDS
    if low > within or high < -within:
        return FAILS
    return UNCLEAR


def judge_all(verdicts: Iterable[str]) -> str:
    """The verdict of a claim from those of its differences."""
    found = set(verdicts)
    for verdict in (NOT_RUN, FAILS, UNCLEAR):
        if verdict in found:
            return verdict
    return HOLDS


def differences(contrast: ContrastConfig, figures: dict[str, Figure]) -> list[Difference]:
    """Of each pair of a contrast, the first less the second.

    Raises:
        InputError: two figures of different rows.
    """
    return [_difference(first, second, figures) for first, second in contrast.pairs]


def _difference(first: float | str, second: float | str, figures: dict[str, Figure]) -> Difference:
    means, replicates, digests = [], [], []
    for name in (first, second):
        if isinstance(name, str):
            figure = figures[name]
            means.append(figure.mean)
            estimate = figure.estimate
            replicates.append(figure.factor * estimate.replicates if estimate else np.empty(0))
            digests += [estimate.digests] if estimate else []
        else:
            means.append(name)
            replicates.append(np.array(name))
    require(
        digests[1:] in ([], digests[:1]),
        f"{first} and {second} were not evaluated on the same rows",
    )
    names = [name if isinstance(name, str) else f"{name:g}" for name in (first, second)]
    has_all = all(values.size for values in replicates)
    values = replicates[0] - replicates[1] if has_all else np.empty(0)
    return Difference(*names, means[0] - means[1], values)
