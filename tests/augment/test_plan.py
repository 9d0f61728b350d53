"""The configuration of every stage of a recipe."""

import copy
from pathlib import Path

import pytest
import yaml

from sbert.augment.plan import RecipePlan, check_gold
from sbert.augment.recipe_config import RecipeConfig
from sbert.augment.stages import CONTROL, GOLD, TEACHER, Stage
from sbert.cli import InnerParser, make_parser
from sbert.errors import InputError

LEARNER = {
    "model": {"path": "base"},
    "loss": "CosineSimilarityLoss",
    "optim": {"lr": 1e-3, "epochs": 4},
}
BASE = {
    "name": "mine",
    "runs": "recipes",
    "gold": [{"path": "gold.tsv"}],
    "dev": [{"path": "dev.tsv"}],
    "test": [{"path": "test.tsv"}],
    "bi_encoder": LEARNER,
    "teacher": LEARNER | {"model": {"path": "judge"}, "loss": "BinaryCrossEntropyLoss"},
    "silver": {"strategies": ["semantic", "kde", "bm25"], "k": 7, "number": 99, "pool": 50},
}


def stages(**changes) -> dict[str, Stage]:
    options = make_parser(RecipeConfig, "recipe", "", InnerParser)
    given = options.parse_object(copy.deepcopy(BASE | changes))
    given.pop("config")
    nested = copy.deepcopy(given.as_dict())
    return {
        s.label: s
        for s in RecipePlan(RecipeConfig(**vars(options.instantiate(given))), nested).stages()
    }


def saved(stage: Stage) -> dict:
    return yaml.safe_load(stage.config_yaml)


def test_trainings_are_complete_configurations_of_train_py():
    made = stages(seeds=[3])
    gold, teacher, last = (saved(made[f"{row},seed=3"]) for row in ("gold", "cross-encoder", "kde"))
    assert (gold["name"], gold["runs"]) == ("gold,seed=3", "recipes/mine")
    assert [config["loop"]["seed"] for config in (gold, teacher, last)] == [3, 3, 3]
    assert [config["model"]["path"] for config in (gold, teacher, last)] == [
        "base",
        "judge",
        "base",
    ]
    assert [config["data"]["both_orders"] for config in (gold, teacher, last)] == [
        False,
        True,
        False,
    ]
    for config in (gold, teacher, last):
        assert [d["path"] for d in config["data"]["dev"] + config["data"]["test"]] == [
            "dev.tsv",
            "test.tsv",
        ]
    data = [
        (d["path"], d.get("name"), d.get("teacher"), d.get("weight")) for d in last["data"]["train"]
    ]
    silver = (
        "recipes/mine/silver-kde,seed=3/silver.jsonl",
        "silver-kde",
        "recipes/mine/cross-encoder,seed=3/best",
        None,
    )
    assert data == [("gold.tsv", None, None, None), silver]


def test_silver_is_of_the_teacher_and_searches_by_the_bi_encoder_on_gold():
    made = stages()
    for strategy in ("semantic", "kde", "bm25"):
        stage = made[f"silver-{strategy},seed=1"]
        config = saved(stage)
        assert (config["strategy"], config["k"], config["number"], config["seed"]) == (
            strategy,
            7,
            99,
            1,
        )
        assert config["teacher"] == "recipes/mine/cross-encoder,seed=1/best"
        assert config.get("pool") == (50 if strategy == "kde" else None)
        searches = strategy != "bm25"  # one that does not search does not follow the bi-encoder
        assert config.get("model") == ("recipes/mine/gold,seed=1/best" if searches else None)
        assert [s.row for s in stage.after] == ["cross-encoder", "gold"][: 1 + searches]
        assert Path(config["output"]) == stage.result


