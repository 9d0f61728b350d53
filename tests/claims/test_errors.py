"""What is wrong with claims, options and runs ends claims.py with one line."""

import math

import pytest
from claims_inputs import VALUES, finish_both, save_values
from support import fails

NAN = math.nan


@pytest.mark.parametrize(("claim", "message"), [
    ({"figures": {"a": {"row": "c"}, "b": {"row": "b"}}},
     "claim 'a is better': experiments.mine: no row 'c'; the rows are a; b"),
    ({"figures": {"a": {}, "b": {"row": "b"}}},
     "claim 'a is better': experiments.mine: no row 'None'; the rows are a; b"),
    ({"metric": "rho"},
     "sweeps/mine/a,seed=1/result.json: my-test has no 'rho' after training; there are: "
     "accuracy_cosine"),
    ({"dataset": "other"},
     "sweeps/mine/a,seed=1/result.json: no dataset 'other'; there are: my-dev, my-test"),
    ({"contrasts": [{"order": ["a", "c"]}]}, "claim 'a is better': 'c' is not one of its figures"),
    ({"contrasts": [{"order": ["a"]}]}, "a: a contrast compares two figures or more"),
    ({"contrasts": [{"equal": ["a", "b"]}]}, "equal a, b: give a margin, within > 0"),
    ({"contrasts": [{"order": ["a", "b"], "equal": ["a", "b"]}]}, "either order or equal"),
    ({"contrasts": [{"order": ["a", "b"], "by": 2, "within": 1}]}, "within must be above by, 2"),
    ({"contrasts": [{"order": ["a", "b"], "margin": 1}]}, "margin"),
    ({"contrasts": []}, "claim 'a is better': contrasts is empty"),
    ({"contrasts": [{"order": [2, 1]}]}, "2.0, 1.0: compares the numbers 2.0 and 1.0; name a "),
    ({"contrasts": [{"equal": [2, "a", 1], "within": 1}]}, "compares the numbers 2.0 and 1.0"),
    ({"contrasts": [{"order": ["a", "a"]}]}, "a, a: compares a with itself"),
    ({"contrasts": [{"order": ["a", "b"], "by": NAN}]}, "a, b: nan is no number to compare with"),
    ({"contrasts": [{"order": ["a", NAN]}]}, "a, nan: nan is no number to compare with"),
    ({"contrasts": [{"equal": ["a", "b"], "within": math.inf}]}, "inf is no number to compare"),
    ({"dataset": []}, "claim 'a is better': dataset is an empty list; name one"),
    ({"figures": {"a": {"row": "a", "dataset": []}, "b": {"row": "b"}}},
     "a figure's dataset is an empty list; name one"),
    ({"experiment": "other"},
     "figure 'a': experiment 'other' is not one of experiments: mine"),
])  # fmt: skip
def test_wrong_claims_end_with_one_line(runs, claims, claims_command, capsys, claim, message):
    finish_both(runs)
    line = fails(claims_command.main, capsys, ["--config", str(claims(claim))])
    assert message in line
    assert not (runs.folder / "claims.jsonl").exists()


@pytest.mark.parametrize(("options", "message"), [
    ({"experiments": {"mine": "python mine.py pairs"}},
     "experiments.mine: 'python mine.py pairs' is none of: python train.py, sweep.py, "),
    ({"experiments": {"mine": "python evaluate.py --model m"}},
     "experiments.mine: evaluate.py needs --output with a .json file"),
    ({"experiments": {"mine": "python augment.py silver"}},
     "experiments.mine: 'silver' is no task of augment.py with a table; it must be recipe"),
    ({"experiments": {"mine": "python sweep.py --config gone.yaml"}}, "gone.yaml"),
    ({"page": "gone.md"}, "page gone.md: no such file"),
    ({"page": "sweep.yaml"}, "page sweep.yaml: needs a line <!-- claims --> and after it"),
    ({"experiments": {"mine": "python sweep.py --config 'x"}},
     "experiments.mine: python sweep.py --config 'x: No closing quotation"),
    ({"claimz": []}, "unknown key claimz"),
    ({"claims": []}, "claims is empty: there is nothing to judge"),
    ({"roots": []}, "roots is empty: name the folders in which the commands were run"),
    ({"roots": [".", "gone"]}, "roots: gone: no such folder"),
    ({"records": "gone/claims.jsonl"}, "records gone/claims.jsonl: no folder gone; make it"),
    ({"records": "sweeps"}, "records sweeps: is a folder; name a file"),
    ({"records": "sweep.yaml"}, "sweep.yaml, line 1: no record of a claim; delete it"),
])  # fmt: skip
def test_wrong_options_end_with_one_line(runs, claims, claims_command, capsys, options, message):
    finish_both(runs)
    assert message in fails(claims_command.main, capsys, ["--config", str(claims(**options))])


@pytest.mark.parametrize(("file", "content", "message"), [
    ("result.json", '{"seconds": 3', "result.json: cannot be read: Expecting ',' delimiter"),
    ("result.json", "{}", "result.json: has no results, seconds; delete it, and run again"),
    ("result.json", '{"seconds": 3, "results": [{"dataset": "my-test"}]}',
     "result.json, results[0]: has no after, before, main, part"),
    ("config.yaml", None, "config.yaml: no such file; it has the settings of the run, run again"),
])  # fmt: skip
def test_a_damaged_run(runs, claims, claims_command, capsys, file, content, message):
    finish_both(runs)
    path = runs.planned["a,seed=1"].folder / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    line = fails(claims_command.main, capsys, ["--config", str(claims())])
    assert line.startswith("claims.py: error: claim 'a is better': sweeps/mine/a,seed=1/")
    assert message in line


@pytest.mark.parametrize(("content", "message"), [
    ("[]", "start.json: has no command, results, seconds; delete it, and run again"),
    ('{"results": [], "seconds": 1}', "start.json: has no command;"),
    ('{"results": [[]], "seconds": 1, "command": "x"}',
     "start.json, results[0]: has no dataset, main, metrics;"),
])  # fmt: skip
def test_a_report_that_is_none_of_evaluate(runs, claims, claims_command, capsys, content, message):
    finish_both(runs)
    experiments = {"mine": runs.command, "start": runs.evaluate("start", VALUES[1])}
    (runs.folder / "start.json").write_text(content)
    claim = {
        "figures": {"a": {"row": "a"}, "start": {"experiment": "start"}},
        "contrasts": [{"order": ["a", "start"]}],
    }
    path = claims(claim, experiments=experiments)
    assert message in fails(claims_command.main, capsys, ["--config", str(path)])


def test_other_rows_are_refused(runs, claims, claims_command, capsys):
    finish_both(runs)
    for seed in (1, 2):
        folder = runs.planned[f"b,seed={seed}"].folder
        save_values(folder, "scores.safetensors", VALUES[seed], first=100)
    line = fails(claims_command.main, capsys, ["--config", str(claims())])
    assert line.endswith("claim 'a is better': a and b were not evaluated on the same rows")
