"""Memory of training on long texts: in full, with frozen parts, with LoRA, and each of them with
gradient checkpointing.

python benchmarks/training_memory.py models/all-MiniLM-L6-v2
python benchmarks/training_memory.py models/multilingual-e5-small

Every figure is of a process of its own that trains 2 steps of 4 pairs of texts of 512 tokens, with
train.py in fp32.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.markdown import markdown_table

LORA = {"rank": 16, "target_modules": "all-linear"}
KINDS = {
    "full": {},
    "embeddings frozen": {"model.freeze": ["embeddings"]},
    "LoRA of rank 16 in all linear layers": {"model.lora": LORA},
    "the same without dropout": {"model.lora": LORA | {"dropout": 0}},
}


def write_long_pairs(path: Path, count: int = 8, words: int = 600) -> None:
    """Pairs of texts of so many words, made of the sentences of STSb train, with random scores."""
    rows = read_dataset(DatasetConfig("stsb", "train"))
    source = " ".join(rows.texts[0]).split()
    lines = ["sentence1\tsentence2\tscore"]
    for i in range(count):
        first, second = (source[(2 * i + k) * words :][:words] for k in range(2))
        lines.append("\t".join([" ".join(first), " ".join(second), str(i % 5 / 4)]))
    path.write_text("\n".join(lines), "utf-8")


def train(model: str, pairs: Path, runs: Path, options: dict) -> list[float]:
    """Peak MiB of the process, and MiB of last/."""
    settings = {
        "name": "run",
        "runs": str(runs),
        "model.path": model,
        "model.max_length": 512,
        "data.train": [{"path": str(pairs)}],
        "loss": "CosineSimilarityLoss",
        "optim.batch_size": 4,
        "loop.precision": "fp32",
        "loop.log_steps": 1,
        **options,
    }
    words = []
    for name, value in settings.items():
        words += [f"--{name}", value if isinstance(value, str) else json.dumps(value)]
    process = subprocess.Popen(
        [sys.executable, "train.py", "--overwrite", *words], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit("train.py failed")
    size = (runs / "run/last/state.safetensors").stat().st_size
    return [usage.ru_maxrss // 1024, round(size / 2**20, 1)]


def main(model: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pairs, table = Path(folder) / "pairs.tsv", []
        write_long_pairs(pairs)
        for kind, options in KINDS.items():
            for twice in (False, True):
                label = f"{kind}, gradient checkpointing" if twice else kind
                loop = {"loop.gradient_checkpointing": twice}
                table.append([label, *train(model, pairs, Path(folder), options | loop)])
    print(markdown_table([model, "peak MiB", "last/ MiB"], table))


if __name__ == "__main__":
    main(*sys.argv[1:])
