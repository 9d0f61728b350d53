"""From one YAML to the configuration of every run; what is refused before the first run starts."""

import json

import pytest
import yaml

from sbert.errors import InputError
from sbert.sweeps.config import FoldsConfig, SearchConfig, SpaceConfig


def test_all_combinations_in_order(plan):
    runs = plan(
        variants={"a": {}, "b": {"optim.epochs": 3}},
        grid={"optim.lr": [1e-3, 1e-4]},
        seeds=[1, 2],
        set={"optim.batch_size": 4},
    ).runs()
    assert [run.label for run in runs] == [
        f"{v},optim.lr={lr},seed={s}" for v in "ab" for lr in ("0.001", "0.0001") for s in (1, 2)
    ]
    last = runs[-1].config
    assert (last.optim.lr, last.optim.epochs, last.optim.batch_size, last.loop.seed) == (
        1e-4,
        3,
        4,
        2,
    )
    assert runs[0].config.optim.epochs == 2
    assert [run.row for run in runs[:3]] == ["a,optim.lr=0.001"] * 2 + ["a,optim.lr=0.0001"]
    assert runs[-1].axes == {"variant": "b", "optim.lr": 1e-4, "seed": 2}


def test_a_run_is_a_complete_configuration_of_train_py(plan, tmp_path, train_command):
    """A run's config_yaml is what train.py writes into the run folder: it can be rerun as it is."""
    run = plan(seeds=[5], set={"optim.epochs": 1}).runs()[0]
    assert run.folder == tmp_path / "sweeps/mine/seed=5"
    (tmp_path / "it.yaml").write_text(run.config_yaml)
    train_command(tmp_path / "it.yaml")
    assert run.done
    assert (run.folder / "config.yaml").read_text() == run.config_yaml


def test_a_sweep_without_axes_is_one_run(plan):
    [run] = plan().runs()
    assert (run.label, run.row, run.axes) == ("run", "mine", {})


def test_sizes_limit_every_training_set_and_nothing_else(plan):
    runs = plan(sizes=[5, 20]).runs()
    for run, size in zip(runs, (5, 20), strict=True):
        assert [dataset.limit for dataset in run.config.data.train] == [size, size]
        assert [dataset.limit for dataset in run.config.data.dev + run.config.data.test] == [
            None,
            None,
        ]
        assert {dataset.limit_seed for dataset in run.config.data.train} == {0}


def test_options_may_hold_values_of_axes(plan):
    options = {"model.path": "sweeps/first/seed={seed}/best", "data.train.*.limit_seed": "{seed}"}
    run = plan(seeds=[3], set=options).runs()[0]
    assert run.config.model.path == "sweeps/first/seed=3/best"
    assert [dataset.limit_seed for dataset in run.config.data.train] == [3, 3]


def test_folds_cut_every_training_set_and_take_the_place_of_test(plan):
    runs = plan(folds=FoldsConfig(3, "row"), seeds=[1]).runs()
    assert [run.label for run in runs] == [f"seed=1,fold={fold}" for fold in (1, 2, 3)]
    assert {run.row for run in runs} == {"mine"}
    for fold, run in enumerate(runs, start=1):
        data = run.config.data
        cuts = [(d.name, d.folds, d.fold, d.part, d.group) for d in data.train + data.test]
        assert cuts == [
            (n, 3, fold, part, "row") for part in ("rest", "fold") for n in ("one", "two")
        ]
        assert data.dev[0].folds is None


def test_a_variant_may_bring_another_loss_and_the_grid_its_option(plan):
    runs = plan(variants={"a": {"loss": "CoSENTLoss"}}, grid={"loss.scale": [10.0, 30.0]}).runs()
    assert [run.config.loss.scale for run in runs] == [10.0, 30.0]


def test_trials_of_a_search_look_at_no_test_set(plan):
    search = SearchConfig({"optim.lr": SpaceConfig(1e-4, 1e-2)})
    [run] = plan(search=search).runs((7, {"optim.lr": 5e-3}))
    assert (run.label, run.config.optim.lr, run.config.data.test) == ("trial=7", 5e-3, [])
    assert run.axes == {"trial": 7, "optim.lr": 5e-3}
    cut = plan(search=search, folds=FoldsConfig(2, "row")).runs((7, {"optim.lr": 5e-3}))
    assert [d.part for run in cut for d in run.config.data.test] == ["fold"] * 4
    best = yaml.safe_load(
        plan(search=search, folds=FoldsConfig(2, "row")).best_yaml({"optim.lr": 5e-3})
    )
    assert (best["name"], best["optim"]["lr"], best["data"]["test"][0]["name"]) == (
        "mine_best",
        5e-3,
        "test",
    )
    assert "folds" not in best["data"]["train"][0]


