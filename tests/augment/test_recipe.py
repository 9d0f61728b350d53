"""The whole recipe. With tiny models its stages run in this process, as their commands would. Where
only their order matters they are faked: a model is a hash of what it was trained on."""

import gzip
import hashlib
import json
import random
import shutil
from pathlib import Path

import pytest
import yaml
from accelerate.state import AcceleratorState
from families import FAMILIES, write_encoder
from support import ROOT, copied, fails
from tiny_models import WORDS, write_tiny
from transformers import AutoModelForMaskedLM

from sbert.atomic import write_whole
from sbert.augment import silver
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.models.loading import load_teacher
from sbert.training.loop import Training

STAGES = ["gold", "cross-encoder", "silver-random", "random", "silver-semantic", "semantic"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("small"))


def pairs_text(seed: int = 0, highest: float = 1) -> str:
    """A TSV of 32 pairs with scores from 0 to the highest."""
    draw = random.Random(seed)
    lines = ["sentence1\tsentence2\tscore"]
    for i in range(32):
        first, second = (" ".join(draw.choices(WORDS, k=k)) for k in (6, 4))
        lines.append(f"{first}\t{second}\t{highest * i / 31:.3f}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pairs.tsv"
    path.write_text(pairs_text())
    return path


def recipe_options(folder: Path, encoder: Path, pairs: Path) -> dict:
    """A recipe of one seed and two strategies."""
    learner = {
        "optim": {"lr": 1e-3, "batch_size": 8},
        "loop": {"precision": "fp32", "log_steps": 1, "save_steps": 1},
    }
    return {
        "name": "mine",
        "runs": str(folder),
        "gold": [{"path": str(pairs), "limit": 20, "name": "gold"}],
        "dev": [{"path": str(pairs), "beyond": 20, "name": "dev"}],
        "test": [{"path": str(copied(pairs)), "name": "test"}],
        "bi_encoder": learner | {"model": {"path": str(encoder)}, "loss": "CosineSimilarityLoss"},
        "teacher": learner | {"model": {"path": str(encoder)}, "loss": "BinaryCrossEntropyLoss"},
        "silver": {"strategies": ["random", "semantic"], "number": 24},
        "augmented": {"share": 0.5},
    }


@pytest.fixture
def options(tmp_path, encoder, pairs) -> dict:
    return recipe_options(tmp_path / "recipes", encoder, pairs)


def write_config(stage) -> None:
    stage.folder.mkdir(parents=True, exist_ok=True)
    if not (stage.folder / "config.yaml").exists():
        write_whole(stage.folder / "config.yaml", stage.config_yaml.encode())


class LocalRunner:
    """Instead of JobRunner: the commands in this process."""

    def __init__(self, jobs, print_line):
        self.calls, self.stop = [], lambda: None

    def run(self, stage):
        import augment
        import train

        self.calls.append(stage.label)
        write_config(stage)
        AcceleratorState._reset_state(reset_partial_state=True)
        script, *words = stage.command
        {"train.py": train, "augment.py": augment}[Path(script).name].main(words)


class FakeRunner(LocalRunner):
    """A model or a silver file is a hash of the settings and the inputs of its stage.

    cut: the label of a stage that is interrupted after its start.
    """

    cut = None

    def run(self, stage):
        self.calls.append(stage.label)
        write_config(stage)
        if stage.label == self.cut:
            raise KeyboardInterrupt
        made = hashlib.sha256((stage.folder / "stage.json").read_bytes()).hexdigest()
        if stage.kind == "silver":
            rows = [
                {"sentence1": "a cat", "sentence2": made[:k], "score": 0.1 * k} for k in range(1, 9)
            ]
            write_whole(stage.result, "".join(json.dumps(row) + "\n" for row in rows).encode())
            return
        for part in ("best", "last"):
            (stage.folder / part).mkdir(exist_ok=True)
            (stage.folder / part / "model.safetensors").write_text(made)
        score = {"rho": len(stage.row) / 100 + stage.axes["seed"] / 1000}
        data = stage.config.data
        results = [
            {
                "dataset": d.name,
                "part": part,
                "main": "rho",
                "rows": 3,
                "before": {"rho": 0.02},
                "after": score,
            }
            for part in ("dev", "test")
            for d in getattr(data, part)
        ]
        facts = {"train_rows": 20, "steps": 5, "seconds": 1.0, "results": results}
        write_whole(stage.folder / "result.json", json.dumps(facts).encode())


def command(options: dict, *words: str, runner_class=FakeRunner, cut=None, first=()) -> list[str]:
    """The command -> the labels of the stages that it did."""
    path = Path(options["runs"]).with_suffix(".yaml")
    path.write_text(yaml.safe_dump(options))
    runner = runner_class(1, print)
    runner.cut = cut
    import augment

    AcceleratorState._reset_state(reset_partial_state=True)
    augment.main(
        ["recipe", *first, "--config", str(path), *words],
        make_runner=lambda jobs, print_line: runner,
    )
    return runner.calls


@pytest.fixture(scope="module")
def whole(tmp_path_factory, encoder, pairs) -> Path:
    """The folder of a recipe whose stages are real, done without interruption."""
    folder = tmp_path_factory.mktemp("whole") / "recipes"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        patch.setattr(silver, "UNIT", 6)
        assert command(
            recipe_options(folder, encoder, pairs), runner_class=LocalRunner
        ) == labels_of_seeds(1)
    return folder / "mine"


def labels_of_seeds(*seeds: int) -> list[str]:
    return [f"{stage},seed={seed}" for seed in seeds for stage in STAGES]


def results(folder: Path) -> list[dict]:
    """results.jsonl without times."""
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def listed(capsys) -> dict[str, str]:
    """The output of a dry run: {stage: its state and the reason}."""
    lines = capsys.readouterr().out.splitlines()[:-1]
    return {
        words[0]: line[:5].strip() + line[7:].removeprefix(words[0])
        for line in lines
        for words in [line[7:].split(": ")]
    }


def test_from_pairs_to_a_table(whole):
    """The table has the numbers of the runs; the silver of each strategy is trained on."""
    gold, teacher = (
        json.loads((whole / f"{s},seed=1/result.json").read_text())
        for s in ("gold", "cross-encoder")
    )
    assert (gold["train_rows"], teacher["train_rows"]) == (20, 40)  # the teacher reads both orders
    before, after = (
        [100 * r[when]["spearman_cosine"] for r in gold["results"]] for when in ("before", "after")
    )
    table = (whole / "table.md").read_text().splitlines()[4:9]
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
        for line in table
    }
    assert list(cells) == ["untuned", "gold", "cross-encoder", "gold + random", "gold + semantic"]
    assert (cells["untuned"][3], cells["untuned"][6]) == (f"{before[0]:.2f}", f"{before[1]:.2f}")
    assert (cells["gold"][3], cells["gold"][6]) == (f"{after[0]:.2f}", f"{after[1]:.2f}")
    rows = {row["row"]: row for row in results(whole) if row["kind"] == "silver"}
    for strategy in ("random", "semantic"):
        silver = [
            json.loads(line)
            for line in (whole / f"silver-{strategy},seed=1/silver.jsonl").read_text().splitlines()
        ]
        assert {row["strategy"] for row in silver} == {strategy}
        assert rows[strategy]["pairs"] == len(silver) <= 24
        assert cells[f"gold + {strategy}"][-2:] == [
            str(len(silver)),
            f"{rows[strategy]['divergence']:.2f}",
        ]
        trained = json.loads((whole / f"{strategy},seed=1/result.json").read_text())
        assert trained["train_rows"] == 20 + len(silver)
        steps = [str(trained["train_rows"]), str(trained["steps"])]
        assert cells[f"gold + {strategy}"][1:3] == steps
    assert list(whole.glob("*/last")) == []


