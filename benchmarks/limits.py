"""What bounds encoding and training: the matrix products of a model's linear layers alone."""

import time

import torch
from torch import Tensor, nn

from sbert.device import resolve_precision

TOKENS = 4096  # that are multiplied at a time


def product_seconds(model: nn.Module, columns: list[list[str]], training: bool = False) -> float:
    """Seconds of the products in the linear layers of the model's transformer for all tokens of
    these texts or, of a cross-encoder, pairs, in the precision that auto stands for.

    x W', and for training also g W and g' x: no attention, normalisation or padding, no word
    embeddings and no optimiser.
    """
    device = next(model.parameters()).device
    dtype = resolve_precision("auto", device)
    encoded = model.tokenizer(*map(list, columns), truncation=True, max_length=model.max_length)
    tokens = sum(map(len, encoded["input_ids"]))
    weights = [
        layer.weight.detach().to(dtype)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and ".layer" in name
    ]
    inputs = {w.shape[1]: torch.randn(TOKENS, w.shape[1], device=device).to(dtype) for w in weights}
    outputs = {
        w.shape[0]: torch.randn(TOKENS, w.shape[0], device=device).to(dtype) for w in weights
    }
    _multiply(weights, inputs, outputs, training)
    start = time.perf_counter()
    _multiply(weights, inputs, outputs, training)
    return (time.perf_counter() - start) * tokens / TOKENS


def _multiply(
    weights: list[Tensor],
    inputs: dict[int, Tensor],
    outputs: dict[int, Tensor],
    training: bool,
) -> None:
    for weight in weights:
        x, gradient = inputs[weight.shape[1]], outputs[weight.shape[0]]
        product = x @ weight.T
        if training:
            product = gradient @ weight
            product = gradient.T @ x
    product[0, 0].item()  # waits for the device
