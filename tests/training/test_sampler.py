"""Epochs of the sampler against their contract: every row once, by length, by weight."""

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbert.training.sampler import Sampler

LENGTHS = np.random.default_rng(0).integers(3, 60, size=203)


def padding(sampler: Sampler, epoch: int) -> int:
    return sum(int((LENGTHS[b].max() - LENGTHS[b]).sum()) for b in sampler.epoch(epoch))


def flat(sampler: Sampler, epoch: int) -> list[int]:
    return np.concatenate(sampler.epoch(epoch)).tolist()


def as_lists(batches: list[np.ndarray]) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 4), st.booleans(), st.integers(0, 5))
def test_an_epoch_holds_every_row_once(n, batch_size, pool, grouped, epoch):
    sampler = Sampler(LENGTHS[:n], batch_size, 1, grouped, pool=pool)
    assert sorted(flat(sampler, epoch)) == list(range(n))
    sizes = [len(batch) for batch in sampler.epoch(epoch)]
    short = [size for size in sizes if size < batch_size]
    assert len(sizes) == sampler.steps_per_epoch == -(-n // batch_size)
    assert short == ([n % batch_size] if n % batch_size else [])


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize(
    "weights", [{}, {"sizes": (150, 53), "weights": (1, 2)}], ids=["", "weights"]
)
def test_an_epoch_is_a_function_of_seed_and_number(grouped, weights):
    first, second, other = (
        Sampler(LENGTHS, 8, seed, grouped, pool=5, **weights) for seed in (3, 3, 4)
    )
    in_order = [as_lists(first.epoch(e)) for e in range(4)]
    assert [as_lists(second.epoch(e)) for e in (3, 1, 0, 2)] == [in_order[e] for e in (3, 1, 0, 2)]
    assert as_lists(first.epoch(0)) == in_order[0]
    made = [*in_order, *(as_lists(other.epoch(e)) for e in range(4))]
    assert all(made[i] != made[j] for i in range(8) for j in range(i))


def test_another_process_deals_the_same():
    program = (
        "import numpy as np; from sbert.training.sampler import Sampler;"
        "s = Sampler(np.arange(90) % 13 + 3, 8, 5, True, (60, 30), (1.0, 2.0), 3);"
        "print([b.tolist() for e in (2, 0) for b in s.epoch(e)])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "99"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    sampler = Sampler(np.arange(90) % 13 + 3, 8, 5, True, (60, 30), (1.0, 2.0), 3)
    assert done.stdout.strip() == str([*as_lists(sampler.epoch(2)), *as_lists(sampler.epoch(0))])


def test_grouping_saves_padding():
    for epoch in range(3):
        grouped, pools, shuffled = (
            padding(Sampler(LENGTHS, 8, 0, group, pool=pool), epoch)
            for group, pool in ((True, 50), (True, 3), (False, 50))
        )
        assert grouped < 0.15 * shuffled
        assert grouped < pools < 0.6 * shuffled


def test_within_a_pool_batches_are_cut_by_length():
    batches = Sampler(LENGTHS, 8, 0, pool=50).epoch(0)
    ordered = sorted(batches, key=lambda b: (LENGTHS[b].max(), LENGTHS[b].min()))
    for shorter, longer in pairwise(ordered):
        assert LENGTHS[shorter].max() <= LENGTHS[longer].min()
    longest = [int(LENGTHS[b].max()) for b in batches]
    assert longest not in (sorted(longest), sorted(longest, reverse=True)), (
        "batches come in order of length"
    )


def test_pools_are_pieces_of_the_shuffled_epoch():
    """A batch mixes rows of one pool only: batch_size * pool rows of the epoch without grouping."""
    rows = flat(Sampler(LENGTHS, 8, 0, False), 2)
    pools = [set(rows[i : i + 24]) for i in range(0, len(rows), 24)]
    for batch in Sampler(LENGTHS, 8, 0, True, pool=3).epoch(2):
        assert sum(set(batch.tolist()) <= pool for pool in pools) == 1


def test_equal_lengths_are_still_shuffled():
    first, second = (flat(Sampler(np.full(50, 9), 8, 0), epoch) for epoch in range(2))
    assert first != second
    assert first != sorted(first)


def test_without_grouping_the_last_batch_is_the_short_one():
    assert [len(b) for b in Sampler(LENGTHS[:10], 4, 0, False).epoch(0)] == [4, 4, 2]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.floats(0.1, 10)), min_size=1, max_size=4),
    st.integers(1, 6),
)
def test_weights_deal_by_share_and_without_repeats(datasets, epochs):
    sizes, weights = zip(*datasets, strict=True)
    total = sum(sizes)
    sampler = Sampler(LENGTHS[:total], 4, 0, sizes=sizes, weights=weights)
    counts = Counter(row for epoch in range(epochs) for row in flat(sampler, epoch))
    first = 0
    for size, weight in datasets:
        own = [counts[row] for row in range(first, first + size)]
        dealt = max(1, round(total * weight / sum(weights)))
        assert sum(own) == epochs * dealt
        # a row comes again only after every other row of its dataset has come
        assert max(own) - min(own) <= 1
        first += size
    assert sum(counts.values()) == sum(len(b) for e in range(epochs) for b in sampler.epoch(e))
    assert all(len(sampler.epoch(e)) == sampler.steps_per_epoch for e in range(epochs))


