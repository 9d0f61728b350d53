"""What --output writes: the facts as JSON, the Markdown page and its figures."""

import re

import pytest

from sbert import BiEncoder
from sbert.evaluation import page
from sbert.evaluation.scores import read_scores


def test_the_report_has_all_facts(run, tiny_folder, sets, pairs_file):
    found, _ = run(tiny_folder, sets[0])
    assert {result["dataset"]: set(result["intervals"]) for result in found["results"]} == {
        "mine": {"spearman_cosine", "pearson_cosine"},
        "binary": {"ap_cosine"},
    }
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


def test_the_scores_of_all_rows_are_beside_the_report(run, tiny_folder, sets, tmp_path):
    found, _ = run(tiny_folder, sets[0])
    saved = read_scores(tmp_path / "out", "report.scores.safetensors")
    for result in found["results"]:
        metric = saved[result["dataset"]].metrics[result["main"]]
        assert metric.of_all() == pytest.approx(result["metrics"][result["main"]], abs=1e-12)


def test_the_page_has_tables_notes_and_figures(
    tmp_path, evaluate_command, capsys, tiny_folder, other_folder, sets, pairs_file
):
    config, output = tmp_path / "e.yaml", tmp_path / "my page.md"
    config.write_text(f"model: {tiny_folder}\ndata: {sets[0]}\n")
    options = ["--baseline", other_folder, "--seen", pairs_file, "--resamples", 100]
    evaluate_command("--config", config, "--output", output, *options)
    text, out = output.read_text(), capsys.readouterr().out
    titles = re.findall("^## (.*)$", text, re.M)
    first = ["Results", f"Baseline {other_folder}", "Comparison", "Contamination"]
    assert titles == [*first, "Notes", "Figures", "Models", "Data", "Settings"]
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
    names = ["a b", "a/b", "a_b"]
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
        "figures need matplotlib, the extra plots: `pip install -e '.[plots]'`"
        in (tmp_path / "p.md").read_text()
    )
    assert not list(tmp_path.glob("*.png"))
