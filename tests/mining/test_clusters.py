"""Communities: by hand, as sentence-transformers finds them, and none of their texts in two."""

import numpy as np
import pytest
import torch
from mine_inputs import plain_communities
from sentence_transformers.util import community_detection
from vectors import generator, scaled

from sbert.mining.clusters import communities
from sbert.mining.search.similar_pairs import distinct_pairs


def communities_of(vectors, threshold, min_size):
    return communities(*distinct_pairs(vectors, threshold, 500_000), min_size)


def test_communities_by_hand():
    """On a circle, in degrees; the threshold is that of 15 degrees."""
    degrees = torch.tensor([0.0, 10, 20, 26, 90, 95, 180])
    vectors = torch.stack([torch.cos(torch.deg2rad(degrees)), torch.sin(torch.deg2rad(degrees))], 1)
    threshold = float(np.cos(np.deg2rad(15)))
    # vector 1 reaches 0 and 2, vector 2 reaches 1 and 3: the lower index leads, and 3 is left alone
    assert communities_of(vectors, threshold, 2) == [[1, 0, 2], [4, 5]]
    assert communities_of(vectors, threshold, 3) == [[1, 0, 2]]
    assert communities_of(vectors, threshold, 1) == [[1, 0, 2], [4, 5], [3], [6]]
    assert communities_of(vectors, threshold, 4) == []


@pytest.mark.parametrize("seed", range(4))
def test_communities_are_those_of_the_field(seed):
    g = generator(seed)
    centres = torch.randn(12, 16, generator=g)
    vectors = centres.repeat_interleave(25, 0) + 0.5 * torch.randn(300, 16, generator=g)
    for threshold, min_size in ((0.75, 5), (0.8, 2), (0.6, 10)):
        found = communities_of(vectors, threshold, min_size)
        assert found == community_detection(vectors, threshold, min_size)
        assert found


def test_no_vector_is_in_two_communities_and_all_are_near_their_centre():
    vectors = torch.randn(300, 3, generator=generator(9))
    found = communities_of(vectors, 0.9, 3)
    members = [i for group in found for i in group]
    assert len(members) == len(set(members)) > 50
    assert [len(group) for group in found] == sorted(map(len, found), reverse=True)
    unit = scaled(vectors).double()
    for centre, *others in found:
        assert (unit[others] @ unit[centre]).min() >= 0.9 - 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_exact_duplicates_as_in_the_loop_over_all_rows(seed):
    """Each of 40 vectors is there up to 30 times, in any order."""
    g = generator(seed)
    centres = torch.randn(5, 6, generator=g).repeat_interleave(8, 0)
    distinct = centres + 0.6 * torch.randn(40, 6, generator=g)
    times = torch.randint(0, 30, (40,), generator=g) // torch.randint(1, 9, (40,), generator=g)
    rows = distinct.repeat_interleave(times, 0)
    vectors = rows[torch.randperm(len(rows), generator=g)]
    unit = scaled(vectors).double()
    products = (unit @ unit.T).float().clamp(-1, 1)
    products[(unit[:, None] == unit).all(-1)] = 1
    for threshold in (0.5, 0.75, 0.9, 1.0):
        for min_size in (1, 2, 7, 25):
            expected = plain_communities(products.tolist(), threshold, min_size)
            assert communities_of(vectors, threshold, min_size) == expected


def test_vectors_of_zeros_are_no_duplicates():
    assert communities_of(torch.zeros(5, 3), 0.5, 1) == [[0], [1], [2], [3], [4]]
