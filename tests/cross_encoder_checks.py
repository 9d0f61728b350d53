"""Shared by the tests of cross-encoders: folders, and scores by transformers alone."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_models import SIZE, roberta_tokenizer
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from sbert import InputError

SIGMOID = "torch.nn.modules.activation.Sigmoid"


IDENTITY = "torch.nn.modules.linear.Identity"


NLI = ["contradiction", "entailment", "neutral"]


Pairs = list[tuple[str, str]]


def load(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def change(path: Path, **keys) -> None:
    path.write_text(json.dumps((load(path) if path.exists() else {}) | keys), "utf-8")


def write_roberta(folder: Path, labels: int = 1, model_type: str = "roberta") -> Path:
    """A classifier like RoBERTa: a head of two layers, one token type, shifted positions."""
    torch.manual_seed(0)
    tokenizer = roberta_tokenizer()
    config = AutoConfig.for_model(
        model_type,
        vocab_size=len(tokenizer),
        max_position_embeddings=34,
        type_vocab_size=1,
        initializer_range=0.3,
        num_labels=labels,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **SIZE,
    )
    model = AutoModelForSequenceClassification.from_config(config)
    torch.nn.init.normal_(model.classifier.out_proj.bias)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@torch.no_grad()
def one_by_one(folder: Path, pairs: Pairs, max_length: int = 64) -> np.ndarray:
    """Logits (N, K) by transformers alone, a pair at a time."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    cut = {"truncation": True, "max_length": max_length, "return_tensors": "pt"}
    return torch.cat([model(**tokenizer(a, b, **cut)).logits for a, b in pairs]).numpy()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def said_by(call, *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")
