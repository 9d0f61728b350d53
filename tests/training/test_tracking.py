"""What a run records: metrics.jsonl and TensorBoard read back, resumed and refused folders."""

import io
import json
import math
import sys

import numpy as np
import pytest
from boards import board
from PIL import Image

from sbert import atomic
from sbert.errors import InputError
from sbert.evaluation import figures
from sbert.evaluation.report import Report
from sbert.training.checkpoint import STATE
from sbert.training.tracking import Tracker, open_run, read_metrics, scores_by_gold

CONFIG = "seed: 1\noptim:\n  lr: 2.0e-05\n  epochs: 4\n"


def curve(folder, name):
    return [(event.step, event.value) for event in board(folder).Scalars(name)]


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]


def write(folder, steps, start=0):
    tracker = Tracker(folder, start)
    for step in steps:
        tracker.log_training(step, {"loss": 1 / step})
    tracker.close()


def file_tree(folder):
    return sorted(path.name for path in folder.rglob("*"))


# the tracker


def test_training_curves_are_rows_and_curves(tmp_path):
    tracker = Tracker(tmp_path, 0)
    tracker.log_training(1, {"loss": 0.5, "lr": 2e-5})
    tracker.log_training(2, {"loss": 0.25, "lr": 1e-5})
    tracker.close()
    expected = [
        {"step": 1, "kind": "train", "loss": 0.5, "lr": 2e-5},
        {"step": 2, "kind": "train", "loss": 0.25, "lr": 1e-5},
    ]
    assert lines(tmp_path) == read_metrics(tmp_path) == expected
    assert set(board(tmp_path).Tags()["scalars"]) == {"train/loss", "train/lr"}
    assert curve(tmp_path, "train/loss") == [(1, 0.5), (2, 0.25)]


def test_rows_are_on_disk_before_the_run_ends(tmp_path):
    tracker = Tracker(tmp_path, 0)
    for step in (1, 2):
        tracker.log_training(step, {"loss": 0.5})
        assert len(lines(tmp_path)) == step
    tracker.close()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_in_json(tmp_path, value):
    tracker = Tracker(tmp_path, 0)
    tracker.log_row("dev", 1, {"undefined": value, "fine": 1.0})
    tracker.close()
    text = (tmp_path / "metrics.jsonl").read_text("utf-8")
    # NaN and Infinity are not JSON, though Python would read them
    assert json.loads(text, parse_constant=pytest.fail) == {
        "step": 1,
        "kind": "dev",
        "undefined": None,
        "fine": 1.0,
    }


def test_configuration_is_a_table_in_the_text_tab(tmp_path):
    tracker = Tracker(tmp_path, 0)
    tracker.log_config({"optim.lr": 2e-5, "name": "stsb"})
    tracker.close()
    events = board(tmp_path)
    assert events.Tags()["tensors"] == ["configuration/text_summary"]
    [event] = events.Tensors("configuration/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert text.splitlines() == [
        "| option | value |",
        "| --- | --- |",
        "| optim.lr | 2e-05 |",
        "| name | stsb |",
    ]


def test_reports_are_curves_by_dataset(tmp_path):
    tracker = Tracker(tmp_path, 0)
    reports = [
        Report("stsb", "sts", 3, {"spearman_cosine": 0.8, "pearson_cosine": 0.7}),
        Report("wiki", "triplet", 5, {"accuracy_cosine": 0.6}),
    ]
    tracker.log_dev(4, reports)
    tracker.close()
    assert lines(tmp_path) == [
        {"step": 4, "kind": "dev", "stsb/spearman_cosine": 0.8, "stsb/pearson_cosine": 0.7},
        {"step": 4, "kind": "dev", "wiki/accuracy_cosine": 0.6},
    ]
    assert curve(tmp_path, "dev/stsb") == [(4, pytest.approx(0.8))]
    assert curve(tmp_path, "values/dev/stsb/pearson_cosine") == [(4, pytest.approx(0.7))]
    assert curve(tmp_path, "dev/wiki") == [(4, pytest.approx(0.6))]
    assert len(board(tmp_path).Tags()["scalars"]) == 3
    assert board(tmp_path).Tags()["histograms"] == []


def test_an_undefined_metric_has_no_tag(tmp_path):
    tracker = Tracker(tmp_path, 0)
    undefined = {"spearman_cosine": math.nan, "pearson_cosine": math.nan}
    tracker.log_dev(1, [Report("flat", "sts", 3, undefined)])
    tracker.log_curves("test", 1, [Report("flat", "sts", 3, undefined)])
    tracker.log_dev(2, [Report("flat", "sts", 3, undefined | {"pearson_cosine": 0.5})])
    tracker.close()
    assert board(tmp_path).Tags()["scalars"] == ["values/dev/flat/pearson_cosine"]
    assert curve(tmp_path, "values/dev/flat/pearson_cosine") == [(2, 0.5)]
    assert lines(tmp_path)[0]["flat/spearman_cosine"] is None


