"""What a run's last table shows of its datasets, and what a resumed run reads of it."""

from support import fails, write_config

from sbert.evaluation.report import Report
from sbert.training.evaluation import comparison_table


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_a_dataset_in_several_languages_has_a_row_for_each_and_for_what_is_crossed():
    after = {"spearman_cosine": 0.7, "spearman_cosine_de": 0.8, "spearman_cosine_crossed": 0.6}
    languages = ["de", "de", "en", "de-en", "en-de", "de-en"]
    report = Report("both", "sts", 6, after, languages=languages)
    before = {f"both/{metric}": value - 0.1 for metric, value in after.items()}
    rows = cells(comparison_table(before, [report]))[2:]
    assert rows == [
        ["both", "6", "spearman_cosine", "60.00", "70.00", "10.00"],
        ["both", "2", "spearman_cosine_de", "70.00", "80.00", "10.00"],
        ["both", "3", "spearman_cosine_crossed", "50.00", "60.00", "10.00"],
    ]


def test_a_dataset_in_one_language_has_one_row():
    report = Report("one", "sts", 2, {"spearman_cosine": 0.7}, languages=["de", "de"])
    assert len(cells(comparison_table({"one/spearman_cosine": 0.5}, [report]))) == 3


def test_a_trained_model_is_not_evaluated_as_before_training(
    tmp_path, tiny_folder, pairs_file, train_command, capsys
):
    config = write_config(tmp_path, tiny_folder, pairs_file)
    train_command(config)
    run = tmp_path / "runs/run"
    rows = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(rows[1:]))
    result = (run / "result.json").read_bytes()
    line = fails(train_command, capsys, config, "--resume")
    assert line.endswith(
        f"{run / 'metrics.jsonl'}: lacks the evaluation before training, and last/ is of step 8; "
        "restore the file, or train anew with --overwrite"
    )
    assert (run / "result.json").read_bytes() == result
