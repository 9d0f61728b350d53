"""All that is measured on a machine with a GPU, in one table. `make gpu` runs it after the tests.

python benchmarks/gpu.py [--only search train]

Each benchmark is a process of its own; the figure and the ratio are those of its own table. Where
one fails, the table says so, and the exit status is 1.
"""

import argparse
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from sbert.markdown import markdown_table

HERE = Path(__file__).parent
SEARCH = "mining.py search --repeats 1 --size 100000"
TORCH = "--only sbert 'torch, fp32 product + topk'"
BENCHMARKS = {
    "search": [
        SEARCH,
        f"{SEARCH} --k 100 {TORCH}",
        f"{SEARCH} --data clusters-0.3 {TORCH}",
        f"{SEARCH} --data duplicates {TORCH}",
        "mining.py pairs --repeats 1 --size 30000",
    ],
    "encode": ["encode.py"],
    "train": ["train_step.py", "cross_encoder.py train"],
    "predict": ["cross_encoder.py predict"],
    "processes": ["processes.py"],
}


def run(command: str) -> list[list[str]]:
    """The rows that a benchmark adds to the table: command, system, figure and ratio."""
    script, *options = shlex.split(command)
    done = subprocess.run(
        [sys.executable, str(HERE / script), *options], stdout=subprocess.PIPE, text=True
    )
    print(done.stdout)
    if done.returncode:
        return [[command, "-", f"failed with status {done.returncode}", "-"]]
    return [[command, *row] for row in rows_of(done.stdout)]


def rows_of(printed: str) -> list[list[str]]:
    """Of a printed Markdown table: name, figure with its unit, and ratio; its first columns."""
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    return [[row[0], f"{row[1]} {header[1]}", row[2] or "-"] for row in rows]


def describe_machine() -> str:
    names = ["torch", "transformers", "sentence-transformers", "faiss-cpu"]
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            versions.append(f"no {name}")
    gpus = f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{gpus}; {', '.join(versions)}"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    args = options.parse_args()
    if not torch.cuda.is_available():
        options.error("torch finds no GPU in this machine; make benchmark measures the CPU")
    rows = []
    for name in args.only:
        for command in BENCHMARKS[name]:
            print(f"\n{command}", flush=True)
            rows += run(command)
    print(f"\n{describe_machine()}\n")
    print(markdown_table(["benchmark", "system", "figure", "ratio"], rows))
    sys.exit(any("failed" in row[2] for row in rows))


if __name__ == "__main__":
    main()
