"""Labels of a teacher, and silver files that another teacher labelled."""

import json

import numpy as np
import pytest
from tiny_models import write_classifier

from sbert.augment.silver import label_pairs
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.errors import InputError
from sbert.models.loading import load_teacher, teacher_fingerprint

TEXTS = [
    "the cat sits",
    "a dog runs fast",
    "is the house red",
    "a man eats on the mat with a small child",
]


PAIRS = np.array([[0, 1], [2, 1], [3, 0], [1, 0]])


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("cross"))


def labels(teacher, pairs, symmetric):
    return label_pairs(teacher, teacher.text_tokenizer.tokenize(TEXTS), pairs, symmetric, "fp32")


@pytest.mark.parametrize("symmetric", [False, True])
def test_labels_are_what_predict_gives(cross, symmetric):
    teacher = load_teacher(str(cross))
    texts = [(TEXTS[i], TEXTS[j]) for i, j in PAIRS]
    found = labels(teacher, PAIRS, symmetric)
    np.testing.assert_allclose(
        found, teacher.predict(texts, symmetric=symmetric, precision="fp32"), atol=1e-6
    )
    assert found.dtype == np.float32
    assert ((found > 0) & (found < 1)).all()
    mirrored = labels(teacher, PAIRS[:, ::-1], symmetric)
    assert np.allclose(found, mirrored, atol=1e-6) == symmetric
    assert labels(teacher, PAIRS[:0], symmetric).shape == (0,)


def test_symmetric_is_the_mean_of_the_logits_of_both_orders(cross):
    teacher = load_teacher(str(cross))
    logits = [
        teacher.predict([(TEXTS[a], TEXTS[b])], logits=True, precision="fp32")
        for a, b in ((2, 3), (3, 2))
    ]
    expected = 1 / (1 + np.exp(-(logits[0] + logits[1]) / 2))
    assert labels(teacher, np.array([[2, 3]]), True) == pytest.approx(expected, abs=1e-6)


def test_a_teacher_that_gives_nan(cross):
    teacher = load_teacher(str(cross))
    teacher.transformer.classifier.bias.data.fill_(float("nan"))
    with pytest.raises(InputError, match="the score of pair 0 is not finite"):
        labels(teacher, PAIRS, False)


@pytest.fixture
def silver(tmp_path):
    """Three rows, the last one of another teacher."""

    def write(ending, teachers):
        names = ["sentence1", "sentence2", "score", "strategy", "teacher"]
        rows = [
            dict(zip(names, ["a cat", f"dog {i}", 0.5, "bm25", t], strict=True))
            for i, t in enumerate(teachers)
        ]
        path = tmp_path / f"silver.{ending}"
        if ending == "jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            path.write_text(
                "\n".join(
                    "\t".join(map(str, cells)) for cells in [names, *(r.values() for r in rows)]
                )
                + "\n"
            )
        return path

    return write


@pytest.mark.parametrize("ending", ["jsonl", "tsv"])
def test_a_file_of_another_teacher(silver, cross, ending):
    mine, other = teacher_fingerprint(str(cross)), "f" * 64
    path = silver(ending, [mine, mine, mine])
    for teacher in (str(cross), mine):
        assert (
            len(
                read_dataset(
                    DatasetConfig(str(path), teacher=teacher), fingerprint_of=teacher_fingerprint
                )
            )
            == 3
        )
    silver(ending, [mine, mine, other])
    line = 3 if ending == "jsonl" else 4
    message = (
        f"{path}, line {line}: teacher is {other[:16]}, expected {mine[:16]}: "
        "another cross-encoder labelled this row; "
        r"label again \(augment.py silver --overwrite\), or set teacher to the one that did"
    )
    for teacher in (str(cross), mine):
        with pytest.raises(InputError, match=message):
            read_dataset(
                DatasetConfig(str(path), teacher=teacher), fingerprint_of=teacher_fingerprint
            )
    assert len(read_dataset(DatasetConfig(str(path)))) == 3  # not asked for


def test_a_file_that_names_no_teacher(tmp_path, cross):
    path = tmp_path / "gold.tsv"
    path.write_text("sentence1\tsentence2\tscore\na\tb\t0.5\n")
    with pytest.raises(
        InputError, match="line 2: no column 'teacher'; available: sentence1, sentence2, score"
    ):
        read_dataset(
            DatasetConfig(str(path), teacher=str(cross)), fingerprint_of=teacher_fingerprint
        )
