"""What must hold for every family of classifiers, as the checks of family_checks.py."""

import copy
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from families import Family, write_classifier
from family_checks import PAIRS, Check, require_close, train
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from sbert import CrossEncoder
from sbert.losses import BinaryCrossEntropyLoss
from sbert.models.tokens import tokenize_columns


def load_classifier(family: Family, folder: Path, labels: int = 1, **options) -> CrossEncoder:
    return CrossEncoder.from_pretrained(write_classifier(family, folder, labels, **options))


@lru_cache(maxsize=1)
def _make_classifier(family: Family) -> tuple[TemporaryDirectory, CrossEncoder]:
    root = TemporaryDirectory()
    return root, load_classifier(family, Path(root.name))


def classifier_of(family: Family) -> tuple[Path, CrossEncoder]:
    """Its folder and its model, made once for all checks, which must not change them."""
    root, model = _make_classifier(family)
    return Path(root.name), model


def equals_transformers(family: Family, root: Path) -> None:
    """The logits of transformers' own classifier of 3 labels, a pair at a time."""
    ours = load_classifier(family, root, labels=3)
    tokenizer = AutoTokenizer.from_pretrained(root)
    theirs = AutoModelForSequenceClassification.from_pretrained(root).eval()
    right = []
    for pair in PAIRS:
        cut = {"truncation": True, "max_length": ours.max_length, "return_tensors": "pt"}
        with torch.no_grad():
            right.append(theirs(**tokenizer(*pair, **cut)).logits.numpy())
    found = ours.predict(PAIRS, logits=True, precision="fp32")
    require_close(found, np.concatenate(right), "logits")


def pairs_equal_sentence_transformers(family: Family, root: Path) -> None:
    """In both directions, with the ids that the tokenizer itself gives to pairs."""
    from sentence_transformers import CrossEncoder as TheirCrossEncoder

    folder, ours = classifier_of(family)
    table, pairs = tokenize_columns(ours.text_tokenizer, list(zip(*PAIRS, strict=True)))
    for i, pair in enumerate(PAIRS):
        own = ours.tokenizer(*pair, truncation=True, max_length=ours.max_length)
        joined = ours.text_tokenizer.join(table, pairs[i : i + 1])
        if any(joined[name][0].tolist() != own[name] for name in joined):
            raise AssertionError(f"pair {i}: the ids are not the tokenizer's own")
    found = ours.predict(PAIRS, precision="fp32")
    ours.save_pretrained(root / "ours")
    theirs = TheirCrossEncoder(str(root / "ours"), device="cpu")
    # a batch of one, because theirs may depend on the batch
    right = theirs.predict(PAIRS, batch_size=1, show_progress_bar=False)
    require_close(found, right, "theirs of ours")
    plain = TheirCrossEncoder(str(folder), device="cpu")
    plain.save_pretrained(str(root / "theirs"), create_model_card=False)
    again = CrossEncoder.from_pretrained(root / "theirs")
    require_close(again.predict(PAIRS, precision="fp32"), right, "ours of theirs")


def pairs_same_alone_and_in_a_batch(family: Family, root: Path) -> None:
    """Also with the other padding side than that of the family."""
    model = classifier_of(family)[1]
    together = model.predict(PAIRS, logits=True, precision="fp32")
    other = {"left": "right", "right": "left"}[model.tokenizer.padding_side]
    model = load_classifier(family, root, padding_side=other)
    found = model.predict(PAIRS, logits=True, precision="fp32")
    require_close(found, together, f"padding {other}")
    alone = [model.predict([pair], logits=True, precision="fp32") for pair in PAIRS]
    require_close(together, np.concatenate(alone), "in a batch")


def pairs_close_in_bf16(family: Family, _: Path) -> None:
    model = classifier_of(family)[1]
    exact = model.predict(PAIRS, logits=True, precision="fp32")
    gap = np.abs(exact - model.predict(PAIRS, logits=True, precision="bf16")).max()
    if not gap < 0.2:
        raise AssertionError(f"a gap of {gap:.2f} between bf16 and fp32")


def pairs_train(family: Family, root: Path) -> None:
    model, resumed = (copy.deepcopy(classifier_of(family)[1]) for _ in range(2))
    train(model, resumed, BinaryCrossEntropyLoss(), root)
    again = CrossEncoder.from_pretrained(root / "run" / "best")
    found = again.predict(PAIRS, logits=True, precision="fp32")
    require_close(found, model.predict(PAIRS, logits=True, precision="fp32"), "reloaded")


CLASSIFIER_CHECKS: dict[str, Check] = {
    "scores as transformers": equals_transformers,
    "scores as sentence-transformers": pairs_equal_sentence_transformers,
    "pairs alone as in a batch": pairs_same_alone_and_in_a_batch,
    "pairs in bf16": pairs_close_in_bf16,
    "classifier trains": pairs_train,
}
