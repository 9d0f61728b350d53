"""The sequence classifier under a cross-encoder: how it is loaded, and how it is changed.

`CrossEncoder` changes it in its constructor, by `settle_padding`, `keep_head_in_fp32` and
`compute_first_position_only`.
"""

from collections.abc import Collection
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from sbert.errors import require
from sbert.models.families import BERT_LAYERS
from sbert.models.folders.adapter import is_adapter, load_with_adapter, read_full_weights
from sbert.models.folders.backbone import is_classifier, load_weights, read_config
from sbert.models.pair_tokens import PairTokenizer
from sbert.models.tokens import lower_casing


def load_classifier_with_adapter(path: Path, num_labels: int | None, new_head: bool) -> nn.Module:
    """`load_classifier`; of an adapter's folder its base, with the adapter merged into it.

    Raises:
        InputError: as `load_classifier` and `load_with_adapter`; neither the adapter nor its base
            has a head; `new_head` with an adapter.
    """
    if not is_adapter(path):
        return load_classifier(path, num_labels, new_head)
    require(not new_head, f"{path}: new_head: merge the adapter first, and start from the result")
    head = read_full_weights(path)
    # the last layer has fewer outputs than any other
    head_labels = min((len(weight) for weight in head.values()), default=None)

    def load(base: Path) -> nn.Module:
        if is_classifier(base):
            # a new head has the size of the adapter's, which then replaces it
            return load_classifier(base, num_labels or head_labels, new_head=bool(head))
        require(head, f"{path}: neither the adapter nor its base {base} has a classifier's head")
        config = read_config(base)
        config.num_labels = num_labels or head_labels
        in_adapter = partial(_ends_one_of, head)
        return load_weights(base, AutoModelForSequenceClassification, config, in_adapter)

    return load_with_adapter(path, load)


def _ends_one_of(names: Collection[str], key: str, model: nn.Module) -> bool:
    # older versions of transformers give the names without the prefix of the encoder
    return any(name.endswith(key) for name in names)


def load_classifier(path: Path, num_labels: int | None, new_head: bool) -> nn.Module:
    """A sequence classifier from a folder of one, or from any encoder with a new head.

    Args:
        num_labels: None: as saved, 1 for an encoder without a head.
        new_head: initialise the output layer even where the folder has one.

    Raises:
        InputError: weights are missing; the saved head has another number of labels than
            `num_labels`; the head reads the padding of a batch.
    """
    config = read_config(path)
    summary = getattr(config, "summary_type", None)
    require(
        summary not in ("last", "mean"),
        f"{path}: the head of {config.model_type} with summary_type {summary} reads the padding of "
        "a batch; such a model is not supported here",
    )
    if not is_classifier(path):
        config.num_labels = num_labels or 1
        return load_weights(path, AutoModelForSequenceClassification, config, _is_outside_encoder)
    require(
        new_head or num_labels in (None, config.num_labels),
        f"{path}: its head has {config.num_labels} labels, and num_labels is {num_labels}; "
        "leave num_labels out, or set new_head to start with a new output layer",
    )
    model = load_weights(path, AutoModelForSequenceClassification, config, lambda key, _: False)
    if new_head:
        reset_head(model, num_labels or config.num_labels)
    return model


def _is_outside_encoder(key: str, model: nn.Module) -> bool:
    # older versions of transformers give the names without the prefix of the encoder
    inside = key.startswith(f"{model.base_model_prefix}.") or key not in model.state_dict()
    return "pooler." in key or not inside


def reset_head(model: nn.Module, num_labels: int) -> None:
    """Give the output layer new weights, normal with zero bias, for `num_labels` unnamed labels."""
    output = find_output_layer(model)[1]
    set_class_names(model.config, [f"LABEL_{k}" for k in range(num_labels)])
    model.num_labels = output.out_features = num_labels
    scale = getattr(model.config, "initializer_range", 0.02)
    output.weight = nn.Parameter(torch.randn(num_labels, output.in_features) * scale)
    if output.bias is not None:
        output.bias = nn.Parameter(torch.zeros(num_labels))