@pytest.mark.parametrize(("options", "message"), [
    ({"set": {"optim.lrr": 1}}, "unknown option optim.lrr: 'lrr' is not one of lr, batch_size"),
    ({"grid": {"optim.lrr": [1]}}, "unknown option optim.lrr"),
    ({"grid": {"data.train.2.limit": [1]}},
     "unknown option data.train.2.limit: '2' is not one of 0, 1, *"),
    ({"variants": {"a": {"loop.sed": 1}}}, "run a: unknown option loop.sed"),
    ({"variants": {"a": {"loss.margin": 1}}},
     "run a: Parser key \"loss\"; Option 'margin' is not accepted"),
    ({"variants": {"a": {"loss": "NoLoss"}}}, "NoLoss"),
    ({"search": SearchConfig({"optim.lrr": SpaceConfig(1, 2)})}, "unknown option optim.lrr"),
    ({"grid": {"optim.lr": ["fast"]}},
     'optim.lr=fast: Parser key "optim.lr"; Not of type Positive: could not convert string'),
    ({"grid": {"optim.lr": [-1.0]}},
     "optim.lr is -1.0; it must be > 0"),
    ({"grid": {"loop.seed": [1]}, "seeds": [1]},
     "grid and seeds both set loop.seed; set it in one of them"),
    ({"grid": {"loop": [{}]}, "variants": {"a": {"loop.seed": 1}}},
     "variants and grid both set loop.seed"),
    ({"grid": {"data.train.1.limit": [1]}, "sizes": [1]},
     "grid and sizes both set data.train.1.limit"),
    ({"variants": {"a": {"data.train.*.limit": 1}}, "sizes": [1]},
     "variants and sizes both set data.train.*.limit"),
    ({"variants": {"a": {"data.test": []}}, "folds": FoldsConfig(2, "row")},
     "variants and folds both set data.test"),
    ({"grid": {"data.train.0.fold": [1]}, "folds": FoldsConfig(2, "row")},
     "grid and folds both set data.train.0.fold"),
    ({"search": SearchConfig({"loop.seed": SpaceConfig(1, 2)}), "seeds": [1]},
     "search and seeds both set loop.seed"),
    ({"grid": {"optim.lr": [1e-3], "optim": [{}]}}, "grid and grid both set optim.lr"),
    ({"set": {"name": "x"}}, "set: the sweep sets name of every run"),
    ({"grid": {"runs": ["x"]}}, "grid and a sweep both set runs"),
    ({"seeds": [1, 1]}, "seed: 1, 1; an axis needs values with different names"),
    ({"grid": {"optim.lr": []}}, "optim.lr: no values"),
    ({"variants": {"a b": {}, "a_b": {}}},
     "variant: a_b, a_b; an axis needs values with different names"),
    ({"variants": {"(u, v)": {}, "(|u, v|)": {}}},
     "variant: u_v, u_v; an axis needs values with different names"),
    ({"variants": {"..": {}}}, "an axis needs values with different names"),
    ({"variants": {"x" * 256: {}}},
     "xxx: a name of 256 bytes is longer than the 255 that a folder's name may have; "
     "give variants shorter names"),
    ({"variants": {"()": {}}}, "an axis needs values with different names"),
    ({"sizes": [30]}, "run size=30: size 30 exceeds the limit of 20"),
    ({"sizes": [0.5]}, "run size=0.5: size 0.5 exceeds the limit of 20"),
    ({"set": {"model.path": "{sed}"}, "seeds": [1]},
     "model.path: {sed} is not an axis of this sweep; the axes are: seed"),
    ({"base": "missing.yaml"}, "missing.yaml"),
    ({"jobs": 0}, "jobs is 0; it must be 1 or more"),
    ({"folds": FoldsConfig(3)},
     "folds needs group: the column whose equal values stay in one fold, or row"),
    ({"folds": FoldsConfig(3, "row"), "sizes": [3]}, "sizes and folds cannot be combined"),
    ({"search": SearchConfig({}), "sizes": [3]}, "search replaces variants, grid and sizes"),
    ({"search": SearchConfig({}), "figure": "bars"}, "search has its own table"),
    ({"figure": "learning_curve"}, "figure learning_curve needs sizes"),
])  # fmt: skip
def test_bad_axes_are_refused(plan, options, message):
    trial = (1, {"optim.lrr": 1}) if "search" in options else None
    with pytest.raises(InputError) as error:
        plan(**options).runs(trial)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_base_with_a_duplicate_key_is_refused(plan, tmp_path):
    (tmp_path / "twice.yaml").write_text("name: a\nname: b\n")
    with pytest.raises(InputError, match="duplicate key 'name'"):
        plan(base=str(tmp_path / "twice.yaml"))


def test_a_plan_is_plain_json(plan):
    for run in plan(grid={"optim.lr": [1e-3]}, seeds=[1], folds=FoldsConfig(2, "row")).runs():
        assert json.loads(json.dumps(run.axes)) == run.axes