DATASETS = st.lists(st.integers(1, 40), min_size=1, max_size=4)


def dataset_of(batch: np.ndarray, sizes: list[int]) -> int:
    """The one dataset that all rows of a batch are of."""
    [dataset] = set(np.searchsorted(np.cumsum(sizes), batch, side="right").tolist())
    return dataset


@settings(max_examples=50, deadline=None)
@given(DATASETS, st.integers(1, 9), st.booleans(), st.integers(0, 3))
def test_separate_batches_hold_every_row_once(sizes, batch_size, grouped, epoch):
    lengths = LENGTHS[: sum(sizes)]
    sampler = Sampler(lengths, batch_size, 1, grouped, tuple(sizes), separate=True)
    batches = sampler.epoch(epoch)
    assert sorted(flat(sampler, epoch)) == list(range(sum(sizes)))
    assert len(batches) == sampler.steps_per_epoch
    counts = Counter(dataset_of(batch, sizes) for batch in batches)
    assert [counts[i] for i in range(len(sizes))] == [-(-size // batch_size) for size in sizes]


def test_separate_batches_are_shuffled():
    for grouped in (True, False):
        sampler = Sampler(LENGTHS[:80], 4, 0, grouped, (40, 40), separate=True)
        orders = [[dataset_of(b, [40, 40]) for b in sampler.epoch(e)] for e in range(2)]
        assert orders[0] != orders[1]
        assert sorted(orders[0]) not in (orders[0], orders[0][::-1])


@settings(max_examples=50, deadline=None)
@given(DATASETS, st.integers(1, 9), st.booleans(), st.integers(0, 3))
def test_datasets_take_turns(sizes, batch_size, grouped, epoch):
    lengths = LENGTHS[: sum(sizes)]
    sampler = Sampler(lengths, batch_size, 1, grouped, tuple(sizes), in_turn=True)
    batches = sampler.epoch(epoch)
    order = [dataset_of(batch, sizes) for batch in batches]
    assert order == [i % len(sizes) for i in range(len(order))]
    assert len(batches) == sampler.steps_per_epoch
    # each is dealt the same number of rows, one pass after the other
    share = max(1, round(sum(sizes) / len(sizes)))
    counts = Counter(row for e in range(3) for row in flat(sampler, e))
    first = 0
    for size in sizes:
        own = [counts[row] for row in range(first, first + size)]
        assert sum(own) == 3 * share
        assert max(own) - min(own) <= 1
        first += size


def test_weights_deal_separate_batches():
    sampler = Sampler(LENGTHS[:80], 10, 0, sizes=(60, 20), weights=(1, 3), separate=True)
    counts = Counter(dataset_of(batch, [60, 20]) for batch in sampler.epoch(0))
    assert counts == {0: 2, 1: 6}


@pytest.mark.parametrize("mix", ["separate", "in_turn"])
def test_separate_epochs_are_a_function_of_seed_and_number(mix):
    first, second, other = (
        Sampler(LENGTHS[:80], 8, seed, sizes=(60, 20), **{mix: True}) for seed in (3, 3, 4)
    )
    in_order = [as_lists(first.epoch(e)) for e in range(3)]
    assert [as_lists(second.epoch(e)) for e in (2, 0, 1)] == [in_order[e] for e in (2, 0, 1)]
    assert as_lists(other.epoch(0)) not in in_order
    assert in_order[0] != in_order[1]


def test_weights_by_hand():
    # 80 rows an epoch, a quarter and three quarters: 20 of the 60 and each of the 20 three times
    sampler = Sampler(LENGTHS[:80], 8, 0, sizes=(60, 20), weights=(1, 3))
    epochs = [Counter(flat(sampler, e)) for e in range(3)]
    for counts in epochs:
        assert sum(counts[row] for row in range(60)) == 20
        assert [counts[row] for row in range(60, 80)] == [3] * 20
    assert [sum(counts[row] for counts in epochs) for row in range(60)] == [1] * 60


def test_weights_scale_does_not_matter():
    small, large = (
        Sampler(LENGTHS[:80], 8, 0, sizes=(60, 20), weights=w) for w in ((0.1, 0.3), (10, 30))
    )
    assert as_lists(small.epoch(1)) == as_lists(large.epoch(1))


def test_equal_datasets_are_dealt_apart():
    # 10 of 20 rows, 10 of 20 and 60 of 40: with one order for both, rows of the same number
    # would always be in the same epoch
    sampler = Sampler(LENGTHS[:80], 8, 0, sizes=(20, 20, 40), weights=(1, 1, 6))
    rows = flat(sampler, 0)
    first, second = {row for row in rows if row < 20}, {row - 20 for row in rows if 20 <= row < 40}
    assert len(first) == len(second) == 10
    assert first != second


# classmates

CLASS_SIZES = st.lists(st.integers(2, 9), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None)
@given(CLASS_SIZES, st.integers(4, 11), st.booleans(), st.integers(0, 3))
def test_each_row_has_a_classmate_in_its_batch(class_sizes, batch_size, grouped, epoch):
    classes = np.repeat(np.arange(len(class_sizes)), class_sizes)
    classes = np.random.default_rng(1).permutation(classes)
    sampler = Sampler(LENGTHS[: len(classes)], batch_size, 1, grouped, pool=3, classes=classes)
    batches = sampler.epoch(epoch)
    assert sorted(flat(sampler, epoch)) == list(range(len(classes)))
    assert len(batches) == sampler.steps_per_epoch == -(-len(classes) // batch_size)
    for batch in batches:
        assert 2 <= len(batch) <= batch_size + 2
        assert min(Counter(classes[batch].tolist()).values()) >= 2


def test_classmates_are_a_function_of_seed_and_number():
    classes = np.arange(203) % 7
    first, second, other = (Sampler(LENGTHS, 8, seed, classes=classes) for seed in (3, 3, 4))
    in_order = [as_lists(first.epoch(e)) for e in range(3)]
    assert [as_lists(second.epoch(e)) for e in (2, 0, 1)] == [in_order[e] for e in (2, 0, 1)]
    assert as_lists(other.epoch(0)) not in in_order
    pairs = {tuple(sorted(pair)) for batch in first.epoch(0) for pair in pairwise(batch.tolist())}
    again = {tuple(sorted(pair)) for batch in first.epoch(1) for pair in pairwise(batch.tolist())}
    assert len(pairs & again) < 20, "other pairs in every epoch"


def test_classmates_of_similar_length_share_a_batch():
    classes = np.arange(203) % 7
    grouped, shuffled = (Sampler(LENGTHS, 8, 0, on, classes=classes) for on in (True, False))
    assert padding(grouped, 0) < 0.9 * padding(shuffled, 0)


def test_only_the_datasets_with_classes_are_in_groups():
    classes = np.where(np.arange(80) < 40, np.arange(80) % 3, -1)
    sampler = Sampler(LENGTHS[:80], 8, 0, sizes=(40, 40), separate=True, classes=classes)
    plain = Sampler(LENGTHS[:80], 8, 0, sizes=(40, 40), separate=True)
    batches = sampler.epoch(0)
    assert sorted(flat(sampler, 0)) == list(range(80))
    assert len(batches) == plain.steps_per_epoch
    for batch in batches:
        if dataset_of(batch, [40, 40]) == 0:
            assert min(Counter(classes[batch].tolist()).values()) >= 2


@pytest.mark.parametrize("seed", range(4))
def test_batches_of_tokens(seed):
    """Every row once, padding included at most so many, and no batch could hold the next row."""
    lengths = np.random.default_rng(seed).integers(3, 40, 500)
    sampler = Sampler(lengths, 16, seed, sizes=(200, 300), batch_tokens=100)
    shapes, rows = [], []
    for epoch in range(3):
        batches = sampler.epoch(epoch)
        assert len(batches) == sampler.steps_per_epoch
        assert sorted(np.concatenate(batches)) == list(range(500))
        padded = [len(batch) * lengths[batch].max() for batch in batches]
        assert max(padded) <= 100
        shapes.append(sorted(padded))
        rows.append(np.concatenate(batches).tolist())
    assert shapes[0] == shapes[1] == shapes[2]
    assert rows[0] != rows[1] != rows[2]
    by_length = np.sort(lengths)
    start, steps = 0, 0
    while start < 500:
        size = 1
        while start + size < 500 and (size + 1) * by_length[start + size] <= 100:
            size += 1
        start, steps = start + size, steps + 1
    assert steps == sampler.steps_per_epoch
