"""Cross-encoders of 1 and 3 labels, and pairs for them."""

from pathlib import Path

import pytest
from cross_encoder_checks import Pairs
from tiny_models import WORDS, write_classifier

from sbert import CrossEncoder


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[int, Path]:
    """Classifiers of 1 and of 3 labels as transformers saves them; tests must not change them."""
    root = tmp_path_factory.mktemp("classifiers")
    return {labels: write_classifier(root / str(labels), labels) for labels in (1, 3)}


@pytest.fixture
def scorer(folders) -> CrossEncoder:
    return CrossEncoder.from_pretrained(folders[1])


@pytest.fixture
def pairs(sentences) -> Pairs:
    """Forty pairs of 5 to 27 tokens, one of one text twice, one of 60 tokens."""
    others = [*sentences[7:], *sentences[:7]]
    return [
        *zip(sentences, others, strict=True),
        ("a cat", "a cat"),
        (" ".join(WORDS), " ".join([*WORDS[::-1], *WORDS[:9]])),
    ]
