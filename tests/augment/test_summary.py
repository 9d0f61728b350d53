"""The table of a recipe against hand arithmetic; dev alone chooses."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sbert.augment.divergence import MAX_KL
from sbert.augment.size_results import SilverSummary, SizeResults, size_results
from sbert.augment.summary import compare_with_gold, recipe_table
from sbert.errors import InputError
from sbert.evaluation.bootstrap import Mean
from sbert.evaluation.report import Report
from sbert.evaluation.scores import save_scores
from sbert.evaluation.significance import p_of_means

# {row: {seed: (dev, test)}}; untuned is 0.50 and 0.40
SCORES = {
    "gold": {1: (0.70, 0.60), 2: (0.72, 0.64)},
    "cross-encoder": {1: (0.90, 0.80), 2: (0.90, 0.80)},
    "kde": {1: (0.73, 0.61), 2: (0.77, 0.59)},
    "bm25": {1: (0.60, 0.90), 2: (0.60, 0.90)},
}
SUMMARIES = {
    "silver-kde,1": SilverSummary(1000, 0.2),
    "silver-kde,2": SilverSummary(2000, 0.4),
    "silver-bm25,1": SilverSummary(7, 1.0),
}


def table_of(config, stages, summaries) -> str:
    return recipe_table(config, size_results(config, stages, summaries))


@pytest.fixture
def recipe(tmp_path):
    """Configuration and stages of a recipe with these scores, of cosines or a teacher's logits."""

    def make(scores=SCORES, target=None, size=None, language=None, **options):
        stages = []
        for row, seeds in scores.items():
            for seed, (dev, test) in seeds.items():
                kind = {"gold": "gold", "control": "control", "cross-encoder": "teacher"}.get(
                    row, "augmented"
                )
                name = "logit" if kind == "teacher" else "cosine"
                parts = {"my-dev": ("dev", 0.50, dev), "my-test": ("test", 0.40, test)}
                if target and kind != "augmented":
                    parts = {
                        "source-dev": ("dev", 0, 0.99),
                        **{d: ("test", b, a) for d, (_, b, a) in parts.items()},
                    }
                if target and not target.dev:
                    del parts["my-dev"]
                results = [
                    {
                        "dataset": dataset,
                        "part": part,
                        "rows": 9,
                        "main": f"spearman_{name}",
                        "before": {f"spearman_{name}": before, f"pearson_{name}": 0.1},
                        "after": {
                            f"spearman_{name}": after,
                            f"pearson_{name}": None if after is None else after / 2,
                        },
                    }
                    for dataset, (part, before, after) in parts.items()
                ]
                folder = tmp_path / f"{row},{size},{seed}"
                folder.mkdir()
                facts = {
                    "train_rows": size or 50,
                    "steps": 1234,
                    "seconds": 1.0,
                    "results": results,
                }
                (folder / "result.json").write_text(json.dumps(facts))
                axes = {"seed": seed} if size is None else {"size": size, "seed": seed}
                common = {"axes": axes, "row": row, "folder": folder, "done": True}
                stages.append(
                    SimpleNamespace(
                        label=f"{row},{seed}", kind=kind, result=folder / "best", **common
                    )
                )
                if kind == "augmented":
                    stages.append(
                        SimpleNamespace(label=f"silver-{row},{seed}", kind="silver", **common)
                    )
        config = {"metrics": None, "published": {}, "sizes": [], "target": target} | options
        config |= {"silver": SimpleNamespace(strategies=["kde", "bm25"])}
        config |= {"teacher": SimpleNamespace(language=language)}
        config |= {"bi_encoder": SimpleNamespace(model=SimpleNamespace(path="models/untuned"))}
        return SimpleNamespace(**config), stages

    return make


def cells(text: str) -> dict[str, list[str]]:
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return {line[0]: line[1:] for line in lines}


def test_means_deviations_and_gains(recipe):
    table = cells(table_of(*recipe(), SUMMARIES))
    part = ["deviation", "gain"]
    assert table["trained on"] == [
        "runs",
        "rows",
        "steps",
        "my-dev spearman",
        *part,
        "my-test spearman",
        *part,
        "silver",
        "KL",
    ]
    # gold: mean 0.71, deviation 0.02 / sqrt 2; of test 0.62 and 0.04 / sqrt 2
    expected = {
        "gold": "2 50 1,234 71.00 1.41 - 62.00 2.83 - - -",
        "untuned": "1 - - 50.00 - -21.00 40.00 - -22.00 - -",
        "cross-encoder": "2 50 1,234 90.00 0.00 19.00 80.00 0.00 18.00 - -",
        "gold + kde": "2 50 1,234 75.00 2.83 4.00 60.00 1.41 -2.00 1,500 0.30",
        "gold + bm25": "2 50 1,234 60.00 0.00 -11.00 90.00 0.00 28.00 7 1.00",
    }
    assert {row: table[row] for row in expected} == {
        row: line.split() for row, line in expected.items()
    }


