"""How much of a test set stands in the training data, and the score without it.

Texts are the same where they are so after Unicode NFKC, lower case, and runs of white space made one space. Punctuation counts:
without it "1.5" and "15" would be the same text. A pair is seen in either order, also for NLI, whose labels depend on the order:
too much is called seen rather than too little.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from sbert.batching import unique
from sbert.columns import DatasetConfig
from sbert.data import Rows, read
from sbert.evaluation import Report
from sbert.retrieval import Retrieval, corpus_folder

Pair = tuple[str, str]


def normalise(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).lower().split())


@dataclass
class Seen:
    """What stands in training data: normalised sentences, and pairs with the lesser first. `names`: of the datasets, with their
    rows."""

    names: dict[str, int]
    sentences: set[str]
    pairs: set[Pair]

    def describe(self) -> str:
        named = ", ".join(f"{name} ({rows:,} rows)" for name, rows in self.names.items())
        return (
            f"seen in training: {named}: {len(self.pairs):,} distinct pairs, {len(self.sentences):,} distinct sentences"
        )


def read_seen(configs: list[DatasetConfig]) -> Seen:
    """Read training data of any task, with labels or without; empty texts are left out.

    Raises:
        InputError: a file that is not there, or of which no column holds texts.
    """
    seen = Seen({}, set(), set())
    for config in configs:
        folder = config.task == "retrieval" or corpus_folder(config)
        rows = read(config if folder else replace(config, skip_empty=True), labels=False)
        seen.names[rows.name] = len(rows)
        seen.sentences |= {normalise(text) for column in rows.texts for text in column if text}
        seen.pairs |= {pair for _, pair in pairs(rows)}
    seen.sentences.discard("")
    return seen


def pairs(rows: Rows | Retrieval) -> Iterator[tuple[int, Pair]]:
    """Every pair of a dataset, normalised, with the place of what a metric is the mean over: the row; of re-ranking and retrieval
    the query, whose pairs are with its candidates or with its relevant documents."""
    if isinstance(rows, Retrieval):
        relevant = rows.qrels.relevance > 0
        cells = zip(rows.qrels.query[relevant], rows.qrels.document[relevant], strict=True)
        found = ((q, rows.queries[q], rows.corpus[d]) for q, d in cells)
    else:
        first, *others = rows.texts
        places = unique(first)[1] if rows.task == "rerank" else range(len(rows))
        found = ((place, a, b) for column in others for place, a, b in zip(places, first, column, strict=True) if b)
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

    def scores(self, report: Report) -> dict[str, float]:
        """The main metric over all rows, those without and with a seen pair, those without any seen sentence."""
        parts = {
            "all": np.ones(len(self.pair), bool),
            "pair unseen": ~self.pair,
            "pair seen": self.pair,
            "no sentence seen": ~self.sentence,
        }
        return {name: report.samples[report.main].of(mask) for name, mask in parts.items()}


def check(rows: Rows | Retrieval, seen: Seen) -> Contamination:
    """Look for every pair and sentence of a test set."""
    found = list(pairs(rows))
    pair, sentence = np.zeros((2, 1 + max(place for place, _ in found)), bool)
    for place, texts in found:
        pair[place] |= texts in seen.pairs
        sentence[place] |= not seen.sentences.isdisjoint(texts)
    distinct = {texts for _, texts in found}
    sentences = {text for texts in distinct for text in texts}
    overlap = [len(distinct), len(distinct & seen.pairs), len(sentences), len(sentences & seen.sentences)]
    return Contamination(rows.name, pair, sentence, *overlap)
