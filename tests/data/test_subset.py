"""Folds: whole groups, equal sizes, the same cut of files that share their groups; what is refused."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbert.data.config import DatasetConfig
from sbert.data.rows import both_orders, read_dataset
from sbert.data.subset import fold_numbers, fold_numbers_of_rows
from sbert.errors import InputError

some_groups = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60)


@given(some_groups, st.integers(2, 5), st.integers(0, 3))
def test_folds_hold_whole_groups_and_are_of_equal_size(groups, folds, seed):
    numbers = fold_numbers(groups, folds, seed)
    for group in set(groups):
        assert len({number for number, g in zip(numbers, groups, strict=True) if g == group}) == 1
    sizes = [int((numbers == fold).sum()) for fold in range(1, folds + 1)]
    assert sum(sizes) == len(groups)
    assert max(sizes) - min(sizes) <= max(Counter(groups).values())


@given(some_groups, st.integers(2, 5), st.integers(0, 3), st.randoms())
def test_folds_do_not_depend_on_the_order_of_lines(groups, folds, seed, random):
    before = dict(zip(groups, fold_numbers(groups, folds, seed), strict=True))
    random.shuffle(groups)
    assert dict(zip(groups, fold_numbers(groups, folds, seed), strict=True)) == before


def test_large_groups_are_dealt_first():
    groups = ["a"] * 5 + ["b"] * 3 + ["c"] * 2
    for seed in range(5):
        numbers = dict(zip(groups, fold_numbers(groups, 2, seed), strict=True))
        assert numbers == {"a": 1, "b": 2, "c": 2}


@given(st.integers(1, 80), st.integers(0, 40), st.integers(2, 7), st.integers(0, 3))
def test_folds_of_rows_do_not_depend_on_how_many_follow(n, more, folds, seed):
    numbers = fold_numbers_of_rows(n, folds, seed)
    assert (numbers == fold_numbers_of_rows(n + more, folds, seed)[:n]).all()
    sizes = np.bincount(numbers, minlength=folds + 1)[1:]
    assert len(sizes) == folds
    assert sizes.max() - sizes.min() <= 1


def test_the_seed_draws_the_cut():
    groups = [f"g{i}" for i in range(40)]
    assert (fold_numbers(groups, 4, 0) != fold_numbers(groups, 4, 1)).any()
    assert (fold_numbers_of_rows(40, 4, 0) != fold_numbers_of_rows(40, 4, 1)).any()


@pytest.fixture
def write(tmp_path):
    """A file of 30 pairs on 7 topics, the texts in some language; `without`: rows whose text is empty."""

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


@pytest.mark.parametrize(("options", "message"), [
    ({"group": None}, "folds needs group: the column whose equal values stay in one fold, or row"),
    ({"group": "subject"}, "no column 'subject'; there are: sentence1, sentence2, score, topic"),
    ({"folds": 31}, "folds is 31, and there are 30 rows; set it to as many or fewer"),
    ({"folds": 7, "group": "topic"}, "folds is 7, and there are 6 different values in column topic"),
    ({"folds": 1}, "folds is 1; a cut needs 2 or more"),
    ({"fold": 0}, "fold is 0; it must be 1 to 4"),
    ({"fold": 5}, "fold is 5; it must be 1 to 4"),
    ({"fold": None}, "fold is None; it must be 1 to 4"),
    ({"folds": None, "group": None}, "fold 1 goes with folds, their number"),
    ({"folds": None, "fold": None}, "group row goes with folds, their number"),
    ({"limit": 1, "part": "fold", "fold": 3}, "part fold of fold 3 of 4 has none of the 1 rows"),
])  # fmt: skip
def test_bad_cuts_are_refused(write, options, message):
    with pytest.raises(InputError) as error:
        read_dataset(dataclasses.replace(write(), **options))
    assert message in str(error.value)


def test_both_orders_of_a_row_keep_its_group(write):
    rows = both_orders(read_dataset(dataclasses.replace(write(), group="topic")))
    assert len(rows.groups) == len(rows)
    for number, group in zip(rows.texts[0], rows.groups, strict=True):
        assert group == f"topic {int(number.split()[1]) ** 2 % 11}"
