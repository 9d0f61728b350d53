"""Where the lines of a dataset come from: a file, the data folder, a retrieval folder or the hub.

A retrieval folder has a corpus, queries and judgements (qrels), in this project's layout or BEIR's.
Each file is TSV, CSV, JSONL, JSON (plain or .gz) or parquet; its columns have the names of either
layout:

    corpus                        id text                    _id text, title (prepended to text)
    queries or queries_<split>    id text                    _id text
    qrels or qrels_<split>        query_id doc_id relevance  query-id corpus-id score
    or qrels/<split>              (or TREC's four fields, also as .txt)
"""

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from sbert.data.config import DatasetConfig
from sbert.data.readers import READERS, Line, file_format, single_file
from sbert.errors import InputError, require

LANGUAGE = "{language}"  # in the path of a dataset: one file for each language

BUILT_IN = Path(__file__).parent / "demo"  # written by tools/demo_corpus.py

_TABLES = ("tsv", "csv", "jsonl", "json", "parquet")  # the formats of a retrieval folder

_QRELS = re.compile(rf"qrels(?:[_/.](.+?))?\.(?:{'|'.join(_TABLES)}|txt)(?:\.gz)?")


def data_dir() -> Path:
    """The folder of named datasets: the environment variable SBERT_DATA, or data/."""
    return Path(os.environ.get("SBERT_DATA", "data"))


def named_folder(name: str) -> Path:
    """The folder of a named dataset below `data_dir()`; demo, if not there, is the built-in one."""
    folder = data_dir() / name
    return BUILT_IN if name == BUILT_IN.name and not folder.exists() else folder


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
    require(
        files,
        f"dataset {name}: no such file, and no <split>.tsv.gz in {data_dir() / name} "
        "(SBERT_DATA sets the data folder)",
    )
    return _choose_split(name, split, files)


def _choose_split(name: str, split: str | None, files: dict[str | None, Path]) -> Path:
    problem = "split is not set" if split is None else f"no split '{split}'"
    available = [known or f"{path.name} without a split" for known, path in files.items()]
    require(split in files, f"dataset {name}: {problem}; available: {', '.join(available)}")
    return files[split]


def corpus_folder(config: DatasetConfig) -> Path | None:
    """The folder, in the data folder or as a path, that holds a corpus; None if there is none."""
    folders = [data_dir() / config.path, Path(config.path)]
    return next((folder for folder in folders if find_table(folder, "corpus")), None)


def find_table(folder: Path, stem: str) -> Path | None:
    """The file of this name, whatever its format; None if there is none."""
    paths = [folder / f"{stem}.{table}{end}" for table in _TABLES for end in ("", ".gz")]
    present = [path for path in paths if path.is_file()]
    if len(present) > 1:
        raise InputError(f"{present[0]} and {present[1]} both exist; keep one of them")
    return present[0] if present else None


def queries_file(config: DatasetConfig, folder: Path) -> Path:
    """The queries of the dataset's split, or those of all splits."""
    stem = f"queries_{config.split}" if config.split else "queries"
    path = find_table(folder, stem) or find_table(folder, "queries")
    require(path, f"{folder}: no queries; expected {stem}.tsv or queries.jsonl, plain or .gz")
    return path


def qrels_file(config: DatasetConfig, folder: Path) -> Path:
    """The judgements of the dataset's split."""
    files = _qrels_files(folder)
    require(
        files,
        f"{folder}: no judgements; expected qrels.tsv, qrels_<split>.tsv or qrels/<split>.tsv",
    )
    return _choose_split(config.path, config.split, files)


def _qrels_files(folder: Path) -> dict[str | None, Path]:
    """The files of judgements by split; by None in a folder without splits."""
    files: dict[str | None, Path] = {}
    for path in sorted([*folder.glob("qrels*"), *folder.glob("qrels/*")]):
        match = _QRELS.fullmatch(path.relative_to(folder).as_posix())
        if match:
            other = files.setdefault(match[1], path)
            require(other == path, f"{other} and {path} both exist; keep one of them")
    return files


