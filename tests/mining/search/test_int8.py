"""Int8 products equal sums of integers."""

import pytest
import torch
from vectors import generator

from sbert.mining.search import int8
from sbert.mining.search.int8 import int8_products, to_int8


@pytest.mark.parametrize("exact", [True, False], ids=["int8", "without int8"])
def test_products_are_sums_of_integers(monkeypatch, exact):
    if exact and not int8.int8_is_exact():
        pytest.skip("this processor has no exact int8 product")
    monkeypatch.setattr(int8, "int8_is_exact", lambda: exact)
    for queries, vectors, width in ((1, 1, 8), (3, 50, 24), (40, 7, 384), (5, 9, 13), (4, 6, 1)):
        left = torch.randint(-127, 128, (queries, width), generator=generator()).to(torch.int8)
        right = torch.randint(-128, 128, (vectors, width), generator=generator(1)).to(torch.int8)
        found = int8_products(left, right)
        assert found.long().tolist() == (left.long() @ right.long().T).tolist()


def test_queries_are_scaled_to_127():
    vectors = torch.tensor([[0.5, -1.0, 0.25], [0, 0, 0], [3e9, 0, -1.5e9]])
    assert to_int8(vectors).tolist() == [[64, -127, 32], [0, 0, 0], [127, 0, -64]]
