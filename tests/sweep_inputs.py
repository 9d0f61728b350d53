"""Sweep configurations and finished runs, typed by hand."""

import math
from types import SimpleNamespace

from sbert.sweeps.config import SweepConfig
from sbert.sweeps.overrides import axes_label
from sbert.sweeps.plan import row_axes
from sbert.sweeps.summary import FinishedRun


def run(axes: dict, dev: float | None, test: float | None, **more: float) -> FinishedRun:
    """A finished run with a dev and a test set; `more`: further metrics."""
    row = axes_label(row_axes(axes), str) or "mine"
    results = []
    for part, value in (("dev", dev), ("test", test)):
        if value is not None:
            scores = {"before": {}, "after": {"rho": value, **more}}
            facts = {"dataset": f"my-{part}", "part": part, "main": "rho", "rows": 9}
            results.append(facts | scores)
    planned = SimpleNamespace(label=axes_label(axes), row=row, axes=axes)
    return FinishedRun(planned, {"train_rows": 9, "seconds": 1.5, "results": results})


def text_run(axes: dict, dev: float, test: float) -> FinishedRun:
    """A finished run of a language model: its losses in nats, and a correlation beside them."""
    finished = run(axes, dev, test)
    for result in finished.result["results"]:
        loss = result["after"].pop("rho")
        after = {"negative_loss": -loss, "perplexity": math.exp(loss)}
        result |= {"main": "negative_loss", "after": after, "before": {"negative_loss": -8.0}}
    beside = run(axes, 0.5, None).result["results"][0] | {"dataset": "pairs"}
    finished.result["results"].append(beside)
    return finished


def config(**options) -> SweepConfig:
    return SweepConfig("mine", "base.yaml", **options)
