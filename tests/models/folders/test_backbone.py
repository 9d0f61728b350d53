"""Hugging Face folders: what is refused, and that no code of theirs runs."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from model_folders import (
    assert_refused_in_one_line,
    dump,
    headed,
    load,
    pickled_only,
    replace,
    rewrite,
)
from safetensors.torch import load_file, save_file
from tiny_models import word_pieces

from sbert import BiEncoder, CrossEncoder, InputError
from sbert.models.folders import backbone

# refusals


def no_tokenizer(root: Path) -> None:
    for path in root.glob("tokenizer*"):
        path.unlink()


def lost_row(folder: str, name: str):
    """Cut the last row of a weight, and leave the configuration as it is."""

    def break_it(root: Path) -> None:
        file = root / folder / "model.safetensors"
        weights = load_file(file)
        weights[name] = weights[name][:-1].clone()
        save_file(weights, file, metadata={"format": "pt"})

    return break_it


def lost_tensor(root: Path) -> None:
    weights = load_file(root / "model.safetensors")
    del weights["encoder.layer.0.attention.self.query.weight"]
    save_file(weights, root / "model.safetensors", metadata={"format": "pt"})


ROWS = len(word_pieces())
BROKEN = {
    "no config.json": (
        lambda root: (root / "config.json").unlink(),
        "no config.json: not a model folder",
    ),
    "no weights": (
        lambda root: (root / "model.safetensors").unlink(),
        "no weights: model.safetensors is missing",
    ),
    "pickled weights": (
        pickled_only(""),
        "model.safetensors is missing; python tools/convert_weights.py ",
    ),
    "weights cut short": (
        lambda root: replace("model.safetensors", (root / "model.safetensors").read_bytes()[:5000])(
            root
        ),
        "",
    ),
    "a tensor is lost": (lost_tensor, "encoder.layer.0.attention.self.query.weight"),
    "a row of the embeddings is lost": (
        lost_row("", "embeddings.word_embeddings.weight"),
        f"/model.safetensors: embeddings.word_embeddings.weight has the shape {ROWS - 1} x 32, and "
        f"config.json asks for {ROWS} x 32: vocab_size is {ROWS}, and {ROWS - 1} would fit",
    ),
    "a row of a layer is lost": (
        lost_row("", "encoder.layer.1.intermediate.dense.weight"),
        ".weight has the shape 63 x 32, and config.json asks for 64 x 32: intermediate_size or "
        "max_position_embeddings is 64, and 63 would fit",
    ),
    "a row of a Dense is lost": (
        lost_row("2_Dense", "linear.weight"),
        "/2_Dense/model.safetensors: linear.weight has the shape 6 x 32, and config.json asks for "
        "7 x 32: out_features is 7, and 6 would fit",
    ),
    "no tokenizer": (no_tokenizer, "tokenizer"),
    "modules.json not JSON": (replace("modules.json", "[{"), "modules.json: not JSON"),
    "modules.json not text": (replace("modules.json", b"\xff\xfe["), "modules.json: not JSON"),
    "modules.json without types": (
        replace("modules.json", '[{"idx": 0, "path": ""}]'),
        "modules.json",
    ),
    "modules.json no list": (replace("modules.json", '{"idx": 0}'), "modules.json"),
    "config.json not JSON": (replace("config.json", '{"model_type": "bert"'), "config.json"),
    "config.json of an unknown model": (replace("config.json", '{"model_type": "none"}'), ""),
    "sentence_bert_config.json not JSON": (
        replace("sentence_bert_config.json", "max"),
        "sentence_bert_config.json: not JSON",
    ),
    "sentence_bert_config.json a list": (
        replace("sentence_bert_config.json", "[]"),
        "sentence_bert_config.json",
    ),
    "config_sentence_transformers not JSON": (
        replace("config_sentence_transformers.json", "{"),
        "config_sentence_transformers.json: not JSON",
    ),
    "an unknown default prompt": (
        replace(
            "config_sentence_transformers.json",
            '{"prompts": {"query": "query: "}, "default_prompt_name": "passage"}',
        ),
        "default_prompt_name: no prompt 'passage'; the model declares: query",
    ),
}


@pytest.mark.parametrize(("breaks", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_refused_in_one_line(tiny_folder, tmp_path, breaks, said):
    assert_refused_in_one_line(headed(tmp_path / "m", tiny_folder), breaks, said)


def test_prompts_without_a_default_are_no_matter(tiny_folder, tmp_path):
    root = headed(tmp_path / "m", tiny_folder)
    dump(
        root / "config_sentence_transformers.json",
        {"prompts": {"query": "query: "}, "default_prompt_name": None},
    )
    plain = BiEncoder.from_pretrained(headed(tmp_path / "plain", tiny_folder))
    np.testing.assert_array_equal(
        BiEncoder.from_pretrained(root).encode(["the cat"]), plain.encode(["the cat"])
    )


@pytest.mark.parametrize("kind", ["absolute", "dotted", "deep", "file"])
def test_missing_folder(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    Path("file.bin").write_bytes(b"")
    name = {
        "absolute": str(tmp_path / "none"),
        "dotted": "./none",
        "deep": "a/b/none",
        "file": "file.bin",
    }[kind]
    with pytest.raises(InputError) as caught:
        BiEncoder.from_pretrained(name)
    assert str(caught.value) == f"model {name}: no such folder"


def test_a_missing_model_of_a_run_names_the_run(tmp_path):
    with pytest.raises(InputError, match="no such folder; it is written by the run mine of train"):
        BiEncoder.from_pretrained(tmp_path / "runs/mine/best")


# nothing that a folder brings is executed


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A function that puts code into a folder, and returns a file that exists if that code ran."""
    mark = tmp_path / "ran"
    monkeypatch.setattr("builtins.input", lambda *prompt: "y")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "cache"))

    def put(root: Path) -> Path:
        lines = ["from pathlib import Path", f"Path({str(mark)!r}).write_text('')"]
        lines += ["from transformers import BertConfig, BertModel, PreTrainedTokenizerFast"]
        lines += ["class Config(BertConfig):", "    model_type = 'trap'"]
        lines += [
            "class Model(BertModel):",
            "    config_class = Config",
            "class Fast(PreTrainedTokenizerFast): pass",
        ]
        lines += ["class Transformer: pass", "class Tanh: pass"]
        (root / "trap.py").write_text("\n".join(lines) + "\n")
        return mark

    return put


