"""Retrieval datasets: queries to be answered from a corpus, with judgements (qrels).

`origin` describes the layout of their folders.
"""

from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

import numpy as np

from sbert.data.config import DatasetConfig, TaskName
from sbert.data.origin import corpus_folder, data_dir, find_table, qrels_file, queries_file
from sbert.data.retrieval_files import Qrels, read_identified, read_qrels
from sbert.data.schema import prompt_names
from sbert.data.subset import select_rows
from sbert.errors import InputError, require

# the options of a dataset that apply to retrieval
_OPTIONS = [
    "path",
    "split",
    "task",
    "limit",
    "limit_seed",
    "beyond",
    "prompts",
    "keep_identical_ids",
    "name",
]


@dataclass
class Retrieval:
    """Q queries, each with at least one relevant document, and a corpus of N documents.

    Documents may be empty texts.

    Attributes:
        prompts: the names of the model's prompts of queries and of documents; None: not declared.
        own_documents: (Q,) int64, the document with the id of each query, which its ranking leaves
            out, -1 for none; None: nothing is left out.
        notes: what a reader of the results must know about the files.
    """

    name: str
    corpus_ids: list[str]
    corpus: list[str]
    query_ids: list[str]
    queries: list[str]
    qrels: Qrels
    skipped: Counter = field(default_factory=Counter)
    prompts: list[str] | None = None
    own_documents: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)
    task: ClassVar[TaskName] = "retrieval"

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def texts(self) -> list[list[str]]:
        """All texts that a model encodes, in two columns: queries (Q) and documents (N)."""
        return [self.queries, self.corpus]

    def describe(self) -> str:
        line = f"{self.name}: {len(self):,} queries, {len(self.corpus):,} documents"
        empty = sum(not text.strip() for text in self.corpus)
        if empty:
            line += f" ({empty:,} of them empty)"
        line += f", {len(self.qrels.query):,} judgements, {self.task}"
        for reason, count in self.skipped.items():
            line += f"; {count:,} queries skipped: {reason}"
        return "; ".join([line, *self.notes])


def read_retrieval(config: DatasetConfig) -> Retrieval:
    """Read a retrieval folder.

    Queries without a relevant document are skipped and counted; `limit` chooses among the others.

    Raises:
        InputError: an option that does not apply, a missing file or split, a duplicate id, an empty
            query, a relevance that is not a number, no document, judgements of other queries or
            documents, no query with a relevant document.
    """
    folder = corpus_folder(config)
    _check_options(config, folder)
    qrels_path = qrels_file(config, folder)
    queries = read_identified(queries_file(config, folder), "query")
    corpus = read_identified(find_table(folder, "corpus"), "document")
    qrels, notes = read_qrels(qrels_path, queries, corpus)
    skipped = Counter()
    keep = _select_queries(config, qrels, len(queries.ids), qrels_path, skipped)
    name = config.name or "-".join(filter(None, [folder.resolve().name, config.split]))
    rows = Retrieval(
        name=name,
        corpus_ids=corpus.ids,
        corpus=corpus.texts,
        query_ids=[queries.ids[i] for i in keep],
        queries=[queries.texts[i] for i in keep],
        qrels=_renumber(qrels, keep),
        skipped=+skipped,  # without counts of 0
        prompts=prompt_names(config.prompts, "retrieval", 2, name),
        notes=notes,
    )
    if not config.keep_identical_ids:
        _leave_out_identical_ids(rows)
    return rows


def _leave_out_identical_ids(rows: Retrieval) -> None:
    """Leave out of each ranking the document with the id of the query, as BEIR does.

    In its datasets ArguAna and Quora the queries are documents themselves.
    """
    index = {identifier: i for i, identifier in enumerate(rows.corpus_ids)}
    own = np.array([index.get(identifier, -1) for identifier in rows.query_ids])  # (Q,)
    if (own < 0).all():
        return
    rows.own_documents = own
    note = f"{(own >= 0).sum():,} queries have the id of a document, which is left out for them"
    judged = (own[rows.qrels.query] == rows.qrels.document) & (rows.qrels.document >= 0)
    relevant = int((judged & (rows.qrels.relevance > 0)).sum())
    if relevant:
        note += (
            f", {relevant:,} times though judged relevant (if their ids are equal by chance, set "
            "keep_identical_ids)"
        )
    rows.notes.append(note)


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
