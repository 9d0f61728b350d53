"""Pickled weights become safetensors with the same numbers, and nothing they bring is executed."""

import json
import sys
from pathlib import Path

import convert_weights
import numpy as np
import pytest
import torch
from cross_encoder_checks import said_by
from model_folders import headed
from safetensors.torch import load_file
from tiny_models import write_classifier
from transformers import AutoModel

from sbert import BiEncoder, CrossEncoder


def pickled(folder: Path) -> dict:
    """The same folder with its weights as older versions saved them -> the weights."""
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return weights


def run(monkeypatch, folder: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["convert_weights.py", str(folder)])
    convert_weights.main()


def test_a_bi_encoder_with_a_dense_module(tiny_folder, tmp_path, monkeypatch, capsys):
    """As sentence-transformers 2.7 saved it."""
    folder = headed(tmp_path / "m", tiny_folder)
    expected = BiEncoder.from_pretrained(folder).encode(["a cat", "the dog"], precision="fp32")
    pickled(folder / "2_Dense")
    command = f"python tools/convert_weights.py {folder}"
    assert said_by(BiEncoder.from_pretrained, folder) == (
        f"{folder}/2_Dense: no weights: model.safetensors is missing; {command}/2_Dense makes it "
        "of pytorch_model.bin"
    )
    pickled(folder)
    assert said_by(BiEncoder.from_pretrained, folder) == (
        f"{folder}: no weights: model.safetensors is missing; {command} makes it of "
        "pytorch_model.bin"
    )
    run(monkeypatch, folder)
    made = [folder / "model.safetensors", folder / "2_Dense" / "model.safetensors"]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in made]
    found = BiEncoder.from_pretrained(folder).encode(["a cat", "the dog"], precision="fp32")
    np.testing.assert_array_equal(found, expected)


def test_weights_in_parts(tmp_path):
    folder = write_classifier(tmp_path)
    expected = CrossEncoder.from_pretrained(folder).fingerprint
    weights = pickled(folder)
    (folder / "pytorch_model.bin").unlink()
    names = sorted(weights)
    part_of = {}
    for number, part in enumerate([names[:20], names[20:]], start=1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({name: weights[name] for name in part}, folder / file)
        part_of |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": 1}, "weight_map": part_of}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert [path.name for path in convert_weights.convert_folder(folder)] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert CrossEncoder.from_pretrained(folder).fingerprint == expected


def test_weights_that_share_memory_or_are_a_view(tmp_path):
    shared = torch.arange(12.0).reshape(3, 4)
    torch.save(
        {"a": shared, "b": shared, "c": shared.T, "d": shared[1]}, tmp_path / "pytorch_model.bin"
    )
    convert_weights.convert_folder(tmp_path)
    found = load_file(tmp_path / "model.safetensors")
    for name, right in {"a": shared, "b": shared, "c": shared.T, "d": shared[1]}.items():
        assert torch.equal(found[name], right)


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (Evil(), "cannot be opened as weights alone: "),
        ({"a": torch.ones(1), "step": 7}, "step is a int, not a tensor"),
        ([torch.ones(1)], "holds a list, not tensors"),
    ],
)
def test_what_holds_more_than_weights_is_refused(tmp_path, monkeypatch, content, said):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "pytorch_model.bin")
    assert said_by(convert_weights.convert_folder, tmp_path).startswith(
        f"{tmp_path}/pytorch_model.bin: {said}"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["pytorch_model.bin"]


def test_other_refusals(tmp_path, tiny_folder):
    none = tmp_path / "none"
    assert said_by(convert_weights.convert_folder, none) == f"{none}: no such folder"
    assert said_by(convert_weights.convert_folder, tmp_path) == (
        f"{tmp_path}: no pickled weights: neither pytorch_model.bin nor adapter_model.bin"
    )
    (tmp_path / "pytorch_model.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert "pytorch_model.bin: cannot be opened as weights alone: " in said_by(
        convert_weights.convert_folder, tmp_path
    )
    AutoModel.from_pretrained(tiny_folder).save_pretrained(tmp_path)
    said = f"{tmp_path}/model.safetensors: exists already"
    assert said_by(convert_weights.convert_folder, tmp_path) == said
