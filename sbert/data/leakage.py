"""Overlaps between datasets: what a run refuses or leaves out, and how much of a test set was seen
in training.

Two evaluated datasets of one name are refused, and in a run rows that are both trained on and
evaluated. A run leaves out training rows with a text of a held-out dataset, whatever its case,
punctuation and spaces: one row too many is no loss.

`check_contamination` counts the pairs and sentences of a test set that occur in other training
data. There texts are compared after Unicode NFKC, in lower case, with each run of white space as
one space. Punctuation is kept: without it "1.5" and "15" would be the same text. A pair counts as
seen in either order, for NLI too, whose labels depend on the order: this overcounts rather than
undercounts.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from sbert.data.config import DatasetConfig
from sbert.data.origin import corpus_folder
from sbert.data.retrieval import Retrieval
from sbert.data.rows import Rows, read_dataset
from sbert.errors import InputError, require
from sbert.texts import bare, normalise, unique


def check_names(datasets: list[Rows | Retrieval]) -> None:
    """Refuse two evaluated datasets of one name: it is that of their metrics and row scores."""
    for name, count in Counter(rows.name for rows in datasets).items():
        require(
            count == 1,
            f"data: two evaluated datasets are named {name}; set another name for one of them",
        )


def check_held_out(train: list[Rows], held_out: list[Rows | Retrieval]) -> None:
    """Refuse a line of a file, or a group of rows, that is both trained on and evaluated."""
    evaluated = [rows for rows in held_out if isinstance(rows, Rows)]
    for rows, trained in product(evaluated, train):
        lines = np.intersect1d(rows.lines, trained.lines)
        files = sorted(set(rows.files) & set(trained.files))
        if files and len(lines):
            raise InputError(
                f"data: {rows.name} is evaluated on {len(lines):,} rows that {trained.name} trains "
                f"on, from line {lines[0]} of {files[0]}; separate them by limit of the one and "
                "beyond of the other, with the same limit_seed"
            )
        groups = set(rows.groups or []) & set(trained.groups or [])
        if groups:
            raise InputError(
                f"data: {rows.name} is evaluated on rows of group {min(groups, key=str)}, which "
                f"{trained.name} trains on; datasets with common groups need the same groups in "
                "their files, and the same folds, fold and limit_seed"
            )


NormalisedPair = tuple[str, str]  # in sorted order


@dataclass
class SeenTexts:
    """The distinct normalised texts of training data.

    Attributes:
        names: the datasets, with their number of rows; those of one name are counted together.
        sentences: all texts but empty ones.
        pairs: all pairs of texts that a row, or a query and its document, has.
    """

    names: dict[str, int]
    sentences: set[str]
    pairs: set[NormalisedPair]

    def describe(self) -> str:
        names = [f"{name} ({rows:,} rows)" for name, rows in self.names.items()]
        return (
            f"seen in training: {', '.join(names)}: {len(self.pairs):,} distinct pairs, "
            f"{len(self.sentences):,} distinct sentences"
        )


def read_seen_texts(configs: list[DatasetConfig]) -> SeenTexts:
    """Read training data of any task, with or without labels; empty texts are left out.

    Raises:
        InputError: a file that does not exist, or without a column that is known to hold texts.
    """
    seen = SeenTexts({}, set(), set())
    for config in configs:
        rows = _read_texts(config)
        seen.names[rows.name] = seen.names.get(rows.name, 0) + len(rows)
        for column in rows.texts:
            seen.sentences.update(normalise(text) for text in column if text)
        seen.pairs.update(pair for _, pair in normalised_pairs(rows))
    seen.sentences.discard("")
    return seen


def _read_texts(config: DatasetConfig) -> Rows | Retrieval:
    """A dataset of any task, without its labels and its rows with an empty text."""
    if not (config.task == "retrieval" or corpus_folder(config)):
        # labels are not read, so it does not matter which teacher gave them
        config = replace(config, skip_empty=True, teacher=None)
    return read_dataset(config, labels=False)


def read_held_out(configs: list[DatasetConfig]) -> dict[str, str]:
    """The texts of datasets that no training data may hold, in bare form -> the first dataset.

    Raises:
        InputError: as `read_seen_texts`.
    """
    held_out: dict[str, str] = {}
    for config in configs:
        rows = _read_texts(config)
        for column in rows.texts:
            for text in column:
                held_out.setdefault(bare(text or ""), rows.name)
    held_out.pop("", None)  # of texts that are all punctuation
    return held_out


def leave_out(rows: Rows, held_out: dict[str, str]) -> Rows:
    """The rows without those of which any text is held out; these are counted by its dataset.

    Raises:
        InputError: no row is left.
    """
    found = held_out_by(rows, held_out)
    kept = rows.take(np.flatnonzero([name is None for name in found]))
    kept.skipped.update(f"a text of {name}" for name in found if name)
    return kept


def held_out_by(rows: Rows, held_out: dict[str, str]) -> list[str | None]:
    """For each row the dataset that one of its texts is held out for, or None.

    Raises:
        InputError: no row is left.
    """
    found: list[str | None] = [None] * len(rows)
    for column in rows.texts:
        for i, text in enumerate(column):
            found[i] = found[i] or held_out.get(bare(text or ""))
    require(
        None in found,
        f"{rows.name}: none of the {len(rows):,} rows is left: each has a held-out text",
    )
    return found


def normalised_pairs(rows: Rows | Retrieval) -> Iterator[tuple[int, NormalisedPair]]:
    """Every pair of a dataset, normalised, with the index of the unit that metrics average over.

    The unit is the row, and the query for re-ranking and retrieval. The pairs of a query are those
    with its candidates, or with its relevant documents.
    """
    for unit, first, second in _pairs(rows):
        yield unit, tuple(sorted([normalise(first), normalise(second)]))


def _pairs(rows: Rows | Retrieval) -> Iterator[tuple[int, str, str]]:
    """(index of the unit, text, text) of every pair."""
    if isinstance(rows, Retrieval):
        for query, document, relevance in zip(*rows.qrels, strict=True):
            if relevance > 0 and document >= 0:
                yield int(query), rows.queries[query], rows.corpus[document]
        return
    first, *others = rows.texts
    units = unique(first)[1].tolist() if rows.task == "rerank" else range(len(rows))
    for column in others:
        for unit, a, b in zip(units, first, column, strict=True):
            if b:
                yield unit, a, b


@dataclass
class Contamination:
    """How much of one test set was seen, over U units: rows, or queries.

    Attributes:
        pair: (U,) bool, whether any pair of the unit was seen.
        sentence: (U,) bool, whether any sentence of the unit was seen.
        pairs, pairs_seen: the number of distinct pairs, and of those that were seen.
        sentences, sentences_seen: the same for sentences.
    """

    name: str
    pair: np.ndarray
    sentence: np.ndarray
    pairs: int
    pairs_seen: int
    sentences: int
    sentences_seen: int


def check_contamination(rows: Rows | Retrieval, seen: SeenTexts) -> Contamination:
    """Look up every pair and sentence of a test set in the texts seen in training."""
    found = list(normalised_pairs(rows))
    single = enumerate(rows.texts[0] if len(rows.texts) == 1 else [])  # texts without a pair
    units = len(unique(rows.texts[0])[0]) if rows.task == "rerank" else len(rows)
    pair_seen = np.zeros(units, bool)
    sentence_seen = np.zeros(units, bool)
    for unit, pair in found:
        pair_seen[unit] |= pair in seen.pairs
        sentence_seen[unit] |= not seen.sentences.isdisjoint(pair)
    pairs = {pair for _, pair in found}
    sentences = {text for pair in pairs for text in pair}
    for unit, text in single:
        sentence = normalise(text)
        sentence_seen[unit] = sentence in seen.sentences
        sentences.add(sentence)
    return Contamination(
        name=rows.name,
        pair=pair_seen,
        sentence=sentence_seen,
        pairs=len(pairs),
        pairs_seen=len(pairs & seen.pairs),
        sentences=len(sentences),
        sentences_seen=len(sentences & seen.sentences),
    )
