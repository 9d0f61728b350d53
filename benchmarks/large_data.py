"""Data that are larger than a process should hold: training, and search in many texts.

python benchmarks/large_data.py --pairs 200000
python benchmarks/large_data.py --pairs 2000000 --checkout ../older --checkout .
python benchmarks/large_data.py --texts 1000000

All texts are distinct: runs of words of a real corpus, with the lengths of its sentences.

--pairs: every checkout of this repository trains on so many pairs with two processes, in a new
folder of runs, and a second time in the same one: seconds to the first step, and the memory of each
process then.
--texts: every checkout embeds so many texts (mine.py embed) and searches 1,000 of them in all
(neighbours): seconds, and the most memory of the process.
"""

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from launch import Launch, exit_when_told

from sbert.data.collection import read_collection
from sbert.data.config import CollectionConfig
from sbert.markdown import markdown_table

MIB = 2**20
QUERIES = 1000
HEADER = [
    *("code", "tables", "process", "s to the first step", "CPU s", "anonymous MiB", "its peak"),
    *("unshared (USS)", "with its part of the shared (PSS)"),
]


def write_pairs(path: Path, count: int, source: str = "wikipedia_pool_en", seed: int = 0) -> None:
    """A .tsv file of `count` pairs, anchor and positive, of 2 count distinct texts.

    A text is its number and a run of words of the source, from anywhere in it; the lengths in words
    are those of the texts of the source.
    """
    random = np.random.default_rng(seed)
    sentences = [text.split() for text in read_collection(CollectionConfig(source)).texts]
    words = [word for sentence in sentences for word in sentence]
    lengths = random.choice([len(sentence) for sentence in sentences], 2 * count)
    starts = random.integers(len(words) - lengths.max(), size=2 * count)
    texts = zip(range(2 * count), starts.tolist(), lengths.tolist(), strict=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("anchor\tpositive\n")
        for number, start, length in texts:
            text = " ".join([str(number), *words[start : start + length - 1]])
            file.write(text + ("\n" if number % 2 else "\t"))


def train_command(model: str, pairs: Path, runs: Path) -> list[str]:
    """`train.py` on a file of pairs, with a new run."""
    settings = {
        "name": "run",
        "runs": str(runs),
        "model.path": str(Path(model).resolve()),
        "model.max_length": "128",
        "data.train": json.dumps([{"path": str(pairs)}]),
        "loss": "MultipleNegativesRankingLoss",
        "loop.log_steps": "1",
    }
    options = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return ["train.py", "--overwrite", *options]


def anonymous(process: int) -> int:
    """MiB of memory that is of no file; 0 of a process that has just ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kibibytes = status.partition("RssAnon:")[2].split()[:1] or [0]
    return int(kibibytes[0]) // 1024


def memory(process: int) -> list[int]:
    """MiB of a process: what is its own alone (USS), and that with its part of the shared (PSS)."""
    fields = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        fields[name] = int(value)
    unshared = fields["Private_Clean:"] + fields["Private_Dirty:"]
    return [unshared // 1024, fields["Pss:"] // 1024]


def cpu_seconds(process: int) -> float:
    times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def measure(checkout: Path, model: str, pairs: Path, runs: Path) -> list[list]:
    """One row of figures for each process, when its run has made its first step."""
    begin, peaks = time.perf_counter(), Counter()
    metrics = runs / "run" / "metrics.jsonl"
    with Launch(train_command(model, pairs, runs), checkout, pairs.parent, 2) as launch:
        processes = [process.pid for process in launch.processes]
        while not (metrics.exists() and '"train"' in metrics.read_text()):
            if not launch.running():
                raise SystemExit(f"{checkout}: training ended before its first step")
            for process in processes:
                peaks[process] = max(peaks[process], anonymous(process))
            time.sleep(0.1)
        seconds = round(time.perf_counter() - begin, 1)
        return [
            [i, seconds, cpu_seconds(process), anonymous(process), peaks[process], *memory(process)]
            for i, process in enumerate(processes)
        ]


def mine(checkout: Path, task: str, options: dict[str, object], logs: Path) -> tuple[float, int]:
    """Seconds of a task of `mine.py`, and the most MiB of it that are of no file."""
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    begin, peak = time.perf_counter(), 0
    with Launch(["mine.py", task, *words, "--overwrite"], checkout, logs) as launch:
        while launch.running():
            peak = max(peak, anonymous(launch.processes[0].pid))
            time.sleep(0.05)
    return round(time.perf_counter() - begin, 1), peak


def measure_mining(args: argparse.Namespace, folder: Path) -> None:
    """Print the figures of `embed` and `neighbours`."""
    texts, queries, vectors = folder / "texts.txt", folder / "queries.txt", folder / "texts.npy"
    write_pairs(folder / "pairs.tsv", (args.texts + 1) // 2)
    lines = (folder / "pairs.tsv").read_text("utf-8").split("\n", 1)[1].replace("\t", "\n")
    texts.write_text(lines, "utf-8")
    queries.write_text("\n".join(lines.split("\n", QUERIES)[:QUERIES]), "utf-8")
    model, table = str(Path(args.model).resolve()), []
    embed = {"model": model, "texts.path": texts, "output": vectors}
    search = {
        "model": model,
        "corpus.path": texts,
        "corpus.embeddings": vectors,
        "queries.path": queries,
        "output": folder / "found.jsonl",
    }
    for checkout in args.checkout:
        for task, options in (("embed", embed), ("neighbours", search)):
            table.append([checkout.name, task, *mine(checkout, task, options, folder)])
            print(*table[-1], flush=True)
    header = [f"code; {args.texts:,} texts", "mine.py", "s", "most anonymous MiB"]
    print(markdown_table(header, table))


def measure_training(args: argparse.Namespace, folder: Path) -> None:
    """Print the figures of training."""
    pairs, table = folder / "pairs.tsv", []
    write_pairs(pairs, args.pairs)
    print(f"{args.pairs:,} pairs, {pairs.stat().st_size / MIB:,.0f} MiB", flush=True)
    for checkout in args.checkout:
        runs = folder / f"runs{len(table)}"
        for tables in ("made", "kept"):
            for row in measure(checkout, args.model, pairs, runs):
                table.append([checkout.name, tables, *row])
                print(*table[-1], flush=True)
            (runs / "run" / "metrics.jsonl").unlink()
    print(markdown_table(HEADER, table))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--pairs", type=int, default=200_000)
    options.add_argument("--texts", type=int, help="measure mining instead of training")
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--checkout", type=Path, action="append", help="default: this one")
    args = options.parse_args()
    args.checkout = [checkout.resolve() for checkout in args.checkout or [Path.cwd()]]
    os.environ["ACCELERATE_USE_CPU"] = "1"
    exit_when_told()
    with tempfile.TemporaryDirectory() as folder:
        run = measure_mining if args.texts else measure_training
        run(args, Path(folder))


if __name__ == "__main__":
    main()
