"""Shared by the tests of trimmed vocabularies: tiny models, texts, the command in this process."""

from pathlib import Path

import torch
import transformers
import trim_vocabulary
from families import FAMILIES, POSITIONS, make_config, write_encoder
from family_tokenizers import KINDS as TOKENIZERS
from family_tokenizers import SENTENCES, make_tokenizer
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


def write_nested(folder: Path) -> Path:
    """A classifier of texts and images, whose config.json has a text_config."""
    tokenizer = make_tokenizer(TOKENIZERS["gemma"], POSITIONS)
    text = make_config(FAMILY["Gemma 3"], tokenizer, eos_token_id=[1, 400])
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    image = {"image_size": 28, "patch_size": 14, "num_attention_heads": 2}
    config = transformers.Gemma3Config(
        text_config=text.to_dict(),
        vision_config=size | image,
        mm_tokens_per_image=4,
        image_token_index=410,
        boi_token_index=411,
        eoi_token_index=412,
        num_labels=1,
    )
    transformers.Gemma3ForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def trim(folder: Path, *options, texts: list[str] = KEPT) -> Path:
    """The command on these texts, from a folder into a new one beside it -> that."""
    file = text_file(folder.parent / "texts.txt", texts)
    output = folder.parent / "trimmed"
    words = [folder, output, "--texts", file, *options]
    trim_vocabulary.main([str(word) for word in words])
    return output
