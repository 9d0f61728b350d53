"""The similarity of all pairs of two sets of embeddings."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sbert.errors import require


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """a b / (|a| |b|): (Q, H), (N, H) -> (Q, N)."""
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def dot(a: Tensor, b: Tensor) -> Tensor:
    """sum_h a_h b_h: (Q, H), (N, H) -> (Q, N)."""
    return a @ b.T


def euclidean(a: Tensor, b: Tensor) -> Tensor:
    """-sqrt(sum_h (a_h - b_h)^2): (Q, H), (N, H) -> (Q, N)."""
    return _distance(a, b, 2)


def manhattan(a: Tensor, b: Tensor) -> Tensor:
    """-sum_h |a_h - b_h|: (Q, H), (N, H) -> (Q, N)."""
    return _distance(a, b, 1)


def _distance(a: Tensor, b: Tensor, order: float) -> Tensor:
    """The negative distance, from the differences.

    From products (|a|^2 - 2 a b + |b|^2), as torch has it by default, near rows lose their digits
    and a row is not 0 from itself.
    """
    mode = "donot_use_mm_for_euclid_dist"
    return -torch.cdist(a.double(), b.double(), p=order, compute_mode=mode).to(a.dtype)


SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": cosine,
    "dot": dot,
    "euclidean": euclidean,
    "manhattan": manhattan,
}


def similarity(
    a: np.ndarray | Tensor, b: np.ndarray | Tensor, similarity: str = "cosine"
) -> Tensor:
    """The similarity of all pairs, (Q, H) and (N, H) -> (Q, N), in fp32; larger is closer.

    Args:
        similarity: a name in SIMILARITIES: cosine, dot, or a negative distance, euclidean or
            manhattan.

    Raises:
        InputError: an unknown similarity.
    """
    check_similarity(similarity)
    return SIMILARITIES[similarity](torch.as_tensor(a).float(), torch.as_tensor(b).float())


def check_similarity(name: object, place: str = "similarity") -> str:
    """A name in SIMILARITIES, as read at `place`.

    Raises:
        InputError: an unknown one.
    """
    known = ", ".join(SIMILARITIES)
    require(name in SIMILARITIES, f"{place}: unknown value '{name}'; known: {known}")
    return name
