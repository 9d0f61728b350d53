"""Communities: by hand, as sentence-transformers finds them, and none of their texts in two."""

import numpy as np
import pytest
import torch
from sentence_transformers.util import community_detection
from vectors import generator, scaled

from sbert.mining.clusters import communities
from sbert.mining.similar_pairs import similar_pairs


def communities_of(vectors, threshold, min_size):
    return communities(len(vectors), *similar_pairs(vectors, threshold), min_size)


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
