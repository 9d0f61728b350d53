"""Models loaded for a role: rerankers, and teachers whose scores or embeddings become labels."""

import re

from sbert.errors import require
from sbert.models.bi_encoder import BiEncoder
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.folders.backbone import is_classifier, locate_folder


def load_scorer(path: str, role: str) -> CrossEncoder:
    """A cross-encoder that gives each pair one score. `role`: what error messages call it.

    Raises:
        InputError: no such folder, a bi-encoder, a classifier of several classes.
    """
    root = locate_folder(path)
    require(is_classifier(root), f"{role} {path}: is a bi-encoder; a cross-encoder is needed")
    model = CrossEncoder.from_pretrained(root)
    require(
        model.dim == 1,
        f"{role} {path}: has {model.dim} classes; a cross-encoder with one label is needed",
    )
    return model


def load_embedder(path: str, role: str) -> BiEncoder:
    """A bi-encoder. `role`: what error messages call it.

    Raises:
        InputError: no such folder, a cross-encoder.
    """
    root = locate_folder(path)
    require(not is_classifier(root), f"{role} {path}: is a cross-encoder; a bi-encoder is needed")
    return BiEncoder.from_pretrained(root)


def load_teacher(path: str) -> CrossEncoder:
    """A cross-encoder whose scores are labels in [0, 1].

    Raises:
        InputError: as `load_scorer`; an activation other than the sigmoid.
    """
    teacher = load_scorer(path, "teacher")
    require(
        teacher.activation == "sigmoid",
        f"teacher {path}: its activation is {teacher.activation}, so labels may lie outside "
        "[0, 1]; train it with BinaryCrossEntropyLoss, or with MSELoss and activation sigmoid, "
        "on scores scaled to [0, 1]",
    )
    return teacher


def teacher_fingerprint(teacher: str) -> str:
    """The fingerprint of a teacher, given as its folder or as the fingerprint itself."""
    return teacher if re.fullmatch("[0-9a-f]{64}", teacher) else load_teacher(teacher).fingerprint
