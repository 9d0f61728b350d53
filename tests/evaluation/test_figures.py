"""Figures show what they were given, read back from what was drawn; nothing is clipped."""

import io
import math
import runpy
import sys

import numpy as np
import pytest
from PIL import Image

from sbert.errors import InputError
from sbert.evaluation import figures, metrics

LABELS = [
    "(u, v)",
    "(|u-v|)",
    "(u*v)",
    "(|u-v|, u*v)",
    "(u, v, u*v)",
    "(u, v, |u-v|)",
    "(u, v, |u-v|, u*v), of $3 and $4",
]
MEANS, DEVIATIONS = (
    [80.1, 83.2, 81.7, 83.0, 80.9, 83.4, 82.8],
    [0.4, 0.3, 0.5, 0.2, 0.35, 0.22, math.nan],
)
PUBLISHED = [66.04, 69.78, 70.54, 78.37, None, 80.78, 80.44]


def sts(n: int = 1379) -> tuple[np.ndarray, np.ndarray]:
    """Gold that is tied as STSb's is, and scores that follow it."""
    generator = np.random.default_rng(0)
    gold = (generator.integers(0, 26, n) / 25).astype(np.float32)
    return gold, np.clip(0.1 + 0.8 * gold + generator.normal(0, 0.15, n), -1, 1).astype(np.float32)


def error_bars(axes) -> list[list[tuple[float, float]]]:
    """The ends of every error bar."""
    return [
        [tuple(point) for point in path.vertices]
        for bars in axes.collections
        for path in bars.get_paths()
    ]


def written(figure) -> list:
    """All texts of a figure, without the hidden tick labels beyond the ends of an axis."""
    axes, ticks = figure.axes[0], []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        ticks += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    legends = [text for legend in figure.legends for text in legend.texts]
    return [
        *ticks,
        *legends,
        *axes.texts,
        axes.xaxis.label,
        axes.yaxis.label,
        axes.title,
        axes._left_title,
    ]


@pytest.fixture
def all_figures():
    gold, scores = sts()
    many = {
        f"a variant of a long name, number {k}": ([70 + k, 75 + k, 80 + k], [1, 1, math.nan])
        for k in range(9)
    }
    return {
        "scatter": figures.scatter_plot(gold, scores, "stsb-dev", "cosine"),
        "histograms": figures.histograms(
            {f"gold band {k}": scores + k for k in range(9)}, "stsb-dev", "cosine"
        ),
        "bars": figures.bar_plot(
            LABELS, MEANS, DEVIATIONS, "concatenation: stsb-dev", "spearman_cosine x 100", PUBLISHED
        ),
        "one bar": figures.bar_plot(["x" * 60], [80], [math.nan], "one", "spearman_cosine x 100"),
        "curve": figures.learning_curve(
            [350, 700, 1400], many, "low_resource: stsb-test", "spearman_cosine x 100"
        ),
    }


def test_nothing_is_clipped_nor_over_one_another(all_figures):
    for name, figure in all_figures.items():
        figures.figure_pixels(figure)
        page, axes = figure.bbox, figure.axes[0]
        words = [text for text in written(figure) if text.get_text()]
        boxes = [text.get_window_extent() for text in words]
        for text, box in zip(words, boxes, strict=True):
            inside = (
                page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
            )
            assert inside, f"{name}: '{text.get_text()}' is clipped"
            assert text.get_fontsize() >= 9
        for k, box in enumerate(boxes):
            for other, text in zip(boxes[:k], words, strict=False):
                assert not box.shrunk(0.9, 0.9).overlaps(other.shrunk(0.9, 0.9)), (
                    name,
                    words[k],
                    text,
                )
        assert axes.bbox.width > 0.4 * page.width or name == "one bar"
        assert axes.bbox.height > 0.35 * page.height


def test_a_scatter_shows_every_pair_and_the_correlations():
    gold, scores = sts()
    axes = figures.scatter_plot(gold, scores, "stsb-dev", "cosine").axes[0]
    assert np.array_equal(axes.lines[0].get_xydata(), np.stack([gold, scores], 1))
    rho, r = 100 * metrics.spearman(scores, gold), 100 * metrics.pearson(scores, gold)
    assert (
        axes.get_title("left")
        == f"stsb-dev\nSpearman {rho:.2f}, Pearson {r:.2f} (x 100), 1,379 pairs"
    )
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("gold", "cosine")


def test_the_more_pairs_the_lighter_each():
    inks = [
        figures.scatter_plot(*sts(n), "x", "cosine").axes[0].lines[0].get_alpha()
        for n in (100, 1379, 5000, 50_000)
    ]
    assert inks == sorted(inks, reverse=True)
    assert inks[0] > 0.7
    assert 0.2 < inks[1] < 0.4


def test_the_quartiles_of_each_tenth_of_the_scale():
    gold = np.array(
        [0.0] * 8 + [0.06] * 8 + [0.1] * 9 + [0.5] * 7 + [1.0] * 9
    )  # 7 are too few for quartiles
    scores = np.concatenate(
        [np.arange(8), np.arange(8, 16), np.arange(9), np.arange(7), np.arange(0, 90, 10)]
    )
    axes = figures.scatter_plot(gold, scores, "x", "cosine").axes[0]
    medians = axes.lines[1].get_xydata()
    assert medians == pytest.approx(np.array([[0.03, 7.5], [0.1, 4], [1, 40]]))
    assert np.array(error_bars(axes)) == pytest.approx(
        np.array([[(0.03, 3.75), (0.03, 11.25)], [(0.1, 2), (0.1, 6)], [(1, 20), (1, 60)]])
    )


