"""Pickled weights of a model folder, converted to safetensors beside them.

python tools/convert_weights.py FOLDER

Converts pytorch_model.bin, its parts with their index, and adapter_model.bin, in the folder and in
the folders of its modules, such as 2_Dense. The files are opened with torch's `weights_only`, which
executes nothing that they bring. To get them from the hub: hf download NAME --local-dir FOLDER
"""

import argparse
import json
import pickle
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from sbert.errors import InputError, one_line_errors, require

# what files of weights start with, and what the same in safetensors starts with
_STEMS = {"pytorch_model": "model", "adapter_model": "adapter_model"}
_INDEX = "pytorch_model.bin.index.json"


def convert_folder(folder: Path) -> list[Path]:
    """Convert all pickled weights of a folder and of its modules -> the new files.

    Raises:
        InputError: no such folder, no pickled weights in it; a file that is there already; what
            `read_weights` refuses.
    """
    require(folder.is_dir(), f"{folder}: no such folder")
    files = [file for stem in _STEMS for file in sorted(folder.glob(f"{stem}*.bin"))]
    files += [file for stem in _STEMS for file in sorted(folder.glob(f"*/{stem}*.bin"))]
    require(files, f"{folder}: no pickled weights: neither {' nor '.join(_names())}")
    targets = [target_of(file) for file in files]
    for target in targets:
        require(not target.exists(), f"{target}: exists already")
    for file, target in zip(files, targets, strict=True):
        # a weight that two names share is written for each: safetensors knows no sharing
        weights = {name: weight.clone().contiguous() for name, weight in read_weights(file).items()}
        save_file(weights, target, metadata={"format": "pt"})
    for index in sorted(folder.rglob(_INDEX)):
        _convert_index(index)
    return targets


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickled file, by name.

    Raises:
        InputError: not a file of torch; anything but tensors by name.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{path}: cannot be opened as weights alone: {reason}") from None
    require(isinstance(weights, dict), f"{path}: holds a {type(weights).__name__}, not tensors")
    for name, weight in weights.items():
        require(
            isinstance(weight, Tensor), f"{path}: {name} is a {type(weight).__name__}, not a tensor"
        )
    return weights


def target_of(file: Path) -> Path:
    """The file that takes the weights in safetensors, such as model-00001-of-00002.safetensors."""
    return file.with_name(_target_name(file.name))


def _target_name(name: str) -> str:
    for stem, target in _STEMS.items():
        if name.startswith(stem):
            return f"{target}{name.removeprefix(stem).removesuffix('.bin')}.safetensors"
    raise ValueError(name)


def _names() -> list[str]:
    return [f"{stem}.bin" for stem in _STEMS]


def _convert_index(path: Path) -> None:
    """Write the index of the parts, which says the part of each weight."""
    index = json.loads(path.read_text("utf-8"))
    parts = {name: _target_name(part) for name, part in index["weight_map"].items()}
    content = json.dumps(index | {"weight_map": parts}, indent=2) + "\n"
    path.with_name("model.safetensors.index.json").write_text(content, "utf-8")


def main() -> None:
    with one_line_errors("convert_weights.py"):
        parser = argparse.ArgumentParser(
            description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("folder", type=Path)
        for path in convert_folder(parser.parse_args().folder):
            print(path)


if __name__ == "__main__":
    main()
