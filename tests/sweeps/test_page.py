"""The page of a sweep: its parts by hand, settings that make it again, rows and time."""

import torch
import yaml
from sweep_inputs import config, run

from sbert.sweeps.config import FoldsConfig, SweepConfig
from sbert.sweeps.page import sweep_data, sweep_page, sweep_settings, total_time
from sbert.sweeps.summary import sweep_table


def test_a_page_by_hand(tmp_path):
    swept = config(
        variants={"(u, v)": {}, "(|u-v|)": {"loss.concatenation": ["|u-v|"]}},
        seeds=[1, 2],
        runs="r/s",
    )
    runs = [run({"variant": v, "seed": s}, 0.5, 0.25) for v in swept.variants for s in swept.seeds]
    summary = sweep_table(runs, swept)
    text = sweep_page(swept, runs, summary, [tmp_path / "bars-my-dev-rho.png"])
    assert text.startswith(
        "# mine\n\n    python sweep.py --config r/s/mine/sweep.yaml\n\n```yaml\nname: mine\n"
    )
    assert text.endswith(".\n")
    parts = text.split("\n\n")
    assert (
        parts[3] == "Trained on 9 rows. Evaluated on my-dev (dev), 9 rows; my-test (test), 9 rows."
    )
    assert (
        "\n\n"
        + summary
        + "\n\n![bars-my-dev-rho](bars-my-dev-rho.png)\n\n4 runs took 6 s in all; Python 3."
        in text
    )
    assert f"torch {torch.__version__.partition('+')[0]}" in parts[-1]
    # every line of the table has as many cells, whatever the variants are called
    lines = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1


def test_the_settings_make_the_sweep_again():
    swept = SweepConfig(
        "mine",
        "base.yaml",
        set={"data.test": [], "model.path": "a/{seed}"},
        grid={"optim.lr": [1e-5, 2e-5]},
        variants={"(u, v, |u-v|)": {"loss.concatenation": ["u", "v", "|u-v|"]}},
        seeds=[1, 2],
        folds=FoldsConfig(3, "row"),
        jobs=2,
        published={"a": 1.5},
    )
    given = yaml.safe_load(sweep_settings(swept))
    assert list(given) == [
        "name",
        "base",
        "set",
        "variants",
        "grid",
        "seeds",
        "folds",
        "jobs",
        "published",
    ]
    assert SweepConfig(**given | {"folds": FoldsConfig(**given["folds"])}) == swept


def test_rows_and_time():
    runs = [run({"size": n}, 0.5, None) for n in (1, 2)]
    for one, count, seconds in zip(runs, (350, 1400), (59.6, 40), strict=True):
        one.result.update(train_rows=count, seconds=seconds)
        one.result["results"][0]["rows"] = count // 10
    assert (
        sweep_data(runs)
        == "Trained on 350 to 1,400 rows. Evaluated on my-dev (dev), 35 or 140 rows."
    )
    runs[1].result["results"][0]["prompts"] = ["query: ", "query: "]
    assert sweep_data(runs).endswith(
        "Evaluated on my-dev (dev), 35 rows; my-dev (dev) with 'query: ', 140 rows."
    )
    assert total_time(runs) == "2 runs took 1 min 40 s in all"
    runs[0].result["seconds"] = 7000
    assert total_time(runs) == "2 runs took 1 h 57 min in all"
    assert total_time(runs[1:]) == "1 run took 40 s in all"
    assert sweep_data([]) == ""
