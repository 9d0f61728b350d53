"""Shared by the tests of trimmed vocabularies: tiny models, texts, the command in this process."""

from pathlib import Path

import torch
import trim_vocabulary
from families import FAMILIES, write_encoder
from family_tokenizers import SENTENCES
from model_folders import dump, load
from safetensors.torch import load_file, save_file

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


KEPT_WORDS = ["the cat", "a dog sits"]


def cut_rows(folder: Path, more: int) -> None:
    """Change the number of rows of the embeddings; new ones are copies."""
    weights = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    rows = weights[name]
    weights[name] = torch.cat([rows, rows[:more]]) if more > 0 else rows[:more].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    settings = load(folder / "config.json") | {"vocab_size": len(weights[name])}
    dump(folder / "config.json", settings)


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


def trim(folder: Path, *options, texts: list[str] = KEPT) -> Path:
    """The command on these texts, from a folder into a new one beside it -> that."""
    file = text_file(folder.parent / "texts.txt", texts)
    output = folder.parent / "trimmed"
    words = [folder, output, "--texts", file, *options]
    trim_vocabulary.main([str(word) for word in words])
    return output
