"""A stage's result is of use as long as its settings and all that it read are the same."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from sbert.augment import stages as module
from sbert.augment.config import SilverConfig
from sbert.augment.stages import Stage, StageState, digest_paths
from sbert.data.config import CollectionConfig, DatasetConfig


@pytest.fixture
def stages(tmp_path) -> tuple[Stage, Stage]:
    """A training on a file and an encoder, and one that starts from its model."""
    encoder, pairs = tmp_path / "encoder", tmp_path / "pairs.tsv"
    encoder.mkdir()
    (encoder / "model.safetensors").write_text("weights")
    pairs.write_text("a\tb\t1\n")

    def config(model):
        data = SimpleNamespace(train=[DatasetConfig(str(pairs))], dev=[], test=[], held_out=[])
        return SimpleNamespace(model=SimpleNamespace(path=str(model)), data=data)

    one = Stage("one", "gold", "gold", {"seed": 1}, tmp_path / "one", config(encoder), "lr: 1\n")
    two = Stage(
        "two",
        "augmented",
        "kde",
        {"seed": 1},
        tmp_path / "two",
        config(one.result),
        "lr: 2\n",
        (one,),
    )
    return one, two


def finish(stage: Stage, weights: str) -> None:
    stage.prepare()
    stage.result.mkdir()
    (stage.result / "model.safetensors").write_text(weights)
    (stage.folder / "result.json").write_text("{}")


@pytest.fixture
def done(stages) -> tuple[Stage, Stage]:
    for stage in stages:
        finish(stage, f"weights of {stage.label}")
    return stages


def test_states_in_turn(stages):
    one, _ = stages
    assert one.state() == StageState("to do")
    one.prepare()
    assert one.state() == StageState("cut")
    finish(one, "weights")
    assert one.state() == StageState("done")


def test_cut_keeps_what_it_has_and_stale_does_not(stages):
    one, _ = stages
    one.prepare()
    (one.folder / "part").write_text("half")
    one.prepare()
    assert (one.folder / "part").exists()
    other = replace(one, config_yaml="lr: 3\n")
    assert other.state() == StageState("stale", "lr was 1, now 3")
    other.prepare()
    assert [path.name for path in one.folder.iterdir()] == ["stage.json"]
    assert other.state() == StageState("cut")


def test_a_finished_training_without_its_model_starts_anew(done):
    """train.py does not resume it: its last/ was deleted, too."""
    one, _ = done
    shutil.rmtree(one.result)
    assert one.state() == StageState("to do")
    one.prepare()
    assert [path.name for path in one.folder.iterdir()] == ["stage.json"]


def test_the_order_of_the_options_is_no_difference(done):
    one, _ = done
    saved = replace(one, config_yaml="limit: 1\nk: 3\n")
    finish(saved, "weights")
    assert replace(one, config_yaml="k: 3\nlimit: 1\n").state() == StageState("done")
    other = replace(one, config_yaml="k: 3\nlimit: 1.0\n")  # all rows, not one
    assert other.state() == StageState("stale", "limit was 1, now 1.0")


def test_an_encoder_or_a_file_that_changed(done, tmp_path):
    one, two = done
    for path, read in (
        (tmp_path / "encoder/model.safetensors", "encoder"),
        (tmp_path / "pairs.tsv", "pairs.tsv"),
    ):
        then = path.read_text()
        path.write_text("other")
        assert one.state() == StageState("stale", f"its input {tmp_path / read} has changed")
        path.write_text(then)
        assert one.state() == StageState("done")
        path.unlink()
        assert one.state().name == "stale"
        path.write_text(then)
    assert two.state() == StageState("done")


def test_a_model_of_the_stage_before_that_came_out_otherwise(done):
    one, two = done
    (one.result / "model.safetensors").write_text("other")
    assert one.state() == StageState("done")
    assert two.state() == StageState("stale", f"its input {one.result} has changed", upstream=True)
    assert two.state({"one"}) == StageState("stale", "one will be redone", upstream=True)
    assert two.state({"three"}).reason == f"its input {one.result} has changed"


def test_a_folder_that_is_not_a_stage(stages):
    one, _ = stages
    one.folder.mkdir()
    assert one.state() == StageState("to do")
    (one.folder / "config.yaml").write_text("lr: 1\n")
    assert one.state() == StageState("stale", "its folder was not made by a recipe")


@pytest.mark.parametrize("operation", ["rename", "write_whole"])
def test_a_kill_while_a_stale_one_is_deleted_leaves_no_half(done, monkeypatch, operation):
    one = replace(done[0], config_yaml="lr: 3\n")
    with monkeypatch.context() as patch:

        def die(*args):
            raise KeyboardInterrupt

        patch.setattr(os if operation == "rename" else module, operation, die)
        with pytest.raises(KeyboardInterrupt):
            one.prepare()
    assert one.state().name == "stale"
    assert (one.folder / "result.json").exists()
    one.prepare()
    assert one.state() == StageState("cut")
    assert not list(one.folder.parent.glob("one.*"))


def test_the_state_of_a_finished_training_is_deleted_and_of_a_cut_one_is_not(stages):
    one, _ = stages
    one.prepare()
    (one.folder / "last").mkdir()
    one.clean()
    assert (one.folder / "last").exists()
    finish(one, "weights")
    one.clean()
    assert not (one.folder / "last").exists()
    assert one.done


def test_commands(stages, tmp_path):
    one, _ = stages
    config = str(tmp_path / "one/config.yaml")
    assert [Path(one.command[0]).name, *one.command[1:]] == [
        "train.py",
        "--config",
        config,
        "--resume",
    ]
    silver = replace(one, kind="silver")
    assert [Path(silver.command[0]).name, *silver.command[1:]] == [
        "augment.py",
        "silver",
        "--config",
        config,
    ]
    assert silver.result == tmp_path / "one/silver.jsonl"


def test_what_silver_reads(stages, tmp_path):
    gold, texts = DatasetConfig("gold.tsv"), CollectionConfig("pool.txt")
    config = SimpleNamespace(
        teacher=str(tmp_path / "encoder"),
        teacher_language=None,
        model=None,
        gold=[gold],
        unlabelled=DatasetConfig("hf:some/set"),
        held_out=[DatasetConfig("dev.tsv")],
        texts=texts,
    )
    silver = replace(stages[0], kind="silver", config=config)
    assert silver.inputs() == {
        "gold.tsv": Path("gold.tsv"),
        "dev.tsv": Path("dev.tsv"),
        "pool.txt": Path("pool.txt"),
        str(tmp_path / "encoder"): tmp_path / "encoder",
    }
    config.model = "hub/name"
    assert "hub/name" not in silver.inputs()


def test_what_is_held_out_is_read_by_a_training(stages):
    stages[0].config.data.held_out.append(DatasetConfig("dev.tsv"))
    assert stages[0].inputs()["dev.tsv"] == Path("dev.tsv")


def test_a_retrieval_folder_that_is_held_out_is_read(stages, tmp_path):
    names = ["corpus.jsonl", "queries.jsonl", "qrels_test.tsv"]
    for name in names:
        (tmp_path / name).write_text("", "utf-8")
    stages[0].config.data.held_out.append(DatasetConfig(str(tmp_path), split="test"))
    assert {str(tmp_path / name): tmp_path / name for name in names}.items() <= (
        stages[0].inputs().items()
    )


def test_silver_of_another_language_reads_the_translations(stages):
    config = SilverConfig(
        output="x.jsonl",
        teacher="hub/cross",
        teacher_language="en",
        strategy="random",
        gold=[DatasetConfig("{language}.tsv", languages=["fr"])],
    )
    silver = replace(stages[0], kind="silver", config=config)
    assert silver.inputs() == {"fr.tsv": Path("fr.tsv"), "en.tsv": Path("en.tsv")}


def test_digest_paths_follow_contents_and_names(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / "1_Pooling").mkdir(parents=True)
        (folder / "model.safetensors").write_text("weights")
        (folder / "1_Pooling/config.json").write_text("{}")
    assert len(set(digest_paths({"a": first, "b": second}).values())) == 1
    (first / "README.md").write_text("no part of the model")
    assert len(set(digest_paths({"a": first, "b": second}).values())) == 1
    (first / "1_Pooling/config.json").rename(first / "config.json")
    assert len(set(digest_paths({"a": first, "b": second}).values())) == 2
    assert digest_paths({"nothing": tmp_path / "nothing", "empty": tmp_path}) != {}
    assert digest_paths({"nothing": tmp_path / "nothing"}) == {"nothing": None}
    assert json.dumps(digest_paths({"a": first}))
