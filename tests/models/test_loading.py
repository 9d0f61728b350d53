"""Teachers: what they are loaded from, what is refused, and their identity."""

import pytest
from tiny_models import write_classifier

from sbert import CrossEncoder
from sbert.errors import InputError
from sbert.models.loading import load_teacher, teacher_fingerprint


@pytest.fixture(scope="module")
def cross(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("cross"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 3}, "has 3 classes; a cross-encoder with one label is needed"),
        (
            {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
            r"its activation is identity, so labels may lie outside \[0, 1\]; "
            "train it with BinaryCrossEntropyLoss",
        ),
    ],
)
def test_a_teacher_whose_labels_are_not_scores_from_0_to_1(tmp_path, options, message):
    folder = write_classifier(tmp_path / "cross", **options)
    with pytest.raises(InputError, match=f"teacher {folder}: {message}"):
        load_teacher(str(folder))


def test_a_teacher_that_is_none(tiny_folder):
    with pytest.raises(InputError, match="is a bi-encoder; a cross-encoder is needed"):
        load_teacher(str(tiny_folder))
    with pytest.raises(InputError, match="model no/such/folder: no such folder"):
        load_teacher("no/such/folder")


def test_the_identity_of_a_teacher(cross, tmp_path):
    teacher = load_teacher(str(cross))
    assert (
        teacher_fingerprint(str(cross))
        == teacher.fingerprint
        == CrossEncoder.from_pretrained(cross).fingerprint
    )
    assert teacher_fingerprint(teacher.fingerprint) == teacher.fingerprint
    teacher.save_pretrained(tmp_path / "copy")
    assert (
        teacher_fingerprint(str(tmp_path / "copy")) == teacher.fingerprint
    )  # of the weights, not of the folder
    before = teacher.fingerprint
    teacher.activation = "identity"
    assert teacher.fingerprint != before
    teacher.activation = "sigmoid"
    teacher.transformer.classifier.bias.data += 1e-3
    assert teacher.fingerprint != before
