"""Peak memory of encoding and of training: ours against sentence-transformers.

python benchmarks/memory.py [--model models/multilingual-e5-small]

Every figure is the largest resident set of a process of its own that loads the weights and does one
job: encode all sentences of STSb test, or train on 640 pairs of STSb train (batch 16).
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from sbert.markdown import markdown_table


def encode_ours(model: str, texts: list[str]) -> None:
    from sbert import BiEncoder

    BiEncoder.from_pretrained(model).encode(texts)


def encode_theirs(model: str, texts: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(model).encode(texts)


def job(name: str, model: str) -> None:
    from sbert.data.config import DatasetConfig
    from sbert.data.rows import read_dataset

    if name.startswith("encode"):
        rows = read_dataset(DatasetConfig("stsb", "test"))
        globals()[name](model, [text for column in rows.texts for text in column])
        return
    # both trainers stand in one file, and importing it would count both libraries for each
    rows, scratch = (
        read_dataset(DatasetConfig("stsb", "train", limit=640)),
        Path(tempfile.mkdtemp()),
    )
    if name == "train_ours":
        sys.modules["datasets"] = sys.modules["sentence_transformers"] = sys.modules[
            "sentence_transformers.losses"
        ] = _Absent()
        from train_step import run_ours

        run_ours(model, rows, "auto", scratch)
    else:
        from train_step import run_theirs

        run_theirs(model, rows, False, scratch)


class _Absent:
    """A stand-in for a library that a job does not use, so that it costs no memory."""

    __spec__ = None

    def __getattr__(self, name: str) -> type:
        return object


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--one", help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.one:
        job(args.one, args.model)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    peaks = {}
    for name in ("encode_ours", "encode_theirs", "train_ours", "train_theirs"):
        command = [sys.executable, __file__, "--model", args.model, "--one", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[name] = int(done.stdout.split()[-1])
    rows = [[job, peaks[f"{job}_ours"], peaks[f"{job}_theirs"]] for job in ("encode", "train")]
    print(markdown_table(["peak MiB", "sbert", "sentence-transformers"], rows))


if __name__ == "__main__":
    main()
