"""The figures of a sweep: what its table says, as PNG beside it and as images in TensorBoard."""

import math
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from sbert.atomic import file_name
from sbert.evaluation import figures
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.summary import Column, Finished, deviation, group_by_row, metric_columns


def draw_sweep(finished: list[Finished], config: SweepConfig, folder: Path) -> list[Path]:
    """One figure for each dataset and metric of the table -> the files."""
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()  # the images of fewer runs
    paths = []
    with SummaryWriter(str(folder)) as board:
        for dataset, metric in metric_columns(finished, config.metrics):
            title, words = f"{config.name}: {dataset}", f"{metric} x 100"
            figure = FIGURES[config.figure](finished, config, (dataset, metric), title, words)
            paths.append(folder / f"{config.figure}-{file_name(dataset)}-{file_name(metric)}.png")
            figures.save_figure(figure, paths[-1])
            tag = f"{config.figure}/{dataset} {metric}"
            board.add_image(tag, figures.figure_pixels(figure), len(finished), dataformats="HWC")
    return paths


def _bars(finished: list[Finished], config: SweepConfig, column: Column, title: str, words: str):
    rows = group_by_row(finished)
    means, deviations = zip(*(_moments(some, column) for some in rows.values()), strict=True)
    published = [config.published.get(row) for row in rows] if config.published else None
    return figures.bar_plot(list(rows), means, deviations, title, words, published)


def _curves(finished: list[Finished], config: SweepConfig, column: Column, title: str, words: str):
    """A curve over the sizes for each point on the other axes."""
    curves: dict[str, dict] = {}
    for some in group_by_row(finished).values():
        axes = some[0].run.axes
        name = ", ".join(
            str(v) if axis == "variant" else f"{axis}={v}"
            for axis, v in axes.items()
            if axis not in ("size", "seed", "fold")
        )
        curves.setdefault(name or config.name, {})[axes["size"]] = _moments(some, column)
    lines = {
        name: tuple(
            zip(*(of.get(size, (math.nan, math.nan)) for size in config.sizes), strict=True)
        )
        for name, of in curves.items()
    }
    return figures.learning_curve(config.sizes, lines, title, words)


FIGURES = {"bars": _bars, "learning_curve": _curves}


def _moments(some: list[Finished], column: Column) -> tuple[float, float]:
    """Mean and deviation over the runs of a row, x 100."""
    values = [100 * one.value(column) for one in some]
    return float(np.mean(values)), deviation(values)
