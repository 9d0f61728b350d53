"""How a batch is shared: every row once, and weights with which the mean over processes is the mean
over the batch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbert.distributed import share_rows


@given(n=st.integers(1, 40), processes=st.integers(1, 5), accumulate=st.integers(1, 5))
def test_mean_over_processes_is_the_mean_over_the_batch(n, processes, accumulate):
    rows = np.arange(100, 100 + n)
    values = np.random.default_rng(n).normal(size=200)
    shares = [share_rows(rows, rank, processes, accumulate) for rank in range(processes)]
    # every process computes as many parts: each exchanges gradients as often
    assert {len(parts) for parts in shares} == {accumulate}
    assert all(len(part) for parts in shares for part, _ in parts)
    seen = [row for parts in shares for part, weight in parts if weight for row in part]
    assert sorted(seen) == rows.tolist()
    sums = [sum(weight * values[part].mean() for part, weight in parts) for parts in shares]
    assert np.mean(sums) == pytest.approx(values[rows].mean())
