"""Pairs of texts as a cross-encoder reads them, joined from the ids of single texts.

A tokenizer turns a pair into five parts, prefix + first + middle + second + suffix: [CLS] a [SEP] b
[SEP] for BERT, <s> a </s></s> b </s> for RoBERTa and MPNet. It cuts the longer text first where the
whole exceeds `max_length`. Here the same is done on arrays of ids, so that every distinct text is
tokenised once (a property test compares with the tokenizer itself).
"""

from collections.abc import Iterable

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from sbert.errors import require
from sbert.models.token_table import TokenTable
from sbert.models.tokens import BaseTokenizer, find_special_ids, unlimited_backend
from sbert.texts import check_text


class PairTokenizer(BaseTokenizer):
    """`tokenize` gives the ids of single texts without special tokens; `join` makes pairs of them.

    Raises:
        InputError: no fast tokenizer, or none that joins two texts; `max_length` leaves no room for
            a pair.
    """

    def __init__(self, tokenizer, max_length: int):
        backend = unlimited_backend(tokenizer)
        find_special_ids(backend)  # refuses special tokens that change the ids of a text
        # of the three special parts, before, between and after the texts: ids and token types
        self.special_ids, self.special_types, self.text_types = _read_pair_template(backend)
        self.special_count = sum(len(ids) for ids in self.special_ids)
        require(
            max_length >= self.special_count + 2,
            f"max_length {max_length} leaves no room for a pair; "
            f"use at least {self.special_count + 2}",
        )
        super().__init__(tokenizer, backend, max_length, max_length - self.special_count)
        self.reads_token_types = "token_type_ids" in tokenizer.model_input_names

    @property
    def added_ids(self) -> np.ndarray:
        return np.concatenate([super().added_ids, *self.special_ids])

    def kept_lengths(self, table: TokenTable, pairs: np.ndarray) -> np.ndarray:
        """(2, P) tokens that each text of the pairs (P, 2) keeps, by the rule "longest first".

        Both texts share `text_room` tokens. A text of at most half of that stays whole, and the
        other gets the rest. Otherwise both get half, the longer one the odd token (the second, of
        two equally long ones).
        """
        first, second = table.full_lengths_of(pairs).T  # (P,) each
        shorter_kept = np.minimum(np.minimum(first, second), self.text_room // 2)
        longer_kept = np.minimum(np.maximum(first, second), self.text_room - shorter_kept)
        kept = np.stack([shorter_kept, longer_kept])
        return np.where(first > second, kept[::-1], kept)

    def lengths(self, table: TokenTable, pairs: np.ndarray) -> np.ndarray:
        """(P,) tokens of each pair, special ones included."""
        return self.kept_lengths(table, pairs).sum(axis=0) + self.special_count

    def cut_tokens(self, table: TokenTable, pairs: np.ndarray) -> np.ndarray:
        """(P,) tokens that each pair loses to `max_length`."""
        return np.maximum(table.full_lengths_of(pairs).sum(axis=1) - self.text_room, 0)

    def count_cut(self, table: TokenTable, rows: np.ndarray) -> tuple[np.ndarray, int]:
        pairs, row = rows_to_pairs(rows)
        cut = np.bincount(row, self.cut_tokens(table, pairs), minlength=len(rows))
        return cut, int(table.full_lengths_of(pairs).sum())

    def join(self, table: TokenTable, pairs: np.ndarray) -> dict[str, Tensor]:
        """Pairs (P, 2) of texts as a padded batch: input_ids, attention_mask and token_type_ids.

        Each is (P, L), int64. token_type_ids are left out for models that do not read them.
        """
        # special parts and texts alternate
        sizes = np.empty((5, len(pairs)), np.int64)
        sizes[0::2] = np.array([len(ids) for ids in self.special_ids])[:, None]
        sizes[1::2] = self.kept_lengths(table, pairs)
        # at least one column: a model cannot read a row of none
        width = sizes.sum(axis=0).max(initial=1)
        starts = np.cumsum(sizes, axis=0) - sizes  # (5, P), column where each part starts
        ids = np.full((len(pairs), width), self.pad_id, np.int64)  # (P, L)
        mask, types = np.zeros_like(ids), np.zeros_like(ids)
        for part in range(5):
            position = np.arange(width) - starts[part][:, None]  # (P, L), within the part
            inside = (position >= 0) & (position < sizes[part][:, None])
            mask[inside] = 1
            i, is_text = divmod(part, 2)
            if is_text:
                texts = pairs[:, i]
                first_kept = table.starts[texts]
                if self.truncate_left:
                    first_kept = table.starts[texts + 1] - sizes[part]
                ids[inside] = table.ids[(first_kept[:, None] + position)[inside]]
                types[inside] = self.text_types[i]
            else:
                ids[inside] = self.special_ids[i][position[inside]]
                types[inside] = self.special_types[i][position[inside]]
        arrays = {"input_ids": ids, "attention_mask": mask}
        if self.reads_token_types:
            arrays["token_type_ids"] = types
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def list_pairs(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """N pairs -> the N first and the N second texts.

    Raises:
        InputError: an element is not two texts; a text is empty.
    """
    require(isinstance(pairs, Iterable), f"predict: takes a list of pairs, not {pairs!r}")
    columns: list[list[str]] = [[], []]
    for i, pair in enumerate(pairs):
        require(
            isinstance(pair, (tuple, list, np.ndarray)) and len(pair) == 2,
            f"predict: pair {i} is {pair!r}, not two texts; write predict([(text, text), ...])",
        )
        for column, text, which in zip(columns, pair, ("first", "second"), strict=True):
            check_text(text, f"predict: the {which} text of pair {i}", may_be_empty=False)
            column.append(text)
    return columns


def rows_to_pairs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows (B, C) -> pairs (P, 2) of each first text with the others present, their rows (P,)."""
    row, column = np.nonzero(rows[:, 1:] >= 0)
    return np.stack([rows[row, 0], rows[row, column + 1]], axis=1), row


def unique_pairs(pairs: np.ndarray, symmetric: bool) -> tuple[np.ndarray, np.ndarray]:
    """The distinct pairs (D, 2) of N pairs (N, 2), and the index of each among them: (N,).

    With `symmetric` those of both orders, and the index (2 N,): the swapped pairs follow the
    others.
    """
    if symmetric:
        pairs = np.concatenate([pairs, pairs[:, ::-1]])
    # one integer a pair is sorted many times faster than two columns
    size = pairs.max(initial=0) + 1
    keys, index = np.unique(pairs[:, 0] * size + pairs[:, 1], return_inverse=True)
    return np.stack(np.divmod(keys, size), axis=1), index


def _read_pair_template(
    backend: Tokenizer,
) -> tuple[list[np.ndarray], list[np.ndarray], list[int]]:
    """Ids and token types of the three special parts, and the token types of the two texts."""
    encoding = backend.encode("a", "a")
    ids, types = np.array(encoding.ids), np.array(encoding.type_ids)
    text = np.array([-1 if i is None else i for i in encoding.sequence_ids])  # of each token: 0, 1
    text[np.array(encoding.special_tokens_mask, bool)] = -1
    require(
        list(dict.fromkeys(text[text >= 0].tolist())) == [0, 1],
        "tokenizer: it does not join two texts, which a cross-encoder needs",
    )
    part = np.maximum.accumulate(text) + 1  # of a special token: 0 before, 1 between, 2 after
    special = [(text < 0) & (part == i) for i in range(3)]
    special_ids = [ids[where] for where in special]
    special_types = [types[where] for where in special]
    text_types = [int(types[text == i][-1]) for i in range(2)]
    return special_ids, special_types, text_types
