"""Sweep configurations and finished runs, typed by hand."""

from types import SimpleNamespace

from sbert.sweeps.config import SweepConfig
from sbert.sweeps.overrides import axes_label
from sbert.sweeps.summary import Finished


def run(axes: dict, dev: float | None, test: float | None, **more: float) -> Finished:
    """A finished run with a dev and a test set; `more`: further metrics of dev."""
    row = (
        axes_label(
            {axis: value for axis, value in axes.items() if axis not in ("seed", "fold")}, str
        )
        or "mine"
    )
    parts = {"dev": dev, "test": test}
    results = [
        {
            "dataset": f"my-{part}",
            "part": part,
            "main": "rho",
            "rows": 9,
            "after": {"rho": value, **more},
            "before": {},
        }
        for part, value in parts.items()
        if value is not None
    ]
    planned = SimpleNamespace(label=axes_label(axes), row=row, axes=axes)
    return Finished(planned, {"train_rows": 9, "seconds": 1.5, "results": results})


def config(**options) -> SweepConfig:
    return SweepConfig("mine", "base.yaml", **options)
