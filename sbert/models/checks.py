"""Checks of the texts and pairs that `encode`, `predict` and `rank` are called with."""

from collections.abc import Sequence

import numpy as np

from sbert.errors import InputError


def check_encode_input(texts: Sequence[str]) -> None:
    """Refuse what is not a list of str; a text may be empty."""
    if isinstance(texts, str):
        raise InputError("encode: takes a list of texts, not one text; write encode([text])")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"encode: text {i} is {text!r}, not a str")


def check_predict_input(pairs: Sequence[tuple[str, str]]) -> None:
    """Refuse what is not a list of two texts each, none of them empty."""
    for i, pair in enumerate(pairs):
        if not isinstance(pair, (tuple, list, np.ndarray)) or len(pair) != 2:
            raise InputError(
                f"predict: pair {i} is {pair!r}, not two texts; write predict([(text, text), ...])"
            )
        for side, text in zip(("first", "second"), pair, strict=True):
            _check_text(text, f"predict: the {side} text of pair {i}")


def check_rank_input(query: str, documents: Sequence[str], top_k: int | None) -> None:
    """Refuse an empty list of documents, an empty text, and a `top_k` below 1."""
    if isinstance(documents, str) or not len(documents):
        raise InputError("rank: there are no documents; give a list of texts")
    if top_k is not None and top_k < 1:
        raise InputError(f"rank: top_k is {top_k}; it must be 1 or more")
    _check_text(query, "rank: the query")
    for i, document in enumerate(documents):
        _check_text(document, f"rank: document {i}")


def _check_text(text: object, where: str) -> None:
    if not isinstance(text, str):
        raise InputError(f"{where} is {text!r}, not a str")
    if not text.strip():
        raise InputError(f"{where} is empty")
