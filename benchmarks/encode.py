"""Encoding: sentences per second of BiEncoder against sentence-transformers.

python benchmarks/encode.py [--model models/all-MiniLM-L6-v2] [--data stsb] [--repeats 5]

The same weights and sentences; both run in this process, in turn, after one warm-up each. Ours has
precision auto, theirs the defaults of encode and, for comparison, bf16. The quality of each is
shown beside it: the lowest cosine to the fp32 embeddings, and Spearman.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from sbert import BiEncoder
from sbert.data.config import DatasetConfig
from sbert.data.rows import read_dataset
from sbert.device import default_device
from sbert.evaluation.metrics import spearman
from sbert.evaluation.scorers import pair_scores
from sbert.markdown import markdown_table


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--model", default="models/all-MiniLM-L6-v2")
    options.add_argument("--data", default="stsb")
    options.add_argument("--split", default="test")
    options.add_argument("--repeats", type=int, default=5)
    args = options.parse_args()
    rows = read_dataset(DatasetConfig(args.data, args.split))
    texts = [text for column in rows.texts for text in column]
    ours = BiEncoder.from_pretrained(args.model).to(default_device())
    theirs = SentenceTransformer(args.model, device=str(ours.device))
    low = SentenceTransformer(
        args.model, device=str(ours.device), model_kwargs={"torch_dtype": torch.bfloat16}
    )
    runs = {
        "sbert, auto": lambda: ours.encode(texts),
        "sbert, fp32": lambda: ours.encode(texts, precision="fp32"),
        "sentence-transformers": lambda: theirs.encode(texts, show_progress_bar=False),
        "sentence-transformers, bf16": lambda: (
            low.encode(texts, show_progress_bar=False, convert_to_tensor=True).float().cpu()
        ),
    }
    reference = theirs.encode(texts, show_progress_bar=False)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results = {}
    for repeat in range(args.repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            results[name] = np.asarray(run())
            if repeat:  # the first is the warm-up
                seconds[name].append(time.perf_counter() - start)
    lines = []
    base = seconds["sentence-transformers"]
    for name, times in seconds.items():
        ratios = [b / t for b, t in zip(base, times, strict=True)]
        cosine = pair_scores(results[name], reference)["cosine"].min()
        rho = 100 * spearman(
            pair_scores(*np.split(results[name], len(rows.texts)))["cosine"], rows.labels
        )
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        speed = round(len(texts) / statistics.median(times))
        lines.append([name, speed, statistics.median(ratios), spread, f"{cosine:.6f}", rho])
    header = [
        "encoder",
        "sentences/s",
        "ratio",
        "of each repeat",
        "least cosine to fp32",
        "Spearman",
    ]
    print(
        f"{args.model}, {rows.name}, {len(texts):,} sentences, {args.repeats} repeats, "
        f"{torch.get_num_threads()} threads\n"
    )
    print(markdown_table(header, lines))


if __name__ == "__main__":
    main()