def test_another_metric_is_that_of_the_same_kind_of_score(recipe):
    config, stages = recipe(metrics=["pearson", "spearman"])
    table = cells(table_of(config, stages, SUMMARIES))
    names = ["my-dev pearson", "my-dev spearman", "my-test pearson", "my-test spearman"]
    assert table["trained on"][3:-2:3] == names
    assert table["gold"][3:-2:3] == ["35.50", "71.00", "31.00", "62.00"]
    assert table["cross-encoder"][3:-2:3] == ["45.00", "90.00", "40.00", "80.00"]
    assert table["untuned"][3:-2:3] == ["10.00", "50.00", "10.00", "40.00"]
    config.metrics = ["spearman", "kendall"]
    with pytest.raises(
        InputError,
        match="metrics: my-dev has no 'kendall_cosine'; there are: spearman_cosine, pearson_cosine",
    ):
        table_of(config, stages, SUMMARIES)


def test_published_figures_stand_beside_ours(recipe):
    """Of each dataset beside the first metric."""
    published = {"my-dev": {"cross-encoder": 90.2}, "my-test": {"gold": 60.5, "kde": 61.49}}
    options = {"metrics": ["pearson", "spearman"], "published": published}
    table = cells(table_of(*recipe(**options), SUMMARIES))
    part = ["deviation", "gain"]
    assert table["trained on"][3:-2] == [
        *["my-dev pearson", *part, "published", "my-dev spearman", *part],
        *["my-test pearson", *part, "published", "my-test spearman", *part],
    ]
    of_dev = {row: line[6] for row, line in table.items()}
    of_test = {row: line[13] for row, line in table.items()}
    assert (of_dev["gold"], of_dev["cross-encoder"]) == ("-", "90.20")
    assert (of_test["untuned"], of_test["gold"], of_test["gold + kde"]) == ("-", "60.50", "61.49")


def test_dev_chooses_and_not_test(recipe, tmp_path):
    line = table_of(*recipe(), SUMMARIES).splitlines()[-1]
    p = p_of_means({1: 0.73, 2: 0.77}, {1: 0.70, 2: 0.72})[1]
    assert line == (
        f"**gold + kde** is best on dev, 4.00 above gold: inside the noise (paired over 2 "
        f"runs, p = {p:.3f}, not corrected for "
        f"the choice among 2 strategies); its best run: {tmp_path}/kde,None,2/best"
    )


@pytest.mark.parametrize(
    ("scores", "line"),
    [
        (
            {"gold": {1: (0.9, 0.1), 2: (0.95, 0.1)}, "kde": {1: (0.8, 0.9), 2: (0.7, 0.9)}},
            "**gold** is best on dev (no silver helps): {}/gold,None,2/best",
        ),
        (
            {"gold": {1: (0.4, 0.9)}, "kde": {1: (0.3, 0.9)}},
            "**untuned** is best on dev, no training helps: models/untuned",
        ),
        (
            {"gold": {1: (0.6, 0.9)}, "kde": {1: (0.65, 0.9)}},
            "**gold + kde** is best on dev, 5.00 above gold: with one run of each the noise "
            "is unknown; its best run: {}/kde,None,1/best",
        ),
        (
            {"gold": {1: (0.6, 0.9)}, "cross-encoder": {1: (0.9, 0.9)}},
            "**gold** is best on dev (the first): {}/gold,None,1/best",
        ),
        (
            {"gold": {1: (0.6, 0.9)}, "kde": {1: (None, 0.9)}},
            "**gold** is best on dev (the first): {}/gold,None,1/best",
        ),
    ],
)
def test_the_last_line(recipe, tmp_path, scores, line):
    assert table_of(*recipe(scores), {}).splitlines()[-1] == line.format(tmp_path)


@pytest.mark.parametrize(
    ("teacher", "warns"), [(0.69, True), (0.70, False), (0.71, False), (None, False)]
)
def test_a_teacher_below_its_student_on_dev(recipe, teacher, warns):
    """Of two students the mean counts; test does not."""
    scores = {"gold": {1: (0.68, 0.9), 2: (0.72, 0.9)}, "cross-encoder": {1: (teacher, 0.1)}}
    config, stages = recipe(scores)
    lines = table_of(config, stages, {}).splitlines()
    warning = (
        "the cross-encoder has 69.00 on dev, less than the 70.00 of the bi-encoder that it is "
    )
    assert lines[-3].startswith(warning) == warns
    assert lines[-1].startswith("**gold** is best on dev")
    # the source's dev set says nothing of another domain
    config.target = SimpleNamespace(dev=[], test=["my-test"])
    assert "that it is to teach" not in table_of(config, stages, {})


def test_of_a_target_its_own_datasets_alone(recipe):
    with_dev = SimpleNamespace(dev=["my-dev"], test=["my-test"])
    text = table_of(*recipe(target=with_dev), SUMMARIES)
    assert list(cells(text)) == [
        "trained on",
        "-" * 13,
        "untuned",
        "source",
        "cross-encoder",
        "silver: kde",
        "silver: bm25",
    ]
    assert "source-dev" not in text
    assert cells(text)["source"][1:] == [
        "50",
        "1,234",
        "71.00",
        "1.41",
        "-",
        "62.00",
        "2.83",
        "-",
        "-",
        "-",
    ]
    assert "**silver: kde** is best on dev, 4.00 above source" in text


