"""BERT (arXiv 1810.04805) and its relatives for inference on a CPU, in few operators.

The same function as transformers' model up to rounding, with packed weights; query, key and value
in one product, and the scale of attention in the weights of the query. Bias, residual and
activation are computed within the products.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from sbert.models.inference.linear import Int8Linear, PackedLinear

# up to this length attention with all scores at once is faster than torch's fused kernel
SHORT_TOKENS = 64


class PackedBert(nn.Module):
    """What computes the hidden states of a `BertModel` or a relative, in its place.

    Args:
        model: the model. Its embeddings and its pooler, in fp32, are shared.
        dtype: of the layers' weights and products; int8 for those of `Int8Linear`.
        first_position_only: the last layer computes the hidden state of the first position alone.
        pools: whether the pooler's output is read.
    """

    def __init__(
        self, model: nn.Module, dtype: torch.dtype, first_position_only: bool, pools: bool
    ):
        super().__init__()
        self.embeddings = model.embeddings
        self.project = getattr(model, "embeddings_project", None)  # of ELECTRA
        self.pooler = getattr(model, "pooler", None) if pools else None
        linear = Int8Linear if dtype == torch.int8 else partial(PackedLinear, dtype=dtype)
        self.dtype = torch.float32 if dtype == torch.int8 else dtype  # outside the products
        self.layers = [PackedLayer(layer, linear, self.dtype) for layer in model.encoder.layer]
        self.first_position_only = first_position_only

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        **_unused,
    ) -> BaseModelOutputWithPooling:
        """(B, L) each -> hidden states (B, L, H), or (B, 1, H) of the first alone; fp32."""
        states = self.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        if self.project is not None:
            states = self.project(states)
        states = states.to(self.dtype)
        bias = padding_bias(attention_mask, self.layers[0].heads, self.dtype)
        *lower, last = self.layers
        for layer in lower:
            states = layer(states, bias)
        states = last(states, bias, self.first_position_only).float()
        pooled = None if self.pooler is None else self.pooler(states)
        return BaseModelOutputWithPooling(last_hidden_state=states, pooler_output=pooled)


def padding_bias(attention_mask: Tensor, heads: int, dtype: torch.dtype) -> Tensor | None:
    """What is added to the scores: 0, and -inf where a key is padding. (B, L) -> (B, heads, L, L).

    None where there is no padding, as in most batches of short texts of similar length. A row
    without a token attends to its padding, so that its states are finite.
    """
    padding = attention_mask == 0
    padding &= ~padding.all(dim=1, keepdim=True)
    if not padding.any():
        return None
    bias = torch.zeros(padding.shape, dtype=dtype).masked_fill_(padding, -torch.inf)
    bias = bias[:, None, None].expand(-1, heads, padding.shape[1], -1)
    # every layer adds it: two arrays of one layout are added several times as fast
    return bias.contiguous() if padding.shape[1] <= SHORT_TOKENS else bias


def linear_layers(layer: nn.Module) -> list[nn.Module]:
    """Query, key, value, and the three that follow attention."""
    attention = layer.attention.self
    dense = [layer.attention.output.dense, layer.intermediate.dense, layer.output.dense]
    return [attention.query, attention.key, attention.value, *dense]


class PackedLayer:
    """One layer: attention and feed-forward, each with residual and norm after it.

    Args:
        layer: of the model.
        linear: weight (out, in) and bias (out,) -> a linear layer.
        dtype: of the hidden states.
    """

    def __init__(
        self,
        layer: nn.Module,
        linear: Callable[[Tensor, Tensor], PackedLinear | Int8Linear],
        dtype: torch.dtype,
    ):
        attention = layer.attention.self
        self.heads = attention.num_attention_heads
        scale = attention.attention_head_size**-0.5
        query, key, value, *dense = linear_layers(layer)
        self.query_key_value = linear(
            torch.cat([query.weight * scale, key.weight, value.weight]),
            torch.cat([query.bias * scale, key.bias, value.bias]),
        )
        packed = [linear(module.weight, module.bias) for module in dense]
        self.attention_output, self.intermediate, self.output = packed
        self.attention_norm = Norm(layer.attention.output.LayerNorm, dtype)
        self.output_norm = Norm(layer.output.LayerNorm, dtype)

    def __call__(
        self, states: Tensor, bias: Tensor | None, first_position_only: bool = False
    ) -> Tensor:
        """(B, L, H) -> (B, L, H), or (B, 1, H)."""
        batch, length, _ = states.shape
        projected = self.query_key_value(states).view(batch, length, 3, self.heads, -1)
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # (B, heads, L, H / heads) each
        if first_position_only:
            query, states = query[:, :, :1], states[:, :1].contiguous()
            bias = None if bias is None else bias[:, :, :1]
        attended = attend(query, key, value, bias).transpose(1, 2).flatten(2)
        states = self.attention_norm(self.attention_output.add(attended, states))
        inner = self.intermediate.gelu(states)
        return self.output_norm(self.output.add(inner, states))


class Norm:
    """A layer norm in the type of its input."""

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype):
        weight, bias = norm.weight.detach().to(dtype), norm.bias.detach().to(dtype)
        self.arguments = (norm.normalized_shape, weight, bias, norm.eps)

    def __call__(self, states: Tensor) -> Tensor:
        return F.layer_norm(states, *self.arguments)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """softmax(Q K^T + bias) V: Q (B, heads, Q, D), scaled; K, V (B, heads, L, D)
    -> (B, heads, Q, D)."""
    length = key.shape[2]
    if length > SHORT_TOKENS:
        return F.scaled_dot_product_attention(query, key, value, bias, scale=1.0)
    scores = query @ key.transpose(2, 3)  # (B, heads, Q, L)
    if bias is not None:
        scores += bias
    # torch's own softmax takes several times as long for rows of so few numbers as oneDNN's
    weights = torch.softmax(scores.to_mkldnn(), dim=-1).to_dense()
    return weights @ value