def test_curves_without_rows(tmp_path):
    """Test sets have a point before training and one of the best model, and no row of their own."""
    tracker = Tracker(tmp_path, 0)
    for step, value in ((0, 0.25), (7, 0.5)):
        tracker.log_curves("test", step, [Report("stsb", "sts", 3, {"spearman_cosine": value})])
    tracker.close()
    assert curve(tmp_path, "test/stsb") == [(0, 0.25), (7, 0.5)]
    assert lines(tmp_path) == []


def test_cosines_are_histograms_by_gold_band(tmp_path):
    gold = np.array([0.0, 0.19, 0.2, 0.4, 0.6, 0.79, 0.8, 1.0], np.float32)
    cosines = np.linspace(-0.5, 1, 8)
    tracker = Tracker(tmp_path, 0)
    tracker.log_dev(3, [Report("stsb", "sts", 8, {"spearman_cosine": 1.0}, cosines, gold)])
    tracker.close()
    events = board(tmp_path)
    # a band holds its lower edge, and the last one its upper edge too
    bands = {
        "0.0 to 0.2": cosines[:2],
        "0.2 to 0.4": cosines[2:3],
        "0.4 to 0.6": cosines[3:4],
        "0.6 to 0.8": cosines[4:6],
        "0.8 to 1.0": cosines[6:],
    }
    assert set(events.Tags()["histograms"]) == {
        f"values/dev/stsb/cosine where gold is {band}" for band in bands
    }
    for band, members in bands.items():
        [event] = events.Histograms(f"values/dev/stsb/cosine where gold is {band}")
        found = event.histogram_value
        assert event.step == 3
        assert (found.num, found.min, found.max) == (len(members), members.min(), members.max())
        assert found.sum == pytest.approx(members.sum())


def test_a_band_without_rows_has_no_histogram(tmp_path):
    tracker = Tracker(tmp_path, 0)
    tracker.log_dev(
        1,
        [
            Report(
                "x", "sts", 2, {"spearman_cosine": 1.0}, np.array([0.1, 0.9]), np.array([0.1, 0.9])
            )
        ],
    )
    tracker.close()
    assert len(board(tmp_path).Tags()["histograms"]) == 2


def test_figures_of_scores_are_images(tmp_path):
    scores, gold = np.linspace(-0.5, 1, 40), np.linspace(0, 1, 40)
    reports = [
        Report("stsb", "sts", 40, {"spearman_cosine": 1.0}, scores, gold),
        Report("wiki", "triplet", 5, {"accuracy_cosine": 0.6}),
    ]
    tracker = Tracker(tmp_path, 0)
    for step in (3, 5):
        tracker.log_dev(step, reports)
    tracker.close()
    events = board(tmp_path)
    assert sorted(events.Tags()["images"]) == [
        "values/dev/stsb/cosine by gold",
        "values/dev/stsb/cosine densities",
    ]
    expected = {
        "by gold": figures.scatter_plot(gold, scores, "stsb", "cosine"),
        "densities": figures.histograms(scores_by_gold(scores, gold), "stsb", "cosine"),
    }
    for what, figure in expected.items():
        images = events.Images(f"values/dev/stsb/cosine {what}")
        assert [image.step for image in images] == [3, 5]
        pixels = np.array(Image.open(io.BytesIO(images[1].encoded_image_string)))
        assert np.array_equal(pixels, figures.figure_pixels(figure))


def test_scores_that_are_nan_stop_nothing(tmp_path):
    """The images of every step are there; a training must not end by a picture."""
    tracker, gold = Tracker(tmp_path, 0), np.array([0.0, 0.5, 1.0])
    for step, bad in enumerate((np.array([0.1, math.nan, 0.3]), np.full(3, math.nan)), start=1):
        tracker.log_dev(step, [Report("x", "sts", 3, {"spearman_cosine": math.nan}, bad, gold)])
    tracker.close()
    for what in ("by gold", "densities"):
        assert [image.step for image in board(tmp_path).Images(f"values/dev/x/cosine {what}")] == [
            1,
            2,
        ]