def set_class_names(config, names: list[str]) -> None:
    """Name the classes of a model; their number is the model's number of labels."""
    config.id2label = dict(enumerate(names))
    config.label2id = {name: k for k, name in enumerate(names)}


def find_output_layer(transformer: nn.Module) -> tuple[str, nn.Linear]:
    """The name of the layer that gives the logits, and the layer.

    It is the one linear layer outside the base model with as many outputs as the model has labels.

    Raises:
        InputError: there is none, or there are several.
    """
    labels = transformer.config.num_labels
    inside = set(transformer.base_model.modules())
    found = []
    for name, module in transformer.named_modules():
        if module not in inside and isinstance(module, nn.Linear) and module.out_features == labels:
            found.append((name, module))
    names = ", ".join(name for name, _ in found) or "none"
    require(
        len(found) == 1,
        f"{type(transformer).__name__}: its output layer is not known; one linear layer outside "
        f"the base model should have {labels} outputs, one a label, and found are: {names}",
    )
    return found[0]


class Fp32Linear(nn.Linear):
    """A linear layer that computes in fp32 under any autocast."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight, self.bias)


def keep_head_in_fp32(transformer: nn.Module) -> tuple[str, ...]:
    """Make the output layer an `Fp32Linear` in place -> the names of its weights.

    A logit in bf16 has 8 bits: similar pairs would get equal scores, which cannot be ranked. The
    weights and their names stay, so that saved folders do not change, and neither do results in
    fp32. The cost is K H products in fp32 a pair.
    """
    name, output = find_output_layer(transformer)
    output.__class__ = Fp32Linear
    return tuple(f"{name}.{weight}" for weight, _ in output.named_parameters())


def compute_first_position_only(transformer: nn.Module) -> bool:
    """Let the last layer compute only the first position after its attention, by a hook.

    Returns whether it does.

    Exact, in training too: the head reads no other position, and only attention mixes positions.
    Saves an eighth of all products of a model of 6 layers (9 of the last layer's 12 H^2 a token
    come after its attention), and costs nothing. Model types whose head is not known to read only
    the first position are left as they are.
    """
    known = transformer.config.model_type in BERT_LAYERS
    if known:
        attention = transformer.base_model.encoder.layer[-1].attention
        attention.output.register_forward_pre_hook(_first_position)
    return known


def _first_position(module: nn.Module, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """(B, L, H) -> (B, 1, H), each. A function of the module: a model with it can be pickled."""
    return tuple(state[:, :1] for state in states)


def settle_padding(transformer: nn.Module, tokenizer, text_tokenizer: PairTokenizer) -> None:
    """Pad with the token that the head takes for padding.

    The head of a decoder reads the last token that is not `pad_token_id` of its configuration. A
    model that names none gets a special token that no pair contains by itself, in its tokenizer
    too: of a token that ends every pair, the head would read the one before it.

    Raises:
        InputError: there is no such token.
    """
    config = transformer.config
    if getattr(config, "pad_token_id", None) is None:
        used = set(np.concatenate(text_tokenizer.special_ids).tolist())
        special = [tokenizer.pad_token_id, *tokenizer.all_special_ids]
        free = [token for token in special if token is not None and token not in used]
        require(
            free,
            f"{type(transformer).__name__}: no pad_token_id in config.json, and the tokenizer has "
            "no special token that could pad; name one in both",
        )
        config.pad_token_id = free[0]
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(free[0])
    text_tokenizer.pad_id = config.pad_token_id


def lower_case_in_tokenizer(tokenizer) -> None:
    """Make lower-casing the first step of a tokenizer; a cross-encoder's folder has no setting."""
    backend = tokenizer.backend_tokenizer
    backend.normalizer = lower_casing(backend.normalizer)
