"""From a teacher's larger embeddings to a student's size: orthonormal, best, and recovered."""

import numpy as np
import pytest

from sbert.training.objectives.projection import (
    Projection,
    kept_share,
    orthogonal_projection,
    principal_directions,
    rotation,
    similarity_projection,
)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def orthogonal(generator, size: int) -> np.ndarray:
    return np.linalg.qr(generator.normal(size=(size, size)))[0]


@pytest.mark.parametrize(("rows", "width", "count"), [(30, 8, 3), (30, 8, 8), (3, 8, 5)])
def test_directions_are_orthonormal(generator, rows, width, count):
    vectors = generator.normal(size=(rows, width)) + 2
    directions = principal_directions(vectors, count)
    np.testing.assert_allclose(directions.T @ directions, np.eye(count), atol=1e-12)


def test_directions_keep_the_most_of_the_dot_products(generator):
    """By the Eckart-Young theorem: what is lost are the smallest singular values."""
    vectors = generator.normal(size=(40, 6)) * [5, 4, 3, 2, 1, 0.5] + 1
    directions = principal_directions(vectors, 3)
    projected = vectors @ directions
    lost = np.linalg.norm(vectors @ vectors.T - projected @ projected.T)
    singular = np.linalg.svd(vectors, compute_uv=False)
    assert lost == pytest.approx(np.linalg.norm(singular[3:] ** 2))
    share = (singular[:3] ** 2).sum() / (singular**2).sum()
    assert kept_share(vectors, directions) == pytest.approx(share)


def test_long_files_are_read_in_chunks(generator):
    vectors = generator.normal(size=(4096 + 7, 4)).astype(np.float32) * [4, 3, 2, 1]
    whole = np.linalg.svd(vectors.astype(np.float64), full_matrices=False)[2][:2].T
    np.testing.assert_allclose(np.abs(principal_directions(vectors, 2)), np.abs(whole), atol=1e-9)


def test_centred_directions_are_those_of_the_covariance(generator):
    vectors = generator.normal(size=(40, 5)) * [5, 4, 3, 2, 1] + [9, -9, 0, 3, 100]
    values, expected = np.linalg.eigh(np.cov(vectors.T))
    directions = principal_directions(vectors, 3, centred=True)
    np.testing.assert_allclose(np.abs(directions), np.abs(expected[:, :-4:-1]), atol=1e-9)
    share = kept_share(vectors - vectors.mean(0), 0.3 * directions)
    assert share == pytest.approx(values[2:].sum() / values.sum())


def test_a_rotated_student_is_recovered_exactly(generator):
    """The teacher's embeddings lie in 4 of 9 dimensions, where the student has them rotated."""
    inside = generator.normal(size=(25, 4))
    teacher = inside @ orthogonal(generator, 9)[:4]
    student = inside @ orthogonal(generator, 4)
    projection = orthogonal_projection(teacher, np.arange(25), student)
    np.testing.assert_allclose(projection.matrix.T @ projection.matrix, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(projection(teacher), student, atol=1e-12)
    assert kept_share(teacher, projection.matrix) == pytest.approx(1)


def test_a_rotated_scaled_and_shifted_student_is_recovered_exactly(generator):
    """From 9 of 25 rows, where the teacher's differences lie in 4 of 9 dimensions."""
    inside = generator.normal(size=(25, 4))
    teacher = inside @ orthogonal(generator, 9)[:4] + generator.normal(size=9)
    student = 0.3 * inside @ orthogonal(generator, 4) + generator.normal(size=4)
    sample = np.arange(1, 25, 3)
    projection = similarity_projection(teacher, sample, student[sample])
    np.testing.assert_allclose(projection(teacher), student, atol=1e-12)
    matrix = projection.matrix
    np.testing.assert_allclose(matrix.T @ matrix, 0.3**2 * np.eye(4), atol=1e-12)
    assert kept_share(teacher - teacher.mean(0), matrix) == pytest.approx(1)


def test_no_other_scale_rotation_or_shift_is_nearer(generator):
    teacher, student = generator.normal(size=(30, 7)) + 2, generator.normal(size=(30, 4)) - 1
    best = similarity_projection(teacher, np.arange(30), student)
    least = np.linalg.norm(best(teacher) - student)
    matrix, offset = best.matrix, best.offset
    middle = teacher.mean(0) @ matrix

    def distance(matrix, offset) -> float:
        return np.linalg.norm(Projection(matrix, offset)(teacher) - student)

    for scale in (0.9, 1.1):  # about the mean
        assert distance(scale * matrix, offset + (1 - scale) * middle) > least
    for _ in range(50):
        assert distance(matrix, offset + 0.01 * generator.normal(size=4)) > least
        turn = orthogonal(generator, 4)
        assert distance(matrix @ turn, offset + middle - middle @ turn) > least


def test_no_rotation_is_nearer(generator):
    points, aims = generator.normal(size=(2, 20, 5))
    best = np.linalg.norm(points @ rotation(points, aims) - aims)
    others = [np.linalg.norm(points @ orthogonal(generator, 5) - aims) for _ in range(50)]
    assert best < min(others)
