"""What must hold for every family of encoders.

A check takes a family and an empty folder, and raises an error where the family fails it. The tests
run the checks, and `tools/family_matrix.py` prints them as a table.
"""

import copy
import importlib.util
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from accelerate import Accelerator
from families import POSITIONS, WINDOW, Family, write_encoder
from family_tokenizers import SENTENCES
from transformers import AutoTokenizer

from sbert import BiEncoder, InputError
from sbert.data.rows import Rows
from sbert.losses import CosineSimilarityLoss
from sbert.losses.base import Loss
from sbert.models.encoder import Encoder
from sbert.training.config import LoopConfig, OptimConfig
from sbert.training.loop import Training
from sbert.training.objectives.objective import Objective, TrainingSet

WORDS = " ".join(SENTENCES[::37]).split()
TEXTS = [
    "a",
    "The cat eats.",
    " ".join(WORDS[: 2 * WINDOW]),
    "naïve café 😀",
    " ".join(WORDS[: 3 * POSITIONS]),
    "两个人",
    " ".join(WORDS[20 : 20 + WINDOW]),
]
PAIRS = [*zip(TEXTS, TEXTS[3:] + TEXTS[:3], strict=True), ("le chat", "le chat")]
Check = Callable[[Family, Path], None]
TOLERANCE = 1e-5  # of fp32, as a share of the largest number
STEPS = 5


def has_sentence_transformers() -> bool:
    return importlib.util.find_spec("sentence_transformers") is not None


def require_close(found: np.ndarray, right: np.ndarray, what: str) -> None:
    gap = np.abs(found - right).max() / np.abs(right).max()
    if not gap <= TOLERANCE:  # also where it is not a number
        raise AssertionError(f"{what}: a gap of {gap:.1e}")


def texts_for(family: Family) -> list[str]:
    """The texts, with the empty one where the family can read it."""
    return ["", *TEXTS] if family.reads_nothing else TEXTS


# encoders


@lru_cache(maxsize=1)
def _make_encoder(family: Family) -> tuple[TemporaryDirectory, BiEncoder]:
    root = TemporaryDirectory()
    folder = write_encoder(family, Path(root.name))
    return root, BiEncoder.from_pretrained(folder, family.pooling)


def encoder_of(family: Family) -> tuple[Path, BiEncoder]:
    """Its folder and its model, made once for all checks, which must not change them."""
    root, model = _make_encoder(family)
    return Path(root.name), model


def loads(family: Family, _: Path) -> None:
    """Reads a folder, and embeds texts, with ids equal to the tokenizer's own."""
    folder, model = encoder_of(family)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    table = model.text_tokenizer.tokenize(TEXTS)
    own = tokenizer(TEXTS, truncation=True, max_length=model.max_length)["input_ids"]
    if np.concatenate(own).tolist() != table.ids.tolist():
        raise AssertionError("the ids are not the tokenizer's own")
    embeddings = model.encode(TEXTS, precision="fp32")
    if model.dim != embeddings.shape[1]:
        raise AssertionError(f"embeddings of {embeddings.shape[1]} numbers, not {model.dim}")


def equals_sentence_transformers(family: Family, root: Path) -> None:
    """In both directions: it loads what is saved here, and what it saves is loaded here."""
    from sentence_transformers import SentenceTransformer, models

    texts = texts_for(family)
    folder, ours = encoder_of(family)
    ours.save_pretrained(root / "ours")
    theirs = SentenceTransformer(str(root / "ours"), device="cpu")
    # a batch of one, because theirs may depend on the batch
    right = theirs.encode(texts, batch_size=1)
    require_close(ours.encode(texts, precision="fp32"), right, "theirs of ours")
    plain = models.Transformer(str(folder))
    pooling = ours.pooling[0].replace("_", "")
    SentenceTransformer(modules=[plain, models.Pooling(ours.dim, pooling)], device="cpu").save(
        str(root / "theirs")
    )
    again = BiEncoder.from_pretrained(root / "theirs")
    require_close(again.encode(texts, precision="fp32"), right, "ours of theirs")


