"""Files of quantised embeddings: safetensors with `codes` (N, B) and the calibration, and in the
metadata the store and the similarity. docs/mining.md describes them."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from sbert.errors import InputError, require
from sbert.quantised import QUANTISERS, Quantiser

DTYPES = {"I8": np.int8, "U8": np.uint8, "F32": np.float32}  # by their names in safetensors
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class QuantisedVectors:
    """N quantised vectors. Indexing decodes rows, so that they are read like an array (N, H).

    Attributes:
        codes: (N, B), memory-mapped where they are in a file.
        name: what errors call them.
    """

    ndim = 2

    def __init__(self, codes: np.ndarray, quantiser: Quantiser, name: str = "quantised vectors"):
        self.codes = codes
        self.quantiser = quantiser
        self.name = name
        self.shape = (len(codes), quantiser.width)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.quantiser.decode(np.asarray(self.codes[rows]))

    def first(self, count: int | None) -> "QuantisedVectors":
        """The first vectors; None: all."""
        return QuantisedVectors(self.codes[:count], self.quantiser, self.name)

    @property
    def digest(self) -> str:
        """A hash of the codes and all that they mean."""
        hashed = sha256(f"{self.quantiser.store} {self.quantiser.similarity}".encode())
        hashed.update(np.ascontiguousarray(self.quantiser.calibration))
        hashed.update(np.ascontiguousarray(self.codes))
        return hashed.hexdigest()


def quantised_header(quantiser: Quantiser, count: int) -> bytes:
    """The start of a file of `count` vectors, which their codes follow."""
    calibration = quantiser.calibration.astype("<f4").tobytes()
    end = len(calibration) + count * quantiser.bytes_per_vector
    header = {
        "__metadata__": {"store": quantiser.store, "similarity": quantiser.similarity},
        quantiser.calibration_name: {
            "dtype": "F32",
            "shape": quantiser.calibration.shape,
            "data_offsets": [0, len(calibration)],
        },
        "codes": {
            "dtype": DTYPE_NAMES[quantiser.dtype],
            "shape": [count, quantiser.bytes_per_vector],
            "data_offsets": [len(calibration), end],
        },
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned
    return len(text).to_bytes(8, "little") + text + calibration


def load_quantised(path: str | Path) -> QuantisedVectors:
    """The vectors of a file that `mine.py embed --store int8` or `--store binary` wrote.

    Raises:
        InputError: no such file, another kind of file, a calibration that does not fit the codes.
    """
    try:
        with safe_open(path, "numpy") as file:
            metadata, names = file.metadata() or {}, sorted(file.keys())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a safetensors file: {error}") from None
    kind = QUANTISERS.get(metadata.get("store"))
    require(kind, f"{path}: not a file of mine.py embed --store int8 or binary")
    expected = sorted(["codes", kind.calibration_name])
    require(
        names == expected,
        f"{path}: holds {', '.join(names)}; {kind.store} vectors have {' and '.join(expected)}",
    )
    arrays = _map_arrays(Path(path))
    calibration, codes = arrays[kind.calibration_name], arrays["codes"]
    quantiser = kind(np.array(calibration), metadata.get("similarity", "none"))
    _check_fit(quantiser, codes, path)
    return QuantisedVectors(codes, quantiser, str(path))


def _map_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that safetensors can open, memory-mapped, by name."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    arrays = {}
    for name in header.keys() - {"__metadata__"}:
        entry = header[name]
        require(
            entry["dtype"] in DTYPES and 0 not in entry["shape"],
            f"{path}: {name} is {entry['dtype']} of shape {entry['shape']}; expected codes of "
            "int8 or uint8 and a calibration of float32, not empty",
        )
        offset, shape = 8 + size + entry["data_offsets"][0], tuple(entry["shape"])
        arrays[name] = np.memmap(path, DTYPES[entry["dtype"]], "r", offset, shape)
    return arrays


def _check_fit(quantiser: Quantiser, codes: np.ndarray, path: str | Path) -> None:
    calibration, name = quantiser.calibration, quantiser.calibration_name
    require(
        calibration.ndim == 2 and len(calibration) == quantiser.calibration_rows,
        f"{path}: {name} has shape {calibration.shape}; expected ({quantiser.calibration_rows}, H)",
    )
    require(
        codes.shape[1:] == (quantiser.bytes_per_vector,) and codes.dtype == quantiser.dtype,
        f"{path}: codes are {codes.dtype} of shape {codes.shape}; {name} of {quantiser.width} "
        f"numbers needs {np.dtype(quantiser.dtype)} of shape (N, {quantiser.bytes_per_vector})",
    )
    ordered = (calibration[0] <= calibration[-1]).all()  # false for NaN
    require(
        ordered and np.isfinite(calibration).all(),
        f"{path}: {name} is not finite, or a lowest number is above the highest",
    )
    try:
        quantiser.check(quantiser.width, quantiser.similarity)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
