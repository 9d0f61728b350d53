"""The settings of a model folder's JSON files: which are known, and what of them is supported.

One table for each file. A rule is a function of a value and of its place, and raises an
`InputError` where the value would change results in a way that is not supported. A key that is in
no table is refused, too: whoever wrote it meant something by it.
"""

from collections.abc import Callable, Mapping

from sbert.errors import require
from sbert.models.similarity import SIMILARITIES

Rule = Callable[[object, str], None]


def check_settings(settings: object, rules: Mapping[str, Rule], place: str) -> None:
    """Check every setting of a file, or of a group of settings in it.

    Raises:
        InputError: a setting that is not known, or a value that is not supported.
    """
    require(isinstance(settings, Mapping), f"{place}: not settings with names, but {settings!r}")
    for name, value in settings.items():
        known = ", ".join(rules) or "none"
        require(name in rules, f"{place}: setting '{name}' is not understood; known: {known}")
        rules[name](value, f"{place}: {name}")


def anything(value: object, place: str) -> None:
    """Any value: it is read elsewhere, or no result depends on it."""


def only(*values: object) -> Rule:
    """One of these values."""

    def check(value: object, place: str) -> None:
        supported = ", ".join(str(value) for value in values)
        require(value in values, f"{place} is {value!r}; supported: {supported}")

    return check


def of_type(kind: type, *values: object) -> Rule:
    """A value of this type, or one of these."""

    def check(value: object, place: str) -> None:
        # bool is an int in Python
        right = type(value) is kind or value in values
        require(right, f"{place} is {value!r}, not of type {kind.__name__}")

    return check


def group(rules: Mapping[str, Rule]) -> Rule:
    """Settings with names, for which these rules hold."""
    return lambda value, place: check_settings(value, rules, place)


def forward_of_text(value: object, place: str) -> None:
    """Texts alone, read by the transformer's `forward`."""
    outputs = only("last_hidden_state", "logits")  # the latter is of a classifier
    text = {"method": only("forward"), "method_output_name": outputs}
    check_settings(value, {"text": group(text)}, place)


# modules.json, of each module
MODULE = {
    "idx": anything,
    "name": anything,
    "path": of_type(str),  # the folder of the module
    "type": of_type(str),  # its class
    "kwargs": only([], {}, None),  # arguments that `encode` passes on
}

# how texts are tokenised
_PROCESSING = {
    "max_length": of_type(int),
    "padding": anything,  # no result depends on it
    "truncation": only(True, "longest_first", "only_first"),
    "add_special_tokens": only(True),
}

# options of AutoTokenizer.from_pretrained, to which they are passed
_TOKENIZER = dict.fromkeys(
    (
        *("model_input_names", "do_lower_case", "strip_accents", "tokenize_chinese_chars"),
        *("add_prefix_space", "padding_side"),
        *("add_bos_token", "add_eos_token", "legacy", "fix_mistral_regex"),
        *("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token"),
        *("mask_token", "additional_special_tokens", "extra_special_tokens"),
        *("clean_up_tokenization_spaces", "trust_remote_code"),
    ),
    anything,
) | {
    "model_max_length": of_type(int),
    "truncation_side": only("left", "right"),
    "use_fast": only(True, None),
}

# options of AutoModel.from_pretrained; no result depends on them, but for rounding
_MODEL = dict.fromkeys(
    (
        *("torch_dtype", "dtype", "attn_implementation", "add_pooling_layer", "use_safetensors"),
        *("low_cpu_mem_usage", "trust_remote_code"),
    ),
    anything,
)

# sentence_bert_config.json, of the transformer
TRANSFORMER = {
    "max_seq_length": of_type(int, None),
    "do_lower_case": of_type(bool, None),
    "transformer_task": only("feature-extraction", "sequence-classification"),
    "modality_config": forward_of_text,
    "module_output_name": only("token_embeddings", "scores"),
    "processing_kwargs": group(
        {
            "text": group(_PROCESSING),
            "common": group({"return_tensors": only("pt")}),
            # of other inputs than plain texts
            **dict.fromkeys(("chat_template", "image", "audio", "video"), anything),
        }
    ),
    "unpad_inputs": anything,  # no result depends on it
    "query_length": only(None),  # another max_length for queries
    "document_length": only(None),
    "query_expansion": only(None),
    **dict.fromkeys(("tokenizer_args", "processor_kwargs"), group(_TOKENIZER)),
    **dict.fromkeys(("model_args", "model_kwargs"), group(_MODEL)),
    # the transformer's configuration knows its own settings
    **dict.fromkeys(("config_args", "config_kwargs"), of_type(dict)),
}

# config_sentence_transformers.json, of the whole model
MODEL = {
    "__version__": anything,
    "requirements": anything,  # versions of libraries
    "model_type": only("SentenceTransformer", "CrossEncoder"),
    "prompts": anything,  # see `check_prompts`
    "default_prompt_name": of_type(str, None),
    "similarity_fn_name": only(*SIMILARITIES, None),
    "truncate_dim": of_type(int, None),
    "activation_fn": of_type(str, None),  # of a cross-encoder
    "keep_in_fp32_modules": anything,  # of a cross-encoder: no result depends on it
}

# 1_Pooling/config.json, in the layouts of sentence-transformers 2.x and 6.x
POOLING = {
    "word_embedding_dimension": anything,  # the transformer has it
    "embedding_dimension": anything,
    "include_prompt": of_type(bool),
    "pooling_mode": anything,  # see `sbert.pooling.POOLING`
    "pooling_mode_cls_token": of_type(bool),
    "pooling_mode_max_tokens": of_type(bool),
    "pooling_mode_mean_tokens": of_type(bool),
    "pooling_mode_mean_sqrt_len_tokens": of_type(bool),
    "pooling_mode_weightedmean_tokens": of_type(bool),
    "pooling_mode_lasttoken": of_type(bool),
}

# which tensors a module reads and writes
_EMBEDDING = {
    "module_input_name": only("sentence_embedding"),
    "module_output_name": only("sentence_embedding", None),
}

# config.json of the modules after the pooling
HEAD = {
    "Dense": {
        "in_features": of_type(int),
        "out_features": of_type(int),
        "bias": of_type(bool),
        "activation_function": of_type(str),
        "use_residual": of_type(bool),
        **_EMBEDDING,
    },
    "Normalize": _EMBEDDING,
    "LayerNorm": {"dimension": of_type(int)},
    "Dropout": {"dropout": anything},
}
