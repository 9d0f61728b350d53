"""Texts to token ids. Every distinct text is tokenised once, in Rust.

`TextTokenizer` wraps a tokenizer of transformers; what it makes of many texts is a `TokenTable`.
"""

import abc
import json
from collections.abc import Iterator, Sequence

import numpy as np
import tokenizers
import torch
from tokenizers import Tokenizer, normalizers
from tokenizers.normalizers import Normalizer
from torch import Tensor

from sbert.errors import InputError, require
from sbert.models.token_table import JoinParts, TokenTable, concatenate
from sbert.texts import SelectedTexts, digest, distinct_cells, unique

CHUNK = 16_384  # texts per call of the Rust tokenizer: bounds the memory of its Encoding objects


class BaseTokenizer(abc.ABC):
    """What `TextTokenizer` and `PairTokenizer` share: tokenising texts, counting what is cut.

    Args:
        backend: the Rust tokenizer, from `unlimited_backend`.
        text_room: tokens of text that fit into `max_length` beside the special tokens.
        prefix, suffix: special ids that are put around every single text.
    """

    def __init__(
        self,
        tokenizer,
        backend: Tokenizer,
        max_length: int,
        text_room: int,
        prefix: Sequence[int] = (),
        suffix: Sequence[int] = (),
        lower_case: bool = False,
    ):
        self.backend = backend
        self.max_length = max_length
        self.text_room = text_room
        self.prefix = np.array(prefix, np.int32)
        self.suffix = np.array(suffix, np.int32)
        self.lower_case = lower_case
        self.pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self.truncate_left = tokenizer.truncation_side == "left"
        self.all_special_ids = frozenset(tokenizer.all_special_ids)

    @property
    def added_ids(self) -> np.ndarray:
        """The ids that a batch can have beside those of its table: here, the padding."""
        return np.array([self.pad_id])

    @property
    def definition(self) -> str:
        """What the tokens of a text depend on: tokenizer.json, and whether special tokens in it are
        split like other words."""
        return self.backend.to_str() + "split" * self.backend.encode_special_tokens

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that the ids of a text depend on."""
        settings = [
            *(tokenizers.__version__, self.definition, self.text_room, self.truncate_left),
            *(self.prefix.tolist(), self.suffix.tolist(), self.lower_case),
            sorted(self.all_special_ids),  # of these, the lengths of prompts
        ]
        return digest([json.dumps(settings)])

    def tokenize(
        self,
        texts: Sequence[str],
        prompts: Sequence[str] | None = None,
        join: JoinParts = concatenate,
    ) -> TokenTable:
        """Tokenise texts, which should be distinct, into one table.

        Args:
            prompts: what is put before each text. Prompt and text are tokenised as one string.
            join: makes one array of ids of the parts that are tokenised at a time.

        Raises:
            InputError: a prompt leaves no room for a token of text.
        """
        prompts = [""] * len(texts) if prompts is None else prompts
        lengths_of = {prompt: self.prompt_length(prompt) for prompt in set(prompts)}
        full_lengths = np.empty(len(texts), np.int64)  # of the texts alone
        ids = join(self._encode(texts, prompts, full_lengths))
        text_lengths = np.minimum(full_lengths, self.text_room)
        lengths = text_lengths + len(self.prefix) + len(self.suffix)
        return TokenTable(
            ids=ids,
            starts=np.append(0, np.cumsum(lengths)),
            cut_tokens=full_lengths - text_lengths,
            prompt_lengths=np.array([lengths_of[prompt] for prompt in prompts], np.int64),
        )

    def _encode(
        self, texts: Sequence[str], prompts: Sequence[str], full_lengths: np.ndarray
    ) -> Iterator[np.ndarray]:
        """The ids of texts (U,), a chunk of texts at a time; writes the number of each text's own
        tokens before truncation into `full_lengths` (U,)."""
        prefix, suffix = self.prefix.tolist(), self.suffix.tolist()
        room = self.text_room
        kept = slice(-room, None) if self.truncate_left else slice(room)
        for start in range(0, len(texts), CHUNK):
            part = slice(start, start + CHUNK)
            chunk = [prompt + text for prompt, text in zip(prompts[part], texts[part], strict=True)]
            ids: list[int] = []
            encodings = self.backend.encode_batch_fast(chunk, add_special_tokens=False)
            for i, encoding in enumerate(encodings, start):
                own = encoding.ids
                full_lengths[i] = len(own)
                ids += prefix
                ids += own[kept]
                ids += suffix
            yield np.array(ids, np.int32)

    def prompt_length(self, prompt: str) -> int:
        """Tokens of a prompt alone, special ones included but for a last one; 0 for none.

        So sentence-transformers counts them. A last token of the prompt that merges with the first
        of the text counts for the prompt.
        """
        if not prompt:
            return 0
        ids = self.backend.encode(prompt, add_special_tokens=False).ids
        require(
            len(ids) < self.text_room,
            f"prompt {prompt!r}: its {len(ids)} tokens leave no room for a text: "
            f"max_length {self.max_length} holds {self.text_room} beside the special tokens",
        )
        alone = [*self.prefix, *ids, *self.suffix]
        ends_special = bool(alone) and alone[-1] in self.all_special_ids
        return len(alone) - ends_special

    @abc.abstractmethod
    def count_cut(self, table: TokenTable, rows: np.ndarray) -> tuple[np.ndarray, int]:
        """(N,) tokens that each row of texts (N, C) loses to `max_length`; all tokens before."""

    def describe_cut(self, table: TokenTable, rows: np.ndarray) -> str | None:
        """What `max_length` cuts from rows (N, C), as shares of rows and tokens, or None."""
        cut, total = self.count_cut(table, rows)
        if not cut.any():
            return None
        count = np.count_nonzero(cut)
        share = f"{count:,} of {len(rows):,} rows ({count / len(rows):.2%})"
        return f"{share} cut, {cut.sum() / total:.2%} of their tokens"


class TextTokenizer(BaseTokenizer):
    """Single texts with their special tokens: prefix + the first `text_room` tokens + suffix.

    These are the ids that the tokenizer itself gives with `truncation=True, max_length=max_length`
    (a property test checks this).

    Raises:
        InputError: no fast tokenizer; `max_length` leaves no room for a token of text.
    """

    def __init__(self, tokenizer, max_length: int, lower_case: bool = False):
        backend = unlimited_backend(tokenizer, lower_case)
        prefix, suffix = find_special_ids(backend)
        text_room = max_length - len(prefix) - len(suffix)
        require(
            text_room > 0,
            f"max_length {max_length} leaves no room beside the special tokens; "
            f"use at least {max_length - text_room + 1}",
        )
        super().__init__(tokenizer, backend, max_length, text_room, prefix, suffix, lower_case)
        types = backend.encode("a").type_ids
        self.prefix_types = types[: len(prefix)]
        self.suffix_types = types[len(types) - len(suffix) :]
        reads_types = "token_type_ids" in tokenizer.model_input_names
        self.gives_types = reads_types and any(types)

    def token_types(self, mask: Tensor) -> Tensor:
        """Token types (B, L) of texts with a mask (B, L): 0 for the text, as in a pair's first."""
        types = torch.zeros_like(mask)
        types[:, : len(self.prefix_types)] = torch.tensor(self.prefix_types)
        end = mask.sum(dim=1, keepdim=True)  # (B, 1), after the suffix
        for back, of_type in enumerate(reversed(self.suffix_types), start=1):
            types.scatter_(1, end - back, of_type)
        return types

    def count_cut(self, table: TokenTable, rows: np.ndarray) -> tuple[np.ndarray, int]:
        present = rows >= 0
        cut = np.where(present, table.cut_tokens[rows], 0)  # (N, C)
        return cut.sum(axis=1), int(table.full_lengths_of(rows[present]).sum())


