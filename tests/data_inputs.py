"""Shared by the tests of data: rows to write to a file, and the error that a dataset gives."""

import json

import pytest

from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.errors import InputError

PAIRS = [["sentence1", "sentence2", "score"], ["a b", "c", "0.25"], ["d", "e f", "1"]]


RERANK = [["query", "document", "score"], ["q", "d1", "0"], ["q", "d2", "1"], ["r", "d1", "2.5"]]


def refusal(path: str, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_dataset(DatasetConfig(path, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def as_json(put, *rows):
    return put("".join(json.dumps(row) + "\n" for row in rows), "rows.jsonl")


def query(negatives, positive="p"):
    return {"query": "q", "positive": positive, "negatives": negatives}
