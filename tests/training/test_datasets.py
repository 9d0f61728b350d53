"""Data that a loss cannot read: labels out of its range, other tasks, other numbers of texts."""

import math
import re

import numpy as np
import pytest
from retrieval_inputs import write_project_layout

from sbert.data.config import DatasetConfig
from sbert.data.rows import Rows
from sbert.errors import InputError
from sbert.losses.contrastive import ContrastiveLoss, TripletLoss
from sbert.losses.cross_encoder import (
    BinaryCrossEntropyLoss,
    CrossEntropyLoss,
    LocalizedContrastiveLoss,
    MSELoss,
)
from sbert.losses.distillation import DistillKLDivLoss, MarginMSELoss
from sbert.losses.language_model import MaskedLanguageModelLoss
from sbert.losses.ranking import MultipleNegativesRankingLoss
from sbert.losses.similarity import CosineSimilarityLoss
from sbert.losses.softmax import SoftmaxLoss
from sbert.training import datasets
from sbert.training.batches import check_weights
from sbert.training.config import DataConfig, ModelConfig, TrainConfig
from sbert.training.datasets import RunData, TrainingPart, read_run_data, share_run_data
from sbert.training.labels_fit import check_fit, check_labels


def pairs(labels, task="sts", name="stsb-train", **options):
    texts = [[f"{side} {i}" for i in range(len(labels))] for side in "ab"]
    return Rows(name, task, texts, labels, **options)


REMEDY = (
    "its labels lie in [0, 1]: divide by the highest, "
    "or declare range, the file's lowest and highest score"
)


@pytest.mark.parametrize(
    "loss", [BinaryCrossEntropyLoss(), MSELoss(), MSELoss("sigmoid")], ids=lambda k: repr(k)
)
@pytest.mark.parametrize(
    ("labels", "row", "value"),
    [
        ([0, 1, 2.5, 5], 2, "2.5"),
        ([5, 4, 0], 0, "5"),
        ([0.5, 1, 1.001], 2, "1.001"),
        ([1, -0.25, 0], 1, "-0.25"),
        ([1, math.nan, 7], 1, "nan"),
        ([0, math.inf], 1, "inf"),
        ([0, -math.inf], 1, "-inf"),
    ],
    ids=str,
)
def test_labels_outside_0_to_1_are_refused_with_their_row_and_the_remedy(loss, labels, row, value):
    data = pairs(np.array(labels, np.float32))
    said = f"stsb-train, row {row}: the label {value} does not fit {type(loss).__name__}: {REMEDY}"
    for check in (lambda: check_labels(loss, data), lambda: check_fit(loss, [data])):
        with pytest.raises(InputError) as error:
            check()
        assert str(error.value) == said


def test_every_dataset_is_checked_and_the_bad_one_is_named():
    good = pairs(np.array([0, 1, 0.5], np.float32), name="good")
    bad = pairs(np.array([0, 3], np.float32), "binary", name="bad")
    with pytest.raises(
        InputError, match="^bad, row 1: the label 3 does not fit BinaryCrossEntropyLoss: "
    ):
        check_fit(BinaryCrossEntropyLoss(), [good, good, bad])


def test_labels_from_0_to_1_and_their_ends_are_read():
    for dtype in (np.float32, np.float64, np.int64):
        check_fit(
            BinaryCrossEntropyLoss(),
            [pairs(np.array([0, 1, 1], dtype)), pairs(np.array([0, 1]), "binary")],
        )


@pytest.mark.parametrize(
    ("classes", "labels", "row", "value"),
    [(3, [0, 1, 2, 3], 3, 3), (3, [0, -1, 5], 1, -1), (2, [0, 1, 2], 2, 2), (6, [5, 6], 1, 6)],
)
@pytest.mark.parametrize("kind", [CrossEntropyLoss, SoftmaxLoss])
def test_classes_outside_0_to_k_minus_1_are_refused(kind, classes, labels, row, value):
    data, loss = pairs(np.array(labels), "nli", "snli"), kind(classes)
    said = (
        f"snli, row {row}: the label {value} does not fit {kind.__name__}: "
        f"its classes are 0 to {classes - 1}"
    )
    for check in (lambda: check_labels(loss, data), lambda: check_fit(loss, [data])):
        with pytest.raises(InputError) as error:
            check()
        assert str(error.value) == said