def test_a_teacher_of_another_language_reads_the_translations():
    """Under the names of the student's datasets, so that a column of the table has both."""

    def aligned(split: str, **options) -> dict:
        return {"path": f"sts/{{language}}/{split}.tsv", "languages": ["fr"], **options}

    teacher = BASE["teacher"] | {"language": "en"}
    gold = [aligned("train", limit=5), aligned("more", crossing="none")]
    dev, test = [aligned("dev")], [aligned("test", name="mine")]
    made = stages(gold=gold, dev=dev, test=test, teacher=teacher)
    student, labeller = (saved(made[f"{row},seed=1"])["data"] for row in (GOLD, TEACHER))
    for part in ("train", "dev", "test"):
        assert [d["languages"] for d in student[part]] == [["fr"]] * len(student[part])
        assert [d["languages"] for d in labeller[part]] == [["en"]] * len(student[part])
    assert [d.get("limit") for d in labeller["train"]] == [5, None]
    assert [d["name"] for d in labeller["dev"] + labeller["test"]] == ["dev", "mine"]
    silver = saved(made["silver-kde,seed=1"])
    assert (silver["teacher_language"], silver["gold"][0]["languages"]) == ("en", ["fr"])
    with pytest.raises(InputError, match="dataset test.tsv: where are its translations in en"):
        stages(gold=gold, dev=dev, teacher=teacher)


def test_every_stage_comes_after_those_that_it_reads():
    made = stages(seeds=[1, 2], sizes=[5, None], augmented={"start": "gold"})
    seen = set()
    for stage in made.values():
        assert {before.label for before in stage.after} <= seen
        seen.add(stage.label)
    assert len(seen) == 2 * 2 * (2 + 2 * 3)


def test_the_last_bi_encoder_may_go_on_and_differ():
    augmented = {"start": "gold", "set": {"optim.epochs": 1, "loss.learnable_scale": True}}
    made = stages(augmented=augmented)
    last, gold = saved(made["kde,seed=1"]), saved(made["gold,seed=1"])
    assert last["model"]["path"] == "recipes/mine/gold,seed=1/best"
    assert (last["optim"]["epochs"], gold["optim"]["epochs"]) == (1, 4)
    assert last["loss"]["init_args"]["learnable_scale"]
    assert not gold["loss"]["init_args"]["learnable_scale"]
    assert [stage.row for stage in made["kde,seed=1"].after] == ["gold", "kde"]


def test_a_control_is_gold_alone_with_other_options():
    made = stages(control={"optim.epochs": 8}, seeds=[1, 2], one_teacher=True)
    for seed in (1, 2):
        gold, control = (saved(made[f"{row},seed={seed}"]) for row in (GOLD, CONTROL))
        assert (gold["optim"]["epochs"], control["optim"].pop("epochs")) == (4, 8)
        del gold["optim"]["epochs"], gold["name"], control["name"]
        assert control == gold
    with pytest.raises(InputError, match="control: unknown option optim.epoch: 'epoch' is not"):
        stages(control={"optim.epoch": 8})


def test_a_share_of_silver_is_divided_as_gold_was():
    gold = [{"path": "a.tsv", "weight": 3.0}, {"path": "b.tsv", "weight": 1.0}]
    last = saved(stages(gold=gold, augmented={"share": 0.2})["kde,seed=1"])
    assert [d["weight"] for d in last["data"]["train"]] == pytest.approx([0.6, 0.2, 0.2])
    alone = saved(stages(augmented={"share": 0.75})["kde,seed=1"])
    assert [d["weight"] for d in alone["data"]["train"]] == [0.25, 0.75]


def test_what_is_held_out_is_so_in_every_stage():
    """For a teacher of another language it is the translations."""

    def paths(datasets) -> list[str]:
        return [(dataset["path"], dataset["languages"]) for dataset in datasets]

    def aligned(split: str) -> list[dict]:
        return [{"path": f"sts/{{language}}/{split}.tsv", "languages": ["fr"]}]

    made = stages(
        gold=aligned("train"),
        dev=aligned("dev"),
        test=aligned("test"),
        held_out=aligned("test"),
        teacher=BASE["teacher"] | {"language": "en"},
        control={"optim.epochs": 8},
    )
    for stage in made.values():
        config = saved(stage)
        held_out = config["held_out"] if stage.kind == "silver" else config["data"]["held_out"]
        language = "en" if stage.kind == "teacher" else "fr"
        assert paths(held_out) == [("sts/{language}/test.tsv", [language])]


