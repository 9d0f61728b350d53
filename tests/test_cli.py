"""The command line: what it loads before it answers, where options may stand, which files parse."""

import json
import subprocess
import sys

import pytest
from support import ROOT, fails

from sbert import cli
from sbert.cli import (
    check_arguments,
    check_yaml,
    choose_task,
    flatten_options,
    make_parser,
    parse_command,
    versions,
)
from sbert.errors import InputError
from sbert.sweeps.config import SweepConfig
from sbert.training.config import TrainConfig

LOADED = "import sys; print(*(m for m in ('torch', 'transformers') if m in sys.modules))"


@pytest.mark.parametrize("module", ["sbert", "sbert.errors"])
def test_the_package_alone_is_light(module):
    code = f"import {module}; {LOADED}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == []


def test_a_checkout_that_is_not_installed_is_no_error(monkeypatch):
    """Its version is asked for when a model is saved, after the training."""
    monkeypatch.setattr(cli, "PACKAGES", ("torch", "a-package-of-no-index"))
    found = versions()
    assert found["torch"].startswith("2.")
    assert found["a-package-of-no-index"] == "not installed"


@pytest.mark.parametrize(
    "argv",
    [
        ["train.py", "--help"],
        ["evaluate.py", "--help"],
        ["sweep.py", "--help"],
        ["mine.py", "neighbours", "--help"],
        ["augment.py", "recipe", "--help"],
        ["train.py", "--optim.lrr", "1"],
        ["mine.py", "pairs", "--treshold", "1"],
    ],
    ids=" ".join,
)
def test_help_and_wrong_options_do_not_load_transformers(argv):
    script, *words = argv
    code = (
        f"import atexit, runpy, sys; sys.argv = {argv!r}; "
        "atexit.register(lambda: print('transformers' in sys.modules, file=sys.stderr)); "
        f"runpy.run_path({script!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == (0 if "--help" in words else 2)
    assert done.stderr.splitlines()[-1] == "False"


def test_flags_may_come_before_the_file():
    check_arguments(["--dry_run", "--config", "x.yaml"], flags=["dry_run"])
    with pytest.raises(InputError, match="--dry_run comes before --config"):
        check_arguments(["--dry_run", "--config", "x.yaml"])
    for flag in ("--print_config", "--print_config=skip_default", "--help"):
        check_arguments([flag, "--config", "x.yaml"])


def test_a_duplicate_key_in_yaml(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\nb: {c: 1, c: 2}\n")
    with pytest.raises(InputError, match=r"x.yaml, line 2: duplicate key 'c'"):
        check_yaml(path)
    check_yaml(tmp_path / "missing.yaml")  # the parser says so


def test_choose_task(capsys):
    assert choose_task("x.py", ["a", "--b"], "usage", ["a"]) == ("a", ["--b"])
    with pytest.raises(InputError, match="unknown task 'c'; the tasks are a, b"):
        choose_task("x.py", ["c"], "usage", ["a", "b"])
    with pytest.raises(InputError, match="x.py old has moved: use python y.py new"):
        choose_task("x.py", ["old"], "usage", ["a"], {"old": "y.py new"})
    with pytest.raises(SystemExit) as error:
        choose_task("x.py", [], "usage", ["a"])
    assert error.value.code == 0
    assert capsys.readouterr().out == "usage\n"


def test_a_former_task_names_its_replacement(mine_command, capsys):
    line = fails(mine_command, capsys, "silver", "--teacher", "x")
    assert line == "mine.py: error: mine.py silver has moved: use python augment.py silver"


def test_flatten_and_compare_options():
    assert flatten_options({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {
        "a.b": 1,
        "a.c.d": [2],
        "e": None,
    }


@pytest.mark.parametrize(("argv", "message"), [
    (["--optim.lr", "0"], "optim.lr is 0; it must be > 0"),
    (["--optim.steps", "0"], "optim.steps is 0; it must be > 0"),
    (["--seed_optimisation.share", "1.0"], "seed_optimisation.share is 1.0; it must be > 0 and"),
    (["--loss", "NoLoss"], "loss: unknown class NoLoss; --help lists the known ones"),
    (["--model.max_length", "x"], 'Parser key "model.max_length"; Expected a <class \'int\'>; x'),
])  # fmt: skip
def test_errors_of_the_parser_are_short(capsys, argv, message):
    with pytest.raises(SystemExit):
        make_parser(TrainConfig, "train.py", "").parse_args(argv)
    assert capsys.readouterr().err.startswith(f"train.py: error: {message}")


def test_a_class_named_in_a_free_value_is_not_made(tmp_path):
    """It is the run's loss or an unknown name there, and for its parser to judge."""
    variants = {"a": {"loss": {"class_path": "fractions.Fraction", "init_args": {"numerator": 3}}}}
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps({"name": "x", "base": "b.yaml", "variants": variants}))
    command = parse_command("sweep.py", SweepConfig, "", ["--config", str(path)])
    assert command.config.variants["a"]["loss"]["class_path"] == "fractions.Fraction"
