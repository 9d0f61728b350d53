"""Parts of a transformer that are not trained."""

from collections.abc import Sequence

from torch import nn

from sbert.errors import require


def freeze_weights(transformer: nn.Module, names: Sequence[str]) -> None:
    """Freeze the weights of the encoder whose names start with one of `names`.

    Names are those of the encoder without a head, so that a bi-encoder and a cross-encoder have
    the same: embeddings, encoder.layer.0.

    Raises:
        InputError: no weight has such a name.
    """
    weights = dict(transformer.base_model.named_parameters())
    for start in names:
        found = [name for name in weights if f"{name}.".startswith(f"{start}.")]
        known = ", ".join(dict.fromkeys(_part(name) for name in weights))
        require(found, f"model.freeze: no weights are called {start}; known: {known}")
        for name in found:
            weights[name].requires_grad_(False)


def _part(name: str) -> str:
    """The part of an encoder that a weight belongs to: up to its first number, else one name."""
    words = name.split(".")
    numbers = [i for i, word in enumerate(words) if word.isdigit()]
    return ".".join(words[: numbers[0] + 1 if numbers else 1])


def freeze_pooler(transformer: nn.Module) -> None:
    """Freeze the pooler of BERT and its relatives, which no output of a bi-encoder depends on.

    The results do not change. Without this, every process of a parallel run would wait for its
    gradient.
    """
    if getattr(transformer, "pooler", None) is not None:
        transformer.pooler.requires_grad_(False)
