"""evaluate.py as a person calls it: a baseline on the same rows, what was seen, the report; bad input ends before the work."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support import fails
from tiny_models import write_tiny

from sbert import BiEncoder, CrossEncoder
from sbert.evaluation import page
from sbert.evaluation.metrics import average_precision, spearman
from sbert.evaluation.scorers import pair_scores


@pytest.fixture
def other_folder(tmp_path):
    """Another model: other weights, another pooling."""
    BiEncoder.from_pretrained(
        write_tiny(tmp_path / "plain", seed=7), pooling="cls"
    ).save_pretrained(tmp_path / "other")
    return tmp_path / "other"


@pytest.fixture
def sets(tmp_path, pairs_file):
    """A YAML list of an STS and a binary dataset, and what is in them."""
    lines = [line.split("\t") for line in pairs_file.read_text().splitlines()[1:]]
    binary = tmp_path / "binary.tsv"
    rows = [f"{a}\t{b}\t{int(float(score) > 1.5)}" for a, b, score in lines]
    binary.write_text("\n".join(["sentence1\tsentence2\tscore", *rows]) + "\n", "utf-8")
    yaml = f"[{{path: {pairs_file}, range: [0, 5], name: mine}}, {{path: {binary}, task: binary}}]"
    return yaml, lines


@pytest.fixture
def run(tmp_path, evaluate_command, capsys):
    """evaluate.py on a YAML list of datasets -> (the JSON report, stdout)."""

    def call(model, data, *argv):
        config, output = tmp_path / "e.yaml", tmp_path / "out" / "report.json"
        config.write_text(f"model: {model}\ndata: {data}\nprecision: fp32\n")
        evaluate_command("--config", config, "--output", output, "--resamples", 200, *argv)
        return json.loads(output.read_text()), capsys.readouterr().out

    return call


def cosines(folder, lines):
    model = BiEncoder.from_pretrained(folder)
    return pair_scores(
        *(model.encode([line[i] for line in lines], precision="fp32") for i in (0, 1))
    )["cosine"]


def test_a_baseline_is_judged_on_the_same_rows_as_it_was_saved(
    run, tiny_folder, other_folder, sets
):
    data, lines = sets
    found, out = run(tiny_folder, data, "--baseline", other_folder, "--max_length", 5, "--seed", 3)
    gold = np.array([float(score) for *_, score in lines])
    [mine, binary] = found["comparison"]
    assert (mine["dataset"], mine["with"], mine["metric"]) == (
        "mine",
        "the baseline",
        "spearman_cosine",
    )
    assert mine["other"] == pytest.approx(spearman(cosines(other_folder, lines), gold), abs=1e-6)
    assert binary["other"] == pytest.approx(
        average_precision(cosines(other_folder, lines), gold > 1.5), abs=1e-6
    )
    assert [r["metrics"][r["main"]] for r in found["baseline_results"]] == [
        mine["other"],
        binary["other"],
    ]
    for one, result in zip((mine, binary), found["results"], strict=True):
        assert one["score"] == result["metrics"][result["main"]]
        assert one["difference"] == one["score"] - one["other"]
        assert one["interval"][0] < one["difference"] < one["interval"][1]
        assert (one["p"] < 0.05) == (f"{100 * max(one['score'], one['other']):.2f}**" in out)
        assert ("is inside the noise" in out) or (one["p"] < 0.05)
    models = {model["role"]: model for model in found["models"]}
    assert [(m["pooling"], m["max_length"]) for m in models.values()] == [("mean", 5), ("cls", 64)]
    assert models["model"]["fingerprint"] != models["baseline"]["fingerprint"]
    assert f"\nbaseline {other_folder}\n\n| sts " in out


def test_the_same_command_the_same_numbers(run, tiny_folder, other_folder, sets):
    argv = (tiny_folder, sets[0], "--baseline", other_folder)
    first, again, other = run(*argv), run(*argv), run(*argv, "--seed", 1)
    for report, _ in (first, again, other):
        del report["seconds"]
    assert first[0] == again[0]
    assert first[1] == again[1]
    assert first[0]["comparison"][0]["interval"] != other[0]["comparison"][0]["interval"]


def test_a_model_does_not_differ_from_itself(run, tiny_folder, sets):
    found, out = run(tiny_folder, sets[0], "--baseline", tiny_folder)
    assert [(one["difference"], one["p"]) for one in found["comparison"]] == [(0, 1), (0, 1)]
    assert (
        "note: mine: the difference of 0.00 to the baseline is inside the noise (p = 1.000)" in out
    )
    assert "not corrected for 2 comparisons" in out
    assert "**" not in out


def test_a_cross_encoder_can_be_the_baseline(run, tmp_path, tiny_folder, sets):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "cross")
    found, _ = run(tiny_folder, sets[0], "--baseline", tmp_path / "cross")
    assert [r["main"] for r in found["baseline_results"]] == ["spearman_logit", "ap_logit"]
    assert found["models"][1]["kind"] == "cross-encoder"


def test_several_sts_sets_are_compared_on_average_too(run, tiny_folder, other_folder, pairs_file):
    data = [
        f"{{path: {pairs_file}, range: [0, 5], name: {name}, limit: 20, limit_seed: {i}}}"
        for i, name in enumerate("ab")
    ]
    found, out = run(tiny_folder, f"[{', '.join(data)}]", "--baseline", other_folder)
    *each, average = found["comparison"]
    assert average["dataset"] == "average"
    assert average["difference"] == pytest.approx(np.mean([one["difference"] for one in each]))
    assert "20 rows: the interval is rough" in out


def test_what_was_seen_is_counted_and_left_out(run, tmp_path, tiny_folder, sets):
    data, lines = sets
    train = tmp_path / "train.tsv"
    some = lines[:9]
    train.write_text(
        "\n".join(["sentence1\tsentence2", *(f"{b.upper()}\t{a}" for a, b, _ in some)]), "utf-8"
    )
    found, out = run(tiny_folder, data, "--seen", train)
    seen = {tuple(sorted(line[:2])) for line in some}
    clean = [i for i, line in enumerate(lines) if tuple(sorted(line[:2])) not in seen]
    mine, binary = found["contamination"]["datasets"]
    assert (mine["rows"], mine["rows_pair_seen"], mine["pairs_seen"]) == (
        32,
        32 - len(clean),
        len(seen),
    )
    gold = np.array([float(score) for *_, score in lines])
    expected = spearman(cosines(tiny_folder, lines)[clean], gold[clean])
    assert mine["scores"]["pair unseen"] == pytest.approx(expected, abs=1e-6)
    assert mine["scores"]["all"] == pytest.approx(found["results"][0]["metrics"]["spearman_cosine"])
    assert binary["metric"] == "ap_cosine"
    assert found["contamination"]["seen"] == {"train": 9}
    assert f"mine: {32 - len(clean)} of 32 rows contain a pair that was seen in training" in out


def test_the_report_has_all_facts(run, tiny_folder, sets, pairs_file):
    found, _ = run(tiny_folder, sets[0])
    assert {result["dataset"]: set(result["intervals"]) for result in found["results"]} == {
        "mine": {"spearman_cosine", "pearson_cosine"}, "binary": {"ap_cosine"}}  # fmt: skip
    [model] = found["models"]
    assert (model["path"], model["kind"], model["layers"]) == (str(tiny_folder), "bi-encoder", 3)
    assert model["weights"] == sum(
        p.numel() for p in BiEncoder.from_pretrained(tiny_folder).parameters()
    )
    assert found["data"][0] == {
        "dataset": "mine",
        "task": "sts",
        "rows": 32,
        "from": str(pairs_file),
        "skipped": {},
    }
    assert {"Python", "torch", "transformers", "numpy", "sbert"} <= found["versions"].keys()
    assert found["settings"] == {
        "computed": "float32 on cpu",
        "symmetric": False,
        "resamples": 200,
        "seed": 0,
        "level": 0.95,
    }
    assert found["command"].startswith("python evaluate.py --config ")
    assert found["seconds"] > 0


def test_the_page_has_tables_notes_and_figures(
    tmp_path, evaluate_command, capsys, tiny_folder, other_folder, sets, pairs_file
):
    config, output = tmp_path / "e.yaml", tmp_path / "my page.md"
    config.write_text(f"model: {tiny_folder}\ndata: {sets[0]}\n")
    evaluate_command("--config", config, "--output", output, "--baseline", other_folder, "--seen", pairs_file,
                     "--resamples", 100)  # fmt: skip
    text, out = output.read_text(), capsys.readouterr().out
    titles = re.findall("^## (.*)$", text, re.M)
    assert titles == ["Results", f"Baseline {other_folder}", "Comparison", "Contamination", "Notes", "Figures", "Models",
                      "Data", "Settings"]  # fmt: skip
    tables = [line for line in out.splitlines() if line.startswith("|")]
    assert [line for line in text.splitlines() if line in tables] == tables, (
        "the page has what the screen shows"
    )
    for note in re.findall("^note: (.*)$", out, re.M):
        assert f"- {note}" in text
    for name in re.findall(r"!\[\w+\]\((.*)\)", text):
        assert (tmp_path / name.replace("%20", " ")).read_bytes().startswith(b"\x89PNG")
    assert "![mine](my%20page-mine.png)" in text
    assert "![binary](my%20page-binary.png)" in text
    assert f"| mine    | sts    |   32 | {pairs_file} " in text
    assert "100 bootstrap resamples" in text


def test_figures_of_like_names_do_not_overwrite_each_other(
    tmp_path, evaluate_command, tiny_folder, pairs_file
):
    config = tmp_path / "e.yaml"
    names = ["a b", "a/b", "a b"]
    data = ", ".join(f"{{path: {pairs_file}, range: [0, 5], name: {name}}}" for name in names)
    config.write_text(f"model: {tiny_folder}\ndata: [{data}]\n")
    evaluate_command("--config", config, "--output", tmp_path / "p.md", "--resamples", 0)
    files = re.findall(r"!\[(.*)\]\((.*)\)", (tmp_path / "p.md").read_text())
    assert [name for name, _ in files] == names
    assert len({file for _, file in files}) == 3
    assert "interval" not in (tmp_path / "p.md").read_text()


def test_without_matplotlib_the_page_says_how_to_get_figures(
    tmp_path, evaluate_command, tiny_folder, pairs_file, monkeypatch
):
    monkeypatch.setattr(page.figures, "matplotlib_available", lambda: False)
    config = tmp_path / "e.yaml"
    config.write_text(f"model: {tiny_folder}\ndata: [{{path: {pairs_file}, range: [0, 5]}}]\n")
    evaluate_command("--config", config, "--output", tmp_path / "p.md", "--resamples", 0)
    assert (
        "figures need matplotlib, the extra plots: `pip install 'sbert[plots]'`"
        in (tmp_path / "p.md").read_text()
    )
    assert not list(tmp_path.glob("*.png"))


# bad input


@pytest.fixture
def never(monkeypatch):
    """No model may scorer anything."""
    monkeypatch.setattr(
        "sbert.evaluation.command.evaluate_rows", lambda *_: pytest.fail("the work was begun")
    )


@pytest.mark.parametrize(("argv", "message"), [
    (["--resamples", -1], '"resamples"; Not of type ResampleCount: -1 does not conform to restriction v==0 or v>=2'),
    (["--resamples", 1], '"resamples"; Not of type ResampleCount: 1 does not conform'),
    (["--seed", -1], '"seed"; Not of type NonNegativeInt: -1 does not conform to restriction v>=0'),
    (["--output", "table.xls"], "output table.xls: unknown file extension; use .json or .md"),
    (["--output", "{file}/report.md"], "output {file}/report.md: cannot be written: "),
    pytest.param(["--output", "/proc/report.md"], "output /proc/report.md: cannot be written: ",
                 marks=pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder that nobody can write in")),
    (["--output", "{folder}"], "output {folder}: is a folder; name a file"),
    (["--seen", "no/train.tsv"], "no/train.tsv: no such file"),
    (["--seen", "{numbers}"], "no known text columns; available: a, b; set texts"),
    (["--baseline", "no/such/folder"], "baseline no/such/folder: model no/such/folder: no such folder"),
    (["--baseline", "{classes}"], "baseline {classes}: mine: task sts needs a model that scores pairs"),
    (["--baseline", "{cross}", "--data", "{corpus}"], "baseline {cross}: corpus-test: a cross-encoder alone cannot search"),
    (["--baseline", "{tiny}", "--data", "{nli}"], "baseline {tiny}: {tiny}: no trained loss head"),
])  # fmt: skip
def test_bad_options(
    tmp_path, tiny_folder, pairs_file, evaluate_command, capsys, never, argv, message
):
    places = make(tmp_path, tiny_folder, pairs_file)
    argv = [str(word).format(**places) for word in argv]
    model = places["scorer"] if places["nli"] in argv else tiny_folder
    config = tmp_path / "e.yaml"
    config.write_text(
        f"model: {model}\ndata: [{{path: {pairs_file}, range: [0, 5], name: mine}}]\n"
    )
    before = sorted(tmp_path.rglob("*"))
    assert message.format(**places) in fails(evaluate_command, capsys, "--config", config, *argv)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is left behind"


def make(tmp_path, tiny_folder, pairs_file):
    """Models and data of several kinds, by name."""
    for name, labels in (("cross", 1), ("classes", 3)):
        CrossEncoder.from_pretrained(tiny_folder, num_labels=labels).save_pretrained(
            tmp_path / name
        )
    scorer = CrossEncoder.from_pretrained(tmp_path / "classes")
    scorer.classes = ["contradiction", "entailment", "neutral"]
    scorer.save_pretrained(tmp_path / "scorer")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "corpus").mkdir()
    for name, text in {
        "numbers.tsv": "a\tb\n1\t2\n", "nli.tsv": "premise\thypothesis\tlabel\na cat\ta dog\tneutral\n",
        "corpus/corpus.tsv": "id\ttext\nx\ta cat\n", "corpus/queries_test.tsv": "id\ttext\nq\ta dog\n",
        "corpus/qrels_test.tsv": "query_id\tdoc_id\trelevance\nq\tx\t1\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    named = {"cross": "cross", "classes": "classes", "scorer": "scorer", "folder": "folder.md", "corpus": "corpus",
             "numbers": "numbers.tsv", "nli": "nli.tsv"}  # fmt: skip
    found = {name: str(tmp_path / file) for name, file in named.items()}
    return found | {"tiny": str(tiny_folder), "file": str(pairs_file)}
