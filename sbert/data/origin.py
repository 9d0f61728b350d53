"""Where a dataset's lines come from: a file, a named dataset of the data folder, or the hub."""

from collections.abc import Iterator
from pathlib import Path

from sbert.data.config import DatasetConfig
from sbert.data.paths import is_dataset_name, split_file
from sbert.data.readers import READERS, Line, file_format
from sbert.data.retrieval_files import corpus_folder, qrels_files
from sbert.errors import InputError


def dataset_file(config: DatasetConfig) -> Path | None:
    """The file of a dataset, which may not exist; None for a dataset of the hub."""
    if config.path.startswith("hf:"):
        return None
    if config.format or not is_dataset_name(config.path):
        return Path(config.path)
    return split_file(config.path, config.split)


def open_lines(config: DatasetConfig, labels: bool = True) -> tuple[str, Iterator[Line]]:
    """The file or hub dataset, for messages, and its lines.

    labels: whether rows need labels, which the format txt, one text per line, cannot have.
    """
    path = dataset_file(config)
    if path is None:
        return f"{config.path}, split {config.split}", _hub_lines(config)
    reader = config.format or file_format(path)
    known = [name for name in READERS if name != "txt" or not labels]
    if reader not in known:
        raise InputError(f"{path}: unknown file extension; set format to one of {', '.join(known)}")
    return str(path), READERS[reader](path)


def _hub_lines(config: DatasetConfig) -> Iterator[Line]:
    dataset = f"dataset {config.path}"
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{dataset}: the package datasets is not installed; pip install 'sbert[datasets]'"
        ) from None
    if config.split is None:
        raise InputError(f"{dataset}: split is not set")
    name, _, subset = config.path.removeprefix("hf:").partition(":")
    try:
        table = datasets.load_dataset(name, subset or None, split=config.split)
    except Exception as error:  # of many types, network errors among them
        raise InputError(f"{dataset}: {str(error).strip().splitlines()[0]}") from error
    yield from enumerate(table, start=1)


def has_splits(config: DatasetConfig) -> bool:
    """Whether a dataset needs a split; files and retrieval folders without splits do not."""
    folder = corpus_folder(config)
    if folder:
        return None not in qrels_files(folder)
    return is_dataset_name(config.path)


def dataset_by_name(spec: str, split: str) -> DatasetConfig:
    """A dataset of a command line: <path>:<split>, or <path>; `split` where it needs one."""
    path, colon, own_split = spec.rpartition(":")
    is_hub = spec.startswith("hf:")
    if colon and not is_hub and "/" not in own_split and not Path(spec).exists():
        return DatasetConfig(path, split=own_split)
    config = DatasetConfig(spec)
    if has_splits(config):
        config.split = split
    return config


def describe_origin(config: DatasetConfig) -> str:
    """The file, folder or hub dataset that a dataset is read from."""
    folder = corpus_folder(config)
    if folder is None:
        return open_lines(config)[0]
    return f"{folder}, split {config.split}" if config.split else str(folder)


def dataset_name(config: DatasetConfig) -> str:
    """The name in tables: `name`, or path and split, as in stsb-dev."""
    if config.name:
        return config.name
    if "." in config.path:
        name = Path(config.path).name.split(".")[0]
    else:
        name = config.path.split(":")[-1]  # of hf:<name>:<config>, the config
    return "-".join(filter(None, [name.replace("/", "-"), config.split]))
