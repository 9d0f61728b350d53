"""A sweep's figures show the means and deviations of its table, as PNG and in TensorBoard."""

import io
import math

import numpy as np
import pytest
from boards import board
from PIL import Image
from sweep_inputs import config, run

from sbert.evaluation import figures
from sbert.sweeps.figures import draw_sweep


@pytest.fixture
def drawn(monkeypatch):
    """What was given to the functions that draw."""
    calls = []

    def noted(real):
        return lambda *given: calls.append(given) or real(*given)

    for name in ("learning_curve", "bar_plot"):
        monkeypatch.setattr(figures, name, noted(getattr(figures, name)))
    return calls


def test_learning_curves_are_the_table(drawn, tmp_path):
    runs = [run({"variant": v, "size": n, "seed": s}, base + n / 100 + s / 10, None)
            for v, base in (("a", 0.1), ("b", 0.3)) for n in (5, 9) for s in (1, 3)]  # fmt: skip
    [path] = draw_sweep(runs, config(sizes=[5, 9, 20], figure="learning_curve"), tmp_path)
    assert path.name == "learning_curve-my-dev-rho.png"
    sizes, curves, title, words = drawn[0]
    assert (sizes, title, words) == ([5, 9, 20], "mine: my-dev", "rho x 100")
    assert curves["a"][0] == pytest.approx([35, 39, math.nan], nan_ok=True)
    assert curves["b"][0] == pytest.approx([55, 59, math.nan], nan_ok=True)
    assert curves["a"][1] == pytest.approx([math.sqrt(200), math.sqrt(200), math.nan], nan_ok=True)


def test_a_curve_for_each_point_on_the_other_axes(drawn, tmp_path):
    axes = [{"variant": "(u, v)", "lr": lr, "size": n} for lr in (1, 2) for n in (5, 9)]
    draw_sweep(
        [run(point, 0.5, None) for point in axes],
        config(sizes=[5, 9], figure="learning_curve"),
        tmp_path,
    )
    draw_sweep(
        [run({"size": n}, 0.5, None) for n in (5, 9)],
        config(sizes=[5, 9], figure="learning_curve"),
        tmp_path,
    )
    assert [list(curves) for _, curves, *_ in drawn] == [["(u, v), lr=1", "(u, v), lr=2"], ["mine"]]


def test_bars_are_the_table(drawn, tmp_path):
    runs = [run({"variant": v, "seed": s}, 0.1 * s, 0.5) for v in "ab" for s in (1, 2)]
    paths = draw_sweep(runs, config(figure="bars", published={"b": 70.0}), tmp_path)
    assert [path.name for path in paths] == ["bars-my-dev-rho.png", "bars-my-test-rho.png"]
    names, means, deviations, title, words, published = drawn[0]
    assert (names, title, words, published) == (
        ["a", "b"],
        "mine: my-dev",
        "rho x 100",
        [None, 70.0],
    )
    assert means == pytest.approx([15, 15])
    assert deviations == pytest.approx([math.sqrt(50)] * 2)


def test_a_name_that_is_no_file_name(tmp_path):
    one = run({}, 0.5, None)
    one.result["results"][0]["dataset"] = "../my/dev"
    [path] = draw_sweep([one], config(figure="bars"), tmp_path)
    assert path == tmp_path / "bars-my_dev-rho.png"
    assert path.exists()


def test_tensorboard_has_the_last_figures_alone(tmp_path):
    runs = [run({"variant": v, "seed": s}, 0.1 * s, 0.5) for v in "ab" for s in (1, 2)]
    for count in (2, 4):
        paths = draw_sweep(runs[:count], config(figure="bars"), tmp_path)
    events = board(tmp_path)
    assert events.Tags()["images"] == ["bars/my-dev rho", "bars/my-test rho"]
    [image] = events.Images("bars/my-dev rho")
    assert image.step == 4
    seen = np.array(Image.open(io.BytesIO(image.encoded_image_string)))
    saved = Image.open(paths[0])
    assert seen.shape[1::-1] == pytest.approx([n / 1.5 for n in saved.size], abs=1)
