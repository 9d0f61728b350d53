"""A table in files is the table in memory, and damaged files are refused."""

from functools import partial

import numpy as np
import pytest
from tiny_models import bert_tokenizer

from sbert import InputError
from sbert.models import token_table, tokens
from sbert.models.token_table import TokenTable, load_table, save_table
from sbert.models.tokens import TextTokenizer, tokenize_columns

COLUMNS = [["a cat", "the dog sits on", "red"], ["red", None, "a cat"]]
NAMES = ["ids", "starts", "cut_tokens", "prompt_lengths", "text_ids"]
DAMAGE = {
    "ids.npy": lambda data: data[:-4],
    "starts.npy": lambda data: data[:100],
    "rows.npy": lambda data: b"",
    "cut_tokens.npy": lambda data: b"no array" * 40,
    "text_ids.npy": lambda data: data[:-8],
    "sha256": lambda data: data[:-1],
}


def make(join=token_table.concatenate, columns=COLUMNS):
    tokenizer = TextTokenizer(bert_tokenizer(), 5)
    return tokenize_columns(tokenizer, columns, ["the ", ""], join)


@pytest.mark.parametrize("columns", [COLUMNS, [[None], ["a cat"]]])
def test_a_table_in_files_is_the_table_in_memory(tmp_path, monkeypatch, columns):
    monkeypatch.setattr(tokens, "CHUNK", 2)
    save_table(tmp_path / "table", partial(make, columns=columns))
    (found, found_rows), (table, rows) = load_table(tmp_path / "table"), make(columns=columns)
    for name in NAMES:
        one, other = getattr(found, name), getattr(table, name)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
        assert not one.flags.owndata
        assert not one.flags.writeable
    np.testing.assert_array_equal(found_rows, rows)


def test_a_table_of_one_prompt_has_no_ids_of_texts(tmp_path):
    """As those that were written before there were several."""
    tokenizer = TextTokenizer(bert_tokenizer(), 5)
    save_table(tmp_path / "table", partial(tokenize_columns, tokenizer, COLUMNS, ["the "] * 2))
    assert not (tmp_path / "table/text_ids.npy").exists()
    assert load_table(tmp_path / "table")[0].text_ids is None


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_are_refused(tmp_path, name):
    save_table(tmp_path / "table", make)
    file = tmp_path / "table" / name
    file.write_bytes(DAMAGE[name](file.read_bytes()))
    with pytest.raises(InputError, match="table: damaged: .*; delete it, to make it again"):
        load_table(tmp_path / "table")


@pytest.mark.parametrize("name", [*NAMES, "rows"])
def test_one_changed_byte_is_found(tmp_path, monkeypatch, name):
    monkeypatch.setattr(token_table, "DIGEST_CHUNK", 50)
    save_table(tmp_path / "table", make)
    file = tmp_path / "table" / f"{name}.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 4
    file.write_bytes(data)
    with pytest.raises(InputError, match="table: damaged: its files are not as they were written"):
        load_table(tmp_path / "table")


def test_files_of_two_tables_are_refused(tmp_path):
    save_table(tmp_path / "table", make)
    save_table(tmp_path / "other", partial(make, columns=[["a"], ["a cat"]]))
    (tmp_path / "other" / "ids.npy").rename(tmp_path / "table" / "ids.npy")
    with pytest.raises(InputError, match="its files are not as they were written"):
        load_table(tmp_path / "table")


def test_some_lengths_are_those_of_all():
    table, _ = make()
    texts = np.array([[2, 0], [1, 2]])
    np.testing.assert_array_equal(table.lengths_of(texts), table.lengths[texts])
    np.testing.assert_array_equal(table.full_lengths_of(texts), table.full_lengths[texts])
    assert table.cut_tokens.any()


@pytest.mark.parametrize("ids", [[], [0], [5, 3, 5, 9, 0, 3]])
def test_distinct_ids(monkeypatch, ids):
    monkeypatch.setattr(token_table, "ID_CHUNK", 2)
    none = np.zeros(0, np.int64)
    table = TokenTable(np.array(ids, np.int32), np.zeros(1, np.int64), none, none)
    assert table.distinct_ids().tolist() == sorted(set(ids))
