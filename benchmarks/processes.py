"""Training with several processes: pairs per second of all together, of 1 process and of W.

python benchmarks/processes.py [--processes 1 8] [--batch 256] [--steps 30]

`train.py` on STSb: one process a GPU, which exchange gradients by NCCL; without a GPU they share
the CPU, by gloo. A batch is shared by all processes, so that the model is the same. The speed is
the median of those in the run's metrics.jsonl. By default it takes about a minute.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from launch import Launch, exit_when_told

from sbert.markdown import markdown_table
from sbert.training.tracking import read_metrics

ROOT = Path(__file__).parents[1]
CONFIG = "configs/sbert/stsb.yaml"
LOG_STEPS = 5


def train(processes: int, args: argparse.Namespace, runs: Path) -> float:
    """Pairs per second with so many processes."""
    name = f"processes-{processes}"
    options = {
        "config": CONFIG,
        "name": name,
        "runs": str(runs),
        "model.path": args.model,
        "data.dev": "[]",
        "data.test": "[]",
        "optim.batch_size": str(args.batch),
        "optim.steps": str(args.steps),
        "loop.evaluate_steps": str(args.steps),  # no files are written before the end
        "loop.log_steps": str(LOG_STEPS),
    }
    words = [word for option, value in options.items() for word in (f"--{option}", value)]
    with Launch(["train.py", *words], ROOT, runs, processes) as launch:
        while launch.running():
            time.sleep(0.1)
    points = read_metrics(runs / name)
    speeds = [point["pairs_per_second"] for point in points if "pairs_per_second" in point]
    return statistics.median(speeds[1:])  # the first steps are slower


def main() -> None:
    gpus = torch.cuda.device_count()
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--batch", type=int, default=256 if gpus else 128)
    options.add_argument("--steps", type=int, default=30)
    options.add_argument(
        "--processes", type=int, nargs="+", help="default: 1, and a GPU each; without one 1 and 2"
    )
    args = options.parse_args()
    least = 2 * LOG_STEPS
    if args.steps < least:
        options.error(f"--steps {args.steps}: the first {LOG_STEPS} do not count; give {least}")
    exit_when_told()
    counts = args.processes or sorted({1, gpus or 2})
    with tempfile.TemporaryDirectory() as runs:
        speeds = {count: train(count, args, Path(runs)) for count in counts}
    rows = [[str(count), speed, speed / speeds[counts[0]]] for count, speed in speeds.items()]
    backend = "NCCL" if gpus else "gloo"
    print(f"\n{args.model}, batch {args.batch}, {backend}\n")
    print(markdown_table(["processes", "pairs/s", "ratio"], rows))


if __name__ == "__main__":
    main()
