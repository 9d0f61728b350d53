"""Pairs of texts as a cross-encoder reads them, joined from the ids of single texts: each text is tokenised once.

A tokenizer turns a pair into prefix + first + middle + second + suffix, as [CLS] a [SEP] b [SEP] for BERT and
<s> a </s></s> b </s> for RoBERTa and MPNet, and cuts the longer text first where the whole exceeds `max_length`. Here the
same is done on arrays of ids; a property test holds it to the tokenizer.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sbert.errors import InputError
from sbert.models.tokens import TextTokenizer, TokenTable


class PairTokenizer(TextTokenizer):
    """`table(texts)` holds the bare ids of single texts, without special tokens; `join` makes pairs of them."""

    def __init__(self, tokenizer, max_length: int):
        super().__init__(tokenizer, max_length)
        self.token_types = "token_type_ids" in tokenizer.model_input_names
        self.prefix = self.suffix = []

    def find_room(self) -> int:
        """How many tokens both texts of a pair may have together."""
        # ids and token types of the special tokens before, between and after the texts; token types of the texts
        self.special, self.types, self.text_types = _template(self.backend)
        special = sum(map(len, self.special))
        if self.max_length < special + 2:
            raise InputError(
                f"max_length {self.max_length} leaves no room for a pair; use at least {special + 2}"
            )
        return self.max_length - special

    def kept(self, table: TokenTable, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(R,), (R,) tokens that each text of the pairs (R, 2) keeps, by the tokenizers library's "longest first".

        The shorter text stays whole as long as it fills no more than half of the room, and the longer gets the rest;
        otherwise both get half, the longer the odd token (the second text, of two of one length).
        """
        first, second = (table.lengths + table.cut_tokens)[pairs].T
        short, long = np.minimum(first, second), np.maximum(first, second)
        both = short > self.room // 2
        short = np.where(both, self.room // 2, short)
        long = np.where(both, self.room - self.room // 2, np.minimum(long, self.room - short))
        return np.where(first > second, long, short), np.where(first > second, short, long)

    def lengths(self, table: TokenTable, pairs: np.ndarray) -> np.ndarray:
        """(R,) tokens of each pair, special ones included."""
        return sum(self.kept(table, pairs)) + sum(map(len, self.special))

    def cut(self, table: TokenTable, pairs: np.ndarray) -> np.ndarray:
        """(R,) tokens that each pair loses to `max_length`."""
        return np.maximum((table.lengths + table.cut_tokens)[pairs].sum(axis=1) - self.room, 0)

    def join(self, table: TokenTable, pairs: np.ndarray) -> dict[str, Tensor]:
        """Pairs (R, 2) of a table's texts as rectangles (R, L): ids, mask and, for models that read them, token types."""
        texts = np.array(self.kept(table, pairs))  # (2, R)
        # the five parts of a pair: where each begins in a row, its length, its ids and token types
        before, between, after = (np.full(len(pairs), len(ids)) for ids in self.special)
        sizes = np.stack([before, texts[0], between, texts[1], after])  # (5, R)
        total = sizes.sum(axis=0)
        longest = total.max(initial=1)
        begins = np.cumsum(sizes, axis=0) - sizes + (longest - total if self.left else 0)
        ids = np.full((len(pairs), longest), self.pad_id, np.int64)
        types = np.zeros_like(ids)
        mask = np.zeros_like(ids)
        columns = np.arange(longest)
        for part in range(5):
            place = columns - begins[part][:, None]
            inside = (place >= 0) & (place < sizes[part][:, None])
            mask[inside] = 1
            if part % 2:
                which = pairs[:, part // 2]
                # a text cut from its start is kept from here on
                skipped = table.lengths[which] - sizes[part] if self.keep_end else 0
                ids[inside] = table.ids[(place + (table.starts[which] + skipped)[:, None])[inside]]
                types[inside] = self.text_types[part // 2]
            else:
                ids[inside] = self.special[part // 2][place[inside]]
                types[inside] = self.types[part // 2][place[inside]]
        arrays = {"input_ids": ids, "attention_mask": mask} | (
            {"token_type_ids": types} if self.token_types else {}
        )
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def describe_cut(self, table: TokenTable, rows: np.ndarray) -> str | None:
        """What max_length cut from rows (N, C) of pairs, as shares of rows and of tokens; None if nothing."""
        pairs, owner = flatten(rows)
        lost, all_tokens = self.cut(table, pairs), (table.lengths + table.cut_tokens)[pairs].sum()
        count = len(np.unique(owner[lost > 0]))
        if not count:
            return None
        return f"{count:,} of {len(rows):,} rows ({count / len(rows):.2%}) cut, {lost.sum() / all_tokens:.2%} of their tokens"


def flatten(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (R, C) as pairs (P, 2) of the first text with each of the others that is there, and the row (P,) of each."""
    owner, column = np.nonzero(rows[:, 1:] >= 0)
    return np.stack([rows[owner, 0], rows[owner, column + 1]], axis=1), owner


def _template(backend) -> tuple[list[np.ndarray], list[np.ndarray], list[int]]:
    """The special ids before, between and after the texts of a pair, their token types, and those of the two texts."""
    encoding = backend.encode("a", "a")
    parts: list[Sequence[int]] = [[], [], []]
    text_types = [0, 0]
    gap = 0
    for place, (sequence, special) in enumerate(
        zip(encoding.sequence_ids, encoding.special_tokens_mask, strict=True)
    ):
        if special or sequence is None:
            parts[gap].append(place)
        else:
            gap = sequence + 1
            text_types[sequence] = encoding.type_ids[place]
    if gap != 2:
        raise InputError("tokenizer: it does not join two texts, which a cross-encoder needs")
    ids = [np.array([encoding.ids[place] for place in part], np.int64) for part in parts]
    return (
        ids,
        [np.array([encoding.type_ids[place] for place in part], np.int64) for part in parts],
        text_types,
    )
