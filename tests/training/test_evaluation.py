"""What a run's last table shows of its datasets."""

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
