"""Figures: numbers to a picture of matplotlib, of the extra `plots`. Made without pyplot: without a state to close and
without a screen. Colours are Okabe and Ito's (2008), which the colour-blind can tell apart; shapes and dashes tell them too.
"""

import importlib.util
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sbert.atomic import write_whole
from sbert.errors import InputError
from sbert.evaluation import metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]

MARKERS, DASHES = "osD^vPX", ["-", "--", ":", "-."]

BANDS = 10  # of gold, in a scatter

ENOUGH = 8  # pairs, for quartiles

BINS = 40  # of a histogram

INK = 400  # points in black that a scatter may have; of more points each is as much lighter


def matplotlib_available() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def require_matplotlib(what: str) -> None:
    """Refuse, with the name of the extra, what needs matplotlib where it is not installed."""
    if not matplotlib_available():
        raise InputError(f"{what} needs matplotlib, the extra plots: pip install 'sbert[plots]'")


def _axes(title: str, width: float = 6.4, height: float = 4.8) -> "tuple[Figure, Axes]":
    require_matplotlib("a figure")
    from matplotlib.figure import Figure

    figure = Figure((width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", parse_math=False)  # a name may hold a dollar
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    return figure, axes


def _legend(figure: "Figure", names: Sequence[str]) -> None:
    """Below the axes, in as many columns as there is room for."""
    columns = max(1, min(len(names), 70 // (6 + max(map(len, names)))))
    figure.legend(loc="outside lower center", ncols=columns, frameon=False)


def scatter_plot(gold: np.ndarray, scores: np.ndarray, title: str, metric: str) -> "Figure":
    """Gold (N,) against scores (N,), with the median and the quartiles of the scores in each tenth of the scale of gold.

    metric: what the scores are: cosine, logit.
    """
    rho, r = (
        _number(100 * value)
        for value in (metrics.spearman(scores, gold), metrics.pearson(scores, gold))
    )
    figure, axes = _axes(f"{title}\nSpearman {rho}, Pearson {r} (x 100), {len(gold):,} pairs")
    axes.plot(
        gold, scores, "o", markersize=4, markeredgewidth=0, color=COLOURS[0], alpha=_ink(len(gold))
    )
    places, low, middle, high = _quartiles(gold, scores)
    style = {"fmt": "s", "color": COLOURS[1], "markersize": 5, "capsize": 4, "lw": 2}
    label = f"median and quartiles of each tenth of the scale with {ENOUGH} pairs or more"
    axes.errorbar(places, middle, [middle - low, high - middle], label=label, **style)
    axes.set_xlabel("gold")
    axes.set_ylabel(metric)
    _legend(figure, [label])
    return figure


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _ink(points: int) -> float:
    return float(np.clip(INK / points, 0.05, 0.8))


def _quartiles(gold: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """For each band of gold with enough pairs its mean gold, and the quartiles of its scores: (4, bands)."""
    width = (gold.max() - gold.min()) / BANDS or 1
    bands = np.minimum((gold - gold.min()) / width, BANDS - 1).astype(int)
    parts = [bands == band for band in np.flatnonzero(np.bincount(bands) >= ENOUGH)]
    found = [[gold[part].mean(), *np.quantile(scores[part], [0.25, 0.5, 0.75])] for part in parts]
    return np.array(found).reshape(-1, 4).T


def histograms(scores: Mapping[str, np.ndarray], title: str, xlabel: str) -> "Figure":
    """Densities of several sets of scores over common bins, over one another. What is not finite is in no bin."""
    figure, axes = _axes(title)
    joined = np.concatenate(list(scores.values()))
    edges = np.histogram_bin_edges(joined[np.isfinite(joined)], BINS)
    for k, (name, values) in enumerate(scores.items()):
        style = {"color": COLOURS[k % len(COLOURS)], "ls": DASHES[k // len(COLOURS) % len(DASHES)]}
        heights = np.histogram(values, edges)[0] / len(values) / np.diff(edges)
        axes.stairs(heights, edges, fill=True, alpha=0.1, color=style["color"])
        axes.stairs(heights, edges, lw=1.6, label=f"{name} ({len(values):,})", **style)
    axes.set_xlabel(xlabel)
    axes.set_ylabel("density")
    _legend(figure, [f"{name} (1,000)" for name in scores])
    return figure


def bar_plot(labels: Sequence[str], means: Sequence[float], deviations: Sequence[float], title: str, ylabel: str,
         published: Sequence[float | None] | None = None) -> "Figure":  # fmt: skip
    """A bar for each label, first on top, with its deviation (NaN: none is known) and, by a diamond, the published figure.

    ylabel: what the lengths are. The axis starts at 0 only where the differences can be seen then, and says where else.
    """
    width = 6.4 + 0.08 * max(
        0, max(map(len, labels)) - 20
    )  # long labels take none of the bars' room
    figure, axes = _axes(title, width, height=1.8 + 0.4 * len(labels))
    places, means, spread = (
        np.arange(len(labels)),
        np.array(means, float),
        np.nan_to_num(np.array(deviations, float)),
    )
    others = np.array([math.nan if p is None else p for p in published or []], float)
    low, high, start = _range(np.concatenate([means - spread, means + spread, others]))
    # bars have their foot at the axis: those of a negative value at 0
    foot = max(low, 0.0)
    axes.barh(places, means - foot, left=foot, height=0.62, color=COLOURS[5])
    known = np.isfinite(np.array(deviations, float))
    axes.errorbar(
        means[known],
        places[known],
        xerr=spread[known],
        fmt="none",
        ecolor="0.15",
        capsize=4,
        lw=1.4,
    )
    if len(others):
        axes.plot(
            others,
            places,
            "D",
            color=COLOURS[1],
            markersize=7,
            markeredgecolor="white",
            label="published",
        )
        _legend(figure, ["published"])
    for place, mean, deviation in zip(places, means, deviations, strict=True):
        words = _number(mean) + ("" if math.isnan(deviation) else f" ± {deviation:.2f}")
        axes.text(1.02, place, words, transform=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(places, labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_xlim(low, high)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"{ylabel}{start}")
    return figure


def _range(values: np.ndarray) -> tuple[float, float, str]:
    """The ends of an axis for bars, and what is to be said of its start."""
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.15 * (high - low) or 0.05 * abs(high) or 1.0
    if low < 0:
        return low - margin, max(high, 0.0) + margin, ""
    if low - 2 * margin <= high / 2:  # the differences are as large as the values
        return 0.0, high + margin, ""
    start = low - 2 * margin
    step = 10 ** math.floor(math.log10(high - start))
    start = math.floor(start / step * 2) * step / 2  # a round number
    return start, high + margin, f" (the axis starts at {start:g}, not at 0)"


def learning_curve(sizes: Sequence[float], curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str,
                   ylabel: str) -> "Figure":  # fmt: skip
    """Means and deviations over training sizes, on a logarithmic axis; a size without a run (NaN) is a gap."""
    figure, axes = _axes(title)
    for k, (name, (means, deviations)) in enumerate(curves.items()):
        # side by side, so that no error bar hides another
        shift = 2 ** (0.05 * (k - (len(curves) - 1) / 2))
        style = {
            "color": COLOURS[k % len(COLOURS)],
            "ls": DASHES[k % len(DASHES)],
            "marker": MARKERS[k % len(MARKERS)],
        }
        spread = np.nan_to_num(np.array(deviations, float))
        axes.errorbar(
            np.array(sizes) * shift,
            means,
            spread,
            capsize=4,
            lw=1.6,
            markersize=6,
            label=name,
            **style,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("training rows" if min(sizes) >= 1 else "share of the training rows")
    axes.set_ylabel(ylabel)
    _legend(figure, list(curves))
    return figure


def figure_pixels(figure: "Figure", dpi: int = 100) -> np.ndarray:
    """A figure as (height, width, 3) uint8."""

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save_figure(figure: "Figure", path: Path) -> None:
    """Write a figure whole, in the format that the ending of its path names."""
    written = io.BytesIO()
    figure.savefig(written, format=path.suffix.removeprefix("."), dpi=150)
    write_whole(path, written.getvalue())