def same_alone_and_in_a_batch(family: Family, root: Path) -> None:
    """Also with the other padding side than that of the family."""
    texts = texts_for(family)
    model = encoder_of(family)[1]
    together = model.encode(texts, precision="fp32")
    other = {"left": "right", "right": "left"}[model.tokenizer.padding_side]
    folder = write_encoder(family, root, padding_side=other)
    model = BiEncoder.from_pretrained(folder, family.pooling)
    require_close(model.encode(texts, precision="fp32"), together, f"padding {other}")
    alone = [model.encode([text], precision="fp32") for text in texts]
    require_close(together, np.concatenate(alone), "in a batch")


def close_in_bf16(family: Family, _: Path) -> None:
    model = encoder_of(family)[1]
    exact = model.encode(TEXTS, precision="fp32", normalize=True)
    cosines = (exact * model.encode(TEXTS, precision="bf16", normalize=True)).sum(axis=1)
    if not cosines.min() > 0.98:
        raise AssertionError(f"a cosine of {cosines.min():.3f} between bf16 and fp32")


def reads_long_texts(family: Family, root: Path) -> None:
    """Learned positions limit the length, others do not; beyond a limit is refused, or cut."""
    folder = write_encoder(family, root / "plain", max_length=2 * POSITIONS)
    (folder / "sentence_bert_config.json").write_text(f'{{"max_seq_length": {2 * POSITIONS}}}')
    longest = family.positions or 2 * POSITIONS
    model = BiEncoder.from_pretrained(folder, family.pooling)
    model.encode(TEXTS, precision="fp32")
    if model.max_length != longest:
        raise AssertionError(f"max_length {model.max_length} where {longest} are right")
    if family.positions is None:
        return
    try:
        BiEncoder.from_pretrained(folder, max_length=longest + 1)
    except InputError:
        return
    raise AssertionError(f"max_length {longest + 1} is not refused")


def trains(family: Family, root: Path) -> None:
    model, resumed = (copy.deepcopy(encoder_of(family)[1]) for _ in range(2))
    train(model, resumed, CosineSimilarityLoss(), root)
    again = BiEncoder.from_pretrained(root / "run" / "best")
    found = again.encode(TEXTS, precision="fp32")
    require_close(found, model.encode(TEXTS, precision="fp32"), "reloaded")


def train(model: Encoder, resumed: Encoder, loss: Loss, root: Path) -> None:
    """Train one model in one go and the other from the middle -> equal weights, other than before.

    And once in bf16.
    """
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    training = _make_training(model, loss, root / "run")
    training.fit(stop=STEPS - 2)
    shutil.copytree(root / "run" / "last", root / "resumed" / "last")
    training.fit()
    _make_training(resumed, loss, root / "resumed").fit()
    weights = model.state_dict()
    if all(torch.equal(weights[name], before[name]) for name in before):
        raise AssertionError("no weight has changed")
    for name, weight in resumed.state_dict().items():
        if not torch.equal(weight, weights[name]):
            raise AssertionError(f"resumed: {name} differs")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        training.wrapped(training.data[0].batch(np.arange(2))).backward()


def _make_training(model: Encoder, loss: Loss, folder: Path) -> Training:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)  # for the dropout
    labels = np.linspace(0, 1, len(PAIRS), dtype=np.float32)
    columns = [list(column) for column in zip(*PAIRS, strict=True)]
    data = TrainingSet.from_datasets([Rows("pairs", "sts", columns, labels)], model)
    return Training(
        Objective(model, loss),
        [data],
        OptimConfig(lr=1e-3, batch_size=4, steps=STEPS),
        LoopConfig(precision="fp32", save_steps=STEPS - 2, evaluate_steps=STEPS),
        folder,
        Accelerator(cpu=True),
        evaluate=list,
        save_best=model.save_pretrained,
        resume=True,
    )


ENCODER_CHECKS: dict[str, Check] = {
    "loads": loads,
    "as sentence-transformers": equals_sentence_transformers,
    "alone as in a batch": same_alone_and_in_a_batch,
    "bf16": close_in_bf16,
    "long texts": reads_long_texts,
    "trains, resumes, reloads": trains,
}
