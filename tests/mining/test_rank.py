"""The task rank: the lines of a file, best first."""

import pytest
from support import fails

from sbert import CrossEncoder


@pytest.fixture
def folder(tmp_path, tiny_folder):
    CrossEncoder.from_pretrained(tiny_folder).save_pretrained(tmp_path / "cross")
    return str(tmp_path / "cross")


def test_the_table_is_what_rank_says(tmp_path, folder, mine_command, capsys):
    documents = ["a dog sits", "the cat sleeps", "a house"]
    (tmp_path / "lines.txt").write_text(
        "\n".join([documents[0], "", *documents[1:]]) + "\n", "utf-8"
    )
    mine_command(
        "rank",
        "--model",
        folder,
        "--query",
        "a cat",
        "--documents.path",
        tmp_path / "lines.txt",
        "--top_k",
        2,
    )
    output = capsys.readouterr().out
    assert output.startswith("the best 2 of 3 candidates for: a cat\n")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in output.splitlines()[4:]]
    best = CrossEncoder.from_pretrained(folder).rank("a cat", documents, 2)
    assert rows == [
        [str(k), f"{score:.3f}", documents[i]] for k, (i, score) in enumerate(best, start=1)
    ]


@pytest.mark.parametrize(
    ("content", "model", "message"),
    [
        ("\n \n", None, "lines.txt: contains no texts"),
        (None, None, "lines.txt: no such file"),
        ("a cat\n", "no/such/folder", "model no/such/folder: no such folder"),
    ],
)
def test_bad_input(tmp_path, folder, mine_command, capsys, content, model, message):
    if content is not None:
        (tmp_path / "lines.txt").write_text(content, "utf-8")
    argv = [
        "--model",
        model or folder,
        "--query",
        "a cat",
        "--documents.path",
        tmp_path / "lines.txt",
    ]
    assert message in fails(mine_command, capsys, "rank", *argv)
