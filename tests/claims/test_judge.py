"""Claims judged end to end, on run folders with real formats: claims.py."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from claims_inputs import VALUES, finish_both, plan_runs, records, row, save_values
from support import ROOT

from sbert.evaluation.bootstrap import Mean
from sbert.evaluation.multi_bootstrap import estimate_mean
from sbert.evaluation.report import Report
from sbert.evaluation.scores import read_scores, save_scores


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
