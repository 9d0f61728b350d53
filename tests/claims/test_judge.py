"""Claims judged end to end, on run folders with real formats: claims.py."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from claims_inputs import plan_runs, save_values
from support import ROOT, fails

from sbert.evaluation.bootstrap import Mean
from sbert.evaluation.multi_bootstrap import estimate_mean
from sbert.evaluation.report import Report
from sbert.evaluation.scores import read_scores, save_scores

NAN = math.nan
generator = np.random.default_rng(0)
VALUES = {seed: generator.random(40) for seed in (1, 2)}


def finish_both(runs, seeds=(1, 2), gain=0.05):
    """a is above b by the same in every row."""
    for seed in seeds:
        runs.finish(f"a,seed={seed}", VALUES[seed] + gain, before=VALUES[1])
        runs.finish(f"b,seed={seed}", VALUES[seed], before=VALUES[1])


def records(runs) -> list[dict]:
    return [json.loads(line) for line in (runs.folder / "claims.jsonl").read_text().splitlines()]


def row(printed: str) -> list[str]:
    line = printed.splitlines()[2]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_known_difference(runs, claims, claims_command):
    finish_both(runs)
    printed = claims_command(claims())
    [record] = records(runs)
    mean = 100 * np.mean(list(VALUES.values()))
    assert record["figures"]["b"]["mean"] == pytest.approx(mean, abs=1e-3)
    assert record["figures"]["a"]["runs"]["a,seed=2"] == pytest.approx(
        100 * VALUES[2].mean() + 5, abs=1e-3
    )
    [contrast] = record["contrasts"]
    # rows and seeds are drawn alike for both: nothing varies
    assert (contrast["difference"], contrast["interval"], contrast["standard_error"]) == (
        5.0, [5.0, 5.0], 0.0
    )  # fmt: skip
    *cells, experiments = row(printed)
    own_figures = []
    for name, value in (("a", mean + 5), ("b", mean)):
        low, high = record["figures"][name]["interval"]
        assert 3 < value - low < 20
        assert 3 < high - value < 20
        own_figures.append(f"{name} {value:.2f} ({low:.1f} to {high:.1f})")
    assert cells == [
        "a is better",
        "a 80, b 70 (Mine, table 1)",
        "; ".join(own_figures),
        "2",
        "a - b: 5.00 (5.00 to 5.00)",
        "holds",
    ]
    assert experiments == "[mine](sweep.yaml): 2 min 0 s"
    assert printed.splitlines()[-1] == (
        f"1 claims: 1 holds; written to {runs.folder / 'claims.jsonl'}"
    )


def test_intervals_are_the_multi_bootstrap_of_all_runs(runs, claims, claims_command):
    for seed in (1, 2):
        runs.finish(f"a,seed={seed}", VALUES[seed])
        runs.finish(f"b,seed={seed}", VALUES[3 - seed])
    claims_command(claims())
    [record] = records(runs)
    estimates = []
    for name in "ab":
        scores = {}
        for seed in (1, 2):
            folder = runs.planned[f"{name},seed={seed}"].folder
            scores[seed, None] = read_scores(folder)["my-test"]
        estimates.append(estimate_mean(scores[1, None].digest, "accuracy_cosine", scores, 500))
    difference = estimates[0].difference(estimates[1])
    expected = [100 * bound for bound in difference.interval]
    assert record["contrasts"][0]["interval"] == pytest.approx(expected, abs=1e-3)
    assert record["verdict"] == "cannot be told"
    assert record["contrasts"][0]["detectable"] == pytest.approx(
        2.8016 * 100 * difference.replicates.std(ddof=1), rel=1e-3
    )


def test_one_seed_has_the_interval_of_its_rows(runs, claims, claims_command):
    runs.finish("a,seed=1", VALUES[1])
    runs.finish("b,seed=1", VALUES[2])
    printed = claims_command(claims())
    [record] = records(runs)
    low, high = record["contrasts"][0]["interval"]
    standard_error = 100 * np.std(VALUES[1] - VALUES[2]) / np.sqrt(40)
    assert high - low == pytest.approx(2 * 1.96 * standard_error, rel=0.15)
    assert row(printed)[3] == "1 of 2"
    assert row(printed)[5].startswith("cannot be told, rows alone (detectable: ")


def test_folds_of_one_seed_are_rows_alone(runs, claims, claims_command, tiny_folder):
    folds = {"number": 2, "group": "row"}
    runs.planned = plan_runs(runs.folder, tiny_folder, seeds=[1], folds=folds)
    for label in runs.planned:
        runs.finish(label, VALUES[1])
    cells = row(claims_command(claims()))
    assert (cells[3], cells[5]) == ("2", "cannot be told, rows alone (detectable: 0.00)")


def test_before_training_and_against_a_number(runs, claims, claims_command):
    finish_both(runs)
    mean = 100 * float(VALUES[1].mean())
    start = {"row": "b", "when": "before"}
    claim = {
        "figures": {"a": {"row": "a"}, "start": start},
        "contrasts": [{"order": ["a", 1]}, {"equal": ["start", mean], "within": 30}],
    }
    claims_command(claims(claim))
    [record] = records(runs)
    assert record["figures"]["start"]["mean"] == pytest.approx(mean, abs=1e-3)
    assert record["contrasts"][0]["second"] == "1"
    assert record["contrasts"][1]["difference"] == pytest.approx(0, abs=1e-3)
    assert record["verdict"] == "holds"
    assert record["seconds"] == 120, "b's runs are used too, each once"


def test_the_mean_of_two_datasets(runs, claims, claims_command):
    """a is above b by 5 on test and by 2.5 on dev; other rows of the two are drawn apart."""
    finish_both(runs)
    claims_command(claims({"dataset": ["my-dev", "my-test"]}))
    [both] = records(runs)
    assert both["contrasts"][0]["difference"] == 3.75
    assert both["contrasts"][0]["interval"] == [3.75, 3.75]
    assert both["figures"]["a"]["datasets"] == ["my-dev", "my-test"]
    widths = {}
    for dataset in ("my-dev", "my-test"):
        claims_command(claims({"dataset": dataset, "note": dataset}))
        low, high = records(runs)[0]["figures"]["a"]["interval"]
        widths[dataset] = high - low
    low, high = both["figures"]["a"]["interval"]
    independent = np.hypot(*widths.values()) / 2
    assert high - low == pytest.approx(independent, rel=0.15)
    assert high - low < 0.9 * sum(widths.values()) / 2


def test_a_loss_in_nats_is_shown_as_it_is(runs, claims, claims_command):
    """The runs of the other tests, whose metric is called a loss."""
    finish_both(runs)
    for label in runs.planned:
        path = runs.planned[label].folder / "result.json"
        path.write_text(path.read_text().replace("accuracy_cosine", "negative_loss"))
        datasets = [SimpleNamespace(texts=[["text"] * 40])]
        report = Report("my-test", "text", 40)
        gain = 0.05 if label.startswith("a") else 0.0
        report.bootstrap_metrics["negative_loss"] = Mean(VALUES[int(label[-1])] + gain)
        save_scores(path.parent, datasets, [report])
    claims_command(claims())
    [record] = records(runs)
    mean = np.mean(list(VALUES.values()))
    low, high = record["figures"]["b"]["interval"]
    assert record["figures"]["b"]["mean"] == pytest.approx(mean, abs=1e-3)
    assert low < mean < high
    assert record["contrasts"][0]["difference"] == pytest.approx(0.05, abs=1e-4)
    assert record["contrasts"][0]["interval"] == pytest.approx([0.05, 0.05], abs=1e-4)


def test_runs_without_scores_of_rows(runs, claims, claims_command):
    finish_both(runs)
    (runs.planned["b,seed=2"].folder / "scores.safetensors").unlink()
    printed = claims_command(claims())
    assert row(printed)[4:6] == [
        "a - b: 5.00 (no interval)", "cannot be told (a run kept no scores of its rows)"
    ]  # fmt: skip


def test_an_undefined_metric(runs, claims, claims_command):
    finish_both(runs)
    path = runs.planned["b,seed=2"].folder / "result.json"
    facts = json.loads(path.read_text())
    facts["results"][1]["after"] = {"accuracy_cosine": None}
    path.write_text(json.dumps(facts))
    save_values(path.parent, "scores.safetensors", np.full(40, np.nan))
    cells = row(claims_command(claims()))
    assert cells[2].endswith("; b undefined")
    assert cells[4:6] == ["a - b", "cannot be told (undefined)"]


def test_what_is_not_run_yet(runs, claims, claims_command, capsys):
    path = claims()
    printed = claims_command(path)
    assert row(printed)[2:6] == ["-", "0 of 2", "a - b", "not run yet"]
    missing = "mine: 4 not run yet (a,seed=1, a,seed=2, b,seed=1, ...)"
    assert f"{missing}: python sweep.py --config sweep.yaml\n" in printed
    assert printed.splitlines()[-1].startswith("1 claims: 1 not run yet; written to ")
    (runs.folder / "claims.jsonl").unlink()
    line = fails(claims_command.main, capsys, ["--config", str(path), "--strict"])
    assert line.startswith(f"claims.py: error: {missing}")
    assert not (runs.folder / "claims.jsonl").exists()
    finish_both(runs)
    claims_command(path, "--strict")


def test_strict_refuses_one_missing_run(runs, claims, claims_command, capsys):
    finish_both(runs)
    (runs.planned["b,seed=2"].folder / "result.json").unlink()
    line = fails(claims_command.main, capsys, ["--config", str(claims()), "--strict"])
    assert "mine: 1 not run yet (b,seed=2): python sweep.py" in line


def test_without_records_nothing_is_written(runs, claims, claims_command):
    finish_both(runs)
    printed = claims_command(claims(records=None))
    assert printed.splitlines()[-1] == "1 claims: 1 holds"
    assert not list(runs.folder.rglob("*.jsonl"))


def test_a_run_is_taken_from_the_first_root_that_has_it(runs, claims, claims_command):
    finish_both(runs)
    elsewhere = runs.folder / "elsewhere" / runs.planned["a,seed=1"].folder
    elsewhere.parent.mkdir(parents=True)
    runs.planned["a,seed=1"].folder.rename(elsewhere)
    assert row(claims_command(claims()))[3] == "1 of 2 and 2"
    assert row(claims_command(claims(roots=[".", "elsewhere"])))[3] == "2"


def test_a_setting_that_has_changed_since(runs, claims, claims_command):
    finish_both(runs, seeds=[1])
    config = runs.planned["a,seed=1"].folder / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.001", "lr: 0.002"))
    printed = claims_command(claims())
    assert (
        "- mine: 1 of its runs had other settings than its command has now: "
        "optim.lr was 0.002, now 0.001"
    ) in printed
    assert printed.count("had other settings") == 1
    older = runs.planned["b,seed=1"].folder / "config.yaml"
    lines = [line for line in older.read_text().splitlines() if "max_grad_norm" not in line]
    older.write_text("\n".join(lines))  # a run that is older than an option has its default
    assert claims_command(claims()).count("had other settings") == 1


def test_records_of_runs_that_are_elsewhere_are_kept(runs, claims, claims_command):
    finish_both(runs)
    first = claims_command(claims())
    (runs.folder / "sweeps").rename(runs.folder / "moved")
    again = claims_command(claims())
    assert row(again) == row(first)
    assert "claims.jsonl, of more runs than are here: a is better\n" in again
    # of other words it is still the claim; of another contrast it is another
    renamed = claims_command(claims({"published": "a 81"}))
    assert row(renamed)[1:6] == ["a 81 (Mine, table 1)", *row(first)[2:6]]
    assert row(claims_command(claims({"contrasts": [{"order": ["b", "a"]}]})))[5] == "not run yet"


def test_a_record_of_more_runs_is_kept(runs, claims, claims_command):
    finish_both(runs)
    first = claims_command(claims())
    (runs.planned["a,seed=2"].folder / "result.json").rename(runs.folder / "moved.json")
    again = claims_command(claims())
    assert row(again) == row(first)
    assert "of more runs than are here: a is better\n" in again
    [record] = records(runs)
    assert len(record["figures"]["a"]["runs"]) == 2
    (runs.folder / "moved.json").rename(runs.planned["a,seed=2"].folder / "result.json")
    assert "than are here" not in claims_command(claims())


def test_records_of_other_claims_are_not_lost(runs, claims, claims_command, capsys):
    finish_both(runs)
    claims_command(claims({}, {"claim": "another"}, {"claim": "b is worse"}))
    before = (runs.folder / "claims.jsonl").read_bytes()
    line = fails(claims_command.main, capsys, ["--config", str(claims())])
    assert "claims.jsonl has records of claims that the configuration does not name" in line
    assert "another; b is worse; delete their lines" in line
    assert (runs.folder / "claims.jsonl").read_bytes() == before


def test_the_options_of_a_command_stand_beside_its_configuration(runs, claims, claims_command):
    finish_both(runs)
    command = f"{runs.command} --seeds '[1]'"
    experiments = row(claims_command(claims(experiments={"mine": command})))[6]
    assert experiments == "[mine](sweep.yaml) `--seeds '[1]'`: 1 min 0 s"


def test_the_page_is_replaced_between_its_marks(runs, claims, claims_command):
    finish_both(runs)
    page = runs.folder / "results.md"
    page.write_text("# Results\n\n<!-- claims -->\nold\n<!-- /claims -->\n\nThe end.\n")
    printed = claims_command(claims(page=str(page)))
    text = page.read_text()
    assert text.startswith("# Results\n\n<!-- claims -->\n\n| claim ")
    assert text.endswith("\n\n<!-- /claims -->\n\nThe end.\n")
    assert "\nold\n" not in text
    assert "[mine](sweep.yaml): 2 min 0 s" in text
    assert text.split("-->")[1].split("<!--")[0].strip() in printed
    claims_command(claims(page=str(page)))
    assert page.read_text() == text


def test_a_report_of_evaluate_beside_a_sweep(runs, claims, claims_command):
    finish_both(runs)
    experiments = {"mine": runs.command, "start": runs.evaluate("start", VALUES[1] - 0.3)}
    claim = {
        "figures": {"a": {"row": "a"}, "start": {"experiment": "start"}},
        "contrasts": [{"order": ["a", "start"]}],
    }
    printed = claims_command(claims(claim, experiments=experiments))
    cells = row(printed)
    assert (cells[3], cells[5]) == ("2 and 1", "holds")
    assert cells[6] == f"[mine](sweep.yaml), `{experiments['start']}`: 1 min 2 s"
    (runs.folder / "start.json").write_text(
        (runs.folder / "start.json").read_text().replace("--model m", "--model n")
    )
    assert "- start: 1 of its runs had other settings" in claims_command(
        claims(claim, experiments=experiments)
    )


def test_rows_of_a_recipe_and_a_run_alone(runs, claims, claims_command):
    """No run is there: the rows are those that the commands plan."""
    recipe = (
        "python augment.py recipe --config configs/augsbert/stsb.yaml --sizes '[500]' --seeds '[1]'"
    )
    train = "python train.py --config configs/sbert/stsb.yaml --loop.seed 7"
    experiments = {
        name: command.replace("configs", f"{ROOT}/configs")
        for name, command in (("recipe", recipe), ("train", train))
    }
    figures = {
        "gold": {"experiment": "recipe", "row": "gold,size=500"},
        "kde": {"experiment": "recipe", "row": "kde,size=500"},
        "one run": {"experiment": "train"},
    }
    contrasts = [{"order": ["kde", "gold", "one run"]}]
    path = claims({"figures": figures, "contrasts": contrasts}, experiments=experiments)
    printed = claims_command(path)
    assert "recipe: 2 not run yet (gold,size=500,seed=1, kde,size=500,seed=1): python " in printed
    assert "train: 1 not run yet (stsb): python train.py " in printed


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
