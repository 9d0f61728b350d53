"""Figures of scores and results, drawn with matplotlib (the extra `plots`).

They are made without pyplot, so that there is no state to close and no screen is needed. The
colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; dashes and
markers differ too.
"""

import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sbert.atomic import write_whole
from sbert.errors import require
from sbert.evaluation import metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]

MARKERS = "osD^vPX"

DASHES = ["-", "--", ":", "-."]

SCATTER_BANDS = 10  # of a scatter plot

MIN_PAIRS = 8  # of a band, for quartiles


def matplotlib_available() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def require_matplotlib(subject: str) -> None:
    """Refuse what needs matplotlib where it is not installed.

    Raises:
        InputError: naming the extra that installs it.
    """
    require(
        matplotlib_available(),
        f"{subject} needs matplotlib, the extra plots: pip install -e '.[plots]'",
    )


def _make_axes(
    title: str, xlabel: str, ylabel: str, size: tuple[float, float] = (6.4, 4.8)
) -> "tuple[Figure, Axes]":
    require_matplotlib("a figure")
    from matplotlib.figure import Figure

    figure = Figure(size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", parse_math=False)  # a name may contain a dollar sign
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    return figure, axes


def _add_legend(figure: "Figure", labels: Sequence[str]) -> None:
    """Below the axes, in as many columns as labels of this length fit."""
    columns = max(1, min(len(labels), 70 // (6 + max(map(len, labels)))))
    figure.legend(loc="outside lower center", ncols=columns, frameon=False)


def scatter_plot(gold: np.ndarray, scores: np.ndarray, title: str, score_name: str) -> "Figure":
    """Scores (N,) over gold labels (N,), with the quartiles of the scores in each band of gold."""
    rho = _format_number(100 * metrics.spearman(scores, gold))
    r = _format_number(100 * metrics.pearson(scores, gold))
    subtitle = f"Spearman {rho}, Pearson {r} (x 100), {len(gold):,} pairs"
    figure, axes = _make_axes(f"{title}\n{subtitle}", "gold", score_name)
    alpha = float(np.clip(400 / len(gold), 0.05, 0.8))  # the more points, the lighter each
    axes.plot(gold, scores, "o", markersize=4, markeredgewidth=0, color=COLOURS[0], alpha=alpha)
    centers, low, median, high = _band_quartiles(gold, scores)
    label = f"median and quartiles of each tenth of the scale with {MIN_PAIRS} pairs or more"
    style = {"fmt": "s", "color": COLOURS[1], "markersize": 5, "capsize": 4, "lw": 2}
    axes.errorbar(centers, median, [median - low, high - median], label=label, **style)
    _add_legend(figure, [label])
    return figure


def _format_number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _band_quartiles(gold: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(4, bands): the mean gold and the quartiles of the scores, of each band with enough pairs."""
    width = (gold.max() - gold.min()) / SCATTER_BANDS or 1
    bands = np.minimum((gold - gold.min()) / width, SCATTER_BANDS - 1).astype(int)  # (N,)
    rows = []
    for band in np.flatnonzero(np.bincount(bands) >= MIN_PAIRS):
        inside = bands == band
        rows.append([gold[inside].mean(), *np.quantile(scores[inside], [0.25, 0.5, 0.75])])
    return np.array(rows).reshape(-1, 4).T


def histograms(scores: Mapping[str, np.ndarray], title: str, xlabel: str) -> "Figure":
    """Densities of several sets of scores over common bins; what is not finite is in no bin."""
    figure, axes = _make_axes(title, xlabel, "density")
    pooled = np.concatenate(list(scores.values()))
    edges = np.histogram_bin_edges(pooled[np.isfinite(pooled)], bins=40)
    for k, (name, values) in enumerate(scores.items()):
        colour, dashes = COLOURS[k % len(COLOURS)], DASHES[k // len(COLOURS) % len(DASHES)]
        density = np.histogram(values, edges)[0] / len(values) / np.diff(edges)
        axes.stairs(density, edges, fill=True, alpha=0.1, color=colour)
        label = f"{name} ({len(values):,})"
        axes.stairs(density, edges, lw=1.6, label=label, color=colour, ls=dashes)
    _add_legend(figure, [f"{name} (1,000)" for name in scores])
    return figure


def bar_plot(
    labels: Sequence[str],
    means: Sequence[float],
    deviations: Sequence[float],
    title: str,
    ylabel: str,
    published: Sequence[float | None] | None = None,
) -> "Figure":
    """A bar for each label, the first on top, with its deviation and, as a diamond, the published
    figure.

    A deviation that is NaN is not shown. ylabel: what the lengths are. The axis starts at 0 only
    where the differences can be seen then; where it does not, its label says so.
    """
    rows = np.arange(len(labels))
    bars, errors = np.array(means, float), np.array(deviations, float)
    spread = np.nan_to_num(errors)
    diamonds = np.array(published or [], float)  # None becomes NaN
    low, high = _axis_range(np.concatenate([bars - spread, bars + spread, diamonds]))
    note = f" (the axis starts at {low:g}, not at 0)" if low > 0 else ""
    width = 6.4 + 0.08 * max(0, max(map(len, labels)) - 20)  # long labels take no room of the bars
    figure, axes = _make_axes(title, ylabel + note, "", (width, 1.8 + 0.4 * len(labels)))
    start = max(low, 0.0)  # bars of negative values start at 0
    axes.barh(rows, bars - start, left=start, height=0.62, color=COLOURS[5])
    known = np.isfinite(errors)
    style = {"fmt": "none", "ecolor": "0.15", "capsize": 4, "lw": 1.4}
    axes.errorbar(bars[known], rows[known], xerr=spread[known], **style)
    if len(diamonds):
        style = {"color": COLOURS[1], "markersize": 7, "markeredgecolor": "white"}
        axes.plot(diamonds, rows, "D", label="published", **style)
        _add_legend(figure, ["published"])
    for row, mean, deviation in zip(rows, means, deviations, strict=True):
        text = _format_number(mean) + ("" if math.isnan(deviation) else f" ± {deviation:.2f}")
        axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(rows, labels)
    axes.set(xlim=(low, high), ylim=(len(labels) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    return figure


def _axis_range(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis for bars: from 0 unless differences would be too small to see."""
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.15 * (high - low) or 0.05 * abs(high) or 1.0
    if low < 0:
        return low - margin, max(high, 0.0) + margin
    start = low - 2 * margin
    if start <= high / 2:
        return 0.0, high + margin
    step = 10 ** math.floor(math.log10(high - start))
    return math.floor(start / step * 2) * step / 2, high + margin  # from a round number


def learning_curve(
    sizes: Sequence[float],
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    title: str,
    ylabel: str,
) -> "Figure":
    """Means and deviations over training sizes, on a logarithmic axis; NaN is a gap."""
    xlabel = "training rows" if min(sizes) >= 1 else "share of the training rows"
    figure, axes = _make_axes(title, xlabel, ylabel)
    for k, (name, (means, deviations)) in enumerate(curves.items()):
        # side by side, so that no error bar hides another
        shift = 2 ** (0.05 * (k - (len(curves) - 1) / 2))
        axes.errorbar(
            np.array(sizes) * shift,
            means,
            np.nan_to_num(np.array(deviations, float)),
            label=name,
            color=COLOURS[k % len(COLOURS)],
            ls=DASHES[k % len(DASHES)],
            marker=MARKERS[k % len(MARKERS)],
            markersize=6,
            capsize=4,
            lw=1.6,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    _add_legend(figure, list(curves))
    return figure


def figure_pixels(figure: "Figure") -> np.ndarray:
    """A figure as an image (height, width, 3), uint8, of 100 dots an inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(100)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure atomically, in the format that the extension of its path names."""
    data = io.BytesIO()
    figure.savefig(data, format=path.suffix.removeprefix("."), dpi=150)
    write_whole(path, data.getvalue())
