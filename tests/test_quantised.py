"""Int8 codes and sign bits: by hand, and as sentence-transformers defines them."""

import numpy as np
import pytest

from sbert import InputError
from sbert.quantised import Binary, Int8, check_finite, scaled


def random_vectors(count=200, width=16, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1, (count, width)).astype(np.float32)


def test_int8_by_hand():
    quantiser = Int8.fit(np.array([[0, -51, 7], [255, 51, 7]], np.float32), "dot")
    assert quantiser.calibration.tolist() == [[0, -51, 7], [255, 51, 7]]
    np.testing.assert_allclose(quantiser.step, [1, 0.4, 0])
    codes = quantiser.encode(np.array([[3.7, 0.1, 7], [-9, 51, 7], [300, -60, 7]]))
    # 51.1 / 0.4 = 127.75; the second and third rows lie at the ends and beyond them
    assert codes.tolist() == [[3 - 128, 127 - 128, -128], [-128, 127, -128], [127, -128, -128]]
    decoded = quantiser.decode(codes)
    np.testing.assert_allclose(decoded[0], [3.5, 0.0, 7], atol=1e-5)  # the middles of the steps
    assert codes.dtype == np.int8
    assert decoded.dtype == np.float32


def test_int8_errs_by_half_a_step():
    vectors = random_vectors()
    quantiser = Int8.fit(vectors, "cosine")
    expected = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    error = np.abs(quantiser.decode(quantiser.encode(vectors)) - expected)
    assert (error <= quantiser.step * (0.5 + 1e-4)).all()
    assert (error.max(axis=0) > 0.4 * quantiser.step).all()


def test_binary_by_hand():
    centre = np.array([[1, 0, 0, 0, 0, 0, 0, -2]], np.float32)
    quantiser = Binary(centre, "cosine")
    vectors = np.array([[2, -1, 3, 0, -1, -1, -1, -1], [0.5, 1, 1, 1, 1, 1, 1, -3]])
    codes = Binary(np.zeros((1, 8), np.float32), "cosine").encode(vectors)
    assert codes.tolist() == [[0b10100000], [0b11111110]]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    signs = np.where(vectors / lengths > centre, 1, -1)
    assert quantiser.decode(quantiser.encode(vectors)).tolist() == signs.tolist()
    assert quantiser.encode(vectors).tolist() == [[0b00100001], [0b01111111]]


def test_the_centre_is_the_mean_of_vectors_of_length_1():
    vectors = random_vectors()
    np.testing.assert_allclose(
        Binary.fit(vectors, "cosine").calibration[0],
        (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0),
        atol=1e-6,
    )


def test_zeros_stay_zeros():
    assert scaled(np.zeros((1, 3)), "cosine").tolist() == [[0, 0, 0]]


@pytest.mark.parametrize("quantiser", [Int8, Binary])
def test_products_of_factors_rank_like_decoded_vectors(quantiser):
    quantiser = quantiser.fit(random_vectors(), "cosine")
    codes = quantiser.encode(random_vectors())
    queries = random_vectors(5, seed=1).astype(np.float64)
    compared = (queries - quantiser.origin) @ quantiser.decode(codes).T.astype(np.float64)
    factors = quantiser.factors(codes)
    assert factors.dtype == np.int8
    products = ((queries - quantiser.origin) * quantiser.step) @ factors.T.astype(np.float64)
    for row, other in zip(compared, products, strict=True):
        slope, offset = np.polyfit(other, row, 1)
        assert slope > 0
        np.testing.assert_allclose(slope * other + offset, row, atol=1e-5)


def test_codes_are_those_of_sentence_transformers():
    quantize = pytest.importorskip("sentence_transformers.util").quantize_embeddings
    vectors, others = random_vectors(), 2 * random_vectors(seed=1)
    quantiser = Int8.fit(vectors, "dot")
    theirs = quantize(others, "int8", ranges=quantiser.calibration)
    np.testing.assert_array_equal(quantiser.encode(others), theirs)
    # theirs are the signs around 0
    around_0 = Binary(np.zeros((1, 16), np.float32), "cosine")
    np.testing.assert_array_equal(around_0.encode(others), quantize(others, "ubinary"))


@pytest.mark.parametrize(
    ("quantiser", "width", "similarity", "message"),
    [
        (Int8, 7, "euclidean", "int8 vectors are searched by cosine or dot, not by euclidean"),
        (Binary, 8, "dot", "binary vectors are searched by cosine, not by dot: they keep no len"),
        (
            Binary,
            30,
            "cosine",
            "8 numbers a byte, which do not divide 30; store int8, or embed the texts with trunc",
        ),
    ],
)
def test_what_a_store_cannot_hold(quantiser, width, similarity, message):
    with pytest.raises(InputError, match=message):
        quantiser.fit(np.ones((2, width)), similarity)


def test_nan_is_named_by_its_row():
    vectors = np.ones((3, 2))
    check_finite(vectors, range(3), "x")
    vectors[1, 1] = np.nan
    with pytest.raises(InputError, match=r"x: row 8 \(from 0\) contains NaN or infinity"):
        check_finite(vectors, range(7, 10), "x")


@pytest.mark.parametrize("number", [1e200, -1e39, 1e-200])
def test_what_float32_does_not_hold_is_named_by_its_row(number):
    vectors = np.array([[0, 0], [3e38, 1e-200], [-1e-44, 0], [0, 0]])
    check_finite(vectors, range(4), "x")
    vectors[3, 1] = number
    with pytest.raises(InputError) as error:
        check_finite(vectors, range(6, 10), "x")
    assert str(error.value) == (
        f"x: row 9 (from 0) has {abs(number):.3g} as its largest number, which is outside "
        "float32's range"
    )
