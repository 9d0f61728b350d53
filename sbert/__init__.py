"""Sentence embeddings in plain PyTorch."""

from sbert.bi_encoder import BiEncoder, similarity
from sbert.errors import InputError

__all__ = ["BiEncoder", "InputError", "similarity"]
