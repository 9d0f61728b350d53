"""BM25: the texts of a collection that share the rarest words with a query, by a sparse index.

score(q, d) = sum over the words t of q, with repetition, of

    idf(t) tf(t, d) (k1 + 1) / (tf(t, d) + k1 (1 - b + b |d| / mean |d|))

    idf(t) = ln(1 + (N - df(t) + 1/2) / (df(t) + 1/2))

tf(t, d) is the number of times that t occurs in d, df(t) the number of texts with t, |d| the number
of words of d. This is Okapi BM25 (Robertson et al. 1994) with Lucene's idf, which is not negative.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from scipy import sparse

from sbert.errors import require
from sbert.texts import list_texts

SCORES_AT_ONCE = 16_000_000  # computed together: 200 MB at most

# Thai, Lao, Myanmar, Khmer, Japanese and Chinese, which put no space between words; and Korean,
# whose words carry their particles
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\U00020000-\U0003ffff"
)

_RUN = re.compile(f"([{_UNSPACED}]+)|([^{_UNSPACED}]+)")


class _WordCharacters(dict):
    """The table of `str.translate` that leaves words and spaces.

    Letters, digits and marks stay, joiners vanish, all else becomes a space. `\\w` would split the
    words of Hindi at their vowel signs, which are marks.
    """

    def __missing__(self, code: int) -> int | str:
        category = unicodedata.category(chr(code))
        other = "" if category == "Cf" else " "
        return self.setdefault(code, code if category[0] in "LNM" else other)


_WORD_CHARACTERS = _WordCharacters()


def split_words(text: str) -> list[str]:
    """The words of a text of any language, in their case-folded NFKC form; of scripts without
    spaces all pairs of adjacent characters."""
    words = []
    for part in unicodedata.normalize("NFKC", text).casefold().translate(_WORD_CHARACTERS).split():
        for unspaced, spaced in _RUN.findall(part):
            if len(unspaced) > 1:
                words += map("".join, pairwise(unspaced))
            else:
                words.append(unspaced or spaced)
    return words


class BM25Index:
    """An index of N texts. `weights` (V, N): what each word adds to the score of each text."""

    def __init__(self, texts: Iterable[str], k1: float = 1.5, b: float = 0.75):
        texts = list_texts(texts, "bm25")
        self.vocabulary: dict[str, int] = {}
        counts = self._count_words(texts, grow=True)  # (N, V)
        df = np.bincount(counts.indices, minlength=counts.shape[1])
        idf = np.log1p((len(texts) - df + 0.5) / (df + 0.5))
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        norm = k1 * (1 - b + b * lengths / max(lengths.mean(), 1e-9))  # (N,)
        norms = np.repeat(norm, np.diff(counts.indptr))  # one for each tf
        counts.data = idf[counts.indices] * counts.data * (k1 + 1) / (counts.data + norms)
        self.weights = counts.T.tocsr()

    def _count_words(self, texts: Sequence[str], grow: bool = False) -> sparse.csr_matrix:
        """How often each text has each word of the vocabulary, (Q, V). `grow`: add new words."""
        columns, starts = [], [0]
        for text in texts:
            words = split_words(text)
            if grow:
                for word in words:
                    self.vocabulary.setdefault(word, len(self.vocabulary))
            columns += [self.vocabulary[word] for word in words if word in self.vocabulary]
            starts.append(len(columns))
        shape = (len(texts), max(1, len(self.vocabulary)))
        matrix = sparse.csr_matrix((np.ones(len(columns)), columns, starts), shape)
        matrix.sum_duplicates()  # sorts the columns too: scores are summed in their order
        return matrix

    def top_k(
        self, queries: Iterable[str], k: int, exclude: Sequence[Sequence[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best texts for each query: scores (Q, k) float64 and indices (Q, k) int64, best
        first, of equal scores the lower index first.

        A text that shares no word with a query is not returned: the row ends with score 0 and index
        -1.

        Args:
            exclude: for each query the indices that are not returned.

        Raises:
            InputError: k below 1; a query that is no text.
        """
        require(k >= 1, f"bm25: k is {k}; it must be 1 or more")
        queries = list_texts(queries, "bm25", "query")
        counts = self._count_words(queries)
        rows_at_once = max(1, SCORES_AT_ONCE // max(1, self.weights.shape[1]))
        scores = np.zeros((len(queries), k))
        indices = np.full((len(queries), k), -1)
        for start in range(0, len(queries), rows_at_once):
            part = counts[start : start + rows_at_once] @ self.weights  # (R, N)
            for query, (first, last) in enumerate(pairwise(part.indptr), start):
                values, columns = _best_of_row(
                    part.data[first:last],
                    part.indices[first:last],
                    k,
                    exclude[query] if exclude else (),
                )
                scores[query, : len(values)] = values
                indices[query, : len(values)] = columns
        return scores, indices


def _best_of_row(
    values: np.ndarray, columns: np.ndarray, k: int, excluded: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    if len(excluded):
        kept = ~np.isin(columns, excluded)
        values, columns = values[kept], columns[kept]
    if len(values) > k:
        kept = values >= np.partition(values, -k)[-k]
        values, columns = values[kept], columns[kept]
    order = np.lexsort((columns, -values))[:k]  # of equal values the lower columns first
    return values[order], columns[order]
