"""BM25: the texts of a collection that share the rarest words with a query. An index of its own on sparse matrices.

score(q, d) = sum over the words t of q, each as often as it is there, of
    idf(t) tf(t, d) (k1 + 1) / (tf(t, d) + k1 (1 - b + b |d| / mean |d|)),    idf(t) = ln(1 + (N - df(t) + 1/2) / (df(t) + 1/2))

with tf the times that t is in d, df the texts that hold t, |d| the words of d: Okapi BM25 (Robertson et al. 1994) with Lucene's
idf, which is never negative.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from sbert.errors import InputError

CELLS = 16_000_000  # scores that are computed together: 200 MB at most

# letters of scripts that put no space between words: Thai, Lao, Myanmar, Khmer, Japanese, Chinese; and Korean, whose words
# carry their particles
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\U00020000-\U0003ffff"
)

_RUN = re.compile(f"([{_UNSPACED}]+)|[^{_UNSPACED}]+")


class _Letters(dict):
    """What `str.translate` makes of a character: letters, digits and the marks that they carry stay, joiners vanish, all else
    parts words. `\\w` would part the words of Hindi at their vowel signs, which are marks."""

    def __missing__(self, code: int) -> int | str:
        kind = unicodedata.category(chr(code))
        self[code] = code if kind[0] in "LNM" else "" if kind == "Cf" else " "
        return self[code]


_LETTERS = _Letters()


def split_words(text: str) -> list[str]:
    """The words of a text of any language, case and compatibility forms folded; of scripts without spaces all pairs of
    neighbouring characters."""
    found = []
    for part in unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS).split():
        for match in _RUN.finditer(part):
            run = match[0]
            found += (
                [run[i : i + 2] for i in range(len(run) - 1)]
                if match[1] and len(run) > 1
                else [run]
            )
    return found


class BM25Index:
    """N texts to search."""

    def __init__(self, texts: Sequence[str], k1: float = 1.5, b: float = 0.75):
        self.vocabulary: dict[str, int] = {}
        counts = self._count(texts, grow=True)
        df = np.bincount(counts.indices, minlength=counts.shape[1])
        idf = np.log1p((len(texts) - df + 0.5) / (df + 0.5))
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        norm = k1 * (1 - b + b * lengths / max(lengths.mean(), 1e-9))
        tf = counts.data
        weights = (
            idf[counts.indices] * tf * (k1 + 1) / (tf + np.repeat(norm, np.diff(counts.indptr)))
        )
        self.weights = sparse.csr_matrix(
            (weights, counts.indices, counts.indptr), counts.shape
        ).T.tocsr()  # (V, N)

    def __len__(self) -> int:
        return self.weights.shape[1]

    def _count(self, texts: Sequence[str], grow: bool = False) -> sparse.csr_matrix:
        """How often each word of the vocabulary is in each text, (Q, V)."""
        columns, data, starts = [], [], [0]
        for text in texts:
            counted = Counter(split_words(text))
            if grow:
                for word in counted:
                    self.vocabulary.setdefault(word, len(self.vocabulary))
            there = sorted(
                (self.vocabulary[word], n) for word, n in counted.items() if word in self.vocabulary
            )
            columns += [column for column, _ in there]
            data += [n for _, n in there]
            starts.append(len(columns))
        shape = (len(texts), max(1, len(self.vocabulary)))
        return sparse.csr_matrix(
            (np.array(data, np.float64), np.array(columns, np.int32), starts), shape
        )

    def top_k(
        self, queries: Sequence[str], k: int, exclude: Sequence[Sequence[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best texts for each query: scores (Q, k) float64 and indices (Q, k) int64, best first, of equal ones the lower
        index first. A text that shares no word with a query is not found: the row ends with score 0 and index -1.

        Args:
            exclude: for each query the indices that are not returned.

        Raises:
            InputError: k below 1.
        """
        if k < 1:
            raise InputError(f"bm25: k is {k}; it must be 1 or more")
        counts, size = self._count(queries), max(1, CELLS // max(1, len(self)))
        scores, indices = np.zeros((len(queries), k)), np.full((len(queries), k), -1)
        for start in range(0, len(queries), size):
            found = counts[start : start + size] @ self.weights
            for q, (first, last) in enumerate(
                zip(found.indptr[:-1], found.indptr[1:], strict=True), start=start
            ):
                value, column = _best(
                    found.data[first:last],
                    found.indices[first:last],
                    k,
                    exclude[q] if exclude else (),
                )
                scores[q, : len(value)], indices[q, : len(value)] = value, column
        return scores, indices


def _best(
    values: np.ndarray, columns: np.ndarray, k: int, without: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The k largest of a row's values and their columns; of equal ones the lower columns."""
    if len(without):
        there = ~np.isin(columns, without)
        values, columns = values[there], columns[there]
    if len(values) > k:
        there = values >= np.partition(values, -k)[-k]
        values, columns = values[there], columns[there]
    order = np.lexsort((columns, -values))[:k]
    return values[order], columns[order]
