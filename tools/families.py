"""Tiny random models of the families that people use as encoders and rerankers.

Two layers of each kind of attention that a family has, windows of 16 tokens, and positions for 64.
Who wants another family adds a row to FAMILIES.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from family_tokenizers import KINDS, make_tokenizer
from torch import nn

WINDOW = 16
POSITIONS = 64
_SIZE = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}


@dataclass(frozen=True)
class Family:
    """A family of models.

    Args:
        name: its name in the table.
        classes: what the names of its classes in transformers start with.
        tokenizer: a name in `family_tokenizers.KINDS`.
        options: of its configuration, beside those that all families share; None leaves one out.
        model: the class of the encoder, if it is not the one that AutoModel takes.
        pooling: what its published encoders use.
        reads_nothing: it can embed a text without tokens or with special ones alone.
        encodes: it is an encoder, or a decoder that is used as one.
        positions: tokens that it has learned positions for; None: relative or rotary positions.
    """

    name: str
    classes: str
    tokenizer: str
    options: dict = field(default_factory=dict, hash=False)
    model: str | None = None
    pooling: str = "mean"
    positions: int | None = None
    reads_nothing: bool = True
    encodes: bool = True

    @property
    def why_absent(self) -> str | None:
        """Why the installed transformers cannot build it, or None."""
        if hasattr(transformers, f"{self.classes}Config"):
            return None
        return f"transformers {transformers.__version__} has no {self.classes}Config"

    @property
    def has_classifier(self) -> bool:
        """Whether transformers has a sequence classifier of it: of half a model it has none."""
        half = (self.model or "").endswith("EncoderModel")
        return not half and hasattr(transformers, f"{self.classes}ForSequenceClassification")


def write_encoder(family: Family, folder: Path, max_length: int = POSITIONS, **options) -> Path:
    """A plain Hugging Face folder of an encoder; `options` replace settings of its tokenizer."""
    name = family.model or "AutoModel"
    return _write(family, folder, name, max_length, options)


def write_classifier(
    family: Family, folder: Path, labels: int = 1, max_length: int = POSITIONS, **options
) -> Path:
    """A plain Hugging Face folder of a sequence classifier with `labels` outputs."""
    name = "AutoModelForSequenceClassification"
    return _write(family, folder, name, max_length, options, num_labels=labels)


def _write(family, folder, class_name, max_length, tokenizer_options, **config_options) -> Path:
    tokenizer = make_tokenizer(KINDS[family.tokenizer], max_length, **tokenizer_options)
    config = make_config(family, tokenizer, **config_options)
    model_class = getattr(transformers, class_name)
    torch.manual_seed(0)
    make = model_class.from_config if class_name.startswith("Auto") else model_class
    model = make(config)
    _randomise(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_config(family: Family, tokenizer, **options) -> transformers.PretrainedConfig:
    """The configuration of a tiny model for the vocabulary of a tokenizer."""
    special = {
        f"{name}_token_id": getattr(tokenizer, f"{name}_token_id")
        for name in ("pad", "bos", "eos", "cls", "sep")
    }
    shared = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": POSITIONS,
        "intermediate_size": 64,
        **_SIZE,
        **{name: token for name, token in special.items() if token is not None},
    }
    settings = shared | family.options | options
    config_class = getattr(transformers, f"{family.classes}Config")
    own_names = config_class.attribute_map  # such as hidden_size -> d_model
    return config_class(
        **{own_names.get(name, name): v for name, v in settings.items() if v is not None}
    )


def _randomise(model: nn.Module) -> None:
    """Weights far from their usual start, with which all texts would look alike."""
    for name, weight in model.named_parameters():
        if weight.ndim == 1:  # biases and scales of norms
            weight.data += 0.1 * torch.randn_like(weight)
        elif "embed" in name or "shared" in name:
            nn.init.normal_(weight, std=0.5)
        else:
            nn.init.normal_(weight, std=weight.shape[-1] ** -0.5)


_BERT = {"positions": POSITIONS}
# positions of RoBERTa and its relatives start after that of the padding, which is 1
_ROBERTA = {
    "options": {"max_position_embeddings": POSITIONS + 2, "type_vocab_size": 1},
    "positions": POSITIONS,
}
_DEBERTA = {
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
_T5 = {"d_kv": 8, "d_ff": 64, "num_decoder_layers": 2, "decoder_start_token_id": 0}
_DECODER = {"num_key_value_heads": 2, "head_dim": 8}
_GEMMA3 = {
    **_DECODER,
    "sliding_window": WINDOW,
    "query_pre_attn_scalar": 8,
    "num_hidden_layers": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
_BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "decoder_start_token_id": 2,
}

FAMILIES: list[Family] = [
    Family("BERT", "Bert", "bert", **_BERT),
    Family("RoBERTa", "Roberta", "roberta", **_ROBERTA),
    Family("XLM-R", "XLMRoberta", "xlm-roberta", **_ROBERTA),
    Family("CamemBERT", "Camembert", "xlm-roberta", **_ROBERTA),
    Family("MPNet", "MPNet", "mpnet", {"max_position_embeddings": POSITIONS + 2}, **_BERT),
    Family("DistilBERT", "DistilBert", "distilbert", {"hidden_dim": 64}, **_BERT),
    Family("ALBERT", "Albert", "albert", {"embedding_size": 16}, **_BERT),
    Family("ELECTRA", "Electra", "bert", {"embedding_size": 16}, pooling="cls", **_BERT),
    Family("DeBERTa", "Deberta", "deberta", _DEBERTA),
    Family(
        "DeBERTa v2",
        "DebertaV2",
        "albert",
        {**_DEBERTA, "position_buckets": 16, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    ),
    Family(
        "ModernBERT",
        "ModernBert",
        "modernbert",
        {"local_attention": WINDOW, "num_hidden_layers": 4, "global_attn_every_n_layers": 2},
    ),
    Family("NomicBERT", "NomicBert", "bert"),
    Family("GTE", "Gte", "xlm-roberta", pooling="cls"),
    Family("EuroBERT", "EuroBert", "eurobert", {"num_key_value_heads": 2}),
    Family("T5", "T5", "t5", _T5, model="T5EncoderModel"),
    Family("mT5", "MT5", "t5", _T5, model="MT5EncoderModel"),
    Family("T5, whole", "T5", "t5", _T5, model="T5Model"),
    Family("Qwen2", "Qwen2", "qwen", {"num_key_value_heads": 2}, pooling="last_token"),
    Family("Qwen3", "Qwen3", "qwen", _DECODER, pooling="last_token"),
    Family(
        "EmbeddingGemma", "Gemma3Text", "gemma", {**_GEMMA3, "use_bidirectional_attention": True}
    ),
    Family("Gemma", "Gemma", "gemma", _DECODER, pooling="last_token"),
    Family("Gemma 3", "Gemma3Text", "gemma", _GEMMA3, pooling="last_token"),
    Family("Llama", "Llama", "llama", {"num_key_value_heads": 2}, pooling="last_token"),
    Family(
        "Mistral",
        "Mistral",
        "llama",
        {"num_key_value_heads": 2, "sliding_window": WINDOW},
        pooling="last_token",
    ),
    Family("GPT-2", "GPT2", "gpt2", pooling="weighted_mean", reads_nothing=False, **_BERT),
    Family(
        "Longformer",
        "Longformer",
        "roberta",
        {**_ROBERTA["options"], "attention_window": [WINDOW] * 2},
        positions=POSITIONS,
    ),
    Family("XLNet", "XLNet", "xlnet", {"d_inner": 64, "max_position_embeddings": None}),
    Family(
        "Funnel",
        "Funnel",
        "funnel",
        {
            "block_sizes": [2, 1],
            "d_inner": 64,
            "d_head": 8,
            "num_hidden_layers": None,
        },
        model="FunnelModel",
        reads_nothing=False,
    ),
    Family("FNet", "FNet", "albert", **_BERT),
    Family(
        "X-MOD",
        "Xmod",
        "xlm-roberta",
        {**_ROBERTA["options"], "languages": ["en_XX", "de_DE"], "default_language": "en_XX"},
        positions=POSITIONS,
    ),
    Family("data2vec", "Data2VecText", "roberta", **_ROBERTA),
    Family("RoBERTa-PreLayerNorm", "RobertaPreLayerNorm", "roberta", **_ROBERTA),
    Family("XLM-R XL", "XLMRobertaXL", "xlm-roberta", **_ROBERTA),
    Family("BART", "Bart", "roberta", _BART, positions=POSITIONS, encodes=False),
]