def test_all_classes_are_read():
    check_fit(CrossEntropyLoss(4), [pairs(np.array([0, 1, 2, 3]), "nli", classes=list("abcd"))])


@pytest.mark.parametrize(
    ("loss", "task", "columns", "said"),
    [
        (
            LocalizedContrastiveLoss(),
            "triplet",
            2,
            "LocalizedContrastiveLoss reads 3 or more texts and no labels",
        ),
        (
            LocalizedContrastiveLoss(),
            "sts",
            3,
            "LocalizedContrastiveLoss reads 3 or more texts and no labels",
        ),
        (
            BinaryCrossEntropyLoss(),
            "triplet",
            3,
            "BinaryCrossEntropyLoss reads 2 texts and score labels",
        ),
        (
            BinaryCrossEntropyLoss(),
            "rerank",
            2,
            "BinaryCrossEntropyLoss reads 2 texts and score labels",
        ),
        (CrossEntropyLoss(), "sts", 2, "CrossEntropyLoss reads 2 texts and class labels"),
    ],
)
def test_rows_of_another_shape_are_refused(loss, task, columns, said):
    labels = None if task == "triplet" else np.zeros(2, np.float32)
    with pytest.raises(InputError) as error:
        check_fit(loss, [Rows("rows", task, [["a", "b"]] * columns, labels)])
    tasks = {"score": "sts or binary", "class": "nli", None: "triplet"}[loss.target]
    assert str(error.value) == f"{said} (task {tasks}); rows has {columns} texts, task {task}"


@pytest.mark.parametrize("columns", [3, 4, 9])
def test_the_contrastive_loss_reads_any_number_of_negatives(columns):
    check_fit(LocalizedContrastiveLoss(), [Rows("rows", "triplet", [["a"]] * columns, None)])


SCORES = np.array([0, 0.5, 1], np.float32)
TRIPLETS = Rows("triplets", "triplet", [["a", "b"]] * 3, None)


@pytest.mark.parametrize(
    ("loss", "data"),
    [
        (CosineSimilarityLoss(), pairs(SCORES)),
        (TripletLoss(), TRIPLETS),
        (SoftmaxLoss(), pairs(np.array([0, 1, 2]), "nli", classes=["a", "b", "c"])),
        (ContrastiveLoss(), pairs(np.array([0, 1], np.float32), "binary")),
    ],
)
def test_data_that_fits_a_loss_of_a_bi_encoder(loss, data):
    check_fit(loss, [data])


@pytest.mark.parametrize(
    ("loss", "data", "message"),
    [
        (
            TripletLoss(),
            pairs(SCORES),
            "TripletLoss reads 3 texts and no labels (task triplet); stsb-train has 2 texts, "
            "task sts",
        ),
        (
            CosineSimilarityLoss(),
            TRIPLETS,
            "CosineSimilarityLoss reads 2 texts and score labels",
        ),
        (
            ContrastiveLoss(),
            pairs(SCORES),
            "ContrastiveLoss reads 2 texts and binary labels (task binary); stsb-train",
        ),
        (
            SoftmaxLoss(2),
            pairs(np.zeros(3, int), "nli", name="nli", classes=["a", "b", "c"]),
            "num_labels is 2, nli has 3",
        ),
    ],
)
def test_data_that_does_not_fit_a_loss_of_a_bi_encoder(loss, data, message):
    with pytest.raises(InputError, match=re.escape(message)):
        check_fit(loss, [data])


