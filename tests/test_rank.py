"""python -m sbert.rank: the lines of a file, best first."""

import pytest

from sbert import CrossEncoder, rank


@pytest.fixture
def folder(tmp_path, tiny_folder):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "cross")
    return str(tmp_path / "cross")


def test_the_table_is_what_rank_says(tmp_path, folder, capsys):
    documents = ["a dog sits", "the cat sleeps", "a house"]
    (tmp_path / "lines.txt").write_text("\n".join([documents[0], "", *documents[1:]]) + "\n", "utf-8")
    rank.main([folder, "a cat", str(tmp_path / "lines.txt"), "--top_k", "2"])
    output = capsys.readouterr().out
    assert output.startswith("the best 2 of 3 candidates for: a cat\n")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines()[4:]]
    best = CrossEncoder.from_pretrained(folder).rank("a cat", documents, 2)
    assert rows == [[str(k), f"{score:.3f}", documents[i]] for k, (i, score) in enumerate(best, start=1)]


@pytest.mark.parametrize(("content", "model", "message"), [
    ("\n \n", None, "lines.txt: has no candidates: one text a line"),
    (None, None, "lines.txt: no such file"),
    ("a cat\n", "no/such/folder", "model no/such/folder: no such folder"),
])  # fmt: skip
def test_bad_input(tmp_path, folder, capsys, content, model, message):
    if content is not None:
        (tmp_path / "lines.txt").write_text(content, "utf-8")
    with pytest.raises(SystemExit) as error:
        rank.main([model or folder, "a cat", str(tmp_path / "lines.txt")])
    assert error.value.code == 2
    written = capsys.readouterr().err.strip()
    assert written.startswith("python -m sbert.rank: error: ")
    assert message in written
    assert "\n" not in written
