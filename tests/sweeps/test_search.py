"""A search: killed and resumed it equals an uninterrupted one; pruning, errors, what is written.

Runs are faked: their scores follow from their options.
"""

import dataclasses
import json
import math
import os
import signal
import sys
from pathlib import Path

import pytest
import yaml
from support import copied, fails, write_config
from sweep_inputs import text_run

from sbert.atomic import write_whole
from sbert.errors import InputError
from sbert.sweeps.config import FoldsConfig, SearchConfig, SpaceConfig, SweepConfig
from sbert.sweeps.processes import DivergedError
from sbert.sweeps.search import SearchSweep, retrained_table
from sbert.sweeps.study import BELOW_MEDIAN, Study

SPACE = {"optim.lr": SpaceConfig(1e-4, 1e-2, log=True), "optim.batch_size": SpaceConfig(4, 8)}


def score(run) -> float:
    """Best at a rate of 1e-3; seeds and folds differ a little."""
    seed, fold = run.axes.get("seed", 0), run.axes.get("fold", 0)
    return 0.8 - abs(math.log10(run.config.optim.lr) + 3) / 5 + seed / 1000 + fold / 100


def pretend(calls: list[str], judge=score, kill_at: int | None = None, part: str = "dev"):
    """A fake JobRunner. kill_at: the run, counted from 1, during which this process is killed."""

    class Pretend:
        def __init__(self, jobs, say):
            pass

        def run(self, run):
            calls.append(run.label)
            run.folder.mkdir(parents=True, exist_ok=True)
            (run.folder / "config.yaml").write_text(run.config_yaml)
            if len(calls) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            value = judge(run)
            retrained = "best" in run.axes
            scores = {
                "dataset": "held out" if retrained else part,
                "part": "test" if retrained else part,
                "main": "rho",
                "rows": 3,
                "before": {"rho": 0.1},
                "after": {"rho": value},
            }
            for model in ("best", "last"):
                (run.folder / model).mkdir(exist_ok=True)
            write_whole(
                run.folder / "result.json",
                json.dumps({"train_rows": 9, "seconds": 1.0, "results": [scores]}).encode(),
            )

        def stop(self):
            pass

    return Pretend


@pytest.fixture
def config(tmp_path, tiny_folder, pairs_file):
    dataset = {"path": str(pairs_file), "range": [0, 5], "name": "pairs"}
    held_out = dataset | {"path": str(copied(pairs_file))}
    data = {
        "train": [dataset],
        "dev": [held_out | {"name": "dev"}],
        "test": [held_out | {"name": "pairs-test"}],
    }
    base = write_config(tmp_path, tiny_folder, pairs_file, data=data)

    def make(name: str = "mine", **options) -> SweepConfig:
        search = {"options": SPACE, "trials": 8, "startup": 3, "seed": 1} | options.pop(
            "search", {}
        )
        given = {"base": str(base), "runs": str(tmp_path / "sweeps"), "seeds": [1, 2]} | options
        return SweepConfig(name, search=SearchConfig(**search), **given)

    return make


def trials(config: SweepConfig) -> list[tuple]:
    study = Study(config.search, Path(config.runs) / config.name)
    study.open()
    return [
        (t.params, t.value, t.state, t.intermediate_values, t.user_attrs)
        for t in study.finished_trials()
    ]


def is_killed(config: SweepConfig, kill_at: int, part: str = "dev") -> bool:
    """Search in a process of its own: whether it was killed before it ended."""
    child = os.fork()
    if not child:
        try:
            sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
            SearchSweep(config, pretend([], kill_at=kill_at, part=part)).run()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def test_killed_and_resumed_again_and_again_it_ends_as_one_that_was_not(config, tmp_path):
    SearchSweep(config("whole"), pretend([])).run()
    for kill_at in (
        1,
        2,
        5,
        6,
    ):  # in the first run of a trial and in its second, at random and by TPE
        assert is_killed(config("cut"), kill_at)
    SearchSweep(config("cut"), pretend([])).run()
    assert trials(config("cut")) == trials(config("whole"))
    for name in ("results.jsonl", "best.yaml", "table.md"):
        whole, cut = (
            (tmp_path / "sweeps" / folder / name).read_text() for folder in ("whole", "cut")
        )
        assert cut.replace("cut", "whole") == whole
    assert len(trials(config("cut"))) == 8


RETRAIN = {"retrain": True, "trials": 2}


