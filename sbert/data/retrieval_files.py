"""The files of a retrieval folder: queries, documents, and judgements (qrels).

`origin` describes their layouts. Judgements may also be those of TREC, without a header: query,
iteration (not used), document and relevance, separated by spaces or tabs.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from sbert.data.labels import read_number
from sbert.data.readers import READERS, Line, file_format, read_text
from sbert.data.schema import check_columns, check_text, join_texts
from sbert.errors import InputError, require

# BEIR's column names, and those of this project
_BEIR_COLUMNS = {"_id": "id", "query-id": "query_id", "corpus-id": "doc_id", "score": "relevance"}

_NAMED = 3  # ids that a note names


class IdentifiedTexts(NamedTuple):
    """The queries or the documents of a file."""

    path: Path
    ids: list[str]
    texts: list[str]


class Qrels(NamedTuple):
    """M judgements."""

    query: np.ndarray  # (M,) int64, indices of queries
    document: np.ndarray  # (M,) int64, indices of documents, -1 for one that is not in the corpus
    relevance: np.ndarray  # (M,) float64, 0 for not relevant


def read_identified(path: Path, kind: Literal["query", "document"]) -> IdentifiedTexts:
    """Read queries, of which none may be empty, or documents.

    Raises:
        InputError: an id that is missing or given twice, a text that is none, an empty query, a
            file without texts.
    """
    first_line: dict[str, int] = {}  # by id
    texts = []
    for number, line in _lines(path, file_format(path)):
        location = f"{path}, line {number}"
        identifier = _identifier(line, "id", location)
        if identifier in first_line:
            raise InputError(
                f"{location}: duplicate id '{identifier}', also on line {first_line[identifier]}; "
                f"every {kind} needs its own"
            )
        first_line[identifier] = number
        check_columns(["text"], line, location)
        check_text("text", line["text"], location)
        text = join_texts(line, ["title", "text"], location)
        if kind == "query" and not text.strip():
            raise InputError(
                f"{location}: the text of query '{identifier}' is empty; fill it or remove it"
            )
        texts.append(text)
    require(texts, f"{path}: contains no {kind}")
    return IdentifiedTexts(path, list(first_line), texts)


def read_qrels(
    path: Path, queries: IdentifiedTexts, corpus: IdentifiedTexts
) -> tuple[Qrels, list[str]]:
    """Read judgements, and what to note about them.

    As in trec_eval, a negative relevance is 0, a judged document that is not in the corpus counts
    as one that no search finds, and a judged query without a text is left out. The two absent ones
    are noted.

    Raises:
        InputError: a judgement without an id or a number, a pair that is judged twice, no
            judgement of these queries and documents.
    """
    judgements = _read_judgements(path)
    query_index = {identifier: index for index, identifier in enumerate(queries.ids)}
    document_index = {identifier: index for index, identifier in enumerate(corpus.ids)}
    pairs = [pair for pair in judgements if pair[0] in query_index]
    require(pairs, f"{path}: judges none of the queries in {queries.path}; their ids differ")
    require(
        any(document in document_index for _, document in pairs),
        f"{path}: judges none of the documents in {corpus.path}; their ids differ",
    )
    absent_queries = _absent((query for query, _ in judgements), query_index)
    absent_documents = _absent((document for _, document in pairs), document_index)
    qrels = Qrels(
        np.array([query_index[query] for query, _ in pairs]),
        np.array([document_index.get(document, -1) for _, document in pairs]),
        np.array([max(judgements[pair], 0.0) for pair in pairs]),
    )
    notes = []
    if absent_queries:
        notes.append(f"{_name(absent_queries, 'queries', queries)}: left out")
    if absent_documents:
        notes.append(f"{_name(absent_documents, 'documents', corpus)}: counted as not found")
    return qrels, notes


def _read_judgements(path: Path) -> dict[tuple[str, str], float]:
    """The relevance by the ids of query and document."""
    relevance: dict[tuple[str, str], float] = {}
    for number, line in _lines(path, _qrels_format(path)):
        location = f"{path}, line {number}"
        query = _identifier(line, "query_id", location)
        document = _identifier(line, "doc_id", location)
        if (query, document) in relevance:
            raise InputError(
                f"{location}: query '{query}' and document '{document}' are judged twice; "
                "keep one judgement"
            )
        check_columns(["relevance"], line, location)
        relevance[query, document] = read_number(line["relevance"], "relevance", location)
    require(relevance, f"{path}: contains no judgement")
    return relevance


def _qrels_format(path: Path) -> str:
    """The reader of a file of judgements: TREC's where the first line is four fields, the last of
    them a number."""
    extension = file_format(path)
    if extension not in ("tsv", "txt"):
        return extension
    fields = read_text(path).partition("\n")[0].split()
    is_trec = len(fields) == 4 and fields[3].lstrip("-").isdigit()
    return "trec" if is_trec or extension == "txt" else extension


def _lines(path: Path, reader: str) -> Iterator[Line]:
    """The lines of a file, with the column names of this project."""
    for number, line in READERS[reader](path):
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


def _absent(ids: Iterable[str], known: dict[str, int]) -> list[str]:
    return [identifier for identifier in dict.fromkeys(ids) if identifier not in known]


def _name(absent: list[str], kind: str, texts: IdentifiedTexts) -> str:
    """As in "2 judged documents are not in corpus.jsonl (d7, d9)"."""
    first = ", ".join(islice(absent, _NAMED))
    more = ", ..." if len(absent) > _NAMED else ""
    return f"{len(absent):,} judged {kind} not in {texts.path.name} ({first}{more})"