CODE = {"AutoConfig": "trap.Config", "AutoModel": "trap.Model"}
TRAPS = {
    "code for a known model": rewrite("config.json", auto_map=CODE),
    "code for an unknown model": rewrite(
        "config.json", auto_map=CODE, model_type="trap", architectures=["Model"]
    ),
    "code for a tokenizer": rewrite(
        "tokenizer_config.json",
        auto_map={"AutoTokenizer": [None, "trap.Fast"]},
        tokenizer_class="Fast",
    ),
    "a module of its own": lambda root: dump(
        root / "modules.json",
        [
            load(root / "modules.json")[0] | {"type": "trap.Transformer"},
            *load(root / "modules.json")[1:],
        ],
    ),
    "an activation of its own": rewrite("2_Dense/config.json", activation_function="trap.Tanh"),
}


@pytest.mark.parametrize("setting", TRAPS.values(), ids=TRAPS)
def test_code_in_a_folder_does_not_run(tiny_folder, tmp_path, monkeypatch, trap, setting):
    root = headed(tmp_path / "m", tiny_folder)
    mark = trap(root)
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(str(root))
    setting(root)
    with contextlib.suppress(InputError):
        BiEncoder.from_pretrained(root)
    assert not mark.exists(), "the folder's code ran"


def test_a_pickle_beside_the_weights_is_not_opened(tiny_folder, tmp_path, sentences):
    mark = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (mark,)

    root = headed(tmp_path / "m", tiny_folder)
    expected = BiEncoder.from_pretrained(root).encode(sentences, "fp32")
    for folder in ("", "2_Dense"):
        torch.save({"linear.weight": Bomb()}, root / folder / "pytorch_model.bin")
    np.testing.assert_array_equal(
        BiEncoder.from_pretrained(root).encode(sentences, "fp32"), expected
    )
    assert not mark.exists()
    torch.load(root / "pytorch_model.bin", weights_only=False)
    assert mark.exists(), "the trap itself does not work"


# saving over another model


STALE = [
    "pytorch_model.bin",
    "model-00001-of-00002.safetensors",
    "model.safetensors.index.json",
    "sentence_roberta_config.json",
    "adapter_config.json",
    "adapter_model.safetensors",
    "loss.safetensors",
    "loss.nli.safetensors",
    "vocab.txt",
    "spiece.model",
    "added_tokens.json",
    "chat_template.jinja",
]
NOTES = ["README.md", "notes.txt", "eval/table.json", "2_Dense/notes.txt"]


@pytest.mark.parametrize("kind", [BiEncoder, CrossEncoder])
def test_nothing_stays_of_the_model_that_a_folder_held(kind, tiny, tiny_folder, tmp_path):
    root = headed(tmp_path / "m", tiny_folder)
    settings = {"prompts": {"query": "query: "}, "similarity_fn_name": "dot"}
    dump(root / "config_sentence_transformers.json", settings)
    for name in [*STALE, *NOTES]:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
    model = kind.from_pretrained(tiny_folder)
    model.save_pretrained(root)
    model.save_pretrained(tmp_path / "new")
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    fresh = tmp_path / "new"
    expected = {path.relative_to(fresh).as_posix() for path in fresh.rglob("*") if path.is_file()}
    assert files == expected | set(NOTES)
    assert kind.from_pretrained(root).fingerprint == model.fingerprint
    assert all((root / name).read_text() == name for name in NOTES)


def test_a_model_is_saved_over_its_own_folder(tiny, tmp_path, sentences):
    tiny.save_pretrained(tmp_path)
    expected = tiny.encode(sentences, "fp32")
    again = BiEncoder.from_pretrained(tmp_path)
    again.save_pretrained(tmp_path)
    np.testing.assert_array_equal(again.encode(sentences, "fp32"), expected)
    made = BiEncoder.from_pretrained(tmp_path).encode(sentences, "fp32")
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("listed", ['[{"path": "../other"}]', '[{"path": ".."}]', "{", "[1]"])
def test_saving_reaches_no_other_folder(tiny, tmp_path, listed):
    dump(tmp_path / "other" / "config.json", {})
    root = tmp_path / "m"
    root.mkdir()
    (root / "modules.json").write_text(listed)
    tiny.save_pretrained(root)
    assert (tmp_path / "other" / "config.json").exists()
    BiEncoder.from_pretrained(root)


@pytest.mark.parametrize("error", [OSError("no\nnetwork " * 40), RuntimeError("offline")])
def test_a_name_that_is_neither_a_folder_nor_on_the_hub(monkeypatch, error):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(backbone, "snapshot_download", fail)
    with pytest.raises(InputError) as caught:
        backbone.locate_folder("runs/none")
    assert str(caught.value) == (
        "model runs/none: no such folder, and no model of this name could be downloaded from the "
        f"hub ({type(error).__name__})"
    )
