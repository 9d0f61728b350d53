"""Files of quantised vectors: written, read, refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sbert import InputError
from sbert.quantised import Binary, Int8
from sbert.quantised_files import load_quantised, quantised_header

VECTORS = np.random.default_rng(0).normal(size=(9, 16)).astype(np.float32)
BINARY = {"store": "binary", "similarity": "cosine"}
INT8 = {"store": "int8", "similarity": "cosine"}
CODES, RANGES = np.zeros((3, 4), np.int8), np.zeros((2, 4), np.float32)


@pytest.mark.parametrize("kind", [Int8, Binary])
def test_a_file_is_read_as_it_was_written(tmp_path, kind):
    quantiser = kind.fit(VECTORS, "cosine")
    codes = quantiser.encode(VECTORS)
    path = tmp_path / "x.safetensors"
    path.write_bytes(quantised_header(quantiser, len(codes)) + codes.tobytes())
    found = load_quantised(path)
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_array_equal(found.quantiser.calibration, quantiser.calibration)
    assert found.quantiser.similarity == "cosine"
    assert (len(found), found.shape, found.ndim) == (9, (9, 16), 2)
    rows = np.array([7, 2])
    np.testing.assert_array_equal(found[rows], quantiser.decode(codes)[rows])
    np.testing.assert_array_equal(found[3:5], quantiser.decode(codes)[3:5])
    theirs = load_file(path)  # an ordinary safetensors file
    np.testing.assert_array_equal(theirs["codes"], codes)
    np.testing.assert_array_equal(theirs[quantiser.calibration_name], quantiser.calibration)


def test_the_digest_is_of_codes_and_calibration(tmp_path):
    def digest(codes, ranges):
        save_file({"codes": codes, "ranges": ranges}, tmp_path / "x.safetensors", INT8)
        return load_quantised(tmp_path / "x.safetensors").digest

    digests = [digest(CODES, RANGES), digest(CODES + 1, RANGES), digest(CODES, RANGES + 1)]
    assert len({*digests}) == 3
    assert digest(CODES, RANGES) == digests[0]


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"codes": CODES}, None, "not a file of mine.py embed --store int8 or binary"),
        ({"codes": CODES}, INT8, "holds codes; int8 vectors have codes and ranges"),
        (
            {"codes": CODES, "ranges": RANGES, "centre": RANGES[:1]},
            INT8,
            "holds centre, codes, ranges; int8 vectors have codes and ranges",
        ),
        (
            {"codes": CODES, "ranges": RANGES},
            BINARY,
            "holds codes, ranges; binary vectors have centre and codes",
        ),
        (
            {"codes": CODES, "ranges": RANGES[:, :3]},
            INT8,
            r"codes are int8 of shape \(3, 4\); ranges of 3 numbers needs int8 of shape \(N, 3\)",
        ),
        ({"codes": CODES, "ranges": RANGES[:1]}, INT8, r"ranges has shape \(1, 4\); expected"),
        ({"codes": CODES[:0], "ranges": RANGES}, INT8, "codes is I8 of shape .*not empty"),
        ({"codes": CODES, "ranges": RANGES.astype("f8")}, INT8, "ranges is F64 of shape"),
        (
            {"codes": CODES.view(np.uint8), "ranges": RANGES},
            INT8,
            "codes are uint8 of shape .* needs int8 of shape",
        ),
        ({"codes": CODES, "ranges": RANGES + np.nan}, INT8, "ranges is not finite, or a lowest"),
        (
            {"codes": CODES, "ranges": RANGES - np.float32([[0], [1]])},
            INT8,
            "ranges is not finite, or a lowest number is above the highest",
        ),
        (
            {"codes": CODES, "ranges": RANGES},
            {"store": "int8", "similarity": "euclidean"},
            "x.safetensors: int8 vectors are searched by cosine or dot, not by euclidean",
        ),
    ],
)
def test_files_that_are_refused(tmp_path, tensors, metadata, message):
    path = tmp_path / "x.safetensors"
    save_file(tensors, path, metadata)
    with pytest.raises(InputError, match=message) as error:
        load_quantised(path)
    assert str(path) in str(error.value)


def test_no_such_file_and_no_safetensors(tmp_path):
    with pytest.raises(InputError, match="x.safetensors: no such file"):
        load_quantised(tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").write_text("not one")
    with pytest.raises(InputError, match="x.safetensors: not a safetensors file: "):
        load_quantised(tmp_path / "x.safetensors")


def test_a_cut_file_is_refused(tmp_path):
    quantiser = Int8.fit(VECTORS, "cosine")
    path = tmp_path / "x.safetensors"
    path.write_bytes(quantised_header(quantiser, 9) + quantiser.encode(VECTORS).tobytes()[:-1])
    with pytest.raises(InputError, match="not a safetensors file: "):
        load_quantised(path)


def test_the_numbers_are_aligned():
    header = quantised_header(Int8.fit(VECTORS, "cosine"), 9)
    size = int.from_bytes(header[:8], "little")
    assert size % 8 == 0
    assert json.loads(header[8 : 8 + size])["codes"]["shape"] == [9, 16]
