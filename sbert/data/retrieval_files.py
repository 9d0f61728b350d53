"""The files of a retrieval dataset: a folder with a corpus, queries and judgements (qrels).

The folder has this project's layout or BEIR's. Each file is TSV or JSONL, plain or .gz; its columns
have the names of either layout:

    corpus                        id text                    _id text, title (prepended to text)
    queries or queries_<split>    id text                    _id text
    qrels or qrels_<split>        query_id doc_id relevance  query-id corpus-id score
    or qrels/<split>
"""

import re
from pathlib import Path

from sbert.data.config import DatasetConfig
from sbert.data.paths import data_dir, unknown_split
from sbert.errors import InputError

_SUFFIXES = (".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz")

_QRELS = re.compile(r"qrels(?:[_/](.+?))?\.(?:tsv|jsonl)(?:\.gz)?")


def corpus_folder(config: DatasetConfig) -> Path | None:
    """The folder, in the data folder or as a path, that holds a corpus; None if there is none."""
    for folder in (data_dir() / config.path, Path(config.path)):
        if find_table(folder, "corpus"):
            return folder
    return None


def qrels_files(folder: Path) -> dict[str | None, Path]:
    """The files of judgements by split; by None in a folder without splits."""
    files: dict[str | None, Path] = {}
    for path in sorted([*folder.glob("qrels*"), *folder.glob("qrels/*")]):
        match = _QRELS.fullmatch(path.relative_to(folder).as_posix())
        if match:
            other = files.setdefault(match[1], path)
            if other != path:
                raise InputError(f"{other} and {path} both exist; keep one of them")
    return files


def qrels_file(config: DatasetConfig, folder: Path) -> Path:
    """The judgements of the dataset's split."""
    files = qrels_files(folder)
    if not files:
        raise InputError(
            f"{folder}: no judgements; expected qrels.tsv, qrels_<split>.tsv or qrels/<split>.tsv"
        )
    if config.split not in files:
        available = [split or f"{path.name} without a split" for split, path in files.items()]
        raise unknown_split(config.path, config.split, available)
    return files[config.split]


def queries_file(config: DatasetConfig, folder: Path) -> Path:
    """The queries of the dataset's split, or those of all splits."""
    stem = f"queries_{config.split}" if config.split else "queries"
    path = find_table(folder, stem) or find_table(folder, "queries")
    if path is None:
        raise InputError(
            f"{folder}: no queries; expected {stem}.tsv or queries.jsonl, plain or .gz"
        )
    return path


def find_table(folder: Path, stem: str) -> Path | None:
    """The file of this name, whatever its format; None if there is none."""
    paths = [folder / (stem + suffix) for suffix in _SUFFIXES]
    present = [path for path in paths if path.is_file()]
    if len(present) > 1:
        raise InputError(f"{present[0]} and {present[1]} both exist; keep one of them")
    return present[0] if present else None
