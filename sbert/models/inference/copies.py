"""A copy of a transformer that only computes."""

import copy
from collections.abc import Collection

import torch
from torch import nn

from sbert.models.families import BERT_LAYERS
from sbert.models.inference.bert import PackedBert, linear_layers
from sbert.models.inference.linear import supports_packing


def copy_for_inference(
    transformer: nn.Module, dtype: torch.dtype, fp32_weights: Collection[str] = ()
) -> nn.Module:
    """A copy with its weights in `dtype`; the transformer itself may be in training.

    Args:
        fp32_weights: names of weights that stay as they are.
    """
    weights = {}
    for name, weight in transformer.named_parameters():  # of tied ones the first name
        kept = name in fp32_weights
        weights[id(weight)] = weight.detach() if kept else weight.detach().to(dtype)
    return _copy_with(transformer, weights)


def copy_packed(transformer: nn.Module, dtype: torch.dtype, first_position_only: bool) -> nn.Module:
    """A copy whose layers are packed, in `dtype`; the rest of it, in fp32, is shared.

    Args:
        transformer: one of which `can_pack` is true.
        first_position_only: of the hidden states only that of the first position is read.
    """
    base = transformer.base_model
    shared = {id(weight): weight for weight in transformer.parameters()}
    packed = PackedBert(base, dtype, first_position_only, base is not transformer)
    return _copy_with(transformer, shared | {id(base): packed})


def _copy_with(transformer: nn.Module, parts: dict[int, object]) -> nn.Module:
    """A copy with other parts in place of some, by the `id` of the original; buffers are shared."""
    shared = {id(buffer): buffer for buffer in transformer.buffers()}
    shared[id(transformer.config)] = transformer.config
    return copy.deepcopy(transformer, shared | parts)


def can_pack(transformer: nn.Module, dtype: torch.dtype) -> bool:
    """Whether its base model computes what `PackedBert` does, on a processor that packs weights."""
    base, config = transformer.base_model, transformer.config
    if base.device.type != "cpu" or config.model_type not in BERT_LAYERS:
        return False
    as_bert = (
        config.hidden_act == "gelu"
        and not config.is_decoder
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
    )
    linear = [linear for layer in base.encoder.layer for linear in linear_layers(layer)]
    own = all(type(module) is nn.Linear for module in linear)  # with LoRA they are others
    return as_bert and own and supports_packing(dtype)


def is_packed(transformer: nn.Module) -> bool:
    """Whether it is a copy with packed layers."""
    return isinstance(getattr(transformer, "base_model", transformer), PackedBert)