def test_a_correlation_that_is_undefined():
    figure = figures.scatter_plot(np.full(20, 0.5), np.linspace(0, 1, 20), "x", "cosine")
    assert "Spearman -, Pearson - (x 100)" in figure.axes[0].get_title("left")
    figures.figure_pixels(figure)


def test_histograms_are_densities_over_common_bins():
    _, scores = sts()
    axes = figures.histograms(
        {"few": scores[:100], "all": scores, "one": np.array([0.5])}, "x", "cosine"
    ).axes[0]
    steps = [patch.get_data() for patch in axes.patches]
    assert len(steps) == 6  # a filling and an outline each
    for values, edges, _ in steps:
        assert np.array_equal(edges, steps[0].edges)
        assert (values * np.diff(edges)).sum() == pytest.approx(1)
    assert (steps[0].edges[0], steps[0].edges[-1]) == (scores.min(), scores.max())
    assert [text.get_text() for text in axes.figure.legends[0].texts] == [
        "few (100)",
        "all (1,379)",
        "one (1)",
    ]


def test_bars_by_hand():
    axes = figures.bar_plot(
        ["a", "b", "c"], [82.0, 84.0, 83.0], [0.5, math.nan, 1.0], "t", "rho", [81.0, None, 85.0]
    ).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [bar.get_x() + bar.get_width() for bar in axes.patches] == pytest.approx([82, 84, 83])
    assert error_bars(axes) == [[(81.5, 0), (82.5, 0)], [(82, 2), (84, 2)]]
    assert axes.lines[-1].get_xydata() == pytest.approx(
        np.array([[81, 0], [math.nan, 1], [85, 2]]), nan_ok=True
    )
    assert [text.get_text() for text in axes.texts] == ["82.00 ± 0.50", "84.00", "83.00 ± 1.00"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is on top


@pytest.mark.parametrize(
    ("means", "published", "start"),
    [
        ([82.0, 84.0], None, 81),  # from 0 the bars would look alike
        ([82.0, 84.0], [66.0, 80.0], 60),
        ([20.0, 84.0], None, 0),
        ([82.0, 84.0], [12.0, 14.0], 0),
        ([84.0, 84.0], None, 75.5),
        ([0.0, 0.0], None, 0),
        ([0.82, 0.84], None, 0.81),
    ],
)
def test_the_axis_shows_the_differences_and_says_where_it_starts(means, published, start):
    axes = figures.bar_plot(["a", "b"], means, [math.nan] * 2, "t", "rho", published).axes[0]
    low, high = axes.get_xlim()
    assert low == pytest.approx(start)
    assert high > max(*means, *(published or []))
    assert axes.get_xlabel() == (
        "rho" if start == 0 else f"rho (the axis starts at {start}, not at 0)"
    )
    assert [bar.get_x() for bar in axes.patches] == pytest.approx([start] * 2)


def test_bars_below_zero_hang_from_it():
    axes = figures.bar_plot(
        ["a", "b", "c"], [-10.0, 50.0, math.nan], [3.0, 5.0, math.nan], "t", "rho"
    ).axes[0]
    assert [bar.get_x() for bar in axes.patches[:2]] == [0, 0]
    assert axes.get_xlim()[0] < -13
    assert axes.texts[2].get_text() == "-"
    figures.figure_pixels(figures.bar_plot(["a"], [math.nan], [math.nan], "t", "rho"))


def test_learning_curves_by_hand():
    curves = {
        "a": ([70.0, math.nan, 80.0], [1.0, math.nan, math.nan]),
        "b": ([60.0, 65.0, 70.0], [2.0, 2.0, 2.0]),
    }
    figure = figures.learning_curve([350, 700, 1400], curves, "t", "rho")
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["350", "700", "1,400"]
    first, second = (container[0] for container in axes.containers)
    assert first.get_ydata() == pytest.approx([70, math.nan, 80], nan_ok=True)
    assert second.get_ydata() == pytest.approx([60, 65, 70])
    # side by side around the size
    assert first.get_xdata() * second.get_xdata() == pytest.approx(np.array([350, 700, 1400]) ** 2)
    heights = [high[1] - low[1] for low, high in error_bars(axes)[-3:]]
    assert heights == pytest.approx([4, 4, 4])
    assert [text.get_text() for text in figure.legends[0].texts] == ["a", "b"]


def test_pictures_are_written_whole(tmp_path):
    figure = figures.bar_plot(LABELS, MEANS, DEVIATIONS, "t", "rho", PUBLISHED)
    shape = figures.figure_pixels(figure).shape
    assert shape[2] == 3
    figures.save_figure(figure, tmp_path / "bars.png")
    width, height = Image.open(io.BytesIO((tmp_path / "bars.png").read_bytes())).size
    assert (height, width) == pytest.approx([1.5 * n for n in shape[:2]], abs=2)
    figures.save_figure(figure, tmp_path / "bars.pdf")
    assert (tmp_path / "bars.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bars.pdf", "bars.png"]


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not figures.matplotlib_available()
    with pytest.raises(
        InputError,
        match=r"a figure needs matplotlib, the extra plots: pip install -e '\.\[plots\]'",
    ):
        figures.bar_plot(["a"], [1.0], [1.0], "t", "rho")
    runpy.run_path(figures.__file__)  # the module can be imported all the same


def test_pyplot_and_its_windows_are_left_alone(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import would fail
    figure = figures.bar_plot(["a"], [1.0], [0.1], "t", "rho")
    assert figures.figure_pixels(figure).shape[2] == 3
    figures.save_figure(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
