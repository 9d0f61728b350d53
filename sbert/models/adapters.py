"""LoRA (Hu et al. 2021, arXiv 2106.09685), by peft: a transformer whose own weights are frozen, and
low-rank updates of its linear layers that are trained.

`add_lora` changes a transformer where the objective of a training is made. The layers keep their
names; a changed layer q has the weights q.base_layer.weight, q.lora_A.default.weight and
q.lora_B.default.weight.
"""

import dataclasses
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D
from transformers.utils import is_peft_available

from sbert.errors import require
from sbert.models.active_embedding import whole_word_embeddings
from sbert.models.config import LoraConfig
from sbert.models.parts import find_unused

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
KEY_PREFIX = "base_model.model."  # of the weights' names in an adapter's file
_NAME = "default"  # peft's name of an adapter, part of the names of its weights


def require_peft(what: str) -> None:
    require(is_peft_available(), f"{what} needs peft: pip install -e '.[peft]'")


def add_lora(transformer: nn.Module, config: LoraConfig, base: str) -> None:
    """Freeze a transformer, and give its linear layers trained updates, in place.

    A is drawn from torch's generator and B is 0, so that at first nothing changes. The head of a
    classifier, and the pooler that it reads, are trained in full.

    Args:
        base: the folder or hub name that a saved adapter will name.

    Raises:
        InputError: peft is not installed; no linear layer has a name of `target_modules`.
    """
    require_peft("model.lora")
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    head = find_head(transformer)
    targets = find_targets(transformer, config.target_modules)
    options = {"r": config.rank, "lora_alpha": config.alpha, "lora_dropout": config.dropout}
    inject_adapter_in_model(PeftConfig(**options, target_modules=targets), transformer)
    for name in head:
        transformer.get_submodule(name).requires_grad_(True)
    transformer.lora_save, transformer.lora_base = config.save, base


def find_head(transformer: nn.Module) -> list[str]:
    """What a classifier has outside its base model, and the pooler that it reads, by name."""
    encoder = transformer.base_model
    if encoder is transformer:
        return []
    head = []
    for name, child in transformer.named_children():
        if child is not encoder and list(child.parameters()):
            head.append(name)
    if getattr(encoder, "pooler", None) is not None:
        head.append(f"{transformer.base_model_prefix}.pooler")
    return head


def find_targets(transformer: nn.Module, names: list[str] | str | None) -> list[str]:
    """The full names of the linear layers of the encoder that `LoraConfig.target_modules` means."""
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as USUAL

    linear, model = _list_linear(transformer), type(transformer).__name__
    require(linear, f"model.lora: {model} has no linear layers to update; leave model.lora out")
    names = USUAL.get(transformer.config.model_type, "all-linear") if names is None else names
    if names == "all-linear":
        return linear
    known = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
    require(names, f"model.lora.target_modules: names no layer; known: {known}, or all-linear")
    targets = []
    for end in names:
        found = [name for name in linear if f".{name}".endswith(f".{end}")]
        require(
            found, f"model.lora.target_modules: {model} has no linear layer {end}; known: {known}"
        )
        targets += found
    return targets


def _list_linear(transformer: nn.Module) -> list[str]:
    """The full names of the linear layers of the encoder that could get an update."""
    encoder, linear = transformer.base_model, []
    inside = set(encoder.modules())
    unused = find_unused(transformer) if encoder is transformer else ()
    for name, module in transformer.named_modules():
        is_linear = module in inside and isinstance(module, (nn.Linear, Conv1D))
        # a cross-encoder trains the pooler in full
        if is_linear and ".pooler." not in f".{name}." and f"{name}.weight" not in unused:
            linear.append(name)
    return linear


def save_transformer(root: Path, transformer: nn.Module) -> None:
    """Write a transformer's folder; with LoRA, merged or the adapter alone, as it was asked for."""
    save = getattr(transformer, "lora_save", None)
    if save == "adapter":
        _save_adapter(root, transformer)
    elif save == "merged":
        transformer.save_pretrained(root, state_dict=merged_state(transformer))
    else:
        with whole_word_embeddings(transformer):
            transformer.save_pretrained(root)


@torch.no_grad()
def merged_state(transformer: nn.Module) -> dict[str, Tensor]:
    """The weights W + alpha / rank B A, under the names that they have without LoRA."""
    from peft.tuners.lora import LoraLayer

    state = {}
    for name, weight in transformer.state_dict().items():
        if ".lora_" not in name:
            state[name.replace(".base_layer.", ".")] = weight
    for name, layer in transformer.named_modules():
        if isinstance(layer, LoraLayer):
            state[f"{name}.weight"] = layer.base_layer.weight + layer.get_delta_weight(_NAME)
    return state


def _save_adapter(root: Path, transformer: nn.Module) -> None:
    """Write what is trained, as peft and sentence-transformers read it."""
    head = find_head(transformer)
    config = dataclasses.replace(
        transformer.peft_config[_NAME],
        base_model_name_or_path=transformer.lora_base,
        task_type="SEQ_CLS" if head else "FEATURE_EXTRACTION",
        modules_to_save=head or None,
        inference_mode=True,
    )
    config.target_modules = sorted(config.target_modules)  # a set, in another order every time
    config.save_pretrained(str(root))
    weights = {}
    for name, weight in transformer.named_parameters():
        if weight.requires_grad:
            key = KEY_PREFIX + name.replace(f".{_NAME}.", ".")
            weights[key] = weight.detach().cpu().contiguous()
    save_file(weights, root / ADAPTER_WEIGHTS, {"format": "pt"})
