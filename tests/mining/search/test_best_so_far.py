"""The best of each query so far: their order, whatever was added when."""

import torch
from vectors import generator

from sbert.mining.search.best_so_far import BestSoFar, best_of


def test_best_of_by_hand():
    scores = torch.tensor([[1.0, 3.0, 3.0, -torch.inf]])
    indices = torch.tensor([[4, 9, 2, 7]])
    found = [part.tolist() for part in best_of(scores, indices, 4)]
    assert found == [[[3, 3, 1, -torch.inf]], [[2, 9, 4, -1]]]
    assert best_of(scores, indices, 2)[1].tolist() == [[2, 9]]


def test_whatever_is_added_when():
    """Of three rows of scores with many ties, added in pieces of any order, as entries or not."""
    g = generator()
    scores = torch.randint(0, 4, (3, 40), generator=g).float()
    scores[0, 3:] = -torch.inf  # fewer than k
    best = BestSoFar(3, 6, torch.device("cpu"))
    rows = torch.tensor([2, 0, 1])
    best.add(rows, scores[rows][:, 25:], torch.arange(25, 40).expand(3, -1))
    row, column = scores[rows][:, :25].isfinite().nonzero(as_tuple=True)
    best.add_entries(rows, (row, column, scores[rows][row, column]))
    for i, numbers in enumerate(scores.tolist()):
        present = [j for j in range(40) if numbers[j] > -torch.inf]
        expected = sorted(present, key=lambda j: (-numbers[j], j))[:6]
        assert best.indices[i].tolist() == expected + [-1] * (6 - len(expected))
        kept = best.scores[i][: len(expected)].tolist()
        assert kept == [numbers[j] for j in expected]
    assert best.floor(torch.tensor([0, 2])).tolist() == [-torch.inf, best.scores[2, 5]]