def test_killed_in_every_stage_it_ends_the_same(whole, options, tmp_path, monkeypatch):
    """Cut in the third step or unit of one stage after another: results, silver and weights are the
    same, to the last bit."""
    works = 0
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(silver, "UNIT", 6)

    def counted(real):
        def call(*args, **options):
            nonlocal works
            works += 1
            if works == 3:
                raise KeyboardInterrupt
            return real(*args, **options)

        return call

    class Cut(LocalRunner):
        def run(self, one):
            nonlocal works
            works = 0 if one.label == f"{stage},seed=1" else -1000
            super().run(one)

    stages = ["gold", "cross-encoder", "silver-semantic", "semantic"]
    while stages:
        stage = stages.pop(0)
        with monkeypatch.context() as patch:
            patch.setattr(Training, "update", counted(Training.update))
            patch.setattr(silver, "label_pairs", counted(silver.label_pairs))
            with pytest.raises(KeyboardInterrupt):
                command(options, runner_class=Cut)
    command(options, runner_class=LocalRunner)
    folder = tmp_path / "recipes/mine"
    assert results(folder) == results(whole)
    for name in (
        "cross-encoder,seed=1/best/model.safetensors",
        "semantic,seed=1/best/model.safetensors",
        "silver-random,seed=1/silver.jsonl",
        "silver-semantic,seed=1/silver.jsonl",
    ):
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert (folder / "table.md").read_text() == (whole / "table.md").read_text().replace(
        str(whole), str(folder)
    )


