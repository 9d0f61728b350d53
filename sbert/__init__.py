"""Sentence embeddings in plain PyTorch."""

from sbert.bi_encoder import BiEncoder, similarity
from sbert.cross_encoder import CrossEncoder
from sbert.errors import InputError

__all__ = ["BiEncoder", "CrossEncoder", "InputError", "similarity"]
