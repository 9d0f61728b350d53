"""Retrieval datasets: queries to be answered from a corpus, with judgements (qrels).

`origin` describes the layout of their folders.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from sbert.data.config import DatasetConfig, TaskName
from sbert.data.labels import read_relevance
from sbert.data.origin import corpus_folder, data_dir, find_table, qrels_file, queries_file
from sbert.data.readers import READERS, Line, file_format
from sbert.data.schema import check_columns, check_text, prompt_names
from sbert.data.subset import select_rows
from sbert.errors import InputError, require

# BEIR's column names, and those of this project
_BEIR_COLUMNS = {"_id": "id", "query-id": "query_id", "corpus-id": "doc_id", "score": "relevance"}

# the options of a dataset that apply to retrieval
_OPTIONS = ["path", "split", "task", "limit", "limit_seed", "beyond", "prompts", "name"]


class Qrels(NamedTuple):
    """M judgements."""

    query: np.ndarray  # (M,) int64, indices of queries
    document: np.ndarray  # (M,) int64, indices of documents
    relevance: np.ndarray  # (M,) float64, 0 for not relevant


@dataclass
class Retrieval:
    """Q queries, each with at least one relevant document, and a corpus of N documents.

    Documents may be empty texts. `prompts`: the names of the model's prompts of queries and of
    documents; None: not declared.
    """

    name: str
    corpus_ids: list[str]
    corpus: list[str]
    query_ids: list[str]
    queries: list[str]
    qrels: Qrels
    skipped: Counter = field(default_factory=Counter)
    prompts: list[str] | None = None
    task: ClassVar[TaskName] = "retrieval"

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def texts(self) -> list[list[str]]:
        """All texts that a model encodes, as one column: queries, then documents (Q + N)."""
        return [self.queries + self.corpus]

    def describe(self) -> str:
        line = f"{self.name}: {len(self):,} queries, {len(self.corpus):,} documents"
        empty = sum(not text.strip() for text in self.corpus)
        if empty:
            line += f" ({empty:,} of them empty)"
        line += f", {len(self.qrels.query):,} judgements, {self.task}"
        for reason, count in self.skipped.items():
            line += f"; {count:,} queries skipped: {reason}"
        return line


def read_retrieval(config: DatasetConfig) -> Retrieval:
    """Read a retrieval folder.

    Queries without a relevant document are skipped and counted; `limit` chooses among the others.

    Raises:
        InputError: an option that does not apply, a missing file or split, a duplicate or unknown
            id, an empty query, a relevance that is not a number from 0 upwards, no document, no
            query with a relevant document.
    """
    folder = corpus_folder(config)
    _check_options(config, folder)
    qrels_path = qrels_file(config, folder)
    queries = _read_texts(queries_file(config, folder), "query")
    corpus = _read_texts(find_table(folder, "corpus"), "document")
    qrels = _read_qrels(qrels_path, queries, corpus)
    skipped = Counter()
    keep = _select_queries(config, qrels, len(queries.ids), qrels_path, skipped)
    name = config.name or "-".join(filter(None, [folder.resolve().name, config.split]))
    return Retrieval(
        name=name,
        corpus_ids=corpus.ids,
        corpus=corpus.texts,
        query_ids=[queries.ids[i] for i in keep],
        queries=[queries.texts[i] for i in keep],
        qrels=_renumber(qrels, keep),
        skipped=+skipped,  # without counts of 0
        prompts=prompt_names(config, "retrieval", 2, name),
    )


def _check_options(config: DatasetConfig, folder: Path | None) -> None:
    dataset = f"dataset {config.path}"
    if folder is None:
        folders = dict.fromkeys([str(data_dir() / config.path), config.path])
        raise InputError(
            f"{dataset}: task retrieval needs a folder with corpus.tsv or corpus.jsonl, plain or "
            f".gz; not found: {', '.join(folders)}"
        )
    require(
        config.task in (None, "retrieval"),
        f"{dataset}: {folder} contains a corpus, so its task is retrieval, not {config.task}",
    )
    for option in fields(config):
        require(
            option.name in _OPTIONS or getattr(config, option.name) == option.default,
            f"{dataset}: {option.name} does not apply to task retrieval; its options are "
            f"{', '.join(_OPTIONS)}",
        )


def _lines(path: Path) -> Iterator[Line]:
    """The lines of a file, with the column names of this project."""
    for number, line in READERS[file_format(path)](path):
        for beir_name, name in _BEIR_COLUMNS.items():
            if beir_name in line:
                line.setdefault(name, line[beir_name])
        yield number, line


def _identifier(line: dict, column: str, location: str) -> str:
    check_columns([column], line, location)
    value = line[column]
    if not isinstance(value, (str, int)) or not str(value).strip():
        raise InputError(f"{location}: {column} {value!r} is neither a text nor a whole number")
    return str(value)


class _Texts(NamedTuple):
    """The queries or the documents of a file."""

    file: str
    ids: list[str]
    texts: list[str]


def _read_texts(path: Path, kind: Literal["query", "document"]) -> _Texts:
    """Read queries, of which none may be empty, or documents."""
    first_line: dict[str, int] = {}  # by id
    texts = []
    for number, line in _lines(path):
        location = f"{path}, line {number}"
        identifier = _identifier(line, "id", location)
        if identifier in first_line:
            raise InputError(
                f"{location}: duplicate id '{identifier}', also on line {first_line[identifier]}; "
                f"every {kind} needs its own"
            )
        first_line[identifier] = number
        check_columns(["text"], line, location)
        title, text = line.get("title") or "", line["text"]
        check_text("title", title, location)
        check_text("text", text, location)
        if kind == "query" and not text.strip():
            raise InputError(
                f"{location}: the text of query '{identifier}' is empty; fill it or remove it"
            )
        texts.append(f"{title} {text}".strip() if title.strip() else text)
    require(texts, f"{path}: contains no {kind}")
    return _Texts(path.name, list(first_line), texts)


def _read_qrels(path: Path, queries: _Texts, corpus: _Texts) -> Qrels:
    query_index = {identifier: index for index, identifier in enumerate(queries.ids)}
    document_index = {identifier: index for index, identifier in enumerate(corpus.ids)}
    relevance: dict[tuple[int, int], float] = {}  # by the indices of query and document
    for number, line in _lines(path):
        location = f"{path}, line {number}"
        query = _identifier(line, "query_id", location)
        document = _identifier(line, "doc_id", location)
        if query not in query_index:
            raise InputError(f"{location}: query_id '{query}' is not in {queries.file}")
        if document not in document_index:
            raise InputError(f"{location}: doc_id '{document}' is not in {corpus.file}")
        pair = query_index[query], document_index[document]
        if pair in relevance:
            raise InputError(
                f"{location}: query '{query}' and document '{document}' are judged twice; "
                "keep one judgement"
            )
        check_columns(["relevance"], line, location)
        relevance[pair] = read_relevance(line["relevance"], location)
    require(relevance, f"{path}: contains no judgement")
    return Qrels(
        *np.array(list(relevance), np.int64).T,  # (M, 2) -> twice (M,)
        np.array(list(relevance.values())),
    )


def _select_queries(
    config: DatasetConfig, qrels: Qrels, count: int, path: Path, skipped: Counter
) -> np.ndarray:
    """Sorted indices of the used ones of `count` queries; the others are counted in `skipped`."""
    judged = np.unique(qrels.query)
    answerable = np.unique(qrels.query[qrels.relevance > 0])
    require(len(answerable), f"{path}: no query has a relevant document (relevance above 0)")
    # the file of queries in BEIR's layout has those of all splits
    skipped[f"not in {path.name}"] = count - len(judged)
    skipped["no relevant document"] = len(judged) - len(answerable)
    return answerable[select_rows(config, len(answerable), skipped)]


def _renumber(qrels: Qrels, keep: np.ndarray) -> Qrels:
    """The judgements of the kept queries, by the positions of these in `keep`, which is sorted."""
    kept = np.isin(qrels.query, keep)  # (M,)
    query = np.searchsorted(keep, qrels.query[kept])
    return Qrels(query, qrels.document[kept], qrels.relevance[kept])