def write_fill_mask(folder: Path, name: str) -> Path:
    """A tiny model of a family, as its pretrained models are published: with a head that fills in
    masked words, and none that classifies."""
    family = next(family for family in FAMILIES if family.name == name)
    write_encoder(family, folder)
    AutoModelForMaskedLM.from_pretrained(folder).save_pretrained(folder)
    return folder


def test_the_french_recipe_on_a_tiny_camembert(tmp_path, monkeypatch):
    """configs/augsbert/stsb_fr.yaml with other weights, less data and fewer epochs."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv("SBERT_DATA", str(tmp_path))
    (tmp_path / "stsb_multi_mt/fr").mkdir(parents=True)
    for seed, split in enumerate(["train", "dev", "test"]):
        path = tmp_path / f"stsb_multi_mt/fr/{split}.tsv.gz"
        path.write_bytes(gzip.compress(pairs_text(seed, highest=5).encode()))
    options = yaml.safe_load((ROOT / "configs/augsbert/stsb_fr.yaml").read_text("utf-8"))
    encoder = write_fill_mask(tmp_path / "camembert", "CamemBERT")
    for name in ("bi_encoder", "teacher"):
        options[name]["model"] |= {"path": str(encoder), "max_length": 64}
        options[name]["optim"]["epochs"] = 1
        options[name]["loop"] = {"precision": "fp32"}
    options["silver"]["number"] = 24
    options["runs"] = str(tmp_path / "recipes")
    stages = ["gold", "cross-encoder", "silver-semantic", "semantic"]
    done = command(options, runner_class=LocalRunner)
    assert done == [f"{stage},seed=1" for stage in stages]
    folder = tmp_path / "recipes/stsb_fr"
    teacher = load_teacher(str(folder / "cross-encoder,seed=1/best"))
    assert type(teacher.transformer).__name__ == "CamembertForSequenceClassification"
    labelled = read_dataset(DatasetConfig(str(folder / "silver-semantic,seed=1/silver.jsonl")))
    texts = list(zip(*labelled.texts, strict=True))
    expected = teacher.predict(texts, symmetric=True, precision="fp32")
    assert labelled.labels == pytest.approx(expected, abs=1e-3)  # bf16
    trained = json.loads((folder / "semantic,seed=1/result.json").read_text())
    assert trained["train_rows"] == 32 + 24
    header = (folder / "table.md").read_text().splitlines()[2]
    assert [name in header for name in ("dev pearson", "test spearman", "published")] == [True] * 3


def test_what_is_done_is_skipped_and_the_recipe_may_grow(options, tmp_path):
    assert command(options) == labels_of_seeds(1)
    assert command(options) == []
    assert command(options | {"seeds": [1, 2]}) == labels_of_seeds(2)
    more = options["silver"] | {"strategies": ["random", "semantic", "kde"]}
    assert command(options | {"silver": more}) == ["silver-kde,seed=1", "kde,seed=1"]
    assert not list((tmp_path / "recipes/mine").glob("*/last"))


def test_a_stage_that_was_cut_is_resumed(options, capsys):
    with pytest.raises(KeyboardInterrupt):
        command(options, cut="random,seed=1")
    capsys.readouterr()
    command(options, "--dry_run")
    assert list(listed(capsys).values()) == ["done"] * 3 + ["cut"] + ["to do"] * 2
    assert command(options) == labels_of_seeds(1)[3:]


def test_a_changed_teacher_makes_its_silver_and_all_after_it_invalid(options, tmp_path, capsys):
    command(options)
    folder = tmp_path / "recipes/mine"
    shutil.rmtree(folder / "cross-encoder,seed=1")
    capsys.readouterr()
    command(options, "--dry_run")
    states, by_teacher = listed(capsys), "stale: cross-encoder,seed=1 will be redone"
    assert states["gold,seed=1"] == "done"
    assert states["cross-encoder,seed=1"] == "to do"
    assert states["silver-random,seed=1"] == states["silver-semantic,seed=1"] == by_teacher
    assert states["semantic,seed=1"] == "stale: silver-semantic,seed=1 will be redone"
    # it comes out as before, so all that was made from it is of use still
    assert command(options) == ["cross-encoder,seed=1"]
    # it comes out otherwise
    (folder / "cross-encoder,seed=1/best/model.safetensors").write_text("another")
    capsys.readouterr()
    assert command(options) == labels_of_seeds(1)[2:]
    teacher = folder / "cross-encoder,seed=1/best"
    assert f"redo silver-random,seed=1: its input {teacher} has changed" in capsys.readouterr().out
    assert command(options) == []


def test_a_replaced_silver_file_is_trained_on_again(options, tmp_path):
    command(options)
    silver = tmp_path / "recipes/mine/silver-random,seed=1/silver.jsonl"
    silver.write_text(silver.read_text().replace("a cat", "a dog"))
    assert command(options) == ["random,seed=1"]


def test_a_folder_of_other_settings_is_refused_and_not_touched(options, tmp_path, capsys):
    command(options)
    files = {p: p.read_bytes() for p in (tmp_path / "recipes").rglob("*") if p.is_file()}
    other = options | {"teacher": options["teacher"] | {"optim": {"lr": 1e-3, "batch_size": 4}}}
    line = fails(command, capsys, other)
    place = tmp_path / "recipes/mine/cross-encoder,seed=1"
    assert line == (
        f"augment.py: error: {place}: has a result of other settings or data: "
        "optim.batch_size was 8, now 4; "
        "give the recipe another name, or pass --redo to delete and redo such stages"
    )
    assert {p: p.read_bytes() for p in (tmp_path / "recipes").rglob("*") if p.is_file()} == files
    assert command(other, "--redo") == labels_of_seeds(1)[1:]
    assert command(other) == []


def test_other_data_is_refused_and_done_again(options, tmp_path, pairs, capsys):
    path = tmp_path / "pairs.tsv"
    for name in ("gold", "dev"):  # test reads a copy of pairs
        options[name] = [options[name][0] | {"path": str(path)}]
    path.write_text(pairs.read_text())
    command(options)
    path.write_text(pairs.read_text() + "a cat\ta dog\t0.5\n")
    assert (
        f"gold,seed=1: has a result of other settings or data: its input {path} has changed; give"
        in fails(command, capsys, options)
    )
    assert command(options, "--redo") == labels_of_seeds(1)


def test_a_folder_that_is_not_a_stage_is_refused(options, tmp_path, capsys):
    folder = tmp_path / "recipes/mine/gold,seed=1"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("name: mine")
    assert (
        "gold,seed=1: has a result of other settings or data: its folder was not made by a recipe"
        in fails(command, capsys, options)
    )
    assert (folder / "config.yaml").read_text() == "name: mine"


@pytest.mark.parametrize(("flag", "done"), [("--dry_run", []), ("--redo", STAGES)])
def test_a_flag_may_come_before_the_configuration(options, flag, done):
    assert command(options, first=[flag]) == [f"{stage},seed=1" for stage in done]


def test_a_part_of_the_published_strategies(options, capsys):
    options["published"] = {"test": {"gold": 60.5, "bm25": 61.48}}  # bm25 is not in this recipe
    command(options)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "to do  gold,seed=1"  # the plan comes before the first stage
    scores = [line for line in lines if line.startswith("| gold")][:3]  # then the intervals
    assert [line.split("|")[-4].strip() for line in scores] == ["60.50", "-", "-"]


def test_a_dry_run_writes_nothing(options, tmp_path, capsys):
    command(options, "--dry_run")
    assert capsys.readouterr().out.splitlines() == [
        *(f"to do  {label}" for label in labels_of_seeds(1)),
        f"0 of 6 stages done in {tmp_path}/recipes/mine",
    ]
    assert not (tmp_path / "recipes").exists()


def test_results_and_the_last_line(options, tmp_path, capsys):
    command(options | {"seeds": [1, 2]})
    folder, output = tmp_path / "recipes/mine", capsys.readouterr().out
    assert [row["stage"] for row in results(folder)] == labels_of_seeds(1, 2)
    assert results(folder)[0]["results"]["dev"]["after"] == {"rho": 0.041}
    table = (folder / "table.md").read_text().split("\n\n", 1)[1].strip()
    assert output.rstrip().endswith(f"{table}\n\ntable: {folder}/table.md")
    assert table.splitlines()[-1].endswith(f"its best run: {folder}/semantic,seed=2/best")
    assert "6 of 12: semantic,seed=1: dev 8.10, test 8.10; 1 s" in output
    assert "5 of 12: silver-semantic,seed=1: 8 pairs, KL(gold || silver) " in output


def test_the_warning_of_a_poor_teacher_is_printed_at_once(options, capsys):
    class PoorTeacher(FakeRunner):
        def run(self, stage):
            super().run(stage)
            if stage.kind == "teacher":
                path = stage.folder / "result.json"
                path.write_text(path.read_text().replace('"rho": 0.131', '"rho": 0.03'))

    command(options, runner_class=PoorTeacher)
    warning = "the cross-encoder has 3.00 on dev, less than the 4.10 of the bi-encoder that it is "
    output = capsys.readouterr().out
    assert output.count(warning) == 2  # when it is there, and under the table
    assert output.index(warning) < output.index("3 of 6")
    command(options | {"name": "other"})
    assert "that it is to teach" not in capsys.readouterr().out


def test_one_teacher_for_all_seeds(options):
    again = ["gold,seed=2", "random,seed=2", "semantic,seed=2"]
    assert command(options | {"seeds": [1, 2], "one_teacher": True}) == labels_of_seeds(1) + again


def test_sizes_have_tables_of_their_own(options, tmp_path):
    labels = command(options | {"sizes": [8, None], "silver": {"strategies": ["random"]}})
    names = STAGES[:4]
    assert labels == [
        *(f"{name},size=8,seed=1" for name in names),
        *(f"{name},seed=1" for name in names),
    ]
    # a row of the scores and one of the intervals for each size
    assert (tmp_path / "recipes/mine/table.md").read_text().count("| gold + random") == 4


def test_domain_adaptation(options, tmp_path, pairs):
    """The last bi-encoder is trained on silver of the target alone; the source's dev
    does not choose its best step."""
    target = {"test": [{"path": str(copied(pairs)), "name": "target"}]}
    silver = {"strategies": ["given"], "unlabelled": {"path": str(pairs)}}
    command(options | {"target": target, "silver": silver, "test": [], "augmented": {}})
    folder = tmp_path / "recipes/mine"
    saved = yaml.safe_load((folder / "given,seed=1/config.yaml").read_text())["data"]
    assert [d["name"] for d in saved["train"]] == ["silver-given"]
    assert (saved["dev"], [d["name"] for d in saved["test"]]) == ([], ["target"])
    lines = (folder / "table.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[4:8]] == [
        "untuned",
        "source",
        "cross-encoder",
        "silver: given",
    ]
    assert "dev rho" not in lines[2]
    assert lines[-1] == "no labelled dev set of the target: nothing is chosen among the rows"
    silver = yaml.safe_load((folder / "silver-given,seed=1/config.yaml").read_text())
    assert (silver["unlabelled"]["path"], silver["strategy"], silver["gold"][0]["name"]) == (
        str(pairs),
        "given",
        "gold",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"silver": {"strategies": ["bm52"]}}, "bm52"),
        ({"silver": {"strategies": []}}, "silver.strategies: []; list one or more of random, bm25"),
        (
            {"silver": {"strategies": ["kde", "kde"]}},
            "silver.strategies: [kde, kde]; list one or more of random, bm25",
        ),
        (
            {"silver": {"strategies": ["given"]}},
            "given labels the pairs of silver.unlabelled; set that too",
        ),
        (
            {"silver": {"strategies": ["random"], "k": 0}},
            "silver.k is 0; it must be > 0",
        ),
        ({"dev": []}, "dev: is empty; a recipe needs labelled pairs to choose by"),
        ({"gold": []}, "gold: is empty; a recipe needs labelled pairs to train on"),
        ({"seeds": []}, "seeds: is empty; list one or more"),
        ({"seeds": [1, 1]}, "seeds: [1, 1] has a value twice; list each once"),
        ({"sizes": [5, 5]}, "sizes: [5, 5] has a value twice; list each once"),
        ({"sizes": [30]}, "size 30 exceeds the limit of 20 in gold; use sizes of 1 to 20"),
        (
            {"published": {"test": {"bm52": 1.0}}},
            "published: 'bm52' is not a row of the table; the rows are untuned, gold, "
            "cross-encoder, ",
        ),
        (
            {"published": {"gold": {"test": 1.0}}},
            "published: 'gold' is not evaluated; the datasets are dev, test",
        ),
        (
            {"augmented": {"share": 1.0}},
            "augmented.share is 1.0; it must be > 0 and < 1",
        ),
        (
            {"augmented": {"set": {"optim.lrr": 1}}},
            "augmented.set: unknown option optim.lrr: 'lrr' is not one of lr, ",
        ),
        (
            {"augmented": {"set": {"optim.lr": -1.0}}},
            "random: optim.lr is -1.0; it must be > 0",
        ),
        (
            {
                "target": {"test": [{"path": "x.tsv"}]},
                "silver": {"strategies": ["given"], "unlabelled": {"path": "y.tsv"}},
                "augmented": {"share": 0.5},
            },
            "augmented.share: with a target there is silver alone; leave share out",
        ),
        (
            {"target": {"test": []}},
            "target.test: is empty; name labelled pairs of the target domain",
        ),
        (
            {"target": {"test": [{"path": "x.tsv"}]}},
            "target: set silver.unlabelled to its pairs, or silver.texts to its sentences",
        ),
        (
            {
                "silver": {
                    "strategies": ["random"],
                    "unlabelled": {"path": "x.tsv"},
                    "texts": {"path": "x.txt"},
                }
            },
            "unlabelled and texts are both given; the sentences are those of one",
        ),
        ({"gold": [{"path": "nowhere.tsv"}]}, "nowhere.tsv: no such file"),
        ({"test": [{"path": "nowhere.tsv"}]}, "nowhere.tsv: no such file"),
        ({"strategies": ["kde"]}, "strategies"),
        ({"metrics": ["kendall"]}, "metrics: dev has no 'kendall'; there are: rho"),
    ],
)
def test_bad_input_ends_with_one_line(options, tmp_path, capsys, changes, message):
    assert message in fails(command, capsys, options | changes)
    assert [path.name for path in (tmp_path / "recipes").glob("mine/*") if "seed" in path.name] in (
        [],
        ["gold,seed=1"],
    )


def test_a_missing_model(options, capsys):
    options["teacher"] = options["teacher"] | {"model": {"path": "no/such/folder"}}
    assert "run cross-encoder,seed=1: model no/such/folder: no such folder" in fails(
        command, capsys, options
    )


def test_misaligned_translations_are_refused_before_the_first_stage(
    options, tmp_path, pairs, capsys
):
    for language in ("fr", "en"):
        (tmp_path / f"{language}.tsv").write_text(pairs.read_text())
        (tmp_path / f"copy-{language}.tsv").write_text(pairs.read_text())
    path = str(tmp_path / "{language}.tsv")
    for name in ("gold", "dev"):
        options[name] = [options[name][0] | {"path": path, "languages": ["fr"]}]
    copy = str(tmp_path / "copy-{language}.tsv")
    options["test"] = [{"path": copy, "name": "test", "languages": ["fr"]}]
    options["teacher"] = options["teacher"] | {"language": "en"}
    english = tmp_path / "en.tsv"
    english.write_text(pairs.read_text().replace("\t0.032", "\t0.5"))
    line = fails(command, capsys, options)
    assert f"{tmp_path}/fr.tsv, line 3 and {english}, line 3: the labels 0.032" in line
    assert not (tmp_path / "recipes").exists()
    english.write_text(pairs.read_text())
    command(options)
    assert "| cross-encoder, en" in (tmp_path / "recipes/mine/table.md").read_text()
    english.write_text(pairs.read_text().replace("cat", "dog"))
    command(options, "--dry_run")
    states = listed(capsys)
    assert states["gold,seed=1"] == "done"
    assert states["silver-random,seed=1"].startswith("stale")


def test_silver_is_no_gold(whole, options, capsys):
    silver = whole / "silver-random,seed=1/silver.jsonl"
    line = fails(command, capsys, options | {"gold": [{"path": str(silver)}]})
    assert (
        f"gold {silver}: is silver, labelled by a cross-encoder; gold must be labelled by people"
        in line
    )


def test_silver_of_another_teacher_is_not_trained_on(whole, options, tmp_path, capsys, monkeypatch):
    """The silver file is replaced without the recipe's knowledge; train.py refuses it."""
    monkeypatch.syspath_prepend(ROOT)
    folder = tmp_path / "recipes/mine"
    shutil.copytree(whole, folder)
    for path in folder.glob("*/stage.json"):
        path.write_text(
            path.read_text()
            .replace(str(whole), str(folder))
            .replace(str(whole.parent), str(folder.parent))
        )
    silver = folder / "silver-random,seed=1/silver.jsonl"
    first, rest = silver.read_text().split("\n", 1)
    silver.write_text(json.dumps(json.loads(first) | {"teacher": "0" * 64}) + "\n" + rest)
    with pytest.raises(SystemExit):
        command(options, runner_class=LocalRunner)
    assert (
        f"train.py: error: {silver}, line 1: teacher is {'0' * 16}, expected "
        in capsys.readouterr().err
    )