def test_datasets_with_other_classes_or_half_weighted():
    a = pairs(np.zeros(3, int), "nli", classes=["a", "b", "c"])
    b = pairs(np.zeros(3, int), "nli", classes=["c", "b", "a"])
    with pytest.raises(InputError, match="classes"):
        check_fit(SoftmaxLoss(), [a, b])
    with pytest.raises(InputError, match="weight"):
        check_weights([pairs(SCORES, weight=1.0), pairs(SCORES)], "proportional")


@pytest.mark.parametrize("weight", [0.0, -1.0, math.inf, math.nan])
def test_a_weight_is_a_finite_number_above_0(weight):
    with pytest.raises(InputError, match=rf"weight is {weight}; it must be a finite number above"):
        check_weights([pairs(SCORES, weight=weight)], "proportional")


@pytest.mark.parametrize(
    "loss", [DistillKLDivLoss(), MarginMSELoss(), MultipleNegativesRankingLoss()]
)
def test_a_loss_leaves_out_the_scores_of_a_teacher_that_it_does_not_read(tmp_path, loss):
    path = tmp_path / "flag.jsonl"
    path.write_text(
        '{"query": "q", "pos": ["p", "r"], "neg": ["n"], "pos_scores": [3, 2], "neg_scores": [1]}'
    )
    config = TrainConfig("run", ModelConfig("tiny"), DataConfig([DatasetConfig(str(path))]), loss)
    [part] = read_run_data(config).parts
    [rows] = part.train
    assert rows.texts == [["q", "q"], ["p", "r"], ["n", "n"]]
    assert (rows.labels is not None) == (loss.target == "margin")
    if loss.target:
        assert rows.labels.tolist() == [[2], [1]]


@pytest.mark.parametrize(
    "loss", [MultipleNegativesRankingLoss(), SoftmaxLoss(), MaskedLanguageModelLoss()]
)
@pytest.mark.parametrize("held_out", [[], [DatasetConfig("demo", "test")]])
def test_a_retrieval_folder_is_not_trained_on(tmp_path, loss, held_out):
    folder = write_project_layout(tmp_path)
    data = DataConfig(train=[DatasetConfig(str(folder), "test")], held_out=held_out)
    with pytest.raises(InputError, match="a retrieval folder is for evaluation; to train on it"):
        read_run_data(TrainConfig("run", ModelConfig("model"), data, loss))


class OtherProcess:
    """The second of two processes, which the main one has sent rows without texts."""

    num_processes, is_main_process = 2, False


def test_other_processes_get_the_rows_without_their_texts(monkeypatch):
    train = [DatasetConfig("demo", "train", limit=20), DatasetConfig("demo", "train", beyond=0.9)]
    dev = [DatasetConfig("demo", "dev")]
    loss = {name: CosineSimilarityLoss() for name in ("a", "b")}
    for dataset, name in zip(train, loss, strict=True):
        dataset.name = name
    config = TrainConfig("run", ModelConfig("model"), DataConfig(train, dev), loss)
    whole = read_run_data(config)
    sent = [rows.without_texts() for rows in whole.train]
    monkeypatch.setattr(datasets, "broadcast", lambda accelerator, value: sent)
    found = share_run_data(config, OtherProcess())
    assert [part.name for part in found.parts] == ["a", "b"]
    assert found.dev[0].texts == whole.dev[0].texts
    for rows, expected in zip(found.train, whole.train, strict=True):
        assert (len(rows), len(rows.texts)) == (len(expected), 2)
        assert set(rows.texts[0]) == {None}
        np.testing.assert_array_equal(rows.labels, expected.labels)


def test_texts_of_training_are_freed_once_they_are_tokens():
    data = RunData([TrainingPart(CosineSimilarityLoss(), [pairs(SCORES)])], [pairs(SCORES)], [])
    data.drop_training_texts()
    assert set(data.train[0].texts[1]) == {None}
    assert len(data.train[0]) == len(SCORES)
    assert data.dev[0].texts[0][0] == "a 0"
