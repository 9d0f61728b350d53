"""The table of candidates: what is added, kept and counted, by hand."""

import torch

from sbert.mining.search.candidate_table import CandidateTable


def table_of(size=3):
    table = CandidateTable(2, size, torch.device("cpu"))
    rows, columns = torch.tensor([0, 0, 1]), torch.tensor([4, 7, 2])
    table.add([(rows, columns, torch.tensor([0.5, 0.9, 0.1]))], start=100)
    return table


def listed(table):
    return [part.tolist() for part in table.entries()]


def test_candidates_are_added_after_those_there_are():
    table = table_of()
    table.add([(torch.tensor([1]), torch.tensor([0]), torch.tensor([0.25]))], start=200)
    assert listed(table) == [
        [0, 0, 1, 1],
        [104, 107, 102, 200],
        [0.5, torch.tensor(0.9).item(), torch.tensor(0.1).item(), 0.25],
    ]
    assert table.filled.tolist() == [2, 2]
    assert not table.crowded.any()


def test_a_query_with_more_candidates_than_places_is_crowded():
    table = table_of()
    part = torch.tensor([0, 0]), torch.tensor([1, 2]), torch.tensor([0.7, 0.8])
    assert not table.has_room([part])
    assert table.has_room([tuple(x[:1] for x in part)])
    table.add([part])
    assert table.crowded.tolist() == [True, False]
    assert listed(table)[0] == [1]
    scores = torch.ones(2, 40)
    (row, column, _), (rest, _, _) = table.reaching(scores, torch.tensor([0.0, 0.0]))
    assert set(row.tolist()) == set(rest.tolist()) == {1}
    assert len(column) == 32


def test_what_is_below_the_threshold_is_dropped():
    table = table_of()
    assert table.kth_best(1).tolist() == [torch.tensor(0.9).item(), torch.tensor(0.1).item()]
    assert table.kth_best(2).tolist() == [0.5, -torch.inf]
    assert table.kth_best(4).tolist() == [-torch.inf, -torch.inf]
    table.keep(torch.tensor([[0.6], [0.1]]))
    assert listed(table)[1] == [107, 102]
    assert table.filled.tolist() == [1, 1]
    table.replace_scores(torch.tensor([0.3, 0.4]))
    assert listed(table)[2] == [torch.tensor(0.3).item(), torch.tensor(0.4).item()]
