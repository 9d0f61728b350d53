"""Silver labels: what a cross-encoder, the teacher, says of pairs that nobody labelled, and which teacher said it."""

import re
from pathlib import Path

import numpy as np

from sbert import folder
from sbert.batching import TokenTable
from sbert.columns import check_teacher
from sbert.cross_encoder import CrossEncoder
from sbert.encoder import Precision
from sbert.errors import InputError
from sbert.files import READERS


def load_teacher(path: str) -> CrossEncoder:
    """A cross-encoder whose scores are labels.

    Raises:
        InputError: it gives no score, or one that may leave [0, 1].
    """
    root = folder.locate(path)
    if not folder.is_classifier(root):
        raise InputError(f"teacher {path}: is a bi-encoder; the teacher is a cross-encoder")
    teacher = CrossEncoder.from_pretrained(root)
    if teacher.dim != 1:
        raise InputError(
            f"teacher {path}: tells {teacher.dim} classes; it needs one label, trained by BinaryCrossEntropyLoss"
        )
    if teacher.activation != "sigmoid":
        raise InputError(
            f"teacher {path}: its activation is {teacher.activation}, so its labels need not lie in [0, 1]; train it by "
            "BinaryCrossEntropyLoss, or by MSELoss with activation sigmoid, on scores scaled to [0, 1]"
        )
    return teacher


def label(
    teacher: CrossEncoder, table: TokenTable, pairs: np.ndarray, symmetric: bool, precision: Precision
) -> np.ndarray:
    """The scores (P,) in [0, 1], float32, of pairs (P, 2) of a table's texts; symmetric: by the mean of both orders' logits.

    Raises:
        InputError: a score is NaN.
    """
    scores = teacher.score(table, pairs, symmetric=symmetric, precision=precision)
    if np.isnan(scores).any():
        raise InputError("the teacher gives NaN to a pair; train it anew, or use precision fp32")
    return scores


def identity(teacher: str) -> str:
    """The fingerprint of a teacher that is named by its folder or by the fingerprint itself."""
    return teacher if re.fullmatch("[0-9a-f]{64}", teacher) else load_teacher(teacher).fingerprint


def check_silver(path: str | Path, fingerprint: str) -> None:
    """Refuse a silver file with a row that another teacher labelled.

    Raises:
        InputError: naming the file, the row and its teacher.
    """
    kind = Path(path).name.removesuffix(".gz").rpartition(".")[2]
    if kind not in READERS:
        raise InputError(f"{path}: its ending tells no format; silver is .jsonl or .tsv")
    for number, line in READERS[kind](Path(path)):
        check_teacher(line, fingerprint, f"{path}, line {number}")
