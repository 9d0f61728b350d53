"""Claims judged by the runs that are done: a record for each."""

import math
from dataclasses import asdict

from tqdm.auto import tqdm

from sbert.claims.config import ClaimConfig, ClaimsConfig, FigureConfig
from sbert.claims.experiments import Experiment
from sbert.claims.figures import Figure, measure
from sbert.claims.verdicts import NOT_RUN, differences, judge_all
from sbert.errors import InputError
from sbert.evaluation.significance import bootstrap_interval

DIGITS = 4  # of the numbers of a record, x 100


class Judge:
    """Judges claims; a figure of several claims is measured once."""

    def __init__(self, config: ClaimsConfig):
        self.config = config
        self.experiments = {
            name: Experiment(name, command) for name, command in config.experiments.items()
        }
        self.figures: dict[str, Figure] = {}

    def records(self) -> list[dict]:
        """A record for each claim, in order; its numbers are x 100."""
        claims = tqdm(self.config.claims, desc="judge", unit="claim", disable=None, leave=False)
        return [self.record(claim) for claim in claims]

    def record(self, claim: ClaimConfig) -> dict:
        """
        Raises:
            InputError: names the claim, and what it asks for that is not there.
        """
        try:
            figures = {name: self._measure(claim.figure(name)) for name in claim.figures}
            contrasts = self._contrasts(claim, figures)
        except InputError as error:
            raise InputError(f"claim '{claim.claim}': {error}") from None
        used = {claim.figure(name).experiment for name in figures}
        seconds: dict[tuple[str, str], float] = {}  # a run of two figures counts once
        for name, figure in figures.items():
            experiment = claim.figure(name).experiment
            seconds |= {(experiment, run): time for run, time in figure.seconds.items()}
        return {
            "claim": claim.claim,
            "paper": claim.paper,
            "published": claim.published,
            "note": claim.note,
            "verdict": judge_all(one["verdict"] for one in contrasts),
            "figures": {name: _figure_record(figure) for name, figure in figures.items()},
            "contrasts": contrasts,
            "seconds": round(sum(seconds.values()), 1),
            "definition": {
                "experiments": {name: self.experiments[name].command for name in sorted(used)},
                "figures": {name: asdict(claim.figure(name)) for name in figures},
                "contrasts": [asdict(contrast) for contrast in claim.contrasts],
            },
        }

    def _measure(self, figure: FigureConfig) -> Figure:
        key = repr(figure)
        if key not in self.figures:
            experiment = self.experiments[figure.experiment]
            self.figures[key] = measure(
                figure, experiment, self.config.roots, self.config.resamples
            )
        return self.figures[key]

    def _contrasts(self, claim: ClaimConfig, figures: dict[str, Figure]) -> list[dict]:
        """Of each difference: its figures, itself, and what it says."""
        records = []
        for contrast in claim.contrasts:
            for one in differences(contrast, figures):
                not_run = math.isnan(one.value) and _unfinished(figures)
                records.append(
                    {
                        "first": one.first,
                        "second": one.second,
                        "kind": "equal" if contrast.equal else "order",
                        "by": contrast.by,
                        "within": contrast.within,
                        "difference": _rounded(one.value),
                        "interval": [_rounded(bound) for bound in one.interval],
                        "standard_error": _rounded(one.standard_error),
                        "detectable": _rounded(one.detectable(contrast)),
                        "verdict": NOT_RUN if not_run else one.verdict(contrast),
                    }
                )
        return records


def _unfinished(figures: dict[str, Figure]) -> bool:
    return any(not figure.values for figure in figures.values())


def _figure_record(figure: Figure) -> dict:
    interval = [math.nan] * 2
    if figure.estimate:
        interval = bootstrap_interval(figure.factor * figure.estimate.replicates)
    return {
        "datasets": figure.datasets,
        "metric": figure.metric,
        "mean": _rounded(figure.mean),
        "interval": [_rounded(bound) for bound in interval],
        "runs": {label: _rounded(value) for label, value in figure.values.items()},
        "missing": figure.missing,
        "changed": figure.changed,
        "rows_alone": figure.rows_alone,
    }


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, DIGITS) + 0.0  # no -0.0
