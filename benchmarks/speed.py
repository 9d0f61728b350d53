"""docs/speed.md by one command: runs the benchmarks, keeps their figures, puts them on the page.

python benchmarks/speed.py                   all parts: hours
python benchmarks/speed.py encode search     these parts anew
python benchmarks/speed.py --render          the page from the figures that are kept
python benchmarks/speed.py --tiny            every command with small settings, into build/

A part is one command and its table. Its figures are a line of docs/speed.jsonl, one for each kind
of machine, which a new measurement replaces. On the page, those of a kind of machine stand between

    <!-- speed: <machine> -->  and  <!-- end -->

All other text of the page stays as it is.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
BLOCK = r"(?P<start><!-- speed: (?P<machine>\S+) -->).*?<!-- end -->"
PAGE, FIGURES = Path("docs/speed.md"), Path("docs/speed.jsonl")


class Part(NamedTuple):
    """A command, and the options with which it takes seconds."""

    command: str
    tiny: str


TINY_TRAINING = "--rows 32 --repeats 1"
TINY_SEARCH = "--size 2000 --queries 100 --repeats 1"
E5 = "--model models/multilingual-e5-small"
PARTS = {
    "encode": Part("encode.py --int8", "--repeats 1"),
    "encode-one-length": Part("encode.py --words 64", "--repeats 1"),
    "train": Part("train_step.py --repeats 2", TINY_TRAINING),
    "train-one-length": Part("train_step.py --words 64", TINY_TRAINING),
    "train-multilingual": Part(f"train_step.py {E5} --repeats 2", TINY_TRAINING),
    "train-cross-encoder": Part("cross_encoder.py train", TINY_TRAINING),
    "predict": Part("cross_encoder.py predict", "--repeats 1"),
    "search": Part("mining.py search --size 100000 --queries 20000", TINY_SEARCH),
    "search-hard": Part("mining.py hard --size 12000 --queries 3000", TINY_SEARCH),
    "search-clusters": Part(
        "mining.py search --size 100000 --queries 5000 --data clusters-0.3", TINY_SEARCH
    ),
    "quantised": Part("quantised.py", TINY_SEARCH),
    "quantised-scifact": Part("quantised.py --data scifact", "--repeats 1"),
    "quantised-e5": Part(f"quantised.py --size 6000 --queries 500 {E5}", "--repeats 1"),
    "pairs": Part("mining.py pairs --size 30000", TINY_SEARCH),
    "negatives": Part("mining.py negatives --size 100000 --queries 10000", TINY_SEARCH),
    "clusters": Part("mining.py clusters --size 10000", TINY_SEARCH),
}


def machine() -> str:
    """The kind of machine: what its figures are compared with."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    kinds = [
        kind for kind in ("amx_bf16", "avx512_bf16", "avx2") if re.search(rf"\b{kind}\b", flags)
    ]
    limited = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    return limited.lower() or (kinds or ["cpu"])[0]


def measure(command: str) -> dict:
    """Run a benchmark -> its figures: the line above its table, the table, the line below."""
    script, *options = shlex.split(command)
    done = subprocess.run(
        [sys.executable, str(HERE / script), *options], stdout=subprocess.PIPE, text=True
    )
    print(done.stdout, flush=True)
    if done.returncode:
        raise SystemExit(f"{command} failed with status {done.returncode}")
    return {"command": f"python benchmarks/{command}", "commit": commit(), **parse(done.stdout)}


def parse(printed: str) -> dict:
    """Of what a benchmark printed: its table, the line above and the line below it."""
    lines = [line for line in printed.splitlines() if line]
    places = [i for i, line in enumerate(lines) if line.startswith("|")]
    first, last = places[0], places[-1] + 1
    return {"about": lines[first - 1], "table": lines[first:last], "below": lines[last:]}


def commit() -> str:
    """The commit that was measured, with + where its code was changed."""
    changed = _git("status", "--porcelain", "--", "sbert", "benchmarks")
    return _git("rev-parse", "--short", "HEAD") + "+" * bool(changed)


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], stdout=subprocess.PIPE, text=True).stdout.strip()


def read_figures(path: Path) -> dict[tuple[str, str], dict]:
    """By part and machine."""
    if not path.exists():
        return {}
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {(record["part"], record["machine"]): record for record in records}


def write_figures(path: Path, figures: dict[tuple[str, str], dict]) -> None:
    lines = [json.dumps(figures[key], ensure_ascii=False) + "\n" for key in sorted(figures)]
    path.write_text("".join(lines), "utf-8")


def render(page: str, figures: dict[tuple[str, str], dict]) -> str:
    """The page with the figures of every kind of machine that has a block."""

    def block(match: re.Match) -> str:
        keys = [(part, match["machine"]) for part in PARTS]
        shown = [show(figures[key]) for key in keys if key in figures]
        return "\n\n".join([match["start"], *shown, "<!-- end -->"])

    return re.sub(BLOCK, block, page, flags=re.S)


def machines(page: str) -> set[str]:
    """The kinds of machines that have a block."""
    return {match["machine"] for match in re.finditer(BLOCK, page, re.S)}


def show(record: dict) -> str:
    """The figures of one part as Markdown."""
    about = f"`{record['command']}` at {record['commit']}: {record['about']}"
    return "\n\n".join([about, "\n".join(record["table"]), *record["below"]])


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    options.add_argument("--render", action="store_true", help="measure nothing")
    options.add_argument("--tiny", action="store_true", help="small settings, into build/")
    args = options.parse_args()
    unknown = [part for part in args.parts if part not in PARTS]
    if unknown:
        options.error(f"unknown part {unknown[0]}; known: {', '.join(PARTS)}")
    page, file = PAGE, FIGURES
    if args.tiny:
        page, file = Path("build") / PAGE.name, Path("build") / FIGURES.name
        page.parent.mkdir(exist_ok=True)
        page.write_text(PAGE.read_text("utf-8"), "utf-8")
    figures = read_figures(file)
    for name in [] if args.render else args.parts or PARTS:
        command = PARTS[name].command + f" {PARTS[name].tiny}" * args.tiny
        print(f"\n{name}: {command}", flush=True)
        key = name, machine()
        figures[key] = {"part": name, "machine": key[1], **measure(command)}
        write_figures(file, figures)  # after each part: one that fails loses no other
        page.write_text(render(page.read_text("utf-8"), figures), "utf-8")
    text = render(page.read_text("utf-8"), figures)
    page.write_text(text, "utf-8")
    missing = sorted({machine for _, machine in figures} - machines(text))
    if missing:
        raise SystemExit(f"{page}: has no block for {missing[0]}; its figures are in {file}")
    print(f"written to {page} and {file}")


if __name__ == "__main__":
    main()
