"""Which tokens of a text a language model has to predict, and what it reads in their place.

BERT (Devlin et al. 2018, arXiv 1810.04805, section 3.1 and appendix A.1): of the tokens of a text
15 % are chosen; a chosen token is replaced by the mask token in 80 % of all cases, by a random one
in 10 %, and stays in 10 %. Special tokens and prompts are never chosen.

All that is drawn is a pure function of the seed, the step, the text and the position in it. So it
is the same however the texts of a step are shared by processes and parts, and nothing of it has to
be saved.

Shapes: R texts, T of their tokens that may be chosen, M that are, V pieces in the vocabulary.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from tokenizers.models import WordPiece
from transformers import MODEL_FOR_MASKED_LM_MAPPING

from sbert.errors import InputError, require
from sbert.losses.language_model import MaskedLanguageModelLoss
from sbert.models.bi_encoder import BiEncoder
from sbert.models.token_table import TokenTable
from sbert.training.objectives.objective import Draw

MASKED, RANDOM = 0.8, 0.1  # shares of the chosen tokens
WORD_MARKS = ("▁", "Ġ")  # what a piece begins with that starts a word: SentencePiece, byte-level
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


class MaskedTokens(NamedTuple):
    """The M chosen tokens of R texts, (M,) each.

    row: 0 to R - 1. position: in the text. token: what is to be predicted. shown: what is read.
    """

    row: np.ndarray
    position: np.ndarray
    token: np.ndarray
    shown: np.ndarray


@dataclass(frozen=True)
class Masking:
    """Chooses tokens.

    share: of the tokens of a text that are chosen; rounded, and at least one.
    mask: the id of the mask token.
    ordinary: (V,), which ids may be chosen, and may stand for others; not special tokens.
    word_starts: (V,), which pieces start a word, to choose whole words; None to choose tokens.
    """

    share: float
    mask: int
    ordinary: np.ndarray
    word_starts: np.ndarray | None = None

    def choose(self, table: TokenTable, texts: np.ndarray, draw: Draw) -> MaskedTokens:
        """The chosen tokens of texts (R,) of a table, text after text."""
        row, position, token = self.candidates(table, texts)
        chosen = self._choose(row, position, token, texts, draw)
        row, position, token = row[chosen], position[chosen], token[chosen]
        kind = uniform(*draw, texts[row], 3 * position + 1)
        pick = uniform(*draw, texts[row], 3 * position + 2)
        ordinary = np.flatnonzero(self.ordinary)
        random = ordinary[(pick * len(ordinary)).astype(int)]
        shown = np.where(kind < MASKED + RANDOM, random, token)
        shown[kind < MASKED] = self.mask
        return MaskedTokens(row, position, token, shown)

    def candidates(
        self, table: TokenTable, texts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The tokens of texts (R,) that may be chosen: row, position and id, (T,) each."""
        lengths = table.lengths_of(texts)  # (R,)
        row = np.repeat(np.arange(len(texts)), lengths)
        position = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        token = table.ids[table.starts[texts][row] + position]
        allowed = self.ordinary[token] & (position >= table.prompt_lengths[texts][row])
        return row[allowed], position[allowed], token[allowed]

    def _choose(
        self,
        row: np.ndarray,
        position: np.ndarray,
        token: np.ndarray,
        texts: np.ndarray,
        draw: Draw,
    ) -> np.ndarray:
        """Which of T tokens are chosen, (T,): the words of each text in random order, up to and
        with the one that reaches the share. A word is one token where `word_starts` is None."""
        starts = np.diff(row, prepend=-1) > 0  # (T,), also the first of a text
        starts |= self.word_starts is None or self.word_starts[token]
        word = np.cumsum(starts) - 1  # (T,)
        size, row_of_word = np.bincount(word), row[starts]
        order = np.lexsort((uniform(*draw, texts[row_of_word], 3 * position[starts]), row_of_word))
        tokens = np.bincount(row, minlength=len(texts))  # (R,)
        wanted = np.maximum(1, np.floor(self.share * tokens + 0.5))
        # tokens of the text in the words before this one; the order keeps texts together
        before = np.cumsum(size[order]) - size[order] - (np.cumsum(tokens) - tokens)[row_of_word]
        taken = np.empty(len(size), bool)
        taken[order] = before < wanted[row_of_word]
        return taken[word]


def uniform(*key: int | np.ndarray) -> np.ndarray:
    """Random numbers in [0, 1), a pure function of several whole numbers from 0 upwards.

    Arrays among them are of one length. Each number moves the state of SplitMix64 (Steele et al.
    2014, "Fast splittable pseudorandom number generators"), whose output is the next state.
    """
    state = np.zeros(1, np.uint64)
    for number in key:
        state = state + _GAMMA * (np.atleast_1d(number).astype(np.uint64) + np.uint64(1))
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)) * 2.0**-53


def make_masking(model: BiEncoder, loss: MaskedLanguageModelLoss) -> Masking:
    """How the texts of a model are masked.

    Raises:
        InputError: a decoder, a tokenizer without a mask token, or one whose pieces do not say
            where words start, for whole words.
    """
    transformer, tokenizer = model.transformer, model.tokenizer
    name = f"MaskedLanguageModelLoss: {transformer.name_or_path}"
    family = transformer.config.model_type
    require(
        type(transformer.config) in MODEL_FOR_MASKED_LM_MAPPING,
        f"{name}: a model of type {family} does not predict masked tokens; train an encoder such "
        "as BERT, RoBERTa or ModernBERT",
    )
    require(
        not getattr(transformer.config, "is_decoder", False),
        f"{name}: its config.json sets is_decoder, so that a token sees those before it alone; a "
        "masked token is predicted from both sides: train an encoder, with is_decoder false",
    )
    require(
        tokenizer.mask_token_id is not None,
        f"{name}: the tokenizer has no mask token; declare mask_token in tokenizer_config.json",
    )
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    vocabulary = tokenizer.get_vocab()
    ordinary = np.zeros(len(transformer.get_input_embeddings().weight), bool)
    ordinary[list(vocabulary.values())] = True
    ordinary[[*special, *tokenizer.all_special_ids]] = False
    starts = find_word_starts(tokenizer, len(ordinary), name) if loss.whole_words else None
    return Masking(loss.mask_share, tokenizer.mask_token_id, ordinary, starts)


def find_word_starts(tokenizer, size: int, name: str) -> np.ndarray:
    """(V,) which pieces of a vocabulary start a word.

    Raises:
        InputError: the pieces do not say.
    """
    model, vocabulary = tokenizer.backend_tokenizer.model, tokenizer.get_vocab()
    starts = np.zeros(size, bool)
    if isinstance(model, WordPiece):
        prefix = model.continuing_subword_prefix
        starts[[i for piece, i in vocabulary.items() if not piece.startswith(prefix)]] = True
        return starts
    for mark in WORD_MARKS:
        found = [i for piece, i in vocabulary.items() if piece.startswith(mark)]
        if found:
            starts[found] = True
            return starts
    raise InputError(f"{name}: whole_words: the tokenizer's pieces do not say where words start")