def test_killed_at_every_run_it_retrains_as_one_that_was_not(config, tmp_path):
    options = {"search": RETRAIN, "folds": FoldsConfig(2, "row"), "seeds": []}
    calls, kills = [], 0
    SearchSweep(config("whole", **options), pretend(calls, part="test")).run()
    while is_killed(config("cut", **options), 2, "test"):  # each time one run further
        kills += 1
    assert kills == len(calls) - 1
    assert calls[-1].startswith("best=")
    for name in ("results.jsonl", "best.yaml", "table.md"):
        whole, cut = (
            (tmp_path / "sweeps" / folder / name).read_text() for folder in ("whole", "cut")
        )
        assert cut.replace("cut", "whole") == whole
    models = [path.parent.name for path in (tmp_path / "sweeps/cut").glob("*/best")]
    assert sorted(models) == [call for call in calls if call.startswith("best=")]


def test_the_best_is_retrained_on_all_rows_and_evaluated_on_test(config, tmp_path, capsys):
    part = {"set": {"data.train.*.limit": 0.25}}
    planned = config(search=RETRAIN | part, folds=FoldsConfig(2, "row"), seeds=[])
    SearchSweep(planned, pretend([], part="test")).run()
    best = max(range(2), key=lambda i: trials(planned)[i][1])
    params = trials(planned)[best][0]
    runs = tmp_path / "sweeps/mine"
    final = yaml.safe_load((runs / f"best={best + 1}/config.yaml").read_text())
    assert final["optim"]["lr"] == params["optim.lr"]
    assert not {"limit", "folds"} & set(final["data"]["train"][0])
    assert [dataset["name"] for dataset in final["data"]["test"]] == ["pairs-test"]
    for path in runs.glob("trial=*/config.yaml"):
        data = yaml.safe_load(path.read_text())["data"]
        assert data["train"][0]["limit"] == data["test"][0]["limit"] == 0.25
        assert "pairs-test" not in [dataset["name"] for dataset in data["test"]]
    output = capsys.readouterr().out
    # of 32 rows, 8 are searched on: some 4 in each fold
    assert "2 trials, each of up to 2 runs that train on " in output
    assert "retraining: 1 run that trains on 32 rows and evaluates 64" in output
    assert f"retrained with the options of trial {best + 1}:" in output
    value = 80 - 20 * abs(math.log10(params["optim.lr"]) + 3)
    row = f"| held out (test) |    3 | rho          |  10.00 | {value:.2f} |         - |    1 |"
    assert row in output
    assert output.splitlines()[-1] == f"model: {runs}/best={best + 1}/best"


def test_more_trials_may_find_another_best_to_retrain(config, tmp_path):
    calls = []
    for number in (1, 3):
        planned = config(search=RETRAIN | {"trials": number}, seeds=[])
        SearchSweep(planned, pretend(calls)).run()
    best = max(range(3), key=lambda i: trials(planned)[i][1] or 0) + 1
    assert [call for call in calls if "best" in call] == ["best=1", f"best={best}"]
    SearchSweep(config("at once", search=RETRAIN | {"trials": 3}, seeds=[]), pretend([])).run()
    page = (tmp_path / "sweeps/mine/table.md").read_text()
    assert (tmp_path / "sweeps/at once/table.md").read_text().replace("at once", "mine") == page


def test_more_trials_go_on_where_fewer_ended(config):
    calls = []
    SearchSweep(config("few", search={"trials": 5}), pretend(calls)).run()
    SearchSweep(config("few", search={"trials": 8}), pretend(calls)).run()
    SearchSweep(config("many", search={"trials": 8}), pretend([])).run()
    assert trials(config("few")) == trials(config("many"))
    assert len(calls) == len(set(calls))
    done = len(calls)
    SearchSweep(config("few", search={"trials": 8}), pretend(calls)).run()
    assert len(calls) == done


def test_after_the_startup_tpe_draws(config):
    drawn = {}
    for startup in (3, 6):
        planned = config(str(startup), search={"trials": 6, "startup": startup}, seeds=[])
        SearchSweep(planned, pretend([])).run()
        drawn[startup] = [trial[0]["optim.lr"] for trial in trials(planned)]
    assert drawn[3][:3] == drawn[6][:3]
    assert not set(drawn[3][3:]) & set(drawn[6][3:])


