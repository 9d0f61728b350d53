"""One forward pass for all columns, and data that does not fit a loss."""

import numpy as np
import pytest
import torch

from sbert import InputError
from sbert.data.rows import Rows
from sbert.losses.contrastive import ContrastiveLoss, TripletLoss
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss
from sbert.training.objective import Objective, TrainingSet, check_fit


def rows(task="sts", columns=2, n=6, labels=None, **options):
    texts = [[f"the cat sits {'on ' * (i + c)}" for i in range(n)] for c in range(columns)]
    labels = (
        np.linspace(0, 1, n).astype(np.float32) if labels is None and task != "triplet" else labels
    )
    return Rows(f"some-{task}", task, texts, labels, **options)


@pytest.mark.parametrize(("loss", "data"), [
    (CosineSimilarityLoss(), rows()),
    (TripletLoss(), rows("triplet", 3)),
    (SoftmaxLoss(), rows("nli", labels=np.array([0, 1, 2, 0, 1, 2]), classes=["a", "b", "c"])),
    (ContrastiveLoss(), rows("binary", labels=np.array([0, 1, 0, 1, 0, 1], np.float32))),
])  # fmt: skip
def test_loss_equals_one_forward_pass_a_column(tiny, loss, data):
    training_set = TrainingSet.of([data], tiny)
    objective = Objective(tiny, loss)
    batch = training_set.batch(np.array([4, 0, 3]))
    columns = []
    for column in data.texts:
        tokens = tiny.tokenizer([column[i] for i in (4, 0, 3)], padding=True, return_tensors="pt")
        columns.append(tiny(tokens["input_ids"], tokens["attention_mask"]))
    labels = None if data.labels is None else torch.from_numpy(data.labels[[4, 0, 3]])
    torch.testing.assert_close(objective(batch), loss(columns, labels))
    check_fit(loss, [data])


def test_head_of_the_loss_is_part_of_the_objective(tiny):
    names = [
        name
        for name, _ in Objective(tiny, SoftmaxLoss()).named_parameters()
        if name.startswith("loss")
    ]
    assert names == ["loss.head.weight", "loss.head.bias"]


def test_distinct_texts_are_tokenised_once(tiny):
    data = rows(n=6)
    training_set = TrainingSet.of([data, data], tiny)
    assert len(training_set.table) == len({t for column in data.texts for t in column})
    assert training_set.texts.shape == (12, 2)
    assert training_set.sizes == (6, 6)
    assert training_set.lengths[:6].tolist() == [5 + i + 1 for i in range(6)]


@pytest.mark.parametrize(("loss", "data", "message"), [
    (TripletLoss(), rows(), "TripletLoss reads 3 texts and no labels .task triplet.; some-sts has 2 texts, task sts"),
    (CosineSimilarityLoss(), rows("triplet", 3), "CosineSimilarityLoss reads 2 texts and score labels"),
    (ContrastiveLoss(), rows(), "ContrastiveLoss reads 2 texts and binary labels .task binary.; some-sts"),
    (SoftmaxLoss(2), rows("nli", labels=np.zeros(6, int), classes=["a", "b", "c"]), "num_labels is 2, some-nli has 3"),
])  # fmt: skip
def test_data_that_does_not_fit_the_loss(loss, data, message):
    with pytest.raises(InputError, match=message):
        check_fit(loss, [data])


def test_datasets_with_other_classes_or_half_weighted():
    a = rows("nli", labels=np.zeros(6, int), classes=["a", "b", "c"])
    b = rows("nli", labels=np.zeros(6, int), classes=["c", "b", "a"])
    with pytest.raises(InputError, match="classes"):
        check_fit(SoftmaxLoss(), [a, b])
    with pytest.raises(InputError, match="weight"):
        check_fit(CosineSimilarityLoss(), [rows(weight=1.0), rows()])
