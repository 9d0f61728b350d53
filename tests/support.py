"""Shared by the tests: places of real weights and data, configurations, runs of the commands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from sbert.training import checkpoint
from sbert.training.tracking import read_metrics

ROOT = Path(__file__).parents[1]


WEIGHTS = ROOT / "models" / "all-MiniLM-L6-v2"


REAL_DATA = Path(os.environ.get("SBERT_DATA", ROOT.parent / "shared" / "data"))


needs_weights = pytest.mark.skipif(
    not WEIGHTS.exists(), reason=f"no real weights in {WEIGHTS}: run make demo or make test"
)


needs_int8 = pytest.mark.skipif(
    not torch.cpu._is_vnni_supported(), reason="this processor has no AVX512-VNNI"
)


needs_data = pytest.mark.skipif(
    not (REAL_DATA / "stsb").exists(), reason=f"no real data in {REAL_DATA}: set SBERT_DATA"
)


def copied(pairs: Path) -> Path:
    """A copy of a file beside it, which may be evaluated when the first is trained on."""
    copy = pairs.with_name(f"copy-of-{pairs.name}")
    if pairs.is_file():
        copy.write_bytes(pairs.read_bytes())
    return copy


def write_config(folder: Path, encoder: Path, pairs: Path, **changes) -> Path:
    """A run of 2 epochs x 4 steps on a file of pairs, evaluated on copies of it.

    `changes` replace top-level options.
    """
    dataset = {"path": str(pairs), "range": [0, 5], "name": "pairs"}
    held_out = dict(dataset, path=str(copied(pairs)))
    options = {
        "name": "run",
        "runs": str(folder / "runs"),
        "model": {"path": str(encoder)},
        "data": {
            "train": [dataset],
            "dev": [held_out],
            "test": [dict(held_out, name="pairs-test")],
        },
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


def metrics(run: Path, kind: str = "train") -> list[dict]:
    """The rows of one kind of a run's metrics.jsonl."""
    return [row for row in read_metrics(run) if row["kind"] == kind]


def same_state(a: Path, b: Path) -> list[str]:
    """The names of the tensors that differ bit for bit between the last/ of two runs."""
    a, b = saved_state(a), saved_state(b)
    assert a.keys() == b.keys()
    return [name for name in a if not torch.equal(a[name], b[name])]


def fails(command, capsys, *argv) -> str:
    """The one line on stderr of a command that must end with exit status 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as error:
        command(*argv)
    assert error.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.match(
        r"(train|evaluate|mine|augment|sweep|claims|trim_vocabulary)\.py( \w+)?: error: ", line
    )
    return line


def with_two_processes(script: str, *argv) -> str:
    """A script under torchrun with two processes on the CPU -> what it printed."""
    return with_processes(2, script, *argv)


def with_processes(count: int, script: str, *argv) -> str:
    """The same with so many processes, on GPUs where the tests use them."""
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(count),
    ]
    command = [*launch, str(ROOT / script), *(str(word) for word in argv)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS="1")
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def train_with_two_processes(config: Path) -> None:
    """`train.py` with two processes, into the run "two"."""
    assert "2 x cpu" in with_two_processes("train.py", "--config", config, "--name", "two")


def own_mib() -> int:
    """MiB of this process that are of no file; Linux says so."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) // 1024