def test_the_seed_draws_the_trials(config):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        SearchSweep(config(name, search={"trials": 3, "seed": seed}), pretend([])).run()
    a, b = trials(config("a", search={"seed": 1})), trials(config("b", search={"seed": 1}))
    assert a == b
    assert a != trials(config("c", search={"seed": 2}))


def test_a_trial_below_the_median_is_pruned(config):
    calls, planned = [], config(search={"trials": 9}, seeds=[1, 2, 3])
    SearchSweep(planned, pretend(calls)).run()
    pruned = [
        number
        for number, trial in enumerate(trials(planned), start=1)
        if trial[4].get("pruned") == BELOW_MEDIAN
    ]
    assert pruned
    firsts = {}
    for number, trial in enumerate(trials(planned), start=1):
        before = sorted(value for n, value in firsts.items() if n < number and n not in pruned)
        firsts[number] = trial[3][1]
        middle = len(before) // 2
        if number in pruned and len(trial[4]["values"]) == 1:
            median = (
                before[middle] if len(before) % 2 else (before[middle - 1] + before[middle]) / 2
            )
            assert trial[3][1] < median
            assert len(before) >= 3
    assert len(calls) == sum(len(trial[4]["values"]) for trial in trials(planned))
    without = config("without", search={"trials": 5, "prune": False}, seeds=[1, 2, 3])
    SearchSweep(without, pretend([])).run()
    assert all(len(trial[4]["values"]) == 3 for trial in trials(without))


def test_the_mean_so_far_is_pruned_by_not_the_best_of_them(config):
    later = {1: 0.9, 2: 0.0, 3: 0.0}  # means 0.9, 0.45; the medians are 0.5

    def judge(run):
        return 0.5 if run.axes["trial"] <= 3 else later[run.axes["seed"]]

    for jobs in (1, 2):
        calls, name = [], f"{jobs} at a time"
        planned = config(name, search={"trials": 4}, seeds=[1, 2, 3])
        SearchSweep(dataclasses.replace(planned, jobs=jobs), pretend(calls, judge=judge)).run()
        assert sorted(calls[9:]) == ["trial=4,seed=1", "trial=4,seed=2"]
        assert trials(planned)[3][4] == {"values": [0.9, 0.0], "pruned": BELOW_MEDIAN}


def test_trials_are_compared_after_the_same_number_of_runs(config):
    """Whether they were run one or two at a time."""
    planned = config(search={"trials": 3}, seeds=[1, 2, 3], jobs=2)
    SearchSweep(planned, pretend([], judge=lambda run: 0.5)).run()
    calls, more = [], config(search={"trials": 4}, seeds=[1, 2, 3])
    SearchSweep(more, pretend(calls, judge=lambda run: 0.4)).run()
    assert calls == ["trial=4,seed=1"]


def test_with_folds_the_folds_judge(config, tmp_path):
    planned = config(folds=FoldsConfig(3, "row"), seeds=[], search={"trials": 2})
    SearchSweep(planned, pretend([], part="test")).run()
    for params, value, *_ in trials(planned):
        expected = 0.8 - abs(math.log10(params["optim.lr"]) + 3) / 5 + 0.02
        assert value == pytest.approx(expected)


def test_a_trial_that_diverges_is_pruned_and_the_search_goes_on(config):
    def judge(run):
        if run.config.optim.lr > 1e-3:
            raise DivergedError("the loss of step 3 is nan")
        return math.nan if run.config.optim.batch_size == 8 else score(run)

    planned = config(search={"trials": 10})

    def run(value):
        result = judge(value)
        return None if math.isnan(result) else result

    SearchSweep(planned, pretend([], judge=run)).run()
    for params, *_, attributes in trials(planned):
        bad, undefined = params["optim.lr"] > 1e-3, params["optim.batch_size"] == 8
        reason = (
            "the loss of step 3 is nan" if bad else "a metric is undefined" if undefined else None
        )
        assert attributes.get("pruned") in (reason, reason or BELOW_MEDIAN)
    assert len(trials(planned)) == 10