def test_without_matplotlib_there_are_no_images(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    tracker = Tracker(tmp_path, 0)
    tracker.log_dev(1, [Report("x", "sts", 2, {"spearman_cosine": 1.0}, np.ones(2), np.ones(2))])
    tracker.close()
    assert board(tmp_path).Tags()["images"] == []
    assert len(board(tmp_path).Tags()["histograms"]) == 1


def test_the_bar_follows_the_step(tmp_path):
    tracker = Tracker(tmp_path, 3)
    tracker.start_bar(10)
    assert (tracker.bar.n, tracker.bar.total) == (3, 10)
    tracker.update_bar(5, 0.12345, 678.9)
    tracker.update_bar(9, 0.12345, 678.9)
    assert tracker.bar.n == 9
    assert tracker.bar.postfix == "loss 0.1235, 679 pairs/s"
    tracker.close()


def test_an_inactive_tracker_writes_nothing(tmp_path, capsys):
    tracker = Tracker(tmp_path, 0, active=False)
    tracker.log_config({"a": 1})
    tracker.start_bar(10)
    tracker.log_training(1, {"loss": 0.5})
    tracker.update_bar(1, 0.5, 10.0)
    tracker.log_dev(1, [Report("x", "sts", 1, {"spearman_cosine": 1.0}, np.ones(1), np.ones(1))])
    tracker.print("hello")
    tracker.close()
    assert file_tree(tmp_path) == []
    assert capsys.readouterr() == ("", "")


def test_an_inactive_tracker_leaves_the_rows_of_the_active_one(tmp_path):
    write(tmp_path, [1, 2, 3])
    Tracker(tmp_path, 1, active=False).close()
    assert [row["step"] for row in lines(tmp_path)] == [1, 2, 3]


def test_the_active_tracker_prints(tmp_path, capsys):
    tracker = Tracker(tmp_path, 0)
    tracker.print("a line")
    tracker.close()
    assert "a line\n" in capsys.readouterr().out


# resuming


def age_events(folder):
    """Rename event files as if written earlier: TensorBoard reads them in the order of names."""
    for path in folder.glob("events.out.tfevents.*"):
        first, second, third, _, *rest = path.name.split(".")
        path.rename(folder / ".".join([first, second, third, "1000000000", *rest]))


@pytest.mark.parametrize(
    ("step", "kept"), [(2, [1, 2]), (1, [1]), (4, [1, 2, 3, 4]), (9, [1, 2, 3, 4])]
)
def test_rows_after_the_resumed_step_are_dropped(tmp_path, step, kept):
    write(tmp_path, [1, 2, 3, 4])
    Tracker(tmp_path, step).close()
    assert [row["step"] for row in lines(tmp_path)] == kept


def test_a_resumed_run_has_one_row_and_one_point_a_step(tmp_path):
    write(tmp_path, [1, 2, 3, 4])
    age_events(tmp_path)
    tracker = Tracker(tmp_path, 2)
    for step in (3, 4, 5):
        tracker.log_training(step, {"loss": 100.0 + step})
    tracker.close()
    expected = [(1, 1.0), (2, 0.5), (3, 103.0), (4, 104.0), (5, 105.0)]
    assert [(row["step"], row["loss"]) for row in lines(tmp_path)] == expected
    assert curve(tmp_path, "train/loss") == expected


def test_a_run_resumed_before_its_first_checkpoint_starts_its_curves_again(tmp_path):
    write(tmp_path, [1, 2, 3])
    age_events(tmp_path)
    write(tmp_path, [1, 2])
    assert [row["step"] for row in lines(tmp_path)] == [1, 2]
    assert curve(tmp_path, "train/loss") == [(1, 1.0), (2, 0.5)]


@pytest.mark.parametrize(
    "torn", ['{"step": 3, "ki', "{", '{"step": 3, "kind": "train", "loss": 0.1}']
)
def test_a_last_row_cut_short_is_left_out(tmp_path, torn):
    write(tmp_path, [1, 2])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(torn)  # no newline: the crash came first
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2]
    write(tmp_path, [3], start=2)
    assert [row["step"] for row in lines(tmp_path)] == [1, 2, 3]


