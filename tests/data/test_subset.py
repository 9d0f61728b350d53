"""Subsets: limits that nest, what is beyond a limit, folds of whole groups; refusals."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from data_inputs import PAIRS, as_json, query, refusal
from hypothesis import given
from hypothesis import strategies as st

from sbert.data.config import DatasetConfig
from sbert.data.rows import both_orders, read_dataset
from sbert.data.subset import folds_by_group, folds_by_row, limited_rows
from sbert.errors import InputError

# limits


@given(st.integers(1, 200), st.integers(0, 3), st.data())
def test_limits_nest(n, seed, data):
    small = data.draw(st.integers(1, n))
    large = data.draw(st.integers(small, n))
    kept = limited_rows(n, small, seed)
    assert set(kept) <= set(limited_rows(n, large, seed))
    assert kept.tolist() == sorted(set(kept.tolist()))
    assert len(kept) == small
    assert kept.min() >= 0
    assert kept.max() < n
    np.testing.assert_array_equal(kept, limited_rows(n, small, seed))


@given(st.integers(20, 200), st.floats(0.05, 0.95), st.integers(0, 3))
def test_a_share_is_that_many_rows(n, share, seed):
    np.testing.assert_array_equal(
        limited_rows(n, share, seed), limited_rows(n, round(n * share), seed)
    )


def test_limit_by_hand():
    assert limited_rows(5, None, 0).tolist() == [0, 1, 2, 3, 4]
    assert limited_rows(5, 9, 0).tolist() == limited_rows(5, 5, 0).tolist() == [0, 1, 2, 3, 4]
    assert len(limited_rows(5, 1, 0)) == 1
    assert len(limited_rows(5, 1, 0)) == 1
    assert len(limited_rows(10, 0.5, 0)) == 5


def test_the_seed_chooses_the_rows():
    chosen = {tuple(limited_rows(100, 10, seed)) for seed in range(5)}
    assert len(chosen) == 5


@pytest.mark.parametrize("limit", [0, -1, 1.5, float("nan"), float("inf")])
def test_bad_limit(put, limit):
    path = put(PAIRS)
    assert refusal(path, limit=limit) == (
        f"dataset {path}: limit {limit}: must be a whole number of rows, or a share of them "
        "between 0 and 1"
    )


@pytest.mark.parametrize("option", ["limit", "beyond"])
def test_a_share_of_no_row(put, option):
    path = put([PAIRS[0], *[["a", "b", "1"]] * 5])
    assert refusal(path, **{option: 0.05}) == (
        f"dataset {path}: {option} 0.05: is less than one of the 5 rows; give a larger share, or a "
        "whole number of rows"
    )


def test_a_limit_keeps_rows_together(put):
    lines = [["sentence1", "sentence2", "score", "source"]]
    lines += [[f"a{i}", f"b{i}", str(i / 50), f"s{i}"] for i in range(50)]
    rows = read_dataset(DatasetConfig(put(lines), limit=0.2, limit_seed=3))
    numbers = [int(text[1:]) for text in rows.texts[0]]
    assert numbers == limited_rows(50, 10, 3).tolist()
    assert rows.texts[1] == [f"b{i}" for i in numbers]
    assert rows.sources == [f"s{i}" for i in numbers]
    np.testing.assert_allclose(rows.labels, np.array(numbers) / 50, rtol=1e-6)
    assert rows.skipped == {"beyond limit 0.2": 40}


@pytest.mark.parametrize("option", ["limit", "beyond"])
def test_one_as_a_fraction_is_refused(put, option):
    path = put([PAIRS[0], *[["a", "b", "1"]] * 4])
    assert refusal(path, **{option: 1.0}) == (
        f"dataset {path}: {option} 1.0: write 1 for one row; for all rows leave {option} out"
    )
    assert (
        len(read_dataset(DatasetConfig(path, **{option: 1}))) == {"limit": 1, "beyond": 3}[option]
    )
    assert len(read_dataset(DatasetConfig(path, **{option: 2.0}))) == 2


def test_a_limit_counts_usable_rows(put):
    path = put([PAIRS[0], *[["", "b", "1"]] * 5, *[["a", "b", "1"]] * 4])
    assert len(read_dataset(DatasetConfig(path, limit=4, skip_empty=True))) == 4


def test_a_limit_keeps_the_negatives_of_a_row_together(put):
    # the longest list is not among the rows that are kept: then there is no column for it
    path = as_json(put, *(query([f"{i} {k}" for k in range(1 + i % 3)]) for i in range(30)))
    rows = read_dataset(DatasetConfig(path, limit=5))
    kept = limited_rows(30, 5, 0)
    assert len(rows.texts) == 2 + max(1 + i % 3 for i in kept)
    for row, i in enumerate(kept):
        negatives = [column[row] for column in rows.texts[2:]]
        assert [x for x in negatives if x is not None] == [f"{i} {k}" for k in range(1 + i % 3)]


# beyond


@given(st.integers(2, 200), st.integers(0, 3), st.data())
def test_beyond_is_what_the_limit_leaves(n, seed, data):
    size = data.draw(st.integers(1, n - 1))
    train, rest = limited_rows(n, size, seed), limited_rows(n, None, seed, size)
    assert sorted([*train, *rest]) == list(range(n))
    assert rest.tolist() == sorted(rest)


@given(st.integers(3, 200), st.integers(0, 3), st.data())
def test_limits_beyond_nest_and_never_touch_the_rows_before(n, seed, data):
    size = data.draw(st.integers(1, n - 2))
    small = data.draw(st.integers(1, n - size))
    large = data.draw(st.integers(small, n))
    dev = limited_rows(n, small, seed, size)
    assert len(dev) == small
    assert len(limited_rows(n, large, seed, size)) == min(large, n - size)
    assert set(dev) <= set(limited_rows(n, large, seed, size))
    assert not set(dev) & set(limited_rows(n, size, seed))
    assert dev.tolist() == sorted(dev)


def test_shares_beyond_are_shares_of_the_whole_file():
    train, dev = limited_rows(50, 0.8, 1), limited_rows(50, None, 1, 0.8)
    assert (len(train), len(dev)) == (40, 10)
    np.testing.assert_array_equal(dev, limited_rows(50, None, 1, 40))
    assert len(limited_rows(50, 0.1, 1, 0.8)) == 5, "a tenth of 50, and not of the 10 that are left"
    assert sorted([*train, *limited_rows(50, 0.5, 1, 0.8)]) == list(range(50)), (
        "no more than are left"
    )
    assert len(limited_rows(50, None, 1, 1)) == 49


def test_the_seed_chooses_what_is_beyond():
    assert len({tuple(limited_rows(100, None, seed, 90)) for seed in range(5)}) == 5


def test_beyond_cuts_a_dev_set_from_a_training_file(put):
    path = put([PAIRS[0], *[[f"a{i}", f"b{i}", str(i / 50)] for i in range(50)]])
    train = read_dataset(DatasetConfig(path, limit=40, limit_seed=3))
    dev = read_dataset(DatasetConfig(path, beyond=40, limit=8, limit_seed=3))
    assert not set(train.texts[0]) & set(dev.texts[0])
    numbers = limited_rows(50, 8, 3, 40)
    assert dev.texts == [[f"{side}{i}" for i in numbers] for side in "ab"]
    np.testing.assert_allclose(dev.labels, numbers / 50, rtol=1e-6)
    assert (
        dev.describe() == "rows: 8 rows, sts; 42 skipped: the 40 before beyond and beyond limit 8"
    )
    rest = read_dataset(DatasetConfig(path, beyond=40, limit_seed=3))
    assert sorted(train.texts[0] + rest.texts[0]) == sorted(f"a{i}" for i in range(50))
    assert sum(rest.skipped.values()) == 40


@pytest.mark.parametrize("beyond", [0, -1, 1.5, float("nan"), float("inf")])
def test_bad_beyond(put, beyond):
    path = put(PAIRS)
    said = f"beyond {beyond}: must be a whole number of rows, or a share of them between 0 and 1"
    assert refusal(path, beyond=beyond) == f"dataset {path}: {said}"


@pytest.mark.parametrize("limit", [0, -1, 1.5])
def test_bad_limit_beside_a_good_beyond(put, limit):
    path = put(PAIRS)
    said = f"limit {limit}: must be a whole number of rows, or a share of them between 0 and 1"
    assert refusal(path, limit=limit, beyond=1) == f"dataset {path}: {said}"


@pytest.mark.parametrize("beyond", [2, 3, 0.9])
def test_beyond_that_leaves_nothing(put, beyond):
    path = put(PAIRS)
    said = f"beyond {beyond}: leaves none of the 2 rows"
    assert refusal(path, beyond=beyond) == f"dataset {path}: {said}"


# folds

some_groups = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60)


@given(some_groups, st.integers(2, 5), st.integers(0, 3))
def test_folds_hold_whole_groups_and_are_of_equal_size(groups, folds, seed):
    numbers = folds_by_group(groups, folds, seed)
    for group in set(groups):
        assert len({number for number, g in zip(numbers, groups, strict=True) if g == group}) == 1
    sizes = [int((numbers == fold).sum()) for fold in range(1, folds + 1)]
    assert sum(sizes) == len(groups)
    assert max(sizes) - min(sizes) <= max(Counter(groups).values())


@given(some_groups, st.integers(2, 5), st.integers(0, 3), st.randoms())
def test_folds_do_not_depend_on_the_order_of_lines(groups, folds, seed, random):
    before = dict(zip(groups, folds_by_group(groups, folds, seed), strict=True))
    random.shuffle(groups)
    assert dict(zip(groups, folds_by_group(groups, folds, seed), strict=True)) == before


def test_a_group_that_is_null_is_refused(put):
    line = {"sentence1": "a", "sentence2": "b", "score": 1}
    path = as_json(put, *(line | {"topic": topic} for topic in ("x", "y", None, None)))
    assert refusal(path, folds=2, fold=1, group="topic") == (
        f"{path}, line 3: topic is null; fill it in every line"
    )


def test_large_groups_are_dealt_first():
    groups = ["a"] * 5 + ["b"] * 3 + ["c"] * 2
    for seed in range(5):
        numbers = dict(zip(groups, folds_by_group(groups, 2, seed), strict=True))
        assert numbers == {"a": 1, "b": 2, "c": 2}


@given(st.integers(1, 80), st.integers(0, 40), st.integers(2, 7), st.integers(0, 3))
def test_folds_of_rows_do_not_depend_on_how_many_follow(n, more, folds, seed):
    numbers = folds_by_row(n, folds, seed)
    assert (numbers == folds_by_row(n + more, folds, seed)[:n]).all()
    sizes = np.bincount(numbers, minlength=folds + 1)[1:]
    assert len(sizes) == folds
    assert sizes.max() - sizes.min() <= 1


def test_the_seed_draws_the_cut():
    groups = [f"g{i}" for i in range(40)]
    assert (folds_by_group(groups, 4, 0) != folds_by_group(groups, 4, 1)).any()
    assert (folds_by_row(40, 4, 0) != folds_by_row(40, 4, 1)).any()


@pytest.fixture
def write(tmp_path):
    """A function that writes 30 pairs on 6 topics; `without`: rows whose text is empty."""

    def write_file(language: str = "en", without: tuple[int, ...] = ()) -> DatasetConfig:
        lines = ["sentence1\tsentence2\tscore\ttopic"]
        for i in range(30):
            text = "" if i in without else f"{language} {i}"
            lines.append(f"{text}\tsecond {i}\t{i % 6}\ttopic {i * i % 11}")
        path = tmp_path / f"{language}.tsv"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return DatasetConfig(str(path), range=(0, 5), skip_empty=True, folds=4, fold=1, group="row")

    return write_file


def numbers_of(config: DatasetConfig, **options) -> set[int]:
    return {
        int(text.split()[1])
        for text in read_dataset(dataclasses.replace(config, **options)).texts[1]
    }


@pytest.mark.parametrize("group", ["row", "topic"])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_row_is_in_one_fold_and_in_the_rest_of_the_others(write, group, seed):
    config = dataclasses.replace(write(), group=group, limit_seed=seed)
    inside = [numbers_of(config, fold=fold, part="fold") for fold in range(1, 5)]
    assert sorted(i for part in inside for i in part) == list(range(30))
    for fold in range(1, 5):
        assert numbers_of(config, fold=fold) == set(range(30)) - inside[fold - 1]


def test_a_topic_never_straddles_folds(write):
    topics = [
        {f"topic {i * i % 11}" for i in numbers_of(write(), group="topic", fold=f, part="fold")}
        for f in (1, 2, 3, 4)
    ]
    assert sum(map(len, topics)) == len(set.union(*topics)) == 6


@pytest.mark.parametrize("group", ["row", "topic"])
def test_translations_are_cut_alike_though_one_lacks_rows(write, group):
    english, french = write("en"), write("fr", without=(0, 1, 7, 25))
    for fold in range(1, 5):
        options = {"group": group, "fold": fold, "part": "fold"}
        assert numbers_of(french, **options) == numbers_of(english, **options) - {0, 1, 7, 25}


@pytest.mark.parametrize("choice", [{"limit": 12}, {"beyond": 12}, {"limit": 0.5, "limit_seed": 3}])
def test_limits_choose_from_the_whole_file_before_the_cut(write, choice):
    """So what is cut off by beyond, a dev set, stays apart from all folds."""
    chosen = numbers_of(write(), folds=None, fold=None, group=None, **choice)
    fold = numbers_of(write(), part="fold", limit_seed=choice.get("limit_seed", 0))
    assert numbers_of(write(), part="fold", **choice) == chosen & fold
    assert numbers_of(write(), part="rest", **choice) == chosen - fold


def test_what_a_cut_leaves_out_is_counted(write):
    assert read_dataset(write()).describe() == "en: 22 rows, sts; 8 skipped: in fold 1 of 4"
    assert read_dataset(dataclasses.replace(write(), part="fold", fold=4)).describe() == (
        "en: 7 rows, sts; 23 skipped: outside fold 4 of 4"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"group": None},
            "folds needs group: a column whose equal values stay in one fold, or row",
        ),
        (
            {"group": "subject"},
            "no column 'subject'; available: sentence1, sentence2, score, topic",
        ),
        ({"folds": 31}, "folds is 31, but there are 30 rows; set folds to 30 or fewer"),
        (
            {"folds": 7, "group": "topic"},
            "folds is 7, but there are 6 distinct values in column topic",
        ),
        ({"folds": 1}, "folds is 1; it must be 2 or more"),
        ({"fold": 0}, "fold is 0; it must be 1 to 4"),
        ({"fold": 5}, "fold is 5; it must be 1 to 4"),
        ({"fold": None}, "fold is None; it must be 1 to 4"),
        ({"folds": None, "group": None}, "fold 1 needs folds, the number of folds"),
        ({"folds": None, "fold": None}, "group row needs folds, the number of folds"),
        (
            {"folds": None, "fold": None, "group": None, "part": "fold"},
            "part fold needs folds, the number of folds",
        ),
        (
            {"limit": 1, "part": "fold", "fold": 3},
            "part fold of fold 3 of 4 has none of the 1 rows",
        ),
    ],
)
def test_bad_cuts_are_refused(write, options, message):
    with pytest.raises(InputError) as error:
        read_dataset(dataclasses.replace(write(), **options))
    assert message in str(error.value)


def test_both_orders_of_a_row_keep_its_group(write):
    rows = both_orders(read_dataset(dataclasses.replace(write(), group="topic")))
    assert len(rows.groups) == len(rows)
    for number, group in zip(rows.texts[0], rows.groups, strict=True):
        assert group == f"topic {int(number.split()[1]) ** 2 % 11}"
