"""The sentences that are paired, and the numbers of their pairs.

The unordered pair of the sentences i < j has the number j (j - 1) / 2 + i, so N sentences have the
pairs 0 to N (N - 1) / 2 - 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from sbert.errors import require
from sbert.texts import canonical

TextPairs = Iterable[tuple[str, str]]


def pair_numbers(pairs: np.ndarray) -> np.ndarray:
    """Pairs (P, 2), each in either order -> their numbers (P,)."""
    i, j = pairs.min(axis=1), pairs.max(axis=1)
    return j * (j - 1) // 2 + i


def pairs_from_numbers(numbers: np.ndarray) -> np.ndarray:
    """Numbers (P,) -> pairs (P, 2), i < j."""
    # j is the largest integer with j (j - 1) / 2 <= number
    j = ((1 + np.sqrt(1 + 8.0 * numbers)) / 2).astype(np.int64)
    j -= j * (j - 1) // 2 > numbers  # the root was rounded up
    j += j * (j + 1) // 2 <= numbers  # the root was rounded down
    return np.stack([numbers - j * (j - 1) // 2, j], axis=1)


@dataclass(frozen=True)
class SentencePool:
    """N distinct sentences.

    known: sorted numbers of the pairs that are never sampled, those of gold.
    given: pairs (P, 2) of sentence indices that are already paired, in the order of their file.
    teacher_texts: what the teacher reads of each sentence: its translation, or the sentence itself.
    """

    sentences: list[str]
    known: np.ndarray
    given: np.ndarray
    teacher_texts: list[str]

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str],
        known: TextPairs = (),
        given: TextPairs = (),
        name: str = "pool",
    ) -> "SentencePool":
        """Sentences that differ in case and spaces alone are one, in the spelling that comes first.

        Known and given pairs are ignored if a sentence is not in the pool or is paired with itself.
        `name` is the name of the data in errors.

        Raises:
            InputError: fewer than two distinct sentences.
        """
        spelling: dict[str, str] = {}
        for text in texts:
            spelling.setdefault(canonical(text), text)
        require(
            len(spelling) > 1,
            f"{name}: {len(spelling)} distinct sentence, ignoring case and spaces; pairs need two "
            "or more",
        )
        index = {key: i for i, key in enumerate(spelling)}
        known_numbers = np.unique(pair_numbers(_index_pairs(known, index)))
        sentences = list(spelling.values())
        return cls(sentences, known_numbers, _index_pairs(given, index), sentences)

    def with_translations(
        self, texts: Iterable[str], translations: Iterable[str]
    ) -> "SentencePool":
        """The pool for a teacher of another language. Of a sentence that is translated more than
        once, the first translation is used."""
        first: dict[str, str] = {}
        for text, translation in zip(texts, translations, strict=True):
            first.setdefault(canonical(text), translation)
        return replace(self, teacher_texts=[first[canonical(text)] for text in self.sentences])

    def __len__(self) -> int:
        return len(self.sentences)

    def excluded(self) -> list[list[int]]:
        """For each sentence, what is not searched for: itself and its partners in known pairs."""
        lists = [[i] for i in range(len(self))]
        for i, j in pairs_from_numbers(self.known).tolist():
            lists[i].append(j)
            lists[j].append(i)
        return lists


def _index_pairs(pairs: TextPairs, index: dict[str, int]) -> np.ndarray:
    rows = []
    for first, second in pairs:
        i, j = index.get(canonical(first)), index.get(canonical(second))
        if i is not None and j is not None and i != j:
            rows.append((i, j))
    return np.array(rows, np.int64).reshape(-1, 2)
