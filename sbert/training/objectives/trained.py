"""Which weights of a model are trained or drawn anew, and what a checkpoint holds of both kinds."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from sbert.errors import require
from sbert.models.active_embedding import ActiveEmbedding
from sbert.models.adapters import ADAPTER_CONFIG, add_lora
from sbert.models.cross_encoder import CrossEncoder
from sbert.models.encoder import Encoder
from sbert.models.fingerprint import fingerprint
from sbert.models.folders.backbone import is_local, locate_folder
from sbert.models.parts import freeze_weights, reinitialize_weights
from sbert.training.config import ModelConfig


def choose_trained(model: Encoder, config: ModelConfig) -> None:
    """Draw anew what `model.reinitialize` names, and freeze what is not trained.

    What is not trained, `model.lora` and `model.freeze` say.
    """
    lora, transformer = config.lora, model.transformer
    require(
        lora is None or not config.freeze,
        "model.freeze: model.lora freezes the whole encoder; leave one of the two out",
    )
    reinitialize_weights(transformer, config.reinitialize)
    freeze_weights(transformer, config.freeze)
    if lora is None:
        return
    if lora.save == "adapter":
        _check_adapter_is_readable(model, config)
    # a folder is named by where its weights lie
    base = transformer.name_or_path if is_local(config.path) else config.path
    add_lora(transformer, lora, base)


def _check_adapter_is_readable(model: Encoder, config: ModelConfig) -> None:
    """Refuse what a folder of an adapter alone cannot say."""
    where, instead = "model.lora.save: adapter", "use merged"
    require(config.layer == -1, f"{where} names a base with all its layers, not model.layer")
    adapters = any(locate_folder(config.path).rglob(ADAPTER_CONFIG))
    require(not adapters, f"{where}: {config.path} is an adapter itself; {instead}")
    require(
        not config.reinitialize,
        f"{where} names a base with its own weights, not those of model.reinitialize; {instead}",
    )
    several = isinstance(model, CrossEncoder) and model.dim > 1
    require(not several, f"{where} cannot hold the number and names of classes; {instead}")


def leave_out_idle_embeddings(objective: nn.Module, token_ids: Iterable[np.ndarray]) -> None:
    """Train only the word embeddings of the tokens that batches have, by an `ActiveEmbedding`.

    All are trained where more than half of them occur, and where they are tied to another weight,
    frozen, or of a class of their own.
    """
    transformer = objective.model.transformer
    embedding = transformer.get_input_embeddings()
    if type(embedding) is not nn.Embedding or not embedding.weight.requires_grad:
        return
    weights = [weight for _, weight in objective.named_parameters(remove_duplicate=False)]
    tied = sum(weight is embedding.weight for weight in weights) > 1
    occurs = torch.zeros(embedding.num_embeddings, dtype=torch.bool)
    for ids in token_ids:
        occurs[torch.from_numpy(ids).long()] = True
    for padding in (transformer.config.pad_token_id, embedding.padding_idx):
        if padding is not None:  # some families pad their inputs themselves
            occurs[padding] = True
    if not tied and 2 * occurs.sum() <= len(occurs):
        transformer.set_input_embeddings(ActiveEmbedding(embedding, occurs))


def enable_gradient_checkpointing(transformer: nn.Module) -> None:
    """Keep only the inputs of each layer in training, and compute the layer again for its gradient.

    The gradients stay the same: dropout draws the same numbers again.

    Raises:
        InputError: the transformer cannot.
    """
    require(
        transformer.supports_gradient_checkpointing,
        f"loop.gradient_checkpointing: {type(transformer).__name__} does not support it",
    )
    # its name before and from transformers 5.23 on
    enable = getattr(transformer, "activation_checkpointing_enable", None)
    enable = enable or transformer.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def trained_state(objective: nn.Module) -> dict[str, Tensor]:
    """The state of an objective without its frozen weights."""
    frozen = {name for name, weight in objective.named_parameters() if not weight.requires_grad}
    return {name: t for name, t in objective.state_dict().items() if name not in frozen}


def fingerprint_frozen(model: Encoder) -> str:
    """The fingerprint of the frozen weights that results depend on."""
    unused, frozen = model.unused_weights or (), []
    for name, weight in model.named_parameters():
        if not weight.requires_grad and not name.startswith(unused):
            frozen.append((name, weight))
    return fingerprint({}, frozen)
