"""A projection from a teacher's larger embeddings to a student's size.

A teacher of Ht numbers and a student of Hs < Ht numbers need a matrix P (Ht, Hs), so that P'x is
learnt instead of x. Its columns are orthonormal: V are the Hs leading eigenvectors of X'X, where X
(N, Ht) are the teacher's embeddings of the training texts. Of all projections V keeps the most of
X X', the teacher's dot products. Then P = V R. The rotation R changes no dot product; it brings the
targets as near as possible to the student's own embeddings before training (the orthogonal
Procrustes problem, Schönemann 1966).
"""

import numpy as np


def principal_directions(vectors: np.ndarray, count: int) -> np.ndarray:
    """The eigenvectors of X'X with the `count` largest eigenvalues: X (N, H) -> (H, count) float64.

    They are not centred: dot products with the mean are kept, too.
    """
    width = vectors.shape[1]
    moments = np.zeros((width, width))
    for start in range(0, len(vectors), 4096):
        part = np.asarray(vectors[start : start + 4096], np.float64)
        moments += part.T @ part
    _, directions = np.linalg.eigh(moments)  # of rising eigenvalue
    return directions[:, ::-1][:, :count]


def rotation(points: np.ndarray, aims: np.ndarray) -> np.ndarray:
    """The orthogonal R (H, H) for which |A R - B| is smallest; A (N, H) points, B (N, H) aims.

    With the singular value decomposition A'B = U S W', R = U W' (Schönemann 1966).
    """
    left, _, right = np.linalg.svd(points.astype(np.float64).T @ aims)
    return left @ right


def kept_share(vectors: np.ndarray, projection: np.ndarray) -> float:
    """|X P|^2 / |X|^2 for X (N, H) and P (H, K) with orthonormal columns."""
    return float(np.square(vectors @ projection).sum() / np.square(vectors).sum())
