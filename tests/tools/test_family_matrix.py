"""The table of families and checks; the checks themselves run in tests/models/test_families.py."""

import family_matrix
from families import Family


def holds(family, root) -> None:
    (root / "file").write_text(family.name)


def fails(family, root) -> None:
    raise ValueError("the reason\nin two lines")


def test_a_cell_a_check_and_a_note_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(family_matrix, "ENCODER_CHECKS", {"loads": holds, "trains": fails})
    monkeypatch.setattr(family_matrix, "CLASSIFIER_CHECKS", {"scores": holds})
    families = [
        Family("BERT", "Bert", "bert"),
        Family("BART", "Bart", "roberta", encodes=False),
        Family("None", "None", "bert"),
    ]
    family_matrix.print_matrix(families)
    assert capsys.readouterr().out.splitlines() == [
        "| family | loads | trains | scores |",
        "| --- | :-: | :-: | :-: |",
        "| BERT | yes | no | yes |",
        "| BART | - | - | yes |",
        "| None | - | - | - |",
        "",
        "- BERT, trains: ValueError: the reason in two lines",
    ]
