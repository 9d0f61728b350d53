"""The objective computes all columns in one forward pass; a training set tokenises a text once."""

import numpy as np
import pytest
import torch

from sbert.data.rows import Rows
from sbert.losses.contrastive import ContrastiveLoss, TripletLoss
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss
from sbert.training.objective import Objective, TrainingSet


def rows(task="sts", columns=2, n=6, labels=None, **options):
    texts = [[f"the cat sits {'on ' * (i + c)}" for i in range(n)] for c in range(columns)]
    labels = (
        np.linspace(0, 1, n).astype(np.float32) if labels is None and task != "triplet" else labels
    )
    return Rows(f"some-{task}", task, texts, labels, **options)


@pytest.mark.parametrize(
    ("loss", "data"),
    [
        (CosineSimilarityLoss(), rows()),
        (TripletLoss(), rows("triplet", 3)),
        (SoftmaxLoss(), rows("nli", labels=np.array([0, 1, 2, 0, 1, 2]), classes=["a", "b", "c"])),
        (ContrastiveLoss(), rows("binary", labels=np.array([0, 1, 0, 1, 0, 1], np.float32))),
    ],
)
def test_loss_equals_one_forward_pass_a_column(tiny, loss, data):
    training_set = TrainingSet.from_datasets([data], tiny)
    objective = Objective(tiny, loss)
    batch = training_set.batch(np.array([4, 0, 3]))
    columns = []
    for column in data.texts:
        tokens = tiny.tokenizer([column[i] for i in (4, 0, 3)], padding=True, return_tensors="pt")
        columns.append(tiny(tokens["input_ids"], tokens["attention_mask"]))
    labels = None if data.labels is None else torch.from_numpy(data.labels[[4, 0, 3]])
    torch.testing.assert_close(objective(batch), loss(columns, labels))


def test_head_of_the_loss_is_part_of_the_objective(tiny):
    names = [name for name, _ in Objective(tiny, SoftmaxLoss()).named_parameters()]
    assert [name for name in names if not name.startswith("model.")] == [
        "loss.head.weight",
        "loss.head.bias",
    ]


def test_distinct_texts_are_tokenised_once(tiny):
    data = rows(n=6)
    training_set = TrainingSet.from_datasets([data, data], tiny)
    assert len(training_set.table.lengths) == len({t for column in data.texts for t in column})
    assert training_set.texts.shape == (12, 2)
    assert training_set.sizes == (6, 6)
    assert training_set.lengths[:6].tolist() == [5 + i + 1 for i in range(6)]
