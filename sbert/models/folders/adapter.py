"""Folders of LoRA adapters (Hu et al. 2021, arXiv 2106.09685): the base is loaded and the adapter
merged into it.

An adapter's folder holds adapter_config.json and adapter_model.safetensors. The weights of its base
lie beside them, or in the folder or hub model that adapter_config.json names.
"""

import contextlib
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sbert.errors import InputError, require
from sbert.models.adapters import ADAPTER_CONFIG, ADAPTER_WEIGHTS, KEY_PREFIX, require_peft
from sbert.models.folders.backbone import locate_folder
from sbert.models.folders.json_files import load_json, require_weights

_NOT_PEFT = ("auto_mapping", "peft_version")  # about the file, and of some versions of peft only


def is_adapter(path: Path) -> bool:
    return (path / ADAPTER_CONFIG).exists()


def load_with_adapter(path: Path, load: Callable[[Path], nn.Module]) -> nn.Module:
    """`load(path)`; of an adapter's folder `load(base)`, with the adapter merged into it.

    Raises:
        InputError: peft is not installed; another kind of adapter than LoRA, or a setting that the
            installed peft does not know; there is no such base, or the adapter is for another one.
    """
    if not is_adapter(path):
        return load(path)
    config = _read_config(path)
    weights = load_file(path / ADAPTER_WEIGHTS)
    if _holds_base(path):
        with _without_adapter(path) as base:
            model = load(base)
        model.config._name_or_path = str(path)
        base_name = f"the weights beside {ADAPTER_CONFIG}"
    else:
        base_name = config["base_model_name_or_path"]
        model = load(_locate_base(path, config))
    return _merge(model, config, weights, f"{path}: the adapter does not fit {base_name}: ")


def read_full_weights(path: Path) -> dict[str, Tensor]:
    """What an adapter's folder holds in full beside the adapter: a classifier's head, if any."""
    _read_config(path)
    weights = load_file(path / ADAPTER_WEIGHTS)
    return {name: weight for name, weight in weights.items() if ".lora_" not in name}


def _read_config(path: Path) -> dict:
    """adapter_config.json, whose every setting the installed peft knows."""
    require_peft(f"{path / ADAPTER_CONFIG}: an adapter")
    from peft import LoraConfig

    config = load_json(path / ADAPTER_CONFIG)
    kind = config.get("peft_type")
    require(kind == "LORA", f"{path}: an adapter of type {kind} is not supported; known: LORA")
    known = {*LoraConfig.__dataclass_fields__, *_NOT_PEFT} - {"megatron_config"}
    unknown = [name for name, value in config.items() if value and name not in known]
    require(not unknown, f"{path / ADAPTER_CONFIG}: unknown settings: {', '.join(unknown)}")
    require_weights(path, ADAPTER_WEIGHTS)
    return config


def _holds_base(path: Path) -> bool:
    others = [file for file in path.glob("*.safetensors") if file.name != ADAPTER_WEIGHTS]
    return (path / "config.json").exists() and bool(others)


def _locate_base(path: Path, config: dict) -> Path:
    name = config.get("base_model_name_or_path")
    require(name, f"{path / ADAPTER_CONFIG}: names no base (base_model_name_or_path)")
    try:
        base = locate_folder(name, config.get("revision"))
    except InputError as error:
        raise InputError(f"{path / ADAPTER_CONFIG}: its base is not there: {error}") from None
    require(not is_adapter(base), f"{path}: its base {name} is an adapter, too: merge that first")
    return base


@contextlib.contextmanager
def _without_adapter(path: Path) -> Iterator[Path]:
    """A folder with links to all files of a folder but the adapter's.

    transformers applies an adapter that lies beside the weights by itself, without a check of
    either.
    """
    with tempfile.TemporaryDirectory() as folder:
        for file in path.iterdir():
            if not file.name.startswith("adapter_"):
                (Path(folder) / file.name).symlink_to(file.resolve())
        try:
            yield Path(folder)
        except InputError as error:
            raise InputError(str(error).replace(folder, str(path))) from error


def _merge(
    model: nn.Module, config: dict, weights: dict[str, Tensor], error_prefix: str
) -> nn.Module:
    """The model with an adapter's weights added to its own."""
    from peft import LoraConfig, LoraModel, set_peft_model_state_dict

    fields = {name: config[name] for name in LoraConfig.__dataclass_fields__ if name in config}
    random_state = torch.get_rng_state()  # what peft draws here is replaced
    try:
        adapted = LoraModel(model, LoraConfig(**fields), "default")
        unnamed = {name.removeprefix(KEY_PREFIX): weight for name, weight in weights.items()}
        result = set_peft_model_state_dict(model, unnamed)
    except (ValueError, RuntimeError, KeyError) as error:  # peft raises all three
        raise InputError(error_prefix + textwrap.shorten(str(error), 300)) from error
    torch.set_rng_state(random_state)
    for name in result.missing_keys:  # all of the base, which the file does not hold, and these:
        lacks = ".lora_" in name or ".modules_to_save." in name
        require(not lacks, f"{error_prefix}the adapter lacks weights for it, such as {name}")
    for name in result.unexpected_keys:
        raise InputError(f"{error_prefix}the base has no place for {name}")
    return adapted.merge_and_unload().requires_grad_(True)  # peft froze it
