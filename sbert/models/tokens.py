"""From texts to batches: every distinct text is tokenised once, in Rust, and batches of token ids are cut by length.

`TextTokenizer` turns a tokenizer of transformers into ids; `TokenTable` holds the ids of many texts in one array;
`pad` makes a rectangle of some of them; `Sampler` says which rows make up step n, as a pure function of (seed, n).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from sbert.errors import InputError
from sbert.texts import unique

CHUNK = 16_384  # texts handed to Rust at a time: bounds the memory of its Encoding objects


@dataclass
class TokenTable:
    """The ids of U distinct texts, flat: text t is `ids[starts[t]:starts[t + 1]]`, special tokens included.

    `cut_tokens` is what each text lost to `max_length`.
    """

    ids: np.ndarray  # (sum of lengths,) int32
    starts: np.ndarray  # (U + 1,) int64
    cut_tokens: np.ndarray  # (U,) int64

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts)


class TextTokenizer:
    """The Rust half of a transformers tokenizer, with truncation done here so that what is cut can be counted.

    `ids(text) = prefix + text tokens[: max_length - len(prefix) - len(suffix)] + suffix`, which is what the tokenizer
    itself gives with `truncation=True, max_length=max_length` (a property test holds it to that).
    """

    def __init__(self, tokenizer, max_length: int, lower_case: bool = False):
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"{type(tokenizer).__name__}: needs a fast (Rust) tokenizer: a folder with tokenizer.json"
            )
        self.backend = _without_limits(tokenizer.backend_tokenizer)
        self.max_length = max_length
        self.lower_case = lower_case
        self.pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self.left = tokenizer.padding_side == "left"
        self.keep_end = tokenizer.truncation_side == "left"
        self.prefix, self.suffix = _special_ids(self.backend)
        self.room = self.find_room()

    def find_room(self) -> int:
        """How many tokens a text may have beside the special ones."""
        special = len(self.prefix) + len(self.suffix)
        if self.max_length <= special:
            raise InputError(
                f"max_length {self.max_length} leaves no room beside the special tokens; use at least {special + 1}"
            )
        return self.max_length - special

    def table(self, texts: Sequence[str]) -> TokenTable:
        """Tokenise texts, which should be distinct, into one table."""
        room = self.room
        parts: list[np.ndarray] = []
        full = np.empty(len(texts), np.int64)
        prefix, suffix = np.array(self.prefix, np.int32), np.array(self.suffix, np.int32)
        for start in range(0, len(texts), CHUNK):
            chunk = (
                [t.lower() for t in texts[start : start + CHUNK]]
                if self.lower_case
                else texts[start : start + CHUNK]
            )
            for i, encoding in enumerate(
                self.backend.encode_batch_fast(list(chunk), add_special_tokens=False), start
            ):
                ids = encoding.ids
                full[i] = len(ids)
                kept = ids[-room:] if self.keep_end else ids[:room]
                parts += [prefix, np.array(kept, np.int32), suffix]
        lengths = np.minimum(full, room) + len(prefix) + len(suffix)
        flat = np.concatenate(parts) if parts else np.empty(0, np.int32)
        return TokenTable(flat, np.append(0, np.cumsum(lengths)), np.maximum(full - room, 0))

    def describe_cut(self, table: TokenTable, rows: np.ndarray) -> str | None:
        """What max_length cut from rows of texts (N, C), as shares of rows and of tokens; None if nothing."""
        there = rows >= 0
        cut, kept = (
            np.where(there, tokens[rows], 0) for tokens in (table.cut_tokens, table.lengths)
        )
        count = cut.any(axis=1).sum()
        if not count:
            return None
        share = cut.sum() / (cut + kept).sum()
        return f"{count:,} of {len(rows):,} rows ({count / len(rows):.2%}) cut, {share:.2%} of their tokens"


def _without_limits(backend: Tokenizer) -> Tokenizer:
    """A copy of a Rust tokenizer that neither pads nor truncates; the original keeps its settings."""
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_padding()
    copy.no_truncation()
    return copy


def _special_ids(backend: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts before and after one text."""
    bare = backend.encode("a", add_special_tokens=False).ids
    full = backend.encode("a", add_special_tokens=True).ids
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    raise InputError(
        f"tokenizer: its special tokens change the text's own ids ({bare} became {full}); not supported"
    )


def pad_rows(
    table: TokenTable, which: np.ndarray, pad_id: int, left: bool = False
) -> tuple[Tensor, Tensor]:
    """The texts `which` (R,) of a table as a rectangle: ids (R, L) and attention mask (R, L), both int64."""
    starts, lengths = table.starts[which], table.lengths[which]
    columns = np.arange(
        lengths.max(initial=1)
    )  # one column at least: a model cannot read a row of none
    offset = (len(columns) - lengths)[:, None] if left else 0
    position = columns - offset
    mask = (position >= 0) & (position < lengths[:, None])
    ids = np.full(mask.shape, pad_id, np.int64)
    ids[mask] = table.ids[(starts[:, None] + position)[mask]]
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


def token_batches(lengths: np.ndarray, budget: int) -> list[np.ndarray]:
    """All indices, longest first, cut so that rows x longest row stays within `budget` tokens (one row at least).

    Longest first: memory peaks in the first batch and not an hour into the work.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        rows = max(1, budget // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def tokenize_columns(
    tokenizer: TextTokenizer, columns: Sequence[Sequence[str | None]]
) -> tuple[TokenTable, np.ndarray]:
    """C columns of N texts as a table of the distinct ones and their places in it, (N, C); -1 where a text is None."""
    there = np.array([[text is not None for text in column] for column in columns], bool).T
    distinct, index = unique(text for column in columns for text in column if text is not None)
    rows = np.full(there.T.shape, -1)
    rows[there.T] = index
    return tokenizer.table(distinct), rows.T