def language_configs(config: DatasetConfig) -> list[DatasetConfig]:
    """One dataset for each of the aligned files of a dataset; [config] where there is one file.

    Raises:
        InputError: languages, crossing and the path do not go together; a language has no file.
    """
    dataset, languages = f"dataset {config.path}", config.languages or []
    if LANGUAGE not in config.path:
        require(
            config.crossing == "none",
            f"{dataset}: crossing {config.crossing} needs a file for each language: write "
            f"{LANGUAGE} in path, as in stsb_multi_mt/{LANGUAGE}, and list them in languages",
        )
        return [config]
    require(
        languages and len(set(languages)) == len(languages),
        f"{dataset}: languages is {languages}; list those that {LANGUAGE} stands for, each once",
    )
    require(
        config.crossing == "none" or len(languages) > 1,
        f"{dataset}: crossing {config.crossing} needs two languages or more; there is "
        f"{', '.join(languages)}",
    )
    known = _languages_with_files(config.path)
    for language in languages:
        require(
            not known or language in known,
            f"{dataset}: there is no file for the language '{language}'; there are files for "
            f"{', '.join(known)}",
        )
    return [
        replace(config, path=config.path.replace(LANGUAGE, language), languages=[language])
        for language in languages
    ]


def _languages_with_files(path: str) -> list[str]:
    """What {language} can stand for in a path, sorted; none of a dataset of the hub."""
    template = str(data_dir() / path) if is_dataset_name(path) else path
    before, *rest = template.split(LANGUAGE)
    # the first place names the language, further ones repeat it
    pattern = re.escape(before) + "([^/]+)" + r"\1".join(map(re.escape, rest))
    found = glob.glob("*".join(map(glob.escape, [before, *rest])))
    return sorted(match[1] for match in map(re.compile(pattern).fullmatch, found) if match)


def dataset_file(config: DatasetConfig) -> Path | None:
    """The file of a dataset, which may not exist; None for a dataset of the hub."""
    if config.path.startswith("hf:"):
        return None
    if config.format or not is_dataset_name(config.path):
        return single_file(config.path, config.split)
    return split_file(config.path, config.split)


def open_lines(config: DatasetConfig) -> tuple[str, Iterator[Line]]:
    """The file or hub dataset, for messages, and its lines."""
    path = dataset_file(config)
    if path is None:
        return f"{config.path}, split {config.split}", _hub_lines(config)
    reader = config.format or file_format(path)
    require(
        reader in READERS,
        f"{path}: unknown file extension; set format to one of {', '.join(READERS)}",
    )
    return str(path), READERS[reader](path)


def _hub_lines(config: DatasetConfig) -> Iterator[Line]:
    dataset = f"dataset {config.path}"
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{dataset}: the package datasets is not installed; pip install -e '.[datasets]'"
        ) from None
    require(config.split is not None, f"{dataset}: split is not set")
    name, _, subset = config.path.removeprefix("hf:").partition(":")
    try:
        table = datasets.load_dataset(name, subset or None, split=config.split)
    except Exception as error:  # of many types, network errors among them
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(f"{dataset}: {reason}") from error
    yield from enumerate(table, start=1)


def has_splits(config: DatasetConfig) -> bool:
    """Whether a dataset needs a split; files and retrieval folders without splits do not."""
    folder = corpus_folder(config)
    if folder:
        return None not in _qrels_files(folder)
    return not config.format and is_dataset_name(config.path)


def dataset_by_name(spec: str, split: str) -> DatasetConfig:
    """A dataset of a command line: <path>:<split>, or <path>; `split` where it needs one."""
    path, colon, own_split = spec.rpartition(":")
    if colon and not spec.startswith("hf:") and "/" not in own_split and not Path(spec).exists():
        return DatasetConfig(path, split=own_split)
    config = DatasetConfig(spec)
    if has_splits(config):
        config.split = split
    return config


def describe_origin(config: DatasetConfig) -> str:
    """The file, folder or hub dataset that a dataset is read from."""
    folder = corpus_folder(config)
    if folder is None:
        return ", ".join(open_lines(one)[0] for one in language_configs(config))
    return f"{folder}, split {config.split}" if config.split else str(folder)


def dataset_name(config: DatasetConfig) -> str:
    """The name in tables: `name`, or path and split, as in stsb-dev.

    With several languages these, and what is crossed: stsb_multi_mt-de-en-all-dev.
    """
    if config.name:
        return config.name
    if "." in config.path:
        name = Path(config.path).name.split(".")[0]
    else:
        name = config.path.split(":")[-1]  # of hf:<name>:<config>, the config
    if LANGUAGE in name:
        blocks = {"none": [], "all": ["all"], "only": ["crossed"]}[config.crossing]
        name = name.replace(LANGUAGE, "-".join([*(config.languages or []), *blocks]))
    return "-".join(filter(None, [name.replace("/", "-"), config.split]))
