"""Mining against FAISS, sentence-transformers and plain torch, on real sentences.

python benchmarks/mining.py search --size 100000 [--queries 100000] [--repeats 2] [--only sbert]
python benchmarks/mining.py search --size 12000 --queries 3000 --data clusters-0.3 [--k 100]
python benchmarks/mining.py hard --size 12000 --queries 3000
python benchmarks/mining.py pairs --size 30000
python benchmarks/mining.py negatives --size 100000 --queries 10000
python benchmarks/mining.py clusters --size 10000

The data are `sentences` of Tatoeba and Wikipedia in the data folder (SBERT_DATA), embedded once by
all-MiniLM-L6-v2 (H = 384) into build/mining.npy; or what is hard for a search with rounded vectors,
all of which `hard` searches: `clusters-S`, 100 normal centres with S times as much noise, so that
with a small S hundreds of vectors are nearly equal; `centre-S`, the same with one centre;
`duplicates`, two thirds of the vectors equal; `equal`, all of them.

Every run is a process of its own, in turn. Its time is that of the call, its memory the peak above
what the process held before. Negatives are timed from the files to the file, with the loading of
the model, without Python's imports; their memory is the peak of the process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from mining_data import load_vectors, make_vectors
from mining_negatives import NEGATIVES, seconds_of_negatives
from mining_systems import SYSTEMS, is_installed

OURS, FAISS = "sbert", "FAISS IndexFlatIP"
HARD = ["clusters-1.0", "clusters-0.5", "clusters-0.3", "centre-0.1", "duplicates", "equal"]
WORST = {
    "search": "few vectors, whose preparation counts: see hard",
    "hard": "the lowest ratio of the table",
    "pairs": "few vectors, of which a large share of all pairs is kept",
    "clusters": "few vectors, and a low threshold that many pairs reach",
    "negatives": "few queries and texts, where the loading of the model counts",
}


def run_negatives(args: argparse.Namespace) -> dict[str, float]:
    """One system in this process: seconds, and peak GiB."""
    seconds = seconds_of_negatives(args.one, args.size, args.queries)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": seconds, "peak": peak}


def run_on_vectors(args: argparse.Namespace) -> dict[str, float]:
    """One system in this process: seconds, and peak GiB; what a search found goes to a file."""
    system = SYSTEMS[args.task][args.one]
    corpus, queries = make_vectors(args.data, args.size, args.queries)
    system(queries[:300], corpus[:3000], args.k)  # imports, and the first call of everything
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that from here on
    before = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    start = time.perf_counter()
    result = system(queries, corpus, args.k)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024 - before
    np.save(args.result, np.asarray(result if args.task == "search" else [], dtype=np.int64))
    return {"seconds": seconds, "peak": peak / 2**30}


def in_processes(
    args: argparse.Namespace, task: str, data: str, names: list[str]
) -> tuple[dict[str, list[dict]], dict[str, np.ndarray]]:
    """Run systems in turn, each in a process of its own: all measurements, and the last results."""
    runs: dict[str, list[dict]] = {name: [] for name in names}
    results = {}
    options = {"size": args.size, "queries": args.queries, "k": args.k, "data": data}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "result.npy")
        for _ in range(args.repeats):
            for name in names:
                command = [sys.executable, __file__, task, *words, "--one", name]
                command += ["--result", str(file)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                runs[name].append(json.loads(done.stdout.splitlines()[-1]))
                results[name] = np.load(file) if file.exists() else np.empty(0)
    return runs, results


def seconds_and_ratio(runs: list[dict], ours: list[dict]) -> list:
    """Median seconds, and how many times ours they are: the median, and the range."""
    from figures import ratio_cells

    pairs = zip(runs, ours, strict=True)
    seconds = statistics.median(run["seconds"] for run in runs)
    return [seconds, *ratio_cells([a["seconds"] / b["seconds"] for a, b in pairs])]


def compare(args: argparse.Namespace) -> tuple[list[str], list[list]]:
    """Header and rows of the table of a task."""
    known = NEGATIVES if args.task == "negatives" else SYSTEMS[args.task]
    names = [name for name in known if args.only is None or name in args.only]
    names = [name for name in names if is_installed(name)]
    runs, results = in_processes(args, args.task, args.data, names)
    header = ["system", "seconds", "times ours", "of each repeat", "peak GiB"]
    rows = []
    for name, measured in runs.items():
        row = [name, *seconds_and_ratio(measured, runs.get(OURS, measured))]
        rows.append([*row, max(run["peak"] for run in measured)])
    if args.task == "search":
        header.append("found like ours")
        for row in rows:
            ours, found = results.get(OURS), results[row[0]]
            comparable = ours is not None and len(found)
            row.append(f"{100 * (found == ours).mean():.3f} %" if comparable else "-")
    return header, rows


def compare_on_hard_data(args: argparse.Namespace) -> tuple[list[str], list[list]]:
    """Header and rows of the search in each kind of hard data."""
    header = ["vectors", "seconds of FAISS", "times ours", "of each repeat", "ours"]
    rows = []
    for data in HARD:
        runs, _ = in_processes(args, "search", data, [OURS, FAISS])
        ours = statistics.median(run["seconds"] for run in runs[OURS])
        rows.append([data, *seconds_and_ratio(runs[FAISS], runs[OURS]), ours])
    return header, rows


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("task", choices=[*SYSTEMS, "negatives", "hard"])
    options.add_argument("--size", type=int, default=30_000)
    options.add_argument("--queries", type=int, help="default: all")
    options.add_argument("--k", type=int, default=10, help="neighbours, of search")
    options.add_argument("--data", default="sentences", help="see above")
    options.add_argument("--repeats", type=int, default=2)
    options.add_argument("--only", nargs="+", help="only these systems")
    options.add_argument("--one", help=argparse.SUPPRESS)
    options.add_argument("--result", help=argparse.SUPPRESS)
    args = options.parse_args()
    args.queries = args.queries or args.size
    if args.one:
        run = run_negatives if args.task == "negatives" else run_on_vectors
        print(json.dumps(run(args)))
        return
    from figures import print_figures

    if args.task not in ("negatives", "hard") and args.data == "sentences":
        load_vectors(args.size)  # once, not in each process
    header, rows = (compare_on_hard_data if args.task == "hard" else compare)(args)
    data = "" if args.task == "hard" else f" {args.data}, k = {args.k},"
    about = f"{args.task}:{data} {args.queries:,} queries, {args.size:,} vectors"
    print_figures(about, header, rows, WORST[args.task])


if __name__ == "__main__":
    main()
