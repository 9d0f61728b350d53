"""Shared by all tests: a tiny random encoder with a real tokenizer, and the places of real weights and real data."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from sbert import BiEncoder, checkpoint
from sbert.tracking import read_metrics

# tiny tensors: a second thread costs more than it brings, and sums keep one order
torch.set_num_threads(1)

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "models" / "all-MiniLM-L6-v2"
REAL_DATA = Path(os.environ.get("SBERT_DATA", ROOT.parent / "shared" / "data"))

WORDS = "a the cat dog man woman child sits runs eats sleeps on in with mat park house red big small fast and not is".split()


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random state: new heads and dropout are the same in every run."""
    torch.manual_seed(0)


needs_weights = pytest.mark.skipif(
    not WEIGHTS.exists(), reason=f"no real weights in {WEIGHTS}: run make demo or make test"
)
needs_data = pytest.mark.skipif(
    not (REAL_DATA / "stsb").exists(), reason=f"no real data in {REAL_DATA}: set SBERT_DATA"
)


def word_pieces() -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters[1:], *(f"##{x}" for x in letters), ".", ","]


def bert_tokenizer(max_length: int = 64) -> PreTrainedTokenizerFast:
    """A WordPiece tokenizer in BERT's manner: [CLS] text [SEP]."""
    vocabulary = {piece: i for i, piece in enumerate(word_pieces())}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    special = {
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "mask_token": "[MASK]",
    }
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=max_length, **special)


def write_tiny(folder: Path, dropout: float = 0.1, seed: int = 0) -> Path:
    """A plain Hugging Face folder with a random BERT of 3 layers x 32."""
    torch.manual_seed(seed)
    size = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    drop = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    # a wide start: with the usual 0.02 all sentences of a random encoder look alike
    config = BertConfig(
        vocab_size=len(word_pieces()), max_position_embeddings=64, initializer_range=0.3, **size, **drop
    )
    BertModel(config).save_pretrained(folder)
    bert_tokenizer().save_pretrained(folder)
    return folder


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


def copied(pairs: Path) -> Path:
    """A copy of a file beside it: its rows are those of another file, which may be evaluated where the first is trained on."""
    copy = pairs.with_name(f"copy-of-{pairs.name}")
    if pairs.is_file():
        copy.write_bytes(pairs.read_bytes())
    return copy


def write_config(folder: Path, encoder: Path, pairs: Path, **changes) -> Path:
    """A run of 2 epochs x 4 steps on a file of pairs, evaluated on copies of it; `changes` replace top-level options."""
    dataset = {"path": str(pairs), "range": [0, 5], "name": "pairs"}
    held_out = dict(dataset, path=str(copied(pairs)))
    options = {
        "name": "run",
        "runs": str(folder / "runs"),
        "model": {"path": str(encoder)},
        "data": {"train": [dataset], "dev": [held_out], "test": [dict(held_out, name="pairs-test")]},
        "loss": "CosineSimilarityLoss",
        "optim": {"lr": 1e-3, "batch_size": 8, "epochs": 2},
        "loop": {"precision": "fp32", "log_steps": 1},
    } | changes
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(options), "utf-8")
    return path


def saved_state(run: Path) -> dict:
    """The tensors of a run's last/, by name."""
    return checkpoint.load_state(run / "last")[0]


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


def metrics(run: Path, kind: str = "train") -> list[dict]:
    """The rows of one kind of a run's metrics.jsonl."""
    return [row for row in read_metrics(run) if row["kind"] == kind]


def same_state(a: Path, b: Path) -> list[str]:
    """The names of the tensors in which the last/ of two runs differ: none, if they are equal bit for bit."""
    a, b = saved_state(a), saved_state(b)
    assert a.keys() == b.keys()
    return [name for name in a if not torch.equal(a[name], b[name])]


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


def fails(command, capsys, *argv) -> str:
    """The one line on stderr of a command that must end with exit status 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as error:
        command(*argv)
    assert error.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.match(r"((train|evaluate|mine|sweep)\.py( \w+)?|(python -m )?sbert\.\w+): error: ", line)
    return line


def with_two_processes(script: str, *argv) -> str:
    """A script under torchrun with two processes on the CPU -> what it printed."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launch, str(ROOT / script), *(str(word) for word in argv)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_with_two_processes(config: Path) -> None:
    """`train.py` with two processes, into the run "two"."""
    assert "2 x cpu" in with_two_processes("train.py", "--config", config, "--name", "two")
