"""Parts of a transformer by the names of their weights: what is not trained, what is drawn anew."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sbert.errors import require

ALL = "all"  # as a name to reinitialise: every weight of the encoder

# parts that hidden states do not depend on, by one name of theirs
_UNUSED = {
    "pooler",  # of BERT and its relatives
    *("query_global", "key_global", "value_global"),  # Longformer: no token attends to all others
    "mask_emb",  # XLNet: takes the place of words in its pretraining alone
}

# what the layers of MPNet, ALBERT and DeBERTa share is left where there are none
_SHARED_BY_LAYERS = {"relative_attention_bias", "albert_layer_groups", "rel_embeddings"}


def find_weights(transformer: nn.Module, names: Sequence[str], option: str) -> dict[str, Tensor]:
    """The weights of the encoder whose names start with one of `names`, by name.

    Names are those of the encoder without a head, so that a bi-encoder and a cross-encoder have
    the same: embeddings, encoder.layer.0.

    Args:
        option: what error messages call `names`.

    Raises:
        InputError: no weight has such a name.
    """
    weights = dict(transformer.base_model.named_parameters())
    chosen: dict[str, Tensor] = {}
    for start in names:
        found = [name for name in weights if f"{name}.".startswith(f"{start}.")]
        known = ", ".join(dict.fromkeys(_part(name) for name in weights))
        require(found, f"{option}: no weights are called {start}; known: {known}")
        chosen |= {name: weights[name] for name in found}
    return chosen


def _part(name: str) -> str:
    """The part of an encoder that a weight belongs to: up to its first number, else one name."""
    words = name.split(".")
    numbers = [i for i, word in enumerate(words) if word.isdigit()]
    return ".".join(words[: numbers[0] + 1 if numbers else 1])


def freeze_weights(transformer: nn.Module, names: Sequence[str]) -> None:
    """Freeze parts of the encoder.

    Raises:
        InputError: as `find_weights`.
    """
    for weight in find_weights(transformer, names, "model.freeze").values():
        weight.requires_grad_(False)


def find_unused(transformer: nn.Module) -> set[str]:
    """The names of the weights that no hidden state of an encoder without a head depends on."""
    unused = _UNUSED
    if getattr(transformer.config, "num_hidden_layers", None) == 0:
        unused = _UNUSED | _SHARED_BY_LAYERS
    return {name for name, _ in transformer.named_parameters() if unused & set(name.split("."))}


def freeze_unused(transformer: nn.Module) -> None:
    """Freeze the weights that no output of a bi-encoder depends on.

    The results do not change. Without this, every process of a parallel run would wait for their
    gradients.
    """
    for name in find_unused(transformer):
        transformer.get_parameter(name).requires_grad_(False)


@torch.no_grad()
def reinitialize_weights(transformer: nn.Module, names: Sequence[str]) -> None:
    """Draw parts of the encoder anew, by its family's own initialisation; "all" for the whole.

    Draws from torch's generator. What a weight becomes does not depend on the other names.

    Raises:
        InputError: as `find_weights`.
    """
    if not names:
        return
    if ALL in names:
        chosen = dict(transformer.base_model.named_parameters())
    else:
        chosen = find_weights(transformer, names, "model.reinitialize")
    new = type(transformer)(transformer.config).base_model.state_dict()
    for name, weight in chosen.items():
        weight.copy_(new[name])
