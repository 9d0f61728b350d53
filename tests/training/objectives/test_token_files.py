"""Tokens of many texts are made once, in files; a run with them is the run without, bit for bit."""

import errno
from itertools import combinations

import numpy as np
import pytest
from accelerate import Accelerator
from support import fails, metrics, same_state, write_config
from tiny_models import bert_tokenizer

from sbert import InputError
from sbert.models.pair_tokens import PairTokenizer
from sbert.models.tokens import TextTokenizer, tokenize_columns
from sbert.training.objectives import token_files
from sbert.training.objectives.token_files import TokenFiles, table_name

COLUMNS = [["a cat", "the dog"], ["red", None]]
NO_PROMPTS = ["", ""]


@pytest.fixture
def many(monkeypatch):
    """Any number of texts is many."""
    monkeypatch.setattr(token_files, "MANY_TEXTS", 1)


@pytest.fixture
def files(tmp_path) -> TokenFiles:
    return TokenFiles(Accelerator(cpu=True), tmp_path / "tables")


def tokenizer(max_length=8) -> TextTokenizer:
    return TextTokenizer(bert_tokenizer(), max_length)


def test_the_table_is_that_in_memory_and_is_made_once(files, many, monkeypatch):
    first, _ = files.tokenize_columns(tokenizer(), COLUMNS, NO_PROMPTS)
    monkeypatch.setattr(token_files, "save_table", None)  # would fail
    second, rows = files.tokenize_columns(tokenizer(), COLUMNS, NO_PROMPTS)
    table, expected = tokenize_columns(tokenizer(), COLUMNS, NO_PROMPTS)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(first.ids, table.ids)
    np.testing.assert_array_equal(second.ids, table.ids)


def test_a_read_only_folder_that_has_the_table_serves(files, many, monkeypatch):
    files.tokenize_columns(tokenizer(), COLUMNS, NO_PROMPTS)
    [lock] = files.folder.glob("*.lock")
    lock.unlink()
    monkeypatch.setattr(token_files, "locked", None)  # would fail
    table, _ = files.tokenize_columns(tokenizer(), COLUMNS, NO_PROMPTS)
    assert len(table.ids)
    assert [path.suffix for path in files.folder.iterdir()] == [""]


def test_a_folder_that_another_machine_does_not_see(files, many, monkeypatch, tmp_path):
    monkeypatch.setattr(token_files, "broadcast", lambda *_: tmp_path / "elsewhere")
    with pytest.raises(InputError, match="elsewhere: is not on this machine; data.token_tables"):
        files.tokenize_columns(tokenizer(), COLUMNS, NO_PROMPTS)


def test_few_texts_leave_no_files(files):
    files.tokenize_columns(tokenizer(), COLUMNS, NO_PROMPTS)
    assert not files.folder.exists()


def test_a_name_for_all_that_a_table_depends_on():
    texts = [["a cat", "the dog"], ["red", ""]]
    moved = [["a catt", "he dog"], ["red", None]]
    names = [
        table_name(tokenizer(), COLUMNS, NO_PROMPTS),
        table_name(tokenizer(), texts, NO_PROMPTS),
        table_name(tokenizer(), moved, NO_PROMPTS),
        table_name(tokenizer(), [["a cat"], ["the dog"]], NO_PROMPTS),
        table_name(tokenizer(), [["a cat", "the dog"]], [""]),
        table_name(tokenizer(), COLUMNS, ["query: ", ""]),
        table_name(tokenizer(9), COLUMNS, NO_PROMPTS),
        table_name(TextTokenizer(bert_tokenizer(), 8, lower_case=True), COLUMNS, NO_PROMPTS),
        table_name(PairTokenizer(bert_tokenizer(), 8), COLUMNS, NO_PROMPTS),
    ]
    for one, other in combinations(names, 2):
        assert one != other
    assert table_name(tokenizer(), COLUMNS, NO_PROMPTS) == names[0]


def test_what_an_interrupted_run_has_left_is_made_again(files, many):
    path = files.folder / table_name(tokenizer(), COLUMNS, NO_PROMPTS)
    rest = path.with_name(path.name + ".unfinished")
    rest.mkdir(parents=True)
    (rest / "ids.npy").write_bytes(b"half")
    table, _ = files.tokenize_columns(tokenizer(), COLUMNS, NO_PROMPTS)
    assert len(table.ids)
    assert not rest.exists()


def test_a_full_disk_ends_in_one_line_and_leaves_nothing(files, many, monkeypatch):
    def save_table(folder, make):
        folder.mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(token_files, "save_table", save_table)
    with pytest.raises(InputError, match="cannot be written: No space left on device; data.token"):
        files.tokenize_columns(tokenizer(), COLUMNS, NO_PROMPTS)
    assert [path.suffix for path in files.folder.iterdir()] == [".lock"]


def test_a_run_with_files_is_the_run_without(
    tmp_path, tiny_folder, pairs_file, train_command, train_interrupted, monkeypatch
):
    """Also where it is interrupted and resumed, and where other runs have made the files."""
    config = write_config(tmp_path, tiny_folder, pairs_file)
    train_command(config)
    monkeypatch.setattr(token_files, "MANY_TEXTS", 1)
    train_interrupted(config, after=5)
    train_command(config, "--name", "again", "--data.token_tables", str(tmp_path / "own"))
    for name in ("cut", "again"):
        assert same_state(tmp_path / "runs/run", tmp_path / "runs" / name) == []
    losses = [[row["loss"] for row in metrics(tmp_path / "runs" / run)] for run in ("run", "again")]
    assert losses[0] == losses[1]
    assert len(list((tmp_path / "runs" / "token_tables").glob("*/ids.npy"))) == 1
    assert len(list((tmp_path / "own").glob("*/ids.npy"))) == 1


def test_a_damaged_table_ends_the_command_in_one_line(
    tmp_path, tiny_folder, pairs_file, train_command, monkeypatch, capsys
):
    monkeypatch.setattr(token_files, "MANY_TEXTS", 1)
    config = write_config(tmp_path, tiny_folder, pairs_file)
    train_command(config)
    [ids] = (tmp_path / "runs" / "token_tables").glob("*/ids.npy")
    ids.write_bytes(ids.read_bytes()[:200])
    assert "damaged" in fails(train_command, capsys, config, "--overwrite")
    assert (tmp_path / "runs" / "run" / "result.json").exists()  # nothing was touched
