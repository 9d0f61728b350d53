"""The sequence classifier under a cross-encoder: loaded with its head or given a new one, and its last layer made exact."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from sbert.errors import InputError
from sbert.models.hf_folder import is_classifier, load_json, load_weights, read_config

NEWEST = "config_sentence_transformers.json"

# our names -> the classes that folders name, and what predict computes
ACTIVATIONS = {
    "sigmoid": ("torch.nn.modules.activation.Sigmoid", torch.sigmoid),
    "identity": ("torch.nn.modules.linear.Identity", lambda logits: logits),
    # elementwise for sentence-transformers, which leaves the classes as logits unless asked for probabilities
    "softmax": ("torch.nn.modules.linear.Identity", lambda logits: logits.softmax(dim=-1)),
}


class Fp32Linear(nn.Linear):
    """A linear layer in fp32, whatever surrounds it: a logit that is rounded to 8 bits ties with its neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.float(), self.weight, self.bias)


def keep_head_in_fp32(transformer: nn.Module) -> tuple[str, str]:
    """Have the layer that gives the logits compute in fp32 -> the names of its weights."""
    name, output = _output(transformer)
    output.__class__ = Fp32Linear  # the same weights under the same names, so folders do not change
    return f"{name}.weight", f"{name}.bias"


def _output(transformer: nn.Module) -> tuple[str, nn.Linear]:
    """The last layer, which gives the logits, and its name."""
    linear = [
        (name, module)
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Linear)
    ]
    name, module = linear[-1]
    if module.out_features != transformer.config.num_labels:
        raise InputError(
            f"{type(transformer).__name__}: its last layer {name} gives {module.out_features} numbers, "
            f"not its {transformer.config.num_labels} labels; such a model is not supported here"
        )
    return name, module


def compute_first_position_only(transformer: nn.Module) -> None:
    """Have the last layer compute the first position alone once its attention has read all: the head reads no other.

    Exact, and an eighth of all products of a model of 6 layers (9 of the last layer's 12 H^2 a token are after it).
    """
    if transformer.config.model_type in ("bert", "roberta", "xlm-roberta", "camembert", "electra"):
        last = transformer.base_model.encoder.layer[-1]
        last.attention.output.register_forward_pre_hook(
            lambda module, states: tuple(x[:, :1] for x in states)
        )


def load_classifier(path: Path, num_labels: int | None, new_head: bool) -> nn.Module:
    """A sequence classifier from a folder of one, or from any encoder with a new head."""
    config = read_config(path)
    trained = is_classifier(path)
    if trained and not new_head and num_labels not in (None, config.num_labels):
        raise InputError(
            f"{path}: its head gives {config.num_labels} labels, and num_labels is {num_labels}; "
            "leave num_labels out, or set new_head to start the last layer afresh"
        )
    if not trained:
        config.num_labels = num_labels or 1

    def may_miss(key: str, model: nn.Module) -> bool:
        # the head is what lies outside the encoder, and BERT's pooler; older transformers names keys without the prefix
        inside = key.startswith(f"{model.base_model_prefix}.") or key not in model.state_dict()
        return not trained and ("pooler." in key or not inside)

    model = load_weights(path, AutoModelForSequenceClassification, config, may_miss)
    if trained and new_head:
        _, output = _output(model)
        count = num_labels or config.num_labels
        model.config.id2label = {
            k: f"LABEL_{k}" for k in range(count)
        }  # which is what sets the number
        model.config.label2id = {f"LABEL_{k}": k for k in range(count)}
        model.num_labels = output.out_features = count
        output.weight = nn.Parameter(
            torch.randn(output.out_features, output.in_features) * config.initializer_range
        )
        output.bias = nn.Parameter(torch.zeros(output.out_features))
    return model


def read_activation(root: Path, config) -> str | None:
    """The activation that a folder was saved with, by any version of sentence-transformers; None if by none."""
    newest = load_json(root / NEWEST, default={}).get("activation_fn")
    newer = (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
    name = newest or newer or getattr(config, "sbert_ce_default_activation_function", None)
    if name is None:
        return None
    known = {
        full.rpartition(".")[2]: ours
        for ours, (full, _) in ACTIVATIONS.items()
        if ours != "softmax"
    }
    if name.rpartition(".")[2] not in known:
        raise InputError(f"{root}: activation {name} is not known here; known: {', '.join(known)}")
    return known[name.rpartition(".")[2]]


def write_activation(config, activation: str) -> None:
    """Put one of ACTIVATIONS where `read_activation` finds it."""
    name = ACTIVATIONS[activation][0]
    # where sentence-transformers 4 to 6 and where 2 and 3 look for it
    config.sentence_transformers = {"activation_fn": name}
    config.sbert_ce_default_activation_function = name
