"""A column of texts in two flat arrays."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

_NONE = b"\xff"  # stands for None: not in UTF-8


class TextColumn(Sequence):
    """N texts, or None where a row has none, that read like a list of them.

    They are kept as UTF-8, with the place where each ends. A list needs about 70 bytes more for
    each text, and so many small objects scatter over the memory that little of it can be used
    again, or returned, when they are freed.
    """

    def __init__(self, texts: Iterable[str | None] = ()):
        self._bytes = bytearray()
        self._ends = array("q")
        for text in texts:
            self.append(text)

    def append(self, text: str | None) -> None:
        self._bytes += _NONE if text is None else text.encode()
        self._ends.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int | slice) -> str | None | list[str | None]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        return self._text(self._ends[index - 1] if index else 0, self._ends[index])

    def __iter__(self) -> Iterator[str | None]:
        start = 0
        for end in self._ends:
            yield self._text(start, end)
            start = end

    def _text(self, start: int, end: int) -> str | None:
        raw = self._bytes[start:end]
        return None if raw == _NONE else raw.decode()

    def __add__(self, other: Iterable[str | None]) -> "TextColumn":
        return TextColumn(chain(self, other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        return repr(list(self))
