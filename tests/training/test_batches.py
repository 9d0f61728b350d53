"""Training data of which the batches that a loss needs cannot be made."""

import numpy as np
import pytest

from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.losses.batch_triplet import BatchHardTripletLoss, BatchSemiHardTripletLoss
from sbert.losses.matryoshka import MatryoshkaLoss
from sbert.losses.ranking import MultipleNegativesRankingLoss
from sbert.losses.softmax import SoftmaxLoss
from sbert.training.batches import check_batch_size, check_classmates
from sbert.training.config import DataConfig, ModelConfig, OptimConfig, TrainConfig


def topics(labels: list[int], name: str = "topics") -> Rows:
    return Rows(
        name,
        "class",
        [[f"text {i}" for i in range(len(labels))]],
        np.array(labels),
        classes=["war", "sport", "art"],
        files=[f"{name}.tsv"],
        lines=np.arange(len(labels)) + 2,
    )


def options(batch_size: int = 4, mix: str = "proportional") -> TrainConfig:
    return TrainConfig(
        name="run",
        model=ModelConfig("m"),
        data=DataConfig([], mix=mix),
        loss=BatchHardTripletLoss(),
        optim=OptimConfig(batch_size=batch_size),
    )


ONE_ROW = (
    "topics.tsv, line 4: class sport has 1 row; BatchHardTripletLoss compares a text with others "
    "of its class, so give each class 2 rows or more, or leave this one out"
)
ONE_CLASS = "topics: all rows are of class art; BatchHardTripletLoss needs two classes or more"
REFUSED = {
    "a class of one row": ([topics([0, 0, 1, 2, 2])], options(), ONE_ROW),
    "in all datasets": ([topics([0, 0, 1]), topics([2, 2, 0], "b")], options(), ONE_ROW),
    "in its own turn": (
        [topics([0, 0, 1, 2, 2]), topics([1, 1, 0, 0], "b")],
        options(mix="round_robin"),
        ONE_ROW,
    ),
    "one class": ([topics([2, 2, 2])], options(), ONE_CLASS),
    "a batch of one class": (
        [topics([0, 0, 1, 1])],
        options(batch_size=3),
        "optim.batch_size is 3; BatchHardTripletLoss needs 4 or more: two rows of two classes",
    ),
}


@pytest.mark.parametrize(("datasets", "config", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("wrap", [lambda loss: loss, lambda loss: MatryoshkaLoss(loss, [8])])
def test_data_without_classmates_are_refused(datasets, config, message, wrap):
    with pytest.raises(InputError) as error:
        check_classmates(wrap(BatchHardTripletLoss()), datasets, config)
    assert str(error.value) == message


def test_a_batch_of_one_row_has_nothing_to_compare():
    pairs = Rows("pairs", "pair", [["a", "b"], ["c", "d"]], None)
    with pytest.raises(InputError) as error:
        check_batch_size(MatryoshkaLoss(MultipleNegativesRankingLoss(), [8]), [pairs], 1)
    assert str(error.value) == (
        "optim.batch_size is 1; MultipleNegativesRankingLoss compares the rows of a batch with "
        "each other: use 2 or more"
    )
    triplets = Rows("triplets", "triplet", [["a", "b"], ["c", "d"], ["e", "f"]], None)
    check_batch_size(MultipleNegativesRankingLoss(), [triplets], 1)  # of its own negatives


def test_classmates_in_another_dataset_and_losses_that_need_none():
    check_classmates(BatchSemiHardTripletLoss(), [topics([0, 1]), topics([0, 1, 1])], options())
    check_classmates(SoftmaxLoss(3, ["u"]), [topics([0, 1])], options(batch_size=1))
