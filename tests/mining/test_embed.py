"""Embeddings that are made once, unit by unit, and kept on disk."""

from types import SimpleNamespace

import numpy as np
import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from tiny_models import write_tiny

from sbert import BiEncoder, InputError
from sbert.data.collection import Collection
from sbert.mining import embed
from sbert.mining.embed import task_embeddings, write_embeddings

TEXTS = ["a cat", "the dog runs", "a big house"]


@pytest.fixture
def accelerator():
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=True)


def test_given_embeddings_need_no_model():
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3)
    given = Collection("x.npy", list("0123"), [], vectors=vectors)
    assert task_embeddings(task_of(None, None), given) is vectors


def task_of(model, accelerator, precision="fp32"):
    """What embedding reads of a task."""
    config = SimpleNamespace(precision=precision)
    dtype = model.resolve_precision(precision) if model else None
    return SimpleNamespace(model=model, accelerator=accelerator, config=config, precision=dtype)


def load_kept(texts, path, model, accelerator):
    collection = Collection("x", [], texts, embeddings=str(path))
    return task_embeddings(task_of(model, accelerator), collection)


def test_embeddings_are_kept_and_reused(tmp_path, tiny, accelerator, monkeypatch, tiny_folder):
    path, texts = tmp_path / "kept.npy", TEXTS
    made = load_kept(texts, path, tiny, accelerator)
    np.testing.assert_array_equal(made, tiny.encode(texts, precision="fp32"))
    shorter = BiEncoder.from_pretrained(tiny_folder, max_length=4)
    monkeypatch.setattr(BiEncoder, "encode", lambda *_, **__: pytest.fail("embedded again"))
    np.testing.assert_array_equal(load_kept(texts, path, tiny, accelerator), made)
    other = BiEncoder.from_pretrained(write_tiny(tmp_path / "other", seed=1))
    cls = BiEncoder.from_pretrained(tiny_folder, pooling="cls")
    before = path.read_bytes()
    for changed, model, message in (
        (texts[::-1], tiny, "kept.npy: was made of other texts; name another file"),
        (texts[:2], tiny, "was made of other texts"),
        (
            texts,
            other,
            "kept.npy: was made by another model, or one of other settings; name another file",
        ),
        (texts, cls, "by another model"),
        (texts, shorter, "by another model"),
    ):
        with pytest.raises(InputError, match=message):
            load_kept(changed, path, model, accelerator)
    assert path.read_bytes() == before
    np.save(path, made[:2])
    with pytest.raises(
        InputError, match="kept.npy: holds 2 embeddings for 3 texts; name another file"
    ):
        load_kept(texts, path, tiny, accelerator)
    for broken, message in (("{", "not JSON"), ("[]", "not settings with names")):
        (tmp_path / "kept.npy.json").write_text(broken)
        with pytest.raises(InputError, match=f"kept.npy.json: {message}"):
            load_kept(texts, path, tiny, accelerator)
    (tmp_path / "kept.npy.json").unlink()
    with pytest.raises(
        InputError,
        match=r"its texts and model are unknown \(kept.npy.json is missing\)",
    ):
        load_kept(texts, path, tiny, accelerator)


def test_embed_in_units(tmp_path, tiny, accelerator, sentences, monkeypatch):
    monkeypatch.setattr(embed, "UNIT_TEXTS", 7)
    task, collection = task_of(tiny, accelerator), Collection("x", [], sentences)
    write_embeddings(task, collection, tmp_path / "x.npy")
    found = np.load(tmp_path / "x.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, tiny.encode(sentences, precision="fp32"), atol=1e-5)
    for first in range(0, len(sentences), 7):
        expected = tiny.encode(sentences[first : first + 7], precision="fp32")
        np.testing.assert_array_equal(found[first : first + 7], expected)
    np.save(tmp_path / "plain.npy", found)
    assert (tmp_path / "x.npy").stat().st_size == (tmp_path / "plain.npy").stat().st_size


@pytest.mark.parametrize("done", [0, 1, 3, 6])
def test_an_interrupted_file_is_resumed(tmp_path, tiny, accelerator, sentences, monkeypatch, done):
    monkeypatch.setattr(embed, "UNIT_TEXTS", 7)
    task, collection = task_of(tiny, accelerator), Collection("x", [], sentences)
    write_embeddings(task, collection, tmp_path / "whole.npy")
    encode, calls = tiny.encode, []

    def interrupted(texts, **options):
        if len(calls) == done:
            raise KeyboardInterrupt
        calls.append(texts)
        return encode(texts, **options)

    monkeypatch.setattr(tiny, "encode", interrupted)
    if done < 6:
        with pytest.raises(KeyboardInterrupt):
            write_embeddings(task, collection, tmp_path / "x.npy")
    monkeypatch.setattr(
        tiny, "encode", lambda texts, **options: calls.append(texts) or encode(texts, **options)
    )
    if done in (1, 3):
        with pytest.raises(
            InputError, match="was started with precision torch.float32, now torch.bfloat16"
        ):
            write_embeddings(task_of(tiny, accelerator, "bf16"), collection, tmp_path / "x.npy")
    write_embeddings(task, collection, tmp_path / "x.npy")
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()
    assert sum(map(len, calls)) == len(sentences)  # no text was embedded twice
