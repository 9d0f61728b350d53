"""Rank the lines of a text file for a query by a cross-encoder, best first.

python -m sbert.rank runs/cross_stsb/best "A man is playing a guitar." candidates.txt --top_k 5
"""

import argparse
import sys
from pathlib import Path

import torch

from sbert.cross_encoder import CrossEncoder
from sbert.errors import InputError, one_line_errors
from sbert.files import read_text
from sbert.tracking import table


def main(argv: list[str]) -> None:
    """The command line: a model, a query, a file."""
    parser = argparse.ArgumentParser(prog="python -m sbert.rank", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("model", help="a cross-encoder: a run's best/, or any folder with one")
    parser.add_argument("query")
    parser.add_argument("file", type=Path, help="one candidate a line, UTF-8, plain or .gz; empty lines are left out")
    parser.add_argument("--top_k", type=int, default=10, help="how many to show (default: %(default)s)")
    args = parser.parse_args(argv)
    with one_line_errors("python -m sbert.rank"):
        documents = [line.strip() for line in read_text(args.file).split("\n") if line.strip()]
        if not documents:
            raise InputError(f"{args.file}: has no candidates: one text a line")
        model = CrossEncoder.from_pretrained(args.model).to("cuda" if torch.cuda.is_available() else "cpu")
        best = model.rank(args.query, documents, args.top_k)
    rows = [[place, f"{score:.3f}", documents[i]] for place, (i, score) in enumerate(best, start=1)]
    print(f"the best {len(rows)} of {len(documents):,} candidates for: {args.query}\n")
    print(table(["rank", "score", "candidate"], rows))


if __name__ == "__main__":
    main(sys.argv[1:])
