"""What differs between families of transformers: class, layers, positions, padding, precision."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn
from transformers import (
    MODEL_FOR_TEXT_ENCODING_MAPPING,
    AutoModel,
    AutoModelForTextEncoding,
    PretrainedConfig,
)

from sbert.errors import InputError, require

NO_LIMIT = 10**9  # tokens

# they compute partly in fp32 by themselves, and so fail in autocast or with bf16 weights
FP32_ONLY = ("deberta", "fnet", "xmod")

# convolution, pooling or Fourier mixing over all positions: padding changes what comes before it
READS_PADDING = ("convbert", "fnet", "funnel", "nystromformer")

# their layers are those of BERT, and their heads read the first position alone
BERT_LAYERS = ("bert", "roberta", "xlm-roberta", "camembert", "electra")

# the names that tables of positions have in transformers
_POSITION_TABLES = ("position_embeddings", "embed_positions", "wpe")


def encoder_class(path: Path, config: PretrainedConfig) -> type:
    """The Auto class of an encoder; of T5 and its relatives that of the encoder alone.

    Raises:
        InputError: another encoder with a decoder.
    """
    if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING:
        return AutoModelForTextEncoding
    require(
        not config.is_encoder_decoder,
        f"{path}: {config.model_type} is an encoder with a decoder; only those of T5 and its "
        "relatives are read, without the decoder",
    )
    return AutoModel


def cut_layers(path: Path, config: PretrainedConfig, layer: int) -> None:
    """Change a configuration to the layers below hidden state `layer`, -2 without the last one.

    Raises:
        InputError: there is no such layer; the configuration cannot be cut.
    """
    depth = config.num_hidden_layers
    require(
        -depth - 1 <= layer <= depth,
        f"{path}: layer {layer}: the model has layers {-depth - 1} to {depth}",
    )
    kept = layer if layer >= 0 else depth + 1 + layer
    try:
        for name, value in config.to_dict().items():
            is_per_layer = "layer" in name or name == "attention_window"
            if is_per_layer and isinstance(value, list) and len(value) == depth:
                setattr(config, name, value[:kept])
        config.num_hidden_layers = kept
        type(config).from_dict(config.to_dict())  # as a saved model will be read
    except Exception as error:  # every configuration has refusals of its own
        raise _cannot_cut(path, config, layer, kept) from error


@torch.no_grad()
def check_cut(path: Path, transformer: nn.Module, layer: int) -> None:
    """Run a model that was cut to the embeddings on a token: some need a layer to compute.

    Raises:
        InputError: it fails.
    """
    config = transformer.config
    if config.num_hidden_layers > 0:
        return
    token = torch.zeros(1, 1, dtype=torch.long)
    try:
        transformer(input_ids=token, attention_mask=token + 1)
    except Exception as error:  # every family fails in its own way
        raise _cannot_cut(path, config, layer, 0) from error


def _cannot_cut(path: Path, config: PretrainedConfig, layer: int, kept: int) -> InputError:
    return InputError(
        f"{path}: layer {layer}: a model of type {config.model_type} cannot be cut to {kept} "
        "layers; use all of them (layer -1)"
    )


def count_positions(transformer: nn.Module) -> int:
    """Tokens that a model has a table of positions for; NO_LIMIT for relative or rotary positions.

    Where the table has a row for the padding, the positions of tokens start after it.
    """
    limits = [NO_LIMIT]
    for table in _position_tables(transformer):
        padding = getattr(table, "padding_idx", None)
        start = getattr(table, "offset", 0) if padding is None else padding + 1
        limits.append(len(table.weight) - start)
        limits.append(transformer.config.max_position_embeddings)
    return min(limits)


def position_padding(transformer: nn.Module) -> int | None:
    """The id of the padding, where the positions of tokens start after it, as in RoBERTa."""
    found = [getattr(table, "padding_idx", None) for table in _position_tables(transformer)]
    return next((padding for padding in found if padding is not None), None)


def _position_tables(transformer: nn.Module) -> Iterator[nn.Module]:
    for name, module in transformer.named_modules():
        if name.rpartition(".")[2] in _POSITION_TABLES and hasattr(module, "weight"):
            yield module