def test_the_best_is_ready_for_train_py(config, tmp_path, capsys):
    planned = config()
    SearchSweep(planned, pretend([])).run()
    params = max(
        (trial for trial in trials(planned) if "pruned" not in trial[4]), key=lambda trial: trial[1]
    )[0]
    best = yaml.safe_load((tmp_path / "sweeps/mine/best.yaml").read_text())
    assert (best["optim"]["lr"], best["optim"]["batch_size"]) == (
        params["optim.lr"],
        params["optim.batch_size"],
    )
    assert best["data"]["test"][0]["name"] == "pairs-test"  # which no trial looked at
    for path in (tmp_path / "sweeps/mine").glob("trial=*/config.yaml"):
        assert yaml.safe_load(path.read_text())["data"].get("test", []) == []
    output = capsys.readouterr().out
    assert f"the best, for train.py: {tmp_path}/sweeps/mine/best.yaml" in output
    assert "8 trials: " in output
    first = next(
        line for line in output.splitlines() if line.startswith("| ") and line.split()[1].isdigit()
    )
    assert f"{params['optim.lr']:.3g}" in first


def test_the_table_has_the_options_in_the_order_of_its_header(config, capsys):
    SearchSweep(config(search={"trials": 2}), pretend([])).run()
    reordered = dict(reversed(SPACE.items()))
    capsys.readouterr()
    SearchSweep(config(search={"trials": 2, "options": reordered}), pretend([])).run()
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    header, first = [[cell.strip() for cell in table[i].split("|")] for i in (0, 2)]
    cells = dict(zip(header, first, strict=True))
    assert int(cells["optim.batch_size"]) in range(4, 9)
    assert float(cells["optim.lr"]) < 1e-2


def test_the_table_tells_the_importance_of_options(config, capsys):
    SearchSweep(config(search={"trials": 14, "prune": False}, seeds=[]), pretend([])).run()
    line = next(
        line for line in capsys.readouterr().out.splitlines() if line.startswith("importance")
    )
    shares = {
        word: float(share)
        for word, share in zip(line.split()[5::2], line.replace(",", "").split()[6::2], strict=True)
    }
    assert shares["optim.lr"] > 3 * shares["optim.batch_size"]


@pytest.mark.parametrize(("options", "message"), [
    ({"options": SPACE | {"optim.lr": SpaceConfig(1e-4, 1e-1)}},
     "another search space: optim.lr was {'low': 0.0001"),
    ({"options": {"optim.lr": SPACE["optim.lr"]}},
     "another search space: optim.batch_size was {'low': 4"),
    ({"options": SPACE | {"optim.eps": SpaceConfig(1e-9, 1e-6)}},
     "another search space: optim.eps was None, now {'low': 1e-09"),
    ({"seed": 2}, "another search space: search.seed was 1, now 2"),
])  # fmt: skip
def test_a_study_of_another_space_is_refused(config, options, message):
    SearchSweep(config(search={"trials": 2}), pretend([])).run()
    before = trials(config())
    with pytest.raises(InputError) as error:
        SearchSweep(config(search={"trials": 2} | options), pretend([])).run()
    assert message in str(error.value)
    assert trials(config()) == before


def test_a_study_of_another_space_ends_with_one_line(config, tmp_path, sweep_command, capsys):
    planned = config(search={"trials": 2})
    SearchSweep(planned, pretend([])).run()
    options = dataclasses.asdict(planned)
    options["search"]["options"]["optim.lr"]["high"] = 0.5
    (tmp_path / "sweep.yaml").write_text(json.dumps(options))
    line = fails(sweep_command, capsys, "--config", tmp_path / "sweep.yaml")
    assert (
        "study.db: a study of another search space: optim.lr was {'low': 0.0001, 'high': 0.01,"
        in line
    )
    assert line.endswith("give the sweep another name")


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3, 4]])
def test_trials_of_other_seeds_are_not_compared(config, seeds):
    SearchSweep(config(search={"trials": 2}), pretend([])).run()
    calls, planned = [], config(search={"trials": 3}, seeds=seeds)
    message = (
        rf"study.db: trial \d is of 2 runs, and seeds and folds now ask for {len(seeds)} .*name"
    )
    for act in ("run", "describe"):
        with pytest.raises(InputError, match=message):
            getattr(SearchSweep(planned, pretend(calls)), act)()
    assert not calls
    with pytest.raises(InputError, match="trial=1,seed=2: is not one of the"):
        SearchSweep(config(search={"trials": 3}, seeds=[1, 3]), pretend(calls)).run()
    SearchSweep(config(search={"trials": 3}), pretend(calls)).run()
    assert calls == ["trial=3,seed=1", "trial=3,seed=2"]


