"""A sweep: finished runs are skipped, interrupted ones resumed, a failure stops it.

Most runs are faked: their results follow from their configuration.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from support import ROOT, fails, metrics, write_config

from sbert.atomic import write_whole
from sbert.errors import InputError
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.sweep import Sweep


def pretend(calls: list[str], fail: str = ""):
    """A fake JobRunner: scores follow from the seed and the learning rate.

    fail: the label of a run that fails.
    """

    class Pretend:
        def __init__(self, jobs, say):
            self.stopped = False

        def run(self, run):
            if self.stopped:
                return
            calls.append(run.label)
            for part in ("best", "last"):
                (run.folder / part).mkdir(parents=True, exist_ok=True)
            (run.folder / "config.yaml").write_text(run.config_yaml)
            if run.label == fail:
                raise InputError(f"run {run.label} failed")
            score = {"rho": 0.5 + run.config.loop.seed / 100 + run.config.optim.lr}
            results = [
                {"dataset": p, "part": p, "main": "rho", "rows": 3, "before": score, "after": score}
                for p in ("dev", "test")
            ]
            write_whole(
                run.folder / "result.json",
                json.dumps({"train_rows": 9, "seconds": 1.0, "results": results}).encode(),
            )

        def stop(self):
            self.stopped = True

    return Pretend


@pytest.fixture
def options(tmp_path, tiny_folder, pairs_file):
    base = write_config(tmp_path, tiny_folder, pairs_file)
    return {
        "name": "mine",
        "base": str(base),
        "runs": str(tmp_path / "sweeps"),
        "grid": {"optim.lr": [0.01, 0.02]},
    }


def results(folder: Path) -> list[dict]:
    """results.jsonl without what a clock says."""
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def summary_of(page: str) -> str:
    """The table of a table.md, and the notes below it."""
    return "\n\n".join(part for part in page.split("\n\n") if part.startswith(("|", "- ")))


def test_runs_in_order_and_leaves_results_and_a_table(options, tmp_path, capsys):
    calls = []
    Sweep(SweepConfig(**options, seeds=[1, 2]), pretend(calls)).run()
    labels = [f"optim.lr={lr},seed={s}" for lr in (0.01, 0.02) for s in (1, 2)]
    assert calls == labels
    folder = tmp_path / "sweeps/mine"
    assert [row["run"] for row in results(folder)] == labels
    assert results(folder)[0]["results"]["dev"]["after"] == {"rho": 0.52}
    table = (folder / "table.md").read_text()
    assert "| **optim.lr=0.02** |    2 |   53.50 |      0.71 | 54.00 |" in table
    output = capsys.readouterr().out.strip()
    assert summary_of(table) in output
    assert output.splitlines()[-2:] == ["4 runs took 4 s in all", f"table: {folder}/table.md"]
    assert "4 runs took 4 s in all; Python " in table
    assert "4 of 4: optim.lr=0.02,seed=2: dev 54.00, test 54.00; 1 s" in output
    saved = yaml.safe_load((folder / "sweep.yaml").read_text())
    assert SweepConfig(**saved) == SweepConfig(**options, seeds=[1, 2])


def test_what_is_done_is_skipped_and_axes_may_grow(options, tmp_path):
    calls = []
    Sweep(SweepConfig(**options, seeds=[1]), pretend(calls)).run()
    del calls[:]
    Sweep(SweepConfig(**options, seeds=[1]), pretend(calls)).run()
    assert calls == []
    Sweep(SweepConfig(**options, seeds=[1, 2]), pretend(calls)).run()
    assert calls == ["optim.lr=0.01,seed=2", "optim.lr=0.02,seed=2"]
    assert len(results(tmp_path / "sweeps/mine")) == 4


def test_one_that_fails_stops_the_sweep_and_what_is_done_stays(options, tmp_path):
    calls = []
    with pytest.raises(InputError, match="run optim.lr=0.01,seed=2 failed"):
        Sweep(
            SweepConfig(**options, seeds=[1, 2]), pretend(calls, fail="optim.lr=0.01,seed=2")
        ).run()
    assert calls == ["optim.lr=0.01,seed=1", "optim.lr=0.01,seed=2"]
    assert [row["run"] for row in results(tmp_path / "sweeps/mine")] == calls[:1]
    Sweep(SweepConfig(**options, seeds=[1, 2]), pretend(calls)).run()
    assert calls[2:] == ["optim.lr=0.01,seed=2", "optim.lr=0.02,seed=1", "optim.lr=0.02,seed=2"]


def test_several_at_a_time(options, tmp_path):
    """Three runs meet at a barrier, which none could pass alone."""
    together, Base = threading.Barrier(3, timeout=20), pretend([])  # noqa: N806

    class Meeting(Base):
        def run(self, run):
            together.wait()
            super().run(run)

    Sweep(SweepConfig(**options, seeds=[1, 2, 3], jobs=3), Meeting).run()
    at_once = (tmp_path / "sweeps/mine/results.jsonl").read_bytes()
    Sweep(SweepConfig(**options | {"name": "other"}, seeds=[1, 2, 3]), pretend([])).run()
    assert at_once == (tmp_path / "sweeps/other/results.jsonl").read_bytes()


@pytest.mark.parametrize("keep", [[], ["best"], ["best", "last"]])
def test_models_are_deleted_unless_they_are_asked_for(options, tmp_path, keep):
    Sweep(SweepConfig(**options, keep=keep), pretend([])).run()
    for run in (tmp_path / "sweeps/mine").glob("optim*"):
        assert {path.name for path in run.iterdir() if path.is_dir()} == set(keep)


def test_a_model_that_was_not_kept_cannot_be_asked_for_later(options, tmp_path):
    Sweep(SweepConfig(**options), pretend([])).run()
    with pytest.raises(
        InputError,
        match=r"optim.lr=0.01: is done, and its best/ was not kept; delete the folder to",
    ):
        Sweep(SweepConfig(**options, keep=["best"]), pretend([])).run()


def test_a_folder_of_other_settings_is_refused_and_not_touched(options, tmp_path):
    Sweep(SweepConfig(**options), pretend([])).run()
    files = {p: p.read_bytes() for p in (tmp_path / "sweeps").rglob("*") if p.is_file()}
    calls = []
    with pytest.raises(
        InputError,
        match=r"0.01: a run of other settings: optim.epochs was 2.0, now 3.0; give the",
    ):
        Sweep(SweepConfig(**options, set={"optim.epochs": 3}), pretend(calls)).run()
    with pytest.raises(
        InputError,
        match=r"optim.lr=0.01: is not one of the 1 runs asked for; ask for it, too, by its seed, "
        "variant or setting, give the sweep another name",
    ):
        Sweep(SweepConfig(**options | {"grid": {}}, seeds=[1]), pretend(calls)).run()
    assert calls == []
    assert {p: p.read_bytes() for p in (tmp_path / "sweeps").rglob("*") if p.is_file()} == files


@pytest.mark.parametrize("name", ["", "..", "/tmp/mine"])
def test_a_name_that_is_no_folder_below_runs(options, name):
    with pytest.raises(InputError, match="^name is '.*'; it must name a folder below runs"):
        SweepConfig(**options | {"name": name})


def test_a_folder_of_other_settings_ends_with_one_line(options, tmp_path, sweep_command, capsys):
    Sweep(SweepConfig(**options), pretend([])).run()
    (tmp_path / "other.yaml").write_text(json.dumps(options | {"set": {"optim.epochs": 3}}))
    line = fails(sweep_command, capsys, "--config", tmp_path / "other.yaml")
    message = "optim.lr=0.01: a run of other settings: optim.epochs was 2.0, now 3.0; "
    assert f"{message}give the sweep another name" in line


def test_published_figures_of_no_row_are_refused(options):
    message = "'lr' is not a row of the table; the rows are optim.lr=0.01; optim.lr=0.02"
    with pytest.raises(InputError, match=f"published: {message}"):
        Sweep(SweepConfig(**options, published={"lr": 80.0}))
    with pytest.raises(InputError, match=f"baseline: {message}"):
        Sweep(SweepConfig(**options, baseline="lr"))


def test_figures_stand_beside_the_table(options, tmp_path, capsys):
    Sweep(
        SweepConfig(**options, seeds=[1, 2], figure="bars", published={"optim.lr=0.01": 50.0}),
        pretend([]),
    ).run()
    folder = tmp_path / "sweeps/mine"
    pictures = sorted(path.name for path in folder.glob("*.png"))
    assert pictures == ["bars-dev-rho.png", "bars-test-rho.png"]
    assert all(
        f"![{name.removesuffix('.png')}]({name})" in (folder / "table.md").read_text()
        for name in pictures
    )
    assert f"figure: {folder}/bars-dev-rho.png\n" in capsys.readouterr().out


def test_a_figure_without_matplotlib_is_refused_before_the_first_run(options, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        InputError,
        match=r"figure bars needs matplotlib, the extra plots: pip install -e '\.\[plots\]'",
    ):
        Sweep(SweepConfig(**options, figure="bars"))


def test_a_dry_run_lists_the_runs_and_writes_nothing(options, tmp_path, sweep_command, capsys):
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(options | {"seeds": [1, 2]}))
    sweep_command("--config", path, "--dry_run")
    assert "0 of 4 runs done in" in capsys.readouterr().out
    assert not (tmp_path / "sweeps").exists()
    Sweep(SweepConfig(**options, seeds=[1]), pretend([])).run()
    (tmp_path / "sweeps/mine/optim.lr=0.01,seed=2/last").mkdir(parents=True)
    sweep_command("--config", path, "--dry_run")
    lines = capsys.readouterr().out.splitlines()[-6:]
    assert [line.split()[0] for line in lines] == ["done", "cut", "done", "to", "2", "to"]
    assert lines[-1] == "to do: 2 runs that train on 32 rows and evaluate 64"


def test_a_dry_run_checks_what_the_runs_read(options, tmp_path, sweep_command, capsys):
    base = Path(options["base"])
    content = yaml.safe_load(base.read_text())
    content["data"]["train"][0]["path"] = "nowhere.tsv"
    base.write_text(yaml.safe_dump(content))
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(options))
    assert "nowhere.tsv: no such file" in fails(
        sweep_command, capsys, "--dry_run", "--config", path
    )


def test_a_flag_may_come_before_the_configuration(options, tmp_path, sweep_command, capsys):
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps(options))
    sweep_command("--dry_run", "--config", path)
    assert "0 of 2 runs done in" in capsys.readouterr().out
    assert not (tmp_path / "sweeps").exists()
    line = fails(sweep_command, capsys, "--jobs", 2, "--config", path)
    assert "--jobs comes before --config, whose file may override it" in line


@pytest.mark.parametrize(("changes", "message"), [
    ({"grid": {"optim.lrr": [1]}},
     "run optim.lrr=1: unknown option optim.lrr: 'lrr' is not one of lr, batch_size"),
    ({"folds": {"number": 3}}, "folds needs group"),
    ({"folds": {"number": 40, "group": "row"}},
     "folds is 40, but there are 32 rows; set folds to 32 or fewer"),
    ({"folds": {"number": 3, "group": "topic"}},
     "pairs.tsv, line 2: no column 'topic'; available: sentence1"),
    ({"folds": {"number": 30, "group": "score"}},
     "folds is 30, but there are 11 distinct values in column score"),
    ({"grid": {"loop.seed": [1, 2]}, "seeds": [1]},
     "grid and seeds both set loop.seed; set it in one of them"),
    ({"axes": {"seed": [1]}}, "axes"),
    ({"jobs": "many"}, 'Parser key "jobs"; Expected a <class \'int\'>. Got value: many'),
])  # fmt: skip
def test_bad_input_ends_with_one_line(options, tmp_path, sweep_command, capsys, changes, message):
    path = tmp_path / "sweep.yaml"
    options["base"] = str(write_config(tmp_path, tmp_path / "x", tmp_path / "pairs.tsv", data={
        "train": [{"path": str(tmp_path / "pairs.tsv"), "range": [0, 5]}]}))  # fmt: skip
    path.write_text(json.dumps(options | changes))
    assert message in fails(sweep_command, capsys, "--config", path)
    assert not (tmp_path / "sweeps").exists()


def test_a_killed_sweep_is_resumed_and_is_equal_to_one_that_was_not(options, tmp_path, monkeypatch):
    """sweep.py and its train.py are killed during the second of two runs; the sweep is resumed."""
    # in every process: the last bits depend on the number of threads
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    small = {"optim.epochs": 10, "loop.save_steps": 1, "loop.evaluate_epochs": 5}
    options |= {"grid": {}, "set": small, "seeds": [1, 2], "keep": ["best"]}
    path, folder = tmp_path / "sweep.yaml", tmp_path / "sweeps/mine"
    path.write_text(json.dumps(options))
    command = [sys.executable, str(ROOT / "sweep.py"), "--config", str(path)]
    sweep = subprocess.Popen(command, start_new_session=True)
    while not (folder / "seed=2/last/state.safetensors").exists():
        assert sweep.poll() is None, "the sweep ended before it could be killed"
        time.sleep(0.005)
    os.killpg(sweep.pid, signal.SIGKILL)
    sweep.wait()
    assert (folder / "seed=1/result.json").exists()
    assert not (folder / "seed=2/result.json").exists()
    first = (folder / "seed=1/result.json").stat().st_mtime_ns

    Sweep(SweepConfig(**options)).run()
    assert (folder / "seed=1/result.json").stat().st_mtime_ns == first  # it was not trained again
    Sweep(SweepConfig(**options | {"name": "same"})).run()
    whole = tmp_path / "sweeps/same"
    assert results(folder) == results(whole)
    tables = [summary_of((f / "table.md").read_text()) for f in (folder, whole)]
    assert tables[0] == tables[1].replace("| same ", "| mine ")
    for seed in ("seed=1", "seed=2"):
        weights = [(f / seed / "best/model.safetensors").read_bytes() for f in (folder, whole)]
        assert weights[0] == weights[1]
        losses = [
            [(row["step"], row["loss"]) for row in metrics(f / seed)] for f in (folder, whole)
        ]
        assert losses[0] == losses[1]
        assert [step for step, _ in losses[0]] == list(range(1, 41))
