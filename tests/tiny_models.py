"""Tiny random models, and tokenizers of several families."""

from pathlib import Path

import torch
from hypothesis import strategies as st
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
)

from sbert.models.token_table import TokenTable

WORDS = (
    "a the cat dog man woman child sits runs eats sleeps on in with mat park house red big small "
    "fast and not is"
).split()


def word_pieces() -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *letters[1:],
        *(f"##{x}" for x in letters),
        ".",
        ",",
    ]


def bert_tokenizer(max_length: int = 64) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer in BERT's manner: [CLS] text [SEP]."""
    vocabulary = {piece: i for i, piece in enumerate(word_pieces())}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    special = {
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "mask_token": "[MASK]",
    }
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=max_length, **special)


def write_tiny(folder: Path, dropout: float = 0.1, seed: int = 0) -> Path:
    """A plain Hugging Face folder with a random BERT of 3 layers x 32."""
    torch.manual_seed(seed)
    size = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "intermediate_size": 64,
    }
    drop = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    # a wide start: with the usual 0.02 all sentences of a random encoder look alike
    config = BertConfig(
        vocab_size=len(word_pieces()),
        max_position_embeddings=64,
        initializer_range=0.3,
        **size,
        **drop,
    )
    BertModel(config).save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    return folder


SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}


def write_classifier(folder: Path, labels: int = 1, seed: int = 0, **options) -> Path:
    """What transformers saves of a BERT sequence classifier; its tokenizer gives token types."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(word_pieces()),
        max_position_embeddings=64,
        initializer_range=0.3,
        num_labels=labels,
        **SIZE,
    )
    config.update(options)
    model = BertForSequenceClassification(config)
    torch.nn.init.normal_(model.classifier.bias)  # of zeros nobody would miss
    model.save_pretrained(folder)
    plain = bert_tokenizer()
    # an argument, because what is set later is not saved
    names = ["input_ids", "token_type_ids", "attention_mask"]
    options = {"model_input_names": names, "model_max_length": 64, **plain.special_tokens_map}
    type(plain)(tokenizer_object=plain.backend_tokenizer, **options).save_pretrained(folder)
    return folder


def roberta_tokenizer(**options) -> PreTrainedTokenizerFast:
    """Byte-level BPE, <s> text </s>."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([" ".join(WORDS)] * 3, trainer)
    ends = [(token, backend.token_to_id(token)) for token in ("</s>", "<s>")]
    backend.post_processor = processors.RobertaProcessing(*ends)
    names = {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, cls_token="<s>", sep_token="</s>", **names, **options
    )


def mpnet_tokenizer(**options) -> PreTrainedTokenizerFast:
    """WordPiece, <s> text </s>."""
    pieces = ["<s>", "<pad>", "</s>", "[UNK]", *word_pieces()[5:]]
    backend = Tokenizer(
        models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]")
    )
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.BertProcessing(("</s>", 2), ("<s>", 0))
    names = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "[UNK]"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names, **options)


def bare_tokenizer(**options) -> PreTrainedTokenizerFast:
    """No special tokens around the text."""
    backend = Tokenizer(
        models.WordPiece({p: i for i, p in enumerate(word_pieces())}, unk_token="[UNK]")
    )
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", **options
    )


def one_sided_tokenizer(**options) -> PreTrainedTokenizerFast:
    """text </s> alone, as T5 has it."""
    tokenizer = mpnet_tokenizer(**options)
    template = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    tokenizer.backend_tokenizer.post_processor = template
    return tokenizer


def sided(tokenizer, padding: str = "right", truncation: str = "right"):
    tokenizer.padding_side, tokenizer.truncation_side = padding, truncation
    return tokenizer


# Cs: Rust takes no lone surrogates. Special tokens written out in a text are special tokens too
word = st.one_of(
    st.sampled_from(
        [
            *WORDS,
            "[SEP]",
            "[CLS]",
            "<s>",
            "</s>",
            "<mask>",
            "  ",
            "\n",
            "\u2028",
            "café",
            "你好",
            "🎉",
            "ǅ",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)


text = st.lists(word, max_size=25).map(" ".join)


def ids_of(table: TokenTable, which: int) -> list[int]:
    return table.ids[table.starts[which] : table.starts[which + 1]].tolist()
