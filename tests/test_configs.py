"""Every configuration loads; wrong options end with one line and exit status 2."""

import copy
import re

import pytest
import yaml
from support import ROOT, write_config

from sbert.augment.recipe import Recipe
from sbert.augment.recipe_config import RecipeConfig
from sbert.claims.config import ClaimsConfig
from sbert.cli import make_parser
from sbert.evaluation.config import EvaluateConfig
from sbert.sweeps.config import SweepConfig
from sbert.sweeps.search import SearchSweep
from sbert.sweeps.sweep import Sweep
from sbert.training.config import TrainConfig

CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_configuration_loads_under_the_command_that_its_head_names(path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    import augment
    import mine

    head = " ".join(line for line in path.read_text("utf-8").splitlines() if line.startswith("#"))
    script = r"python (\w+\.py)(?: (\w+))?"
    command = re.search(rf"{script} --config {re.escape(str(path.relative_to(ROOT)))}", head)
    assert command, f"the head of {path} does not say how to run it"
    schemas = {"train.py": TrainConfig, "sweep.py": SweepConfig, "claims.py": ClaimsConfig}
    schemas |= {
        "mine.py": mine.TASKS.get(command[2], (None,))[0],
        "augment.py": augment.TASKS.get(command[2]),
    }
    options = make_parser(schemas[command[1]], command[1], "")
    parsed = options.parse_args(["--config", str(path)])
    nested = copy.deepcopy(parsed.as_dict())
    given = options.instantiate(parsed)
    if command[1] == "sweep.py":
        monkeypatch.chdir(ROOT)  # where its base is
        given.pop("config")
        config = SweepConfig(**vars(given))
        config.seeds = config.seeds[:1]  # the runs of the others differ in nothing else
        sweep = SearchSweep(config) if config.search else Sweep(config)
        assert sweep.example_runs if config.search else sweep.runs
        assert config.name == path.stem
    if command[2] == "recipe":
        given.pop("config")
        config = RecipeConfig(**vars(given))
        config.seeds = config.seeds[:1]
        stages = Recipe(config, nested).stages
        assert {stage.row for stage in stages} == {
            "gold",
            "cross-encoder",
            *config.silver.strategies,
        }
        assert config.name == path.stem


def run_train(monkeypatch, *argv):
    monkeypatch.syspath_prepend(ROOT)
    import train

    train.main([str(word) for word in argv])


@pytest.mark.parametrize(("argv", "message"), [
    (["--optim.lrr", "1"], "unrecognized arguments: --optim.lrr"),
    (["--optim.lr", "fast"], r'"optim.lr"; Not of type Positive: could not convert .* .fast.'),
    (["--optim.lr", "-1"], "optim.lr is -1; it must be > 0"),
    (["--optim.lr", "1", "--optim.lr", "2"], "--optim.lr is given 2 times"),
    (["--data.train.0.limit", "10"],
     "--data.train.0.limit: is of an element of a list; give the whole list, --data.train"),
    (["--loss", "NoSuchLoss"], "NoSuchLoss"),
    (["--loss", "TripletLoss", "--loss.margin", "wide"],
     "margin.*Expected a <class .float.>. Got value: wide"),
    (["--loss.distance", "none"], "distance"),
    (["--loop.precision", "fp8"], "fp8"),
    (["--model.pooling", "median"], "unknown mode 'median'; known: cls, mean"),
    (["--config", "missing.yaml"], "missing.yaml"),
])  # fmt: skip
def test_wrong_options_end_with_one_line(
    tmp_path, tiny_folder, pairs_file, monkeypatch, capsys, argv, message
):
    config = write_config(tmp_path, tiny_folder, pairs_file)
    with pytest.raises(SystemExit) as error:
        run_train(monkeypatch, *(["--config", config] if "--config" not in argv else []), *argv)
    assert error.value.code == 2
    written = capsys.readouterr().err.strip()
    assert re.search(message, written), written
    assert written.count("\n") == 0
    assert not (tmp_path / "runs").exists()


def test_option_before_the_file_that_would_override_it(
    tmp_path, tiny_folder, pairs_file, monkeypatch, capsys
):
    config = write_config(tmp_path, tiny_folder, pairs_file)
    with pytest.raises(SystemExit) as error:
        run_train(monkeypatch, "--overwrite", "--name", "mine", "--config", config)
    assert error.value.code == 2
    line = capsys.readouterr().err.strip()
    assert line == (
        "train.py: error: --name comes before --config, whose file may override it; "
        "put --config first"
    )


@pytest.mark.parametrize(("text", "message"), [
    ("name: a\nname: b\n", r"config.yaml, line 1: duplicate key 'name'"),
    ("name: a\noptim:\n  lr: 1\n  lr: 2\n", r"line 3: duplicate key 'lr'"),
    ("name: [a\n", "not YAML"),
    ("nam: a\n", "nam"),
    ("optim: {lr: [1]}\n", "lr"),
    ("data: {train: [{path: x, limti: 3}]}\n", "limti"),
    ("data: {train: [{path: x, task: sick}]}\n", "task"),
])  # fmt: skip
def test_wrong_yaml_ends_with_one_line(tmp_path, monkeypatch, capsys, text, message):
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(SystemExit) as error:
        run_train(monkeypatch, "--config", path)
    assert error.value.code == 2
    written = capsys.readouterr().err.strip()
    assert re.search(message, written), written
    assert written.count("\n") == 0


def test_overrides_and_numbers(tmp_path, tiny_folder, pairs_file):
    path = write_config(tmp_path, tiny_folder, pairs_file, optim={"lr": "2e-5"})
    options = make_parser(TrainConfig, "train.py", "")
    given = options.parse_args(
        [
            "--config",
            str(path),
            "--optim.epochs",
            "3",
            "--loss",
            "TripletLoss",
            "--loss.margin",
            "2",
        ]
    )
    assert (given.optim.lr, given.optim.epochs) == (2e-5, 3)
    assert options.instantiate(given).loss.margin == 2
    # the resolved configuration is complete and reads back as itself
    again = tmp_path / "again.yaml"
    again.write_text(options.dump(given, skip_validation=True), "utf-8")
    assert options.dump(options.parse_args(["--config", str(again)])) == options.dump(given)
    assert yaml.safe_load(again.read_text())["optim"]["betas"] == [0.9, 0.999]


@pytest.mark.parametrize("schema", [TrainConfig, EvaluateConfig, SweepConfig, RecipeConfig])
def test_help_explains_every_option(schema, capsys):
    with pytest.raises(SystemExit):
        make_parser(schema, "x.py", "First line.\n\npython x.py --a b").parse_args(["--help"])
    text = capsys.readouterr().out
    assert "First line.\n\npython x.py --a b" in text
    # an option whose help is its type alone has no explanation
    blocks = re.split(r"\n  --", text)[1:]
    bare = [block for block in blocks if re.search(r"^\S+ \S+\s+\((required, )?type:", block)]
    assert bare == []