def unlimited_backend(tokenizer, lower_case: bool = False) -> Tokenizer:
    """The Rust half of a transformers tokenizer, but one that neither pads nor truncates.

    Its parts are those of the tokenizer itself: a copy of a multilingual vocabulary takes 300 MB.

    Args:
        lower_case: lower-case texts first, but for special tokens in them.
    """
    require(
        getattr(tokenizer, "is_fast", False),
        f"{type(tokenizer).__name__}: needs a fast (Rust) tokenizer: a folder with tokenizer.json",
    )
    whole = tokenizer.backend_tokenizer
    backend = Tokenizer(whole.model)
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        part = getattr(whole, name)
        if part is not None:
            setattr(backend, name, part)
    if lower_case:
        backend.normalizer = lower_casing(whole.normalizer)
    added = whole.get_added_tokens_decoder()
    backend.add_tokens([added[i] for i in sorted(added)])
    backend.encode_special_tokens = whole.encode_special_tokens  # split_special_tokens
    return backend


def lower_casing(normalizer: Normalizer | None) -> Normalizer:
    """The normalizer of a tokenizer, with lower-casing as its first step."""
    others = [] if normalizer is None else [normalizer]
    return normalizers.Sequence([normalizers.Lowercase(), *others])


def find_special_ids(backend: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts before and after one text."""
    bare = backend.encode("a", add_special_tokens=False).ids
    full = backend.encode("a", add_special_tokens=True).ids
    for start in range(len(full) - len(bare) + 1):
        if full[start:][: len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    raise InputError(
        f"tokenizer: its special tokens change the ids of the text ({bare} became {full}); "
        "such a tokenizer is not supported"
    )


def tokenize_columns(
    tokenizer: BaseTokenizer,
    columns: Sequence[Sequence[str | None]],
    prompts: Sequence[str] | None = None,
    join: JoinParts = concatenate,
) -> tuple[TokenTable, np.ndarray]:
    """C columns of N texts -> a table of the distinct ones, and rows (N, C) in it; -1 for None.

    Args:
        prompts: what is put before each text of each column, C texts. The same text with two
            prompts counts as two texts, which have one of the table's `text_ids`.
        join: see `BaseTokenizer.tokenize`.
    """
    prompts = [""] * len(columns) if prompts is None else prompts
    names, prompt = unique(prompts)
    prompt = np.repeat(prompt, len(columns[0]))  # (C N,)
    first, cells = distinct_cells(columns, prompt)
    own_prompts = [names[i] for i in prompt[first]]
    texts = SelectedTexts(columns, first)
    table = tokenizer.tokenize(texts, own_prompts, join)
    if len(names) > 1:
        _, table.text_ids = distinct_cells([texts], np.zeros(len(texts), np.int64))
    return table, cells.reshape(len(columns), len(columns[0])).T