def test_a_target_without_dev_has_no_best_row(recipe):
    text = table_of(*recipe(target=SimpleNamespace(dev=[], test=["my-test"])), SUMMARIES)
    assert (
        text.splitlines()[-1]
        == "no labelled dev set of the target: nothing is chosen among the rows"
    )
    assert "spearman" in text
    assert "dev spearman" not in text


def test_a_table_for_each_size(recipe):
    config, stages = recipe(size=20, sizes=[20, None], published={"my-test": {"gold": 60.5}})
    stages += recipe()[1]
    first, second = table_of(config, stages, {}).split("\n\n50 gold pairs\n")
    assert first.startswith("20 gold pairs\n")
    assert "published" not in first  # which are of all gold pairs
    assert "published" in second


def test_intervals_of_the_test_set_beside_gold(recipe):
    config, stages = recipe()
    for stage in stages:
        if stage.kind != "silver":
            name = "logit" if stage.kind == "teacher" else "cosine"
            right = np.random.default_rng(stage.axes["seed"]).random(40) < SCORES[stage.row][1][1]
            metrics = {f"spearman_{name}": Mean(right)}
            texts = SimpleNamespace(texts=[[str(i) for i in range(40)]])
            report = Report("my-test", "sts", 40, bootstrap_metrics=metrics)
            save_scores(stage.folder, [texts], [report])
    results = size_results(config, stages, SUMMARIES)
    comparisons = [compare_with_gold(results[0])]
    facts = [(one.row, one.column, one.runs, one.difference is None) for one in comparisons[0]]
    column = ("my-test", "spearman")
    assert facts == [
        ("gold", column, 2, True),
        ("cross-encoder", column, 2, False),
        ("gold + kde", column, 2, False),
        ("gold + bm25", column, 2, False),
    ]
    text = recipe_table(config, results, comparisons)
    assert "| above gold |" in text
    assert text.endswith(table_of(config, stages, SUMMARIES).splitlines()[-1])


def test_stages_that_are_not_done_have_no_row(recipe):
    config, stages = recipe()
    for stage in stages:
        stage.done = stage.row == "gold" or (stage.row == "kde" and stage.axes["seed"] == 1)
    table = cells(table_of(config, stages, SUMMARIES))
    assert list(table)[2:] == ["untuned", "gold", "gold + kde"]
    assert table["gold + kde"][0] == "1"
    for stage in stages:
        stage.done = False
    assert table_of(config, stages, SUMMARIES) == ""


def test_the_summary_of_a_silver_file(tmp_path):
    from sbert.data.config import DatasetConfig

    gold, silver = tmp_path / "gold.jsonl", tmp_path / "silver.jsonl"
    for path, scores in ((gold, [0.0, 1.0] * 50), (silver, [0.0] * 98)):
        path.write_text(
            "".join(
                json.dumps({"sentence1": "a", "sentence2": "b", "score": s}) + "\n" for s in scores
            )
        )
    config = SimpleNamespace(
        gold=[DatasetConfig(str(gold), limit=40, limit_seed=s) for s in (0, 1)], output=str(silver)
    )
    summary = SilverSummary.from_stage(SimpleNamespace(config=config))
    assert summary.pairs == 98
    assert summary.divergence > MAX_KL
    assert (
        summary.describe()
        == f"98 pairs, KL(gold || silver) {summary.divergence:.3f}: skewed, above {MAX_KL}"
    )
    assert SilverSummary(1234, 0.25).describe() == "1,234 pairs, KL(gold || silver) 0.250"


def test_a_control_has_a_row(recipe):
    scores = {"gold": {1: (0.6, 0.5)}, "control": {1: (0.65, 0.5)}, "kde": {1: (0.7, 0.5)}}
    table = cells(table_of(*recipe(scores), SUMMARIES))
    assert list(table)[2:] == ["untuned", "gold", "gold, control", "gold + kde"]
    assert table["gold, control"][5] == "5.00"


def test_a_control_is_no_silver_that_does_not_help(recipe):
    scores = {"gold": {1: (0.6, 0.5)}, "control": {1: (0.55, 0.5)}}
    last = table_of(*recipe(scores), SUMMARIES).splitlines()[-1]
    assert last.startswith("**gold** is best on dev (the first)")


def test_the_language_of_the_teacher(recipe):
    assert "cross-encoder, en" in cells(table_of(*recipe(language="en"), SUMMARIES))


def test_results_need_no_more_than_gold(recipe):
    config, stages = recipe({"gold": {1: (0.6, 0.9)}})
    results = SizeResults(config, stages, {})
    assert results.rows == ["untuned", "gold"]
    assert Path(results.best_model("gold")).name == "best"
