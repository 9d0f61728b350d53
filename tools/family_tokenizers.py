"""Small tokenizers of the kinds that model families use, trained on a few sentences.

They are made with the tokenizers library alone and so are the same for every version of
transformers.
"""

import itertools
from dataclasses import dataclass, field
from functools import lru_cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

_SUBJECTS = "the cat|a dog|two men|a child|der Hund|le chat|el niño|собака|猫が".split("|")
_VERBS = "eats|sleeps on|plays with|kauft|mange|видит|runs to|sells".split("|")
_OBJECTS = "the red mat|a guitar|furniture|ein Haus|une pomme|pizza|дом|本を|prices".split("|")
SENTENCES = [" ".join(words) for words in itertools.product(_SUBJECTS, _VERBS, _OBJECTS)]

VOCABULARY = 600


@dataclass(frozen=True)
class TokenizerKind:
    """How a family turns texts into ids.

    Args:
        model: a name in MODELS.
        special: the special tokens, which get the first ids, in this order.
        single, pair: the templates of one text and of two, as tokenizers writes them.
        names: what transformers calls some of the special tokens: pad_token, unk_token, ...
        token_types: the model reads which of the two texts a token is of.
        padding_side: of the tokenizer as published.
    """

    model: str
    special: tuple[str, ...]
    single: str
    pair: str
    names: dict[str, str] = field(hash=False)
    token_types: bool = False
    padding_side: str = "right"


def make_tokenizer(kind: TokenizerKind, max_length: int, **options) -> PreTrainedTokenizerFast:
    """The tokenizer, with `max_length` as its model_max_length; `options` replace its settings."""
    backend = Tokenizer.from_str(_train(kind.model, kind.special))
    used = [token for token in kind.special if token in f"{kind.single} {kind.pair}"]
    backend.post_processor = TemplateProcessing(
        single=kind.single,
        pair=kind.pair,
        special_tokens=[(token, backend.token_to_id(token)) for token in used],
    )
    inputs = ["input_ids", "attention_mask"]
    settings = {
        "model_max_length": max_length,
        "padding_side": kind.padding_side,
        "model_input_names": [*inputs, "token_type_ids"] if kind.token_types else inputs,
        **kind.names,
    }
    return PreTrainedTokenizerFast(tokenizer_object=backend, **(settings | options))


@lru_cache
def _train(model: str, special: tuple[str, ...]) -> str:
    """A trained tokenizer as JSON; the same sentences always give the same one."""
    backend, trainer = MODELS[model](list(special))
    backend.train_from_iterator(SENTENCES, trainer)
    return backend.to_str()


def _word_piece(special: list[str]):
    unknown = next(token for token in special if "unk" in token.lower())
    backend = Tokenizer(models.WordPiece(unk_token=unknown))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=special, show_progress=False
    )
    return backend, trainer


def _unigram(special: list[str]):
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    unknown = next(token for token in special if "unk" in token.lower())
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=special, unk_token=unknown, show_progress=False
    )
    return backend, trainer


def _byte_level(special: list[str]):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return backend, trainer


def _byte_fallback(special: list[str]):
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback()])
    every_byte = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[*special, *every_byte], show_progress=False
    )
    return backend, trainer


MODELS = {
    "word_piece": _word_piece,
    "unigram": _unigram,
    "byte_level": _byte_level,
    "byte_fallback": _byte_fallback,
}


def _bracketed(model: str, token_types: bool = True) -> TokenizerKind:
    """[CLS] a [SEP] b [SEP], as BERT has it."""
    return TokenizerKind(
        model,
        ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        "[CLS] $A [SEP]",
        "[CLS] $A [SEP] $B:1 [SEP]:1",
        {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        token_types,
    )


def _angled(model: str) -> TokenizerKind:
    """<s> a </s></s> b </s>, as RoBERTa has it."""
    return TokenizerKind(
        model,
        ("<s>", "<pad>", "</s>", "<unk>", "<mask>"),
        "<s> $A </s>",
        "<s> $A </s> </s> $B </s>",
        {
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "cls_token": "<s>",
            "sep_token": "</s>",
            "bos_token": "<s>",
            "eos_token": "</s>",
            "mask_token": "<mask>",
        },
    )


KINDS: dict[str, TokenizerKind] = {
    "bert": _bracketed("word_piece"),
    "distilbert": _bracketed("word_piece", token_types=False),
    "albert": _bracketed("unigram"),
    "modernbert": _bracketed("byte_level", token_types=False),
    "deberta": _bracketed("byte_level"),
    "roberta": _angled("byte_level"),
    "xlm-roberta": _angled("unigram"),
    "mpnet": _angled("word_piece"),
    "eurobert": TokenizerKind(
        "byte_level",
        ("<|begin_of_text|>", "<|end_of_text|>", "<|mask|>", "<|pad|>"),
        "<|begin_of_text|> $A <|end_of_text|>",
        "<|begin_of_text|> $A <|end_of_text|> $B:1 <|end_of_text|>:1",
        {
            "bos_token": "<|begin_of_text|>",
            "eos_token": "<|end_of_text|>",
            "mask_token": "<|mask|>",
            "pad_token": "<|pad|>",
        },
    ),
    "t5": TokenizerKind(
        "unigram",
        ("<pad>", "</s>", "<unk>"),
        "$A </s>",
        "$A </s> $B </s>",
        {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
    ),
    "xlnet": TokenizerKind(
        "unigram",
        ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"),
        "$A <sep> <cls>:2",
        "$A <sep> $B:1 <sep>:1 <cls>:2",
        {
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "cls_token": "<cls>",
            "sep_token": "<sep>",
            "mask_token": "<mask>",
        },
        token_types=True,
        padding_side="left",
    ),
    "funnel": TokenizerKind(
        "word_piece",
        ("<pad>", "<unk>", "<cls>", "<sep>", "<mask>"),
        "<cls>:2 $A <sep>",
        "<cls>:2 $A <sep> $B:1 <sep>:1",
        {
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "cls_token": "<cls>",
            "sep_token": "<sep>",
            "mask_token": "<mask>",
        },
        token_types=True,
    ),
    "qwen": TokenizerKind(
        "byte_level",
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        "$A <|endoftext|>",
        "$A $B:1 <|endoftext|>:1",
        {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"},
        padding_side="left",
    ),
    "gpt2": TokenizerKind(
        "byte_level",
        ("<|endoftext|>",),
        "$A",
        "$A $B:1",
        {
            "bos_token": "<|endoftext|>",
            "eos_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
        },
    ),
    "gemma": TokenizerKind(
        "byte_fallback",
        ("<pad>", "<eos>", "<bos>", "<unk>"),
        "<bos> $A <eos>",
        "<bos> $A <eos> <bos>:1 $B:1 <eos>:1",
        {
            "pad_token": "<pad>",
            "eos_token": "<eos>",
            "bos_token": "<bos>",
            "unk_token": "<unk>",
        },
    ),
    "llama": TokenizerKind(
        "byte_fallback",
        ("<unk>", "<s>", "</s>"),
        "<s> $A </s>",
        "<s> $A </s> <s>:1 $B:1 </s>:1",
        {"pad_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"},
        padding_side="left",
    ),
}
