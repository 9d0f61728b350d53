"""Retrieval data: a folder with a corpus, queries and the judgements of them (qrels).

It is in this project's layout or in BEIR's; each file is TSV or JSONL, plain or .gz, and its columns have either names:

    corpus                         id text                       _id text, and title, which is read before the text
    queries, or queries_<split>    id text                       _id text
    qrels, or qrels_<split>,       query_id doc_id relevance     query-id corpus-id score
    or in the folder qrels, <split>
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from sbert.data.config import DatasetConfig, TaskName
from sbert.data.labels import read_relevance
from sbert.data.readers import READERS, Line, data_dir
from sbert.data.schema import check_text
from sbert.data.subset import select_rows
from sbert.errors import InputError

_ENDINGS = (".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz")

_QRELS = re.compile(r"qrels(?:[_/](.+?))?\.(?:tsv|jsonl)(?:\.gz)?")

# the options of a dataset that a folder of this kind has a use for
_OPTIONS = {"path", "split", "task", "limit", "limit_seed", "beyond", "name"}


class Qrels(NamedTuple):
    """M judgements: the places of a query and of a document, (M,) int64, and the relevance, (M,) float64, 0 for none."""

    query: np.ndarray
    document: np.ndarray
    relevance: np.ndarray


class IdentifiedTexts(NamedTuple):
    """The ids of a file and their texts."""

    path: Path
    ids: list[str]
    texts: list[str]


@dataclass
class Retrieval:
    """Q queries, each with a relevant document at least, to be answered from a corpus of N documents, some of them empty
    perhaps."""

    name: str
    corpus_ids: list[str]
    corpus: list[str]
    query_ids: list[str]
    queries: list[str]
    qrels: Qrels
    skipped: Counter = field(default_factory=Counter)
    task: ClassVar[TaskName] = "retrieval"
    # what Rows have: no row of this is one of a training set
    file: ClassVar[str] = ""
    lines: ClassVar[np.ndarray] = np.empty(0, int)
    groups: ClassVar[None] = None

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def texts(self) -> list[list[str]]:
        """All that a model reads, as one column."""
        return [self.queries + self.corpus]

    def describe(self) -> str:
        empty = sum(not text.strip() for text in self.corpus)
        documents = f"{len(self.corpus):,} documents" + (
            f" ({empty:,} of them empty)" if empty else ""
        )
        skipped = "".join(
            f"; {n:,} queries skipped: {reason}" for reason, n in self.skipped.items()
        )
        judged = f"{len(self.qrels.query):,} judgements"
        return f"{self.name}: {len(self):,} queries, {documents}, {judged}, {self.task}{skipped}"


def corpus_folder(config: DatasetConfig) -> Path | None:
    """The folder, below the data folder or by itself, that holds a corpus; None where the dataset is of another kind."""
    return next(
        (f for f in (data_dir() / config.path, Path(config.path)) if _find(f, "corpus")), None
    )


def splits(folder: Path) -> dict[str | None, Path]:
    """The files of judgements by split; by None where the folder has no splits."""
    found: dict[str | None, str] = {}
    for path in sorted([*folder.glob("qrels*"), *folder.glob("qrels/*")]):
        file = path.relative_to(folder).as_posix()
        if name := _QRELS.fullmatch(file):
            if name[1] in found:
                raise InputError(
                    f"{folder}: holds both {found[name[1]]} and {file}; keep one of them"
                )
            found[name[1]] = file
    return {split: folder / file for split, file in found.items()}


def read_retrieval(config: DatasetConfig) -> Retrieval:
    """Read a folder. Queries without a relevant document are skipped and counted, and `limit` is of the others.

    Raises:
        InputError: an option without a use here, a missing file or split, an id that stands twice or is unknown, an empty
            query, a relevance that is not a number from 0 upwards, no document, no query with a relevant one.
    """
    folder = corpus_folder(config)
    _check_options(config, folder)
    judged = _qrels_file(config, folder)
    queries = _read_texts(_queries_file(config, folder), "query")
    corpus = _read_texts(_find(folder, "corpus"), "document")
    qrels = _read_qrels(judged, queries, corpus)
    kept, skipped = _answerable(config, qrels, len(queries.texts), judged)
    ids, texts = [queries.ids[i] for i in kept], [queries.texts[i] for i in kept]
    name = config.name or "-".join(filter(None, [folder.resolve().name, config.split]))
    return Retrieval(name, corpus.ids, corpus.texts, ids, texts, _renumber(qrels, kept), skipped)


def _find(folder: Path, stem: str) -> Path | None:
    there = [
        folder / (stem + ending) for ending in _ENDINGS if (folder / (stem + ending)).is_file()
    ]
    if len(there) > 1:
        raise InputError(
            f"{folder}: holds both {there[0].name} and {there[1].name}; keep one of them"
        )
    return there[0] if there else None


def _check_options(config: DatasetConfig, folder: Path | None) -> None:
    if folder is None:
        places = " or ".join(dict.fromkeys([str(data_dir() / config.path), config.path]))
        raise InputError(
            f"dataset {config.path}: task retrieval needs a folder with corpus.tsv or corpus.jsonl, plain or .gz; "
            f"there is none in {places}"
        )
    if config.task not in (None, "retrieval"):
        raise InputError(
            f"dataset {config.path}: {folder} holds a corpus, so its task is retrieval, not {config.task}"
        )
    for option in fields(config):
        if option.name not in _OPTIONS and getattr(config, option.name) != option.default:
            known = ", ".join(o.name for o in fields(config) if o.name in _OPTIONS)
            raise InputError(
                f"dataset {config.path}: {option.name} has no use for task retrieval; its options are {known}"
            )


def _qrels_file(config: DatasetConfig, folder: Path) -> Path:
    there = splits(folder)
    if not there:
        raise InputError(
            f"{folder}: no judgements, which are in qrels.tsv, qrels_<split>.tsv or qrels/<split>.tsv"
        )
    if config.split not in there:
        wrong = "no split is named" if config.split is None else f"no split '{config.split}'"
        names = ", ".join(name for name in there if name)
        right = (
            f"there are: {names}"
            if names
            else f"{there[None].name} is of all queries: leave split out"
        )
        raise InputError(f"dataset {config.path}: {wrong}; {right}")
    return there[config.split]


def _queries_file(config: DatasetConfig, folder: Path) -> Path:
    """The split's own, or the one of all splits."""
    own = f"queries_{config.split}"
    found = (_find(folder, own) if config.split else None) or _find(folder, "queries")
    if found is None:
        names = (
            "queries.tsv or queries.jsonl"
            if config.split is None
            else f"{own}.tsv or queries.jsonl"
        )
        raise InputError(f"{folder}: no queries, which are in {names}, plain or .gz")
    return found


