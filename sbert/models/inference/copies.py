"""A copy of a transformer that only computes."""

import copy
from collections.abc import Collection

import torch
from torch import nn

from sbert.errors import require
from sbert.models.families import BERT_LAYERS
from sbert.models.inference.bert import PackedBert, linear_layers
from sbert.models.inference.linear import check_int8_products, supports_packing


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
    """Whether `copy_packed` can copy it, on its device and in this type of products."""
    on_cpu = transformer.device.type == "cpu"
    return on_cpu and supports_packing(dtype) and has_bert_layers(transformer)


def has_bert_layers(transformer: nn.Module) -> bool:
    """Whether its base model computes what `PackedBert` does."""
    config = transformer.config
    as_bert = (
        config.model_type in BERT_LAYERS
        and config.hidden_act == "gelu"
        and not config.is_decoder
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
    )
    if not as_bert:
        return False
    layers = transformer.base_model.encoder.layer
    if not layers:  # the word embeddings alone: model.layer 0
        return False
    linear = [linear for layer in layers for linear in linear_layers(layer)]
    return all(type(module) is nn.Linear for module in linear)  # with LoRA they are others


def check_int8(transformer: nn.Module) -> None:
    """Raises InputError where `copy_packed` has no int8 products for it."""
    check_int8_products(transformer.device)
    known = ", ".join(BERT_LAYERS)
    require(
        has_bert_layers(transformer),
        "precision int8_dynamic: needs the layers of BERT, without adapters "
        f"({known}); this is a model of type {transformer.config.model_type}; use auto",
    )


def is_packed(transformer: nn.Module) -> bool:
    """Whether it is a copy with packed layers."""
    return isinstance(getattr(transformer, "base_model", transformer), PackedBert)
