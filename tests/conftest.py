"""Fixtures shared by all tests: a tiny random encoder, sentences, the commands in this process.

The tests compute on the CPU, where many results are equal bit for bit; `make gpu` runs those of
tests/gpu on the GPU.
"""

import gc
import os
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from support import ROOT
from tiny_models import WORDS, write_tiny

from sbert import BiEncoder
from sbert.training.loop import Training

if not os.environ.get("SBERT_TEST_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read at the first use of CUDA, also by subprocesses
    os.environ["ACCELERATE_USE_CPU"] = "1"  # for other accelerators

# a training ends with a collection, which need not search all that was imported: it is the half of
# the time of a tiny one
gc.freeze()
# tiny tensors: a second thread costs more than it brings, and sums keep one order
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random state, so that new heads and dropout are equal."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_folder) -> BiEncoder:
    """The tiny encoder with mean pooling, fresh for every test."""
    return BiEncoder.from_pretrained(tiny_folder)


@pytest.fixture
def sentences() -> list[str]:
    """Forty sentences of 1 to 12 words, some of them twice."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for i in range(36):
        picks = torch.randint(len(WORDS), (1 + i % 12,), generator=generator)
        made.append(" ".join(WORDS[p] for p in picks))
    return made + made[:4]


@pytest.fixture
def pairs_file(tmp_path, sentences) -> Path:
    """A TSV of 32 pairs with scores on a 0-5 scale that follow the share of common words."""
    lines = ["sentence1\tsentence2\tscore"]
    for i in range(32):
        a, b = sentences[i], sentences[(i * 7 + 3) % len(sentences)] if i % 3 else sentences[i]
        common = len(set(a.split()) & set(b.split())) / len(set(a.split()) | set(b.split()))
        lines.append(f"{a}\t{b}\t{5 * common:.2f}")
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture
def train_command(monkeypatch):
    """`train.py` in this process; Accelerate's singletons are forgotten before each call."""
    monkeypatch.syspath_prepend(ROOT)
    import train

    monkeypatch.setattr(sys, "argv", ["train.py"])  # jsonargparse names the program after it

    def run(config: Path, *options: str) -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        train.main(["--config", str(config), *options])

    return run


@pytest.fixture
def train_interrupted(train_command, monkeypatch):
    """`train.py` into the run "cut", interrupted before an update and then resumed."""

    def run(config: Path, after: int) -> None:
        update = Training.update

        def die(self):
            if self.progress.step == after:
                raise KeyboardInterrupt
            update(self)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "update", die)
            with pytest.raises(KeyboardInterrupt):
                train_command(config, "--name", "cut")
        train_command(config, "--name", "cut", "--resume")

    return run


@pytest.fixture(scope="session")
def steady_folder(tmp_path_factory):
    """The tiny encoder without dropout: its steps do not depend on random states."""
    return write_tiny(tmp_path_factory.mktemp("steady"), dropout=0.0)


@pytest.fixture
def evaluate_command(monkeypatch):
    """`evaluate.py` in this process."""
    monkeypatch.syspath_prepend(ROOT)
    import evaluate

    monkeypatch.setattr(sys, "argv", ["evaluate.py"])
    return lambda *argv: evaluate.main([str(word) for word in argv])


@pytest.fixture
def mine_command(monkeypatch):
    """`mine.py` in this process."""
    monkeypatch.syspath_prepend(ROOT)
    import mine

    def run(*argv) -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        mine.main([str(word) for word in argv])

    return run


@pytest.fixture
def sweep_command(monkeypatch):
    """`sweep.py` in this process; its runs are processes of their own."""
    monkeypatch.syspath_prepend(ROOT)
    import sweep

    return lambda *argv: sweep.main([str(word) for word in argv])


@pytest.fixture
def augment_command(monkeypatch):
    """`augment.py` in this process; the stages of a recipe are processes of their own."""
    monkeypatch.syspath_prepend(ROOT)
    import augment

    def run(*argv, **extra) -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        augment.main([str(word) for word in argv], **extra)

    return run