def test_a_broken_row_in_the_middle_is_not_passed_over(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(json.JSONDecodeError):
        read_metrics(tmp_path)


def test_no_metrics_are_no_rows(tmp_path):
    assert read_metrics(tmp_path) == []
    Tracker(tmp_path, 0).close()
    assert read_metrics(tmp_path) == []


def test_null_stays_null_over_a_resume(tmp_path):
    tracker = Tracker(tmp_path, 0)
    tracker.log_row("dev", 1, {"x": math.nan})
    tracker.close()
    Tracker(tmp_path, 1).close()
    assert lines(tmp_path) == [{"step": 1, "kind": "dev", "x": None}]


def test_a_crash_while_a_resumed_run_drops_rows_loses_none(tmp_path, monkeypatch):
    write(tmp_path, range(1, 5))
    before = (tmp_path / "metrics.jsonl").read_bytes()

    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            Tracker(tmp_path, 2)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


# run folders


def run_folder(tmp_path):
    """A folder that holds a run, with a file that only --overwrite may delete."""
    folder = tmp_path / "runs" / "stsb"
    open_run(folder, CONFIG, resume=False, overwrite=False)
    (folder / "best").mkdir()
    (folder / "best" / "model.safetensors").write_text("weights")
    return folder


def test_a_file_in_the_place_of_the_folder_of_runs(tmp_path):
    (tmp_path / "runs").touch()
    folder = tmp_path / "runs" / "stsb"
    with pytest.raises(InputError) as error:
        open_run(folder, CONFIG, resume=False, overwrite=False)
    assert str(error.value) == f"{folder}: the folder cannot be made: Not a directory"


def test_a_new_run_keeps_its_configuration(tmp_path):
    folder = tmp_path / "runs" / "stsb"
    open_run(folder, CONFIG, resume=False, overwrite=False)
    assert file_tree(folder) == ["config.yaml"]
    assert (folder / "config.yaml").read_text("utf-8") == CONFIG


def test_an_existing_run_is_refused(tmp_path):
    folder = run_folder(tmp_path)
    with pytest.raises(InputError) as error:
        open_run(folder, "seed: 2\n", resume=False, overwrite=False)
    assert all(text in str(error.value) for text in (str(folder), "--resume", "--overwrite"))
    assert (folder / "config.yaml").read_text("utf-8") == CONFIG
    assert (folder / "best" / "model.safetensors").exists()


def test_a_folder_without_a_run_is_used(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    open_run(tmp_path, CONFIG, resume=False, overwrite=True)
    assert file_tree(tmp_path) == ["config.yaml", "notes.txt"]


def test_overwrite_replaces_the_run(tmp_path):
    folder = run_folder(tmp_path)
    open_run(folder, "seed: 2\n", resume=False, overwrite=True)
    assert file_tree(folder) == ["config.yaml"]
    assert (folder / "config.yaml").read_text("utf-8") == "seed: 2\n"


def test_overwrite_deletes_no_other_run(tmp_path):
    folder = run_folder(tmp_path)
    other = folder / "lr3e-5"
    open_run(other, CONFIG, resume=False, overwrite=False)
    with pytest.raises(InputError) as error:
        open_run(folder, CONFIG, resume=False, overwrite=True)
    assert str(error.value) == (
        f"{folder}: --overwrite would delete the run {other} in it, too; set another name, or "
        "delete the folder yourself"
    )
    assert (folder / "best" / "model.safetensors").exists()


def test_resume_and_overwrite_exclude_each_other(tmp_path):
    folder = run_folder(tmp_path)
    with pytest.raises(InputError, match="--resume and --overwrite exclude each other"):
        open_run(folder, CONFIG, resume=True, overwrite=True)
    assert (folder / "best" / "model.safetensors").exists()


def test_resume_with_the_same_configuration(tmp_path):
    folder = run_folder(tmp_path)
    open_run(folder, CONFIG, resume=True, overwrite=False)
    assert (folder / "best" / "model.safetensors").exists()
    assert (folder / "config.yaml").read_text("utf-8") == CONFIG


def test_a_finished_run_without_its_state_is_not_resumed(tmp_path):
    """A sweep and a recipe delete last/ of a finished run: it would be trained anew over best/."""
    folder = run_folder(tmp_path)
    (folder / "result.json").write_text("{}")
    with pytest.raises(InputError) as error:
        open_run(folder, CONFIG, resume=True, overwrite=False)
    assert str(error.value) == (
        f"{folder}: the run is finished, and its last/ was deleted, so there is nothing to resume; "
        "train it anew with --overwrite, or set another name"
    )
    (folder / "last").mkdir()
    (folder / "last" / STATE).touch()
    open_run(folder, CONFIG, resume=True, overwrite=False)
    assert (folder / "best" / "model.safetensors").exists()


def test_resume_of_nothing_starts(tmp_path):
    open_run(tmp_path / "new", CONFIG, resume=True, overwrite=False)
    assert file_tree(tmp_path / "new") == ["config.yaml"]


@pytest.mark.parametrize(
    ("new", "difference"),
    [
        (CONFIG.replace("2.0e-05", "3.0e-05"), "optim.lr was 2e-05, now 3e-05"),
        (CONFIG.replace("seed: 1", "seed: 2").replace("4", "5"), "seed was 1, now 2"),
        (CONFIG + "runs: runs\n", 'runs was not set, now "runs"'),
        (CONFIG.removesuffix("  epochs: 4\n"), "optim.epochs was 4, now not set"),
    ],
    ids=["value", "two", "longer", "shorter"],
)
def test_resume_with_another_configuration_names_the_first_difference(tmp_path, new, difference):
    folder = run_folder(tmp_path)
    with pytest.raises(InputError) as error:
        open_run(folder, new, resume=True, overwrite=False)
    assert str(error.value).endswith(f"another configuration: {difference}")
    assert str(folder) in str(error.value)
    assert (folder / "config.yaml").read_text("utf-8") == CONFIG
