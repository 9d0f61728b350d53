"""Similarities against their formulas, computed in plain Python and in float64."""

import math

import numpy as np
import pytest
import torch

from sbert import InputError, similarity


def loop(a: list[float], b: list[float], name: str) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    if name == "dot":
        return dot
    if name == "cosine":
        lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
        return dot / lengths if lengths else 0.0
    gaps = [abs(x - y) for x, y in zip(a, b, strict=True)]
    return -sum(gaps) if name == "manhattan" else -math.sqrt(sum(gap * gap for gap in gaps))


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
@pytest.mark.parametrize("tensors", [True, False])
def test_similarity_is_a_loop(name, tensors):
    generator = np.random.default_rng(0)
    a, b = (
        generator.normal(size=(4, 5)).astype(np.float32),
        generator.normal(size=(3, 5)).astype(np.float32),
    )
    a[2] = 0
    given = (torch.from_numpy(a), torch.from_numpy(b)) if tensors else (a, b)
    expected = [[loop(x, y, name) for y in b.tolist()] for x in a.tolist()]
    made = similarity(*given, name)
    assert made.dtype == torch.float32
    assert made.shape == (4, 3)
    np.testing.assert_allclose(made, expected, atol=1e-5)
    if name == "cosine":
        assert torch.equal(similarity(*given), made)


@pytest.mark.parametrize("order", [1, 2])
def test_distances_are_exact_for_any_number_of_rows(order):
    # enough rows for torch to take Euclidean distances from products, with coarse rounding
    rows = np.random.default_rng(0).normal(size=(120, 384)).astype(np.float32)
    rows[60:] = rows[:60] + 1e-4 * rows[60:]  # near ones, whose digits products lose
    made = similarity(rows, rows, ["manhattan", "euclidean"][order - 1])
    exact = rows.astype(np.float64)
    expected = -np.linalg.norm(exact[:, None] - exact, ord=order, axis=2)
    np.testing.assert_allclose(made, expected, rtol=1e-6)
    assert (made.diagonal() == 0).all()


def test_similarity_by_hand():
    a, b = [[3.0, 4.0]], [[6.0, 8.0], [4.0, -3.0], [0.0, 0.0]]
    by_hand = {
        "cosine": [1, 0, 0],
        "dot": [50, 0, 0],
        "euclidean": [-5, -(50**0.5), -5],
        "manhattan": [-7, -8, -7],
    }
    for name, expected in by_hand.items():
        assert similarity(np.array(a), np.array(b), name)[0].tolist() == pytest.approx(
            expected, abs=1e-5
        )


def test_similarity_of_half_precision_is_computed_in_fp32():
    rows = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)).half()
    made = similarity(rows, rows, "dot")
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made, rows.float() @ rows.float().T, rtol=1e-6)


def test_unknown_similarity():
    with pytest.raises(
        InputError, match="unknown value 'cos'; known: cosine, dot, euclidean, manhattan"
    ):
        similarity(np.ones((1, 2)), np.ones((1, 2)), "cos")
