"""BM25: the texts of a collection that share the rarest words with a query, by a sparse index.

score(q, d) = sum over the words t of q, with repetition, of

    idf(t) tf(t, d) (k1 + 1) / (tf(t, d) + k1 (1 - b + b |d| / mean |d|))

    idf(t) = ln(1 + (N - df(t) + 1/2) / (df(t) + 1/2))

tf(t, d) is the number of times that t occurs in d, df(t) the number of texts with t, |d| the number
of words of d. This is Okapi BM25 (Robertson et al. 1994) with Lucene's idf, which is not negative.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from sbert.errors import require

SCORES_AT_ONCE = 16_000_000  # computed together: 200 MB at most

# Thai, Lao, Myanmar, Khmer, Japanese and Chinese, which put no space between words; and Korean,
# whose words carry their particles
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\U00020000-\U0003ffff"
)

_RUN = re.compile(f"([{_UNSPACED}]+)|[^{_UNSPACED}]+")


class _WordCharacters(dict):
    """The table of `str.translate` that leaves words and spaces.

    Letters, digits and marks stay, joiners vanish, all else becomes a space. `\\w` would split the
    words of Hindi at their vowel signs, which are marks.
    """

    def __missing__(self, code: int) -> int | str:
        category = unicodedata.category(chr(code))
        if category[0] in "LNM":
            self[code] = code
        else:
            self[code] = "" if category == "Cf" else " "
        return self[code]


_WORD_CHARACTERS = _WordCharacters()


def split_words(text: str) -> list[str]:
    """The words of a text of any language, in their case-folded NFKC form; of scripts without
    spaces all pairs of adjacent characters."""
    words = []
    for part in unicodedata.normalize("NFKC", text).casefold().translate(_WORD_CHARACTERS).split():
        for match in _RUN.finditer(part):
            run, unspaced = match[0], match[1]
            if unspaced and len(run) > 1:
                words += [run[i : i + 2] for i in range(len(run) - 1)]
            else:
                words.append(run)
    return words


class BM25Index:
    """An index of N texts. `weights` (V, N): what each word adds to the score of each text."""

    def __init__(self, texts: Sequence[str], k1: float = 1.5, b: float = 0.75):
        self.vocabulary: dict[str, int] = {}
        counts = self._count_words(texts, grow=True)  # (N, V)
        df = np.bincount(counts.indices, minlength=counts.shape[1])
        idf = np.log1p((len(texts) - df + 0.5) / (df + 0.5))
        lengths = np.asarray(counts.sum(axis=1)).ravel()
        norm = k1 * (1 - b + b * lengths / max(lengths.mean(), 1e-9))  # (N,)
        tf = counts.data
        norm_of_tf = np.repeat(norm, np.diff(counts.indptr))
        weights = idf[counts.indices] * tf * (k1 + 1) / (tf + norm_of_tf)
        by_text = sparse.csr_matrix((weights, counts.indices, counts.indptr), counts.shape)
        self.weights = by_text.T.tocsr()

    def __len__(self) -> int:
        return self.weights.shape[1]

    def _count_words(self, texts: Sequence[str], grow: bool = False) -> sparse.csr_matrix:
        """How often each text has each word of the vocabulary, (Q, V). `grow`: add new words."""
        columns, counts, starts = [], [], [0]
        for text in texts:
            for word, count in Counter(split_words(text)).items():
                if grow:
                    self.vocabulary.setdefault(word, len(self.vocabulary))
                if word in self.vocabulary:
                    columns.append(self.vocabulary[word])
                    counts.append(count)
            starts.append(len(columns))
        shape = (len(texts), max(1, len(self.vocabulary)))
        data, columns = np.array(counts, np.float64), np.array(columns, np.int32)
        matrix = sparse.csr_matrix((data, columns, starts), shape)
        matrix.sort_indices()  # sums are added in this order
        return matrix

    def top_k(
        self, queries: Sequence[str], k: int, exclude: Sequence[Sequence[int]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best texts for each query: scores (Q, k) float64 and indices (Q, k) int64, best
        first, of equal scores the lower index first.

        A text that shares no word with a query is not returned: the row ends with score 0 and index
        -1.

        Args:
            exclude: for each query the indices that are not returned.

        Raises:
            InputError: k below 1.
        """
        require(k >= 1, f"bm25: k is {k}; it must be 1 or more")
        counts = self._count_words(queries)
        rows_at_once = max(1, SCORES_AT_ONCE // max(1, len(self)))
        scores = np.zeros((len(queries), k))
        indices = np.full((len(queries), k), -1)
        for start in range(0, len(queries), rows_at_once):
            part = counts[start : start + rows_at_once] @ self.weights  # (R, N)
            for row, (first, last) in enumerate(zip(part.indptr, part.indptr[1:], strict=False)):
                query = start + row
                excluded = exclude[query] if exclude else ()
                values, columns = part.data[first:last], part.indices[first:last]
                values, columns = _best_of_row(values, columns, k, excluded)
                scores[query, : len(values)] = values
                indices[query, : len(values)] = columns
        return scores, indices


def _best_of_row(
    values: np.ndarray, columns: np.ndarray, k: int, excluded: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The k largest of a row's values and their columns; of equal values the lower columns."""
    if len(excluded):
        kept = ~np.isin(columns, excluded)
        values, columns = values[kept], columns[kept]
    if len(values) > k:
        kept = values >= np.partition(values, -k)[-k]
        values, columns = values[kept], columns[kept]
    order = np.lexsort((columns, -values))[:k]
    return values[order], columns[order]
