"""Seed optimisation: the best seed on dev finishes, as in a run of that seed alone."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from support import fails, metrics, same_state, saved_state, train_with_two_processes, write_config

from sbert.atomic import write_whole
from sbert.errors import InputError
from sbert.training import checkpoint, seed_selection
from sbert.training.config import SeedsConfig
from sbert.training.loop import Training
from sbert.training.seed_selection import choose_seed

LOSS = {"class_path": "CosineSimilarityLoss", "init_args": {"learnable_scale": True}}
LOOP = {"precision": "fp32", "log_steps": 1, "evaluate_epochs": 0.75, "seed": 7}
CHOICE = {
    "seeds": 3,
    "share": 0.4,
}  # of 8 steps: 3, after which dev is evaluated and the run saved anyway
ONE = SimpleNamespace(is_main_process=True, wait_for_everyone=lambda: None, print=print)


@pytest.fixture
def config(tmp_path, tiny_folder, pairs_file):
    return write_config(
        tmp_path, tiny_folder, pairs_file, loss=LOSS, loop=LOOP, seed_optimisation=CHOICE
    )


def timeless(rows: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if "per_second" not in key} for row in rows]


def assert_equal_runs(a, b):
    assert same_state(a, b) == []
    for kind in ("before", "train", "dev"):
        assert timeless(metrics(a, kind)) == timeless(metrics(b, kind))
    assert (a / "best/model.safetensors").read_bytes() == (
        b / "best/model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("share", [0.4, 0.5])
def test_the_best_seed_finishes_as_in_a_run_of_its_own(
    tmp_path, config, train_command, capsys, share
):
    """Bit for bit, with dropout; compared at a step with an evaluation (3) and without (4)."""
    train_command(config, "--seed_optimisation.share", str(share))
    run, step = tmp_path / "runs/run", round(8 * share)
    [row] = metrics(run, "seeds")
    scores = {seed: row[f"dev/{seed}"] for seed in (7, 1007, 2007)}
    assert len(set(scores.values())) == 3
    assert (row["step"], row["seed"]) == (step, max(scores, key=scores.get))
    result = json.loads((run / "result.json").read_text())
    assert result["seeds"] == {
        key: value for key, value in row.items() if key not in ("step", "kind")
    }
    assert f"continuing with seed {row['seed']}, the best of 3 on dev" in capsys.readouterr().out
    for seed, score in scores.items():
        alone = [f"--name={seed}", f"--loop.seed={seed}", "--seed_optimisation.seeds", "1"]
        train_command(config, *alone)
        kept = {path.name for path in (run / f"seeds/{seed}").iterdir()}
        assert not kept & {"last", "best"}  # the weights of the other seeds are deleted
        if share == 0.4:  # each score is that of the seed's own run
            assert metrics(tmp_path / f"runs/{seed}", "dev")[0]["pairs/spearman_cosine"] == score
    assert_equal_runs(run, tmp_path / f"runs/{row['seed']}")
    # given again, nothing is left to do
    train_command(config, "--seed_optimisation.share", str(share), "--resume")
    assert_equal_runs(run, tmp_path / f"runs/{row['seed']}")


@pytest.mark.parametrize("update", [2, 5, 9, 13])
def test_killed_at_any_update_it_ends_the_same(
    tmp_path, config, train_command, monkeypatch, update
):
    """In the start of the first, second or last seed, and after them; a best one is replaced."""
    train_command(config, "--name", "whole")
    step, updates = Training.update, 0

    def die(self):
        nonlocal updates
        updates += 1
        if updates == update:
            raise KeyboardInterrupt
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "update", die)
        with pytest.raises(KeyboardInterrupt):
            train_command(config)
    train_command(config, "--resume")
    assert_equal_runs(tmp_path / "runs/run", tmp_path / "runs/whole")
    assert metrics(tmp_path / "runs/run", "seeds") == metrics(tmp_path / "runs/whole", "seeds")


def test_two_processes_choose_as_one(tmp_path, steady_folder, pairs_file, train_command):
    """And each process resumes from its own state."""
    optim = {"lr": 1e-3, "batch_size": 11, "epochs": 2, "eps": 1e-3}
    # the cosine of a text with itself is 1 but for rounding, which would make or break ties
    lines = pairs_file.read_text().splitlines(keepends=True)
    pairs_file.write_text("".join(x for x in lines if len(set(x.split("\t")[:2])) == 2))
    config = write_config(
        tmp_path, steady_folder, pairs_file, optim=optim, loss=LOSS, seed_optimisation=CHOICE
    )
    train_command(config)
    train_with_two_processes(config)
    one, two = (metrics(tmp_path / f"runs/{name}", "seeds")[0] for name in ("run", "two"))
    assert two == pytest.approx(one, abs=1e-3)
    assert two["seed"] == one["seed"]
    a, b = saved_state(tmp_path / "runs/run"), saved_state(tmp_path / "runs/two")
    for name in filter(lambda name: name.startswith("objective."), a):
        torch.testing.assert_close(b[name], a[name], atol=1e-5, rtol=1e-4, msg=name)


def fake_training(scores: dict[int, float]):
    """A `train_seed` that leaves the files of a training, and returns the given scores."""
    calls = []

    def train_seed(seed, folder):
        calls.append(seed)
        for part in ("last", "best"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "last" / checkpoint.STATE).write_text(f"state {seed}")
        (folder / "best/weights").write_text(f"best {seed}")
        (folder / "metrics.jsonl").write_text('{"step": 1, "kind": "train"}\n')
        return scores[seed], 5

    return train_seed, calls


def files(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("operation", ["write_whole", "rename", "rmtree", "copytree", "copy"])
def test_a_kill_between_any_two_changes_of_the_disk(tmp_path, monkeypatch, operation):
    """Any call of an operation may be the last of a process; the next one ends with the same
    files."""
    scores = {1: 0.5, 1001: 0.9, 2001: 0.7}
    config = SeedsConfig(3)
    choose_seed(config, 1, tmp_path / "whole", fake_training(scores)[0], ONE)
    module = {"write_whole": seed_selection, "rename": seed_selection.os}.get(operation, shutil)
    real = getattr(module, operation)
    cuts = 0
    for at in range(100):
        count, folder = 0, tmp_path / f"cut{at}"

        def die(*args, at=at, **options):
            nonlocal count
            count += 1
            if count > at:
                raise KeyboardInterrupt
            return real(*args, **options)

        try:
            with monkeypatch.context() as patch:
                patch.setattr(module, operation, die)
                choose_seed(config, 1, folder, fake_training(scores)[0], ONE)
            break
        except KeyboardInterrupt:
            cuts += 1
        choice = choose_seed(config, 1, folder, fake_training(scores)[0], ONE)
        assert choice.best == 1001
        assert files(folder) == files(tmp_path / "whole")
    assert cuts
    assert files(tmp_path / "whole")["last/" + checkpoint.STATE] == b"state 1001"


def test_without_the_state_of_the_best_seed_nothing_is_deleted(tmp_path):
    scores = {1: 0.5, 1001: 0.9}
    choose_seed(SeedsConfig(2), 1, tmp_path, fake_training(scores)[0], ONE)
    shutil.rmtree(tmp_path / "last")
    left = files(tmp_path)
    with pytest.raises(InputError) as error:
        choose_seed(SeedsConfig(2), 1, tmp_path, fake_training(scores)[0], ONE)
    assert str(error.value) == (
        f"{tmp_path}: last/ was deleted after seed 1001 was chosen, so there is nothing to resume; "
        "train anew with --overwrite, or set another name"
    )
    assert files(tmp_path) == left


def test_seeds_with_a_score_are_not_trained_again(tmp_path):
    train_seed, calls = fake_training({1: 0.5, 1001: 0.9, 2001: 0.9})
    write_whole(tmp_path / "seeds.json", b'{"scores": {"1": 0.5}, "step": 5}')
    assert (
        choose_seed(SeedsConfig(3), 1, tmp_path, train_seed, ONE).best == 1001
    )  # of equal ones the first
    assert calls == [1001, 2001]
    train_seed, calls = fake_training({})
    assert choose_seed(SeedsConfig(3), 1, tmp_path, train_seed, ONE).scores == {
        1: 0.5,
        1001: 0.9,
        2001: 0.9,
    }
    assert calls == []


def test_an_undefined_score_is_never_the_best(tmp_path):
    choice = choose_seed(
        SeedsConfig(2), 1, tmp_path, fake_training({1: float("nan"), 1001: -0.9})[0], ONE
    )
    assert (choice.best, choice.scores) == (1001, {1: None, 1001: -0.9})


def test_runs_of_neighbouring_seeds_try_different_ones():
    tried = [seed for first in range(1, 20) for seed in SeedsConfig(5).candidates(first)]
    assert len(set(tried)) == 95
    assert SeedsConfig(2).candidates(3) == [3, 1003]


@pytest.mark.parametrize(
    ("share", "total", "step"), [(0.2, 360, 72), (0.2, 2, 1), (0.2, 13, 3), (0.99, 4, 4)]
)
def test_the_step_of_the_comparison(share, total, step):
    assert SeedsConfig(2, share).comparison_step(total) == step


def test_without_dev_there_is_nothing_to_choose_by(tmp_path, config, train_command, capsys):
    assert "seed_optimisation: there is no dev set" in fails(
        train_command, capsys, config, "--data.dev", "[]"
    )
    assert not (tmp_path / "runs").exists()
