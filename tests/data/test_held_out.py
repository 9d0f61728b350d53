"""What is trained on is not evaluated: by the lines of a file, and by the groups of rows that files have in common."""

import dataclasses
import itertools

import numpy as np
import pytest
from support import copied, fails, write_config

from sbert.data.config import DatasetConfig
from sbert.data.leakage import check_held_out
from sbert.data.retrieval import Qrels, Retrieval
from sbert.data.rows import both_orders, read_dataset
from sbert.errors import InputError


@pytest.fixture
def write(tmp_path):
    """A file of 30 pairs on 3 topics, the texts in some language; an empty line, and a row whose text is empty."""

    def write_file(language: str = "en", **options) -> DatasetConfig:
        lines = ["sentence1\tsentence2\tscore\ttopic", ""]
        for i in range(30):
            lines.append(f"{'' if i == 7 else f'{language} {i}'}\tsecond\t{i % 6}\ttopic {i % 3}")
        (tmp_path / f"{language}.tsv").write_text("\n".join(lines) + "\n", "utf-8")
        return DatasetConfig(
            str(tmp_path / f"{language}.tsv"), range=(0, 5), skip_empty=True, **options
        )

    return write_file


def test_rows_know_their_lines(write):
    rows = read_dataset(write(limit=12, limit_seed=3))
    assert [int(text.split()[1]) + 3 for text in rows.texts[0]] == rows.lines.tolist()
    twice = both_orders(rows)
    assert len(twice) == len(twice.lines)
    assert (twice.lines == np.concatenate([rows.lines, rows.lines])).all()
    assert twice.file == rows.file


PARTS = [{}, {"limit": 10}, {"beyond": 10}, {"limit": 10, "beyond": 10}, {"limit": 10, "limit_seed": 1},
         {"where": {"topic": "topic 0"}}, {"where": {"topic": "topic 1"}}]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"), list(itertools.combinations_with_replacement(PARTS, 2))
)
def test_a_row_that_is_trained_on_and_evaluated_is_refused(write, first, second):
    """Against a plain comparison of the texts, each of which is one row's alone."""
    train, other = (
        read_dataset(write(**first, name="mine")),
        read_dataset(write(**second, name="other")),
    )
    shared = set(train.texts[0]) & set(other.texts[0])
    if not shared:
        return check_held_out([train], [other])
    with pytest.raises(InputError) as error:
        check_held_out([train], [other])
    line = min(int(text.split()[1]) for text in shared) + 3
    assert (
        f"data: other is evaluated on {len(shared)} rows that mine trains on, from line {line} of "
        in str(error.value)
    )
    assert "limit of the one and beyond of the other, with the same limit_seed" in str(error.value)


def test_a_file_is_the_same_by_any_path(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write()
    (tmp_path / "link.tsv").symlink_to(tmp_path / "en.tsv")
    for path in ("en.tsv", "./en.tsv", "link.tsv"):
        with pytest.raises(InputError, match="29 rows that en trains on, from line 3 of .*en.tsv"):
            check_held_out(
                [read_dataset(config)],
                [read_dataset(dataclasses.replace(config, path=path, name="x"))],
            )


def test_other_files_and_collections_share_no_rows(write, tmp_path):
    config = write()
    train, copy = (
        read_dataset(config),
        read_dataset(dataclasses.replace(config, path=str(copied(tmp_path / "en.tsv")))),
    )
    found = Retrieval("r", ["a"], ["a"], ["b"], ["b"], Qrels(*np.zeros((3, 1), int)))
    check_held_out([train], [copy, found])
    cut = {"folds": 3, "fold": 1, "group": "topic"}
    check_held_out([read_dataset(write(**cut))], [read_dataset(write(**cut, part="fold")), found])


def test_a_group_that_is_trained_on_and_evaluated_is_refused(write):
    cut = {"folds": 4, "fold": 1, "group": "row"}
    train, other = (
        read_dataset(write(**cut)),
        read_dataset(write("fr", **cut, limit_seed=1, part="fold")),
    )
    with pytest.raises(
        InputError,
        match=r"fr is evaluated on rows of group \d+, and en trained on such; .* limit_seed",
    ):
        check_held_out([train], [other])
    check_held_out([train], [read_dataset(write("fr", **cut, part="fold"))])


@pytest.mark.parametrize(("train", "held_out", "message"), [
    ({}, {"beyond": 20}, "held is evaluated on 9 rows that en trains on"),
    ({"limit": 20}, {"beyond": 20, "limit_seed": 1}, "that en trains on"),
    ({"folds": 4, "fold": 1, "group": "row"}, {"folds": 4, "fold": 2, "group": "row", "part": "fold"}, "rows that en trains on"),
])  # fmt: skip
@pytest.mark.parametrize("part", ["dev", "test"])
def test_train_refuses_it_before_it_starts(
    tmp_path, tiny_folder, write, train_command, capsys, train, held_out, message, part
):
    dataset = {k: v for k, v in vars(write()).items() if v is not None} | {"skip_empty": True}
    data = {"train": [dataset | train], part: [dataset | held_out | {"name": "held"}]}
    line = fails(train_command, capsys, write_config(tmp_path, tiny_folder, tmp_path, data=data))
    assert message in line
    assert not (tmp_path / "runs").exists()
