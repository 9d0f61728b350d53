"""The first pass keeps what a plain loop over all products keeps, whatever the blocks."""

import numpy as np
import pytest
import torch
from scipy import sparse
from tqdm.auto import tqdm
from vectors import generator

from sbert.mining.quantised import first_pass
from sbert.mining.quantised.first_pass import FirstPass
from sbert.mining.search.int8 import to_int8
from sbert.quantised import Binary, Int8
from sbert.quantised_files import QuantisedVectors


def plain(queries, factors, count, excluded):
    """(score, index) of each query's best, by score, then by index."""
    found = []
    for i, query in enumerate(to_int8(queries).long()):
        products = (torch.from_numpy(factors).long() @ query).tolist()
        kept = [j for j in range(len(products)) if not excluded[i, j]]
        found.append(sorted(kept, key=lambda j: (-products[j], j))[:count])
    return found


@pytest.fixture(params=["random", "few codes", "ascending"])
def vectors(request):
    """Among them many of equal products, and those where the last are the best."""
    g = np.random.default_rng(0)
    if request.param == "few codes":
        return g.integers(-1, 2, (700, 8)).astype(np.float32)
    if request.param == "ascending":
        return np.linspace(-1, 1, 700)[:, None] * np.ones((700, 8)) + g.normal(size=8) / 9
    return g.normal(size=(700, 8))


@pytest.mark.parametrize("kind", [Int8, Binary])
@pytest.mark.parametrize("count", [1, 9, 800])
@pytest.mark.parametrize("sizes", [(32_768, 1024, 2**22), (100, 4, 4 * 40), (700, 7, 7 * 64)])
def test_the_best_of_all_products(monkeypatch, vectors, kind, count, sizes):
    for name, size in zip(("VECTORS", "QUERIES", "PRODUCTS"), sizes, strict=True):
        monkeypatch.setattr(first_pass, name, size)
    quantiser = kind.fit(vectors, "cosine")
    codes = quantiser.encode(vectors)
    queries = torch.randn(9, 8, generator=generator())
    excluded = sparse.csr_array(np.random.default_rng(1).random((9, 700)) < 0.02)
    search = FirstPass(QuantisedVectors(codes, quantiser), queries, count, excluded)
    with tqdm(disable=True) as bar:
        search.search(bar)
    expected = plain(queries, quantiser.factors(codes), count, excluded.toarray())
    for found, best in zip(search.best.indices.tolist(), expected, strict=True):
        assert found == best + [-1] * (count - len(best))