def test_a_study_of_another_base_is_refused(config):
    SearchSweep(config(search={"trials": 2}), pretend([])).run()
    with pytest.raises(
        InputError,
        match=r"trial=1,seed=1: a run of other settings: optim.epochs was 2.0, now 3.0",
    ):
        SearchSweep(config(search={"trials": 3}, set={"optim.epochs": 3}), pretend([])).run()


def test_a_file_that_is_no_study_is_refused(config, tmp_path):
    (tmp_path / "sweeps/mine").mkdir(parents=True)
    (tmp_path / "sweeps/mine/study.db").write_text("no database" * 1000)
    with pytest.raises(
        InputError,
        match=r"study.db: not a readable study: .*not a database.*; delete it to start again",
    ):
        SearchSweep(config(), pretend([])).run()


@pytest.mark.parametrize(("space", "message"), [
    (SpaceConfig(),
     "optim.lr: low None and high None; without choices, low and high are required, "
     "and low must be less than high"),
    (SpaceConfig(2, 1), "low 2 and high 1"),
    (SpaceConfig(0, 1, log=True), "low is 0; with log it must be above 0"),
    (SpaceConfig(choices=[1]), "needs low and high, or two choices or more"),
    (SpaceConfig(1, 2, choices=[1, 2]), "needs low and high, or two choices or more"),
    (SpaceConfig(choices=[[1], [2]]), "the choice [1] is neither a string nor a number"),
])  # fmt: skip
def test_bad_spaces_are_refused(config, space, message):
    with pytest.raises(InputError) as error:
        SearchSweep(config(search={"options": {"optim.lr": space}}), pretend([]))
    assert message in str(error.value)


def test_nothing_to_search_or_to_judge_by(config):
    with pytest.raises(InputError, match="needs options to search, and trials of 1 or more"):
        SearchSweep(config(search={"trials": 0}), pretend([]))
    with pytest.raises(InputError, match="search.startup is -1; it must be 0 or more"):
        SearchSweep(config(search={"startup": -1}), pretend([]))
    with pytest.raises(
        InputError, match="has no dev set to score trials by; add one, or set folds"
    ):
        SearchSweep(config(set={"data.dev": []}), pretend([]))


@pytest.mark.parametrize(("option", "space", "message"), [
    ("optim.schedule", SpaceConfig(choices=["linear", "cosin"]),
     "trial=1,seed=1: .*optim.schedule.*cosin"),
    ("optim.warmup", SpaceConfig(-0.1, 0.1), "trial=1,seed=1: optim.warmup is -0.1"),
    ("seed_optimisation.share", SpaceConfig(0.5, 1.5),
     "trial=1,seed=1: seed_optimisation.share is 1.5"),
])  # fmt: skip
def test_every_choice_and_both_bounds_are_checked(config, option, space, message):
    with pytest.raises(InputError, match=message):
        SearchSweep(config(search={"options": SPACE | {option: space}}), pretend([]))


def test_the_data_of_every_choice_is_checked_before_the_first_run(config, tmp_path, pairs_file):
    option, calls = "data.train.0.path", []
    (tmp_path / "bare.tsv").write_text("sentence1\tsentence2\na\tb\n")
    held_out = str(copied(pairs_file))
    for second, retrain, message in [
        ("nowhere.tsv", False, "run trial=1,seed=1: nowhere.tsv: no such file"),
        (str(tmp_path / "bare.tsv"), False, "run trial=1,seed=1: .*bare.tsv, line 2: no columns"),
        (held_out, True, "run best=1,seed=1: data: dev is evaluated on 32 rows that pairs"),
    ]:
        options = {option: SpaceConfig(choices=[str(pairs_file), second])}
        # of the trials alone: they see no test set
        search = {"options": options, "retrain": retrain, "set": {"data.dev.0.path": "demo"}}
        search["set"] |= {"data.dev.0.split": "dev", "data.dev.0.range": None}
        with pytest.raises(InputError, match=message):
            SearchSweep(config(search=search), pretend(calls)).run()
    assert not calls
    assert not (tmp_path / "sweeps").exists()


