"""Training with several processes: pairs per second of all together, of 1 process and of W.

python benchmarks/processes.py [--processes 1 8] [--batch 256] [--epochs 5]

`train.py` under torchrun, on STSb: one process a GPU, which exchange gradients by NCCL; without a
GPU they share the CPU, by gloo. A batch is shared by all processes, so that the model is the same.
The speed is the median of those in the run's metrics.jsonl.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from sbert.markdown import markdown_table
from sbert.training.tracking import read_metrics

CONFIG = "configs/sbert/stsb.yaml"


def train(processes: int, args: argparse.Namespace, runs: str) -> float:
    """Pairs per second with so many processes."""
    name = f"processes-{processes}"
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    options = {
        "config": CONFIG,
        "name": name,
        "runs": runs,
        "model.path": args.model,
        "data.dev": "[]",
        "data.test": "[]",
        "optim.batch_size": str(args.batch),
        "optim.epochs": str(args.epochs),
        "loop.log_steps": "5",
    }
    words = [word for option, value in options.items() for word in (f"--{option}", value)]
    subprocess.run(
        [sys.executable, *launch, "train.py", *words], check=True, stdout=subprocess.DEVNULL
    )
    points = read_metrics(Path(runs, name))
    speeds = [point["pairs_per_second"] for point in points if "pairs_per_second" in point]
    return statistics.median(speeds[1:])  # the first steps are slower


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--batch", type=int, default=256)
    options.add_argument("--epochs", type=int, default=5)
    options.add_argument("--processes", type=int, nargs="+", help="default: 1, and a GPU each")
    args = options.parse_args()
    counts = args.processes or sorted({1, max(1, torch.cuda.device_count())})
    with tempfile.TemporaryDirectory() as runs:
        speeds = {count: train(count, args, runs) for count in counts}
    rows = [[str(count), speed, speed / speeds[counts[0]]] for count, speed in speeds.items()]
    backend = "NCCL" if torch.cuda.is_available() else "gloo"
    print(f"\n{args.model}, batch {args.batch}, {backend}\n")
    print(markdown_table(["processes", "pairs/s", "ratio"], rows))


if __name__ == "__main__":
    main()
