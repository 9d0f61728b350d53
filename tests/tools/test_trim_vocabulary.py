"""A trimmed vocabulary: the same embeddings where all pieces stay, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import trim_vocabulary
from families import FAMILIES, write_encoder
from family_tokenizers import SENTENCES
from model_folders import dump, load
from transformers import AutoTokenizer

from sbert import BiEncoder
from sbert.models.encoder import Encoder

FAMILY = {family.name: family for family in FAMILIES}
# Unigram, WordPiece, BPE of bytes, BPE that falls back to bytes
KINDS = [
    "XLM-R",
    "T5",
    "XLNet",
    "BERT",
    "MPNet",
    "RoBERTa",
    "ModernBERT",
    "Qwen3",
    "GPT-2",
    "Gemma",
]
KEPT = SENTENCES[::97]
OTHER = [*SENTENCES[50::89], "naïve café 😀", "", "两个人 <mask>"]


def text_file(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(f"{text}\n" for text in texts), "utf-8")
    return path


def write_family(name: str, folder: Path) -> Path:
    """A tiny encoder whose configuration names tokens of its tokenizer alone."""
    write_encoder(FAMILY[name], folder)
    if name == "ModernBERT":  # its class has the ids of the published tokenizer
        settings = load(folder / "config.json") | {"bos_token_id": None, "eos_token_id": None}
        dump(folder / "config.json", settings)
    return folder


@pytest.fixture
def trim(tmp_path):
    """The command, on KEPT, from a folder into another -> the new folder."""

    def run(folder: Path, *options, texts: list[str] = KEPT) -> Path:
        file = text_file(tmp_path / "texts.txt", texts)
        output = tmp_path / "trimmed"
        words = [folder, output, "--texts", file, *options]
        trim_vocabulary.main([str(word) for word in words])
        return output

    return run


def pieces(model: Encoder, text: str) -> list[str]:
    return model.text_tokenizer.backend.encode(text).tokens


def all_tokens(model: Encoder) -> list[str]:
    """The tokens in the order of their ids."""
    vocabulary = model.tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.get)


@pytest.mark.parametrize("name", KINDS)
def test_kept_texts_have_the_same_embeddings(name, tmp_path, trim):
    folder = write_family(name, tmp_path / "whole")
    whole, trimmed = BiEncoder.from_pretrained(folder), BiEncoder.from_pretrained(trim(folder))
    assert len(trimmed.tokenizer) < len(whole.tokenizer)
    assert len(trimmed.transformer.get_input_embeddings().weight) == len(trimmed.tokenizer)
    stays = set(all_tokens(trimmed))
    texts = [text for text in KEPT + OTHER if stays.issuperset(pieces(whole, text))]
    if not FAMILY[name].reads_nothing:
        texts = [text for text in texts if text]
    assert set(KEPT) < set(texts)  # some text that was not given is cut into pieces that stay
    for text in texts:
        assert pieces(trimmed, text) == pieces(whole, text)
    options = {"precision": "fp32"}
    np.testing.assert_array_equal(trimmed.encode(texts, **options), whole.encode(texts, **options))


@pytest.mark.parametrize("name", ["XLM-R", "BERT", "RoBERTa", "Qwen3", "Gemma"])
def test_order_rows_and_ids(name, tmp_path, trim):
    """Tokens keep their order and their rows; special ones are found at their new ids."""
    folder = write_family(name, tmp_path / "whole")
    whole, trimmed = BiEncoder.from_pretrained(folder), BiEncoder.from_pretrained(trim(folder))
    tokens = all_tokens(trimmed)
    assert tokens == [token for token in all_tokens(whole) if token in tokens]
    old_ids = whole.tokenizer.convert_tokens_to_ids(tokens)
    old, new = (m.transformer.get_input_embeddings().weight.detach() for m in (whole, trimmed))
    np.testing.assert_array_equal(new, old[old_ids])
    assert trimmed.tokenizer.special_tokens_map == whole.tokenizer.special_tokens_map
    before, after = whole.transformer.config, trimmed.transformer.config
    assert after.vocab_size == len(tokens)
    for key in ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"):
        old_id = getattr(before, key, None)
        if old_id is not None:
            assert tokens[getattr(after, key)] == all_tokens(whole)[old_id]
    alone = AutoTokenizer.from_pretrained(tmp_path / "trimmed")
    whole_alone = AutoTokenizer.from_pretrained(folder)
    for pair in (KEPT[:1], KEPT[:2]):
        ids = alone(*pair)["input_ids"]
        assert alone.convert_ids_to_tokens(ids) == whole_alone.convert_ids_to_tokens(
            whole_alone(*pair)["input_ids"]
        )
