"""From a teacher's larger embeddings to a student's size.

A teacher of Ht numbers and a student of Hs <= Ht numbers need a map x -> P'x + t, whose values are
learnt instead of x. There are two, both on the Hs leading principal directions V of the teacher's
embeddings of the training texts, and both fitted to Y, the student's embeddings before training.

- orthogonal: P = V R, t = 0. Of all such maps V keeps the most of X X', the teacher's dot products.
  The rotation R changes none of them, and brings the targets as near as possible to Y (the
  orthogonal Procrustes problem, Schönemann 1966). The student has to learn the teacher's cosines.
- similarity: s R'V'(x - m) + c, with m the mean of X, and V the directions of X - m. Rotation,
  scale and shift together are those nearest to Y (Schönemann and Carroll 1970). The differences
  between embeddings keep the teacher's angles and proportions; their mean and size are the
  student's, which has less to move, so that less of what it knows is lost.
"""

from dataclasses import dataclass

import numpy as np

CHUNK = 4096  # rows read at once from the teacher's file


@dataclass(frozen=True)
class Projection:
    """x -> P'x + t, of rows: (N, Ht) -> (N, Hs). matrix: P (Ht, Hs). offset: t (Hs,)."""

    matrix: np.ndarray
    offset: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        return vectors @ self.matrix + self.offset


def orthogonal_projection(vectors: np.ndarray, sample: np.ndarray, own: np.ndarray) -> Projection:
    """P = V R, t = 0, of the teacher's X (N, Ht); own (S, Hs) are the student's Y of X[sample]."""
    directions = principal_directions(vectors, own.shape[1])
    matrix = directions @ rotation(vectors[sample] @ directions, own)
    return Projection(matrix, np.zeros(own.shape[1]))


def similarity_projection(vectors: np.ndarray, sample: np.ndarray, own: np.ndarray) -> Projection:
    """P = s V R, t = c - P'm, with m and c the means of X[sample] and Y.

    s = sum((X - m) V R * (Y - c)) / |(X - m) V|^2.
    """
    directions = principal_directions(vectors, own.shape[1], centred=True)
    points = vectors[sample].astype(np.float64)
    mean, own_mean = points.mean(0), own.mean(0, dtype=np.float64)
    inside = (points - mean) @ directions
    aims = own - own_mean
    turn = rotation(inside, aims)
    scale = np.sum(inside @ turn * aims) / np.square(inside).sum()
    matrix = scale * directions @ turn
    return Projection(matrix, own_mean - mean @ matrix)


def principal_directions(vectors: np.ndarray, count: int, centred: bool = False) -> np.ndarray:
    """The eigenvectors of X'X with the `count` largest eigenvalues: X (N, H) -> (H, count) float64.

    centred: those of (X - m)'(X - m), with m the mean of X.
    """
    size, width = vectors.shape
    moments, total = np.zeros((width, width)), np.zeros(width)
    for start in range(0, size, CHUNK):
        part = np.asarray(vectors[start : start + CHUNK], np.float64)
        moments += part.T @ part
        total += part.sum(0)
    if centred:
        moments -= np.outer(total, total) / size
    _, directions = np.linalg.eigh(moments)  # of rising eigenvalue
    return directions[:, ::-1][:, :count]


def rotation(points: np.ndarray, aims: np.ndarray) -> np.ndarray:
    """The orthogonal R (H, H) for which |A R - B| is smallest; A (N, H) points, B (N, H) aims.

    With the singular value decomposition A'B = U S W', R = U W' (Schönemann 1966).
    """
    left, _, right = np.linalg.svd(points.astype(np.float64).T @ aims)
    return left @ right


def kept_share(vectors: np.ndarray, matrix: np.ndarray) -> float:
    """|X Q|^2 / |X|^2 for X (N, H), with Q the orthogonal columns of `matrix` at length 1."""
    columns = matrix / np.linalg.norm(matrix, axis=0)
    return float(np.square(vectors @ columns).sum() / np.square(vectors).sum())
