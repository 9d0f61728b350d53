"""Shared by the tests of model folders: layouts written by hand, and ways to break them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sbert import BiEncoder, InputError

KEYS_2X = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len": "pooling_mode_mean_sqrt_len_tokens",
    "weighted_mean": "pooling_mode_weightedmean_tokens",
    "last_token": "pooling_mode_lasttoken",
}


NAMES_6X = {
    "cls": "cls",
    "mean": "mean",
    "max": "max",
    "mean_sqrt_len": "mean_sqrt_len_tokens",
    "weighted_mean": "weightedmean",
    "last_token": "lasttoken",
}


def dump(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def write_layout(
    root: Path, tiny_folder: Path, layout: str, modes: list[str], head: bool, length: int | None
) -> dict:
    """A folder written by hand; `layout`: 2.x, v1 (2.x with the backbone in 0_Transformer), 6.x."""
    backbone = root / "0_Transformer" if layout == "v1" else root
    shutil.copytree(tiny_folder, backbone, dirs_exist_ok=True)
    package = {
        "Transformer": "sentence_transformers.base.modules.transformer",
        "Pooling": "sentence_transformers.sentence_transformer.modules.pooling",
        "Dense": "sentence_transformers.base.modules.dense",
        "Normalize": "sentence_transformers.base.modules.normalize",
    }
    kinds = ["Transformer", "Pooling", *(["Dense", "Normalize"] if head else [])]
    paths = [
        "0_Transformer" if layout == "v1" else "",
        *(f"{i}_{kind}" for i, kind in enumerate(kinds[1:], start=1)),
    ]
    types = [
        f"{package[kind]}.{kind}" if layout == "6.x" else f"sentence_transformers.models.{kind}"
        for kind in kinds
    ]
    listed = [
        {"idx": i, "name": str(i), "path": p, "type": t}
        for i, (p, t) in enumerate(zip(paths, types, strict=True))
    ]
    dump(root / "modules.json", listed)
    if layout == "6.x":
        method = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
        names = {"modality_config": method, "module_output_name": "token_embeddings"}
        dump(root / "sentence_bert_config.json", {"transformer_task": "feature-extraction"} | names)
        if length:
            dump(
                root / "tokenizer_config.json",
                load(root / "tokenizer_config.json") | {"model_max_length": length},
            )
        theirs = [NAMES_6X[mode] for mode in modes]
        pooling = {
            "embedding_dimension": 32,
            "pooling_mode": theirs[0] if len(theirs) == 1 else theirs,
            "include_prompt": True,
        }
        prompts = {"prompts": {"query": "", "document": ""}, "default_prompt_name": None}
        dump(
            root / "config_sentence_transformers.json",
            prompts | {"model_type": "SentenceTransformer"},
        )
    else:
        dump(
            backbone / "sentence_bert_config.json",
            {"max_seq_length": length, "do_lower_case": False},
        )
        pooling = {"word_embedding_dimension": 32} | {
            key: mode in modes for mode, key in KEYS_2X.items()
        }
    dump(root / "1_Pooling" / "config.json", pooling)
    weights = {}
    if head:
        torch.manual_seed(5)
        weights = {"linear.weight": torch.randn(7, 32 * len(modes)), "linear.bias": torch.randn(7)}
        config = {"in_features": 32 * len(modes), "out_features": 7, "bias": True}
        config |= {"activation_function": "torch.nn.modules.activation.ReLU"}
        names = {
            "module_input_name": "sentence_embedding",
            "module_output_name": "sentence_embedding",
        }
        dump(root / "2_Dense" / "config.json", config | (names if layout == "6.x" else {}))
        save_file(weights, root / "2_Dense" / "model.safetensors")
        # git keeps no empty folder: downloaded ones are without 3_Normalize
    return weights


def headed(root: Path, tiny_folder: Path) -> Path:
    write_layout(root, tiny_folder, "2.x", ["mean"], True, None)
    return root


def rewrite(name: str, **changes):
    return lambda root: dump(root / name, load(root / name) | changes)


def replace(name: str, content: str | bytes):
    return lambda root: (root / name).write_bytes(
        content if isinstance(content, bytes) else content.encode()
    )


def without_key(name: str, key: str):
    return lambda root: dump(root / name, {k: v for k, v in load(root / name).items() if k != key})


def pickled_only(folder: str):
    return lambda root: (root / folder / "model.safetensors").rename(
        root / folder / "pytorch_model.bin"
    )


def assert_refused_in_one_line(root: Path, breaks: Callable[[Path], None], said: str) -> None:
    """A folder is read as a bi-encoder, and refused by its name once it is broken."""
    BiEncoder.from_pretrained(root)
    breaks(root)
    with pytest.raises(InputError) as caught:
        BiEncoder.from_pretrained(root)
    line = str(caught.value)
    assert "\n" not in line
    assert str(root) in line
    assert said in line
