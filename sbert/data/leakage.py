"""Overlaps between datasets: what a run refuses, and how much of a test set was seen in training.

A run refuses two evaluated datasets of one name, and rows that are both trained on and evaluated. `check_contamination` counts
the pairs and sentences of a test set that occur in other training data. Texts count as equal after Unicode NFKC, lower case,
and runs of white space made one space. Punctuation counts: without it "1.5" and "15" would be the same text. A pair is seen in
either order, also for NLI, whose labels depend on the order: this overcounts rather than undercounts.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sbert.data.config import DatasetConfig
from sbert.data.retrieval import Retrieval, corpus_folder
from sbert.data.rows import Rows, read_dataset
from sbert.errors import InputError
from sbert.texts import normalise, unique


def check_names(datasets: list[Rows | Retrieval]) -> None:
    """Refuse two evaluated datasets of one name: their metrics would be one curve."""
    names = [rows.name for rows in datasets]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"data: two evaluated datasets are called {name}; give one of them another name"
            )


def check_held_out(train: list[Rows], held_out: list[Rows | Retrieval]) -> None:
    """Refuse a line of a file, and a group of rows, that is trained on and evaluated."""
    for rows, trained in itertools.product(held_out, train):
        if rows.file == trained.file and len(shared := np.intersect1d(rows.lines, trained.lines)):
            raise InputError(
                f"data: {rows.name} is evaluated on {len(shared):,} rows that {trained.name} trains on, from line {shared[0]} of "
                f"{rows.file}; part them by limit of the one and beyond of the other, with the same limit_seed"
            )
        if shared := set(rows.groups or []) & set(trained.groups or []):
            raise InputError(
                f"data: {rows.name} is evaluated on rows of group {min(shared, key=str)}, and {trained.name} trained on such; "
                "datasets with common groups need the same groups in their files, and the same folds, fold and limit_seed"
            )


Pair = tuple[str, str]


@dataclass
class Seen:
    """What stands in training data: normalised sentences, and pairs with the lesser first. `names`: of the datasets, with their
    rows."""

    names: dict[str, int]
    sentences: set[str]
    pairs: set[Pair]

    def describe(self) -> str:
        named = ", ".join(f"{name} ({rows:,} rows)" for name, rows in self.names.items())
        return f"seen in training: {named}: {len(self.pairs):,} distinct pairs, {len(self.sentences):,} distinct sentences"


def read_seen(configs: list[DatasetConfig]) -> Seen:
    """Read training data of any task, with labels or without; empty texts are left out.

    Raises:
        InputError: a file that is not there, or of which no column holds texts.
    """
    seen = Seen({}, set(), set())
    for config in configs:
        folder = config.task == "retrieval" or corpus_folder(config)
        # whose labels they are does not matter here
        rows = read_dataset(
            config if folder else replace(config, skip_empty=True, teacher=None), labels=False
        )
        seen.names[rows.name] = len(rows)
        seen.sentences |= {normalise(text) for column in rows.texts for text in column if text}
        seen.pairs |= {pair for _, pair in normalised_pairs(rows)}
    seen.sentences.discard("")
    return seen


def normalised_pairs(rows: Rows | Retrieval) -> Iterator[tuple[int, Pair]]:
    """Every pair of a dataset, normalised, with the place of what a metric is the mean over: the row; of re-ranking and retrieval
    the query, whose pairs are with its candidates or with its relevant documents."""
    if isinstance(rows, Retrieval):
        relevant = rows.qrels.relevance > 0
        cells = zip(rows.qrels.query[relevant], rows.qrels.document[relevant], strict=True)
        found = ((q, rows.queries[q], rows.corpus[d]) for q, d in cells)
    else:
        first, *others = rows.texts
        places = unique(first)[1] if rows.task == "rerank" else range(len(rows))
        found = (
            (place, a, b)
            for column in others
            for place, a, b in zip(places, first, column, strict=True)
            if b
        )
    for place, a, b in found:
        yield int(place), tuple(sorted((normalise(a), normalise(b))))


@dataclass
class Contamination:
    """What is seen of one test set. `pair` and `sentence` (U,): whether of a row, or query, any pair and any sentence is; the
    counts are of distinct ones."""

    name: str
    pair: np.ndarray
    sentence: np.ndarray
    pairs: int
    pairs_seen: int
    sentences: int
    sentences_seen: int


def check_contamination(rows: Rows | Retrieval, seen: Seen) -> Contamination:
    """Look for every pair and sentence of a test set."""
    found = list(normalised_pairs(rows))
    pair, sentence = np.zeros((2, 1 + max(place for place, _ in found)), bool)
    for place, texts in found:
        pair[place] |= texts in seen.pairs
        sentence[place] |= not seen.sentences.isdisjoint(texts)
    distinct = {texts for _, texts in found}
    sentences = {text for texts in distinct for text in texts}
    overlap = [
        len(distinct),
        len(distinct & seen.pairs),
        len(sentences),
        len(sentences & seen.sentences),
    ]
    return Contamination(rows.name, pair, sentence, *overlap)
