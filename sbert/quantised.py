"""Quantised embeddings: int8 codes or sign bits, and the calibration that the vectors share.

x_h is a number of a vector x, which for the cosine is scaled to length 1 first.

int8: the range a_h to b_h of each dimension, over the calibration vectors, is cut into 255 steps of
d_h = (b_h - a_h) / 255. What lies outside is clipped. Decoded is the middle of a step, so that
within the range the error is at most d_h / 2.

    code_h = clip(floor((x_h - a_h) / d_h), 0, 255) - 128
    decoded_h = a_h + (code_h + 128.5) d_h

binary: on which side of the mean m_h of the calibration vectors a number lies, 8 numbers a byte in
the order of numpy.packbits: the first is the highest bit.

    bit_h = [x_h > m_h]
    decoded_h = 2 bit_h - 1, which stands for x_h - m_h

Ranges of each dimension and the mean are there for encoders whose embeddings have much in common,
such as e5: a common range wastes codes on them, and most of their signs are equal.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from sbert.errors import InputError, require

Store = Literal["float32", "int8", "binary"]

STEPS = 255


@dataclass(frozen=True)
class Quantiser(abc.ABC):
    """How vectors (R, H) become codes (R, B), B bytes each.

    A query q is compared with a decoded vector c by (q - origin) c. This is, but for a factor and a
    term that belong to the query, ((q - origin) step) f, with the int8 numbers f of `factors`.

    Attributes:
        calibration: (C, H) float32: the ranges (2, H) of int8, the mean (1, H) of binary.
        similarity: cosine or dot, for which the vectors are quantised.
    """

    calibration: np.ndarray
    similarity: str

    store: ClassVar[Store]
    calibration_name: ClassVar[str]
    calibration_rows: ClassVar[int]  # C
    numbers_per_byte: ClassVar[int]  # H / B
    dtype: ClassVar[type[np.integer]]  # of the codes

    @classmethod
    def fit(cls, vectors: np.ndarray, similarity: str) -> "Quantiser":
        """Calibrate on finite vectors (S, H).

        Raises:
            InputError: a width or a similarity that the store cannot hold.
        """
        cls.check(vectors.shape[1], similarity)
        return cls(cls.calibrate(scaled(vectors, similarity)), similarity)

    @classmethod
    @abc.abstractmethod
    def check(cls, width: int, similarity: str) -> None:
        """Refuse a width H or a similarity that the store cannot hold."""

    @staticmethod
    @abc.abstractmethod
    def calibrate(vectors: np.ndarray) -> np.ndarray:
        """Vectors (S, H), scaled, to the calibration (C, H)."""

    @property
    def width(self) -> int:
        """H"""
        return self.calibration.shape[1]

    @property
    def bytes_per_vector(self) -> int:
        """B"""
        return self.width // self.numbers_per_byte

    @property
    def origin(self) -> np.ndarray:
        """(H,)"""
        return np.zeros(self.width, np.float32)

    @property
    def step(self) -> np.ndarray:
        """(H,)"""
        return np.ones(self.width, np.float32)

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Finite vectors (R, H) to codes (R, B)."""
        return self._encode(scaled(vectors, self.similarity))

    @abc.abstractmethod
    def _encode(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (R, H), scaled, to codes (R, B)."""

    @abc.abstractmethod
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes (R, B) to vectors (R, H) float32."""

    @abc.abstractmethod
    def factors(self, codes: np.ndarray) -> np.ndarray:
        """Codes (R, B) to int8 numbers (R, H)."""


class Int8(Quantiser):
    """One byte a number."""

    store, calibration_name, calibration_rows = "int8", "ranges", 2
    numbers_per_byte, dtype = 1, np.int8

    @classmethod
    def check(cls, width: int, similarity: str) -> None:
        require(
            similarity in ("cosine", "dot"),
            f"int8 vectors are searched by cosine or dot, not by {similarity}",
        )

    @staticmethod
    def calibrate(vectors: np.ndarray) -> np.ndarray:
        return np.stack([vectors.min(axis=0), vectors.max(axis=0)])

    @cached_property
    def step(self) -> np.ndarray:
        return (self.calibration[1] - self.calibration[0]) / np.float32(STEPS)

    def _encode(self, vectors: np.ndarray) -> np.ndarray:
        places = (vectors - self.calibration[0]) / np.where(self.step > 0, self.step, 1)
        return (np.clip(np.floor(places), 0, STEPS) - 128).astype(np.int8)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return self.calibration[0] + (codes + np.float32(128.5)) * self.step

    def factors(self, codes: np.ndarray) -> np.ndarray:
        return codes


class Binary(Quantiser):
    """One bit a number. It keeps no lengths, and so no dot products."""

    store, calibration_name, calibration_rows = "binary", "centre", 1
    numbers_per_byte, dtype = 8, np.uint8

    @classmethod
    def check(cls, width: int, similarity: str) -> None:
        require(
            similarity == "cosine",
            f"binary vectors are searched by cosine, not by {similarity}: they keep no lengths",
        )
        require(
            width % 8 == 0,
            f"binary vectors have 8 numbers a byte, which do not divide {width}; store int8, or "
            f"embed the texts with truncate_dim {width // 8 * 8}",
        )

    @staticmethod
    def calibrate(vectors: np.ndarray) -> np.ndarray:
        return vectors.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)

    @property
    def origin(self) -> np.ndarray:
        return self.calibration[0]

    def _encode(self, vectors: np.ndarray) -> np.ndarray:
        return np.packbits(vectors > self.origin, axis=1)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return 2 * np.unpackbits(codes, axis=1).astype(np.float32) - 1

    def factors(self, codes: np.ndarray) -> np.ndarray:
        return np.unpackbits(codes, axis=1).view(np.int8)


QUANTISERS: dict[str, type[Quantiser]] = {"int8": Int8, "binary": Binary}


def scaled(vectors: np.ndarray, similarity: str) -> np.ndarray:
    """Vectors (R, H) as they are quantised, float32: for the cosine of length 1."""
    if similarity == "dot":
        return np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def check_finite(vectors: np.ndarray, rows: Sequence[int], name: str) -> None:
    """Refuse vectors (R, H), which are these rows of `name`, if one has NaN or infinity, or in
    float64 a largest number that float32 does not hold."""
    largest = np.abs(vectors).max(axis=1)
    float32 = np.finfo(np.float32)
    held = (float32.smallest_subnormal <= largest) & (largest <= float32.max)
    fits = held | (largest == 0)
    if fits.all():
        return
    row = int(fits.argmin())
    problem = "contains NaN or infinity"
    if np.isfinite(largest[row]):
        problem = f"has {largest[row]:.3g} as its largest number, which is outside float32's range"
    raise InputError(f"{name}: row {rows[row]} (from 0) {problem}")
