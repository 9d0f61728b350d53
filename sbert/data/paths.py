"""Where datasets are: the data folder, and the files of a named dataset in it."""

import os
from collections.abc import Iterable
from pathlib import Path

from sbert.errors import InputError

BUILT_IN = Path(__file__).parent / "demo"  # written by tools/demo_corpus.py


def data_dir() -> Path:
    """The folder of named datasets: the environment variable SBERT_DATA, or data/."""
    return Path(os.environ.get("SBERT_DATA", "data"))


def named_folder(name: str) -> Path:
    """The folder of a named dataset below `data_dir()`; demo, if not there, is the built-in one."""
    folder = data_dir() / name
    if name == BUILT_IN.name and not folder.exists():
        return BUILT_IN
    return folder


def is_dataset_name(path: str) -> bool:
    """Whether a path names a dataset of the data folder, such as stsb: it has no file extension."""
    return not Path(path.removesuffix(".gz")).suffix


def split_files(name: str) -> dict[str, Path]:
    """The files <data folder>/<name>/<split>.tsv.gz by split, sorted."""
    files = sorted(named_folder(name).glob("*.tsv.gz"))
    return {path.name.removesuffix(".tsv.gz"): path for path in files}


def split_file(name: str, split: str | None) -> Path:
    """The file of one split of a named dataset.

    Raises:
        InputError: the data folder has no such dataset, or the dataset has no such split.
    """
    files = split_files(name)
    if not files:
        raise InputError(
            f"dataset {name}: no such file, and no <split>.tsv.gz in {data_dir() / name} "
            "(SBERT_DATA sets the data folder)"
        )
    if split not in files:
        raise unknown_split(name, split, files)
    return files[split]


def unknown_split(name: str, split: str | None, available: Iterable[str]) -> InputError:
    """The error for a split, or none, that a dataset does not have."""
    problem = "split is not set" if split is None else f"no split '{split}'"
    return InputError(f"dataset {name}: {problem}; available: {', '.join(available)}")
