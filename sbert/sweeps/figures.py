"""The figures of a sweep: its table as PNG files beside it, and as images in TensorBoard."""

import math
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from sbert.atomic import file_name
from sbert.evaluation import figures
from sbert.evaluation.report import factor_of
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.overrides import axes_label
from sbert.sweeps.plan import row_axes
from sbert.sweeps.summary import (
    Column,
    FinishedRun,
    group_by_row,
    mean_and_deviation,
    metric_columns,
)


def draw_sweep(finished: list[FinishedRun], config: SweepConfig, folder: Path) -> list[Path]:
    """Draw a figure for each dataset and metric of the table, and return the files."""
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()  # images of fewer runs
    paths = []
    with SummaryWriter(str(folder)) as board:
        for dataset, metric in metric_columns(finished, config.metrics):
            title, ylabel = f"{config.name}: {dataset}", f"{metric} x {factor_of(metric):g}"
            figure = FIGURES[config.figure](finished, config, (dataset, metric), title, ylabel)
            path = folder / f"{config.figure}-{file_name(dataset)}-{file_name(metric)}.png"
            figures.save_figure(figure, path)
            board.add_image(
                f"{config.figure}/{dataset} {metric}",
                figures.figure_pixels(figure),
                len(finished),
                dataformats="HWC",
            )
            paths.append(path)
    return paths


def _bars(
    finished: list[FinishedRun], config: SweepConfig, column: Column, title: str, ylabel: str
):
    rows = group_by_row(finished)
    moments = [mean_and_deviation(runs, column) for runs in rows.values()]
    means, deviations = zip(*moments, strict=True)
    published = [config.published.get(row) for row in rows] if config.published else None
    return figures.bar_plot(list(rows), means, deviations, title, ylabel, published)


def _curves(
    finished: list[FinishedRun], config: SweepConfig, column: Column, title: str, ylabel: str
):
    """A curve over the sizes for each point on the other axes; a size without runs is a gap."""
    curves: dict[str, dict] = {}
    for runs in group_by_row(finished).values():
        others = row_axes(runs[0].run.axes)
        size = others.pop("size")
        name = axes_label(others, str, separator=", ") or config.name
        curve = curves.setdefault(name, dict.fromkeys(config.sizes, (math.nan, math.nan)))
        curve[size] = mean_and_deviation(runs, column)
    lines = {name: tuple(zip(*curve.values(), strict=True)) for name, curve in curves.items()}
    return figures.learning_curve(config.sizes, lines, title, ylabel)


FIGURES = {"bars": _bars, "learning_curve": _curves}