def test_nothing_is_held_out_where_nothing_is_named():
    for stage in stages().values():
        config = stage.config if stage.kind == "silver" else stage.config.data
        assert config.held_out == []


def test_sizes_limit_gold_alone():
    made = stages(sizes=[5, None])
    for row in ("gold", "cross-encoder", "kde"):
        for label, limit in ((f"{row},size=5,seed=1", 5), (f"{row},seed=1", None)):
            data = saved(made[label])["data"]
            assert data["train"][0].get("limit") == limit
            assert not any("limit" in d for d in data["train"][1:] + data["dev"] + data["test"])
    assert saved(made["silver-kde,size=5,seed=1"])["gold"][0]["limit"] == 5


def test_of_one_teacher_the_silver_of_the_first_seed_is_used_by_all():
    made = stages(seeds=[4, 5], one_teacher=True)
    assert "cross-encoder,seed=5" not in made
    train = saved(made["kde,seed=5"])["data"]["train"]
    assert train[1]["path"] == "recipes/mine/silver-kde,seed=4/silver.jsonl"
    assert saved(made["kde,seed=5"])["loop"]["seed"] == 5


def test_of_a_target_the_source_chooses_nothing():
    target = {"dev": [{"path": "target-dev.tsv"}], "test": [{"path": "target-test.tsv"}]}
    made = stages(
        target=target,
        silver={"strategies": ["given", "bm25"], "unlabelled": {"path": "target.tsv"}},
    )

    def paths(label: str, part: str) -> list[str]:
        return [d["path"] for d in saved(made[label])["data"][part]]

    for label in ("gold,seed=1", "cross-encoder,seed=1"):
        assert paths(label, "dev") == ["dev.tsv"]
        assert paths(label, "test") == ["target-dev.tsv", "target-test.tsv", "test.tsv"]
    assert paths("given,seed=1", "train") == ["recipes/mine/silver-given,seed=1/silver.jsonl"]
    assert paths("given,seed=1", "dev") == ["target-dev.tsv"]
    assert paths("given,seed=1", "test") == ["target-test.tsv", "test.tsv"]
    assert saved(made["silver-bm25,seed=1"])["unlabelled"]["path"] == "target.tsv"


def test_a_wrong_option_names_the_row():
    with pytest.raises(InputError, match="kde: .*Option .margin. is not accepted"):
        stages(augmented={"set": {"loss.margin": 1}}, silver={"strategies": ["kde"]})


@pytest.mark.parametrize("name", ["", "..", "/tmp/mine"])
def test_a_name_that_is_no_folder_below_runs(name):
    with pytest.raises(InputError, match="^name is '.*'; it must name a folder below runs"):
        stages(name=name)


def test_silver_is_no_gold(tmp_path):
    from sbert.data.config import DatasetConfig

    for name, teacher, fine in (("a.tsv", "0" * 64, False), ("b.tsv", "Mrs Smith", True)):
        path = tmp_path / name
        path.write_text(f"sentence1\tsentence2\tscore\tteacher\na cat\ta dog\t1\t{teacher}\n")
        if fine:
            check_gold([DatasetConfig(str(path))])
        else:
            with pytest.raises(
                InputError,
                match=f"gold {path}: is silver, labelled by a cross-encoder; gold must be labelled",
            ):
                check_gold([DatasetConfig(str(path))])


def test_prompts_of_gold_are_those_of_silver_and_not_of_the_cross_encoder():
    learner = LEARNER | {"model": {"path": "base", "prompts": {"query": "query: "}}}
    gold = [{"path": "gold.tsv", "prompts": "query"}]
    made = stages(bi_encoder=learner, gold=gold)
    [on_gold], [teacher], [augmented] = (
        [saved(stage) for stage in made.values() if (stage.kind, stage.row) == of]
        for of in (("gold", "gold"), ("teacher", "cross-encoder"), ("augmented", "kde"))
    )
    for config in (on_gold, augmented):
        assert config["model"]["prompts"] == {"query": "query: "}
        assert {dataset["prompts"] for dataset in config["data"]["train"]} == {"query"}
    assert [dataset.get("prompts") for dataset in teacher["data"]["train"]] == [None]