def _lines(path: Path) -> Iterator[Line]:
    return READERS[path.name.removesuffix(".gz").rpartition(".")[2]](path)


def _field(line: dict, names: tuple[str, str], here: str) -> object:
    """What stands in the column of either name."""
    for name in names:
        if name in line:
            return line[name]
    raise InputError(
        f"{here}: no column '{names[0]}' or '{names[1]}'; there are: {', '.join(line)}"
    )


def _id(line: dict, names: tuple[str, str], here: str) -> str:
    value = _field(line, names, here)
    if not isinstance(value, (str, int)) or not str(value).strip():
        raise InputError(f"{here}: the id {value!r} is neither a text nor a whole number")
    return str(value)


def _read_texts(path: Path, what: str) -> IdentifiedTexts:
    """The texts of a corpus or of queries; a document may be empty, a query not."""
    texts: list[str] = []
    seen: dict[str, int] = {}
    for number, line in _lines(path):
        here = f"{path}, line {number}"
        name = _id(line, ("id", "_id"), here)
        if name in seen:
            raise InputError(
                f"{here}: the id '{name}' stands on line {seen[name]} too; every {what} needs its own"
            )
        if "text" not in line:
            raise InputError(f"{here}: no column 'text'; there are: {', '.join(line)}")
        title, text = line.get("title") or "", line["text"]
        check_text("title", title, here)
        check_text("text", text, here)
        if what == "query" and not text.strip():
            raise InputError(
                f"{here}: the text of query '{name}' is empty; fill it, or leave the query out"
            )
        texts.append(f"{title} {text}".strip() if title.strip() else text)
        seen[name] = number
    if not texts:
        raise InputError(f"{path}: holds no {what}")
    return IdentifiedTexts(path, list(seen), texts)


def _read_qrels(path: Path, queries: IdentifiedTexts, corpus: IdentifiedTexts) -> Qrels:
    places = [{name: place for place, name in enumerate(part.ids)} for part in (queries, corpus)]
    found: dict[tuple[int, int], float] = {}
    for number, line in _lines(path):
        here = f"{path}, line {number}"
        query, document = (
            _id(line, ("query_id", "query-id"), here),
            _id(line, ("doc_id", "corpus-id"), here),
        )
        if query not in places[0]:
            raise InputError(f"{here}: the query '{query}' is not in {queries.path.name}")
        if document not in places[1]:
            raise InputError(f"{here}: the document '{document}' is not in {corpus.path.name}")
        pair = places[0][query], places[1][document]
        if pair in found:
            raise InputError(
                f"{here}: query '{query}' and document '{document}' are judged twice; keep one judgement"
            )
        found[pair] = read_relevance(_field(line, ("relevance", "score"), here), here)
    if not found:
        raise InputError(f"{path}: holds no judgement")
    query, document = np.array(list(found), np.int64).T
    return Qrels(query, document, np.array(list(found.values())))


def _answerable(
    config: DatasetConfig, qrels: Qrels, count: int, path: Path
) -> tuple[np.ndarray, Counter]:
    """The queries of `count` that have a relevant document and are within `limit`, and why others are left out."""
    judged, relevant = np.zeros(count, bool), np.zeros(count, bool)
    judged[qrels.query] = True
    relevant[qrels.query[qrels.relevance > 0]] = True
    if not relevant.any():
        raise InputError(f"{path}: no query has a relevant document, whose relevance is above 0")
    # BEIR's queries of all splits are in one file
    reasons = {
        f"not in {path.name}": (~judged).sum(),
        "no relevant document": (judged & ~relevant).sum(),
    }
    skipped = +Counter({reason: int(n) for reason, n in reasons.items()})
    able = np.flatnonzero(relevant)
    return able[select_rows(config, len(able), skipped)], skipped


def _renumber(qrels: Qrels, queries: np.ndarray) -> Qrels:
    """The judgements of some queries, by their new places."""
    place = np.full(max(queries.max(), qrels.query.max()) + 1, -1)
    place[queries] = np.arange(len(queries))
    there = place[qrels.query] >= 0
    return Qrels(place[qrels.query[there]], qrels.document[there], qrels.relevance[there])