def test_the_best_has_the_seed_of_the_base(config, tmp_path):
    """Where the seed of a trial's run stood."""
    options = {"data.train.*.limit_seed": "{seed}", "data.dev.0.name": "dev {seed} {optim.lr}"}
    planned = config(set=options, seeds=[5, 6], search={"trials": 1})
    SearchSweep(planned, pretend([])).run()
    folder = tmp_path / "sweeps/mine"
    run = yaml.safe_load((folder / "trial=1,seed=6/config.yaml").read_text())
    best = yaml.safe_load((folder / "best.yaml").read_text())
    names = [run["data"]["dev"][0]["name"], best["data"]["dev"][0]["name"]]
    lr = trials(planned)[0][0]["optim.lr"]
    assert names == [f"dev 6 {lr}", f"dev {best['loop']['seed']} {lr}"]
    seeds = [one["data"]["train"][0].get("limit_seed", 0) for one in (run, best)]
    assert seeds == [6, best["loop"]["seed"]]


def test_what_the_best_cannot_have_is_for_the_trials_alone(config):
    limit_seed = {"data.train.*.limit_seed": "{fold}"}
    options = {"folds": FoldsConfig(2, "row"), "seeds": []}
    with pytest.raises(
        InputError, match=r"best.yaml: data.train.\*.limit_seed: {fold} is not .* in search.set"
    ):
        SearchSweep(config(set=limit_seed, **options), pretend([]))
    search = {"set": limit_seed, "trials": 1}
    SearchSweep(config(search=search, **options), pretend([], part="test")).run()


def test_retraining_needs_a_test_set_and_a_trial_that_completed(config):
    with pytest.raises(InputError, match="retrain is to evaluate the test sets of .*has none; add"):
        SearchSweep(config(search=RETRAIN, set={"data.test": []}), pretend([]))

    def diverge(run):
        raise DivergedError("the loss of step 3 is nan")

    with pytest.raises(InputError, match="no trial completed, so there is nothing to retrain"):
        SearchSweep(config(search=RETRAIN), pretend([], judge=diverge)).run()


def test_what_the_trials_alone_set_is_not_searched_too(config):
    with pytest.raises(InputError, match=r"search and search.set both set optim.lr"):
        SearchSweep(config(search={"set": {"optim.lr": 1e-3}}), pretend([]))
    with pytest.raises(InputError, match="run trial=1,seed=1: unknown option optim.lrr"):
        SearchSweep(config(search={"set": {"optim.lrr": 1e-3}}), pretend([]))


def test_metrics_are_for_the_test_sets_of_a_retraining(config):
    with pytest.raises(InputError, match="metrics are those of the test sets"):
        config(metrics=["rho"])
    planned = config(metrics=["no"], search=RETRAIN)
    with pytest.raises(InputError, match="metrics: no dataset has 'no'; there are: rho"):
        SearchSweep(planned, pretend([])).run()


def test_without_optuna_the_extra_is_named(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        InputError, match=r"search needs Optuna, the extra search: pip install -e '\.\[search\]'"
    ):
        SearchSweep(config(), pretend([]))


def test_a_dry_run_makes_no_study(config, tmp_path, capsys):
    SearchSweep(config(), pretend([])).describe()
    assert "0 of 8 trials done" in capsys.readouterr().out
    assert not (tmp_path / "sweeps").exists()
    SearchSweep(config(search={"trials": 2}), pretend([])).run()
    SearchSweep(config(), pretend([])).describe()
    assert "2 of 8 trials done" in capsys.readouterr().out


def test_a_dry_run_leaves_a_running_search_alone(config, capsys):
    planned, calls = config(search={"trials": 3}), []

    def judge(run):
        SearchSweep(planned, pretend([])).describe()
        return score(run)

    SearchSweep(planned, pretend(calls, judge=judge)).run()
    assert "0 of 3 trials done" in capsys.readouterr().out
    SearchSweep(config("alone", search={"trials": 3}), pretend([])).run()
    assert trials(planned) == trials(config("alone"))


def test_a_dry_run_writes_nothing(config, tmp_path):
    assert is_killed(config(), kill_at=2)
    folder = tmp_path / "sweeps/mine"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    SearchSweep(config(), pretend([])).describe()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_search_that_is_running_is_not_run_twice(config):
    planned = config(search={"trials": 3})

    def judge(run):
        with pytest.raises(InputError, match="study.db: another sweep.py is running this search"):
            SearchSweep(planned, pretend([])).run()
        return score(run)

    SearchSweep(planned, pretend([], judge=judge)).run()
    assert len(trials(planned)) == 3


def test_losses_in_nats_are_not_multiplied():
    """In the table of the retrained models."""
    table = retrained_table([text_run({"seed": s}, 2.0, 4.0) for s in (1, 2)], ["negative_loss"])
    assert "| negative_loss (x 1) |  -8.00 | -2.00 |" in table
