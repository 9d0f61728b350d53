"""Fingerprints of models: equal where all results are."""

import hashlib
import json
from collections.abc import Iterable

import torch
from torch import Tensor
from transformers import PretrainedConfig

# settings of a transformer that its results in inference do not depend on
_NO_RESULT = {
    *("architectures", "dtype", "gradient_checkpointing", "id2label", "label2id"),
    *("initializer_factor", "initializer_range", "problem_type", "return_dict"),
    *("sbert_ce_default_activation_function", "sentence_transformers", "torch_dtype"),
    *("transformers_version", "use_cache"),
}


def fingerprint(settings: dict, weights: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 of settings for JSON and of named weights, in hexadecimal; of neither the order."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, weight in sorted(weights, key=lambda named: named[0]):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def architecture(config: PretrainedConfig) -> dict:
    """What the configuration of a transformer sets that its results depend on."""
    return _drop_settings(json.loads(config.to_json_string(use_diff=True)))


def _drop_settings(settings: object) -> object:
    """The settings without those of _NO_RESULT, of dropout, and private ones; nested ones too."""
    if not isinstance(settings, dict):
        return settings
    kept = {}
    for name, value in settings.items():
        if name not in _NO_RESULT and not name.startswith("_") and "drop" not in name:
            kept[name] = _drop_settings(value)
    return kept
